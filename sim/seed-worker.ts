// The child process of a batch or of a fuzzing run: runs the seeds that its parent sends, and sends
// each report back. Owns one run and how long it took here; who sends what is sim/seed-pool.ts.

import { fileURLToPath } from "node:url";

import type { Profile } from "./profiles.ts";
import { type RunReport, runPlan } from "./run.ts";
import { drawPlan } from "./swarm.ts";

/** This file, compiled: what a parent starts. */
export const SEED_WORKER = fileURLToPath(import.meta.url);

/** A run and the time it took on this machine. */
export interface TimedReport {
  readonly report: RunReport;
  readonly wallMs: number;
}

/** What a worker is sent. */
export interface SeedOfProfile {
  readonly seed: string;
  readonly profile: Profile;
}

export function runSeed({ seed, profile }: SeedOfProfile): TimedReport {
  const began = performance.now();
  const report = runPlan(drawPlan(seed, profile));
  return { report, wallMs: performance.now() - began };
}

function serve(): void {
  process.on("message", (planned: SeedOfProfile) => {
    process.send?.(runSeed(planned));
  });
  process.on("disconnect", () => process.exit());
  // Ctrl-C goes to the whole group: the parent decides what becomes of its workers.
  process.on("SIGINT", () => undefined);
}

if (process.argv[1] === SEED_WORKER) serve();
