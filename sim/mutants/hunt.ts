// Runs seeds until one fails, in a process of a (broken) build of its own, and prints one line of
// JSON: the kill, or null. Owns nothing else; run.ts starts it. `node hunt.js SEED...`.

import { runPlan } from "../run.ts";
import { drawPlan } from "../swarm.ts";
import type { Kill } from "./mutant.ts";

const seeds = process.argv.slice(2);
if (seeds.length === 0) throw new Error("usage: hunt.js SEED...");

process.stdout.write(`${JSON.stringify(hunt(seeds))}\n`);

function hunt(among: readonly string[]): Kill | null {
  for (const seed of among) {
    const { verdict, violation } = runPlan(drawPlan(seed));
    if (violation === null) continue;
    const { property, facts, at } = violation;
    return { seed, verdict, property, facts, at };
  }
  return null;
}
