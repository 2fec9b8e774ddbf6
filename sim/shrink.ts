// Takes away from a failing plan whatever the failure does not need: delta debugging on plans
// (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002). Owns the
// order in which things are tried and the bounds; what "still fails" means is the caller's, and how
// one row or one profile gets simpler is sim/shrink-ladders.ts. Pure: equal plans and answers give
// equal results, unless `isOver` of the budget ends it. What is tried is asked for one by one, so
// that whoever runs plans, a loop here or fast-check (sim/plan-arbitrary.ts), may answer.

import { BadPlan, type Plan, planOf } from "./plan.ts";
import {
  type Change,
  calmed,
  lower,
  type Rung,
  rungsOf,
  specialsOf,
  withFewerNodes,
  withLessSettling,
} from "./shrink-ladders.ts";

/**
 * The millisecond at which the plan fails in the way that matters, or null when it does not. Later
 * ones are tried without what begins after it.
 */
export type StillFails = (plan: Plan) => number | null;

export interface ShrinkBudget {
  /** Plans tried at most. */
  readonly runsMax: number;
  /** Asked before each run: true ends the shrinking with the smallest plan so far. */
  readonly isOver: () => boolean;
}

export interface Shrunk {
  readonly plan: Plan;
  /** Plans that were tried. */
  readonly runs: number;
  /** Every single step further was tried and does not fail; false when the budget was over. */
  readonly isMinimal: boolean;
}

/** A plan before its checks: what is simpler by itself may not fit the rest. */
type Candidate = Readonly<Record<string, unknown>>;

/** Tie-breaks that are tried for a plan whose own loses the failure. */
const REROLLS = 4;
/** Below so many plan events nobody gains by another one less. */
const SMALL_EVENTS = 4;

type RowList = "operations" | "mishaps" | "outside";

/** The plan itself must fail, or nothing is shrunk. It never grows, and it still fails. */
export function shrink(plan: Plan, stillFails: StillFails, budget: ShrinkBudget): Shrunk {
  let runs = 0;
  const ask = (smaller: Plan): number | null | "over" => {
    if (runs >= budget.runsMax || budget.isOver()) return "over";
    runs++;
    return stillFails(smaller);
  };
  const failedAtMs = ask(plan);
  if (failedAtMs === null || failedAtMs === "over") return { plan, runs, isMinimal: false };
  const shrinking = new Shrinking(plan, failedAtMs);
  const steps = shrinking.steps();
  for (let step = steps.next(); step.done !== true; ) {
    const answer = ask(step.value);
    if (answer === "over") return { plan: shrinking.best, runs, isMinimal: false };
    step = steps.next(answer);
  }
  return { plan: shrinking.best, runs, isMinimal: true };
}

/** Yields plans to try, and is told of each when it fails, in milliseconds, or null. */
export type ShrinkSteps = Generator<Plan, void, number | null>;

/** All that would be tried for a plan that fails, at a time that nobody knows. */
export function shrinkSteps(plan: Plan): ShrinkSteps {
  return new Shrinking(plan, Number.POSITIVE_INFINITY).steps();
}

/** A part of the steps; says whether one was kept. */
type Trial = Generator<Plan, boolean, number | null>;

class Shrinking {
  /** Rounds differ in little: what one has refused, the next need not run again. */
  readonly #refused = new Set<string>();
  #best: Plan;
  #failedAtMs: number;
  /** Whether a candidate that does not fail is tried with other seeds. */
  #rerolls = false;

  constructor(plan: Plan, failedAtMs: number) {
    this.#best = plan;
    this.#failedAtMs = failedAtMs;
  }

  /** The smallest that was said to fail. */
  get best(): Plan {
    return this.#best;
  }

  *steps(): ShrinkSteps {
    yield* this.#reduce();
    // A failure that rests on rare timing is lost by most steps, because each moves all that comes
    // after it: some other tie-break may bring it back.
    const eventsOf = ({ operations, mishaps }: Plan) => operations.length + mishaps.length;
    while (eventsOf(this.#best) > SMALL_EVENTS) {
      const before = this.#best;
      this.#rerolls = true;
      yield* this.#dropRows("mishaps");
      yield* this.#dropRows("operations");
      yield* this.#tryFirst(withFewerNodes(this.#best));
      yield* this.#repeatLess();
      this.#rerolls = false;
      if (this.#best === before) break;
      yield* this.#reduce();
    }
  }

  /** Every step with the seed as it is, until none is left. */
  *#reduce(): ShrinkSteps {
    // What makes runs short comes first, what needs most of them last.
    for (let outer: Plan | null = null; outer !== this.#best; ) {
      outer = this.#best;
      for (let inner: Plan | null = null; inner !== this.#best; ) {
        inner = this.#best;
        yield* this.#drop();
      }
      yield* this.#climbDown("operations");
      yield* this.#climbDown("mishaps");
      yield* this.#weaken("network");
      yield* this.#weaken("disk");
      yield* this.#shortenTime();
    }
  }

  *#drop(): ShrinkSteps {
    yield* this.#tryFirst(withLessSettling(this.#best));
    yield* this.#cut();
    yield* this.#healSooner();
    yield* this.#repeatLess();
    yield* this.#dropRows("operations");
    yield* this.#dropRows("mishaps");
    yield* this.#dropRows("outside");
    yield* this.#tryFirst(withFewerNodes(this.#best));
    yield* this.#calm();
  }

  // ---- one step ----

  /** Keeps the candidate when it is a plan and fails as before, perhaps with another tie-break. */
  *#maybeKeep(candidate: Candidate): Trial {
    const plan = parse(candidate);
    // What is as it was does not get smaller by another seed.
    if (plan === null || JSON.stringify(plan) === JSON.stringify(this.#best)) return false;
    if (yield* this.#keeps(plan)) return true;
    if (!this.#rerolls) return false;
    const [name] = this.#best.seed.split("~");
    for (let at = 1; at <= REROLLS; at++)
      if (yield* this.#keeps({ ...plan, seed: `${name}~${at}` })) return true;
    return false;
  }

  *#keeps(plan: Plan): Trial {
    const key = JSON.stringify(plan);
    if (this.#refused.has(key)) return false;
    const failedAtMs = yield plan;
    if (failedAtMs === null) {
      this.#refused.add(key);
      return false;
    }
    this.#best = plan;
    this.#failedAtMs = failedAtMs;
    return true;
  }

  *#tryFirst(candidates: readonly Candidate[]): Trial {
    for (const candidate of candidates) if (yield* this.#maybeKeep(candidate)) return true;
    return false;
  }

  // ---- drops ----

  /** What begins after the failure cannot have caused it. */
  *#cut(): Trial {
    const end = Math.min(this.#best.healAtMs, Math.floor(this.#failedAtMs) + 1);
    return yield* this.#maybeEndAt(end);
  }

  /** What is seen only at the end of a run may have happened long before. */
  *#healSooner(): ShrinkSteps {
    const span = { from: this.#best.healAtMs, floor: 0, isCoarse: true };
    yield* this.#climbBy(lower(span), (healAtMs) => this.#maybeEndAt(healAtMs));
  }

  *#maybeEndAt(healAtMs: number): Trial {
    const isEarlier = ({ atMs }: { readonly atMs: number }) => atMs < healAtMs;
    const operations = this.#best.operations.filter(isEarlier);
    const mishaps = this.#best.mishaps.filter(isEarlier);
    return yield* this.#maybeKeep({ ...this.#best, operations, mishaps, healAtMs });
  }

  /** All operations once, else all half as often: much fewer events, before they go one by one. */
  *#repeatLess(): ShrinkSteps {
    if (yield* this.#repeatAll(() => 1)) return;
    while (yield* this.#repeatAll((times) => Math.ceil(times / 2)));
  }

  *#repeatAll(count: (times: number) => number): Trial {
    const operations = this.#best.operations.map((row) =>
      "times" in row ? { ...row, times: count(row.times) } : row,
    );
    return yield* this.#maybeKeep({ ...this.#best, operations });
  }

  *#dropRows(list: RowList): ShrinkSteps {
    const drops = dropsOf(this.#best[list].length);
    for (let drop = drops.next(); drop.done !== true; ) {
      const [start, end] = drop.value;
      const rows = this.#best[list];
      const left = [...rows.slice(0, start), ...rows.slice(end)];
      drop = drops.next(yield* this.#maybeKeep({ ...this.#best, [list]: left }));
    }
  }

  /** Networks, disks and options as they are by default. */
  *#calm(): ShrinkSteps {
    let specials = specialsOf(this.#best);
    const drops = dropsOf(specials.length);
    for (let drop = drops.next(); drop.done !== true; ) {
      const [start, end] = drop.value;
      const isKept = yield* this.#maybeKeep(calmed(this.#best, specials.slice(start, end)));
      if (isKept) specials = [...specials.slice(0, start), ...specials.slice(end)];
      drop = drops.next(isKept);
    }
  }

  // ---- weaker ----

  *#climbDown(list: RowList): ShrinkSteps {
    for (const [at, row] of this.#best[list].entries())
      for (const rung of rungsOf(row))
        yield* this.#climb(rung, (change) => {
          const rows: readonly Candidate[] = this.#best[list];
          const changed = rows.map((old, place) => (place === at ? change(old) : old));
          return this.#maybeKeep({ ...this.#best, [list]: changed });
        });
  }

  *#weaken(profile: "network" | "disk"): ShrinkSteps {
    for (const rung of rungsOf(this.#best[profile]))
      yield* this.#climb(rung, (change) =>
        this.#maybeKeep({ ...this.#best, [profile]: change(this.#best[profile]) }),
      );
  }

  *#climb(rung: Rung, tryIt: (change: Change) => Trial): ShrinkSteps {
    if (rung.kind === "number") yield* this.#climbBy(lower(rung), (value) => tryIt(rung.to(value)));
    else for (const change of rung.choices) if (yield* tryIt(change)) return;
  }

  /** Tries the values that a search asks for, and tells it what became of each. */
  *#climbBy(
    search: Generator<number, void, boolean>,
    tryIt: (value: number) => Trial,
  ): ShrinkSteps {
    for (let step = search.next(); step.done !== true; )
      step = search.next(yield* tryIt(step.value));
  }

  // ---- sooner ----

  /** Everything in half the time; then each wait between two beginnings, the last first. */
  *#shortenTime(): ShrinkSteps {
    while (yield* this.#shift((ms) => Math.floor(ms / 2)));
    const { operations, mishaps, healAtMs } = this.#best;
    const instants = [...operations, ...mishaps].map(({ atMs }) => atMs);
    const ordered = [...new Set([0, ...instants, healAtMs])].sort((a, b) => a - b);
    for (let at = ordered.length - 1; at >= 1; at--) {
      const [before, since] = [ordered[at - 1] as number, ordered[at] as number];
      yield* this.#shortenWait(before, since - before);
    }
  }

  *#shortenWait(before: number, from: number): ShrinkSteps {
    let wait = from;
    const search = lower({ from, floor: 0, isCoarse: true });
    for (let step = search.next(); step.done !== true; ) {
      const shorter = step.value;
      const saved = wait - shorter;
      const isKept = yield* this.#shift((ms) => (ms > before ? ms - saved : ms));
      if (isKept) wait = shorter;
      step = search.next(isKept);
    }
  }

  #shift(sooner: (ms: number) => number): Trial {
    const best = this.#best;
    const shifted = <Row extends { readonly atMs: number }>(row: Row) => ({
      ...row,
      atMs: sooner(row.atMs),
    });
    return this.#maybeKeep({
      ...best,
      operations: best.operations.map(shifted),
      mishaps: best.mishaps.map(shifted),
      healAtMs: sooner(best.healAtMs),
    });
  }
}

/**
 * Which stretches of a list to leave out: all at once, then halves, then quarters, down to one by
 * one; the last first. Is told whether each was.
 */
function* dropsOf(count: number): Generator<readonly [number, number], void, boolean> {
  let left = count;
  for (let size = left; size >= 1; size = Math.floor(Math.min(size, left) / 2))
    for (let end = left; end > 0; end -= size) {
      const start = Math.max(0, end - size);
      if (yield [start, end]) left -= end - start;
    }
}

/** Null for what the form of plans refuses, such as a node that is no longer there. */
function parse(candidate: Candidate): Plan | null {
  try {
    return planOf(candidate);
  } catch (error) {
    if (error instanceof BadPlan) return null;
    throw error;
  }
}
