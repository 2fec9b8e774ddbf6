// Which seeds of which build passed and which failed, in a file of one line each, so that a fuzzing
// run goes on with fresh ones: first what failed before and this build has not run, then numbers
// that nobody has run yet. Owns the file, its form and the order of seeds.

import { createHash } from "node:crypto";
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";

import type { Profile } from "./profiles.ts";

/** One seed of one build. */
export interface LedgerRow {
  /** Of the compiled sources: see buildIdOf. */
  readonly build: string;
  readonly profile: Profile;
  readonly seed: string;
  /** What was the same for all that failed alike; null for a seed that passed. */
  readonly failure: string | null;
}

interface Head {
  readonly format: 1;
}

const HEAD: Head = { format: 1 };

export class FuzzLedger {
  readonly file: string;
  readonly #build: string;
  readonly #profile: Profile;
  /** Seeds that this build has run. */
  readonly #run = new Set<string>();
  /** Failed before, with another build, and not run by this one. */
  readonly #again: string[];
  #next: number;

  /** Reads the file, if there is one, and drops what is of no more use; throws when it cannot. */
  constructor(file: string, build: string, profile: Profile, from: number | null) {
    this.file = file;
    this.#build = build;
    this.#profile = profile;
    const rows = readRows(file);
    let highest = 0;
    const failed = new Set<string>();
    for (const row of rows) {
      if (row.profile !== profile) continue;
      if (/^\d+$/.test(row.seed)) highest = Math.max(highest, Number(row.seed));
      if (row.build === build) this.#run.add(row.seed);
      else if (row.failure !== null) failed.add(row.seed);
    }
    this.#again = [...failed].filter((seed) => !this.#run.has(seed)).reverse();
    this.#next = from ?? highest + 1;
    rewrite(
      file,
      rows.filter((row, at) => row.build === build || isOfUse(row, rows, at)),
    );
  }

  /** Seeds that failed with another build and are run first. */
  get againCount(): number {
    return this.#again.length;
  }

  /** A seed that this build has not run. */
  next(): string {
    const again = this.#again.pop();
    if (again !== undefined) return again;
    while (this.#run.has(String(this.#next))) this.#next++;
    return String(this.#next++);
  }

  /** Written at once: what is told is kept, whatever becomes of this process. */
  add(seed: string, failure: string | null): void {
    this.#run.add(seed);
    const row: LedgerRow = { build: this.#build, profile: this.#profile, seed, failure };
    appendFileSync(this.file, `${JSON.stringify(row)}\n`);
  }
}

/** Of other builds the failures, and of each profile the row that says how far seeds went. */
function isOfUse(row: LedgerRow, rows: readonly LedgerRow[], at: number): boolean {
  if (row.failure !== null) return true;
  const isHigher = (other: LedgerRow, place: number) =>
    other.profile === row.profile &&
    (Number(other.seed) > Number(row.seed) || (other.seed === row.seed && place > at));
  return /^\d+$/.test(row.seed) && !rows.some(isHigher);
}

function readRows(file: string): LedgerRow[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const [head, ...lines] = text.split("\n");
  if (parse<Head>(head ?? "")?.format !== HEAD.format)
    throw new Error(`${file} is no ledger of this version: move it away, and a new one is begun`);
  // The last line may be cut short, when the process was killed while it wrote.
  return lines.flatMap((line) => parse<LedgerRow>(line) ?? []);
}

function parse<T>(line: string): T | null {
  try {
    return JSON.parse(line) as T;
  } catch {
    return null;
  }
}

/** Whole or not at all. */
function rewrite(file: string, rows: readonly LedgerRow[]): void {
  mkdirSync(path.dirname(file), { recursive: true });
  const lines = [HEAD, ...rows].map((row) => JSON.stringify(row));
  writeFileSync(`${file}.new`, `${lines.join("\n")}\n`);
  renameSync(`${file}.new`, file);
}

/** Names a build by what is in its compiled files: 12 hex digits. */
export function buildIdOf(dist: string): string {
  const hash = createHash("sha256");
  for (const folder of ["src", "sim"]) {
    const files = readdirSync(path.join(dist, folder), { recursive: true, encoding: "utf8" });
    for (const file of files.filter((name) => name.endsWith(".js")).sort()) {
      hash.update(`${folder}/${file}\n`);
      hash.update(readFileSync(path.join(dist, folder, file)));
    }
  }
  return hash.digest("hex").slice(0, 12);
}
