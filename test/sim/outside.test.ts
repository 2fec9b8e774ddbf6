// Nodes that fail for ever: the others must elect, commit and answer without them; what nobody can
// ask of too few is excused, with a proof.

import { describe, expect, test } from "vitest";

import type { Computer, Observer } from "../../sim/observer.ts";
import { BadPlan, type PlanDraft, type PlannedOutsider, planOf } from "../../sim/plan.ts";
import { describeOutcome } from "../../sim/report.ts";
import { runPlan } from "../../sim/run.ts";

const appends = { kind: "append", client: 0, atMs: 500, times: 60, everyMs: 30 } as const;
const WAYS: readonly PlannedOutsider["how"][] = ["power", "pause", "cut", "deaf", "silent"];

function planWith(draft: Partial<PlanDraft>) {
  return planOf({
    format: 1,
    seed: "outside",
    nodes: 3,
    operations: [appends],
    mishaps: [],
    healAtMs: 3000,
    settleMs: 10_000,
    ...draft,
  });
}

/** Who led before and after the others were left alone, and what they committed then. */
class Core implements Observer {
  left: string[] = [];
  ledBefore: string | null = null;
  ledAfter: string | null = null;
  committedAfter = 0;
  #commit = 0;

  nodeLeftOutside({ name }: Computer): void {
    this.left.push(name);
  }

  afterTurn({ name, raft, isOutside }: Computer): void {
    if (raft === null) return;
    const isAfter = this.left.length > 0;
    if (raft.role === "leader" && isAfter && !isOutside) this.ledAfter = name;
    if (raft.role === "leader" && !isAfter) this.ledBefore = name;
    if (isAfter && !isOutside) this.committedAfter += Math.max(0, raft.commitIndex - this.#commit);
    this.#commit = Math.max(this.#commit, raft.commitIndex);
  }
}

describe("a quorum that is left alone", () => {
  test.each(WAYS)("elects a leader of its own and commits when the leader fails by: %s", (how) => {
    const core = new Core();
    const report = runPlan(planWith({ outside: [{ node: "leader", how }] }), [core]);
    expect([report.violation, report.verdict]).toEqual([null, "pass"]);
    expect(core.left).toEqual([core.ledBefore]);
    expect(core.ledAfter).not.toBe(core.ledBefore);
    // The entry that begins the new term, and the append by which the run asks whether it serves.
    expect(core.committedAfter).toBeGreaterThanOrEqual(2);
    expect([report.counts.outside, report.counts.excused]).toEqual([1, 0]);
    expect(report.marks["core-elects"]).toBe(1);
  });

  test("goes on when a follower's disk hangs for ever", () => {
    for (const node of [0, 1, 2]) {
      const core = new Core();
      const report = runPlan(planWith({ outside: [{ node, how: "disk-hang" }] }), [core]);
      if (core.ledBefore === `n${node}`) continue;
      expect(report.verdict).toBe("pass");
    }
  });

  test("of three of five nodes needs nobody else, whatever happened to them", () => {
    const outside: PlanDraft["outside"] = [
      { node: "leader", how: "pause" },
      { node: 4, how: "deaf" },
    ];
    const report = runPlan(planWith({ nodes: 5, outside }));
    expect(report.verdict).toBe("pass");
    expect(describeOutcome(report, "a plan", 1)).toMatch(/nodes? left outside$/);
  });
});

describe("a cluster that lost a disk", () => {
  /** One disk of three is damaged beyond use. */
  const damaged = planWith({
    mishaps: [
      { kind: "bit-rot", node: 0, file: "manifest", bits: 8, atMs: 1500 },
      { kind: "crash", node: 0, how: "process", atMs: 1600, downMs: 100 },
    ],
  });

  test("must recover without the node", () => {
    const report = runPlan(damaged);
    expect([report.verdict, report.excuse]).toEqual(["pass", null]);
    expect(report.counts).toMatchObject({ disksLost: 1, spared: 0 });
  });

  test("keeps another node that would have failed for ever, and must recover", () => {
    const spared: string[] = [];
    const nodeSpared = ({ name }: Computer) => void spared.push(name);
    const report = runPlan({ ...damaged, outside: [{ node: 1, how: "power" }] }, [{ nodeSpared }]);
    expect([report.violation, report.verdict, report.excuse]).toEqual([null, "pass", null]);
    expect(report.counts).toMatchObject({ disksLost: 1, outside: 0, spared: 1, excused: 0 });
    expect(spared).toEqual(["n1"]);
  });

  test("goes without the node that fails for ever when that is the damaged one", () => {
    const report = runPlan({ ...damaged, outside: [{ node: 0, how: "power" }] });
    expect(report.counts).toMatchObject({ outside: 1, spared: 0, excused: 0 });
  });

  test("is excused, with a proof, when nothing bounds what is lost and no quorum is left", () => {
    const [rot, crash] = damaged.mishaps;
    const again = [rot, crash].map((mishap) => ({ ...mishap, node: 1 }) as typeof rot);
    const mishaps = [...damaged.mishaps, ...again] as typeof damaged.mishaps;
    const report = runPlan({ ...damaged, bounded: false, mishaps });
    const proof = "n0 n1 damaged leave 1, and a quorum is 2";
    expect([report.verdict, report.excuse]).toEqual(["pass", proof]);
    expect([report.counts.disksLost, report.counts.excused]).toEqual([2, 1]);
    expect(describeOutcome(report, "a plan", 1)).toContain(`recovery excused: ${proof}`);
  });
});

describe("a plan", () => {
  test("may leave a quorum alone, and no fewer", () => {
    const two: PlanDraft["outside"] = [
      { node: 0, how: "cut" },
      { node: 1, how: "cut" },
    ];
    expect(() => planWith({ outside: two })).toThrow(BadPlan);
    expect(() => planWith({ outside: two, nodes: 5 })).not.toThrow();
    expect(() => planWith({ outside: [{ node: 3, how: "cut" }] })).toThrow("the first is 0");
  });

  test("fails a node in one way only", () => {
    const twice: PlanDraft["outside"] = [
      { node: 0, how: "cut" },
      { node: 0, how: "power" },
    ];
    expect(() => planWith({ nodes: 5, outside: twice })).toThrow("fails in one way");
  });
});
