// A log that is trimmed while it is in use: who was away comes back by a snapshot, through crashes
// at every kind of moment, and ends up with the same records, the same start and the same machine
// as everybody else. An observer plays the operator here: it asks the leader to trim.

import { describe, expect, test } from "vitest";
import type { Computer, Observer } from "../../sim/observer.ts";
import { type PlanDraft, planOf } from "../../sim/plan.ts";
import { World } from "../../sim/world.ts";
import type { FrozenBytes } from "../../src/base/bytes.ts";
import { controlDraft } from "../../src/base/control.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import type { Offset, RequestId, WallMs } from "../../src/base/ids.ts";
import { decodeBatch } from "../../src/base/record-batch.ts";
import type { StateMachine } from "../../src/state/state-machine.ts";

/** Every `step` records the leader is asked to keep the last `keep` only. */
class Operator implements Observer {
  readonly #step: number;
  readonly #keep: number;
  #nextAt: number;
  #asked = 0;

  constructor(step: number, keep: number) {
    this.#step = step;
    this.#keep = keep;
    this.#nextAt = step;
  }

  afterTurn({ host, raft }: Computer): void {
    const end = host?.status().endOffset ?? 0;
    if (raft?.role !== "leader" || end < this.#nextAt) return;
    this.#nextAt = end + this.#step;
    const startOffset = Math.max(0, end - this.#keep) as Offset;
    // Far above what the simulated clients count: the answer is nobody's.
    const requestId = (1_000_000 + this.#asked++) as RequestId;
    const draft = controlDraft({ kind: "trim", startOffset }, 0 as WallMs);
    host?.offer({ kind: "append", requestId, draft, expectedEndOffset: null });
  }
}

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

interface Ended {
  readonly world: World;
  readonly machines: readonly Chain[];
  readonly startOffsets: readonly number[];
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
    ],
    healAtMs: 5000,
    ...fate,
  });
  const living = new Map<string, Chain>();
  const world = new World(plan, [new Operator(60, 40)], (name) => {
    const machine = new Chain();
    living.set(name, machine);
    return machine;
  });
  expect(world.run()).toEqual({ kind: "pass" });
  const machines = [...living.values()];
  const startOffsets = world.nodes.map(({ host }) => host?.status().startOffset ?? -1);
  return { world, machines, startOffsets };
}

function expectEqual({ world, machines, startOffsets }: Ended): void {
  const ends = world.nodes.map(({ host }) => host?.status().endOffset ?? -1);
  expect(new Set(ends).size).toBe(1);
  expect(new Set(startOffsets).size).toBe(1);
  expect(startOffsets[0]).toBeGreaterThan(100);
  const [first] = machines;
  for (const { nextOffset, chain } of machines) {
    expect([nextOffset, chain]).toEqual([ends[0], first?.chain]);
  }
  for (const { host } of world.nodes) {
    const log = host?.log();
    // What was trimmed is gone from the disks, too, but for the segment that holds the start.
    expect(log?.startIndex).toBeGreaterThan(10);
    expect(log?.startOffset).toBeLessThanOrEqual(startOffsets[0] ?? 0);
  }
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
