// `npm run mutants`: breaks our own sources in one place after the other and measures how soon each
// is noticed. Owns the command line and the order of the work; figures are made in measure.ts.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Command } from "commander";

import { Prng } from "../../src/base/prng.ts";
import {
  NEWS_AFTER_MS,
  type Print,
  parseCount,
  parseSeed,
  parseWhole,
  runCommand,
  UsageError,
} from "../command-line.ts";
import { plural } from "../words.ts";
import { type Build, buildSources, repositoryRoot } from "./build.ts";
import { MUTANTS } from "./catalogue.ts";
import { Ledger } from "./ledger.ts";
import { Baseline, type Extent, isMeasured, measure, STREAM_SEEDS, STREAMS } from "./measure.ts";
import { huntOf, type Mutant, mutate } from "./mutant.ts";
import {
  describeSums,
  describeTable,
  falseAlarms,
  isKilled,
  isUnexplained,
  putTable,
  quantile,
  type TableEntry,
} from "./table.ts";

interface Options {
  readonly only?: readonly string[];
  readonly sample?: number;
  readonly seed: string;
  readonly jobs: number;
  readonly streams: number;
  readonly seeds: number;
  readonly shrink: number;
  readonly minutes?: number;
  readonly state: string;
  readonly fresh?: boolean;
  readonly table?: string;
}

const EXITS = "0 all killed or argued equivalent, 1 not so, or a false alarm, 64 usage";

/** Runs the command and returns its exit code. */
export async function mutantsMain(args: readonly string[], print: Print): Promise<number> {
  const command = new Command("npm run mutants --")
    .description("Breaks our own code, one place at a time, and measures how soon that is noticed.")
    .option("--only <names...>", "these mutants")
    .option("--sample <count>", "so many of them, drawn", parseCount)
    .option("--seed <name>", "what the sample is drawn from", parseSeed, "sample")
    .option("--jobs <count>", "mutants at the same time", parseCount, 1)
    .option("--streams <count>", "disjoint streams of seeds", parseCount, STREAMS)
    .option("--seeds <count>", "seeds of a stream at most", parseCount, STREAM_SEEDS)
    .option("--shrink <seconds>", "time to shrink one failure of each; 0: none", parseWhole, 60)
    .option("--minutes <count>", "end after this time; called again, it goes on", parseCount)
    .option("--state <file>", "what is measured so far", ".cairn/mutants/state.json")
    .option("--fresh", "forget what was measured before")
    .option("--table <file>", "replace the table in this page, as in docs/mutants.md")
    .addHelpText("after", `\nExit: ${EXITS}`);
  return runCommand(command, args, print, () => run(command.opts<Options>(), print));
}

async function run(options: Options, print: Print): Promise<number> {
  if (options.seeds > STREAM_SEEDS)
    throw new UsageError(`--seeds: streams are disjoint up to ${STREAM_SEEDS} seeds`);
  const chosen = choose(options);
  checkApplied(MUTANTS);
  const page = options.table === undefined ? null : readPage(options.table);
  const state = path.resolve(repositoryRoot(), options.state);
  if (options.fresh === true) writeFileSync(state, "{}");
  const ledger = new Ledger(state, hashOfSources());
  await new Campaign(options, chosen, ledger, print).run();
  const entries = chosen.map((mutant) => ({ mutant, row: ledger.rowOf(mutant) }));
  for (const line of describeSums(entries)) print(line);
  const alarms = falseAlarms(ledger);
  for (const alarm of alarms) print(`FALSE ALARM ${alarm}`);
  if (options.table !== undefined && page !== null) {
    const all = MUTANTS.map((mutant) => ({ mutant, row: ledger.rowOf(mutant) }));
    writeFileSync(
      options.table,
      putTable(page, describeTable(all, ledger, describeNow(all, ledger))),
    );
  }
  return alarms.length > 0 || entries.some(isUnexplained) ? 1 : 0;
}

function choose({ only, sample, seed }: Options): readonly Mutant[] {
  const unknown = only?.find((name) => MUTANTS.every((mutant) => mutant.name !== name));
  if (unknown !== undefined)
    throw new UsageError(`--only ${unknown}: no such mutant; npm run sim -- --mutant x lists them`);
  const wanted = only === undefined ? MUTANTS : MUTANTS.filter(({ name }) => only.includes(name));
  return sample === undefined ? wanted : new Prng(seed).shuffled(wanted).slice(0, sample);
}

/** A mutant whose text is gone is told before hours are spent on the others. */
function checkApplied(mutants: readonly Mutant[]): void {
  const stale = mutants.flatMap((mutant) => {
    try {
      mutate(mutant, readFileSync(path.join(repositoryRoot(), mutant.file), "utf8"));
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  });
  if (stale.length > 0) throw new UsageError(stale.join("\n"));
}

/** Misuse shows before the figures are made. */
function readPage(file: string): string {
  try {
    const page = readFileSync(file, "utf8");
    putTable(page, []);
    return page;
  } catch (error) {
    throw new UsageError(`--table ${file}: ${(error as Error).message}`);
  }
}

function hashOfSources(): string {
  const hash = createHash("sha256");
  const root = repositoryRoot();
  for (const folder of ["src", "sim", "test/raft"]) {
    const files = readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" });
    for (const file of files.filter((name) => name.endsWith(".ts")).sort()) {
      // Our own files measure, and decide nothing.
      if (folder === "sim" && file.startsWith("mutants")) continue;
      hash.update(file).update(readFileSync(path.join(root, folder, file)));
    }
  }
  return hash.digest("hex").slice(0, 16);
}

function git(...words: string[]): string {
  const options = { encoding: "utf8", cwd: repositoryRoot() } as const;
  return spawnSync("git", words, options).stdout.trim();
}

function describeNow(entries: readonly TableEntry[], { load }: Ledger): string {
  const day = new Date().toISOString().slice(0, 10);
  const commits = [...new Set(entries.flatMap(({ row }) => row.commits))];
  const where = `${cpus().length} cores, load average ${load?.map((at) => at.toFixed(1)).join(" to ")}`;
  return `at commit ${commits.join(", ")} until ${day}, Node ${process.versions.node}, ${where}`;
}

/** All mutants, some at the same time, until they are measured or the time is over. */
class Campaign {
  readonly #options: Options;
  readonly #extent: Extent;
  readonly #mutants: readonly Mutant[];
  readonly #ledger: Ledger;
  readonly #print: Print;
  readonly #commit = git("describe", "--always", "--dirty", "--exclude", "*");
  readonly #began = performance.now();
  #left: number;
  #done = 0;
  #isInterrupted = false;

  constructor(options: Options, mutants: readonly Mutant[], ledger: Ledger, print: Print) {
    this.#options = options;
    this.#extent = {
      streams: options.streams,
      seeds: options.seeds,
      shrinkSeconds: options.shrink,
    };
    this.#ledger = ledger;
    this.#print = print;
    this.#mutants = mutants.filter(
      (mutant) => !isMeasured(mutant, ledger.rowOf(mutant), this.#extent),
    );
    this.#left = this.#mutants.length;
  }

  async run(): Promise<void> {
    if (this.#mutants.length === 0) return;
    const interrupt = () => {
      this.#isInterrupted = true;
    };
    process.once("SIGINT", interrupt);
    const sound = await buildSources();
    try {
      const waiting = this.#mutants.slice();
      const work = async () => {
        const baseline = new Baseline(sound, this.#ledger);
        try {
          for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
            if (this.#isOver()) return;
            await this.#measure(next, sound, baseline);
          }
        } finally {
          baseline.stop();
        }
      };
      await Promise.all(Array.from({ length: this.#options.jobs }, work));
    } finally {
      sound.remove();
      process.off("SIGINT", interrupt);
      this.#ledger.save();
    }
  }

  #isOver(): boolean {
    const { minutes } = this.#options;
    const isLate = minutes !== undefined && performance.now() - this.#began > minutes * 60_000;
    return this.#isInterrupted || isLate;
  }

  async #measure(mutant: Mutant, sound: Build, baseline: Baseline): Promise<void> {
    const row = this.#ledger.rowOf(mutant);
    if (!row.commits.includes(this.#commit)) row.commits = [...row.commits, this.#commit];
    const progressed = () => {
      this.#ledger.loadWas(loadavg()[0] ?? 0);
      this.#ledger.save();
      this.#tell(`${mutant.name}, stream ${row.streams.length} of ${this.#extent.streams}`);
    };
    const watcher = { progressed, isOver: () => this.#isOver() };
    await measure(mutant, sound, baseline, row, this.#extent, watcher);
    this.#done += 1;
    this.#left -= 1;
    if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
    this.#print(`${mutant.name.padEnd(34)} ${describeResult({ mutant, row })}; ${this.#eta()}`);
  }

  #tell(what: string): void {
    if (!process.stderr.isTTY || performance.now() - this.#began < NEWS_AFTER_MS) return;
    process.stderr.write(`\r\u001b[K${what}; ${this.#eta()}`);
  }

  #eta(): string {
    if (this.#done === 0) return `${this.#left} to go`;
    const minutes = ((performance.now() - this.#began) / this.#done / 60_000) * this.#left;
    return `${this.#left} to go, about ${Math.ceil(minutes)} min`;
  }
}

function describeResult({ mutant, row }: TableEntry): string {
  if (huntOf(mutant).by === "tests")
    return isKilled(row) ? `killed by ${row.tests?.file}` : "SURVIVED its tests";
  const { streams } = row;
  const kills = streams.filter(({ kill }) => kill !== null);
  if (kills.length === 0) return streams.length === 0 ? "ended" : "SURVIVED";
  const seeds = streams.map(({ kill, runs }) => (kill === null ? Number.POSITIVE_INFINITY : runs));
  const properties = [...new Set(kills.map(({ kill }) => kill?.property))].join(", ");
  return (
    `killed in ${kills.length} of ${plural(streams.length, "stream")}, ` +
    `seeds ${quantile(seeds, 0.5)} / ${quantile(seeds, 0.9)}, ${properties}`
  );
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  process.exitCode = await mutantsMain(process.argv.slice(2), (line) =>
    process.stdout.write(`${line}\n`),
  );
