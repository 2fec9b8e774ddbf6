// Drives a Log against a FakeDisk, one event at a time: the test owns the order in which files make
// progress. Also makes entries that chain, as a leader would.

import { assert } from "../../src/base/assert.ts";
import { concat, type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import {
  type Entry,
  type EntryHead,
  type HardState,
  LOG_START,
  type LogPoint,
  type LogWrite,
  pointAfter,
} from "../../src/base/entry.ts";
import type { Fault } from "../../src/base/faults.ts";
import type {
  Instant,
  LogIndex,
  MemberId,
  NodeId,
  Offset,
  Term,
  WallMs,
  WriteId,
} from "../../src/base/ids.ts";
import type { Checkpoint, CheckpointHeader } from "../../src/log/checkpoint.ts";
import { FRAME_HEADER_BYTES, sealFrame } from "../../src/log/frame.ts";
import { Log } from "../../src/log/log.ts";
import type {
  LogBase,
  LogEvent,
  LogOpened,
  LogOptions,
  LogOutput,
  LogRead,
  LogReceived,
  LogRoom,
  OpenRefusal,
  ReadFrom,
} from "../../src/log/protocol.ts";
import { FakeDisk } from "./fake-disk.ts";

export const IDENTITY = {
  clusterId: "c1".repeat(16),
  nodeName: "n1" as NodeId,
  instanceId: "0123456789abcdef0123456789abcdef",
};

export const OPTIONS: LogOptions = {
  identity: IDENTITY,
  segmentBytesMax: 16 * 1024,
  indexEntriesMax: 64,
  preallocateBytes: 0,
  cacheBytesMax: 0,
};

/** The next entry after `before`: a batch of `count` records, or a noop for 0. */
export function entryAfter(before: LogPoint, term: number, count = 1, bodyBytes = 40): Entry {
  const body = new Uint8Array(count === 0 ? 0 : bodyBytes);
  for (let at = 0; at < body.length; at++) body[at] = (before.index * 31 + term * 7 + at) & 0xff;
  const head: EntryHead = {
    kind: count === 0 ? "noop" : "records",
    codec: 0,
    critical: true,
    index: (before.index + 1) as LogIndex,
    term: term as Term,
    prevTerm: before.term,
    offset: before.endOffset,
    count,
    timestamp: (before.timestamp + 1) as WallMs,
    bodyLength: body.length,
    bodyCrc: crc32c(body),
    rawLength: body.length,
    producerId: 0,
    epoch: 0,
    sequence: 0,
  };
  return { ...head, frame: sealFrame(head, concat([new Uint8Array(FRAME_HEADER_BYTES), body])) };
}

/** `howMany` entries after `before`; every third is a noop, the batches differ in size. */
export function entriesAfter(
  before: LogPoint,
  term: number,
  howMany: number,
  bodyBytes = 40,
): Entry[] {
  const entries: Entry[] = [];
  let point = before;
  for (let n = 0; n < howMany; n++) {
    const count = point.index % 3;
    const entry = entryAfter(point, term, count, bodyBytes + (point.index % 11));
    entries.push(entry);
    point = pointAfter(entry);
  }
  return entries;
}

export type PickFile = (waiting: readonly string[]) => string;

/** Takes turns, so that no file's queue is emptied before another's makes progress. */
export function takingTurns(): PickFile {
  let turn = 0;
  return (waiting) => waiting[turn++ % waiting.length] as string;
}

export class LogDriver {
  readonly disk: FakeDisk;
  readonly log: Log;
  readonly #pick: PickFile;
  #nextWriteId = 1;
  #nextReadId = 1;
  persisted = 0;
  opened: LogOpened | null = null;
  refused: OpenRefusal | null = null;
  poisoned: Fault | null = null;
  closed = false;
  /** As told, one after another. */
  readonly rooms: LogRoom[] = [];
  now = 0 as Instant;
  /** Where the segments end that were sealed. */
  readonly boundaries: LogPoint[] = [];
  /** Where the log began to begin, one after another. */
  readonly trimmed: LogPoint[] = [];
  readonly answers = new Map<number, LogRead>();
  readonly bases = new Map<number, LogBase>();
  /** Of checkpoints that a peer sends, one after another. */
  readonly received: LogReceived[] = [];
  /** Called after every performed operation and its consequences. */
  afterEach: () => void = () => {};

  constructor(
    disk = new FakeDisk(),
    options: LogOptions = OPTIONS,
    pick: PickFile = takingTurns(),
  ) {
    this.disk = disk;
    this.log = new Log(options);
    this.#pick = pick;
  }

  step(event: LogEvent): void {
    this.log.step(this.now, event);
    const output = this.log.takeOutput();
    if (output !== null) this.#take(output);
  }

  #take(output: LogOutput): void {
    for (const operation of output.operations) this.disk.submit(operation);
    if (output.persisted !== null) {
      assert(output.persisted > this.persisted, "persisted only grows");
      this.persisted = output.persisted;
    }
    for (const read of output.reads) {
      assert(!this.answers.has(read.readId), "a read is answered once", read.readId);
      this.answers.set(read.readId, read);
    }
    this.opened ??= output.opened;
    this.refused ??= output.refused;
    this.poisoned ??= output.poisoned;
    this.closed ||= output.closed;
    if (output.room !== null) this.rooms.push(output.room);
    if (output.rolled !== null) this.boundaries.push(output.rolled);
    if (output.trimmed !== null) this.trimmed.push(output.trimmed.base);
    for (const base of output.bases) this.bases.set(base.readId, base);
    this.received.push(...output.received);
  }

  /** Performs one waiting operation; false when none waits. */
  perform(file = this.#pickFile()): boolean {
    if (file === null) return false;
    const { opId, result } = this.disk.performNext(file);
    this.step({ kind: "disk-done", opId, result });
    this.afterEach();
    return true;
  }

  #pickFile(): string | null {
    const { waiting } = this.disk;
    return waiting.length === 0 ? null : this.#pick(waiting);
  }

  /** Until the disk has nothing to do. */
  run(): this {
    while (this.perform());
    return this;
  }

  /** Lets time pass until the log wants to try again, and the disk finish. */
  retry(): this {
    this.now = this.log.deadline;
    this.step({ kind: "deadline" });
    return this.run();
  }

  open(): this {
    this.step({ kind: "open" });
    return this.run();
  }

  close(): this {
    this.step({ kind: "close" });
    return this.run();
  }

  /** Hands a write in without performing it; its id. */
  submit(write: Partial<Omit<LogWrite, "writeId">>): number {
    const writeId = this.#nextWriteId++ as WriteId;
    const whole = { writeId, hardState: null, truncateFrom: null, entries: [], ...write };
    this.step({ kind: "write", write: whole });
    return writeId;
  }

  /** Writes and waits until the disk is idle. */
  write(write: Partial<Omit<LogWrite, "writeId">>): this {
    this.submit(write);
    return this.run();
  }

  /** Asks for a checkpoint; its state is `bytes` bytes that tell its index. */
  checkpoint(at: LogPoint, bytes = 40): this {
    this.step({ kind: "checkpoint", at, state: stateAt(at.index, bytes) });
    return this;
  }

  /** Hands in bytes of a checkpoint that a peer sends; none only ask. */
  receive(checkpoint: Checkpoint, position: number, length: number): this {
    const bytes = freeze(checkpoint.state.subarray(position, position + length));
    this.step({ kind: "receive-base", base: headerOf(checkpoint), position, bytes });
    return this;
  }

  /**
   * Two parts at a time from where the log is, until it has `bytes`: all of it, and has said so.
   */
  receiveUpTo(checkpoint: Checkpoint, bytes = checkpoint.state.length, partBytes = 100): this {
    const isAll = bytes === checkpoint.state.length;
    for (;;) {
      const seen = this.received.length;
      this.receive(checkpoint, 0, 0);
      const asked = this.received[seen];
      const position = asked?.kind === "part" ? asked.position : 0;
      if (!isAll && position >= bytes) return this;
      for (const at of [position, position + partBytes]) this.receive(checkpoint, at, partBytes);
      this.perform();
      if (this.received.slice(seen).some(({ kind }) => kind === "whole")) return this;
    }
  }

  trim(before: number): this {
    this.step({ kind: "trim", before: before as Offset });
    return this;
  }

  readBase(): LogBase {
    const readId = this.#nextReadId++;
    this.step({ kind: "read-base", readId });
    this.run();
    const answer = this.bases.get(readId);
    assert(answer !== undefined, "the base was not answered", readId);
    return answer;
  }

  /** The state of a base that `readBase` has named, put together from its parts. */
  readBaseState({ at, stateBytes }: CheckpointHeader, partBytes = 64 * 1024): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let position = 0; position < stateBytes; position += partBytes) {
      const readId = this.#nextReadId++;
      const length = Math.min(partBytes, stateBytes - position);
      this.step({ kind: "read-base-part", readId, index: at.index, position, length });
      this.run();
      const part = this.bases.get(readId);
      assert(part?.kind === "part" && part.position === position, "a part is answered", readId);
      parts.push(part.bytes);
    }
    return concat(parts);
  }

  askRead(from: ReadFrom, bytesMax = 1_000_000, lastIndex = this.log.status().end.index): number {
    const readId = this.#nextReadId++;
    this.step({ kind: "read", readId, from, lastIndex, bytesMax });
    return readId;
  }

  read(from: ReadFrom, bytesMax = 1_000_000, lastIndex = this.log.status().end.index): LogRead {
    const readId = this.askRead(from, bytesMax, lastIndex);
    this.run();
    const answer = this.answers.get(readId);
    assert(answer !== undefined, "the read was not answered", readId);
    return answer;
  }

  /** Entries from an index on; throws when the read failed. */
  entriesFrom(index: number, bytesMax = 1_000_000): readonly Entry[] {
    return entriesOf(this.read({ kind: "index", index: index as LogIndex }, bytesMax));
  }

  entriesAt(offset: number, bytesMax = 1_000_000): readonly Entry[] {
    return entriesOf(this.read({ kind: "offset", offset: offset as Offset }, bytesMax));
  }

  /** The whole log, read in as many reads as it takes. */
  allEntries(bytesMax?: number): Entry[] {
    const all: Entry[] = [];
    for (;;) {
      const next = (all.at(-1)?.index ?? this.log.status().startIndex - 1) + 1;
      const entries = this.entriesFrom(next, bytesMax);
      if (entries.length === 0) return all;
      all.push(...entries);
    }
  }
}

/** What a checkpoint's file begins with says this. */
export function headerOf({ at, state }: Checkpoint): CheckpointHeader {
  return { at, stateBytes: state.length, stateCrc: crc32c(state) };
}

/** What a test's machine has as of an index. */
export function stateAt(index: number, bytes = 40): FrozenBytes {
  return freeze(new Uint8Array(bytes).fill(index & 0xff));
}

export function entriesOf(read: LogRead): readonly Entry[] {
  if (read.kind !== "entries") throw new Error(`the read failed: ${JSON.stringify(read)}`);
  return read.entries;
}

export function hardStateOf(term: number, votedFor: string | null = null): HardState {
  return { term: term as Term, votedFor: votedFor as MemberId | null };
}

/** An open log with a hard state of term 1, and its driver. */
export function openedLog(options: LogOptions = OPTIONS, disk = new FakeDisk()): LogDriver {
  const driver = new LogDriver(disk, options).open();
  assert(driver.opened !== null, `not opened: ${JSON.stringify(driver.refused)}`);
  return driver.write({ hardState: hardStateOf(1) });
}

/** A new node on what a crash left. */
export function reopened(
  image: ReadonlyMap<string, FrozenBytes | Uint8Array>,
  options = OPTIONS,
): LogDriver {
  return new LogDriver(new FakeDisk(image), options).open();
}

export { LOG_START };
