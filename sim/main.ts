// `npm run sim`: runs a seed, many seeds, a plan, a mutant or a recorded run, prints what came of
// it, and exits with the verdict. Owns the command line; every number on it is made elsewhere.

import { pathToFileURL } from "node:url";
import { Command } from "commander";

import { runBatch } from "./batch.ts";
import { describeMissedMarks, describeTameness, runsByMark } from "./checks/non-vacuity.ts";
import {
  NEWS_AFTER_MS,
  type Print,
  parseCount,
  parseProfile,
  parseSeed,
  parseSpanMs,
  parseWhole,
  printLine,
  readPlan,
  runCommand,
  UsageError,
} from "./command-line.ts";
import { checkPlan, checkSample, EXIT_DIFFERENT, SURROUNDINGS } from "./gate-main.ts";
import { diffWithout, lookUntil, withTraceFile } from "./look-main.ts";
import { loadBroken } from "./mutants/load.ts";
import { findMutant, runMutant } from "./mutants/run.ts";
import type { Observer } from "./observer.ts";
import type { Plan } from "./plan.ts";
import { PROFILE_NOTES, type Profile } from "./profiles.ts";
import { replay } from "./replay.ts";
import {
  describeLosses,
  describeMarkTable,
  describeOutcome,
  describePlan,
  describeViolation,
} from "./report.ts";
import { EXIT_CODES, EXIT_USAGE, runPlan } from "./run.ts";
import type { TimedReport } from "./seed-worker.ts";
import type { RunPlan } from "./shrink-failure.ts";
import { shrinkMain } from "./shrink-main.ts";
import { drawPlan } from "./swarm.ts";
import { Trace } from "./trace.ts";
import { plural } from "./words.ts";

interface Options {
  readonly seed?: string;
  readonly seeds?: number;
  readonly from: number;
  readonly jobs: number;
  readonly profile: Profile;
  readonly plan?: string;
  readonly mutant?: string;
  readonly replay?: string;
  readonly until?: number;
  readonly diff?: string;
  readonly without?: string;
  readonly trace?: string;
  readonly check?: boolean;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

/** Runs the command and returns its exit code. */
export async function main(args: readonly string[], print: Print): Promise<number> {
  if (args[0] === "shrink") return shrinkMain(args.slice(1), print);
  const command = makeCommand();
  return runCommand(command, args, print, () => run(command.opts<Options>(), print));
}

function makeCommand(): Command {
  return new Command("npm run sim --")
    .description("Runs a cluster in virtual time, with everything going wrong, and checks it.")
    .option("--seed <name>", "run this seed (any word; a random one by default)", parseSeed)
    .option("--seeds <count>", "run so many seeds", parseCount)
    .option("--from <seed>", "number of the first of many seeds", parseWhole, 1)
    .option("--jobs <count>", "processes that run seeds at the same time", parseCount, 1)
    .option("--profile <name>", "what goes wrong, see below", parseProfile, "swarm")
    .option("--plan <file>", "run a plan, as scenarios/*.json are")
    .option("--mutant <name>", "break the code in this way and find a seed that shows it")
    .option("--replay <dir>", "run what `cairn agent --record` wrote, and compare")
    .option(
      "--until <time>",
      "stop there (1.5s, 900ms), and print nodes, logs, queues, disks",
      parseSpanMs,
    )
    .option("--diff <seed>", "show where this seed parts from itself --without a mishap", parseSeed)
    .option("--without <mishap>", "by its number in the plan, or its kind; with --diff or --plan")
    .option("--trace <file>", "write all events: for ShiViz, or as NDJSON to a .ndjson file")
    .option("--check", "run twice and elsewhere, and name the first event that differs")
    .option("--verbose", "print every row")
    .option("--json", "print one line of JSON instead")
    .addHelpText(
      "after",
      `\nProfiles:\n${describeProfiles()}\n\nAlso: npm run sim -- shrink --help\nExit: ${EXITS}`,
    );
}

const EXITS =
  "0 pass, 1 safety, 2 liveness, 3 crash, 4 unknown (nothing was shown),\n" +
  "      5 not deterministic (--check), 64 usage";

function describeProfiles(): string {
  const rows = Object.entries(PROFILE_NOTES);
  return rows.map(([name, what]) => `  ${name.padEnd(10)} ${what}`).join("\n");
}

async function run(options: Options, print: Print): Promise<number> {
  const modes = (["seed", "seeds", "plan", "mutant", "replay", "diff"] as const).filter(
    (mode) => options[mode] !== undefined,
  );
  // A mutant may be shown with a seed or a plan of one's own.
  const isMutantShown =
    modes.length === 2 &&
    modes.includes("mutant") &&
    !modes.includes("replay") &&
    !modes.includes("seeds");
  if (modes.length > 1 && !isMutantShown)
    throw new UsageError(`choose one of --${modes.join(" and --")}`);
  const isDrawn = modes.every((mode) => mode.startsWith("seed") || mode === "diff");
  if (options.profile !== "swarm" && !isDrawn)
    throw new UsageError("--profile goes with --seed, --seeds or --diff, whose plans are drawn");
  checkLooks(options, modes);
  if (options.check === true && options.seeds === undefined) return check(options, modes, print);
  if (options.without !== undefined)
    return diffWithout(planToDiff(options), options.without, print);
  if (options.replay !== undefined) return replay(options.replay);
  if (options.mutant !== undefined && options.plan !== undefined)
    return runBrokenPlan(options.mutant, options.plan, options, print);
  if (options.mutant !== undefined) return runMutant(options.mutant, print, options.seed ?? null);
  if (options.seeds !== undefined) return runSeeds(options.seeds, options, print);
  if (options.plan !== undefined) {
    const plan = readPlan(options.plan);
    return runOne(plan, `plan ${options.plan}`, `--plan ${options.plan}`, options, print);
  }
  const seed = options.seed ?? drawSeed();
  const again = `--seed ${seed}${profileOf(options)}`;
  return runOne(drawPlan(seed, options.profile), `seed ${seed}`, again, options, print);
}

/** Runs one seed or plan twice, and elsewhere. */
function check(options: Options, modes: readonly string[], print: Print): number {
  const { seed, plan, until, trace, without, json } = options;
  const isOne = modes.length === 1 && (seed !== undefined || plan !== undefined);
  if (!isOne || [until, trace, without, json].some((look) => look !== undefined))
    throw new UsageError(
      "--check goes with --seed, --plan or --seeds, and nothing else to look at",
    );
  const checked =
    plan === undefined ? { seed: seed ?? "", profile: options.profile } : { file: plan };
  const name = plan === undefined ? `seed ${seed}` : `plan ${plan}`;
  return checkPlan(name, checked, SURROUNDINGS, print) ? 0 : EXIT_DIFFERENT;
}

/** What looks at one run goes with one run. */
function checkLooks(options: Options, modes: readonly string[]): void {
  const { until, trace, without, diff, json } = options;
  const isOne = modes.every((mode) => mode === "seed" || mode === "plan");
  if (until !== undefined && (!isOne || without !== undefined || json === true))
    throw new UsageError("--until goes with --seed or --plan, and prints tables");
  if (trace !== undefined && (!isOne || without !== undefined))
    throw new UsageError("--trace goes with --seed or --plan");
  if (diff !== undefined && without === undefined)
    throw new UsageError("--diff needs --without: the mishap that the other run does not have");
  if (without !== undefined && !modes.every((mode) => mode === "diff" || mode === "plan"))
    throw new UsageError("--without goes with --diff or --plan");
}

function planToDiff({ plan, diff, profile }: Options): Plan {
  if (plan !== undefined) return readPlan(plan);
  if (diff === undefined) throw new UsageError("--without goes with --diff or --plan");
  return drawPlan(diff, profile);
}

/** What the command line needs beside the seed. */
function profileOf({ profile }: Options): string {
  return profile === "swarm" ? "" : ` --profile ${profile}`;
}

async function runBrokenPlan(
  wanted: string,
  file: string,
  options: Options,
  print: Print,
): Promise<number> {
  const plan = readPlan(file);
  const mutant = findMutant(wanted, print);
  if (mutant === null) return EXIT_USAGE;
  const broken = await loadBroken(mutant);
  try {
    const again = `--plan ${file} --mutant ${wanted}`;
    return runOne(plan, `plan ${file}`, again, options, print, broken.runPlan);
  } finally {
    broken.remove();
  }
}

function runOne(
  plan: Plan,
  name: string,
  again: string,
  options: Options,
  print: Print,
  run: RunPlan = runPlan,
): number {
  const { trace: file, until } = options;
  const look = (observers: readonly Observer[]) =>
    until === undefined
      ? runAndPrint(plan, name, again, options, print, run, observers)
      : lookUntil(plan, until, observers, print);
  return file === undefined ? look([]) : withTraceFile(file, (observer) => look([observer]));
}

function runAndPrint(
  plan: Plan,
  name: string,
  again: string,
  options: Options,
  print: Print,
  run: RunPlan,
  observers: readonly Observer[],
): number {
  if (options.json !== true) for (const line of describePlan(plan)) print(line);
  const trace = new Trace();
  const began = performance.now();
  const report = run(plan, [trace, ...observers]);
  const wallMs = performance.now() - began;
  if (options.json === true) {
    print(JSON.stringify({ ...report, wallMs: Math.round(wallMs) }));
    return EXIT_CODES[report.verdict];
  }
  print("");
  for (const line of trace.lines(options.verbose === true)) print(line);
  print("");
  for (const line of describeLosses(report)) print(line);
  for (const line of describeViolation(report)) print(line);
  print(`digest ${report.digest}, ${report.events} events`);
  print(`replay: npm run sim -- ${again}`);
  print(describeOutcome(report, name, wallMs));
  return EXIT_CODES[report.verdict];
}

async function runSeeds(count: number, options: Options, print: Print): Promise<number> {
  const seeds = Array.from({ length: count }, (_, at) => String(options.from + at));
  const began = performance.now();
  const timed = await runBatch(seeds, options.jobs, makeProgress(count), options.profile);
  const wallMs = performance.now() - began;
  if (options.json === true)
    for (const { report, wallMs: seedMs } of timed)
      print(JSON.stringify({ ...report, wallMs: Math.round(seedMs) }));
  else for (const line of describeBatch(timed, wallMs, options)) print(line);
  const failed = firstFailure(timed);
  if (failed !== undefined) return EXIT_CODES[failed.report.verdict];
  if (options.check === true && !checkSample(seeds, options.profile, print)) return EXIT_DIFFERENT;
  return tamenessOf(timed, options) === null ? 0 : EXIT_CODES.unknown;
}

/** Why the batch shows too little; calm runs and foundings are not there to be dangerous. */
function tamenessOf(timed: readonly TimedReport[], { profile }: Options): string | null {
  if (profile === "calm" || profile === "discovery") return null;
  const reports = timed.map(({ report }) => report);
  return (
    describeTameness(reports.map(({ counts }) => counts)) ??
    describeMissedMarks(reports.length, runsByMark(reports.map(({ marks }) => marks)))
  );
}

function describeBatch(timed: readonly TimedReport[], wallMs: number, options: Options): string[] {
  const seconds = wallMs / 1000;
  let events = 0;
  let simulatedMs = 0;
  for (const { report } of timed) {
    events += report.events;
    simulatedMs += report.simulatedMs;
  }
  const pace = [
    `${(timed.length / seconds).toFixed(1)} seeds/s`,
    `${Math.round(events / seconds)} events/s`,
    `simulated : wall ${Math.round(simulatedMs / wallMs)} : 1`,
  ];
  const lines = [
    `${plural(timed.length, "seed")} in ${seconds.toFixed(1)} s, ${plural(options.jobs, "job")}: ${pace.join(", ")}`,
  ];
  lines.push(describeExcuses(timed));
  lines.push(
    "runs that came to:",
    ...describeMarkTable(runsByMark(timed.map(({ report }) => report.marks))),
  );
  const failures = timed.filter(({ report }) => report.verdict !== "pass");
  const failed = firstFailure(timed);
  const tameness = tamenessOf(timed, options);
  if (failed !== undefined) {
    lines.push(...describeViolation(failed.report));
    lines.push(`first failing seed: ${failed.report.seed} (of ${failures.length} that fail)`);
    lines.push(`replay: npm run sim -- --seed ${failed.report.seed}${profileOf(options)}`);
    lines.push(`FAIL ${plural(timed.length, "seed")}`);
  } else if (tameness !== null) lines.push(`UNKNOWN ${plural(timed.length, "seed")}: ${tameness}`);
  else lines.push(`PASS ${plural(timed.length, "seed")}, no failing seed`);
  return lines;
}

/** What a passing run did not have to show, and why, over all runs. */
function describeExcuses(timed: readonly TimedReport[]): string {
  const all = timed.map(({ report }) => report.counts);
  const outside = all.filter((counts) => counts.outside > 0).length;
  const damaged = all.filter((counts) => counts.disksLost > 0).length;
  const spared = all.filter((counts) => counts.spared > 0).length;
  const excused = all.filter((counts) => counts.excused > 0).length;
  return (
    `recovered without some nodes: ${outside} runs failed for ever (${spared} needed a node that ` +
    `would have), ${damaged} damaged; recovery excused in ${excused}`
  );
}

function firstFailure(timed: readonly TimedReport[]): TimedReport | undefined {
  return timed.find(({ report }) => report.verdict !== "pass");
}

/** A line that overwrites itself, on a terminal, once a batch has taken two seconds. */
function makeProgress(count: number): (done: number) => void {
  const began = performance.now();
  if (!process.stderr.isTTY) return () => undefined;
  return (done) => {
    const spent = performance.now() - began;
    if (spent < NEWS_AFTER_MS) return;
    const rate = ((done * 1000) / spent).toFixed(1);
    process.stderr.write(
      `\r\u001b[K${done === count ? "" : `${done} of ${count} seeds, ${rate}/s`}`,
    );
  };
}

function drawSeed(): string {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  process.exitCode = await main(process.argv.slice(2), printLine);
