// The log of one node: a pure machine whose outputs are disk operations. It keeps every entry once,
// in segments of a store and an index file, makes writes durable in order, reads entries back, and
// recovers all of it after any crash. This file owns the states, the events and the one output;
// what they set off is opening.ts, writer.ts and reader.ts, each a flow of disk operations
// (flow.ts).
//
// It holds no port: a finished operation is an event. Time matters only while the disk is full.

import { assert, unreachable } from "../base/assert.ts";
import type { SegmentDigest } from "../base/control.ts";
import {
  brokenLink,
  type Entry,
  LOG_START,
  type LogPoint,
  type LogWrite,
  pointAfter,
} from "../base/entry.ts";
import type { Damage, Fault } from "../base/faults.ts";
import {
  after,
  type Instant,
  type LogIndex,
  millis,
  NEVER,
  NO_INDEX,
  NO_TERM,
  type Offset,
  type Term,
  type WallMs,
  type WriteId,
} from "../base/ids.ts";
import type { Machine } from "../base/machine.ts";
import { replaceFile } from "./aside.ts";
import { Checkpoints } from "./checkpoints.ts";
import { MANIFEST_FILE } from "./file-names.ts";
import { type DiskTrouble, type Flow, FlowRunner, perform } from "./flow.ts";
import { FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES } from "./frame.ts";
import type { HardStateFile } from "./hard-state.ts";
import { Incoming } from "./incoming.ts";
import { statusOf } from "./log-status.ts";
import { type Difference, describeDifference, encodeManifest } from "./manifest.ts";
import { type OpenDirectory, openDirectory, openedOf } from "./opening.ts";
import type {
  Identity,
  LogBase,
  LogEvent,
  LogOpened,
  LogOptions,
  LogOutput,
  LogRead,
  LogRoom,
  LogStatus,
  OpenRefusal,
} from "./protocol.ts";
import { Reader, type ReadRequest } from "./reader.ts";
import { Refused } from "./refusal.ts";
import { ResidentTail } from "./resident-tail.ts";
import { type RetentionLimits, retentionOffset } from "./retention.ts";
import { Scrub } from "./scrub.ts";
import type { Segment } from "./segment.ts";
import { breakSeal, sealIndex } from "./segment-files.ts";
import { Segments } from "./segments.ts";
import { giveUpReserve, isFull, Space } from "./space.ts";
import type { TermRuns } from "./term-runs.ts";
import { Upkeep } from "./upkeep.ts";
import { Writer } from "./writer.ts";

/** A full disk is tried again after so long. */
const RETRY_AFTER = millis(100);
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

/** What there is once the directory is open. */
interface Opened {
  readonly identity: Identity;
  readonly segments: Segments;
  readonly resident: ResidentTail;
  readonly termRuns: TermRuns;
  readonly hardState: HardStateFile;
  readonly writer: Writer;
  readonly reader: Reader;
  readonly upkeep: Upkeep;
  readonly incoming: Incoming;
  readonly space: Space;
  readonly scrub: Scrub;
}

export class Log implements Machine<LogEvent, LogOutput> {
  readonly #options: LogOptions;
  readonly #runner = new FlowRunner();
  #state: LogStatus["state"] = "new";
  #opened: Opened | null = null;
  /** The log's end with all that was asked for, whether durable or not. */
  #end: LogPoint = LOG_START;
  /** The hard state's term, likewise. */
  #term: Term = NO_TERM;
  #lastWriteId = 0 as WriteId;
  /**
   * Writes that truncate or install and are not durable yet, and the last index each leaves;
   * ascending ids.
   */
  #truncations: { readonly writeId: WriteId; readonly keptIndex: LogIndex }[] = [];
  #now = 0 as Instant;
  /** When a full disk is tried again; NEVER while it is not. */
  #retryAt: Instant = NEVER;
  #room: LogRoom = "plenty";
  #closing = false;
  #closeBegun = false;
  // Said once, with the next output.
  #sayOpened: LogOpened | null = null;
  #sayRefused: OpenRefusal | null = null;
  #sayPoisoned: Fault | null = null;
  #sayClosed = false;
  #sayRoom: LogRoom | null = null;
  #refusedReads: LogRead[] = [];
  #refusedBases: LogBase[] = [];

  constructor(options: LogOptions) {
    assert(options.indexEntriesMax >= 1, "an index has room for one entry at least");
    assert(options.preallocateBytes >= 0 && options.cacheBytesMax >= 0, "sizes are not negative");
    this.#options = options;
  }

  /** The log waits for the disk, and for time only while that is full. */
  get deadline(): Instant {
    return this.#retryAt;
  }

  /** Since when the disk has done nothing of what it was asked; NEVER while it is asked nothing. */
  get waitingSince(): Instant {
    return this.#runner.waitingSince;
  }

  step(now: Instant, event: LogEvent): void {
    this.#now = now;
    this.#runner.now = now;
    switch (event.kind) {
      case "open":
        assert(this.#state === "new", "a log is opened once", this.#state);
        this.#state = "opening";
        this.#runner.start(this.#open(), ({ fault }) =>
          this.#refuse({ kind: "disk-failed", fault }),
        );
        break;
      case "deadline":
        this.#retry();
        break;
      case "write":
        this.#write(event.write);
        break;
      case "read":
        this.#read(event);
        break;
      case "checkpoint":
        this.#checkpoint(event);
        break;
      case "trim":
      case "pin":
        if (this.#state === "open") this.#opened?.upkeep.hear(event);
        break;
      case "scrub":
        if (this.#state === "open") this.#opened?.scrub.advance(event.bytesMax);
        break;
      case "spend-reserve":
        this.#spendReserve();
        break;
      case "differs":
        this.#markDifference(event);
        break;
      case "read-base":
      case "read-base-part":
        this.#readBase(event);
        break;
      case "receive-base":
      case "forget-received":
        if (this.#state === "open") this.#opened?.incoming.step(event);
        break;
      case "disk-done":
        this.#runner.done(event.opId, event.result);
        break;
      case "close":
        this.#closing = true;
        if (this.#state === "open") this.#state = "closing";
        break;
      default:
        unreachable(event);
    }
    this.#settle();
  }

  takeOutput(): LogOutput | null {
    const opened = this.#opened;
    const operations = this.#runner.take();
    const persisted = this.#isPoisoned ? null : (opened?.writer.takePersisted() ?? null);
    const rolled = opened?.writer.takeRolled() ?? null;
    const base = opened?.upkeep.takeTrimmed() ?? null;
    const isEmpty = operations.length === 0 && persisted === null && rolled === null;
    // PERF: asked more often than there is an answer.
    if (isEmpty && base === null && !this.#hasWords(opened)) return null;
    const output: LogOutput = {
      operations,
      persisted,
      reads: [...(opened?.reader.take() ?? []), ...this.#refusedReads],
      opened: this.#sayOpened,
      refused: this.#sayRefused,
      poisoned: this.#sayPoisoned,
      rolled,
      trimmed: base === null ? null : { base },
      room: this.#sayRoom,
      bases: [...(opened?.upkeep.takeBases() ?? []), ...this.#refusedBases],
      received: opened?.incoming.takeAnswers() ?? [],
      closed: this.#sayClosed,
    };
    this.#refusedReads = [];
    this.#refusedBases = [];
    this.#sayOpened = null;
    this.#sayRefused = null;
    this.#sayPoisoned = null;
    this.#sayClosed = false;
    this.#sayRoom = null;
    return output;
  }

  /** Whether there is anything to say besides operations, writes and trims. */
  #hasWords(opened: Opened | null): boolean {
    if (opened?.reader.hasAnswers || opened?.upkeep.hasBases) return true;
    const isRefusing = this.#refusedReads.length > 0 || this.#refusedBases.length > 0;
    const hasChanged = this.#sayOpened !== null || this.#sayRoom !== null || this.#sayClosed;
    const hasFailed = this.#sayRefused !== null || this.#sayPoisoned !== null;
    return isRefusing || hasChanged || hasFailed || opened?.incoming.hasAnswers === true;
  }

  status(): LogStatus {
    const own = { state: this.#state, room: this.#room, end: this.#end };
    return statusOf({ ...own, durableIndex: this.durableIndex }, this.#opened);
  }

  /** The index before the log's first entry. */
  get startsAfter(): LogIndex {
    return (this.#opened?.upkeep.start ?? LOG_START).index;
  }

  /** Of what is received from a peer and may be installed; NO_INDEX without anything. */
  get incomingIndex(): LogIndex {
    return this.#opened?.incoming.index ?? NO_INDEX;
  }

  /** Times that all sealed segments were scrubbed. */
  get scrubPasses(): number {
    return this.#opened?.scrub.passes ?? 0;
  }

  /** Whether there is anything to scrub. */
  get hasSealed(): boolean {
    return this.#opened?.segments.first.isReleased ?? false;
  }

  /** Whether there is room for more entries, as of now. */
  get room(): LogRoom {
    return this.#room;
  }

  /**
   * The digest of the segment that ends at a boundary that `rolled` told; null when no sealed one
   * does. A replica whose segments end elsewhere makes its own by reading the same entries.
   */
  segmentDigest(lastIndex: LogIndex): SegmentDigest | null {
    const segment = this.#opened?.segments.endingWith(lastIndex) ?? null;
    if (segment === null) return null;
    return { firstIndex: segment.baseIndex, lastIndex, digest: segment.digest };
  }

  /** Of these entries; null when they are not all written yet, or not known any more. */
  digestOf(first: LogIndex, last: LogIndex): number | null {
    return this.#opened?.segments.digestOf(first, last) ?? null;
  }

  /**
   * The offset before which a leader would propose to trim so that the limits are kept; null when
   * nothing is to go. `now` is log time: what it would stamp the next entry with.
   */
  retentionOffset(limits: RetentionLimits, now: WallMs): Offset | null {
    if (this.#opened === null) return null;
    return retentionOffset(this.#opened.segments.extents(this.#end), limits, now);
  }

  get #isPoisoned(): boolean {
    return this.#state === "poisoned";
  }

  /**
   * Up to here the log's entries are durable. While a truncation waits for the disk, entries with
   * higher indexes may be durable too, but they are not this log's any more.
   */
  get durableIndex(): LogIndex {
    const writer = this.#opened?.writer;
    if (writer === undefined) return 0 as LogIndex;
    let durable = writer.durable.index;
    // Each counts by itself: a later one, further up, does not keep an earlier one waiting.
    for (const { writeId, keptIndex } of this.#truncations) {
      if (writeId > writer.persistedId && keptIndex < durable) durable = keptIndex;
    }
    return durable;
  }

  *#open(): Flow<void> {
    try {
      this.#become(yield* this.#openDirectory());
    } catch (thrown) {
      if (!(thrown instanceof Refused)) throw thrown;
      this.#refuse(thrown.refusal);
    }
  }

  /** A disk too full to open the directory on has the reserve of the node that ran there. */
  *#openDirectory(): Flow<OpenDirectory> {
    try {
      return yield* openDirectory(this.#options);
    } catch (thrown) {
      if (!isFull(thrown)) throw thrown;
    }
    yield* giveUpReserve();
    return yield* openDirectory(this.#options);
  }

  #retry(): void {
    if (this.#retryAt > this.#now) return;
    this.#retryAt = NEVER;
    this.#opened?.space.retry();
  }

  #become(directory: OpenDirectory): void {
    const { identity, hardState, start, end, termRuns, resumable } = directory;
    const { checkpoints: found } = directory;
    const runner = this.#runner;
    const segments = new Segments(directory.segments);
    const resident = new ResidentTail((end.index + 1) as LogIndex);
    const options: LogOptions = { ...this.#options, identity };
    const failed = (trouble: DiskTrouble) => this.#poison(trouble.fault);
    const startMoved = (point: LogPoint) => {
      termRuns.trim(point.index);
      reader.segmentsGo();
    };
    const checkpoints = new Checkpoints(found.points);
    segments.release(found.newest?.at.index ?? (0 as LogIndex));
    const space = new Space(options.reserveBytes ?? 0, directory.isReserved);
    const shared = { options, runner, segments, hardState, space, failed };
    const incoming = new Incoming({ options, runner, space, resumable, failed });
    const upkeep: Upkeep = new Upkeep({ ...shared, checkpoints, incoming, start, startMoved });
    const writer = new Writer({ ...shared, end, install: (at) => upkeep.install(at) });
    const ends = { start: () => upkeep.start, end: () => this.#end };
    const damaged = (segment: Segment, fault: Fault) => this.#foundDamage(segment, fault);
    const reader: Reader = new Reader({ ...shared, resident, damaged, ...ends });
    const differs = ({ baseIndex, lastIndex }: Segment) =>
      this.#markDifference({ first: baseIndex, last: lastIndex });
    const scrub = new Scrub({ runner, segments, damaged, differs });
    const machines = { writer, reader, upkeep, incoming, space, scrub };
    this.#opened = { identity, segments, resident, termRuns, hardState, ...machines };
    this.#end = end;
    this.#term = hardState.current.hardState.term;
    this.#state = this.#closing ? "closing" : "open";
    if (this.#state === "open") this.#maybeKeepReserve(space);
    this.#sayOpened = openedOf(directory);
  }

  /** Told once no seal vouches for the segment any more, not after any crash. */
  #foundDamage(segment: Segment, fault: Fault): void {
    if (fault.code !== "damaged" || this.#state !== "open") return;
    const { file, position, what } = fault;
    const damage: Damage = { file, position, what, index: segment.baseIndex };
    this.#sayDamaged(damage, () => breakSeal(segment));
  }

  /** Refuses once `work` has made sure that the next opening will, too. */
  #sayDamaged(damage: Damage, work: () => Flow<unknown>): void {
    const say = () => {
      if (this.#state === "open") this.#refuse({ kind: "damaged", damage });
    };
    const flow = function* (): Flow<void> {
      yield* work();
      say();
    };
    this.#runner.start(flow(), (trouble) => {
      say();
      this.#poison(trouble.fault);
    });
  }

  #markDifference(differs: Difference): void {
    if (this.#opened === null || this.#state !== "open") return;
    const { identity } = this.#opened;
    const { store: file } = this.#opened.segments.of(differs.first);
    const what = describeDifference(differs);
    const damage: Damage = { file, position: 0, what, index: differs.first };
    const marked = encodeManifest({ identity, cleanStop: null, differs });
    const { space } = this.#opened;
    this.#sayDamaged(damage, () => space.sparing(() => replaceFile(MANIFEST_FILE, [marked])));
  }

  #refuse(refusal: OpenRefusal): void {
    this.#state = "refused";
    this.#sayRefused = refusal;
  }

  #poison(fault: Fault): void {
    if (this.#isPoisoned) return;
    this.#state = "poisoned";
    this.#opened?.writer.stop();
    this.#sayPoisoned = fault;
  }

  #write(write: LogWrite): void {
    const opened = this.#opened;
    assert(opened !== null, "a log is written to only once it is open", this.#state);
    assert(write.writeId > this.#lastWriteId, "write ids grow", write.writeId, this.#lastWriteId);
    this.#lastWriteId = write.writeId;
    if (write.install !== undefined) this.#install(opened, write.install.at, write);
    if (write.truncateFrom !== null) this.#truncate(opened, write.truncateFrom, write.writeId);
    // Never acknowledged any more, so neither kept: what is truncated must still not be read.
    if (this.#state !== "open") return;
    if (write.hardState !== null) {
      assert(
        write.hardState.term >= this.#term,
        "term went back",
        write.hardState.term,
        this.#term,
      );
      this.#term = write.hardState.term;
    }
    for (const entry of write.entries) this.#append(opened, entry);
    opened.writer.enqueue(write);
  }

  #truncate(opened: Opened, from: LogIndex, writeId: WriteId): void {
    if (from > this.#end.index) return;
    const { newestIndex } = opened.upkeep;
    assert(from > newestIndex, "a checkpoint is never truncated", from, newestIndex);
    this.#noteCut(opened, writeId, (from - 1) as LogIndex);
    this.#end = this.#pointBefore(opened, from);
    opened.resident.truncate(from);
    opened.termRuns.truncate(from);
    opened.reader.truncated(from);
  }

  #noteCut(opened: Opened, writeId: WriteId, keptIndex: LogIndex): void {
    const { persistedId } = opened.writer;
    this.#truncations = this.#truncations.filter((pending) => pending.writeId > persistedId);
    this.#truncations.push({ writeId, keptIndex });
  }

  /** The log is empty and begins after `at`, as far as anybody may ask from now on. */
  #install(opened: Opened, at: LogPoint, { writeId, truncateFrom }: LogWrite): void {
    const { upkeep, resident, termRuns, reader } = opened;
    assert(truncateFrom === null, "an installation truncates nothing besides");
    assert(at.index > upkeep.newestIndex, "an installation goes forward", at.index);
    this.#noteCut(opened, writeId, at.index);
    this.#end = at;
    resident.reset((at.index + 1) as LogIndex);
    termRuns.reset();
    upkeep.installAsked(at);
    reader.segmentsGo();
  }

  /** The end of the log when it is cut before `from`. */
  #pointBefore(opened: Opened, from: LogIndex): LogPoint {
    const { segments, resident, termRuns } = opened;
    const index = (from - 1) as LogIndex;
    const { start } = opened.upkeep;
    assert(index >= start.index, "truncated before the log's start", from, start.index);
    if (index === start.index) return start;
    if (index >= resident.firstIndex) return pointAfter(resident.at(index));
    const endOffset =
      from >= resident.firstIndex ? resident.at(from).offset : segments.of(from).offsetOf(from);
    // The time is on the disk; any is at least the start's, and the writer reads the true one.
    return { index, term: termRuns.at(index), endOffset, timestamp: start.timestamp };
  }

  #append(opened: Opened, entry: Entry): void {
    const broken = brokenLink(this.#end, entry);
    assert(broken === null, broken ?? "", entry.index, this.#end.index);
    assert(
      entry.term <= this.#term,
      "entry of a term that was not persisted",
      entry.term,
      this.#term,
    );
    assert(entry.kind !== "marker", "a marker is node-local");
    assert(entry.bodyLength <= FRAME_BODY_BYTES_MAX, "body is too long", entry.bodyLength);
    const length = FRAME_HEADER_BYTES + entry.bodyLength;
    assert(entry.frame.length === length, "frame has another length", entry.frame.length, length);
    opened.resident.append(entry);
    opened.termRuns.append(entry);
    this.#end = pointAfter(entry);
  }

  #read(request: ReadRequest): void {
    if (this.#opened !== null && this.#state !== "closed") {
      this.#opened.reader.request(request);
      return;
    }
    const state = this.#opened === null ? "opening" : "stopped";
    const fault: Fault = { code: "not-serving", state };
    this.#refusedReads.push({ kind: "failed", readId: request.readId, fault });
  }

  #checkpoint({ at, state }: Extract<LogEvent, { kind: "checkpoint" }>): void {
    const durable = this.durableIndex;
    assert(at.index <= durable, "a checkpoint is durable first", at.index, durable);
    if (this.#state === "open") this.#opened?.upkeep.checkpoint({ at, state });
  }

  #readBase(request: Extract<LogEvent, { kind: "read-base" | "read-base-part" }>): void {
    const { readId } = request;
    if (this.#opened === null || this.#state === "closed") {
      const state = this.#opened === null ? "opening" : "stopped";
      this.#refusedBases.push({ kind: "failed", readId, fault: { code: "not-serving", state } });
    } else if (request.kind === "read-base") this.#opened.upkeep.readBase(readId);
    else this.#opened.upkeep.readBasePart(request);
  }

  /** What follows from any event: cache within its bound, and the next step of closing. */
  #settle(): void {
    const opened = this.#opened;
    if (opened !== null) {
      opened.resident.evict(this.durableIndex, this.#options.cacheBytesMax);
      this.#lookAtRoom(opened);
    }
    if (this.#closing && !this.#closeBegun && !this.#runner.busy) this.#beginClose();
  }

  #lookAtRoom({ space, writer }: Opened): void {
    if (this.#state !== "open") {
      this.#retryAt = NEVER;
      return;
    }
    const most = this.#options.backlogBytesMax ?? BACKLOG_BYTES_MAX;
    const isCongested =
      writer.backlogBytes > (this.#room === "congested" ? Math.floor(most / 2) : most);
    const enough = space.isScarce ? "scarce" : "plenty";
    const room = space.isFull ? "full" : isCongested ? "congested" : enough;
    if (room === "full" && this.#retryAt === NEVER) this.#retryAt = after(this.#now, RETRY_AFTER);
    if (room === "plenty" && this.#room === "plenty") this.#maybeKeepReserve(space);
    if (room === this.#room) return;
    this.#room = room;
    this.#sayRoom = room;
    if (room === "full" || room === "scarce") return;
    this.#retryAt = NEVER;
    this.#maybeKeepReserve(space);
  }

  #maybeKeepReserve(space: Space): void {
    if (!space.wantsReserve) return;
    this.#runner.start(space.keepReserve(), ({ fault }) => this.#poison(fault));
  }

  #spendReserve(): void {
    if (this.#state !== "open" || this.#opened === null) return;
    const { space } = this.#opened;
    const flow = function* (): Flow<void> {
      if (yield* space.spend()) space.retry();
    };
    this.#runner.start(flow(), ({ fault }) => this.#poison(fault));
  }

  #beginClose(): void {
    if (this.#state === "opening") return;
    this.#closeBegun = true;
    if (this.#state === "closing" && this.#opened !== null) {
      this.#runner.start(this.#close(this.#opened), ({ fault }) => {
        this.#poison(fault);
        this.#sayClosed = true;
      });
      return;
    }
    // New, refused or poisoned: there is nothing to mark as clean.
    this.#sayClosed = true;
    if (!this.#isPoisoned && this.#state !== "refused") this.#state = "closed";
  }

  *#close(opened: Opened): Flow<void> {
    const { identity, writer, segments, hardState, space } = opened;
    // What waits for room was never acknowledged, and is not waited for.
    assert(writer.idle || space.isFull, "closed before all was written");
    assert(opened.reader.idle, "closed before all was read");
    writer.stop();
    yield* sealIndex(segments.active);
    yield* perform({ kind: "sync", file: segments.active.store });
    const endIndex = writer.durable.index;
    const cleanStop = { endIndex, hardSequence: hardState.current.sequence };
    const manifest = encodeManifest({ identity, cleanStop });
    try {
      yield* space.sparing(() => replaceFile(MANIFEST_FILE, [manifest]));
    } catch (thrown) {
      // Nothing is lost by that: the next opening recovers as after a crash.
      if (!isFull(thrown)) throw thrown;
    }
    this.#state = "closed";
    this.#sayClosed = true;
  }
}
