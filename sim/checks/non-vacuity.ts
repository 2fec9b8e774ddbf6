// Whether a run, or a batch of runs, has shown anything: a run in which nothing happened passes
// every check, and a batch of tame runs finds no bug. Owns the bars; the counting is sim/tally.ts.

import { MARKS, type Mark, type MarkCounts } from "../marks.ts";
import type { Counts } from "../tally.ts";

/** Why the run shows nothing, or null when it shows something. */
export function describeVacuity(counts: Counts): string | null {
  if (counts.leaders === 0) return "no node ever led";
  if (counts.acked === 0) return "no append was acknowledged";
  return null;
}

/** The dangers that a run of a batch must have met, and the words for them. */
const DANGERS: readonly (readonly [string, (counts: Counts) => boolean])[] = [
  ["two leaders", ({ leaders }) => leaders >= 2],
  ["35 acknowledged appends", ({ acked }) => acked >= 35],
  ["a crash that lost unsynced bytes", ({ lossyCrashes }) => lossyCrashes >= 1],
  ["a partition", ({ partitions, oneWayCuts }) => partitions + oneWayCuts >= 1],
];

/** True for a run that met all the dangers. */
export function isTelling(counts: Counts): boolean {
  return DANGERS.every(([, wasMet]) => wasMet(counts));
}

/** Of a batch's runs, those that must be telling. */
export const TELLING_PERCENT_MIN = 90;

/** Why a batch of runs shows too little, or null when it shows enough. */
export function describeTameness(runs: readonly Counts[]): string | null {
  const telling = runs.filter(isTelling).length;
  if (telling * 100 >= runs.length * TELLING_PERCENT_MIN) return null;
  const met = DANGERS.map(([danger, wasMet]) => `${danger} in ${runs.filter(wasMet).length}`);
  return (
    `only ${telling} of ${runs.length} runs met every danger, and ${TELLING_PERCENT_MIN} % must: ` +
    met.join(", ")
  );
}

/** From so many runs on, a batch must have come to every mark. */
export const MARKED_RUNS_MIN = 200;

/** How many runs came to each mark. */
export function runsByMark(runs: readonly MarkCounts[]): [Mark, number][] {
  return (Object.keys(MARKS) as Mark[]).map((mark) => [
    mark,
    runs.filter((marks) => marks[mark] > 0).length,
  ]);
}

/** The marks that a large batch has missed, in words; null when it missed none, or is small. */
export function describeMissedMarks(
  runs: number,
  reached: readonly (readonly [Mark, number])[],
): string | null {
  if (runs < MARKED_RUNS_MIN) return null;
  const missed = reached.filter(([, count]) => count === 0);
  if (missed.length === 0) return null;
  return `no run came to: ${missed.map(([mark]) => `${mark} (${MARKS[mark]})`).join(", ")}`;
}
