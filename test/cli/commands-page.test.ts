// docs/commands.md against the program: every command has its row, every exit code its meaning, and
// every command prints JSON when asked to.

import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";

import { createProgram } from "../../src/cli/commands.ts";
import { EXIT } from "../../src/cli/exit.ts";

const page = readFileSync("docs/commands.md", "utf8");
const rows = [...page.matchAll(/^\| `?([^|`]+?)`? \| ([^|]+) \| ([^|]+) \|$/gm)].map(
  ([, first = "", second = "", third = ""]) => [first, second.trim(), third.trim()] as const,
);

function leaves(command: Command, above: readonly string[]): [string, Command][] {
  return command.commands.flatMap((each): [string, Command][] => {
    const path = [...above, each.name()];
    const own: [string, Command][] = [[path.join(" "), each]];
    if (each.commands.length === 0) return own;
    // A command with others below it that does something by itself, too, has flags of its own.
    return [...(each.options.length > 0 ? own : []), ...leaves(each, path)];
  });
}

const commands = leaves(createProgram({ version: "1", mainFile: "main.js" }), []);

describe("the page of commands", () => {
  test("has a row for each command, and no other", () => {
    const listed = rows.map(([first]) => first).filter((first) => /^[a-z]/.test(first));
    const names = commands.map(([name]) => name);
    expect(listed.filter((first) => first !== "code" && first !== "command").sort()).toEqual(
      names.sort(),
    );
  });

  test("has the exit codes that the program has", () => {
    const listed = rows.flatMap(([code, name]) =>
      /^\d+$/.test(code) ? [[name, Number(code)]] : [],
    );
    expect(Object.fromEntries(listed)).toEqual(EXIT);
  });

  // An agent writes nothing else, and the simulator's flags are its own.
  const others = commands.filter(([name]) => name !== "agent" && name !== "sim");
  test.each(others)("says truly that `cairn %s` has --json", (_name, command) => {
    expect(command.options.map(({ long }) => long)).toContain("--json");
  });
});
