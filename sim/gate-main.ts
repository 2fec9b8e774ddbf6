// `--check` on the command line: a plan twice in this process, and in other processes that were
// started in another time zone, locale and order of hashes. Owns these surroundings and the words;
// the comparison is sim/gate.ts. Started by itself it is such a process: it runs what it is told
// and prints the tape.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { type Print, readPlan } from "./command-line.ts";
import type { Taped } from "./digest-tape.ts";
import { compareRuns, describeCompared, type TapedRun, tapedHere } from "./gate.ts";
import type { Plan } from "./plan.ts";
import type { Profile } from "./profiles.ts";
import { drawPlan } from "./swarm.ts";

/** Two runs of one plan were not the same. */
export const EXIT_DIFFERENT = 5;

/** Of a batch, one seed in so many, and no more than so many. */
const SAMPLE_EVERY = 20;
const SAMPLE_MAX = 5;
const TAPE_BYTES_MAX = 64 * 1024 * 1024;

/** What is run: a seed of a profile, or a file. */
export type Checked =
  | { readonly seed: string; readonly profile: Profile }
  | { readonly file: string };

/** What another process has that this one does not. */
export interface Surroundings {
  readonly name: string;
  readonly flags: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
}

export const SURROUNDINGS: readonly Surroundings[] = [
  {
    name: "far east, Turkish",
    flags: ["--hash-seed=12345"],
    variables: { TZ: "Pacific/Kiritimati", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8" },
  },
  {
    name: "far west, C",
    flags: ["--hash-seed=67890", "--random-seed=7"],
    variables: { TZ: "Pacific/Niue", LANG: "C", LC_ALL: "C" },
  },
];

interface Task {
  readonly checked: Checked;
  readonly window: number | null;
}

/** This file, compiled, also where it is read as it was written: what is started elsewhere. */
const COMPILED = import.meta.url.endsWith(".ts") ? "../dist/sim/gate-main.js" : "gate-main.js";
const PROGRAM = fileURLToPath(new URL(COMPILED, import.meta.url));

/** Runs it in a process of its own. */
export function tapedElsewhere(checked: Checked, { flags, variables }: Surroundings): TapedRun {
  return (window) => {
    const task: Task = { checked, window };
    const run = spawnSync(process.execPath, [...flags, PROGRAM, JSON.stringify(task)], {
      encoding: "utf8",
      env: { ...process.env, ...variables },
      maxBuffer: TAPE_BYTES_MAX,
    });
    if (run.status !== 0) throw new Error(`the run elsewhere died: ${run.stderr.trim()}`);
    return JSON.parse(run.stdout) as Taped;
  };
}

/**
 * Twice here, then once in each of `surroundings`; prints a line each, and says whether all agree.
 */
export function checkPlan(
  name: string,
  checked: Checked,
  surroundings: readonly Surroundings[],
  print: Print,
): boolean {
  const again = tapedHere(planOf(checked));
  const first = again(null);
  const here: TapedRun = (window) => (window === null ? first : again(window));
  const others = [
    { name: "again", run: again },
    ...surroundings.map((elsewhere) => {
      return { name: elsewhere.name, run: tapedElsewhere(checked, elsewhere) };
    }),
  ];
  for (const other of others) {
    const compared = compareRuns(here, other.run);
    const [line, ...rest] = describeCompared(compared, ["here", other.name]);
    const isSame = compared.kind === "same";
    print(`${isSame ? "SAME" : "DIFFERENT"} ${name}, here and ${other.name}: ${line}`);
    for (const more of rest) print(more);
    if (!isSame) return false;
  }
  return true;
}

/** Which of a batch are run again: its first, and some more. */
export function sampleOf(seeds: readonly string[]): string[] {
  return seeds.filter((_, at) => at % SAMPLE_EVERY === 0).slice(0, SAMPLE_MAX);
}

/** A sample of a batch, each seed in one other process; says whether all agree. */
export function checkSample(seeds: readonly string[], profile: Profile, print: Print): boolean {
  return sampleOf(seeds).every((seed, at) => {
    const elsewhere = SURROUNDINGS[at % SURROUNDINGS.length] as Surroundings;
    return checkPlan(`seed ${seed}`, { seed, profile }, [elsewhere], print);
  });
}

function planOf(checked: Checked): Plan {
  return "file" in checked ? readPlan(checked.file) : drawPlan(checked.seed, checked.profile);
}

function main(text: string): void {
  const { checked, window } = JSON.parse(text) as Task;
  process.stdout.write(JSON.stringify(tapedHere(planOf(checked))(window)));
}

if (process.argv[1] === PROGRAM) main(process.argv[2] ?? "");
