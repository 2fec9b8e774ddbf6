// Plans as a fast-check arbitrary: drawn from seeds, shrunk by the simulator's own ladders, and
// told apart from what is no plan.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { shrink } from "../../sim/shrink.ts";
import {
  BadPlan,
  decodePlan,
  type Plan,
  plans,
  runPlan,
  type StateMachine,
} from "../../sim/sim.ts";

const UNBOUNDED = { runsMax: Number.POSITIVE_INFINITY, isOver: () => false };

/** Runs nothing: a plan is bad when two of its nodes may crash. */
function isBad({ mishaps, nodes }: Plan): boolean {
  return nodes >= 3 && mishaps.filter(({ kind }) => kind === "crash").length >= 2;
}

function findBad(seed: number) {
  return fc.check(
    fc.property(plans(fc), (plan) => !isBad(plan)),
    { seed, numRuns: 200 },
  );
}

describe("plans() of fast-check", () => {
  test("are drawn from seeds, and equal seeds give equal plans", () => {
    const drawn = fc.sample(plans(fc), { seed: 7, numRuns: 5 });
    expect(drawn).toEqual(fc.sample(plans(fc), { seed: 7, numRuns: 5 }));
    expect(new Set(drawn.map(({ seed }) => seed)).size).toBe(5);
    for (const { mishaps } of fc.sample(plans(fc, "calm"), 3)) expect(mishaps).toEqual([]);
  });

  test("shrink to what the simulator's own shrinking comes to", () => {
    const { failed, counterexample } = findBad(1);
    expect(failed).toBe(true);
    const smallest = counterexample?.[0] as Plan;
    expect(isBad(smallest)).toBe(true);
    expect(smallest.operations).toEqual([]);
    expect(smallest.mishaps.map(({ kind }) => kind)).toEqual(["crash", "crash"]);
    expect(smallest.nodes).toBe(3);
    const again = shrink(smallest, (plan) => (isBad(plan) ? 0 : null), UNBOUNDED);
    expect(again.plan.mishaps).toHaveLength(2);
    expect(again.isMinimal).toBe(true);
  });

  test("shrink along the same path when fast-check replays it", () => {
    const { counterexample, counterexamplePath: path, seed } = findBad(1);
    const property = fc.property(plans(fc), (plan) => !isBad(plan));
    const replayed = fc.check(property, { seed, path: path ?? "", endOnFailure: true });
    expect(replayed.counterexample?.[0]).toEqual(counterexample?.[0]);
  });

  test("shrink beside other arbitraries", () => {
    const property = fc.property(plans(fc), fc.nat(1000), (plan, number) => {
      return !(isBad(plan) && number > 20);
    });
    const { counterexample } = fc.check(property, { seed: 3, numRuns: 500 });
    expect(counterexample?.[1]).toBe(21);
    expect(counterexample?.[0].mishaps).toHaveLength(2);
  });

  test("are shown as a file that the simulator runs", () => {
    const details = findBad(1);
    const shown = fc.stringify(details.counterexample?.[0]);
    expect(decodePlan(shown)).toEqual(details.counterexample?.[0]);
  });

  test("shrink a plan that was given as an example, and nothing that is no plan", () => {
    const arbitrary = plans(fc);
    const [plan] = fc.sample(arbitrary, { seed: 7, numRuns: 1 });
    expect(arbitrary.canShrinkWithoutContext(plan)).toBe(true);
    expect(arbitrary.canShrinkWithoutContext({ nodes: 3 })).toBe(false);
    expect(() => decodePlan("{}")).toThrow(BadPlan);
  });

  test("find what a machine forgets, and the least that shows it", { timeout: 240_000 }, () => {
    class Forgetful implements StateMachine {
      count = 0;
      endOffset = 0;

      apply({ offset, count }: Parameters<StateMachine["apply"]>[0]): void {
        this.count += count;
        this.endOffset = offset + count;
      }

      snapshot(): Uint8Array {
        return new TextEncoder().encode(`${this.count}`);
      }

      restore(): void {
        this.count = 0;
      }
    }
    const invariant = (machines: ReadonlyMap<string, Forgetful>) => {
      for (const [name, { count, endOffset }] of machines)
        if (count !== endOffset) return `${name} has counted ${count} of ${endOffset} records`;
      return null;
    };
    const own = { machine: () => new Forgetful(), invariant, property: "counts-all" };
    const property = fc.property(plans(fc), (plan) => {
      return runPlan(plan, [], own).violation?.property !== "counts-all";
    });
    const bounds = { interruptAfterTimeLimit: 60_000, numRuns: 20, seed: 1 };
    const { failed, counterexample } = fc.check(property, bounds);
    expect(failed).toBe(true);
    const plan = counterexample?.[0] as Plan;
    expect(plan.operations.length + plan.mishaps.length).toBeLessThanOrEqual(15);
    expect(runPlan(plan, [], own).violation?.property).toBe("counts-all");
  });
});
