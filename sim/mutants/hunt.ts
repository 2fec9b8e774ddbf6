// Runs seeds until one fails, in a process of a (broken) build of its own, and prints one line of JSON: the
// kill, or null. Owns nothing else; run.ts starts it. `node hunt.js FIRST COUNT` or `node hunt.js SEED`.

import { runPlan } from "../run.ts";
import { drawPlan } from "../swarm.ts";
import type { Kill } from "./mutant.ts";

const [first, count] = process.argv.slice(2);
if (first === undefined) throw new Error("usage: hunt.js FIRST COUNT | SEED");
const seeds =
  count === undefined
    ? [first]
    : Array.from({ length: Number(count) }, (_, at) => String(Number(first) + at));

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
