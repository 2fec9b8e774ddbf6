// Reading whole entries forward: from memory when they are resident, else by one positioned read of
// contiguous bytes, verified frame by frame. Owns the bounds on reads and what a truncation, a trim
// or an installation means for those under way; where entries stand is lookup.ts. Changes nothing
// on disk but an index that turns out to be wrong.

import { viewOf } from "../base/bytes.ts";
import { brokenLink, type Entry, type LogPoint, pointAfter } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { LogIndex, Position } from "../base/ids.ts";
import { takeAll } from "../base/taking.ts";
import { DiskTrouble, type Flow, type FlowRunner, readAt } from "./flow.ts";
import { decodeFrame, FRAME_LIMITS, type FrameLimits, paddedLength } from "./frame.ts";
import { Lookup } from "./lookup.ts";
import type { LogOptions, LogRead, ReadFrom } from "./protocol.ts";
import type { ResidentTail } from "./resident-tail.ts";
import { IndexDoubt, SealedIndexes } from "./sealed-index.ts";
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
  readonly options: LogOptions;
  readonly segments: Segments;
  readonly resident: ResidentTail;
  readonly failed: (trouble: DiskTrouble) => void;
  /** The store of a sealed segment does not hold what it must. */
  readonly damaged: (segment: Segment, fault: Fault) => void;
  /** The place before the log's first entry as of now. */
  readonly start: () => LogPoint;
  /** The log's end as of now, truncations and appends that wait for the disk included. */
  readonly end: () => LogPoint;
}

/** What goes on with the log while a read is under way. */
interface Watch {
  /** Entries from here on are not what they were; 0 when segments went. */
  cutFrom: LogIndex;
}

interface Place {
  readonly segment: Segment;
  readonly first: LogIndex;
  readonly last: LogIndex;
  /** Of the first one. */
  readonly position: Position;
}

interface Range extends Place {
  readonly length: number;
  /** Of frames; whatever fits is returned, and one at least. */
  readonly bytesMax: number;
}

type Answer =
  | { readonly kind: "entries"; readonly entries: readonly Entry[] }
  | { readonly kind: "failed"; readonly fault: Fault };

const NOTHING: Answer = { kind: "entries", entries: [] };
const UNCUT = Number.MAX_SAFE_INTEGER as LogIndex;
/** What is read of a sealed segment when little is asked for: a frame of unknown length. */
const PROBE_BYTES = 4096;

export class Reader {
  readonly #parts: ReaderParts;
  /** What is checked of each frame that is read. */
  readonly #limits: FrameLimits;
  readonly #indexes: SealedIndexes;
  readonly #lookup: Lookup;
  readonly #inFlight = new Set<Watch>();
  readonly #waiting: ReadRequest[] = [];
  #flows = 0;
  #answers: LogRead[] = [];

  constructor(parts: ReaderParts) {
    this.#parts = parts;
    const isBodyUnverified = parts.options.areBodiesUnverified ?? false;
    this.#limits = { ...FRAME_LIMITS, isBodyUnverified };
    this.#indexes = new SealedIndexes(parts.failed);
    this.#lookup = new Lookup({ ...parts, indexes: this.#indexes });
  }

  get idle(): boolean {
    return this.#flows === 0;
  }

  /** Answered now, after disk reads, or with a fault. */
  request(request: ReadRequest): void {
    const trial = this.#answerOf(request);
    const begun = trial.next();
    if (begun.done === true) {
      this.#answer(request, begun.value);
      return;
    }
    // It needs the disk, which has not been asked yet.
    trial.return(NOTHING);
    if (this.#flows < READS_IN_FLIGHT_MAX) this.#start(request);
    else if (this.#waiting.length < READS_WAITING_MAX) this.#waiting.push(request);
    else {
      const fault: Fault = { code: "overloaded", what: "log reads", retryAfterMs: RETRY_AFTER_MS };
      this.#answer(request, { kind: "failed", fault });
    }
  }

  /** The entries from `from` on are not the log's any more. */
  truncated(from: LogIndex): void {
    for (const watch of this.#inFlight) if (from < watch.cutFrom) watch.cutFrom = from;
  }

  /** Segments are going: what is under way looks again where its entries are. */
  segmentsGo(): void {
    this.#indexes.forget();
    for (const watch of this.#inFlight) watch.cutFrom = 0 as LogIndex;
  }

  get hasAnswers(): boolean {
    return this.#answers.length > 0;
  }

  /** The answers since the last call. */
  take(): readonly LogRead[] {
    return takeAll(this.#answers);
  }

  #answer({ readId }: ReadRequest, answer: Answer): void {
    const { kind } = answer;
    if (kind === "entries") this.#answers.push({ kind, readId, entries: answer.entries });
    else this.#answers.push({ kind, readId, fault: answer.fault });
  }

  #start(request: ReadRequest): void {
    this.#flows++;
    this.#parts.runner.start(this.#read(request), ({ fault }) => {
      this.#answer(request, { kind: "failed", fault });
    });
  }

  *#read(request: ReadRequest): Flow<void> {
    this.#answer(request, yield* this.#answerOf(request));
    this.#flows--;
    const next = this.#waiting.shift();
    if (next !== undefined) this.#start(next);
  }

  /** Looks again as often as the log changed under it; a wrong index is rebuilt once. */
  *#answerOf(request: ReadRequest): Flow<Answer> {
    const watch: Watch = { cutFrom: UNCUT };
    this.#inFlight.add(watch);
    try {
      for (let hasDoubted = false; ; ) {
        watch.cutFrom = UNCUT;
        const { generation } = this.#indexes;
        try {
          const answer = yield* this.#tryOnce(request, watch);
          if (answer !== null) return answer;
        } catch (thrown) {
          if (watch.cutFrom !== UNCUT && isTrouble(thrown)) continue;
          if (thrown instanceof DiskTrouble) return { kind: "failed", fault: thrown.fault };
          if (!(thrown instanceof IndexDoubt)) throw thrown;
          const fault = yield* this.#resolve(thrown, hasDoubted, generation);
          if (watch.cutFrom !== UNCUT) continue;
          if (fault !== null) return { kind: "failed", fault };
          hasDoubted = true;
        }
      }
    } finally {
      this.#inFlight.delete(watch);
    }
  }

  /** Null when the index has been rebuilt from the store; else what is wrong with the store. */
  *#resolve(doubt: IndexDoubt, hasDoubted: boolean, generation: number): Flow<Fault | null> {
    const { segment, position, what } = doubt;
    if (!segment.isReleased || hasDoubted) {
      return { code: "damaged", file: segment.store, position, what };
    }
    try {
      yield* this.#indexes.rebuild(segment, generation);
      return null;
    } catch (thrown) {
      if (!(thrown instanceof DiskTrouble)) throw thrown;
      const { fault } = thrown;
      if (fault.code === "damaged" && this.#parts.segments.has(segment)) {
        this.#parts.damaged(segment, fault);
      }
      return fault;
    }
  }

  /** Null when the log changed under it. */
  *#tryOnce(request: ReadRequest, watch: Watch): Flow<Answer | null> {
    const { from, bytesMax } = request;
    const { resident, segments } = this.#parts;
    const end = this.#parts.end();
    const start = this.#parts.start();
    const last = Math.min(request.lastIndex, end.index) as LogIndex;
    if (from.kind === "offset" && from.offset < start.endOffset) {
      return outOfRange(from.offset, start, end);
    }
    if (from.kind === "index" && from.index <= start.index) return outOfRange(0, start, end);
    const first = yield* whileUncut(this.#lookup.first(from, last), watch);
    if (watch.cutFrom !== UNCUT) return null;
    if (first === null || first > last) return NOTHING;
    if (first >= resident.firstIndex) {
      return { kind: "entries", entries: resident.slice(first, last, bytesMax) };
    }
    const segment = segments.of(first);
    const lastOnDisk = Math.min(last, resident.firstIndex - 1, segment.lastIndex) as LogIndex;
    const position = yield* whileUncut(this.#lookup.positionOf(segment, first), watch);
    if (position === null) return null;
    const place = { segment, first, last: lastOnDisk, position };
    const range = segment.isReleased
      ? yield* whileUncut(this.#sealedRange(place, bytesMax), watch)
      : knownRange(place, bytesMax);
    if (range === null || watch.cutFrom <= range.last) return null;
    return yield* this.#readRange(range, watch);
  }

  /** The bytes to read where the index is in its file only: about as many as are asked for. */
  *#sealedRange(place: Place, bytesMax: number): Flow<Range> {
    const { segment, first, position } = place;
    const bytes = Math.min(bytesMax, READ_BYTES_MAX);
    const end = yield* this.#indexes.endWithin(segment, first, position, bytes);
    const blindly = Math.min(Math.max(bytes, PROBE_BYTES), segment.end - position);
    return { ...place, length: end === null ? blindly : end - position, bytesMax: bytes };
  }

  *#readRange(range: Range, watch: Watch): Flow<Answer | null> {
    const { segment, first, last, position } = range;
    let { length } = range;
    for (;;) {
      const bytes = yield* readAt(segment.store, position, length);
      const lastValid = Math.min(last, watch.cutFrom - 1) as LogIndex;
      if (lastValid < first) return null;
      const decoded = decodeRange(bytes, range, lastValid, this.#limits);
      if (decoded.kind !== "longer") {
        const next = (first + decoded.entries.length) as LogIndex;
        if (segment.isReleased && next <= segment.lastIndex && watch.cutFrom === UNCUT) {
          this.#indexes.hint(next, (position + decoded.bytes) as Position);
        }
        return { kind: "entries", entries: decoded.entries };
      }
      if (decoded.needs <= length) throw new IndexDoubt(segment, position, "the file ends inside");
      length = decoded.needs;
    }
  }
}

/** Goes on with `flow` only as long as the log is what it was; else null, at once. */
function* whileUncut<Found>(flow: Flow<Found>, watch: Watch): Flow<Found | null> {
  let next = flow.next([]);
  while (next.done !== true) {
    const results = yield next.value;
    if (watch.cutFrom !== UNCUT) return null;
    next = flow.next(results);
  }
  return next.value;
}

/** A disk that refuses, or an index that leads astray: of a log that has changed, no wonder. */
function isTrouble(thrown: unknown): boolean {
  return thrown instanceof DiskTrouble || thrown instanceof IndexDoubt;
}

function outOfRange(offset: number, start: LogPoint, end: LogPoint): Answer {
  const { endOffset: startOffset } = start;
  const { endOffset } = end;
  return { kind: "failed", fault: { code: "offset-out-of-range", offset, startOffset, endOffset } };
}

/** The bytes to read where the index is in memory: exactly those of the entries. */
function knownRange(place: Place, bytesMax: number): Range {
  const { segment, first, position } = place;
  const last = lastWithin(segment, first, place.last, Math.min(bytesMax, READ_BYTES_MAX));
  const length = segment.endPositionOf(last) - position;
  return { ...place, last, length, bytesMax: length };
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

type DecodedRange =
  | { readonly kind: "entries"; readonly entries: readonly Entry[]; readonly bytes: number }
  /** The first entry is longer than what was read. */
  | { readonly kind: "longer"; readonly needs: number };

/**
 * The entries from `first` on that fit, out of the bytes at `position`, and how many bytes they
 * take up; throws a doubt when other bytes stand there.
 */
function decodeRange(
  bytes: Uint8Array,
  range: Range,
  last: LogIndex,
  limits: FrameLimits,
): DecodedRange {
  const { segment, first, position, bytesMax } = range;
  const view = viewOf(bytes);
  const entries: Entry[] = [];
  let before: LogPoint | null = null;
  let at = 0;
  while (entries.length <= last - first) {
    const decoded = decodeFrame(bytes, at, limits, view);
    if (decoded.kind === "incomplete") {
      const isCutOff = position + bytes.length < segment.end && segment.isReleased;
      if (isCutOff && before === null) return { kind: "longer", needs: at + decoded.needs };
      if (isCutOff) break;
      throw new IndexDoubt(segment, (position + at) as Position, "the file ends inside a frame");
    }
    let what: string | null = decoded.kind === "entry" ? null : decoded.what;
    if (decoded.kind === "entry" && decoded.entry.kind !== "marker") {
      const { entry } = decoded;
      if (before !== null && at + decoded.length > bytesMax) break;
      if (before !== null) what = brokenLink(before, entry);
      else if (entry.index !== first) what = `entry ${entry.index} stands where ${first} should`;
      entries.push(entry);
      before = pointAfter(entry);
    }
    if (what !== null || decoded.kind !== "entry") {
      throw new IndexDoubt(segment, (position + at) as Position, what ?? "");
    }
    at += paddedLength(decoded.length);
  }
  return { kind: "entries", entries, bytes: at };
}
