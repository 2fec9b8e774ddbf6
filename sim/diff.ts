// Where two runs part: the first event that is another, and what was around it in either. Each plan
// is run twice, once for a number an event and once for the words around the place, so that a long
// run takes no more room than its numbers. Owns the comparison; words are sim/narrator.ts.

import { describeNarrated, type Narrated, Narrator } from "./narrator.ts";
import type { Plan, PlannedMishap } from "./plan.ts";
import { type RunReport, runPlan } from "./run.ts";

/** Events shown on either side of the place. */
const CONTEXT = 8;

/** One event in words. */
interface DiffLine {
  /** Its number among the events of nodes; null for what is no node's, and is not compared. */
  readonly number: number | null;
  readonly text: string;
}

/** One of the two runs, around the place where they part. */
export interface DiffSide {
  readonly report: RunReport;
  /** Events of its nodes. */
  readonly count: number;
  readonly lines: readonly DiffLine[];
}

export interface Divergence {
  /** Number of the first event that differs, from 0; null when all are the same. */
  readonly at: number | null;
  readonly sides: readonly [DiffSide, DiffSide];
}

/**
 * Runs both plans, and finds the first event of a node that is not the same: that a path is cut is
 * the mishap itself, what a node does about it is what follows.
 */
export function diffRuns(one: Plan, other: Plan): Divergence {
  const [a, b] = [numbersOf(one), numbersOf(other)];
  const at = firstDifference(a.numbers, b.numbers);
  const from = Math.max(0, (at ?? a.numbers.length) - CONTEXT);
  const to = from + 2 * CONTEXT + 1;
  const sides = [
    { report: a.report, count: a.numbers.length, lines: linesOf(one, from, to) },
    { report: b.report, count: b.numbers.length, lines: linesOf(other, from, to) },
  ] as const;
  return { at, sides };
}

function numbersOf(plan: Plan): { readonly report: RunReport; readonly numbers: number[] } {
  const numbers: number[] = [];
  const narrator = new Narrator((narrated) => {
    if (narrated.node !== null) numbers.push(numberOf(narrated));
  });
  return { report: runPlan(plan, [narrator]), numbers };
}

/** FNV-1a over all that a line says. */
function numberOf(narrated: Narrated): number {
  let number = 0x811c9dc5;
  const text = `${narrated.at} ${narrated.node} ${narrated.kind} ${narrated.what}`;
  for (let at = 0; at < text.length; at++)
    number = Math.imul(number ^ text.charCodeAt(at), 0x01000193);
  return number >>> 0;
}

function firstDifference(a: readonly number[], b: readonly number[]): number | null {
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at++) if (a[at] !== b[at]) return at;
  return a.length === b.length ? null : shorter;
}

function linesOf(plan: Plan, from: number, to: number): DiffLine[] {
  const lines: DiffLine[] = [];
  let count = 0;
  const narrator = new Narrator((narrated) => {
    const number = narrated.node === null ? null : count;
    if (count >= from && count < to) lines.push({ number, text: describeNarrated(narrated) });
    if (number !== null) count++;
  });
  runPlan(plan, [narrator]);
  return lines;
}

/** Thrown when what is to be left out is not in the plan; says what is. */
export class NoSuchMishap extends Error {}

/**
 * The plan without one of its mishaps: "3" for the third, a kind where there is one of it, "kind.2"
 * for the second of it.
 */
export function withoutMishap(
  plan: Plan,
  which: string,
): { readonly plan: Plan; readonly left: PlannedMishap } {
  const { mishaps } = plan;
  const [kind, nth] = which.split(".");
  const ofKind = mishaps.filter((mishap) => mishap.kind === kind);
  const left = /^\d+$/.test(which)
    ? mishaps[Number(which) - 1]
    : nth === undefined && ofKind.length > 1
      ? undefined
      : ofKind[Number(nth ?? 1) - 1];
  if (left === undefined) throw new NoSuchMishap(describeChoice(plan, which));
  return { plan: { ...plan, mishaps: mishaps.filter((mishap) => mishap !== left) }, left };
}

function describeChoice({ mishaps }: Plan, which: string): string {
  const counts = new Map<string, number>();
  const rows = mishaps.map((mishap, at) => {
    const nth = (counts.get(mishap.kind) ?? 0) + 1;
    counts.set(mishap.kind, nth);
    return `  ${String(at + 1).padStart(3)}  ${mishap.kind}.${nth} at ${mishap.atMs} ms`;
  });
  const many = (counts.get(which) ?? 0) > 1 ? "is more than one of" : "is none of";
  return `--without ${which}: that ${many} the plan's mishaps:\n${rows.join("\n")}`;
}

/** The two runs in words, the lines that differ marked. */
export function describeDivergence({ at, sides }: Divergence): string[] {
  const [one, other] = sides;
  if (at === null)
    return [`both runs did the same, ${one.count} events`, `digest ${one.report.digest}`];
  const side = (name: string, { report, count, lines }: DiffSide) => [
    "",
    `${name}: ${report.verdict}, ${count} events, digest ${report.digest}`,
    ...lines.map(({ number, text }) => `${markOf(number, at)} ${text}`),
    ...(at >= count ? ["> the run is over"] : []),
  ];
  return [
    `the first ${at} events are the same, then they part`,
    ...side("with it", one),
    ...side("without it", other),
  ];
}

function markOf(number: number | null, at: number): string {
  if (number === at) return ">";
  return number !== null && number > at ? "|" : " ";
}
