// Many seeds at once: their reports in the order of the seeds, so that what is printed does not
// depend on which process was quicker. Owns that order; processes are sim/seed-pool.ts, one run is
// sim/run.ts.

import type { Profile } from "./profiles.ts";
import { runSeeds } from "./seed-pool.ts";
import { runSeed, SEED_WORKER, type SeedOfProfile, type TimedReport } from "./seed-worker.ts";

/** Far more than a run takes. */
const HEAP_MB_MAX = 4096;

/**
 * Reports in the order of `seeds`; `progress` hears how many are done. Throws when a process dies
 * of its seed, and names it.
 */
export async function runBatch(
  seeds: readonly string[],
  jobs: number,
  progress: (done: number) => void,
  profile: Profile = "swarm",
): Promise<TimedReport[]> {
  const planned = seeds.map((seed) => ({ seed, profile }));
  if (jobs === 1) return runHere(planned, progress);
  const reports = new Map<string, TimedReport>();
  const failed = new AbortController();
  let next = 0;
  let done = 0;
  let died: string | null = null;
  await runSeeds(
    () => planned[next++] ?? null,
    (outcome) => {
      if (outcome.kind === "report") {
        reports.set(outcome.seed, { report: outcome.report, wallMs: outcome.wallMs });
        progress(++done);
        return;
      }
      const why = outcome.kind === "died" ? outcome.why : "it took too long";
      died ??= `the process that ran seed ${outcome.seed} died: ${why}`;
      failed.abort();
    },
    {
      program: SEED_WORKER,
      jobs: Math.min(jobs, seeds.length),
      timeoutMs: null,
      heapMbMax: HEAP_MB_MAX,
      signal: failed.signal,
    },
  );
  if (died !== null) throw new Error(died);
  return seeds.map((seed) => reports.get(seed) as TimedReport);
}

function runHere(seeds: readonly SeedOfProfile[], progress: (done: number) => void): TimedReport[] {
  return seeds.map((seed, at) => {
    const timed = runSeed(seed);
    progress(at + 1);
    return timed;
  });
}
