// A checkpoint on its way from another member, put on the disk as it comes: its parts are written
// in order into a file of its own, which is a checkpoint's file once all are there. Owns that file,
// how much of it is written, and the bounds of what waits for the disk; what is then installed, and
// when, is decided elsewhere and done by upkeep.ts.
//
// A crash at any point is survived without a note of how far it came: no write goes further than
// `bytesMax` beyond what is synced, so all of a file but its last `bytesMax` bytes is durable,
// whatever happened, and is gone on from. Nothing is believed for that: the whole is read back and
// must have its checksum before anybody hears of it.

import { assert } from "../base/assert.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import type { LogPoint } from "../base/entry.ts";
import { type LogIndex, NO_INDEX, type Position } from "../base/ids.ts";
import { takeAll } from "../base/taking.ts";
import {
  CHECKPOINT_HEADER_BYTES,
  type CheckpointHeader,
  decodeCheckpointHeader,
  encodeCheckpointHeader,
} from "./checkpoint.ts";
import { readCheckpoint } from "./checkpoint-files.ts";
import { incomingFile, indexOfIncoming } from "./file-names.ts";
import {
  attempt,
  type DiskTrouble,
  type Flow,
  type FlowRunner,
  type Operation,
  perform,
  readAt,
  Turnstile,
} from "./flow.ts";
import type { LogEvent, LogOptions, LogReceived } from "./protocol.ts";
import type { FileSizes } from "./refusal.ts";
import { isFull, type Space } from "./space.ts";

/**
 * Bytes that wait for the disk, and those that wait for a sync, unless the options say otherwise.
 */
const INCOMING_BYTES_MAX = 1024 * 1024;

/** What was received before the directory was opened, and is durable. */
export interface Resumable {
  readonly base: CheckpointHeader;
  /** All bytes of the state before it. */
  readonly position: number;
}

export interface IncomingParts {
  readonly options: LogOptions;
  readonly runner: FlowRunner;
  readonly space: Space;
  readonly resumable: Resumable | null;
  readonly failed: (trouble: DiskTrouble) => void;
}

type Received = Extract<LogEvent, { kind: "receive-base" }>;
type Forget = Extract<LogEvent, { kind: "forget-received" }>;

export class Incoming {
  readonly #parts: IncomingParts;
  readonly #bytesMax: number;
  readonly #turnstile = new Turnstile();
  /** What is to be received; null: nothing is. */
  #wanted: CheckpointHeader | null;
  /** What the file on the disk is of; null without one. */
  #begun: CheckpointHeader | null;
  /** The next bytes, in order; all before them are written. */
  #waiting: FrozenBytes[] = [];
  #waitingBytes = 0;
  #writtenBytes: number;
  #syncedBytes: number;
  /** Somebody wants to hear that all is there. */
  #isAskedForAll = false;
  /** Verified; nobody else's bytes are taken. */
  #whole: CheckpointHeader | null = null;
  /** The file is to be installed, and is not ours any more from then on. */
  #isClaimed = false;
  #isWorking = false;
  #said: LogReceived[] = [];

  constructor(parts: IncomingParts) {
    this.#parts = parts;
    const { options, resumable } = parts;
    this.#bytesMax = options.incomingBytesMax ?? INCOMING_BYTES_MAX;
    this.#wanted = resumable?.base ?? null;
    this.#begun = this.#wanted;
    this.#writtenBytes = resumable?.position ?? 0;
    this.#syncedBytes = this.#writtenBytes;
  }

  /** Of what has been received, wholly or in part; NO_INDEX when nothing is kept. */
  get index(): LogIndex {
    return this.#isClaimed ? NO_INDEX : (this.#wanted?.at.index ?? NO_INDEX);
  }

  get hasAnswers(): boolean {
    return this.#said.length > 0;
  }

  takeAnswers(): readonly LogReceived[] {
    return takeAll(this.#said);
  }

  step(event: Received | Forget): void {
    if (this.#isClaimed) return;
    if (event.kind === "receive-base") this.#receive(event);
    else this.#turnTo(null);
    this.#maybeWork();
  }

  #receive({ base, position, bytes }: Received): void {
    if (this.#wanted === null || !isSame(this.#wanted, base)) this.#turnTo(base);
    const isNext = position === this.#writtenBytes + this.#waitingBytes && bytes.length > 0;
    if (isNext && this.#waitingBytes + bytes.length <= this.#bytesMax) {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
    } else this.#said.push({ kind: "part", base, position: this.#writtenBytes });
    const all = this.#writtenBytes + this.#waitingBytes;
    assert(all <= base.stateBytes, "no more is received than there is", all, base.stateBytes);
    this.#isAskedForAll ||= all === base.stateBytes;
  }

  /** It will be installed: no other takes its place until it has been taken. */
  claim(at: LogPoint): void {
    const index = this.#whole?.at.index ?? NO_INDEX;
    assert(index === at.index, "only what was received is installed", at.index, index);
    this.#isClaimed = true;
  }

  /** Has `work` take the claimed file away; whatever comes then is of another. */
  *handOver(work: () => Flow<void>): Flow<void> {
    yield* this.#turnstile.enter();
    assert(this.#isClaimed, "what is taken was claimed");
    yield* work();
    this.#turnTo(null);
    this.#begun = null;
    this.#isClaimed = false;
    this.#turnstile.leave();
  }

  #turnTo(base: CheckpointHeader | null): void {
    this.#wanted = base;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#writtenBytes = 0;
    this.#syncedBytes = 0;
    this.#isAskedForAll = false;
    this.#whole = null;
  }

  #maybeWork(): void {
    if (this.#isWorking) return;
    this.#isWorking = true;
    this.#parts.runner.start(this.#work(), this.#parts.failed);
  }

  *#work(): Flow<void> {
    yield* this.#turnstile.enter();
    for (let isBusy = true; isBusy; ) {
      const wanted = this.#wanted;
      try {
        isBusy = yield* this.#advance();
      } catch (thrown) {
        if (!isFull(thrown)) throw thrown;
        yield* this.#giveUp(wanted);
      }
    }
    this.#isWorking = false;
    this.#turnstile.leave();
  }

  /** One step; false when there is none to take now. */
  *#advance(): Flow<boolean> {
    const wanted = this.#wanted;
    if (this.#isClaimed) return false;
    if (wanted !== this.#begun) yield* this.#begin(wanted);
    else if (wanted === null) return false;
    else if (this.#waiting.length > 0) yield* this.#writeWaiting(wanted);
    else if (this.#isAskedForAll) yield* this.#verify(wanted);
    else return false;
    return true;
  }

  /** The file of the one before goes, and an empty one is made for the new one. */
  *#begin(wanted: CheckpointHeader | null): Flow<void> {
    if (this.#begun !== null) yield* perform(unlink(this.#begun));
    this.#begun = null;
    if (wanted === null) return;
    const create: Operation = { kind: "create", file: incomingFile(wanted.at.index) };
    yield* this.#parts.space.sparing(() => perform(create));
    this.#begun = wanted;
    yield* perform({ kind: "sync-dir" });
  }

  *#writeWaiting(wanted: CheckpointHeader): Flow<void> {
    const length = this.#waitingBytes;
    const file = incomingFile(wanted.at.index);
    const start = this.#writtenBytes;
    if (start + length > this.#syncedBytes + this.#bytesMax) {
      yield* perform({ kind: "sync", file });
      if (this.#wanted === wanted) this.#syncedBytes = start;
      return;
    }
    const isFirst = start === 0;
    const parts = isFirst ? [encodeCheckpointHeader(wanted), ...this.#waiting] : this.#waiting;
    const position = (isFirst ? 0 : CHECKPOINT_HEADER_BYTES + start) as Position;
    this.#waiting = [];
    const write: Operation = { kind: "write-at", file, position, parts };
    yield* this.#parts.space.sparing(() => perform(write));
    if (this.#wanted !== wanted) return;
    this.#waitingBytes -= length;
    this.#writtenBytes = start + length;
    this.#said.push({ kind: "part", base: wanted, position: this.#writtenBytes });
  }

  /**
   * Durable first, because what is installed is only renamed; then read back as it stands there.
   */
  *#verify(wanted: CheckpointHeader): Flow<void> {
    const file = incomingFile(wanted.at.index);
    yield* perform({ kind: "sync", file });
    const checkpoint = yield* readCheckpoint(file);
    if (this.#wanted !== wanted || this.#isClaimed) return;
    this.#isAskedForAll = false;
    if (checkpoint === null) {
      this.#turnTo(null);
      this.#said.push({ kind: "broken", base: wanted });
      return;
    }
    this.#whole = wanted;
    this.#said.push({ kind: "whole", base: wanted, state: checkpoint.state });
  }

  /** There is no room for it, even without the reserve. */
  *#giveUp(wanted: CheckpointHeader | null): Flow<void> {
    if (this.#begun !== null) yield* attempt(unlink(this.#begun));
    this.#begun = null;
    if (wanted === null || this.#wanted !== wanted) return;
    this.#turnTo(null);
    this.#said.push({ kind: "broken", base: wanted });
  }
}

function isSame(a: CheckpointHeader, b: CheckpointHeader): boolean {
  const isOfOnePlace = a.at.index === b.at.index && a.at.term === b.at.term;
  return isOfOnePlace && a.stateCrc === b.stateCrc && a.stateBytes === b.stateBytes;
}

function unlink({ at }: CheckpointHeader): Operation {
  return { kind: "unlink", file: incomingFile(at.index) };
}

/** What can be gone on with, of what lies behind the newest checkpoint; all else is of no use. */
export function* findIncoming(
  sizes: FileSizes,
  newestIndex: LogIndex,
  bytesMax = INCOMING_BYTES_MAX,
): Flow<Resumable | null> {
  for (const [file, bytes] of sizes) {
    const index = indexOfIncoming(file) ?? NO_INDEX;
    const durable = bytes - bytesMax - CHECKPOINT_HEADER_BYTES;
    if (index <= newestIndex || durable <= 0) continue;
    const base = decodeCheckpointHeader(yield* readAt(file, 0, CHECKPOINT_HEADER_BYTES));
    if (base?.at.index !== index) continue;
    return { base, position: Math.min(durable, base.stateBytes) };
  }
  return null;
}
