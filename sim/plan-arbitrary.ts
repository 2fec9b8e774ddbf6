// Plans for fast-check: drawn from seeds as everywhere, and shrunk by the ladders of
// `npm run sim -- shrink`, so that a property that fails ends with the least plan that breaks it.
// Owns the bridge; fast-check is brought along by the caller and never loaded from here
// (docs/decisions/0020).

import type * as FastCheck from "fast-check";

import { BadPlan, type Plan, planOf } from "./plan.ts";
import { encodeBriefly } from "./plan-draft.ts";
import type { Profile } from "./profiles.ts";
import { type ShrinkSteps, shrinkSteps } from "./shrink.ts";
import { drawPlan } from "./swarm.ts";

/**
 * What of fast-check it takes to make an arbitrary of one's own: the module itself has all of it.
 */
export type ArbitraryParts = Pick<
  typeof FastCheck,
  "Arbitrary" | "Value" | "Stream" | "toStringMethod"
>;

const SEEDS = 2 ** 31;

/**
 * Any plan that a seed draws from `profile`, as a fast-check arbitrary: `fc` is fast-check itself.
 * fast-check's seed decides the simulator's; a plan's own seed is in the plan.
 */
export function plans(fc: ArbitraryParts, profile: Profile = "swarm"): FastCheck.Arbitrary<Plan> {
  class PlanArbitrary extends fc.Arbitrary<Plan> {
    override generate(chance: FastCheck.Random): FastCheck.Value<Plan> {
      return shownAs(drawPlan(String(chance.nextInt(1, SEEDS - 1)), profile), undefined);
    }

    override canShrinkWithoutContext(value: unknown): value is Plan {
      try {
        planOf(value);
        return true;
      } catch (error) {
        if (error instanceof BadPlan) return false;
        throw error;
      }
    }

    /**
     * Without context the plan is the first that fails. Else the context is the shrinking that has
     * just tried it: being asked for less of it says that it failed, and going on to the next value
     * of the same stream that it did not.
     */
    override shrink(plan: Plan, context: unknown): FastCheck.Stream<FastCheck.Value<Plan>> {
      const steps = (context as ShrinkSteps | undefined) ?? shrinkSteps(plan);
      return new fc.Stream(valuesOf(steps, context === undefined));
    }
  }

  /** fast-check prints it as a plan file that `npm run sim -- --plan` takes. */
  function shownAs(plan: Plan, context: unknown): FastCheck.Value<Plan> {
    const named = { ...plan };
    Object.defineProperty(named, fc.toStringMethod, { value: () => encodeBriefly(plan) });
    return new fc.Value<Plan>(named, context);
  }

  function* valuesOf(steps: ShrinkSteps, isNew: boolean): IterableIterator<FastCheck.Value<Plan>> {
    // The first call of a generator's `next` hears nothing.
    let step = isNew ? steps.next() : steps.next(Number.POSITIVE_INFINITY);
    for (; step.done !== true; step = steps.next(null)) yield shownAs(step.value, steps);
  }

  return new PlanArbitrary();
}
