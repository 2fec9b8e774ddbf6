// What a fuzzing run has come to, counted as its seeds end: sums, marks, and failures that are put
// together when they are the same. Owns when two failures are one; words are sim/fuzz-report.ts.

import { MARKS, type Mark } from "./marks.ts";
import type { SeedOutcome } from "./seed-pool.ts";
import { fingerprintOf } from "./shrink-failure.ts";

/** All seeds that failed in one way. */
export interface FailureGroup {
  readonly fingerprint: string;
  readonly verdict: string;
  readonly property: string;
  /** Of the first of them. */
  readonly facts: readonly string[];
  readonly seeds: string[];
}

/** One seed, for a report of all. */
export interface SeedRow {
  readonly seed: string;
  readonly wallMs: number;
  readonly failure: FailureGroup | null;
}

export class FuzzTally {
  readonly rows: SeedRow[] = [];
  readonly groups = new Map<string, FailureGroup>();
  readonly marks = new Map<Mark, number>();
  events = 0;
  simulatedMs = 0;
  /** Workers that died one after another, without a report in between. */
  deathsInARow = 0;

  constructor() {
    for (const mark of Object.keys(MARKS) as Mark[]) this.marks.set(mark, 0);
  }

  get failures(): number {
    return this.rows.filter(({ failure }) => failure !== null).length;
  }

  get marksReached(): number {
    return [...this.marks.values()].filter((runs) => runs > 0).length;
  }

  /** Null when the seed passed. */
  add(outcome: SeedOutcome): FailureGroup | null {
    this.deathsInARow = outcome.kind === "died" ? this.deathsInARow + 1 : 0;
    if (outcome.kind === "report") this.#count(outcome);
    const failure = this.#groupOf(outcome);
    failure?.seeds.push(outcome.seed);
    this.rows.push({ seed: outcome.seed, wallMs: outcome.wallMs, failure });
    return failure;
  }

  #count({ report }: Extract<SeedOutcome, { kind: "report" }>): void {
    this.events += report.events;
    this.simulatedMs += report.simulatedMs;
    for (const [mark, runs] of this.marks)
      if (report.marks[mark] > 0) this.marks.set(mark, runs + 1);
  }

  #groupOf(outcome: SeedOutcome): FailureGroup | null {
    const told = tell(outcome);
    if (told === null) return null;
    const known = this.groups.get(told.fingerprint);
    if (known !== undefined) return known;
    const group: FailureGroup = { ...told, seeds: [] };
    this.groups.set(group.fingerprint, group);
    return group;
  }
}

function tell(outcome: SeedOutcome): Omit<FailureGroup, "seeds"> | null {
  if (outcome.kind === "died") {
    const fingerprint = `died ${outcome.why.replace(/\d+/g, "#")}`;
    const facts = [`the process that ran it died: ${outcome.why}`];
    return { fingerprint, verdict: "crash", property: "simulator-stands", facts };
  }
  if (outcome.kind === "late") {
    const facts = [`it had no end in ${Math.round(outcome.wallMs / 1000)} s, and was killed`];
    return { fingerprint: "late", verdict: "crash", property: "ends", facts };
  }
  const { verdict, violation } = outcome.report;
  const fingerprint = fingerprintOf(outcome.report);
  if (violation !== null && fingerprint !== null)
    return { fingerprint, verdict, property: violation.property, facts: violation.facts };
  if (verdict === "pass") return null;
  // Too little happened to show anything.
  const facts = ["no node led, or no append was acknowledged"];
  return { fingerprint: verdict, verdict, property: "shows-something", facts };
}
