// Which entry a read begins with, and where it stands: by index, by offset, by log time, or so many
// records before the end. In memory where the entries or their index are, else by O(log segments +
// log entries) positioned reads. Owns no reading of entries (reader.ts) and no bound on them.

import { viewOf } from "../base/bytes.ts";
import type { EntryHead, LogPoint } from "../base/entry.ts";
import type { LogIndex, Offset, Position, WallMs } from "../base/ids.ts";
import { type Flow, readAt } from "./flow.ts";
import { decodeHead, FRAME_HEADER_BYTES, FRAME_LIMITS } from "./frame.ts";
import type { ReadFrom } from "./protocol.ts";
import type { ResidentTail } from "./resident-tail.ts";
import { IndexDoubt, type SealedIndexes } from "./sealed-index.ts";
import type { Segment } from "./segment.ts";
import type { Segments } from "./segments.ts";

export interface LookupParts {
  readonly segments: Segments;
  readonly resident: ResidentTail;
  readonly indexes: SealedIndexes;
  /** The place before the log's first entry as of now. */
  readonly start: () => LogPoint;
  /** The log's end as of now, truncations and appends that wait for the disk included. */
  readonly end: () => LogPoint;
}

export class Lookup {
  readonly #parts: LookupParts;

  constructor(parts: LookupParts) {
    this.#parts = parts;
  }

  /** The first entry of a read, not after `last`; null when there is none. */
  *first(from: ReadFrom, last: LogIndex): Flow<LogIndex | null> {
    switch (from.kind) {
      case "index":
        return from.index;
      case "offset":
        return yield* this.#holderOf(from.offset, last);
      case "timestamp":
        return yield* this.#firstSince(from.at, last);
      case "last": {
        const { endOffset: startOffset } = this.#parts.start();
        const endOffset = yield* this.#endOffsetOf(last);
        const offset = Math.max(startOffset, endOffset - from.count) as Offset;
        return offset >= endOffset ? null : yield* this.#holderOf(offset, last);
      }
    }
  }

  /** Where an entry stands that is on the disk. */
  *positionOf(segment: Segment, index: LogIndex): Flow<Position> {
    if (!segment.isReleased) return segment.positionOf(index);
    const position = yield* this.#parts.indexes.positionOf(segment, index);
    const isInside = position >= 0 && position < segment.end;
    if (isInside) return position;
    throw new IndexDoubt(segment, segment.end, "the index points outside of the store");
  }

  /** The entry not after `last` that holds the record at `offset`, or null. */
  *#holderOf(offset: Offset, last: LogIndex): Flow<LogIndex | null> {
    const { resident, segments } = this.#parts;
    const lastOnDisk = Math.min(last, resident.firstIndex - 1) as LogIndex;
    const found =
      resident.lastAtOrBefore(offset, last) ?? (yield* this.#lastOnDisk(offset, lastOnDisk));
    if (found === null) return null;
    // The last one that begins at or before the offset may end before it: a control entry at the
    // end.
    const isSealed = found < resident.firstIndex && segments.of(found).isReleased;
    if (!isSealed) return offset < (yield* this.#endOffsetOf(found)) ? found : null;
    // An index file may say anything: the store is asked whether it led to the right entry.
    const head = yield* this.#headOf(found);
    if (head.offset <= offset && offset < head.offset + head.count) return found;
    if (head.offset <= offset && found === lastOnDisk) return null;
    const segment = segments.of(found);
    throw new IndexDoubt(segment, segment.end, `entry ${found} does not hold offset ${offset}`);
  }

  *#lastOnDisk(offset: Offset, last: LogIndex): Flow<LogIndex | null> {
    const { segments, indexes } = this.#parts;
    const segment = segments.holding(offset, last);
    if (segment === null) return null;
    if (!segment.isReleased) return segment.lastAtOrBefore(offset, last);
    const relative = offset - segment.baseOffset;
    const span = segments.of((segment.lastIndex + 1) as LogIndex).baseOffset - segment.baseOffset;
    const end = last - segment.before.index;
    return yield* indexes.lastAtOrBefore(segment, relative, end, span);
  }

  *#endOffsetOf(index: LogIndex): Flow<Offset> {
    const { resident, segments, indexes } = this.#parts;
    const end = this.#parts.end();
    const start = this.#parts.start();
    const next = (index + 1) as LogIndex;
    if (index <= start.index) return start.endOffset;
    if (next > end.index) return end.endOffset;
    if (next >= resident.firstIndex) return resident.at(next).offset;
    const segment = segments.of(next);
    if (segment.baseIndex === next) return segment.baseOffset;
    if (!segment.isReleased) return segment.offsetOf(next);
    return (segment.baseOffset + (yield* indexes.relativeOffsetOf(segment, next))) as Offset;
  }

  /** The first entry not after `last` that is not older than `time`; null when all are. */
  *#firstSince(time: WallMs, last: LogIndex): Flow<LogIndex | null> {
    const { resident, segments } = this.#parts;
    const { index: before } = this.#parts.start();
    let low = (before + 1) as number;
    let high = last + 1;
    const firstResident = resident.firstIndex;
    if (firstResident <= last && resident.at(firstResident).timestamp < time) low = firstResident;
    else if (low < firstResident && low <= last) {
      high = Math.min(high, firstResident);
      const segment = segments.reaching(time);
      low = Math.max(low, segment.baseIndex);
      high = Math.min(high, segment.lastIndex + 1);
    }
    while (low < high) {
      const middle = ((low + high) >>> 1) as LogIndex;
      if ((yield* this.#timestampOf(middle)) < time) low = middle + 1;
      else high = middle;
    }
    return low > last ? null : (low as LogIndex);
  }

  *#timestampOf(index: LogIndex): Flow<WallMs> {
    const { resident } = this.#parts;
    if (index >= resident.firstIndex) return resident.at(index).timestamp;
    return (yield* this.#headOf(index)).timestamp;
  }

  /** The head of an entry that is on the disk, read from its store. */
  *#headOf(index: LogIndex): Flow<EntryHead> {
    const segment = this.#parts.segments.of(index);
    const position = yield* this.positionOf(segment, index);
    const bytes = yield* readAt(segment.store, position, FRAME_HEADER_BYTES);
    const decoded = decodeHead(bytes, 0, FRAME_LIMITS, viewOf(bytes));
    if (decoded.kind === "head" && decoded.head.index === index) return decoded.head;
    throw new IndexDoubt(segment, position, `entry ${index} does not stand here`);
  }
}
