// Bugs put into our own sources, one of each kind, each of which the simulator must find; and what
// the command says of mutants that it cannot hunt. The whole catalogue is measured by `npm run
// mutants`.

import { existsSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { repositoryRoot } from "../../sim/mutants/build.ts";
import { EVERYDAY_MUTANTS, MUTANTS } from "../../sim/mutants/catalogue.ts";
import { huntOf, type Mutant, mutate } from "../../sim/mutants/mutant.ts";
import { runMutant } from "../../sim/mutants/run.ts";
import { killAll } from "./kill-all.ts";

killAll(EVERYDAY_MUTANTS);

it("has names that tell its mutants apart", () => {
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
});

it("the catalogue breaks every part often enough, and each is hunted by somebody", () => {
  const count = (...folders: string[]) =>
    MUTANTS.filter(({ file }) => folders.some((folder) => file.startsWith(`src/${folder}/`)))
      .length;
  expect(count("raft")).toBeGreaterThanOrEqual(28);
  expect(count("log")).toBeGreaterThanOrEqual(12);
  expect(count("node", "state", "adapters")).toBeGreaterThanOrEqual(10);
  expect(count("gossip")).toBeGreaterThanOrEqual(12);
  for (const mutant of MUTANTS) {
    const hunt = huntOf(mutant);
    const files = hunt.by === "tests" ? hunt.files : [];
    if (hunt.by !== "tests") expect(mutant.properties, mutant.name).not.toEqual([]);
    for (const file of files)
      expect(existsSync(path.join(repositoryRoot(), file)), `${mutant.name}: ${file}`).toBe(true);
  }
});

it("a mutant whose text is not there, or there twice, is refused", () => {
  const mutant: Mutant = {
    name: "m",
    breaks: "Nothing.",
    properties: [],
    file: "src/f.ts",
    find: "a",
    replace: "$&b",
    knownSeed: 1,
  };
  expect(mutate(mutant, "xax")).toBe("x$&bx");
  expect(() => mutate(mutant, "xx")).toThrow("its text stands 0 times in src/f.ts");
  expect(() => mutate(mutant, "xaxa")).toThrow("its text stands 2 times in src/f.ts");
});

it("the command names all mutants when asked for one that it does not know", async () => {
  const lines: string[] = [];
  expect(await runMutant("nobody", (line) => void lines.push(line))).toBe(64);
  expect(lines[0]).toBe('error: there is no mutant "nobody"; the mutants are:');
  expect(lines.join("\n")).toContain("ack-before-fsync");
});
