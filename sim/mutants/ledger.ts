// What was measured so far, in a file, so that a run that was ended goes on where it was. Owns the
// file and its form, and when a figure is too old to be kept; the figures are made in measure.ts.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";

import type { Shrinkage } from "./hunt.ts";
import { huntOf, type Mutant } from "./mutant.ts";

/** One stream of seeds, run until one failed. */
export interface StreamRow {
  /** 0, 1, ... */
  readonly stream: number;
  /** Seeds that it might take. */
  readonly seedsMax: number;
  runs: number;
  /** Runs in which the edited place ran. */
  reached: number;
  /** Runs that went otherwise than with the sources as they are. */
  triggered: number;
  readonly kill: {
    readonly seed: string;
    readonly property: string;
    readonly events: number;
  } | null;
  wallMs: number;
  cpuMs: number;
}

/** The tests of a mutant that tests must notice. */
export interface TestRow {
  readonly tests: number;
  readonly failed: number;
  /** The first file that failed. */
  readonly file: string | null;
  readonly wallMs: number;
}

export interface MutantRow {
  /** Of the edit and the hunt: another one is another mutant. */
  readonly key: string;
  /** Commits at which it was measured. */
  commits: string[];
  streams: StreamRow[];
  tests: TestRow | null;
  /** Null: not yet, or nothing to shrink. */
  shrunk: Shrinkage | null;
  isShrinkingTried: boolean;
}

/** What the sources as they are showed for a seed. */
export interface Outcome {
  readonly behaviour: string;
  /** A false alarm. */
  readonly property: string | null;
}

interface Contents {
  readonly version: 1;
  readonly rows: Record<string, MutantRow>;
  /** Of the sources whose outcomes are kept: with others, runs go otherwise. */
  tree: string;
  /** By hunt, then by seed. */
  outcomes: Record<string, Record<string, Outcome>>;
  /** Lowest and highest load average while it was measured. */
  load: readonly [number, number] | null;
}

export class Ledger {
  readonly #file: string | null;
  readonly #contents: Contents;

  /** `file` null: nothing is kept. `tree` names the sources as they are. */
  constructor(file: string | null, tree: string) {
    this.#file = file;
    this.#contents = read(file) ?? { version: 1, rows: {}, tree, outcomes: {}, load: null };
    if (this.#contents.tree !== tree) {
      this.#contents.tree = tree;
      this.#contents.outcomes = {};
    }
  }

  get load(): Contents["load"] {
    return this.#contents.load;
  }

  /** Begins an empty one when its mutant is another than was measured. */
  rowOf(mutant: Mutant): MutantRow {
    const key = keyOf(mutant);
    const known = this.#contents.rows[mutant.name];
    if (known?.key === key) return known;
    const row: MutantRow = {
      key,
      commits: [],
      streams: [],
      tests: null,
      shrunk: null,
      isShrinkingTried: false,
    };
    this.#contents.rows[mutant.name] = row;
    return row;
  }

  outcomesOf(hunt: string): Record<string, Outcome> {
    const known = this.#contents.outcomes[hunt];
    if (known !== undefined) return known;
    const none: Record<string, Outcome> = {};
    this.#contents.outcomes[hunt] = none;
    return none;
  }

  /** All outcomes of the sources as they are, by hunt. */
  get outcomes(): Readonly<Record<string, Readonly<Record<string, Outcome>>>> {
    return this.#contents.outcomes;
  }

  loadWas(load: number): void {
    const [low, high] = this.#contents.load ?? [load, load];
    this.#contents.load = [Math.min(low, load), Math.max(high, load)];
  }

  /** Whole or not at all. */
  save(): void {
    if (this.#file === null) return;
    mkdirSync(path.dirname(this.#file), { recursive: true });
    writeFileSync(`${this.#file}.new`, JSON.stringify(this.#contents));
    renameSync(`${this.#file}.new`, this.#file);
  }
}

function keyOf(mutant: Mutant): string {
  const { file, find, replace } = mutant;
  const what = JSON.stringify([file, find, replace, huntOf(mutant)]);
  return createHash("sha256").update(what).digest("hex").slice(0, 16);
}

function read(file: string | null): Contents | null {
  if (file === null) return null;
  try {
    const contents = JSON.parse(readFileSync(file, "utf8")) as Contents;
    return contents.version === 1 ? contents : null;
  } catch {
    return null;
  }
}
