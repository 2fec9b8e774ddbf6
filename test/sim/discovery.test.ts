// Nodes that are told of nobody: they find each other by gossip in the same world as Raft, and
// found one cluster, whatever happens to datagrams, links and processes meanwhile.

import { describe, expect, test } from "vitest";

import { DiscoveryWatch, findGhost, findStranger } from "../../sim/checks/discovery-watch.ts";
import type { Computer, Observer, Stage, Violation } from "../../sim/observer.ts";
import { BadPlan, type PlanDraft, planOf } from "../../sim/plan.ts";
import { runPlan } from "../../sim/run.ts";
import { drawPlan } from "../../sim/swarm.ts";
import type { NodeId } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";

const appends: PlanDraft["operations"] = [
  { kind: "append", client: 0, atMs: 500, times: 100, everyMs: 100 },
];

function planned(rest: Partial<PlanDraft> & { readonly seed: string }): PlanDraft {
  return {
    format: 1,
    nodes: 3,
    discovery: { expect: 3 },
    operations: appends,
    mishaps: [],
    healAtMs: 12_000,
    ...rest,
  };
}

function cutOff(side: number[], atMs: number, forMs: number): PlanDraft["mishaps"][number] {
  return { kind: "partition", side, atMs, forMs };
}

/** When each node said what, in simulated milliseconds. */
class Noticed implements Observer {
  readonly founded: { readonly by: NodeId; readonly atMs: number; readonly voters: unknown }[] = [];
  #stage: Stage | null = null;

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  noticed({ name }: Computer, { what, facts }: Notice): void {
    if (what !== "cluster-founded") return;
    const atMs = Math.floor((this.#stage?.now ?? 0) / 1000);
    this.founded.push({ by: name, atMs, voters: facts["voters"] });
  }
}

function run(draft: PlanDraft) {
  const noticed = new Noticed();
  const report = runPlan(planOf(draft), [noticed]);
  expect([report.verdict, report.violation]).toEqual(["pass", null]);
  return { report, founded: noticed.founded };
}

describe("nodes that expect each other", () => {
  test("found one cluster soon, and equal plans run alike", () => {
    const { report, founded } = run(planned({ seed: "calm" }));
    expect(founded).toHaveLength(1);
    expect(founded[0]?.by).toBe("n0");
    expect(founded[0]?.atMs).toBeLessThan(4000);
    expect(report.counts.acked).toBeGreaterThan(50);
    expect(run(planned({ seed: "calm" })).report.digest).toBe(report.digest);
  });

  test("found nothing while one of them is cut off, and do when it is not any more", () => {
    const cut = cutOff([2], 0, 7000);
    const { founded } = run(planned({ seed: "cut", mishaps: [cut] }));
    expect(founded).toHaveLength(1);
    expect(founded[0]?.atMs).toBeGreaterThan(7000);
  });

  test("found one cluster although every third datagram is lost and half of the dials fail", () => {
    const discovery = { expect: 3, contacts: [1], dropPerMille: 333, dialFailPerMille: 500 };
    expect(run(planned({ seed: "lossy", discovery })).founded).toHaveLength(1);
  });

  test("found one cluster although the founder loses power as it writes the first entry", () => {
    for (const nth of [1, 2, 3, 4, 5, 6]) {
      const effect = { nth, of: "sync", edge: "before" } as const;
      const atMs = 1500;
      const crash = { kind: "crash", node: 0, how: "power", atMs, effect, downMs: 500 } as const;
      const { founded } = run(planned({ seed: `founder ${nth}`, mishaps: [crash] }));
      expect(new Set(founded.map(({ by }) => by))).toEqual(new Set(["n0"]));
    }
  });

  test("come to one gossip again after two halves have taken each other for dead", () => {
    const cut = cutOff([0, 1], 4000, 50_000);
    const draft = planned({ seed: "halves", nodes: 5, healAtMs: 55_000, mishaps: [cut] });
    run({ ...draft, discovery: { expect: 5, contacts: [0, 1] }, settleMs: 180_000 });
  });

  test("take in those who come later by gossip alone, as learners and then as voters", () => {
    for (const lateMs of [0, 6000]) {
      const discovery = { expect: 3, lateMs, contacts: [1] };
      const draft = planned({ seed: `late ${lateMs}`, nodes: 5, founders: 3, discovery });
      const { report, founded } = run(draft);
      expect(founded).toHaveLength(1);
      expect(String(founded[0]?.voters).split(", ")).toHaveLength(3);
      // The run does not pass before all five vote.
      expect(report.marks["learner-promoted"]).toBeGreaterThan(0);
    }
  });

  test("take in who comes later while a founder is gone for ever", () => {
    const outside = [{ node: 0, how: "power" } as const];
    const discovery = { expect: 3, lateMs: 15_000, contacts: [0, 1] };
    const draft = { seed: "late and gone", nodes: 4, founders: 3, discovery, outside };
    run(planned({ ...draft, settleMs: 120_000 }));
  });

  test("know of a member that fails for ever", () => {
    const outside = [{ node: 1, how: "power" } as const];
    run(planned({ seed: "gone", outside, settleMs: 60_000 }));
  });

  test.each(Array.from({ length: 6 }, (_, at) => at + 1))("survive what seed %i draws", (seed) => {
    const report = runPlan(drawPlan(String(seed), "discovery"));
    expect([report.verdict, report.violation]).toEqual(["pass", null]);
  });
});

test("a plan says how many found, and names contacts that are there", () => {
  const refused = (discovery: PlanDraft["discovery"]) => () =>
    planOf(planned({ seed: "x", discovery }));
  expect(refused({ expect: 2 })).toThrow(BadPlan);
  expect(() => planOf(planned({ seed: "x", founders: 2 }))).toThrow(/all 2 founders/);
  expect(refused({ expect: 3, contacts: [3] })).toThrow(/there are 3 nodes/);
});

describe("the watch of discovery", () => {
  function watching() {
    const found: Violation[] = [];
    const watch = new DiscoveryWatch();
    const report = (violation: Violation) => void found.push(violation);
    watch.attach({ plan: { discovery: { expect: 2 } }, now: 0, report } as unknown as Stage);
    return { watch, found };
  }
  const founds = (name: string, voters: string) => {
    const notice: Notice = { level: "info", what: "cluster-founded", facts: { voters } };
    return [{ name } as unknown as Computer, notice] as const;
  };
  const member = (node: string, incarnation: number, status = "alive") => {
    return { node, incarnation, status };
  };
  const gossiping = (name: string, ...members: ReturnType<typeof member>[]) => {
    const own = members.find(({ node }) => node === name);
    const gossip = { members, incarnation: own?.incarnation };
    const up = { isLost: false, isOutside: false, isPaused: false, host: {} };
    return { name, gossip, ...up } as unknown as Computer & { readonly isPaused: boolean };
  };

  test("finds a second founder, and a founding with too few", () => {
    const { watch, found } = watching();
    watch.noticed(...founds("a", "a/1, b/1"));
    watch.noticed(...founds("a", "a/1, b/1"));
    expect(found).toEqual([]);
    watch.noticed(...founds("b", "a/1, b/1"));
    watch.noticed(...founds("a", "a/1"));
    expect(found.map(({ property }) => property)).toEqual(["founded-once", "founded-once"]);
  });

  test("finds a member that goes on talking when there is nothing to say", () => {
    const found: Violation[] = [];
    const report = (violation: Violation) => void found.push(violation);
    const nodes = ["a", "b", "c"].map((name) => ({ name, isLost: false, isOutside: name === "c" }));
    const stage = { plan: { discovery: { expect: 3 } }, now: 0, nodes, report };
    const watch = new DiscoveryWatch();
    watch.attach(stage as unknown as Stage);
    const sends = (name: string, count: number) => {
      for (let sent = 0; sent < count; sent++) watch.gossipSent({ name } as unknown as Computer);
    };
    // What was sent before does not count, nor does who is outside.
    sends("a", 500);
    watch.recovered();
    stage.now = 10_000_000;
    sends("a", 80);
    sends("b", 81);
    sends("c", 300);
    watch.atEnd();
    expect(found).toMatchObject([{ property: "gossip-quiet-when-idle", node: "b" }]);
  });

  test("finds an incarnation that its owner never used", () => {
    const { watch, found } = watching();
    watch.gossiped(gossiping("a", member("a", 3)));
    watch.gossiped(gossiping("b", member("b", 1), member("a", 3)));
    expect(found).toEqual([]);
    watch.gossiped(gossiping("b", member("b", 1), member("a", 4)));
    expect(found).toMatchObject([{ property: "incarnation-owned", node: "b" }]);
  });

  test("finds whoever is up and taken for failed, and whoever is gone and taken for alive", () => {
    const a = gossiping("a", member("a", 1), member("b", 1, "failed"));
    const b = gossiping("b", member("b", 1), member("a", 1));
    expect(findStranger([a, b])).toBe("a takes b, who is up, for failed");
    expect(findStranger([b, { ...a, gossip: null }])).toBe("a does not gossip");
    const gone = { ...a, host: null, isOutside: true };
    expect(findGhost([b, gone])).toBe("b takes a, who is gone, for alive");
    expect(findStranger([a, { ...b, host: null, isOutside: true }])).toBeNull();
  });
});
