// How small the failures of all mutants get: the table of figures in docs/simulation.md. Owns its
// columns, its sums and its place in the page; the figures are made in sim/shrink-main.ts.

import type { Plan } from "./plan.ts";
import type { ShrunkFailure } from "./shrink-failure.ts";
import { sizeOf } from "./shrink-failure.ts";
import { plural } from "./words.ts";

/** One mutant's failure, or null when no seed showed it. */
export interface TableRow {
  readonly mutant: string;
  readonly shrinking: Shrinking | null;
}

/** A failure, what was left of it, and what that took. */
export interface Shrinking {
  readonly original: Plan;
  readonly shrunk: ShrunkFailure;
  readonly wallMs: number;
  readonly cpuMs: number;
}

const BEGIN = "<!-- written by `npm run sim -- shrink --all-mutants` -->";
const END = "<!-- end -->";

/** Median and worst of the rows, in a sentence. */
export function describeSums(rows: readonly TableRow[]): string {
  const all = rows.flatMap(({ shrinking }) => shrinking ?? []);
  if (all.length === 0) return `${plural(rows.length, "mutant")}, none of them seen`;
  const sizes = all.map(({ shrunk }) => sizeOf(shrunk.plan)).sort((a, b) => a - b);
  const walls = all.map(({ wallMs }) => wallMs).sort((a, b) => a - b);
  const middle = Math.floor(all.length / 2);
  const minimal = all.filter(({ shrunk }) => shrunk.isMinimal).length;
  return (
    `${all.length} of ${plural(rows.length, "mutant")}: ` +
    `plan events median ${sizes[middle]}, most ${sizes.at(-1)}; ` +
    `seconds median ${seconds(walls[middle])}, most ${seconds(walls.at(-1))}; ${minimal} minimal`
  );
}

/** Markdown; `when` names the commit, the machine and the day. */
export function describeTable(rows: readonly TableRow[], when: string): string[] {
  return [
    `Measured ${when}.`,
    `${describeSums(rows)}.`,
    "",
    "| mutant | seed | property | plan events | nodes | run's events | runs | s | CPU s |",
    "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ...rows.map(describeRow),
  ];
}

function describeRow({ mutant, shrinking }: TableRow): string {
  if (shrinking === null) return `| ${mutant} | no seed | | | | | | | |`;
  const { original, shrunk, wallMs, cpuMs } = shrinking;
  const { plan, before, report, runs, isMinimal } = shrunk;
  const cells = [
    mutant,
    before.seed,
    report.violation?.property,
    `${sizeOf(original)}→${sizeOf(plan)}`,
    `${original.nodes}→${plan.nodes}`,
    `${before.events}→${report.events}`,
    `${runs}${isMinimal ? "" : "+"}`,
    seconds(wallMs),
    seconds(cpuMs),
  ];
  return `| ${cells.join(" | ")} |`;
}

function seconds(ms: number | undefined): string {
  return ((ms ?? 0) / 1000).toFixed(1);
}

/** The page with the table between its two marks replaced; throws when they are not there. */
export function putTable(page: string, table: readonly string[]): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END, begin);
  if (begin < 0 || end < 0) throw new Error(`no table: write ${BEGIN} and ${END} where it goes`);
  const lines = [BEGIN, "", ...table, "", END];
  return page.slice(0, begin) + lines.join("\n") + page.slice(end + END.length);
}
