// One segment's bookkeeping: which entries its store file holds and where. Owns the index table and
// the ends; reads and writes no file (writer.ts, reader.ts and opening.ts decide those operations).

import { assert } from "../base/assert.ts";
import type { EntryHead, LogPoint, TermRun } from "../base/entry.ts";
import type { LogIndex, Offset, Position, WallMs } from "../base/ids.ts";
import { digestAfter, NO_DIGEST } from "./digest.ts";
import { indexFile, sealFile, storeFile } from "./file-names.ts";
import { IndexTable } from "./index-file.ts";
import type { Seal } from "./seal.ts";
import { SEGMENT_HEADER_BYTES } from "./segment-header.ts";

export class Segment {
  /** The point its first entry joins on to; what its header says. */
  readonly before: LogPoint;
  readonly store: string;
  readonly indexName: string;
  readonly seal: string;
  /** In memory while an entry of it may still be truncated; afterwards only in its file. */
  index = new IndexTable();
  #releasedCount: number | null = null;
  #releasedDigest = NO_DIGEST;
  /** Whether a file says what it holds, so that the next opening need not read it. */
  isSealed = false;
  /** Of its entries, by term. */
  readonly #runs: TermRun[] = [];
  /** After each entry, the digest of all up to there. */
  #digests: number[] = [];
  /** Where the next frame goes: the padded end of the last one written. */
  end = SEGMENT_HEADER_BYTES as Position;
  /** Bytes of the store file, those written ahead as zeros included. */
  storeFileBytes = SEGMENT_HEADER_BYTES;
  /** Bytes of the index file; 0 while there is none. */
  indexFileBytes = 0;
  #firstTimestamp: WallMs;

  constructor(before: LogPoint) {
    this.before = before;
    this.#firstTimestamp = before.timestamp;
    this.store = storeFile(this.baseIndex);
    this.indexName = indexFile(this.baseIndex);
    this.seal = sealFile(this.baseIndex);
  }

  get baseIndex(): LogIndex {
    return (this.before.index + 1) as LogIndex;
  }

  get baseOffset(): Offset {
    return this.before.endOffset;
  }

  get count(): number {
    return this.#releasedCount ?? this.index.count;
  }

  /** True when its index is in its file only (sealed-index.ts). */
  get isReleased(): boolean {
    return this.#releasedCount !== null;
  }

  /** Gives up the index in memory; count and digest are a seal's where there never was one. */
  release(count = this.count, digest = this.digest): void {
    assert(!this.index.mapped, "the active segment's index stays", this.baseIndex);
    this.#releasedCount = count;
    this.#releasedDigest = digest;
    this.index = new IndexTable();
  }

  /** No digest that ends or begins inside will be asked for any more. */
  forgetDigests(): void {
    if (this.isReleased) this.#digests = [];
  }

  /** baseIndex - 1 while it is empty. */
  get lastIndex(): LogIndex {
    return (this.before.index + this.count) as LogIndex;
  }

  /** Log time of its first entry; of the entry before while it is empty. */
  get firstTimestamp(): WallMs {
    return this.#firstTimestamp;
  }

  /** Notes that the next entry stands at `position`. */
  append(entry: EntryHead, position: Position): void {
    assert(
      entry.index === this.lastIndex + 1,
      "entry does not follow",
      entry.index,
      this.lastIndex,
    );
    if (this.count === 0) this.#firstTimestamp = entry.timestamp;
    this.index.append(entry.offset - this.baseOffset, position);
    this.#digests.push(digestAfter(this.digest, entry));
    if (this.#runs.at(-1)?.term !== entry.term) {
      this.#runs.push({ term: entry.term, firstIndex: entry.index });
    }
  }

  /** Forgets the entries from `from` on; the next one goes to `end`. */
  truncate(from: LogIndex, end: Position): void {
    this.index.truncate(from - this.baseIndex);
    this.#digests.length = this.index.count;
    while ((this.#runs.at(-1)?.firstIndex ?? 0) >= from) this.#runs.pop();
    this.end = end;
  }

  /** Of its entries up to `index`; null when nobody knows it any more. */
  digestThrough(index: LogIndex): number | null {
    if (index === this.before.index) return NO_DIGEST;
    if (index === this.lastIndex) return this.digest;
    return this.#digests[index - this.baseIndex] ?? null;
  }

  /** Of all its entries (digest.ts). */
  get digest(): number {
    return this.isReleased ? this.#releasedDigest : (this.#digests.at(-1) ?? NO_DIGEST);
  }

  /** What a seal says of it once it ends with `last`. */
  sealAs(last: LogPoint, hardSequence: number): Seal {
    const { before, end, digest } = this;
    return { before, last, end, hardSequence, digest, runs: this.#runs };
  }

  positionOf(index: LogIndex): Position {
    return this.index.position(index - this.baseIndex);
  }

  /** Where reading entry `index` must have stopped: the next entry's position, or the end. */
  endPositionOf(index: LogIndex): Position {
    return index < this.lastIndex ? this.positionOf((index + 1) as LogIndex) : this.end;
  }

  offsetOf(index: LogIndex): Offset {
    return (this.baseOffset + this.index.relativeOffset(index - this.baseIndex)) as Offset;
  }

  /** The last entry not after `lastIndex` whose offset is at most `offset`, or null. */
  lastAtOrBefore(offset: Offset, lastIndex: LogIndex): LogIndex | null {
    const end = lastIndex - this.before.index;
    const slot = this.index.lastAtOrBefore(offset - this.baseOffset, end);
    return slot < 0 ? null : ((this.baseIndex + slot) as LogIndex);
  }
}
