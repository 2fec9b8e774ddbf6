// What Raft remembers of the log without its bytes: the term of every retained entry, as runs, and
// for the recent part where each entry ends. Knows neither disk nor peers; journal.ts knows what is
// durable.

import { assert } from "../base/assert.ts";
import { type EntryHead, FRAME_HEADER_BYTES, type LogPoint, type TermRun } from "../base/entry.ts";
import {
  type LogIndex,
  NO_INDEX,
  NO_TERM,
  type Offset,
  type Term,
  type WallMs,
} from "../base/ids.ts";
import type { RaftRestored } from "./protocol.ts";

/**
 * Committed entries whose sizes are kept, so that a follower this far behind is sent full appends.
 */
export const RECENT_ENTRIES_MAX = 16_384;

const ROOM_AT_FIRST = 1024;

export class LogTail {
  /** Ascending by index and by term; the last run reaches lastIndex. */
  readonly #runs: TermRun[];
  #lastIndex: LogIndex;
  #lastTerm: Term;
  /** Entries up to here are trimmed. Its own term is known where the host has said it. */
  #startIndex: LogIndex;

  // A ring over [#floor, #lastIndex], each index at index & #mask: where the log ends after it.
  // Invariant: #floor <= commitIndex, so that a truncation finds the point it falls back to.
  #floor: LogIndex;
  #mask = ROOM_AT_FIRST - 1;
  #endOffset = new Float64Array(ROOM_AT_FIRST);
  #timestamp = new Float64Array(ROOM_AT_FIRST);
  /** Frame bytes from the place of the restored base up to and with the entry: a prefix sum. */
  #endByte = new Float64Array(ROOM_AT_FIRST);

  constructor(restored: RaftRestored) {
    const { base, termRuns, tail, start } = restored;
    this.#runs = termRuns.slice();
    if (termRuns.length === 0 && base.index > NO_INDEX) {
      this.#runs.push({ term: base.term, firstIndex: base.index });
    }
    this.#startIndex = start?.index ?? NO_INDEX;
    if (start !== undefined) this.#startRuns(start);
    assert((this.#runs.at(-1)?.term ?? NO_TERM) === base.term, "the runs must end in base's term");
    this.#lastIndex = base.index;
    this.#lastTerm = base.term;
    this.#floor = base.index;
    this.#put(base.index, base.endOffset, base.timestamp, 0);
    for (const head of tail) this.append(head);
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  get lastTerm(): Term {
    return this.#lastTerm;
  }

  /** The retained log begins after this place. */
  get startIndex(): LogIndex {
    return this.#startIndex;
  }

  /** Offset of the next record. */
  get endOffset(): Offset {
    return this.#endOffset[this.#lastIndex & this.#mask] as Offset;
  }

  get timestamp(): WallMs {
    return this.#timestamp[this.#lastIndex & this.#mask] as WallMs;
  }

  /**
   * The term of the entry at `index`, 0 for the place before the first entry ever; null when the
   * entry is trimmed away or not there yet, so that no comparison can take it for a match.
   */
  termAt(index: LogIndex): Term | null {
    if (index === NO_INDEX) return NO_TERM;
    if (index > this.#lastIndex) return null;
    const at = this.#runAt(index);
    return at < 0 ? null : (this.#runs[at] as TermRun).term;
  }

  /** The place just after the entry at `index`, which must be recent: see `isRecent`. */
  pointAt(index: LogIndex): LogPoint {
    assert(this.isRecent(index), "only recent points are kept", index, this.#floor);
    const at = index & this.#mask;
    return {
      index,
      term: index === this.#floor ? this.#termAtFloor() : (this.termAt(index) as Term),
      endOffset: this.#endOffset[at] as Offset,
      timestamp: this.#timestamp[at] as WallMs,
    };
  }

  /** Whether offsets and sizes after `index` are still known. */
  isRecent(index: LogIndex): boolean {
    return index >= this.#floor && index <= this.#lastIndex;
  }

  /**
   * Puts an entry at the end. Its link to the end was checked when it was received or is made here.
   */
  append(head: EntryHead): void {
    assert(head.index === this.#lastIndex + 1, "an entry goes to the end of the log", head.index);
    assert(head.prevTerm === this.#lastTerm, "an entry names the term before it", head.index);
    assert(head.term >= this.#lastTerm, "terms in the log never go back", head.term);
    assert(head.offset === this.endOffset, "offsets in the log have no gaps", head.offset);
    assert(head.timestamp >= this.timestamp, "log time never goes back", head.timestamp);
    const endByte =
      (this.#endByte[this.#lastIndex & this.#mask] as number) +
      FRAME_HEADER_BYTES +
      head.bodyLength;
    if (head.term > this.#lastTerm || this.#runs.length === 0) {
      this.#runs.push({ term: head.term, firstIndex: head.index });
      this.#lastTerm = head.term;
    }
    if (head.index - this.#floor > this.#mask) this.#grow();
    this.#lastIndex = head.index;
    this.#put(head.index, head.offset + head.count, head.timestamp, endByte);
  }

  /** Drops the entries from `from` on, which are not committed. */
  truncate(from: LogIndex): void {
    assert(from > this.#floor && from <= this.#lastIndex, "only recent entries can go", from);
    while ((this.#runs.at(-1)?.firstIndex ?? NO_INDEX) >= from) this.#runs.pop();
    this.#lastIndex = (from - 1) as LogIndex;
    this.#lastTerm = this.#runs.at(-1)?.term ?? this.#termAtFloor();
  }

  /** The retained log begins after `base` now, a committed place; earlier news changes nothing. */
  trim(base: LogPoint): void {
    if (base.index <= this.#startIndex) return;
    assert(this.termAt(base.index) === base.term, "the log is trimmed at a place it has");
    this.#startIndex = base.index;
    this.#startRuns(base);
    if (base.index > this.#floor) this.#floor = base.index;
  }

  /** The log ends and begins after `at`: a snapshot has taken the place of everything. */
  install(at: LogPoint): void {
    this.#runs.length = 0;
    this.#startIndex = at.index;
    this.#startRuns(at);
    this.#lastIndex = at.index;
    this.#lastTerm = at.term;
    this.#floor = at.index;
    this.#put(at.index, at.endOffset, at.timestamp, 0);
  }

  /** Entries up to `commitIndex` will never be truncated: forgets the points of the older ones. */
  committed(commitIndex: LogIndex): void {
    const floor = commitIndex - RECENT_ENTRIES_MAX;
    if (floor > this.#floor) this.#floor = floor as LogIndex;
  }

  /** Frame bytes of the entries (after, to], both recent. */
  bytesBetween(after: LogIndex, to: LogIndex): number {
    return (
      (this.#endByte[to & this.#mask] as number) - (this.#endByte[after & this.#mask] as number)
    );
  }

  /** The same of any two places, as far as sizes are still known. */
  knownBytesBetween(after: LogIndex, to: LogIndex): number {
    if (to <= this.#floor) return 0;
    return this.bytesBetween(after < this.#floor ? this.#floor : after, to);
  }

  /**
   * The last index of an append after `prevIndex` (recent) with at most `bytesMax`, or one entry.
   */
  lastWithin(prevIndex: LogIndex, bytesMax: number): LogIndex {
    if (this.bytesBetween(prevIndex, this.#lastIndex) <= bytesMax) return this.#lastIndex;
    let low = prevIndex + 1;
    let high = this.#lastIndex - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.bytesBetween(prevIndex, middle as LogIndex) <= bytesMax) low = middle;
      else high = middle - 1;
    }
    return low as LogIndex;
  }

  /**
   * The last place at or below `index` whose term is at most `term`: below it the two logs of a
   * conflict may agree, above it they cannot. Before the retained entries its term is 0, unknown.
   */
  lastAtMost(index: LogIndex, term: Term): { readonly index: LogIndex; readonly term: Term } {
    let end = Math.min(index, this.#lastIndex) as LogIndex;
    for (let at = this.#runAt(end); at >= 0; at--) {
      const run = this.#runs[at] as TermRun;
      if (run.term <= term) return { index: end, term: run.term };
      end = (run.firstIndex - 1) as LogIndex;
    }
    return { index: end, term: NO_TERM };
  }

  /**
   * Place in #runs of the run that holds `index`, at most lastIndex; -1 when it is before them all.
   */
  #runAt(index: LogIndex): number {
    let low = 0;
    let high = this.#runs.length - 1;
    if (high >= 0 && (this.#runs[high] as TermRun).firstIndex <= index) return high;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle] as TermRun).firstIndex <= index) low = middle + 1;
      else high = middle - 1;
    }
    return high;
  }

  /** Makes `start` the first place whose term is known. */
  #startRuns({ index, term }: LogPoint): void {
    if (index === NO_INDEX) return;
    while (this.#runs.length > 1 && (this.#runs[1] as TermRun).firstIndex <= index) {
      this.#runs.shift();
    }
    const first = this.#runs[0];
    const agrees = first === undefined || first.firstIndex > index || first.term === term;
    assert(agrees, "the log's start is of another term than its run", index);
    if (first !== undefined && first.term === term) this.#runs[0] = { term, firstIndex: index };
    else this.#runs.unshift({ term, firstIndex: index });
  }

  /** The floor may be the place before the first entry, or the last trimmed one. */
  #termAtFloor(): Term {
    return this.termAt(this.#floor) ?? NO_TERM;
  }

  #put(index: LogIndex, endOffset: number, timestamp: number, endByte: number): void {
    const at = index & this.#mask;
    this.#endOffset[at] = endOffset;
    this.#timestamp[at] = timestamp;
    this.#endByte[at] = endByte;
  }

  #grow(): void {
    const old = [this.#endOffset, this.#timestamp, this.#endByte] as const;
    const oldMask = this.#mask;
    const room = (oldMask + 1) * 2;
    this.#mask = room - 1;
    this.#endOffset = new Float64Array(room);
    this.#timestamp = new Float64Array(room);
    this.#endByte = new Float64Array(room);
    for (let index = this.#floor as number; index <= this.#lastIndex; index++) {
      const from = index & oldMask;
      this.#put(
        index as LogIndex,
        old[0][from] as number,
        old[1][from] as number,
        old[2][from] as number,
      );
    }
  }
}
