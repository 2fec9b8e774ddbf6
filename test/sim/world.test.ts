// The course of a run: mishaps fall where the plan says, what is down comes back, and any part of a
// plan is a plan, so that a failing one can be shrunk.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Computer, Observer } from "../../sim/observer.ts";
import { type PlanDraft, type PlannedMishap, planOf } from "../../sim/plan.ts";
import { runPlan } from "../../sim/run.ts";
import { drawPlan } from "../../sim/swarm.ts";
import type { DiskOperation } from "../../src/base/disk.ts";

const appends = { kind: "append", client: 0, atMs: 500, times: 60, everyMs: 30 } as const;

function planWith(...mishaps: PlanDraft["mishaps"]) {
  return planOf({
    format: 1,
    seed: "world",
    nodes: 3,
    options: { segmentBytesMax: 4096 },
    operations: [appends],
    mishaps,
    healAtMs: 4000,
  });
}

/** Writes down the lives of nodes, with their instants in milliseconds. */
class Lives implements Observer {
  readonly told: string[] = [];
  #now: () => number = () => 0;

  attach(stage: { readonly now: number }): void {
    this.#now = () => Math.floor(stage.now / 1000);
  }

  nodeStarted(node: Computer): void {
    if (node.life > 1) this.#tell(`${node.name} starts life ${node.life}`);
  }

  nodeCrashed(node: Computer, kind: string): void {
    this.#tell(`${node.name} ${kind} crash`);
  }

  nodeStopped(node: Computer): void {
    this.#tell(`${node.name} stops`);
  }

  healed(): void {
    this.#tell("healed");
  }

  #tell(what: string): void {
    this.told.push(`${this.#now()} ${what}`);
  }
}

/** Counts operations of one kind taking effect on a node's disk, up to its first crash. */
class Effects implements Observer {
  count = 0;
  #isOver = false;
  readonly #name: string;
  readonly #kind: DiskOperation["kind"];

  constructor(name: string, kind: DiskOperation["kind"]) {
    this.#name = name;
    this.#kind = kind;
  }

  operationCompleted(node: Computer, operation: DiskOperation): void {
    if (node.name === this.#name && operation.kind === this.#kind && !this.#isOver) this.count++;
  }

  nodeCrashed(node: Computer): void {
    if (node.name === this.#name) this.#isOver = true;
  }
}

describe("a mishap", () => {
  test.each([
    ["before", 2],
    ["after", 3],
  ] as const)("waits for its effect and falls just %s it", (edge, seen) => {
    const effects = new Effects("n1", "sync");
    const effect = { nth: 3, of: "sync", edge } as const;
    const crash = { kind: "crash", node: 1, how: "power", atMs: 0, effect, downMs: 50 } as const;
    const report = runPlan(planWith(crash), [effects]);
    expect(report.verdict).toBe("pass");
    expect(report.counts.powerLosses).toBe(1);
    expect(effects.count).toBe(seen);
  });

  test("takes a node down for as long as the plan says", () => {
    const lives = new Lives();
    const crash = { kind: "crash", node: 2, how: "process", atMs: 1000, downMs: 700 } as const;
    expect(runPlan(planWith(crash), [lives]).verdict).toBe("pass");
    expect(lives.told).toEqual(["1000 n2 process crash", "1700 n2 starts life 2", "4000 healed"]);
  });

  test("is over when everything is healed: who is down starts, whatever its time", () => {
    const lives = new Lives();
    const crash = { kind: "crash", node: 2, how: "power", atMs: 3000, downMs: 60_000 } as const;
    expect(runPlan(planWith(crash), [lives]).verdict).toBe("pass");
    expect(lives.told).toEqual(["3000 n2 power crash", "4000 n2 starts life 2", "4000 healed"]);
  });

  test("stops a node cleanly and starts it again", () => {
    const lives = new Lives();
    const report = runPlan(planWith({ kind: "stop", node: 0, atMs: 1000, downMs: 500 }), [lives]);
    expect(report.verdict).toBe("pass");
    expect(report.counts.stops).toBe(1);
    expect(lives.told.at(0)).toMatch(/^10\d\d n0 stops$/);
    expect(lives.told.at(1)).toBe("1500 n0 starts life 2");
  });

  test("takes the power of a disk whose node is down", () => {
    const stop = { kind: "stop", node: 0, atMs: 1000, downMs: 1000 } as const;
    const crash = { kind: "crash", node: 0, how: "power", atMs: 1500, downMs: 800 } as const;
    const lives = new Lives();
    expect(runPlan(planWith(stop, crash), [lives]).verdict).toBe("pass");
    expect(lives.told.slice(1, 3)).toEqual(["1500 n0 power crash", "2000 n0 starts life 2"]);
  });

  test("aimed at the leader strikes whoever leads then", () => {
    let leader: string | null = null;
    let struck: string | null = null;
    const watch: Observer = {
      afterTurn: ({ name, raft }) => {
        if (raft?.role === "leader" && struck === null) leader = name;
      },
      nodeCrashed: ({ name }) => {
        struck ??= name;
      },
    };
    const crash = { kind: "crash", node: "leader", how: "power", atMs: 2000, downMs: 100 } as const;
    const report = runPlan(planWith(crash), [watch]);
    expect(report.verdict).toBe("pass");
    expect(report.counts.leaders).toBeGreaterThan(1);
    expect(struck).toBe(leader);
  });
});

describe("a plan", () => {
  test("passes with any of its mishaps and operations left out", () => {
    const plan = drawPlan("13");
    const some = <T>(items: readonly T[]) => fc.subarray([...items]);
    const parts = fc.record({ mishaps: some<PlannedMishap>(plan.mishaps), bits: fc.nat() });
    fc.assert(
      fc.property(parts, ({ mishaps, bits }) => {
        const operations = plan.operations.filter((_, at) => ((bits >> (at % 24)) & 1) === 1);
        const report = runPlan({ ...plan, mishaps, operations });
        expect(report.violation).toBeNull();
      }),
      { numRuns: 8, seed: 13 },
    );
  });
});
