// Shrinks the plan of a failing run by running smaller ones: what counts as the same failure, how
// long a run may take, and what the plan that is kept says of itself. Owns the fingerprint and the
// bounds; the order of what is tried is sim/shrink.ts, words for people are sim/shrink-main.ts.

import type { Observer, Stage } from "./observer.ts";
import type { Plan } from "./plan.ts";
import type { RunReport } from "./run.ts";
import { type ShrinkBudget, type Shrunk, shrink } from "./shrink.ts";

/** The simulator that runs the plans: our own, or that of a broken build. */
export type RunPlan = (plan: Plan, observers?: readonly Observer[]) => RunReport;

export interface ShrunkFailure extends Shrunk {
  /** The plan, with the reasons for keeping it. */
  readonly plan: Plan;
  /** Of the plan that was given. */
  readonly before: RunReport;
  /** Of the plan that is left. */
  readonly report: RunReport;
  /** Runs that were ended early because they took far longer than the failure does. */
  readonly cutOff: number;
}

/** A smaller plan that takes twice the turns is not simpler, or it never ends. */
const TURNS_TIMES_MAX = 2;
const TURNS_SPARE = 1_000;
const OUT_OF_TURNS = "out-of-turns";

/**
 * The smallest plan found that fails as `plan` does: same verdict, same property; null when `plan`
 * does not fail. `budget` is asked before each run, `progress` hears the best so far after each.
 */
export function shrinkFailure(
  plan: Plan,
  runPlan: RunPlan,
  budget: ShrinkBudget,
  progress: (best: Plan, runs: number) => void = () => undefined,
): ShrunkFailure | null {
  const bound = new TurnBound();
  const before = runPlan(plan, [bound]);
  const wanted = fingerprintOf(before);
  if (wanted === null) return null;
  let best = { plan, report: before, turns: bound.turns };
  let cutOff = 0;
  let runs = 0;
  const stillFails = (smaller: Plan): number | null => {
    if (!isWorthRunning(smaller)) return null;
    const watch = new TurnBound(best.turns * TURNS_TIMES_MAX + TURNS_SPARE);
    const report = runPlan(smaller, [watch]);
    const failedAt = report.violation?.at ?? 0;
    if (report.violation?.property === OUT_OF_TURNS) cutOff++;
    const isSame = fingerprintOf(report) === wanted;
    if (isSame) best = { plan: smaller, report, turns: watch.turns };
    progress(best.plan, ++runs);
    return isSame ? failedAt / 1000 : null;
  };
  const shrunk = shrink(plan, stillFails, budget);
  const why = whyKept(plan, best.report);
  return { ...shrunk, plan: { ...shrunk.plan, why }, before, report: best.report, cutOff };
}

/** Operations and mishaps, those that never end included. */
export function sizeOf(plan: Plan): number {
  return plan.operations.length + plan.mishaps.length + plan.outside.length;
}

/**
 * What makes two failures the same: the verdict and the property, not the node or the instant. All
 * that stops a node is one property, so there the words count too, without their numbers.
 */
export function fingerprintOf({ verdict, violation }: RunReport): string | null {
  if (violation === null) return null;
  const words = verdict === "crash" ? (violation.facts[0] ?? "").replace(/\d+/g, "#") : "";
  return `${verdict} ${violation.property} ${words}`;
}

/**
 * Without an append that may be acknowledged a sound build shows nothing either, so the plan would
 * be no scenario.
 */
function isWorthRunning(plan: Plan): boolean {
  return plan.operations.some((planned) => {
    if (planned.kind !== "append" || planned.atMs >= plan.healAtMs) return false;
    return !planned.gap || planned.times > 1;
  });
}

function whyKept(plan: Plan, { seed, verdict, violation }: RunReport): string[] {
  const origin =
    plan.why.length === 0 ? `Shrunk from seed ${seed}.` : "Shrunk; it was kept because:";
  // Where it threw is a place of one machine, and moves with every edit.
  const facts = (violation?.facts ?? []).filter((fact) => !fact.startsWith("at "));
  return [`${verdict}: ${violation?.property}`, ...facts, origin, ...plan.why];
}

/** Counts the turns of all nodes, and ends the run after `turnsMax` of them. */
class TurnBound implements Observer {
  readonly #turnsMax: number;
  #stage: Stage | null = null;
  turns = 0;

  constructor(turnsMax = Number.POSITIVE_INFINITY) {
    this.#turnsMax = turnsMax;
  }

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  afterTurn(): void {
    if (++this.turns !== this.#turnsMax || this.#stage === null) return;
    const facts = [`the nodes took ${this.turns} turns`, `they may take ${this.#turnsMax}`];
    this.#stage.report({ property: OUT_OF_TURNS, facts, at: this.#stage.now, node: null });
  }
}
