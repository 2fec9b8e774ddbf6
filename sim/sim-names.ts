// The names in one simulated directory in three layers, as sim/sim-file.ts has the bytes of one
// file: names as they are seen, names that a power loss would leave, and the changes in between;
// and the changes that were said to be durable and are not. Owns which file a name stands for.

import type { Prng } from "../src/base/prng.ts";
import type { SimFile } from "./sim-file.ts";

/** A change of names that no sync-dir has covered. */
type NameChange =
  | { readonly kind: "create"; readonly file: string; readonly content: SimFile }
  | {
      readonly kind: "rename";
      readonly from: string;
      readonly to: string;
      readonly content: SimFile;
    }
  | { readonly kind: "unlink"; readonly file: string };

/** A change that was said to be durable and is not. */
interface LiedChange {
  readonly change: NameChange;
  /** What the name that the change took stood for before. */
  readonly replaced: SimFile | undefined;
}

export class SimNames {
  #seen = new Map<string, SimFile>();
  #durable = new Map<string, SimFile>();
  #changes: NameChange[] = [];
  /** Changes ever made durable: those in `#changes` are numbered from here. */
  #synced = 0;
  #lied: LiedChange[] = [];

  /** Names as a process sees them, in the order in which they were made. */
  get seen(): ReadonlyMap<string, SimFile> {
    return this.#seen;
  }

  /** Names as they were said to be durable. */
  get durable(): ReadonlyMap<string, SimFile> {
    return this.#durable;
  }

  /** Changes made so far, durable or not: what a sync that is submitted now covers. */
  get changed(): number {
    return this.#synced + this.#changes.length;
  }

  /** True when a power loss cannot change what the name stands for, as far as was said. */
  isCertain(file: string): boolean {
    const content = this.#seen.get(file);
    if (content === undefined || this.#durable.get(file) !== content) return false;
    return !this.#changes.some((change) => touches(change, file));
  }

  create(file: string, content: SimFile): void {
    this.#seen.set(file, content);
    this.#changes.push({ kind: "create", file, content });
  }

  /** False when there is no such name. */
  rename(from: string, to: string): boolean {
    const content = this.#seen.get(from);
    if (content === undefined) return false;
    this.#seen.delete(from);
    this.#seen.set(to, content);
    this.#changes.push({ kind: "rename", from, to, content });
    return true;
  }

  /** False when there is no such name. */
  unlink(file: string): boolean {
    if (!this.#seen.delete(file)) return false;
    this.#changes.push({ kind: "unlink", file });
    return true;
  }

  /** How many of the first `upTo` changes a sync would still make durable. */
  unsynced(upTo: number): number {
    return Math.max(upTo - this.#synced, 0);
  }

  /**
   * The first `upTo` changes become durable; or, with somebody's dice, some only are said to be.
   */
  sync(upTo: number, lies: Prng | null): void {
    const count = this.unsynced(upTo);
    for (const change of this.#changes.splice(0, count)) {
      const replaced = this.#durable.get(change.kind === "rename" ? change.to : change.file);
      if (lies?.chance(3, 4) === true) this.#lied.push({ change, replaced });
      perform(this.#durable, change);
    }
    this.#synced += count;
  }

  /**
   * The power is gone: of each change that no sync covered all or nothing is left, and nothing of
   * what only was said to be durable. Returns how many changes are undone that nobody had relied
   * on, and the names as they should be.
   */
  losePower(prng: Prng): { undone: number; told: ReadonlyMap<string, SimFile> } {
    let undone = 0;
    for (const change of this.#changes)
      if (prng.chance(1, 2)) perform(this.#durable, change);
      else undone++;
    this.#synced += this.#changes.length;
    this.#changes = [];
    const told = new Map(this.#durable);
    for (const lied of this.#lied.reverse()) undo(this.#durable, lied);
    this.#lied = [];
    this.#seen = new Map(this.#durable);
    return { undone, told };
  }

  /** Other files under other names, all of them durable. */
  replace(files: ReadonlyMap<string, SimFile>): void {
    this.#seen = new Map(files);
    this.#durable = new Map(files);
    this.#synced += this.#changes.length;
    this.#changes = [];
    this.#lied = [];
  }
}

function perform(names: Map<string, SimFile>, change: NameChange): void {
  if (change.kind === "unlink") names.delete(change.file);
  else if (change.kind === "create") names.set(change.file, change.content);
  else {
    names.delete(change.from);
    names.set(change.to, change.content);
  }
}

/** Takes back a change, as far as nothing later stands where it stood. */
function undo(names: Map<string, SimFile>, { change, replaced }: LiedChange): void {
  if (change.kind === "unlink") {
    if (replaced !== undefined && !names.has(change.file)) names.set(change.file, replaced);
    return;
  }
  const name = change.kind === "rename" ? change.to : change.file;
  if (names.get(name) !== change.content) return;
  names.delete(name);
  if (replaced !== undefined) names.set(name, replaced);
  if (change.kind === "rename" && !names.has(change.from)) names.set(change.from, change.content);
}

function touches(change: NameChange, file: string): boolean {
  return change.kind === "rename"
    ? change.from === file || change.to === file
    : change.file === file;
}
