// What the disk must know and what it has confirmed: the hard state, the entries and the truncation
// not yet handed out, and the writes on their way. Decides durableIndex; does not decide what waits
// for it (outbox.ts holds messages, the roles count acknowledgements).

import { assert } from "../base/assert.ts";
import type { Entry, HardState, LogWrite, Snapshot } from "../base/entry.ts";
import { type Instant, type LogIndex, NEVER, type WriteId } from "../base/ids.ts";

const NO_WRITE = 0 as WriteId;

/** A write the disk has been given and has not confirmed. */
interface PendingWrite {
  readonly writeId: WriteId;
  readonly takenAt: Instant;
  /** Last index that is durable once it is confirmed; a later truncation lowers it. */
  lastIndex: LogIndex;
}

export class Journal {
  #hardState: HardState;
  /** The write that makes #hardState durable; it may not have been taken yet. */
  #hardStateWrite: WriteId = NO_WRITE;
  #hardStateIsTaken = true;

  /** Where the disk's log ends after all taken writes and #truncateFrom. */
  #diskEnd: LogIndex;
  #truncateFrom: LogIndex | null = null;
  #install: Snapshot | null = null;
  /** Invariant: follows #diskEnd without a gap. */
  #entries: Entry[] = [];

  #lastTaken: WriteId = NO_WRITE;
  #confirmed: WriteId = NO_WRITE;
  /** Ascending by writeId; each lastIndex is at least the one before. */
  readonly #pending: PendingWrite[] = [];
  #durableIndex: LogIndex;

  constructor(hardState: HardState, lastIndex: LogIndex) {
    this.#hardState = hardState;
    this.#diskEnd = lastIndex;
    this.#durableIndex = lastIndex;
  }

  get hardState(): HardState {
    return this.#hardState;
  }

  /** The last index that a crash now would leave on disk, as it stands in the log now. */
  get durableIndex(): LogIndex {
    return this.#durableIndex;
  }

  /** The last write that the disk has confirmed, and all before it. */
  get confirmedWrite(): WriteId {
    return this.#confirmed;
  }

  /** When the oldest write that is not confirmed was taken; NEVER when all are. */
  get oldestWriteAt(): Instant {
    return this.#pending[0]?.takenAt ?? NEVER;
  }

  /** The write that will have made the present hard state durable. */
  get hardStateWrite(): WriteId {
    return this.#hardStateWrite;
  }

  /** Whether a crash now would bring back the present term and vote. */
  get isHardStateDurable(): boolean {
    return this.#hardStateWrite <= this.#confirmed;
  }

  setHardState(hardState: HardState): void {
    const { term, votedFor } = this.#hardState;
    assert(hardState.term >= term, "the term never goes back", hardState.term, term);
    assert(
      hardState.term > term || votedFor === null || votedFor === hardState.votedFor,
      "a vote given in a term stands",
      hardState.term,
      votedFor,
    );
    const { loss } = this.#hardState;
    this.#write(loss === undefined ? hardState : { ...hardState, loss });
  }

  /** The log has everything again that it ever had. */
  mended(): void {
    const { term, votedFor } = this.#hardState;
    this.#write({ term, votedFor });
  }

  #write(hardState: HardState): void {
    this.#hardState = hardState;
    this.#hardStateIsTaken = false;
    this.#hardStateWrite = this.#nextWrite();
  }

  append(entry: Entry): void {
    const before = this.#entries.at(-1)?.index ?? this.#diskEnd;
    assert(entry.index === before + 1, "entries are written without a gap", entry.index);
    this.#entries.push(entry);
  }

  /**
   * Takes the entries from `from` on out of the log. Those not handed out yet are just dropped; and
   * what earlier writes still on their way put there no longer counts when they are confirmed,
   * because by then other entries have those indexes (etcd calls the story the ABA race):
   *
   *   1. write 1 { entries 5, 6 of term 2 } is taken
   *   2. a new leader has 5 replaced: write 2 { truncate from 5, entry 5 of term 3 } is taken
   *   3. the disk confirms write 1: entry 5 of term 3, the one in the log, is not durable
   *   4. the disk confirms write 2: now it is
   */
  truncate(from: LogIndex): void {
    const lastKept = (from - 1) as LogIndex;
    if (from <= this.#diskEnd) {
      this.#truncateFrom = from;
      this.#diskEnd = lastKept;
      this.#entries = [];
    } else {
      this.#entries.length = from - this.#diskEnd - 1;
    }
    this.#lowerDurable(lastKept);
  }

  /**
   * Replaces the log by `snapshot`. Until that is durable a crash brings back the old log, of which
   * only what is committed, up to `commitIndex`, agrees with the new one.
   */
  install(snapshot: Snapshot, commitIndex: LogIndex): void {
    this.#install = snapshot;
    this.#truncateFrom = null;
    this.#diskEnd = snapshot.at.index;
    this.#entries = [];
    this.#lowerDurable(commitIndex);
  }

  /** Everything not yet handed out, as one write; null when there is nothing. */
  takeWrite(takenAt: Instant): LogWrite | null {
    const entries = this.#entries;
    const truncateFrom = this.#truncateFrom;
    const hardState = this.#hardStateIsTaken ? null : this.#hardState;
    const install = this.#install;
    const isTruncated = truncateFrom !== null || install !== null;
    if (hardState === null && !isTruncated && entries.length === 0) return null;
    const writeId = this.#nextWrite();
    this.#diskEnd = entries.at(-1)?.index ?? this.#diskEnd;
    this.#pending.push({ writeId, takenAt, lastIndex: this.#diskEnd });
    this.#lastTaken = writeId;
    this.#hardStateIsTaken = true;
    this.#truncateFrom = null;
    this.#install = null;
    this.#entries = [];
    if (install === null) return { writeId, hardState, truncateFrom, entries };
    return { writeId, hardState, install, truncateFrom, entries };
  }

  /** The disk has confirmed all writes up to and with `writeId`. */
  persisted(writeId: WriteId): void {
    assert(writeId <= this.#lastTaken, "only a write that was taken can be durable", writeId);
    while (this.#pending.length > 0) {
      const write = this.#pending[0] as PendingWrite;
      if (write.writeId > writeId) break;
      this.#pending.shift();
      if (write.lastIndex > this.#durableIndex) this.#durableIndex = write.lastIndex;
    }
    if (writeId > this.#confirmed) this.#confirmed = writeId;
  }

  /** What lies behind `lastKept` on disk is not the log's any more, whoever confirms it. */
  #lowerDurable(lastKept: LogIndex): void {
    if (this.#durableIndex > lastKept) this.#durableIndex = lastKept;
    for (const write of this.#pending) if (write.lastIndex > lastKept) write.lastIndex = lastKept;
  }

  #nextWrite(): WriteId {
    return (this.#lastTaken + 1) as WriteId;
  }
}
