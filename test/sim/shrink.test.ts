// Shrinking as a pure function: plans and made-up failures in, small plans out, and no simulator.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodePlan, type Plan, type PlanDraft, planOf } from "../../sim/plan.ts";
import { encodeBriefly } from "../../sim/plan-draft.ts";
import { type ShrinkBudget, type StillFails, shrink } from "../../sim/shrink.ts";
import { withFewerNodes } from "../../sim/shrink-ladders.ts";
import { drawPlan } from "../../sim/swarm.ts";

const ENOUGH: ShrinkBudget = { runsMax: 100_000, isOver: () => false };

const plans = fc.integer({ min: 1, max: 5000 }).map((seed) => drawPlan(String(seed)));

/** A failure that needs some of the operations and mishaps of a plan, and records in one append. */
const failures = plans.chain((plan) =>
  fc
    .record({
      operations: fc.subarray([...plan.operations.keys()], { maxLength: 3 }),
      mishaps: fc.subarray([...plan.mishaps.keys()], { maxLength: 3 }),
      records: fc.integer({ min: 1, max: 10 }),
      nodes: fc.constantFrom(1, 3),
    })
    .map((needs) => ({ plan, fails: failsWith(plan, needs) })),
);

interface Needs {
  readonly operations: readonly number[];
  readonly mishaps: readonly number[];
  readonly records: number;
  readonly nodes: number;
}

/** Kinds are needed as often as the original has them among the needed rows. */
function failsWith(plan: Plan, needs: Needs): StillFails {
  const operations = countKinds(needs.operations.map((at) => plan.operations[at]));
  const mishaps = countKinds(needs.mishaps.map((at) => plan.mishaps[at]));
  const recordsMax = mostRecords(plan);
  return (smaller) => {
    const fails =
      covers(countKinds(smaller.operations), operations) &&
      covers(countKinds(smaller.mishaps), mishaps) &&
      mostRecords(smaller) >= Math.min(needs.records, recordsMax) &&
      smaller.nodes >= needs.nodes;
    return fails ? smaller.healAtMs + 1 : null;
  };
}

function countKinds(rows: readonly ({ readonly kind: string } | undefined)[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const row of rows) counts.set(row?.kind ?? "", (counts.get(row?.kind ?? "") ?? 0) + 1);
  return counts;
}

function covers(counts: ReadonlyMap<string, number>, least: ReadonlyMap<string, number>): boolean {
  return [...least].every(([kind, count]) => (counts.get(kind) ?? 0) >= count);
}

function mostRecords({ operations }: Plan): number {
  return Math.max(0, ...operations.map((row) => (row.kind === "append" ? row.records : 0)));
}

/** Every quantity that shrinking may lower; instants of single rows may move. */
function weightsOf(plan: Plan): number[] {
  const sum = (rows: readonly object[], name: string) =>
    rows.reduce((total, row) => total + Number((row as Record<string, unknown>)[name] ?? 0), 0);
  const rows = [...plan.operations, ...plan.mishaps];
  const names = ["times", "records", "forMs", "downMs", "dropPerMille", "fromPerMille"];
  return [
    plan.operations.length,
    plan.mishaps.length,
    plan.nodes,
    plan.healAtMs,
    plan.settleMs,
    ...names.map((name) => sum(rows, name)),
    plan.network.dropPerMille,
    plan.disk.slowPerMille,
  ];
}

const append = { kind: "append", client: 0, atMs: 100 } as const;
const crash = { kind: "crash", node: 0, how: "power", atMs: 500, downMs: 800 } as const;

function smallPlan(draft: Partial<PlanDraft>): Plan {
  const base = { format: 1, seed: "s", nodes: 3, operations: [append], mishaps: [crash] } as const;
  return planOf({ ...base, healAtMs: 1000, ...draft });
}

describe("a shrunk plan", () => {
  test("still fails", () => {
    fc.assert(
      fc.property(failures, ({ plan, fails }) => {
        expect(fails(shrink(plan, fails, ENOUGH).plan)).not.toBeNull();
      }),
      { numRuns: 60 },
    );
  });

  test("fails no more when any one of its operations or mishaps is dropped", () => {
    fc.assert(
      fc.property(failures, ({ plan, fails }) => {
        const { plan: small, isMinimal } = shrink(plan, fails, ENOUGH);
        expect(isMinimal).toBe(true);
        for (const at of small.operations.keys())
          expect(fails({ ...small, operations: small.operations.toSpliced(at, 1) })).toBeNull();
        for (const at of small.mishaps.keys())
          expect(fails({ ...small, mishaps: small.mishaps.toSpliced(at, 1) })).toBeNull();
      }),
      { numRuns: 60 },
    );
  });

  test("is never larger in anything than the plan that it was, nor is any that was tried", () => {
    fc.assert(
      fc.property(failures, ({ plan, fails }) => {
        const most = weightsOf(plan);
        shrink(
          plan,
          (tried) => {
            for (const [at, weight] of weightsOf(tried).entries())
              expect(weight).toBeLessThanOrEqual(most[at] as number);
            return fails(tried);
          },
          ENOUGH,
        );
      }),
      { numRuns: 30 },
    );
  });

  test("is the same whenever the same plan fails in the same way", () => {
    fc.assert(
      fc.property(failures, fc.integer({ min: 1, max: 300 }), ({ plan, fails }, runsMax) => {
        const budget = { ...ENOUGH, runsMax };
        expect(shrink(plan, fails, budget)).toEqual(shrink(plan, fails, budget));
      }),
      { numRuns: 30 },
    );
  });

  test("has no more records, repetitions, nodes or troubles than the failure needs", () => {
    fc.assert(
      fc.property(plans, fc.integer({ min: 1, max: 20 }), (plan, times) => {
        const fails: StillFails = ({ operations, nodes }) =>
          nodes >= 3 && operations.some((row) => row.kind === "append" && row.times >= times)
            ? 0
            : null;
        const { plan: small } = shrink(plan, fails, ENOUGH);
        expect(small.operations).toMatchObject([{ times, everyMs: 0, records: 1, guarded: false }]);
        expect(small.mishaps).toEqual([]);
        expect(small.nodes).toBe(3);
        expect(small).toEqual(
          planOf({ format: 1, seed: plan.seed, nodes: 3, settleMs: 10_000, ...timesOf(small) }),
        );
      }),
      { numRuns: 30 },
    );
  });

  test("keeps a crash's effect only where it matters, and its loss of power likewise", () => {
    const effect = { nth: 9, of: "sync", edge: "before" } as const;
    const plan = smallPlan({ mishaps: [{ ...crash, node: "leader", effect }] });
    const isCrash = ({ mishaps }: Plan, matters: (row: Plan["mishaps"][number]) => boolean) =>
      mishaps.some(matters) ? 0 : null;
    const anyCrash = shrink(plan, (tried) => isCrash(tried, () => true), ENOUGH).plan;
    expect(anyCrash.mishaps).toMatchObject([{ how: "process", effect: null, downMs: 0, atMs: 0 }]);
    const fourthSync = shrink(
      plan,
      (tried) =>
        isCrash(
          tried,
          (row) =>
            row.kind === "crash" &&
            row.how === "power" &&
            row.effect?.of === "sync" &&
            row.effect.nth >= 4,
        ),
      ENOUGH,
    ).plan;
    const least = { nth: 4, of: "sync", edge: "after" };
    expect(fourthSync.mishaps).toMatchObject([{ how: "power", effect: least }]);
  });

  test("names none of the nodes that are gone", () => {
    const plan = smallPlan({
      nodes: 5,
      operations: [append, { kind: "stream", client: 9, atMs: 0, node: 4 }],
      mishaps: [
        { kind: "partition", side: [1, 4], atMs: 0, forMs: 100 },
        { kind: "partition", side: [3], atMs: 0, forMs: 100 },
      ],
    });
    const fails: StillFails = ({ nodes, operations, mishaps }) =>
      nodes >= 3 && operations.length === 2 && mishaps.length >= 1 ? 0 : null;
    const { plan: small } = shrink(plan, fails, ENOUGH);
    expect(small.nodes).toBe(3);
    expect(small.operations.length).toBe(2);
    expect(small.mishaps.length).toBe(1);
  });

  test("begins sooner, and waits no longer than the failure needs", () => {
    const late = { ...append, atMs: 20_000 };
    const plan = smallPlan({
      operations: [late],
      mishaps: [{ ...crash, atMs: 27_000 }],
      healAtMs: 30_000,
    });
    const fails: StillFails = ({ operations: [first], mishaps: [last], healAtMs }) =>
      first !== undefined && last !== undefined && last.atMs - first.atMs >= 400 ? healAtMs : null;
    const { operations, mishaps, healAtMs } = shrink(plan, fails, ENOUGH).plan;
    const wait = (mishaps[0]?.atMs ?? 0) - (operations[0]?.atMs ?? 0);
    expect(operations[0]?.atMs).toBe(0);
    expect(wait).toBeGreaterThanOrEqual(400);
    expect(wait).toBeLessThanOrEqual(600);
    expect(healAtMs).toBe(mishaps[0]?.atMs);
  });
});

function timesOf({ operations, mishaps, healAtMs }: Plan): object {
  return { operations, mishaps, healAtMs };
}

describe("shrinking", () => {
  test("leaves a plan alone that does not fail", () => {
    const plan = smallPlan({});
    expect(shrink(plan, () => null, ENOUGH)).toEqual({ plan, runs: 1, isMinimal: false });
  });

  test("tries no plan twice, and none without need", () => {
    fc.assert(
      fc.property(failures, ({ plan, fails }) => {
        const tried = new Set<string>();
        const { runs } = shrink(
          plan,
          (candidate) => {
            const text = JSON.stringify(candidate);
            expect(tried.has(text)).toBe(false);
            tried.add(text);
            return fails(candidate);
          },
          ENOUGH,
        );
        expect(runs).toBe(tried.size);
      }),
      { numRuns: 30 },
    );
  });

  test("stops at its budget with the smallest plan so far, which fails", () => {
    fc.assert(
      fc.property(failures, fc.integer({ min: 1, max: 60 }), ({ plan, fails }, runsMax) => {
        const { plan: small, runs } = shrink(plan, fails, { ...ENOUGH, runsMax });
        expect(runs).toBeLessThanOrEqual(runsMax);
        expect(fails(small)).not.toBeNull();
      }),
      { numRuns: 60 },
    );
    let asked = 0;
    const late = { ...ENOUGH, isOver: () => ++asked > 5 };
    expect(shrink(drawPlan("1"), () => 0, late)).toMatchObject({ runs: 5, isMinimal: false });
  });

  test("makes nothing that is not a plan", () => {
    fc.assert(
      fc.property(failures, ({ plan, fails }) => {
        shrink(
          plan,
          (tried) => {
            expect(planOf(tried)).toEqual(tried);
            return fails(tried);
          },
          { ...ENOUGH, runsMax: 100 },
        );
      }),
      { numRuns: 20 },
    );
  });
});

describe("a plan in its shortest form", () => {
  test("decodes to the plan, whatever was left out", () => {
    fc.assert(
      fc.property(plans, (plan) => {
        expect(decodePlan(encodeBriefly(plan))).toEqual(plan);
      }),
      { numRuns: 10 },
    );
  });

  test("says nothing that a default says", () => {
    const effect = { nth: 1, of: "any", edge: "after" } as const;
    const plan = smallPlan({
      network: { dropPerMille: 7 },
      operations: [{ ...append, times: 3 }],
      mishaps: [crash, { ...crash, atMs: 600, effect }],
    });
    expect(encodeBriefly(plan)).toBe(`{
  "format": 1,
  "seed": "s",
  "nodes": 3,
  "network": {"dropPerMille":7},
  "operations": [
    {"kind":"append","client":0,"atMs":100,"times":3}
  ],
  "mishaps": [
    {"kind":"crash","node":0,"how":"power","atMs":500,"downMs":800},
    {"kind":"crash","node":0,"how":"power","atMs":600,"effect":{"nth":1,"of":"any","edge":"after"},"downMs":800}
  ],
  "healAtMs": 1000
}
`);
  });
});

describe("a failure that rests on rare timing", () => {
  const mishap = { kind: "crash", node: 0, how: "power", downMs: 100 } as const;
  const rows = Array.from({ length: 12 }, (_, at) => ({ ...mishap, atMs: 1000 + at }));
  const plan = planOf({
    format: 1,
    seed: "rare",
    nodes: 3,
    operations: [{ kind: "append", client: 0, atMs: 500 }],
    mishaps: rows,
    healAtMs: 3000,
  });

  test("is shrunk by other tie-breaks where its own loses it", () => {
    /** With the seed as it was it needs all twelve; with one of a few others a single one does. */
    const fails: StillFails = ({ seed, mishaps }) => {
      const isEnough = seed === "rare~3" ? mishaps.length >= 1 : mishaps.length === rows.length;
      return isEnough ? 2000 : null;
    };
    const shrunk = shrink(plan, fails, ENOUGH);
    expect([shrunk.plan.seed, shrunk.plan.mishaps.length]).toEqual(["rare~3", 1]);
    expect(shrunk.isMinimal).toBe(true);
  });

  test("keeps its seed where that is no loss", () => {
    const fails: StillFails = ({ mishaps }) => (mishaps.length >= 6 ? 2000 : null);
    const shrunk = shrink(plan, fails, ENOUGH);
    expect([shrunk.plan.seed, shrunk.plan.mishaps.length]).toEqual(["rare", 6]);
  });
});

describe("a plan of five nodes", () => {
  test("is left with those that its mishaps name, wherever they stand", () => {
    const plan = planOf({
      format: 1,
      seed: "places",
      nodes: 5,
      driftPpm: [0, 1, 2, 3, 4],
      operations: [{ kind: "append", client: 0, atMs: 500 }],
      mishaps: [{ kind: "pairs-cut", pairs: [[1, 4]], atMs: 1000, forMs: 100 }],
      outside: [{ node: 4, how: "cut" }],
      healAtMs: 3000,
    });
    const fails: StillFails = ({ nodes, mishaps, outside }) =>
      nodes >= 3 && mishaps.length === 1 && outside.length === 1 ? 2000 : null;
    const { nodes, mishaps, outside } = shrink(plan, fails, ENOUGH).plan;
    expect(nodes).toBe(3);
    expect(mishaps[0]).toMatchObject({ kind: "pairs-cut", pairs: [[1, 2]] });
    expect(outside).toEqual([{ node: 2, how: "cut" }]);
  });
});

describe("a plan with operators", () => {
  test("loses what is about nodes that go, and keeps who founded the cluster", () => {
    const plan = planOf({
      format: 1,
      seed: "operators",
      nodes: 4,
      founders: 3,
      operations: [
        { kind: "append", client: 0, atMs: 100 },
        { kind: "add-member", client: 1, atMs: 100, node: 3 },
        { kind: "replace-member", client: 1, atMs: 200, node: 0, withNode: 3 },
        { kind: "set-members", client: 1, atMs: 300, voters: [0, 2, 3], learners: [3] },
        { kind: "remove-member", client: 1, atMs: 400, node: "leader" },
        { kind: "transfer", client: 2, atMs: 500, to: 3 },
        { kind: "transfer", client: 2, atMs: 600 },
        { kind: "trim", client: 3, atMs: 700, keep: 5 },
      ],
      mishaps: [],
      healAtMs: 1000,
    });
    const smaller = withFewerNodes(plan).map((draft) => planOf(draft));
    const three = smaller.find(({ nodes }) => nodes === 3);
    expect(three?.founders).toBeNull();
    expect(three?.operations.map(({ kind }) => kind)).toEqual([
      "append",
      "set-members",
      "remove-member",
      "transfer",
      "trim",
    ]);
    expect(three?.operations[1]).toMatchObject({ voters: [0, 2], learners: [] });
    expect(three?.operations[3]).toMatchObject({ to: null });
  });
});
