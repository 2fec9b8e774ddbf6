// `npm run sim -- shrink`: makes the plan of a failing seed as small as it gets, saves it and says
// how to see it again. Owns the command line and the files; shrinking is sim/shrink-failure.ts.

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Command } from "commander";

import {
  NEWS_AFTER_MS,
  type Print,
  parseCount,
  parseSeed,
  readPlan,
  runCommand,
  UsageError,
} from "./command-line.ts";
import { loadBroken } from "./mutants/load.ts";
import type { Mutant } from "./mutants/mutant.ts";
import { findMutant, seedsFor } from "./mutants/run.ts";
import type { Plan } from "./plan.ts";
import { encodeBriefly } from "./plan-draft.ts";
import { describeViolation } from "./report.ts";
import { EXIT_CODES, EXIT_USAGE, runPlan } from "./run.ts";
import { type RunPlan, sizeOf } from "./shrink-failure.ts";
import { type Shrinking, shrinkInTime } from "./shrink-time.ts";
import { drawPlan } from "./swarm.ts";
import { plural } from "./words.ts";

interface Options {
  readonly seed?: string;
  readonly plan?: string;
  readonly mutant?: string;
  readonly out?: string;
  readonly seconds: number;
  readonly runs: number;
}

/** Runs the command and returns its exit code: 0 when something was shrunk and saved. */
export async function shrinkMain(args: readonly string[], print: Print): Promise<number> {
  const command = makeCommand();
  return runCommand(command, args, print, async () => {
    const options = command.opts<Options>();
    if (options.seed !== undefined && options.plan !== undefined)
      throw new UsageError("choose one of --seed and --plan");
    if (options.mutant !== undefined) return shrinkMutant(options.mutant, options, print);
    const plan = originalOf(options);
    if (plan === null) throw new UsageError("say what to shrink: --seed, --plan or --mutant");
    return shrinkOne(plan, nameOf(options), runPlan, options, print);
  });
}

function makeCommand(): Command {
  return new Command("npm run sim -- shrink")
    .description(
      "Makes the plan of a failing run small: the same failure with the least that it needs.",
    )
    .option("--seed <name>", "shrink the plan of this seed", parseSeed)
    .option("--plan <file>", "shrink a plan, as scenarios/*.json are")
    .option(
      "--mutant <name>",
      "in code broken in this way; without a seed, in the first that fails",
    )
    .option("--out <file>", "where the plan goes (default: .cairn/shrunk/NAME.json)")
    .option("--seconds <count>", "stop after this time", parseCount, 60)
    .option("--runs <count>", "stop after so many runs", parseCount, 5000)
    .addHelpText("after", "\nExit: 0 shrunk, 4 nothing failed, 64 usage");
}

function originalOf({ seed, plan }: Options): Plan | null {
  if (plan !== undefined) return readPlan(plan);
  return seed === undefined ? null : drawPlan(seed);
}

function nameOf({ seed, plan }: Options): string {
  return plan === undefined ? `seed ${seed}` : `plan ${plan}`;
}

// ---- one failure ----

async function shrinkMutant(wanted: string, options: Options, print: Print): Promise<number> {
  const mutant = findMutant(wanted, print);
  if (mutant === null) return EXIT_USAGE;
  print(`mutant   ${mutant.name}: ${mutant.breaks}`);
  const original = originalOf(options);
  const broken = await loadBroken(mutant);
  try {
    const plan = original ?? huntPlan(mutant, broken.runPlan);
    if (plan !== null) {
      const name = original === null ? `seed ${plan.seed}` : nameOf(options);
      return shrinkOne(plan, name, broken.runPlan, options, print);
    }
    print(`SURVIVED ${mutant.name}: no seed fails, so there is nothing to shrink`);
    return EXIT_CODES.unknown;
  } finally {
    broken.remove();
  }
}

/** The plan of the first seed that fails. */
function huntPlan(mutant: Mutant, run: RunPlan): Plan | null {
  for (const seed of seedsFor(mutant)) {
    const plan = drawPlan(seed);
    if (run(plan).violation !== null) return plan;
  }
  return null;
}

function shrinkOne(plan: Plan, name: string, run: RunPlan, options: Options, print: Print): number {
  const shrinking = shrinkInTime(plan, run, options, makeProgress(name));
  clearProgress();
  if (shrinking === null) {
    print(`PASS ${name}: it does not fail, so there is nothing to shrink`);
    return EXIT_CODES.unknown;
  }
  const { shrunk } = shrinking;
  const file = options.out ?? defaultFile(plan, options);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, encodeBriefly(shrunk.plan));
  for (const line of describeSizes(shrinking)) print(line);
  if (options.mutant !== undefined)
    print(`unbroken ${runPlan(shrunk.plan).verdict}: the same plan on the sources as they are`);
  print("");
  for (const line of describeViolation(shrunk.report)) print(line);
  const mutant = options.mutant === undefined ? "" : ` --mutant ${options.mutant}`;
  print(`replay: npm run sim -- --plan ${file}${mutant}`);
  print(`SHRUNK ${name}: ${describeSteps(shrinking)}`);
  return 0;
}

function describeSizes({ original, shrunk }: Shrinking): string[] {
  const { plan, before, report, cutOff, isMinimal } = shrunk;
  const end = isMinimal ? "nothing more can be taken away" : "there was no time for more";
  return [
    `plan     ${original.operations.length} -> ${plural(plan.operations.length, "operation")}, ` +
      `${original.mishaps.length} -> ${plural(plan.mishaps.length, "mishap")}, ` +
      `${original.nodes} -> ${plural(plan.nodes, "node")}, ` +
      `healed at ${original.healAtMs} -> ${plan.healAtMs} ms`,
    `run      ${before.events} -> ${report.events} events; ${end}` +
      (cutOff === 0 ? "" : `; ${plural(cutOff, "run")} ended early, far beyond the failure`),
  ];
}

function describeSteps({ original, shrunk, wallMs }: Shrinking): string {
  const sizes = `${sizeOf(original)} -> ${plural(sizeOf(shrunk.plan), "plan event")}`;
  return `${sizes} in ${plural(shrunk.runs, "run")} and ${(wallMs / 1000).toFixed(1)} s`;
}

function defaultFile(plan: Plan, { mutant, plan: file }: Options): string {
  const origin = file === undefined ? `seed-${plan.seed}` : path.basename(file, ".json");
  const name = mutant === undefined ? origin : `${mutant}-${origin}`;
  return path.join(".cairn", "shrunk", `${name}.json`);
}

// ---- on a terminal ----

function makeProgress(name: string): (best: Plan, runs: number) => void {
  if (!process.stderr.isTTY) return () => undefined;
  const began = performance.now();
  return (best, runs) => {
    if (performance.now() - began < NEWS_AFTER_MS) return;
    const size = plural(sizeOf(best), "plan event");
    process.stderr.write(`\r\u001b[K${name}: ${size} after ${plural(runs, "run")}`);
  };
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
}
