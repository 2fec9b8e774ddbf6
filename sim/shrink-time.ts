// Shrinking within a time: ends when the next run would take it beyond, and says what it took. Owns
// the looks at the clocks; the bounds on each run are sim/shrink-failure.ts.

import type { Plan } from "./plan.ts";
import { type RunPlan, type ShrunkFailure, shrinkFailure } from "./shrink-failure.ts";

/** A failure, what was left of it, and what that took. */
export interface Shrinking {
  readonly original: Plan;
  readonly shrunk: ShrunkFailure;
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** Null when the plan does not fail. */
export function shrinkInTime(
  plan: Plan,
  run: RunPlan,
  limits: { readonly seconds: number; readonly runs: number },
  progress: (best: Plan, runs: number) => void = () => undefined,
): Shrinking | null {
  const began = performance.now();
  const cpuBegan = process.cpuUsage();
  const spentMs = () => performance.now() - began;
  const isOver = makeDeadline(limits.seconds * 1000, spentMs);
  const shrunk = shrinkFailure(plan, run, { runsMax: limits.runs, isOver }, progress);
  if (shrunk === null) return null;
  const { user, system } = process.cpuUsage(cpuBegan);
  return { original: plan, shrunk, wallMs: spentMs(), cpuMs: (user + system) / 1000 };
}

/** Asked before each run: over when one more, as slow as the slowest, would end too late. */
function makeDeadline(limitMs: number, spentMs: () => number): () => boolean {
  let askedMs = 0;
  let slowestMs = 0;
  return () => {
    const nowMs = spentMs();
    slowestMs = Math.max(slowestMs, nowMs - askedMs);
    askedMs = nowMs;
    return nowMs + slowestMs > limitMs;
  };
}
