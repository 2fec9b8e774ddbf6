// The pool of workers, on workers that die, hang and run out of memory: each costs the seed that it
// had, is told with it, and the others go on.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { runSeeds, type SeedOutcome } from "../../sim/seed-pool.ts";

const UNRULY = `
process.on("message", ({ seed }) => {
  if (seed === "throws") throw new TypeError("seed 7 is not to its taste");
  if (seed === "exits") process.exit(9);
  if (seed === "hangs") for (;;);
  if (seed === "hoards") for (const all = []; ; ) all.push(new Array(1e6).fill({}));
  process.send({ report: { seed }, wallMs: 1 });
});
process.on("disconnect", () => process.exit());
`;

let folder = "";
let program = "";

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "cairn-pool-"));
  program = path.join(folder, "worker.mjs");
  writeFileSync(program, UNRULY);
});

afterAll(() => rmSync(folder, { recursive: true }));

async function run(seeds: readonly string[], timeoutMs: number | null, signal?: AbortSignal) {
  const outcomes: SeedOutcome[] = [];
  const left = [...seeds];
  const next = () => {
    const seed = left.shift();
    return seed === undefined ? null : ({ seed, profile: "swarm" } as const);
  };
  const heard = (outcome: SeedOutcome) => void outcomes.push(outcome);
  const bounds = { program, jobs: 1, timeoutMs, heapMbMax: 64 };
  await runSeeds(next, heard, { ...bounds, ...(signal === undefined ? {} : { signal }) });
  return outcomes;
}

test("a worker that dies is told with its seed and why, and another goes on", async () => {
  const [one, thrown, exited, last] = await run(["1", "throws", "exits", "2"], null);
  expect(one).toMatchObject({ kind: "report", seed: "1" });
  expect(thrown).toMatchObject({
    kind: "died",
    seed: "throws",
    why: "TypeError: seed 7 is not to its taste (exit 1)",
  });
  expect(exited).toMatchObject({ kind: "died", seed: "exits", why: "exit 9" });
  expect(last).toMatchObject({ kind: "report", seed: "2" });
});

test("a worker that runs out of memory is told with its seed", { timeout: 60_000 }, async () => {
  const [hoarded, last] = await run(["hoards", "2"], null);
  expect(hoarded).toMatchObject({ kind: "died", seed: "hoards" });
  expect(hoarded?.kind === "died" ? hoarded.why : "").toMatch(/heap out of memory/);
  expect(last).toMatchObject({ kind: "report", seed: "2" });
});

test("a seed without an end is ended after its time, and the next one is run", async () => {
  const [hung, last] = await run(["hangs", "2"], 1000);
  expect(hung).toMatchObject({ kind: "late", seed: "hangs" });
  expect(last).toMatchObject({ kind: "report", seed: "2" });
});

test("an abort ends what is under way, and tells nothing of it", async () => {
  const interrupted = new AbortController();
  const outcomes = run(["hangs", "2"], null, interrupted.signal);
  setTimeout(() => interrupted.abort(), 200);
  expect(await outcomes).toEqual([]);
});
