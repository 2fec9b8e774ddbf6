// Reading whole entries forward, by index or by offset: from memory when they are resident, else by
// one positioned read of contiguous bytes, verified frame by frame. Owns the bounds on reads and
// what a truncation means for those under way; changes nothing on disk.

import { viewOf } from "../base/bytes.ts";
import { brokenLink, type Entry, type LogPoint, pointAfter } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { LogIndex, Offset, Position } from "../base/ids.ts";
import { attempt, diskFault, type Flow, type FlowRunner, type Operation } from "./flow.ts";
import { decodeFrame, FRAME_LIMITS, paddedLength } from "./frame.ts";
import type { LogRead, ReadFrom } from "./protocol.ts";
import type { ResidentTail } from "./resident-tail.ts";
import type { Segment } from "./segment.ts";
import type { Segments } from "./segments.ts";

/** Reads the disk works on at once. */
export const READS_IN_FLIGHT_MAX = 16;
/** Reads waiting for one of those places before further ones are refused as overloaded. */
export const READS_WAITING_MAX = 1024;
/** Bytes one read asks the disk for at most, unless one entry is longer. */
export const READ_BYTES_MAX = 4 * 1024 * 1024;

const RETRY_AFTER_MS = 50;

export interface ReadRequest {
  readonly readId: number;
  readonly from: ReadFrom;
  readonly lastIndex: LogIndex;
  readonly bytesMax: number;
}

export interface ReaderParts {
  readonly runner: FlowRunner;
  readonly segments: Segments;
  readonly resident: ResidentTail;
  /** The place before the log's first entry as of now. */
  readonly start: () => LogPoint;
  /** The log's end as of now, truncations and appends that wait for the disk included. */
  readonly end: () => LogPoint;
}

/** A read the disk is asked for. */
interface Range {
  readonly segment: Segment;
  readonly first: LogIndex;
  readonly last: LogIndex;
  /** Entries from here on were truncated since: what the disk says of them counts for nothing. */
  cutFrom: LogIndex;
}

type Located =
  | { readonly kind: "answer"; readonly entries: readonly Entry[] }
  | { readonly kind: "fault"; readonly fault: Fault }
  | { readonly kind: "disk"; readonly range: Range };

const NOTHING: Located = { kind: "answer", entries: [] };

export class Reader {
  readonly #parts: ReaderParts;
  readonly #inFlight = new Set<Range>();
  readonly #waiting: ReadRequest[] = [];
  #flows = 0;
  #answers: LogRead[] = [];

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  get idle(): boolean {
    return this.#flows === 0;
  }

  /** Answered now, after a disk read, or with a fault. */
  request(request: ReadRequest): void {
    const located = this.#locate(request);
    if (located.kind !== "disk") {
      this.#answer(request, located);
    } else if (this.#flows < READS_IN_FLIGHT_MAX) {
      this.#start(request);
    } else if (this.#waiting.length < READS_WAITING_MAX) {
      this.#waiting.push(request);
    } else {
      const fault: Fault = { code: "overloaded", what: "log reads", retryAfterMs: RETRY_AFTER_MS };
      this.#answer(request, { kind: "fault", fault });
    }
  }

  /** The entries from `from` on are not the log's any more. */
  truncated(from: LogIndex): void {
    for (const range of this.#inFlight) if (from < range.cutFrom) range.cutFrom = from;
  }

  /** Segments are going: what is under way looks again where its entries are. */
  segmentsGo(): void {
    for (const range of this.#inFlight) range.cutFrom = 0 as LogIndex;
  }

  /** The answers since the last call. */
  take(): readonly LogRead[] {
    const taken = this.#answers;
    this.#answers = [];
    return taken;
  }

  #answer(request: ReadRequest, located: Exclude<Located, { kind: "disk" }>): void {
    const { readId } = request;
    if (located.kind === "fault") {
      this.#answers.push({ kind: "failed", readId, fault: located.fault });
    } else {
      this.#answers.push({ kind: "entries", readId, entries: located.entries });
    }
  }

  #start(request: ReadRequest): void {
    this.#flows++;
    this.#parts.runner.start(this.#read(request), ({ fault }) => {
      this.#answer(request, { kind: "fault", fault });
    });
  }

  *#read(request: ReadRequest): Flow<void> {
    for (;;) {
      const located = this.#locate(request);
      const found = located.kind === "disk" ? yield* this.#readRange(located.range) : located;
      // Null: all that was asked for was truncated meanwhile; the log is asked again as it is now.
      if (found === null) continue;
      this.#answer(request, found);
      break;
    }
    this.#flows--;
    const next = this.#waiting.shift();
    if (next !== undefined) this.#start(next);
  }

  *#readRange(range: Range): Flow<Exclude<Located, { kind: "disk" }> | null> {
    const { segment, first, last } = range;
    const position = segment.positionOf(first);
    const length = segment.endPositionOf(last) - position;
    const read: Operation = { kind: "read-at", file: segment.store, position, length };
    this.#inFlight.add(range);
    const result = yield* attempt(read);
    this.#inFlight.delete(range);
    const lastValid = Math.min(last, range.cutFrom - 1) as LogIndex;
    if (lastValid < first) return null;
    if (result.kind === "failed") return { kind: "fault", fault: diskFault(read, result) };
    const bytes = result.kind === "read" ? result.bytes : new Uint8Array(0);
    return decodeRange(bytes, segment.store, position, first, lastValid);
  }

  /** Where the entries asked for are, as of now. */
  #locate(request: ReadRequest): Located {
    const { from, bytesMax } = request;
    const { resident, segments } = this.#parts;
    const end = this.#parts.end();
    const last = Math.min(request.lastIndex, end.index) as LogIndex;
    const start = this.#parts.start();
    if (from.kind === "offset" && from.offset < start.endOffset)
      return outOfRange(from.offset, start, end);
    if (from.kind === "index" && from.index <= start.index) return outOfRange(0, start, end);
    const first = from.kind === "index" ? from.index : this.#holderOf(from.offset, last);
    if (first === null || first > last) return NOTHING;
    if (first >= resident.firstIndex) {
      return { kind: "answer", entries: resident.slice(first, last, bytesMax) };
    }
    const segment = segments.of(first);
    const lastOnDisk = Math.min(last, resident.firstIndex - 1, segment.lastIndex) as LogIndex;
    const bytes = Math.min(bytesMax, READ_BYTES_MAX);
    const range = { segment, first, last: lastWithin(segment, first, lastOnDisk, bytes) };
    return { kind: "disk", range: { ...range, cutFrom: Number.MAX_SAFE_INTEGER as LogIndex } };
  }

  /** The entry not after `last` that holds the record at `offset`, or null. */
  #holderOf(offset: Offset, last: LogIndex): LogIndex | null {
    const { resident, segments } = this.#parts;
    const lastOnDisk = Math.min(last, resident.firstIndex - 1) as LogIndex;
    const found =
      resident.lastAtOrBefore(offset, last) ?? segments.lastAtOrBefore(offset, lastOnDisk);
    if (found === null) return null;
    // The last one that begins at or before the offset may end before it: a control entry at the
    // end.
    return offset < this.#endOffsetOf(found) ? found : null;
  }

  #endOffsetOf(index: LogIndex): Offset {
    const { resident, segments } = this.#parts;
    const end = this.#parts.end();
    const next = (index + 1) as LogIndex;
    if (next > end.index) return end.endOffset;
    if (next >= resident.firstIndex) return resident.at(next).offset;
    return segments.of(next).offsetOf(next);
  }
}

function outOfRange(offset: number, start: LogPoint, end: LogPoint): Located {
  const { endOffset: startOffset } = start;
  const { endOffset } = end;
  return { kind: "fault", fault: { code: "offset-out-of-range", offset, startOffset, endOffset } };
}

/** The last entry such that first to it fit into `bytesMax` of the file; at least `first`. */
function lastWithin(segment: Segment, first: LogIndex, last: LogIndex, bytesMax: number): LogIndex {
  const start = segment.positionOf(first);
  let low = first as number;
  let high = last as number;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2) as LogIndex;
    if (segment.endPositionOf(middle) - start <= bytesMax) low = middle;
    else high = middle - 1;
  }
  return low as LogIndex;
}

/** The entries first..last from bytes that were read at `position`, or what is wrong with them. */
function decodeRange(
  bytes: Uint8Array,
  file: string,
  position: Position,
  first: LogIndex,
  last: LogIndex,
): Exclude<Located, { kind: "disk" }> {
  const view = viewOf(bytes);
  const entries: Entry[] = [];
  let before: LogPoint | null = null;
  let at = 0;
  while (entries.length <= last - first) {
    const decoded = decodeFrame(bytes, at, FRAME_LIMITS, view);
    let what: string | null = null;
    if (decoded.kind === "incomplete") what = "the file ends inside a frame";
    else if (decoded.kind !== "entry") what = decoded.what;
    else if (decoded.entry.kind !== "marker") {
      const { entry } = decoded;
      if (before !== null) what = brokenLink(before, entry);
      else if (entry.index !== first) what = `entry ${entry.index} stands where ${first} should`;
      entries.push(entry);
      before = pointAfter(entry);
    }
    if (what !== null || decoded.kind !== "entry") {
      const fault: Fault = { code: "damaged", file, position: position + at, what: what ?? "" };
      return { kind: "fault", fault };
    }
    at += paddedLength(decoded.length);
  }
  return { kind: "answer", entries };
}
