// The spells in which a simulated disk refuses: reads, writes or syncs that fail, or no room left;
// and those in which it reads a byte wrong that is right on the medium. Owns which operation fails
// and with what; what a failed one leaves behind is sim/sim-disk.ts and sim/sim-file.ts.

import type { DiskErrorCode, DiskOperation } from "../src/base/disk.ts";
import type { Prng } from "../src/base/prng.ts";

/** What is refused while the spell lasts; "misread" refuses nothing and says something else. */
export type DiskErrorKind = "read" | "write" | "sync" | "full" | "misread";

export interface DiskSpell {
  readonly error: DiskErrorKind;
  /** Of the operations it is about, those that fail. */
  readonly failPerMille: number;
}

/** So near the end of what is not zero is where data ends. */
const END_BYTES = 512;

export class DiskErrors {
  readonly #prng: Prng;
  readonly #spells = new Set<DiskSpell>();
  #refused = 0;
  #changesRefused = 0;
  #misread = 0;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** Operations of the present life that were refused, or read wrong. */
  get met(): number {
    return this.#refused + this.#misread;
  }

  /** Reads of the present life that returned a wrong byte. */
  get misread(): number {
    return this.#misread;
  }

  /** Those of them that would have changed the disk. */
  get changesRefused(): number {
    return this.#changesRefused;
  }

  /** Another node works on the disk from here on. */
  beginLife(): void {
    this.#refused = 0;
    this.#changesRefused = 0;
    this.#misread = 0;
  }

  begin(spell: DiskSpell): void {
    this.#spells.add(spell);
  }

  end(spell: DiskSpell): void {
    this.#spells.delete(spell);
  }

  /** The error that the operation meets now, or null; `grows` when it needs more room. */
  strike(operation: DiskOperation, grows: boolean): DiskErrorCode | null {
    for (const { error, failPerMille } of this.#spells) {
      const isMeant = error === "full" ? grows : errorOf(operation) === error;
      if (error === "misread" || !isMeant || !this.#prng.chance(failPerMille, 1000)) continue;
      this.#refused++;
      if (error === "write" || error === "sync") this.#changesRefused++;
      return error === "full" ? "ENOSPC" : "EIO";
    }
    return null;
  }

  /** Flips a bit of what a read is about to return, when the spell that is on strikes it. */
  maybeMisread(bytes: Uint8Array): void {
    for (const { error, failPerMille } of this.#spells) {
      if (error !== "misread" || bytes.length === 0) continue;
      if (!this.#prng.chance(failPerMille, 1000)) continue;
      const at = this.#drawPlace(bytes);
      bytes[at] = (bytes[at] as number) ^ (1 << this.#prng.below(8));
      this.#misread++;
    }
  }

  /** Anywhere, or as often where the data ends: what is wrong there is the hardest to notice. */
  #drawPlace(bytes: Uint8Array): number {
    if (this.#prng.chance(1, 2)) return this.#prng.below(bytes.length);
    let last = bytes.length - 1;
    while (last > 0 && bytes[last] === 0) last--;
    return last - this.#prng.below(Math.min(last + 1, END_BYTES));
  }
}

function errorOf(operation: DiskOperation): DiskErrorKind | null {
  switch (operation.kind) {
    case "read-at":
      return "read";
    case "create":
    case "rename":
    case "write-at":
      return "write";
    case "sync":
    case "sync-dir":
      return "sync";
    default:
      return null;
  }
}
