// The index of one segment: 12 bytes an entry, big-endian: relative offset 4, position 8. The n-th
// slot is the segment's n-th Raft entry, so an index is found by arithmetic and an offset by binary
// search. It is a cache of the store: never trusted, rebuilt on open. The memory is either this
// table's own or a mapped view of the file; a slot of zeros is empty.

import { assert } from "../base/assert.ts";
import { getU64, putU64, viewOf } from "../base/bytes.ts";
import type { Position } from "../base/ids.ts";

export const INDEX_SLOT_BYTES = 12;
/** A segment never spans more records than a relative offset can say. */
export const RELATIVE_OFFSET_MAX = 0xffff_ffff;

const FIRST_CAPACITY = 64;

export class IndexTable {
  #bytes: Uint8Array;
  #view: DataView;
  #mapped = false;
  #count = 0;

  /** An empty table in memory of its own, which grows as needed. */
  constructor() {
    this.#bytes = new Uint8Array(FIRST_CAPACITY * INDEX_SLOT_BYTES);
    this.#view = viewOf(this.#bytes);
  }

  /** Slots in use. */
  get count(): number {
    return this.#count;
  }

  get mapped(): boolean {
    return this.#mapped;
  }

  /** Slots there is room for: fixed when mapped. */
  get capacity(): number {
    return Math.floor(this.#bytes.length / INDEX_SLOT_BYTES);
  }

  /** True when another entry needs another segment. */
  get isFull(): boolean {
    return this.#mapped && this.#count === this.capacity;
  }

  /** The slots in use, as they are on disk; valid until the table changes. */
  get used(): Uint8Array {
    return this.#bytes.subarray(0, this.#count * INDEX_SLOT_BYTES);
  }

  append(relativeOffset: number, position: Position): void {
    assert(
      relativeOffset <= RELATIVE_OFFSET_MAX,
      "relative offset exceeds 32 bits",
      relativeOffset,
    );
    if (this.#count === this.capacity) this.#grow();
    const at = this.#count * INDEX_SLOT_BYTES;
    this.#view.setUint32(at, relativeOffset);
    putU64(this.#view, at + 4, position);
    this.#count++;
  }

  #grow(): void {
    assert(!this.#mapped, "a mapped index is full", this.#count);
    const larger = new Uint8Array(Math.max(2 * this.#count, FIRST_CAPACITY) * INDEX_SLOT_BYTES);
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = viewOf(larger);
  }

  /** Empties the slots from `count` on. */
  truncate(count: number): void {
    assert(count <= this.#count, "an index is never truncated forwards", count, this.#count);
    this.#bytes.fill(0, count * INDEX_SLOT_BYTES, this.#count * INDEX_SLOT_BYTES);
    this.#count = count;
  }

  relativeOffset(slot: number): number {
    assert(slot >= 0 && slot < this.#count, "index slot is empty", slot, this.#count);
    return this.#view.getUint32(slot * INDEX_SLOT_BYTES);
  }

  position(slot: number): Position {
    assert(slot >= 0 && slot < this.#count, "index slot is empty", slot, this.#count);
    return getU64(this.#view, slot * INDEX_SLOT_BYTES + 4) as Position;
  }

  /** The last slot below `end` whose relative offset is at most the given one; -1 when none is. */
  lastAtOrBefore(relativeOffset: number, end: number): number {
    let low = 0;
    let high = Math.min(end, this.#count);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.relativeOffset(middle) <= relativeOffset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Goes on in a mapped view, which has zeros behind the slots in use (writeIndex saw to that). */
  moveInto(view: Uint8Array): void {
    const used = this.used;
    assert(view.length >= used.length, "mapped index is too short", view.length, used.length);
    view.set(used);
    this.#bytes = view;
    this.#view = viewOf(view);
    this.#mapped = true;
  }

  /** Goes on in memory of its own; the mapped view is not touched again. */
  moveOut(): void {
    this.#bytes = this.used.slice();
    this.#view = viewOf(this.#bytes);
    this.#mapped = false;
  }
}
