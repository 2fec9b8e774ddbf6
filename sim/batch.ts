// Many seeds at once: gives them to child processes and collects the reports in the order of the
// seeds, so that what is printed does not depend on which child was quicker. Owns processes; one
// run is sim/run.ts.

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Profile } from "./profiles.ts";
import type { RunReport } from "./run.ts";
import { runPlan } from "./run.ts";
import { drawPlan } from "./swarm.ts";

/** The program of the child processes is this file. */
const THIS_FILE = fileURLToPath(import.meta.url);

/** A run and the time it took on this machine. */
export interface TimedReport {
  readonly report: RunReport;
  readonly wallMs: number;
}

/** What a child process is sent. */
interface SeedOfProfile {
  readonly seed: string;
  readonly profile: Profile;
}

function runSeed({ seed, profile }: SeedOfProfile): TimedReport {
  const began = performance.now();
  const report = runPlan(drawPlan(seed, profile));
  return { report, wallMs: performance.now() - began };
}

/** Reports in the order of `seeds`; `progress` hears how many are done. */
export async function runBatch(
  seeds: readonly string[],
  jobs: number,
  progress: (done: number) => void,
  profile: Profile = "swarm",
): Promise<TimedReport[]> {
  const planned = seeds.map((seed) => ({ seed, profile }));
  if (jobs === 1) return runHere(planned, progress);
  const timed = new Array<TimedReport>(seeds.length);
  let next = 0;
  let done = 0;
  const work = async (child: ChildProcess) => {
    for (let at = next++; at < seeds.length; at = next++) {
      timed[at] = await ask(child, planned[at] as SeedOfProfile);
      progress(++done);
    }
    child.disconnect();
  };
  const count = Math.min(jobs, seeds.length);
  const children = Array.from({ length: count }, () => fork(THIS_FILE));
  try {
    await Promise.all(children.map(work));
  } finally {
    for (const child of children) if (child.exitCode === null) child.kill();
  }
  return timed;
}

function runHere(seeds: readonly SeedOfProfile[], progress: (done: number) => void): TimedReport[] {
  return seeds.map((seed, at) => {
    const timed = runSeed(seed);
    progress(at + 1);
    return timed;
  });
}

function ask(child: ChildProcess, planned: SeedOfProfile): Promise<TimedReport> {
  return new Promise((resolve, reject) => {
    const died = (code: number | null) => {
      reject(
        new Error(`the process that ran seed ${planned.seed} died with ${code ?? "a signal"}`),
      );
    };
    child.once("exit", died);
    child.once("message", (message) => {
      child.off("exit", died);
      resolve(message as TimedReport);
    });
    child.send(planned);
  });
}

/** In a child process: runs the seeds that the parent sends, and sends each report back. */
function serve(): void {
  process.on("message", (planned: SeedOfProfile) => {
    process.send?.(runSeed(planned));
  });
  process.on("disconnect", () => process.exit());
}

if (process.argv[1] === THIS_FILE) serve();
