// `npm run fuzz`: fresh seeds for as long as it is told, in worker processes, and what failed put
// together. A broken build has to fail first, or a run without a failure would say nothing. Owns
// the command line, the clock and what ends a run; every figure on it is made elsewhere.

import { writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Command } from "commander";

import {
  type Print,
  parseCount,
  parseProfile,
  parseSpanMs,
  parseWhole,
  printLine,
  runCommand,
  UsageError,
} from "./command-line.ts";
import { buildIdOf, FuzzLedger } from "./fuzz-ledger.ts";
import { describeFuzz, describeProgress, encodeJunit, fitLine, judgeFuzz } from "./fuzz-report.ts";
import { FuzzTally } from "./fuzz-tally.ts";
import { breakBuild, buildSources } from "./mutants/build.ts";
import { huntOf, type Mutant } from "./mutants/mutant.ts";
import { findMutant, seedsFor } from "./mutants/run.ts";
import type { Profile } from "./profiles.ts";
import { EXIT_USAGE } from "./run.ts";
import { type PoolOptions, runSeeds, type SeedOutcome } from "./seed-pool.ts";
import { SEED_WORKER } from "./seed-worker.ts";

interface Options {
  readonly budget: number;
  readonly jobs: number;
  readonly profile: Profile;
  readonly timeout: number;
  readonly heap: number;
  readonly from?: number;
  readonly ledger: string;
  readonly canary: string;
  readonly junit?: string;
}

/** Of the canary: it is known to fail in one of the first. */
const CANARY_SEEDS_MAX = 10;
/** Then it is not the seeds. */
const DEATHS_MAX = 20;
const NEWS_EVERY_MS = 1000;
/** Where nobody looks at a terminal, a line is kept for ever. */
const NEWS_EVERY_MS_IN_LOGS = 30_000;

/** Runs the command and returns its exit code. */
export async function fuzzMain(args: readonly string[], print: Print): Promise<number> {
  const command = makeCommand();
  return runCommand(command, args, print, () => fuzz(command.opts<Options>(), print));
}

function makeCommand(): Command {
  return new Command("npm run fuzz --")
    .description("Runs fresh seeds until the time is over, and puts together what failed alike.")
    .option("--budget <time>", "for all seeds: 90s, 10m, 2h", parseSpanMs, 600_000)
    .option("--jobs <count>", "processes that run seeds at the same time", parseCount, 1)
    .option("--profile <name>", "what goes wrong, as in npm run sim", parseProfile, "swarm")
    .option("--timeout <time>", "for one seed", parseSpanMs, 120_000)
    .option("--heap <mb>", "for one process", parseCount, 1024)
    .option("--from <seed>", "number of the first fresh seed (default: after the last)", parseWhole)
    .option("--ledger <file>", "which seeds were run", ".cairn/fuzz/ledger.ndjson")
    .option("--canary <mutant>", "what has to fail first", "duplicate-sequence-accepted")
    .option("--junit <file>", "write JUnit's XML, one test for each seed")
    .addHelpText("after", `\n${EXITS}`);
}

const EXITS = "Exit: 0 pass, 1 some seed failed, 4 nothing was shown, 64 usage, 130 interrupted";

async function fuzz(options: Options, print: Print): Promise<number> {
  const canary = findMutant(options.canary, print);
  if (canary === null) return EXIT_USAGE;
  const hunt = huntOf(canary);
  if (hunt.by !== "simulator" || hunt.profile !== "swarm")
    throw new UsageError(`--canary ${canary.name}: no seed of the profile swarm hunts it`);
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  try {
    return await fuzzUntil(options, canary, interrupted.signal, print);
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

async function fuzzUntil(
  options: Options,
  mutant: Mutant,
  signal: AbortSignal,
  print: Print,
): Promise<number> {
  const dist = path.dirname(path.dirname(SEED_WORKER));
  const build = buildIdOf(dist);
  const { budget, profile, junit } = options;
  const ledger = openLedger(options, build);
  const tally = new FuzzTally();
  const news = new News();
  news.tell(`the canary ${options.canary} is made, and has to fail`);
  const canary = await tryCanary(mutant, options, signal);
  news.clear();
  print(`canary   ${canary.words}`);
  const again = ledger.againCount;
  print(`ledger   ${ledger.file}, build ${build}, ${again} seeds that failed with others first`);
  const began = performance.now();
  const spent = () => performance.now() - began;
  const isOver = () => spent() >= budget || tally.deathsInARow >= DEATHS_MAX;
  const heard = (outcome: SeedOutcome) => {
    const failure = tally.add(outcome);
    ledger.add(outcome.seed, failure?.fingerprint ?? null);
    if (failure?.seeds.length === 1) {
      news.clear();
      print(`FAILED   seed ${outcome.seed}: ${failure.verdict}, ${failure.property}`);
    }
    news.maybeTell(() => describeProgress(tally, spent(), budget));
  };
  const next = () => (isOver() ? null : { seed: ledger.next(), profile });
  if (canary.why === null) await runSeeds(next, heard, poolOf(options, SEED_WORKER, signal));
  news.clear();
  for (const line of describeFuzz(tally, spent(), profile)) print(line);
  if (junit !== undefined) writeFileSync(junit, encodeJunit(tally, canary, profile, spent()));
  const { code, words } = judgeFuzz(tally, canary.why, signal.aborted);
  print(words);
  return code;
}

function openLedger({ ledger, profile, from }: Options, build: string): FuzzLedger {
  try {
    return new FuzzLedger(ledger, build, profile, from ?? null);
  } catch (error) {
    throw new UsageError(`--ledger: ${(error as Error).message}`);
  }
}

function poolOf(options: Options, program: string, signal: AbortSignal): PoolOptions {
  const { jobs, timeout: timeoutMs, heap: heapMbMax } = options;
  return { program, jobs, timeoutMs, heapMbMax, signal };
}

// ---- the canary ----

interface Canary {
  readonly name: string;
  readonly words: string;
  /** Why this run can say nothing; null when the canary failed as it must. */
  readonly why: string | null;
  readonly wallMs: number;
}

/** Breaks a copy of the build and runs seeds on it as all others are, until one fails. */
async function tryCanary(mutant: Mutant, options: Options, signal: AbortSignal): Promise<Canary> {
  const { name } = mutant;
  const began = performance.now();
  const sound = await buildSources();
  const broken = await breakBuild(sound, mutant).finally(() => sound.remove());
  const seeds = seedsFor(mutant).slice(0, CANARY_SEEDS_MAX);
  let killer: string | null = null;
  try {
    const next = () => {
      const seed = killer === null ? seeds.shift() : undefined;
      return seed === undefined ? null : { seed, profile: "swarm" as const };
    };
    const heard = (outcome: SeedOutcome) => {
      const property = outcome.kind === "report" ? outcome.report.violation?.property : undefined;
      if (property !== undefined && mutant.properties.includes(property))
        killer = `seed ${outcome.seed}, ${property}`;
    };
    const program = path.join(broken.dist, "sim", "seed-worker.js");
    await runSeeds(next, heard, { ...poolOf(options, program, signal), jobs: 1 });
  } finally {
    broken.remove();
  }
  const wallMs = performance.now() - began;
  const seconds = `${(wallMs / 1000).toFixed(1)} s`;
  if (killer !== null)
    return { name, words: `${name} fails as it must: ${killer}, ${seconds}`, why: null, wallMs };
  const why = `the canary ${name} is broken code, and no seed noticed`;
  return { name, words: `${name} SURVIVED ${CANARY_SEEDS_MAX} seeds, ${seconds}`, why, wallMs };
}

// ---- progress ----

/** One line that overwrites itself on a terminal; elsewhere a line now and then. */
class News {
  readonly #isTerminal = process.stderr.isTTY === true;
  #toldAt = performance.now();

  maybeTell(describe: () => string): void {
    const every = this.#isTerminal ? NEWS_EVERY_MS : NEWS_EVERY_MS_IN_LOGS;
    if (performance.now() - this.#toldAt >= every) this.tell(describe());
  }

  tell(line: string): void {
    this.#toldAt = performance.now();
    if (!this.#isTerminal) process.stderr.write(`${line}\n`);
    else process.stderr.write(`\r\u001b[K${fitLine(line, process.stderr.columns)}`);
  }

  clear(): void {
    if (this.#isTerminal) process.stderr.write("\r\u001b[K");
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  process.exitCode = await fuzzMain(process.argv.slice(2), printLine);
