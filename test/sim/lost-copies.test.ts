// Copies that are lost: writes that were acknowledged and not done, empty disks and older images.
// The node they belong to mends its log, or stays down where it cannot know what it had; the others
// go on, and of what was acknowledged nothing is missing.

import { expect, test } from "vitest";

import type { LostWrite } from "../../sim/lost-writes.ts";
import type { Computer, Observer, Stage } from "../../sim/observer.ts";
import { type PlanDraft, planOf } from "../../sim/plan.ts";
import { runPlan } from "../../sim/run.ts";
import { drawPlan } from "../../sim/swarm.ts";

type MishapDraft = PlanDraft["mishaps"][number];

const append = {
  kind: "append",
  client: 0,
  atMs: 600,
  times: 100,
  everyMs: 25,
  bytes: 300,
} as const;

/** Small segments, and nothing kept in memory: what is read is what the disk has. */
function planWith(nodes: number, mishaps: MishapDraft[], healAtMs = 4000) {
  return planOf({
    format: 1,
    seed: `lost copies ${JSON.stringify(mishaps)}`,
    nodes,
    options: { segmentBytesMax: 4096, preallocateBytes: 0, cacheBytesMax: 0 },
    operations: [
      append,
      ...[0, 1].map((node) => {
        return { kind: "read", client: 1 + node, atMs: 700, times: 60, everyMs: 50, node } as const;
      }),
    ],
    mishaps,
    healAtMs,
  });
}

/** What was lost, on which node. */
class Losses implements Observer {
  readonly writes: string[] = [];
  readonly disks: string[] = [];
  readonly replaced: string[] = [];

  writeLost(node: Computer, how: LostWrite): void {
    this.writes.push(`${node.name} ${how}`);
  }

  diskLost(node: Computer): void {
    this.disks.push(node.name);
  }

  diskReplaced(node: Computer, ageMs: number | null): void {
    this.replaced.push(`${node.name} ${ageMs ?? "empty"}`);
  }
}

test.each(["phantom", "misdirected"] as const)(
  "a node whose disk loses a write (%s) mends its log when it shows, and the others go on",
  (how) => {
    const losses = new Losses();
    const plan = planWith(3, [
      { kind: "lost-write", node: 0, how, nth: 2, atMs: 1200 },
      { kind: "lost-write", node: 1, how, nth: 1, atMs: 1800 },
      { kind: "crash", node: 0, how: "power", atMs: 2500, downMs: 200 },
      { kind: "crash", node: 1, how: "power", atMs: 3000, downMs: 200 },
    ]);
    const report = runPlan(plan, [losses]);
    expect(report.violation).toBeNull();
    expect(losses.writes).toEqual([`n0 ${how}`]);
    expect(losses.disks).toEqual([]);
    expect(report.marks.mended).toBe(1);
    expect(report.counts).toMatchObject({ writesLost: 1, disksLost: 0, lost: 0 });
  },
);

test("a node that loses the name of a store is excused, one that loses less goes on", () => {
  const lost = new Set<number>();
  for (let nth = 1; nth <= 8; nth++) {
    const plan = planWith(3, [
      { kind: "lost-write", node: 0, how: "names", nth, atMs: 700 },
      { kind: "crash", node: 0, how: "power", atMs: 3000, downMs: 200 },
    ]);
    const { violation, counts } = runPlan(plan);
    expect(violation).toBeNull();
    expect(counts).toMatchObject({ writesLost: 1, lost: 0 });
    lost.add(counts.disksLost);
  }
  expect(lost).toEqual(new Set([0, 1]));
});

test("two of five nodes may lose writes, and both mend", () => {
  const lost = [0, 1, 2].map((node) => {
    return { kind: "lost-write", node, how: "phantom", atMs: 1200 + node } as const;
  });
  const report = runPlan(planWith(5, lost));
  expect(report.violation).toBeNull();
  expect(report.marks.mended).toBe(2);
  expect(report.counts).toMatchObject({ writesLost: 2, disksLost: 0, lost: 0 });
});

test.each([
  [{ kind: "wipe", node: 0, atMs: 1500, downMs: 100 }, /^n[01] empty$/],
  [{ kind: "older-image", node: 0, ageMs: 700, atMs: 1500, downMs: 100 }, /^n[01] 700$/],
] as const)("a node with another disk stays down, and the others go on: %o", (mishap, replaced) => {
  const losses = new Losses();
  const report = runPlan(planWith(3, [mishap, { ...mishap, node: 1 }]), [losses]);
  expect(report.violation).toBeNull();
  expect(losses.replaced).toEqual([expect.stringMatching(replaced)]);
  expect(losses.disks.length).toBe(1);
  expect(report.counts).toMatchObject({ disksReplaced: 1, disksLost: 1, lost: 0 });
  expect(report.counts.acked).toBeGreaterThan(50);
});

test("an empty disk waits until the others hold all that its node has confirmed", () => {
  // One follower is cut off: what is committed meanwhile is on the two others only.
  let stage: Stage | null = null;
  let replacedAt = 0;
  const plan = planWith(3, [
    { kind: "partition", side: [2], atMs: 1000, forMs: 1500 },
    { kind: "wipe", node: 0, atMs: 1500, downMs: 100 },
  ]);
  const report = runPlan(plan, [
    {
      attach: (given) => {
        stage = given;
      },
      diskReplaced: () => {
        replacedAt = stage?.now ?? 0;
      },
    },
  ]);
  expect(report.violation).toBeNull();
  expect(replacedAt).toBeGreaterThan(2_500_000);
});

/** How many members stand how, at whoever leads at the end. */
class Standings implements Observer {
  readonly seen: string[] = [];

  afterTurn(node: Computer): void {
    if (node.raft?.role !== "leader") return;
    const members = node.host?.status().members ?? [];
    const text = members.map(({ id, standing }) => `${id} ${standing}`).join(", ");
    if (text !== this.seen.at(-1)) this.seen.push(text);
  }
}

test.each([0, 1, 2])("n%i, wiped, comes back as a learner and is a voter in the end", (node) => {
  const wipe = { kind: "wipe", node, atMs: 1500, downMs: 100, returns: true } as const;
  const standings = new Standings();
  const report = runPlan(planWith(3, [wipe]), [standings]);
  expect(report.violation).toBeNull();
  expect(report.counts).toMatchObject({ disksReplaced: 1, disksLost: 0, lost: 0 });
  const of = (standing: string) => {
    const names = ["n0", "n1", "n2"].map((name, place) => {
      return `${name} ${place === node ? standing : "voter"}`;
    });
    return names.join(", ");
  };
  expect(standings.seen).toEqual([of("voter"), of("learner"), of("voter")]);
});

test("a wiped node is swapped in even when its leader is lost half way", () => {
  const wipe = { kind: "wipe", node: 2, atMs: 1500, downMs: 100, returns: true } as const;
  const crash = { kind: "crash", node: "leader", how: "process", downMs: 300 } as const;
  const crashes = [1650, 2000, 2400, 2800].map((atMs) => ({ ...crash, atMs }));
  const standings = new Standings();
  const report = runPlan(planWith(3, [wipe, ...crashes]), [standings]);
  expect(report.violation).toBeNull();
  expect(report.counts).toMatchObject({ disksReplaced: 1, disksLost: 0, lost: 0 });
  expect(standings.seen.at(-1)).toBe("n0 voter, n1 voter, n2 voter");
});

test("every seed of the profile named after disks loses writes and replaces disks", () => {
  for (let seed = 0; seed < 20; seed++) {
    const kinds = drawPlan(String(seed), "disks").mishaps.map(({ kind }) => kind);
    expect(kinds).toContain("lost-write");
    expect(kinds.includes("wipe") || kinds.includes("older-image")).toBe(true);
  }
});
