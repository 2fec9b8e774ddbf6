// What is done to the directory besides writing entries: checkpoints are put in place and the ones
// nobody needs removed, the log is trimmed from its start, or replaced as a whole. Owns the log's
// start and the order in which these become durable; entries are writer.ts, recovery is opening.ts.
//
// One flow at a time works here, so that a crash meets one unfinished change at most:
//  - a checkpoint: aside, synced, renamed, directory synced;
//  - a trim: only up to a durable checkpoint, which is the base from then on; segments removed
//    from the oldest on, the directory synced after each, so that what is left is always a log;
//  - an installation: the new base, received whole (incoming.ts), gets the name that voids all else
//    (the commit point), then all else is removed, an empty segment made, the hard state's durable
//    index taken back, and last the base given its plain name. Opening begins a half-done one anew.

import { assert } from "../base/assert.ts";
import type { LogPoint } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { LogIndex, Offset } from "../base/ids.ts";
import { takeAll } from "../base/taking.ts";
import { replaceFile } from "./aside.ts";
import { type Checkpoint, type CheckpointHeader, encodeCheckpoint } from "./checkpoint.ts";
import { readState, verifyCheckpoint } from "./checkpoint-files.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { checkpointFile, incomingFile, installFile } from "./file-names.ts";
import {
  DiskTrouble,
  type Flow,
  type FlowRunner,
  type Operation,
  perform,
  Turnstile,
} from "./flow.ts";
import type { HardStateFile } from "./hard-state.ts";
import type { Incoming } from "./incoming.ts";
import type { LogBase, LogEvent, LogOptions } from "./protocol.ts";
import { Segment } from "./segment.ts";
import { createFiles, dropFiles, mapIndex, removeUnfinished } from "./segment-files.ts";
import type { Segments } from "./segments.ts";
import { isFull, type Space } from "./space.ts";

export interface UpkeepParts {
  readonly options: LogOptions;
  readonly runner: FlowRunner;
  readonly segments: Segments;
  readonly hardState: HardStateFile;
  readonly checkpoints: Checkpoints;
  readonly incoming: Incoming;
  readonly space: Space;
  readonly start: LogPoint;
  /** The log begins later now: what is before is out of range. */
  readonly startMoved: (start: LogPoint) => void;
  readonly failed: (trouble: DiskTrouble) => void;
}

type BasePartRequest = Extract<LogEvent, { kind: "read-base-part" }>;

export class Upkeep {
  readonly #parts: UpkeepParts;
  readonly #turnstile = new Turnstile();
  #start: LogPoint;
  #newestIndex: LogIndex;
  #nextCheckpoint: Checkpoint | null = null;
  /** Records before this offset are wanted no more; 0 while all are. */
  #trimOffset = 0 as Offset;
  /** Entries from here on stay where they are, and the base before them; null while nobody asks. */
  #pinnedFrom: LogIndex | null = null;
  #isWorking = false;
  /** Installations that were asked for and are not done: nothing else is worth its while. */
  #installing = 0;
  #sayTrimmed: LogPoint | null = null;
  #bases: LogBase[] = [];

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
    this.#start = parts.start;
    this.#newestIndex = parts.checkpoints.newest?.index ?? (0 as LogIndex);
  }

  /** The place before the first entry of the log: its base checkpoint's, if there is one. */
  get start(): LogPoint {
    return this.#start;
  }

  /** Of the newest checkpoint that was asked for, durable or not; nothing before is truncated. */
  get newestIndex(): LogIndex {
    return this.#newestIndex;
  }

  /** Where the log began to begin since the last call; null when it did not move. */
  takeTrimmed(): LogPoint | null {
    const taken = this.#sayTrimmed;
    this.#sayTrimmed = null;
    return taken;
  }

  get hasBases(): boolean {
    return this.#bases.length > 0;
  }

  takeBases(): readonly LogBase[] {
    return takeAll(this.#bases);
  }

  /** Only the newest counts: one is being written, at most one waits. */
  checkpoint(checkpoint: Checkpoint): void {
    const { index } = checkpoint.at;
    assert(index >= this.#newestIndex, "checkpoint went back", index, this.#newestIndex);
    this.#newestIndex = index;
    this.#nextCheckpoint = checkpoint;
    this.#maybeWork();
  }

  hear(event: Extract<LogEvent, { kind: "trim" | "pin" }>): void {
    if (event.kind === "trim") this.#trimBefore(event.before);
    else this.#pin(event.from);
  }

  /** Drops whole segments of records before `offset`, now or once a checkpoint allows it. */
  #trimBefore(offset: Offset): void {
    if (offset <= this.#trimOffset) return;
    this.#trimOffset = offset;
    this.#maybeWork();
  }

  /**
   * Holds trims up that would take entries from `from` on: what they mean to readers is decided
   * elsewhere, and alike on every member; files may go later here than there.
   */
  #pin(from: LogIndex | null): void {
    this.#pinnedFrom = from;
    if (this.#trimOffset > 0) this.#maybeWork();
  }

  /** An installation at `at` was asked for: what is not begun here will not be. */
  installAsked(at: LogPoint): void {
    this.#parts.incoming.claim(at);
    this.#installing++;
    this.#nextCheckpoint = null;
    this.#trimOffset = 0 as Offset;
    this.#newestIndex = at.index;
    this.#start = at;
  }

  readBase(readId: number): void {
    this.#parts.runner.start(this.#readBase(readId), ({ fault }) => {
      this.#bases.push({ kind: "failed", readId, fault });
    });
  }

  /** A part of what `readBase` has named, for whoever is brought it. */
  readBasePart({ readId, index, position, length }: BasePartRequest): void {
    const flow = function* (this: Upkeep): Flow<void> {
      const bytes = yield* readState(checkpointFile(index), position, length);
      this.#bases.push({ kind: "part", readId, position, bytes });
    };
    this.#parts.runner.start(flow.call(this), ({ fault }) => {
      this.#bases.push({ kind: "failed", readId, fault });
    });
  }

  #maybeWork(): void {
    if (this.#isWorking || this.#installing > 0) return;
    this.#isWorking = true;
    this.#parts.runner.start(this.#work(), this.#parts.failed);
  }

  *#work(): Flow<void> {
    yield* this.#turnstile.enter();
    while (this.#installing === 0) {
      const checkpoint = this.#nextCheckpoint;
      const base = checkpoint === null ? this.#nextBase() : null;
      if (checkpoint === null && base === null) break;
      if (checkpoint !== null) yield* this.#writeCheckpoint(checkpoint);
      else if (base !== null) yield* this.#trim(base);
      if (this.#installing === 0) yield* this.#removeSurplus();
    }
    this.#isWorking = false;
    this.#turnstile.leave();
  }

  *#writeCheckpoint(checkpoint: Checkpoint): Flow<void> {
    this.#nextCheckpoint = null;
    const { space, checkpoints, segments } = this.#parts;
    const { at } = checkpoint;
    try {
      yield* space.sparing(() =>
        replaceFile(checkpointFile(at.index), encodeCheckpoint(checkpoint)),
      );
      checkpoints.add(at);
      // Nothing up to here is ever truncated.
      if (this.#installing === 0) segments.release(at.index);
    } catch (thrown) {
      // The older ones do until there is room for the next.
      if (!isFull(thrown)) throw thrown;
    }
  }

  /** The checkpoint to begin at when that lets a segment go, or null. */
  #nextBase(): LogPoint | null {
    const { checkpoints, segments } = this.#parts;
    // Control entries before the first record are kept like it.
    const isAsked = this.#trimOffset > 0;
    const base = isAsked ? checkpoints.lastBefore(this.#trimOffset, this.#pinnedFrom) : null;
    if (base === null || base.index <= this.#start.index) return null;
    return segments.count > 1 && segments.first.lastIndex <= base.index ? base : null;
  }

  *#trim(base: LogPoint): Flow<void> {
    const { segments, checkpoints, space, startMoved } = this.#parts;
    // From here on the log rests on this file alone.
    const isWhole = (yield* verifyCheckpoint(checkpointFile(base.index))) !== null;
    // Somebody may have pinned it while it was read.
    if (this.#installing > 0 || this.#isPinned(base)) return;
    if (!isWhole) {
      checkpoints.drop(base);
      return;
    }
    this.#start = base;
    this.#sayTrimmed = base;
    startMoved(base);
    while (this.#installing === 0 && segments.count > 1) {
      if (segments.first.lastIndex > base.index) break;
      yield* dropFiles(segments.shift());
      space.retry();
    }
  }

  /** Whether a log that begins after `base` lacks what is pinned. */
  #isPinned({ index }: LogPoint): boolean {
    return this.#pinnedFrom !== null && index >= this.#pinnedFrom;
  }

  *#removeSurplus(): Flow<void> {
    const { checkpoints, segments } = this.#parts;
    // The log begins at its base, wherever its first segment does: a peer is brought that one.
    const starts = segments.startIndexes.map((index) => later(index, this.#start.index));
    const surplus = checkpoints.takeSurplus(starts);
    if (surplus.length === 0) return;
    yield* perform(...surplus.map(({ index }) => unlink(checkpointFile(index))));
    yield* perform({ kind: "sync-dir" });
  }

  /** Replaces the whole log by what was received at `at`; returns when that is durable. */
  *install(at: LogPoint): Flow<void> {
    const { options, segments, checkpoints, hardState, space, incoming } = this.#parts;
    yield* this.#turnstile.enter();
    yield* incoming.handOver(() => space.needing(() => space.sparing(() => voidAllBut(at.index))));
    yield* perform({ kind: "sync-dir" });
    while (segments.count > 1) yield* dropFiles(segments.pop());
    yield* dropFiles(segments.first);
    yield* perform(...checkpoints.list().map(({ index }) => unlink(checkpointFile(index))));
    const segment = new Segment(at);
    yield* space.needing(
      () => perform(...createFiles(segment, options)),
      () => removeUnfinished(segment),
    );
    hardState.advance({ ...hardState.current, durableIndex: at.index });
    yield* space.needing(() => hardState.write());
    yield* finishInstall(at.index);
    yield* mapIndex(segment);
    segments.reset(segment);
    checkpoints.reset(at);
    this.#installing--;
    this.#turnstile.leave();
    this.#maybeWork();
  }

  *#readBase(readId: number): Flow<void> {
    for (;;) {
      const { checkpoints } = this.#parts;
      const start = this.#start;
      const point = start.index === 0 ? null : checkpoints.firstFrom(start.index);
      if (start.index === 0) {
        this.#bases.push({ kind: "none", readId });
        return;
      }
      const file = checkpointFile(point?.index ?? start.index);
      let base: CheckpointHeader | null = null;
      try {
        if (point !== null) base = yield* verifyCheckpoint(file);
      } catch (thrown) {
        // It was removed under us, because the log begins later by now.
        if (thrown instanceof DiskTrouble && this.#start !== start) continue;
        throw thrown;
      }
      // A later one would not do: whoever began there would lack records that nobody trimmed.
      if (base === null) throw new DiskTrouble(unreadable(file));
      this.#bases.push({ kind: "base", readId, base });
      return;
    }
  }
}

function* voidAllBut(index: LogIndex): Flow<void> {
  yield* perform({ kind: "rename", from: incomingFile(index), to: installFile(index) });
}

function unreadable(file: string): Fault {
  return { code: "damaged", file, position: 0, what: "the base is unreadable" };
}

function later(one: LogIndex, other: LogIndex): LogIndex {
  return one > other ? one : other;
}

function unlink(file: string): Operation {
  return { kind: "unlink", file };
}

/** The last two steps of an installation: all that was made durable, then the base's plain name. */
export function* finishInstall(index: LogIndex): Flow<void> {
  yield* perform({ kind: "sync-dir" });
  yield* perform({ kind: "rename", from: installFile(index), to: checkpointFile(index) });
  yield* perform({ kind: "sync-dir" });
}
