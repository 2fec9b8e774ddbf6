// Logs that lose their beginning by themselves: the leader trims what is beyond the limits, and all
// members let go of the same.

import { expect, test } from "vitest";

import type { Observer, Stage } from "../../sim/observer.ts";
import { planOf } from "../../sim/plan.ts";
import { runPlan } from "../../sim/run.ts";

function run(options: { retentionBytes?: number; retentionMs?: number }) {
  const plan = planOf({
    format: 1,
    seed: "retention",
    nodes: 3,
    options: { segmentBytesMax: 8192, indexEntriesMax: 64, preallocateBytes: 4096, ...options },
    operations: [
      { kind: "append", client: 0, atMs: 800, times: 80, everyMs: 30, bytes: 400 },
      { kind: "append", client: 1, atMs: 830, times: 80, everyMs: 30, bytes: 400 },
    ],
    mishaps: [{ kind: "crash", node: "leader", how: "process", atMs: 2000, downMs: 300 }],
    healAtMs: 6000,
    settleMs: 20_000,
  });
  const starts: number[] = [];
  const watcher: Observer & { stage: Stage | null } = {
    stage: null,
    attach(stage) {
      this.stage = stage;
    },
    atEnd() {
      const nodes = this.stage?.nodes ?? [];
      starts.push(...nodes.map(({ host }) => host?.status().startOffset ?? -1));
    },
  };
  const { verdict, violation, counts } = runPlan(plan, [watcher]);
  expect([verdict, violation, counts.lost]).toEqual(["pass", null, 0]);
  return starts;
}

test("segments beyond the bytes to be retained are trimmed on every node alike", () => {
  const starts = run({ retentionBytes: 20_000 });
  expect(new Set(starts).size).toBe(1);
  expect(starts[0]).toBeGreaterThan(50);
});

test("segments older than the time to be retained are trimmed on every node alike", () => {
  const starts = run({ retentionMs: 1000 });
  expect(new Set(starts).size).toBe(1);
  expect(starts[0]).toBeGreaterThan(20);
});

test("nothing is trimmed without a limit", () => {
  expect(run({})).toEqual([0, 0, 0]);
});
