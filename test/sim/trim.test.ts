// A log that is trimmed while it is in use: who was away comes back by a snapshot, through crashes
// at every kind of moment, and ends up with the same records, the same start and the same machine
// as everybody else; and no checker finds anything on the way.

import { describe, expect, test } from "vitest";
import type { Observer, Stage } from "../../sim/observer.ts";
import { type PlanDraft, planOf } from "../../sim/plan.ts";
import { runPlan } from "../../sim/run.ts";
import type { FrozenBytes } from "../../src/base/bytes.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import { decodeBatch } from "../../src/base/record-batch.ts";
import type { StateMachine } from "../../src/state/state-machine.ts";

/** A machine that any loss, repetition or swap changes for good. */
class Chain implements StateMachine {
  nextOffset = 0;
  chain = 0;
  restored = 0;

  apply(head: EntryHead, body: FrozenBytes): void {
    expect(head.offset).toBe(this.nextOffset);
    for (const { value } of decodeBatch(body) ?? []) this.chain = crc32c(value, this.chain);
    this.nextOffset += head.count;
  }

  snapshot(): Uint8Array {
    return new TextEncoder().encode(JSON.stringify([this.nextOffset, this.chain]));
  }

  restore(snapshot: FrozenBytes): void {
    const [nextOffset, chain] = JSON.parse(new TextDecoder().decode(snapshot)) as number[];
    this.nextOffset = nextOffset ?? 0;
    this.chain = chain ?? 0;
    this.restored++;
  }
}

/** Where each node is in the end. */
interface Ended {
  readonly machines: readonly Chain[];
  readonly startOffsets: readonly number[];
  readonly endOffsets: readonly number[];
  /** Of the logs themselves: they keep whole segments. */
  readonly firstIndexes: readonly number[];
  readonly firstOffsets: readonly number[];
}

type Fate = Partial<PlanDraft> & { readonly seed: string };

function run(fate: Fate): Ended {
  const plan = planOf({
    format: 1,
    nodes: 3,
    mishaps: [],
    options: { segmentBytesMax: 4096, preallocateBytes: 512, cacheBytesMax: 2048 },
    operations: [
      { kind: "append", client: 0, atMs: 600, times: 150, everyMs: 20, records: 3, bytes: 200 },
      { kind: "append", client: 1, atMs: 600, times: 150, everyMs: 20, records: 2, bytes: 300 },
      { kind: "trim", client: 2, atMs: 900, times: 14, everyMs: 250, keep: 40 },
    ],
    healAtMs: 5000,
    ...fate,
  });
  const living = new Map<string, Chain>();
  let ended: Omit<Ended, "machines"> | null = null;
  const watcher: Observer & { stage: Stage | null } = {
    stage: null,
    attach(stage) {
      this.stage = stage;
    },
    atEnd() {
      const hosts = this.stage?.nodes.flatMap(({ host }) => host ?? []) ?? [];
      const logs = hosts.map((host) => host.log());
      ended = {
        startOffsets: hosts.map((host) => host.status().startOffset),
        endOffsets: hosts.map((host) => host.status().endOffset),
        firstIndexes: logs.map(({ startIndex }) => startIndex),
        firstOffsets: logs.map(({ startOffset }) => startOffset),
      };
    },
  };
  const report = runPlan(plan, [watcher], {
    machine: (name) => {
      const machine = new Chain();
      living.set(name, machine);
      return machine;
    },
  });
  expect([report.violation, report.verdict, report.excuse]).toEqual([null, "pass", null]);
  expect(report.counts.lost).toBe(0);
  return { ...(ended as unknown as Ended), machines: [...living.values()] };
}

function expectEqual(ended: Ended): void {
  const { machines, startOffsets, endOffsets, firstIndexes, firstOffsets } = ended;
  expect(endOffsets.length).toBe(3);
  expect(new Set(endOffsets).size).toBe(1);
  expect(new Set(startOffsets).size).toBe(1);
  expect(startOffsets[0]).toBeGreaterThan(100);
  const [first] = machines;
  for (const { nextOffset, chain } of machines) {
    expect([nextOffset, chain]).toEqual([endOffsets[0], first?.chain]);
  }
  // What was trimmed is gone from the disks, too, but for the segment that holds the start.
  for (const index of firstIndexes) expect(index).toBeGreaterThan(10);
  for (const offset of firstOffsets) expect(offset).toBeLessThanOrEqual(startOffsets[0] ?? 0);
}

describe("a log that is trimmed in use", () => {
  test("begins at the same offset on every node, and its space is given back", () => {
    expectEqual(run({ seed: "trimmed" }));
  });

  test("brings who was away back by a snapshot, machine and all", () => {
    const ended = run({
      seed: "away",
      mishaps: [{ kind: "crash", node: 2, how: "power", atMs: 1000, downMs: 2500 }],
    });
    expectEqual(ended);
    expect(ended.machines.some(({ restored }) => restored > 0)).toBe(true);
  });

  test.each(["sync", "rename", "unlink", "write-at", "create"] as const)(
    "takes up an installation again that a crash at a %s cut short",
    (of) => {
      for (const [nth, how] of [
        [1, "power"],
        [2, "process"],
        [3, "power"],
        [5, "power"],
      ] as const) {
        const edge = nth % 2 === 0 ? ("before" as const) : ("after" as const);
        const crash = { kind: "crash", node: 2, how, downMs: 100 } as const;
        expectEqual(
          run({
            seed: `install ${of} ${nth}`,
            mishaps: [
              { kind: "crash", node: 2, how: "power", atMs: 1000, downMs: 1500 },
              { ...crash, atMs: 2550, effect: { nth, of, edge } },
              { ...crash, atMs: 2900, effect: { nth: nth + 1, of, edge } },
            ],
          }),
        );
      }
    },
  );

  test("goes on with a snapshot where a lost link left it, and where the leader changed", () => {
    expectEqual(
      run({
        seed: "interrupted",
        network: { dropPerMille: 100, duplicatePerMille: 50, reorderPerMille: 100 },
        mishaps: [
          { kind: "crash", node: 2, how: "power", atMs: 1000, downMs: 1500 },
          { kind: "crash", node: "leader", how: "process", atMs: 2600, downMs: 300 },
          { kind: "crash", node: "leader", how: "power", atMs: 3400, downMs: 300 },
        ],
      }),
    );
  });
});
