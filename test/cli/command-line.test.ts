// The command line's words: every command's help fits a screen and shows an example, and every
// setting of an agent is a flag.

import type { Command } from "commander";
import { describe, expect, test } from "vitest";

import { createProgram } from "../../src/cli/commands.ts";
import { SETTINGS } from "../../src/cli/settings.ts";

function withOutput(): { program: Command; written: () => string; complaints: () => string } {
  const program = createProgram({ version: "1.2.3", mainFile: "main.js" });
  let out = "";
  let complained = "";
  const all = (command: Command): Command[] => [command, ...command.commands.flatMap(all)];
  for (const command of all(program)) {
    command.configureOutput({
      writeOut: (text) => {
        out += text;
      },
      writeErr: (text) => {
        complained += text;
      },
      getOutHelpWidth: () => 80,
    });
  }
  return { program, written: () => out, complaints: () => complained };
}

const paths = (() => {
  const names = (command: Command, above: string[]): string[][] =>
    command.commands.flatMap((each) => {
      const path = [...above, each.name()];
      return [path, ...names(each, path)];
    });
  return [[], ...names(createProgram({ version: "1", mainFile: "main.js" }), [])];
})();

describe("help", () => {
  // The simulator's help is the simulator's own.
  test.each(
    paths.filter(([name]) => name !== "sim").map((path) => [path.join(" "), path] as const),
  )("of `cairn %s` fits a screen", async (_name, path) => {
    const { program, written } = withOutput();
    await expect(program.parseAsync([...path, "--help"], { from: "user" })).rejects.toMatchObject({
      exitCode: 0,
    });
    const lines = written().trimEnd().split("\n");
    // An agent has a line for each setting, the program one for each command.
    const longer: Readonly<Record<string, number>> = {
      agent: SETTINGS.size + 12,
      "": program.commands.length + 18,
    };
    const linesMax = longer[path.join(" ")] ?? 40;
    expect(lines.length).toBeLessThanOrEqual(linesMax);
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
    const isGroup = ["certs", "acl", "admin", "log", "bench", "version"].includes(path.join(" "));
    if (!isGroup) expect(written()).toMatch(/^Example/m);
  });

  test("lists every command with one line", async () => {
    const { program, written } = withOutput();
    await expect(program.parseAsync(["--help"], { from: "user" })).rejects.toThrow();
    for (const name of [
      "agent",
      "dev",
      "demo",
      "produce",
      "consume",
      "members",
      "certs",
      "acl",
      "log",
      "mirror",
      "bench",
      "sim",
    ]) {
      expect(written()).toMatch(new RegExp(`^  ${name}[ \\[].{20,}$`, "m"));
    }
    expect(written()).toContain("Exit codes: 0 done, 1 failed, 64 wrong");
  });

  test("of agent has every setting", async () => {
    const { program, written } = withOutput();
    await expect(program.parseAsync(["agent", "--help"], { from: "user" })).rejects.toThrow();
    for (const key of SETTINGS.keys()) {
      expect(written(), key).toContain(`--${key} `);
    }
  });
});

describe("a mistake on the command line", () => {
  test.each([
    [["nope"], "cairn: unknown command 'nope'"],
    [["agent", "--nope"], "cairn: unknown option '--nope'"],
    [["agent", "stray"], "cairn: too many arguments"],
    [["produce", "--addr"], "cairn: option '--addr <LIST>' argument missing"],
    [["certs", "node", "n1"], "cairn: required option '--host <HOST...>' not specified"],
  ])("%j gets a line that names it", async (args, line) => {
    const { program, complaints } = withOutput();
    await expect(program.parseAsync(args, { from: "user" })).rejects.toMatchObject({
      name: "CommanderError",
    });
    expect(complaints()).toContain(line);
  });
});
