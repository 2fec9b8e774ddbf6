// The figures of one mutant: disjoint streams of seeds, each until one fails, beside the same seeds
// on the sources as they are; and the smallest plan that still fails. Owns the counting; what is
// kept is ledger.ts, what is shown table.ts.

import { type Build, breakBuild } from "./build.ts";
import type { SeedHunt } from "./hunt.ts";
import { Hunter } from "./hunter.ts";
import type { Ledger, MutantRow, Outcome, StreamRow } from "./ledger.ts";
import { type Hunt, huntOf, type Mutant } from "./mutant.ts";
import { runTests } from "./test-run.ts";

export interface Extent {
  /** Disjoint streams; of a survivor they are one long one. */
  readonly streams: number;
  /** Seeds of a stream at most. */
  readonly seeds: number;
  /** For the shrinking of one failure; 0: none is shrunk. */
  readonly shrinkSeconds: number;
}

/** Stream n begins with seed 200 n + 1, however many seeds it may take. */
export const STREAM_SEEDS = 200;
export const STREAMS = 10;

const SHRINK_RUNS = 5000;

/** A name for all seeds that are run in the same way. */
export function nameOfHunt(hunt: Hunt): string {
  if (hunt.by === "simulator") return hunt.profile;
  if (hunt.by === "core") return `core, ${hunt.setting.voters}+${hunt.setting.joiners}`;
  return hunt.files.join(", ");
}

/** The sources as they are, run on demand, each seed once. */
export class Baseline {
  readonly #hunter: Hunter;
  readonly #ledger: Ledger;

  constructor(sound: Build, ledger: Ledger) {
    this.#hunter = new Hunter(sound);
    this.#ledger = ledger;
  }

  async outcomeOf(hunt: SeedHunt, seed: string): Promise<Outcome> {
    const known = this.#ledger.outcomesOf(nameOfHunt(hunt));
    const outcome = known[seed];
    if (outcome !== undefined) return outcome;
    const { behaviour, kill } = await this.#hunter.run(hunt, seed);
    const seen = { behaviour, property: kill?.property ?? null };
    known[seed] = seen;
    return seen;
  }

  /** Test files as they are: must pass. */
  async testsPass(files: readonly string[]): Promise<void> {
    const known = this.#ledger.outcomesOf("tests");
    for (const file of files) {
      if (known[file] !== undefined) continue;
      const { kill } = await runTests([file], null);
      known[file] = { behaviour: "", property: kill === null ? null : kill.property };
    }
  }

  stop(): void {
    this.#hunter.stop();
  }
}

/** Whether all that `extent` asks for is in the row. */
export function isMeasured(mutant: Mutant, row: MutantRow, extent: Extent): boolean {
  const hunt = huntOf(mutant);
  if (hunt.by === "tests") return row.tests !== null;
  const isShrunk = hunt.by === "core" || extent.shrinkSeconds === 0 || row.isShrinkingTried;
  return missingStreams(row, extent).length === 0 && (isShrunk || row.streams.every(isSurvived));
}

/** Streams that are not there, or might have gone on. */
export function missingStreams(row: MutantRow, { streams, seeds }: Extent): number[] {
  const all = Array.from({ length: streams }, (_, stream) => stream);
  return all.filter((stream) => {
    const known = row.streams.find((each) => each.stream === stream);
    return known === undefined || (isSurvived(known) && known.seedsMax < seeds);
  });
}

function isSurvived({ kill }: StreamRow): boolean {
  return kill === null;
}

/** What a measurement says and asks meanwhile. */
export interface Watcher {
  /** A stream, or the tests, are in the row. */
  readonly progressed: () => void;
  /** Asked between seeds: true ends it, and what is finished stays. */
  readonly isOver: () => boolean;
}

/** Fills what is missing in the mutant's row. */
export async function measure(
  mutant: Mutant,
  sound: Build,
  baseline: Baseline,
  row: MutantRow,
  extent: Extent,
  watcher: Watcher,
): Promise<void> {
  const hunt = huntOf(mutant);
  if (hunt.by === "tests") {
    await baseline.testsPass(hunt.files);
    const { kill, tests, failed, wallMs } = await runTests(hunt.files, mutant);
    row.tests = { tests, failed, file: kill?.property ?? null, wallMs };
    watcher.progressed();
    return;
  }
  const broken = await breakBuild(sound, mutant);
  const hunter = new Hunter(broken);
  try {
    for (const stream of missingStreams(row, extent)) {
      const begun = row.streams.find((each) => each.stream === stream) ?? nothingOf(stream);
      const measured = await runStream(hunter, baseline, hunt, begun, extent.seeds, watcher);
      if (measured === null) return;
      row.streams = [...row.streams.filter((each) => each.stream !== stream), measured];
      row.streams.sort((a, b) => a.stream - b.stream);
      watcher.progressed();
    }
    if (hunt.by === "core" || extent.shrinkSeconds === 0 || row.isShrinkingTried) return;
    if (!watcher.isOver()) await shrinkShortest(hunter, hunt, row, extent.shrinkSeconds);
    watcher.progressed();
  } finally {
    hunter.stop();
    broken.remove();
  }
}

function nothingOf(stream: number): StreamRow {
  const sums = { runs: 0, reached: 0, triggered: 0, wallMs: 0, cpuMs: 0 };
  return { stream, seedsMax: 0, ...sums, kill: null };
}

/** Goes on where it was, up to `seedsMax`. Null when it was ended. */
async function runStream(
  hunter: Hunter,
  baseline: Baseline,
  hunt: SeedHunt,
  begun: StreamRow,
  seedsMax: number,
  { isOver }: Watcher,
): Promise<StreamRow | null> {
  const { stream } = begun;
  const sums = { ...begun, seedsMax };
  for (let nth = begun.runs + 1; nth <= seedsMax; nth++) {
    if (isOver()) return null;
    const seed = String(stream * STREAM_SEEDS + nth);
    const seen = await hunter.run(hunt, seed);
    const sound = await baseline.outcomeOf(hunt, seed);
    const isTriggered = seen.kill !== null || seen.behaviour !== sound.behaviour;
    sums.runs += 1;
    // Whatever shows has run.
    sums.reached += Number(seen.isReached || isTriggered);
    sums.triggered += Number(isTriggered);
    sums.wallMs += seen.wallMs;
    sums.cpuMs += seen.cpuMs;
    if (seen.kill === null) continue;
    const kill = { seed, property: seen.kill.property, events: seen.events };
    return { ...sums, kill };
  }
  return sums;
}

/** The failure with the shortest run: of all, the one that is understood the soonest. */
async function shrinkShortest(
  hunter: Hunter,
  hunt: Extract<Hunt, { by: "simulator" }>,
  row: MutantRow,
  seconds: number,
): Promise<void> {
  const kills = row.streams.flatMap(({ kill }) => kill ?? []);
  const shortest = kills.sort((a, b) => a.events - b.events)[0];
  if (shortest === undefined) return;
  const limits = { seconds, runs: SHRINK_RUNS };
  row.shrunk = await hunter.shrink({ profile: hunt.profile, seed: shortest.seed, limits });
  row.isShrinkingTried = true;
}
