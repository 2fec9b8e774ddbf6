// Many seeds in child processes give the same reports, in the same order, as one after another
// here.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

import { runBatch } from "../../sim/batch.ts";

/** Compiled by `npm test` before the tests run. */
const PROGRAM = fileURLToPath(new URL("../../dist/sim/main.js", import.meta.url));

test("a batch gives the same reports with two processes as with one", async () => {
  const seeds = ["11", "12", "13", "14"];
  const done: number[] = [];
  const here = await runBatch(seeds, 1, (count) => done.push(count));
  expect(done).toEqual([1, 2, 3, 4]);
  const args = ["--seeds", "4", "--from", "11", "--jobs", "2", "--json"];
  const run = spawnSync(process.execPath, [PROGRAM, ...args], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  const there = run.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(there.map(({ wallMs, ...report }) => report)).toEqual(here.map(({ report }) => report));
});
