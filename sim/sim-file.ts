// The bytes of one simulated file in three layers: what a read returns, what the last sync made
// durable, and the writes in between, of which a power loss may keep any part. Owns bytes; names,
// order and time are sim/sim-disk.ts.

import { assert } from "../src/base/assert.ts";
import { concat } from "../src/base/bytes.ts";
import type { Prng } from "../src/base/prng.ts";
import { joined } from "./slab.ts";

/** What a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;

const NOWHERE: readonly number[] = [];

/** A completed write that no sync has covered. */
interface UnsyncedWrite {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** Bytes that grow by doubling; beyond `length` the room is zero. */
class Layer {
  length = 0;
  room = new Uint8Array(0);

  write(start: number, bytes: Uint8Array): void {
    this.growTo(start + bytes.length);
    this.room.set(bytes, start);
  }

  growTo(length: number): void {
    if (length > this.room.length) {
      const room = new Uint8Array(Math.max(length, 2 * this.room.length, 1024));
      room.set(this.room.subarray(0, this.length));
      this.room = room;
    }
    this.length = Math.max(this.length, length);
  }

  get bytes(): Uint8Array {
    return this.room.subarray(0, this.length);
  }
}

export class SimFile {
  #cached = new Layer();
  #durable = new Layer();
  #unsynced: UnsyncedWrite[] = [];
  /** While mapped, anybody may write into the cached bytes without telling. */
  #isMapped = false;
  /** A sync failed: bytes that are read are not on the disk, and no sync will put them there. */
  #isLying = false;

  /**
   * Bits that read wrong, by position: what the medium has is not what was written. Beside the
   * bytes, so that what is right stays known.
   */
  readonly #wrong = new Map<number, number>();

  get length(): number {
    return this.#cached.length;
  }

  /** Some byte reads otherwise than it was written. */
  get isWrong(): boolean {
    return this.#wrong.size > 0;
  }

  /** From now on the byte at `position` reads with these bits flipped, until it is written. */
  rot(position: number, bits: number): void {
    this.#wrong.set(position, bits);
  }

  /** A write that is acknowledged and never reaches the medium: what was read before is read on. */
  writeInVain(position: number, parts: readonly Uint8Array[]): void {
    const bytes = concat(parts);
    const before = new Uint8Array(bytes.length);
    before.set(this.read(position, bytes.length));
    this.write(position, [bytes]);
    this.overlay(position, before);
  }

  /** These bytes are read at `position` from now on, although nobody wrote them here. */
  overlay(position: number, bytes: Uint8Array): void {
    const right = this.#cached.bytes;
    for (let n = 0; n < bytes.length && position + n < right.length; n++) {
      const bits = (bytes[n] as number) ^ (right[position + n] as number);
      if (bits === 0) this.#wrong.delete(position + n);
      else this.#wrong.set(position + n, bits);
    }
  }

  /** What reads wrong is from now on what is there. */
  accept(): void {
    if (!this.isWrong) return;
    const bytes = this.read(0, this.length);
    this.#wrong.clear();
    this.#unsynced = [];
    this.#cached.write(0, bytes);
    this.#durable.write(0, bytes);
  }

  /** Writes the parts one after another; a gap before them reads as zeros. */
  write(position: number, parts: readonly Uint8Array[]): void {
    const bytes = joined(parts);
    const { length } = bytes;
    assert(!this.#isMapped || position + length <= this.length, "a mapped file does not grow");
    for (const at of this.#wrongWithin(position, length)) this.#wrong.delete(at);
    this.#cached.write(position, bytes);
    this.#unsynced.push({ start: position, bytes });
  }

  /** A copy; short at the end of the file. */
  read(position: number, length: number): Uint8Array {
    const bytes = this.#cached.bytes.slice(position, position + length);
    for (const at of this.#wrongWithin(position, bytes.length)) {
      bytes[at - position] = (bytes[at - position] as number) ^ (this.#wrong.get(at) as number);
    }
    return bytes;
  }

  sync(): void {
    for (const write of this.#unsynced) this.#durable.write(write.start, write.bytes);
    this.#unsynced = [];
    if (this.#isMapped) this.#durable.write(0, this.#cached.bytes);
  }

  /** The bytes themselves: what is written into them is read back at once. */
  map(): Uint8Array {
    this.#isMapped = true;
    return this.#cached.bytes;
  }

  /** What was written through the map is from now on like any unsynced write. */
  unmap(): void {
    if (!this.#isMapped) return;
    this.#isMapped = false;
    this.#unsynced.push({ start: 0, bytes: this.#cached.bytes.slice() });
  }

  survivesPowerLoss(start: number, end: number): boolean {
    if (end > this.#durable.length) return false;
    for (const write of this.#unsynced)
      if (write.start < end && start < write.start + write.bytes.length) return false;
    if (!this.#isMapped && !this.#isLying) return true;
    const [cached, durable] = [this.#cached.room, this.#durable.room];
    for (let at = start; at < end; at++) if (cached[at] !== durable[at]) return false;
    return true;
  }

  durableBytes(): Uint8Array {
    return this.#durable.bytes.slice();
  }

  cachedBytes(): Uint8Array {
    return this.#cached.bytes.slice();
  }

  /**
   * A sync that fails: of each unsynced write anything may have reached the disk. All of them can
   * still be read and count as clean, so that the next sync does nothing for them and says that
   * all is well (Rebello et al., "Can applications recover from fsync failures?").
   */
  failSync(prng: Prng): void {
    this.#settleUnsynced(prng);
    this.#unsynced = [];
    this.#isLying = true;
  }

  /**
   * The process died: all is as it was, but the memory of the map is somebody else's now, and clean
   * pages may have been dropped.
   */
  loseProcess(prng: Prng): void {
    if (this.#isLying && prng.chance(1, 2)) this.#dropClean();
    if (!this.#isMapped) return;
    this.unmap();
    const kept = new Layer();
    kept.write(0, this.#cached.bytes);
    this.#cached = kept;
  }

  /**
   * The power went: of each unsynced write everything, nothing or some sectors have reached the
   * disk. Says how many bytes read differently afterwards, and how many writes are torn.
   */
  losePower(prng: Prng): { lostBytes: number; tornWrites: number } {
    const wasMapped = this.#isMapped;
    this.unmap();
    if (this.#unsynced.length === 0 && !this.#isLying) return { lostBytes: 0, tornWrites: 0 };
    const tornWrites = this.#settleUnsynced(prng);
    if (wasMapped && prng.chance(1, 4)) this.#garble(prng);
    const before = this.#cached.bytes;
    const after = this.#durable.bytes;
    let lostBytes = 0;
    for (let at = 0; at < before.length; at++) if (before[at] !== (after[at] ?? 0)) lostBytes++;
    const read = new Layer();
    read.write(0, after);
    this.#become(read);
    this.#unsynced = [];
    this.#isLying = false;
    return { lostBytes, tornWrites };
  }

  /** Reads what is on the disk again, under the writes that no sync has covered. */
  #dropClean(): void {
    this.unmap();
    const read = new Layer();
    read.write(0, this.#durable.bytes);
    for (const write of this.#unsynced) read.write(write.start, write.bytes);
    this.#become(read);
    this.#isLying = false;
  }

  /** What a crash left is read from now on; where it is something else, nothing is known wrong. */
  #become(read: Layer): void {
    const [before, after] = [this.#cached.bytes, read.bytes];
    for (const at of this.#wrong.keys()) if (before[at] !== after[at]) this.#wrong.delete(at);
    this.#cached = read;
  }

  /** The positions in a range that read wrong; by the smaller of the two sets. */
  #wrongWithin(position: number, length: number): readonly number[] {
    const wrong = this.#wrong;
    if (wrong.size === 0) return NOWHERE;
    const end = position + length;
    if (wrong.size <= length) return [...wrong.keys()].filter((at) => at >= position && at < end);
    const within: number[] = [];
    for (let at = position; at < end; at++) if (wrong.has(at)) within.push(at);
    return within;
  }

  /** Decides what of each unsynced write is on the disk; says how many are torn. */
  #settleUnsynced(prng: Prng): number {
    let tornWrites = 0;
    // One fate for the whole file more often than chance would have it: the extremes find bugs too.
    const common = prng.chance(1, 2) ? null : prng.pick(FATES);
    for (const write of this.#unsynced) {
      const fate = common ?? prng.pick(FATES);
      if (fate === "kept") this.#durable.write(write.start, write.bytes);
      else if (fate === "grown") this.#durable.growTo(write.start + write.bytes.length);
      else if (fate === "torn" && this.#tear(write, prng)) tornWrites++;
    }
    return tornWrites;
  }

  /** Each sector that the write touches is kept or lost by itself. True when there were both. */
  #tear(write: UnsyncedWrite, prng: Prng): boolean {
    const end = write.start + write.bytes.length;
    let kept = 0;
    let lost = 0;
    let from = write.start;
    while (from < end) {
      const to = Math.min(end, from - (from % SECTOR_BYTES) + SECTOR_BYTES);
      if (prng.chance(1, 2)) {
        this.#durable.write(from, write.bytes.subarray(from - write.start, to - write.start));
        kept++;
      } else lost++;
      from = to;
    }
    return kept > 0 && lost > 0;
  }

  /** A map is a cache that may be left in any state: some of its sectors hold anything. */
  #garble(prng: Prng): void {
    for (let from = 0; from < this.#durable.length; from += SECTOR_BYTES) {
      const to = Math.min(this.#durable.length, from + SECTOR_BYTES);
      if (prng.chance(1, 8)) this.#durable.room.set(prng.bytes(to - from), from);
    }
  }
}

/** Of one unsynced write. "grown": the file has its new length, and zeros where the bytes were. */
const FATES = ["kept", "lost", "torn", "torn", "grown"] as const;
