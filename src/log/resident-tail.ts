// The entries kept in memory: always the whole unpersisted tail, and behind it as much as the cache
// may hold. Contiguous up to the log's end. Owns no decision about what is durable.

import { assert } from "../base/assert.ts";
import type { Entry } from "../base/entry.ts";
import type { LogIndex, Offset } from "../base/ids.ts";

/**
 * Evicted places at the front are given back once there are this many of them, and more than half.
 */
const SLACK_MIN = 1024;

export class ResidentTail {
  #entries: (Entry | null)[] = [];
  /** Place of the first resident entry in the array; those before it were evicted. */
  #head = 0;
  #nextIndex: LogIndex;
  #bytes = 0;

  constructor(nextIndex: LogIndex) {
    this.#nextIndex = nextIndex;
  }

  /** Index of the first resident entry; one past the log's end when none is. */
  get firstIndex(): LogIndex {
    return (this.#nextIndex - this.count) as LogIndex;
  }

  get count(): number {
    return this.#entries.length - this.#head;
  }

  /** Frame bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  append(entry: Entry): void {
    assert(entry.index === this.#nextIndex, "resident tail has a gap", entry.index);
    this.#entries.push(entry);
    this.#nextIndex = (entry.index + 1) as LogIndex;
    this.#bytes += entry.frame.length;
  }

  /** Forgets the entries from `from` on; the log ends before it. */
  truncate(from: LogIndex): void {
    while (this.count > 0 && this.#nextIndex > from) {
      const dropped = this.#entries.pop() as Entry;
      this.#bytes -= dropped.frame.length;
      this.#nextIndex = dropped.index;
    }
    if (from < this.#nextIndex) this.#nextIndex = from;
  }

  /** Forgets all; the log goes on with `nextIndex`. */
  reset(nextIndex: LogIndex): void {
    this.#entries = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#nextIndex = nextIndex;
  }

  /** Drops the oldest entries, none after `durableIndex`, while more than `bytesMax` are held. */
  evict(durableIndex: LogIndex, bytesMax: number): void {
    while (this.#bytes > bytesMax && this.firstIndex <= durableIndex && this.count > 0) {
      const entry = this.#entries[this.#head] as Entry;
      this.#entries[this.#head] = null;
      this.#head++;
      this.#bytes -= entry.frame.length;
    }
    if (this.#head >= SLACK_MIN && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  at(index: LogIndex): Entry {
    const entry = this.#entries[this.#head + index - this.firstIndex];
    assert(entry !== undefined && entry !== null, "entry is not resident", index, this.firstIndex);
    return entry;
  }

  /** Entries from `from` to `lastIndex`: as many as fit into `bytesMax`, at least one. */
  slice(from: LogIndex, lastIndex: LogIndex, bytesMax: number): Entry[] {
    const taken: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= lastIndex; index++) {
      const entry = this.at(index);
      bytes += entry.frame.length;
      if (bytes > bytesMax && taken.length > 0) break;
      taken.push(entry);
    }
    return taken;
  }

  /** The last entry not after `lastIndex` whose offset is at most `offset`, or null. */
  lastAtOrBefore(offset: Offset, lastIndex: LogIndex): LogIndex | null {
    const first = this.firstIndex;
    let low = 0;
    let high = Math.min(this.count, lastIndex - first + 1);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.at((first + middle) as LogIndex).offset <= offset) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? null : ((first + low - 1) as LogIndex);
  }
}
