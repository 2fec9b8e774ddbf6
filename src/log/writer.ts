// Group commit: everything that makes the log durable while it is open. Owns the queue of writes,
// the order in which each becomes durable, rolling, truncation and preallocation; not recovery, not
// reads.
//
// One flow drains the queue, so that nothing of one write overtakes another:
//  1. hard state, and with it the intent to truncate: slot written, synced;
//     an installation, if there is one (upkeep.ts);
//  2. truncation: later segments removed from the last one back, the rest zeroed and synced, and
//     only then the intent taken back; a crash in between finds the intent and goes on from it;
//  3. entries, of as many waiting writes as fit: one gathered write that a marker begins, one sync.
// While a group is being synced the next one gathers: the sync is the clock, no timer is needed.
// A step that meets a full disk is taken back and waits for room (space.ts), and with it all that
// comes after.

import { assert } from "../base/assert.ts";
import {
  type Entry,
  type HardState,
  type LogPoint,
  type LogWrite,
  pointAfter,
} from "../base/entry.ts";
import type { LogIndex, Position, WriteId } from "../base/ids.ts";
import {
  DiskTrouble,
  type Flow,
  type FlowRunner,
  type Operation,
  perform,
  readAt,
} from "./flow.ts";
import {
  decodeHead,
  FRAME_ALIGNMENT,
  FRAME_HEADER_BYTES,
  FRAME_LIMITS,
  paddedLength,
} from "./frame.ts";
import type { HardStateFile } from "./hard-state.ts";
import { markerSalt } from "./identity.ts";
import { RELATIVE_OFFSET_MAX } from "./index-file.ts";
import { sealMarker } from "./marker.ts";
import type { LogOptions } from "./protocol.ts";
import { isSealable, writeSeal } from "./seal.ts";
import { Segment } from "./segment.ts";
import {
  breakSeal,
  createFiles,
  dropFiles,
  mapIndex,
  removeUnfinished,
  sealIndex,
  writeIndex,
} from "./segment-files.ts";
import type { Segments } from "./segments.ts";
import { isFull, type Space } from "./space.ts";
import { zeros } from "./zeros.ts";

/**
 * Frame bytes in one gathered write, unless one entry is longer: bounds the latency of its sync.
 */
export const GROUP_BYTES_MAX = 4 * 1024 * 1024;

/**
 * From so many bytes on, writing the group takes longer than changing the file's size does: zeros
 * ahead of such would only be written over at once. Measured, and in docs/log.md.
 */
const LARGE_GROUP_BYTES = 64 * 1024;

/** By how many bytes are missing to the next multiple of the frames' alignment. */
const PADDINGS = Array.from({ length: FRAME_ALIGNMENT }, (_, bytes) => new Uint8Array(bytes));

export interface WriterParts {
  readonly options: LogOptions;
  readonly runner: FlowRunner;
  readonly segments: Segments;
  readonly hardState: HardStateFile;
  readonly space: Space;
  /** The log's end; all of it durable. */
  readonly end: LogPoint;
  /** Begins the log anew behind `at`, all but the hard state's term and vote. */
  readonly install: (at: LogPoint) => Flow<void>;
  /** Called once or more when the disk refuses; the writer then does nothing more. */
  readonly failed: (trouble: DiskTrouble) => void;
}

/** A write as far as it is not done yet. */
interface PendingWrite {
  readonly writeId: WriteId;
  hardState: HardState | null;
  install: LogPoint | null;
  truncateFrom: LogIndex | null;
  readonly entries: readonly Entry[];
  /** Entries that are in a group already. */
  taken: number;
}

interface Group {
  readonly segment: Segment;
  readonly first: LogIndex;
  readonly start: Position;
  readonly end: Position;
  /** Of its frames. */
  readonly bytes: number;
  /** The writes taken off the queue, and how many entries of the first were taken before. */
  readonly done: readonly PendingWrite[];
  readonly takenBefore: number;
  readonly operations: readonly Operation[];
  /** The point once it is durable. */
  readonly point: LogPoint;
  /** The last write that is then done with. */
  readonly completes: WriteId | null;
}

export class Writer {
  readonly #parts: WriterParts;
  readonly #queue: PendingWrite[] = [];
  #durable: LogPoint;
  #draining = false;
  #stopped = false;
  #preallocating = false;
  /** Of the group written last: the next one is likely as large. */
  #groupBytes = 0;
  #persistedId = 0 as WriteId;
  #saidId = 0 as WriteId;
  #rolled: LogPoint | null = null;
  /** Frame bytes handed in that are not durable. */
  #backlogBytes = 0;
  /** The segment whose marker salt is known. */
  #salted: Segment | null = null;
  #salt = 0;

  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.#durable = parts.end;
  }

  /** The place just after the last durable entry. */
  get durable(): LogPoint {
    return this.#durable;
  }

  get idle(): boolean {
    return !this.#draining;
  }

  /** Frame bytes that wait for the disk. */
  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  /** Begins nothing more; what the disk works on is not waited for. */
  stop(): void {
    this.#stopped = true;
  }

  enqueue(write: LogWrite): void {
    const { writeId, hardState, truncateFrom, entries } = write;
    const install = write.install?.at ?? null;
    for (const { frame } of entries) this.#backlogBytes += frame.length;
    this.#queue.push({ writeId, hardState, install, truncateFrom, entries, taken: 0 });
    // What waits for room may have the reserve now.
    if (entries.some(makesRoom)) this.#parts.space.retry();
    if (this.#draining) return;
    this.#draining = true;
    this.#parts.runner.start(this.#drain(), this.#parts.failed);
  }

  /** All writes up to this one are durable. */
  get persistedId(): WriteId {
    return this.#persistedId;
  }

  /** The same when it grew since the last call, else null. */
  takePersisted(): WriteId | null {
    if (this.#saidId === this.#persistedId) return null;
    this.#saidId = this.#persistedId;
    return this.#saidId;
  }

  /** Where the last segment ends that was sealed since the last call; null when none was. */
  takeRolled(): LogPoint | null {
    const taken = this.#rolled;
    this.#rolled = null;
    return taken;
  }

  *#drain(): Flow<void> {
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      if (this.#stopped) return;
      if (!isReady(head)) yield* this.#prepare(head);
      yield* this.#writeGroup();
      this.#maybePreallocate();
    }
    this.#draining = false;
  }

  /** Makes the hard state, the installation and the truncation of `write` durable. */
  *#prepare(write: PendingWrite): Flow<void> {
    const { hardState: file, space } = this.#parts;
    const advance = (change: Parameters<HardStateFile["advance"]>[0]) => {
      file.advance(change);
      return space.needing(() => file.write());
    };
    const hardState = write.hardState ?? file.current.hardState;
    const cut = write.truncateFrom;
    const truncateFrom = cut !== null && cut <= this.#durable.index ? cut : null;
    if (write.hardState !== null || truncateFrom !== null) {
      const durableIndex = this.#durable.index;
      yield* advance({ hardState, truncateFrom, durableIndex });
    }
    if (write.install !== null) {
      yield* this.#parts.install(write.install);
      this.#durable = write.install;
    }
    if (truncateFrom !== null) {
      yield* this.#truncate(truncateFrom);
      const durableIndex = this.#durable.index;
      yield* advance({ hardState, truncateFrom: null, durableIndex });
    }
    write.hardState = null;
    write.install = null;
    write.truncateFrom = null;
  }

  *#truncate(from: LogIndex): Flow<void> {
    const { segments, space } = this.#parts;
    // An emptied segment stays: it is active, and the next entry is its first.
    while (segments.active.baseIndex > from) yield* dropFiles(segments.pop());
    const segment = segments.active;
    yield* breakSeal(segment);
    const point = yield* pointBefore(segment, from);
    const cut = segment.positionOf(from);
    const stale = zeros(segment.end - cut);
    segment.truncate(from, cut);
    yield* space.needing(() => zeroOut(segment, cut, stale));
    if (!segment.index.mapped) {
      yield* space.needing(() => perform(...writeIndex(segment)));
      yield* mapIndex(segment);
    }
    this.#durable = point;
  }

  /** Writes what fits into the active segment and waits until it is durable; else rolls. */
  *#writeGroup(): Flow<void> {
    const group = this.#gather();
    if (group.operations.length > 0) {
      if (!(yield* this.#maybeWrite(group))) return;
      this.#durable = group.point;
      this.#groupBytes = group.bytes;
      this.#backlogBytes -= group.bytes;
    }
    if (group.completes !== null) this.#persistedId = group.completes;
    else if (group.operations.length === 0) yield* this.#roll();
  }

  /** False when there was no room, and all is as before; then there may be room again. */
  *#maybeWrite(group: Group): Flow<boolean> {
    const { space } = this.#parts;
    try {
      yield* perform(...group.operations);
      space.found();
      return true;
    } catch (thrown) {
      if (!isFull(thrown)) throw thrown;
    }
    const { segment, first, start, end } = group;
    this.#giveBack(group);
    segment.truncate(first, start);
    // Part of it may be there. The next group is another one, of other entries after a truncation:
    // behind it no frame of this one may stand, not after any crash.
    yield* space.needing(function* () {
      const size = yield* sizeOf(segment.store);
      const stale = zeros(Math.max(0, Math.min(end, size) - start));
      if (stale.length > 0) yield* zeroOut(segment, start, stale);
    });
    if (!this.#makesRoom || !(yield* space.spend())) yield* space.wait();
    return false;
  }

  /** Whether a trim is among what waits: then the reserve is there for all before it. */
  get #makesRoom(): boolean {
    return this.#queue.some(({ entries }) => entries.some(makesRoom));
  }

  /** The writes of a group that could not be written are first in the queue again. */
  #giveBack({ done, takenBefore }: Group): void {
    const partial = this.#queue[0];
    if (partial !== undefined) partial.taken = 0;
    for (const write of done) write.taken = 0;
    this.#queue.unshift(...done);
    const first = this.#queue[0];
    if (first !== undefined) first.taken = takenBefore;
  }

  /** Takes entries off the queue, as many as may go into one write to the active segment. */
  #gather(): Group {
    const segment = this.#parts.segments.active;
    const start = segment.end;
    const frames: Uint8Array[] = [];
    const done: PendingWrite[] = [];
    const takenBefore = this.#queue[0]?.taken ?? 0;
    const first = (segment.lastIndex + 1) as LogIndex;
    let bytes = 0;
    let at = start + FRAME_HEADER_BYTES;
    let last: Entry | null = null;
    let count = 0;
    let completes: WriteId | null = null;
    gathering: for (let write = this.#queue[0]; write !== undefined; write = this.#queue[0]) {
      if (!isReady(write)) break;
      for (; write.taken < write.entries.length; write.taken++) {
        const entry = write.entries[write.taken] as Entry;
        const length = paddedLength(entry.frame.length);
        if (!this.#fits(segment, entry, at - start + length, last === null)) break gathering;
        segment.append(entry, at as Position);
        frames.push(entry.frame);
        bytes += entry.frame.length;
        if (length > entry.frame.length) frames.push(paddingOf(length - entry.frame.length));
        at += length;
        last = entry;
        count++;
      }
      completes = write.writeId;
      done.push(write);
      this.#queue.shift();
    }
    const end = at as Position;
    const group = { segment, first, start, end, bytes, done, takenBefore, completes };
    if (last === null) return Object.assign(group, { operations: [], point: this.#durable });
    const marker = this.#marker(segment, start, count);
    segment.end = end;
    segment.storeFileBytes = Math.max(segment.storeFileBytes, end);
    const file = segment.store;
    const operations: Operation[] = [
      { kind: "write-at", file, position: start, parts: [marker, ...frames] },
      { kind: "sync", file },
    ];
    return Object.assign(group, { operations, point: pointAfter(last) });
  }

  #fits(segment: Segment, entry: Entry, groupBytes: number, isFirst: boolean): boolean {
    const { options } = this.#parts;
    // An empty segment takes any one entry, or an entry larger than a segment had no place at all.
    if (segment.count === 0) return true;
    if (!isFirst && groupBytes > GROUP_BYTES_MAX) return false;
    if (segment.end + groupBytes > options.segmentBytesMax) return false;
    if (segment.index.isFull || segment.count >= options.indexEntriesMax) return false;
    const ageMsMax = options.segmentAgeMsMax ?? Number.MAX_SAFE_INTEGER;
    if (entry.timestamp - segment.firstTimestamp > ageMsMax) return false;
    return entry.offset - segment.baseOffset <= RELATIVE_OFFSET_MAX;
  }

  #marker(segment: Segment, position: Position, entries: number): Uint8Array {
    const salt = this.#saltOf(segment);
    const hardSequence = this.#parts.hardState.current.sequence;
    return sealMarker(this.#durable, entries, { position, salt, hardSequence });
  }

  /** PERF: asked for each group of one segment. */
  #saltOf(segment: Segment): number {
    if (this.#salted !== segment) {
      this.#salted = segment;
      this.#salt = markerSalt(this.#parts.options.identity.instanceId, segment.baseIndex);
    }
    return this.#salt;
  }

  /** Begins the next segment; returns when its files are durable under their names. */
  *#roll(): Flow<void> {
    const { segments, runner, options, space, failed } = this.#parts;
    const old = segments.active;
    const segment = new Segment(this.#durable);
    assert(segment.before.index === old.lastIndex, "rolled before the old segment was durable");
    const seal = old.sealAs(segment.before, this.#parts.hardState.current.sequence);
    const sealing = isSealable(seal) ? writeSeal(seal) : [];
    yield* space.needing(
      () => perform(...sealing, ...createFiles(segment, options)),
      () => removeUnfinished(segment, [old.seal]),
      () => !this.#makesRoom,
    );
    yield* perform({ kind: "sync-dir" });
    yield* mapIndex(segment);
    old.isSealed = sealing.length > 0;
    segments.push(segment);
    space.hopeAhead();
    this.#rolled = segment.before;
    runner.start(sealIndex(old), failed);
  }

  /**
   * Writes zeros ahead of the active store's end, while nothing waits for the disk if it can be;
   * none ahead of large groups.
   */
  #maybePreallocate(): void {
    const { options, runner, segments, space, failed } = this.#parts;
    const segment = segments.active;
    const left = segment.storeFileBytes - segment.end;
    const wanted = this.#queue.length === 0 ? options.preallocateBytes / 2 : 0;
    const target = Math.min(segment.end + options.preallocateBytes, options.segmentBytesMax);
    if (this.#preallocating || space.isScarce || this.#groupBytes > LARGE_GROUP_BYTES) return;
    if (left > wanted || target <= segment.storeFileBytes) return;
    this.#preallocating = true;
    runner.start(this.#preallocate(segment, target), failed);
  }

  *#preallocate(segment: Segment, target: number): Flow<void> {
    const file = segment.store;
    const before = segment.storeFileBytes;
    const position = before as Position;
    const parts = zeros(target - before);
    segment.storeFileBytes = target;
    try {
      // The next group's write is performed after this one: the same file, in order.
      yield* perform({ kind: "write-at", file, position, parts }, { kind: "sync", file });
    } catch (thrown) {
      if (!isFull(thrown)) throw thrown;
      // Entries may still find room without.
      segment.storeFileBytes = Math.max(before, segment.end);
      this.#parts.space.refusedAhead();
    }
    this.#preallocating = false;
  }
}

function makesRoom({ kind }: Entry): boolean {
  return kind === "trim";
}

/** Writes zeros over [position, position + bytes of them), and returns when they are durable. */
function* zeroOut(segment: Segment, position: Position, parts: Uint8Array[]): Flow<void> {
  const file = segment.store;
  yield* perform({ kind: "write-at", file, position, parts }, { kind: "sync", file });
}

/** Bytes of a file as it stands; 0 without one. */
function* sizeOf(file: string): Flow<number> {
  const [listed] = yield* perform({ kind: "list" });
  const files = listed?.kind === "listed" ? listed.files : [];
  return files.find((found) => found.file === file)?.bytes ?? 0;
}

/** True when nothing of it comes before its entries any more. */
function isReady(write: PendingWrite): boolean {
  return write.hardState === null && write.install === null && write.truncateFrom === null;
}

function paddingOf(bytes: number): Uint8Array {
  return PADDINGS[bytes] as Uint8Array;
}

/** The point just before entry `from` of `segment`, read back from the store. */
function* pointBefore(segment: Segment, from: LogIndex): Flow<LogPoint> {
  const index = (from - 1) as LogIndex;
  if (index === segment.before.index) return segment.before;
  const position = segment.positionOf(index);
  const bytes = yield* readAt(segment.store, position, FRAME_HEADER_BYTES);
  const decoded = decodeHead(bytes, 0, FRAME_LIMITS);
  if (decoded.kind === "head" && decoded.head.index === index) return pointAfter(decoded.head);
  const what = `entry ${index} cannot be read back`;
  throw new DiskTrouble({ code: "damaged", file: segment.store, position, what });
}
