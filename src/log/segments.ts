// All segments in the order of the log; the last one is active: the only one written to. Finds the
// segment of an index or an offset by binary search.

import { assert } from "../base/assert.ts";
import type { LogPoint } from "../base/entry.ts";
import type { LogIndex, Offset, WallMs } from "../base/ids.ts";
import { digestBehind, digestJoined, NO_DIGEST } from "./digest.ts";
import type { SegmentExtent } from "./retention.ts";
import type { Segment } from "./segment.ts";

/**
 * Sealed segments whose entries' digests stay in memory: another node's last segment may begin in
 * any of them, because segments end elsewhere on each node.
 */
const DIGESTS_KEPT = 2;

export class Segments {
  readonly #list: Segment[];

  /** At least one, ascending and without gaps. */
  constructor(list: readonly Segment[]) {
    assert(list.length > 0, "a log has at least one segment");
    this.#list = list.slice();
  }

  get count(): number {
    return this.#list.length;
  }

  get first(): Segment {
    return this.#list[0] as Segment;
  }

  get active(): Segment {
    return this.#list[this.#list.length - 1] as Segment;
  }

  get storeBytes(): number {
    let bytes = 0;
    for (const segment of this.#list) bytes += segment.end;
    return bytes;
  }

  /** The index before each segment's first entry, ascending. */
  get startIndexes(): readonly LogIndex[] {
    return this.#list.map(({ before }) => before.index);
  }

  /** Where each segment begins and ends, and its bytes; ascending. `end` is the log's. */
  extents(end: LogPoint): readonly SegmentExtent[] {
    return this.#list.map((segment, at) => {
      const last = this.#list[at + 1]?.before ?? end;
      return { before: segment.before, last, bytes: segment.end };
    });
  }

  push(segment: Segment): void {
    assert(segment.before.index === this.active.lastIndex, "segments would have a gap");
    this.#list.push(segment);
    this.#forgetDigests();
  }

  /** Drops the active segment; the one before it is active again. */
  pop(): Segment {
    assert(this.#list.length > 1, "the first segment is never dropped");
    return this.#list.pop() as Segment;
  }

  /** Drops the oldest segment, which is never the active one. */
  shift(): Segment {
    assert(this.#list.length > 1, "the active segment is never trimmed");
    return this.#list.shift() as Segment;
  }

  /** Begins anew with one empty segment. */
  reset(segment: Segment): void {
    this.#list.length = 0;
    this.#list.push(segment);
  }

  /** The segment that holds `index`, which is retained. */
  of(index: LogIndex): Segment {
    assert(index > this.first.before.index, "index is before the log", index);
    const found = this.#lastWhere((segment) => segment.before.index < index);
    return this.#list[found] as Segment;
  }

  /** The segment to look in for the last entry not after `lastIndex` that begins by `offset`. */
  holding(offset: Offset, lastIndex: LogIndex): Segment | null {
    // One that begins at this very offset may hold no entry yet: then it is the one before.
    const found = this.#lastWhere(
      (segment) =>
        segment.baseOffset <= offset && segment.before.index < lastIndex && segment.count > 0,
    );
    return this.#list[found] ?? null;
  }

  /** The first segment whose last entry is not before `time`; the active one where none is. */
  reaching(time: WallMs): Segment {
    const found = this.#lastWhere((segment) => segment.before.timestamp < time);
    return this.#list[Math.max(0, found)] as Segment;
  }

  /** Gives up the indexes of sealed segments that end by `index`. */
  release(index: LogIndex): void {
    for (const segment of this.#list) {
      if (segment === this.active || segment.lastIndex > index) break;
      if (!segment.isReleased && !segment.index.mapped) segment.release();
    }
    this.#forgetDigests();
  }

  #forgetDigests(): void {
    for (const segment of this.#list.slice(0, -1 - DIGESTS_KEPT)) segment.forgetDigests();
  }

  /** The first released segment that begins with `base` or later, or null. */
  releasedFrom(base: LogIndex): Segment | null {
    return this.#list.find((segment) => segment.isReleased && segment.baseIndex >= base) ?? null;
  }

  /** The sealed segment whose last entry is `lastIndex`, or null. */
  endingWith(lastIndex: LogIndex): Segment | null {
    return this.#list.slice(0, -1).find((segment) => segment.lastIndex === lastIndex) ?? null;
  }

  /** Of the entries from `first` to `last`; null when they are not all known (any more). */
  digestOf(first: LogIndex, last: LogIndex): number | null {
    if (first <= this.first.before.index || last > this.active.lastIndex) return null;
    let digest = NO_DIGEST;
    for (let at = first; at <= last; ) {
      const segment = this.of(at);
      const end = Math.min(last, segment.lastIndex) as LogIndex;
      const before = segment.digestThrough((at - 1) as LogIndex);
      const through = segment.digestThrough(end);
      if (before === null || through === null) return null;
      const count = end - at + 1;
      digest = digestJoined(digest, digestBehind(before, through, count), count);
      at = (end + 1) as LogIndex;
    }
    return digest;
  }

  has(segment: Segment): boolean {
    return this.#list.includes(segment);
  }

  /**
   * The last place where `holds`, which is true up to some place and false after it; -1 for none.
   */
  #lastWhere(holds: (segment: Segment) => boolean): number {
    let low = 0;
    let high = this.#list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(this.#list[middle] as Segment)) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
