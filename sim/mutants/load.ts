// Loads the simulator of a broken build into this process, to run plans on it one after another.
// Owns the loading and the removal of the build; making one is build.ts.

import path from "node:path";
import { pathToFileURL } from "node:url";

import type { runPlan } from "../run.ts";
import { type Build, breakBuild, buildSources } from "./build.ts";
import type { Mutant } from "./mutant.ts";

export interface BrokenSimulator {
  readonly runPlan: typeof runPlan;
  /** The simulator stays loaded, its files go. */
  readonly remove: () => void;
}

/** Breaks a copy of `sound`, which a caller with many mutants makes once. */
export async function loadBroken(mutant: Mutant, sound?: Build): Promise<BrokenSimulator> {
  const base = sound ?? (await buildSources());
  try {
    const build = await breakBuild(base, mutant);
    const file = pathToFileURL(path.join(build.dist, "sim", "run.js")).href;
    const module = (await import(file)) as typeof import("../run.ts");
    return { runPlan: module.runPlan, remove: build.remove };
  } finally {
    if (sound === undefined) base.remove();
  }
}
