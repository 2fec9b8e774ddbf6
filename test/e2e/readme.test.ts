// The README as a newcomer reads it: short, and its commands work. The recipe for three machines,
// the demo and the development cluster have tests of their own in this folder.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const readme = readFileSync(path.join(root, "README.md"), "utf8");
const shellBlocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
const commands = shellBlocks
  .flatMap((block) => block.trim().split("\n"))
  .map((line) => line.replace(/\s+#.*$/, ""));

const sim = (flags: readonly string[]) =>
  spawnSync(process.execPath, [path.join(root, "dist/sim/main.js"), ...flags], {
    encoding: "utf8",
  });

describe("the README", () => {
  test("is read in five minutes", () => {
    expect(readme.split("\n").length).toBeLessThanOrEqual(150);
  });

  test("names only scripts that exist", () => {
    const { scripts } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const named = [...readme.matchAll(/npm run ([a-z:]+)/g)].map((match) => match[1] ?? "");
    expect(named.length).toBeGreaterThan(4);
    for (const name of named) expect(scripts).toHaveProperty(name);
  });

  test("names only files that exist", () => {
    const links = [
      ...readme.matchAll(/\]\((?!https?:)([^)#]+)\)|`((?:src|sim|docs|scenarios)\/[^`<>*]+)`/g),
    ];
    const paths = links
      .map((match) => match[1] ?? match[2] ?? "")
      .filter((name) => !name.includes("NAME"));
    expect(paths.length).toBeGreaterThan(4);
    for (const name of paths) {
      const folder = path.join(root, path.dirname(name));
      expect(readdirSync(folder), name).toContain(path.basename(name));
    }
  });

  const simCommands = commands.filter((line) => line.startsWith("npm run sim -- "));
  test.each(simCommands.filter((line) => !line.includes("DIR")))("%s works as written", (line) => {
    const flags = line
      .replace("npm run sim -- ", "")
      .replace("NAME.json", "torn-tail-after-power-loss.json")
      .replace("--seeds 500", "--seeds 10")
      .split(" ");
    const { stdout, status } = sim(
      flags.map((flag) => flag.replace(/^scenarios\//, `${root}scenarios/`)),
    );
    const last = stdout.trimEnd().split("\n").at(-1);
    if (flags.includes("--mutant")) {
      // A bug was put in and found: the command ends as any failing run does.
      expect(last).toMatch(/^KILLED ack-before-fsync by seed \d+/);
      expect(status).toBe(1);
      return;
    }
    expect(last).toMatch(/^(PASS|UNKNOWN) /);
    expect(status).toBe(last?.startsWith("UNKNOWN") ? 4 : 0);
  });
});
