// Takes away from a failing plan whatever the failure does not need: delta debugging on plans
// (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002). Owns the
// order in which things are tried and the bounds; what "still fails" means is the caller's, and how
// one row or one profile gets simpler is sim/shrink-ladders.ts. Pure: equal plans and answers give
// equal results, unless `isOver` of the budget ends it.

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
  return new Shrinking(plan, stillFails, budget).run();
}

class Shrinking {
  readonly #stillFails: StillFails;
  readonly #budget: ShrinkBudget;
  /** Rounds differ in little: what one has refused, the next need not run again. */
  readonly #refused = new Set<string>();
  #best: Plan;
  #failedAtMs = Number.POSITIVE_INFINITY;
  #runs = 0;
  #isOver = false;
  /** Whether a candidate that does not fail is tried with other seeds. */
  #rerolls = false;

  constructor(plan: Plan, stillFails: StillFails, budget: ShrinkBudget) {
    this.#best = plan;
    this.#stillFails = stillFails;
    this.#budget = budget;
  }

  run(): Shrunk {
    const failedAtMs = this.#ask(this.#best);
    if (failedAtMs === null) return { plan: this.#best, runs: this.#runs, isMinimal: false };
    this.#failedAtMs = failedAtMs;
    this.#reduce();
    // A failure that rests on rare timing is lost by most steps, because each moves all that comes
    // after it: some other tie-break may bring it back.
    const eventsOf = ({ operations, mishaps }: Plan) => operations.length + mishaps.length;
    while (eventsOf(this.#best) > SMALL_EVENTS && !this.#isOver) {
      const before = this.#best;
      this.#rerolls = true;
      this.#dropRows("mishaps");
      this.#dropRows("operations");
      this.#tryFirst(withFewerNodes(this.#best));
      this.#repeatLess();
      this.#rerolls = false;
      if (this.#best === before) break;
      this.#reduce();
    }
    return { plan: this.#best, runs: this.#runs, isMinimal: !this.#isOver };
  }

  /** Every step with the seed as it is, until none is left. */
  #reduce(): void {
    // What makes runs short comes first, what needs most of them last.
    this.#toFixedPoint(() => {
      this.#toFixedPoint(() => {
        this.#tryFirst(withLessSettling(this.#best));
        this.#cut();
        this.#healSooner();
        this.#repeatLess();
        this.#dropRows("operations");
        this.#dropRows("mishaps");
        this.#dropRows("outside");
        this.#tryFirst(withFewerNodes(this.#best));
        this.#calm();
      });
      this.#climbDown("operations");
      this.#climbDown("mishaps");
      this.#weaken("network");
      this.#weaken("disk");
      this.#shortenTime();
    });
  }

  #toFixedPoint(round: () => void): void {
    for (let before: Plan | null = null; before !== this.#best && !this.#isOver; ) {
      before = this.#best;
      round();
    }
  }

  // ---- one step ----

  /** Keeps the candidate when it is a plan and fails as before, perhaps with another tie-break. */
  #maybeKeep(candidate: Candidate): boolean {
    const plan = parse(candidate);
    // What is as it was does not get smaller by another seed.
    if (plan === null || JSON.stringify(plan) === JSON.stringify(this.#best)) return false;
    if (this.#keeps(plan)) return true;
    if (!this.#rerolls) return false;
    const [name] = this.#best.seed.split("~");
    const seeds = Array.from({ length: REROLLS }, (_, at) => `${name}~${at + 1}`);
    return seeds.some((seed) => this.#keeps({ ...plan, seed }));
  }

  #keeps(plan: Plan): boolean {
    const key = JSON.stringify(plan);
    if (this.#refused.has(key)) return false;
    const failedAtMs = this.#ask(plan);
    if (failedAtMs === null) {
      if (!this.#isOver) this.#refused.add(key);
      return false;
    }
    this.#best = plan;
    this.#failedAtMs = failedAtMs;
    return true;
  }

  #ask(plan: Plan): number | null {
    this.#isOver ||= this.#runs >= this.#budget.runsMax || this.#budget.isOver();
    if (this.#isOver) return null;
    this.#runs++;
    return this.#stillFails(plan);
  }

  #tryFirst(candidates: readonly Candidate[]): void {
    candidates.some((candidate) => this.#maybeKeep(candidate));
  }

  // ---- drops ----

  /** What begins after the failure cannot have caused it. */
  #cut(): void {
    this.#maybeEndAt(Math.min(this.#best.healAtMs, Math.floor(this.#failedAtMs) + 1));
  }

  /** What is seen only at the end of a run may have happened long before. */
  #healSooner(): void {
    const span = { from: this.#best.healAtMs, floor: 0, isCoarse: true };
    lower(span, (healAtMs) => this.#maybeEndAt(healAtMs));
  }

  #maybeEndAt(healAtMs: number): boolean {
    const isEarlier = ({ atMs }: { readonly atMs: number }) => atMs < healAtMs;
    const operations = this.#best.operations.filter(isEarlier);
    const mishaps = this.#best.mishaps.filter(isEarlier);
    return this.#maybeKeep({ ...this.#best, operations, mishaps, healAtMs });
  }

  /** All operations once, else all half as often: much fewer events, before they go one by one. */
  #repeatLess(): void {
    const all = (count: (times: number) => number) => {
      const operations = this.#best.operations.map((row) =>
        "times" in row ? { ...row, times: count(row.times) } : row,
      );
      return this.#maybeKeep({ ...this.#best, operations });
    };
    if (all(() => 1)) return;
    while (all((times) => Math.ceil(times / 2)));
  }

  #dropRows(list: RowList): void {
    this.#dropSome(this.#best[list].length, (start, end) => {
      const rows = this.#best[list];
      const left = [...rows.slice(0, start), ...rows.slice(end)];
      return this.#maybeKeep({ ...this.#best, [list]: left });
    });
  }

  /** Networks, disks and options as they are by default. */
  #calm(): void {
    let specials = specialsOf(this.#best);
    this.#dropSome(specials.length, (start, end) => {
      const isKept = this.#maybeKeep(calmed(this.#best, specials.slice(start, end)));
      if (isKept) specials = [...specials.slice(0, start), ...specials.slice(end)];
      return isKept;
    });
  }

  /** All at once, then halves, then quarters, down to one by one; the last first. */
  #dropSome(count: number, drop: (start: number, end: number) => boolean): void {
    let left = count;
    for (let size = left; size >= 1; size = Math.floor(Math.min(size, left) / 2))
      for (let end = left; end > 0; end -= size) {
        const start = Math.max(0, end - size);
        if (drop(start, end)) left -= end - start;
      }
  }

  // ---- weaker ----

  #climbDown(list: RowList): void {
    for (const [at, row] of this.#best[list].entries())
      for (const rung of rungsOf(row))
        this.#climb(rung, (change) => {
          const rows: readonly Candidate[] = this.#best[list];
          const changed = rows.map((old, place) => (place === at ? change(old) : old));
          return this.#maybeKeep({ ...this.#best, [list]: changed });
        });
  }

  #weaken(profile: "network" | "disk"): void {
    for (const rung of rungsOf(this.#best[profile]))
      this.#climb(rung, (change) =>
        this.#maybeKeep({ ...this.#best, [profile]: change(this.#best[profile]) }),
      );
  }

  #climb(rung: Rung, accepts: (change: Change) => boolean): void {
    if (rung.kind === "choices") rung.choices.some(accepts);
    else lower(rung, (value) => accepts(rung.to(value)));
  }

  // ---- sooner ----

  /** Everything in half the time; then each wait between two beginnings, the last first. */
  #shortenTime(): void {
    while (this.#shift((ms) => Math.floor(ms / 2)));
    const { operations, mishaps, healAtMs } = this.#best;
    const instants = [...operations, ...mishaps].map(({ atMs }) => atMs);
    const ordered = [...new Set([0, ...instants, healAtMs])].sort((a, b) => a - b);
    for (let at = ordered.length - 1; at >= 1; at--) {
      const [before, since] = [ordered[at - 1] as number, ordered[at] as number];
      let wait = since - before;
      lower({ from: wait, floor: 0, isCoarse: true }, (shorter) => {
        const saved = wait - shorter;
        const isKept = this.#shift((ms) => (ms > before ? ms - saved : ms));
        if (isKept) wait = shorter;
        return isKept;
      });
    }
  }

  #shift(sooner: (ms: number) => number): boolean {
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

/** Null for what the form of plans refuses, such as a node that is no longer there. */
function parse(candidate: Candidate): Plan | null {
  try {
    return planOf(candidate);
  } catch (error) {
    if (error instanceof BadPlan) return null;
    throw error;
  }
}
