// The replica in a node: log, Raft and state joined, from the first entry on. Raft's decisions
// become writes of the log and meanings of the state, in the one order that keeps the three equal;
// what else Raft says is passed on to the node. Owns the founding write, the numbers of writes and
// the checkpoints; owns no link, no client and no phase.

import { assert } from "../base/assert.ts";
import { EMPTY_BYTES, type FrozenBytes } from "../base/bytes.ts";
import type { SegmentDigest } from "../base/control.ts";
import {
  type Draft,
  type Entry,
  type EntryHead,
  type HardState,
  headOf,
  LOG_START,
  type LogPoint,
  type Snapshot,
} from "../base/entry.ts";
import {
  after,
  earlier,
  type Instant,
  type LogIndex,
  type MemberId,
  type Micros,
  NEVER,
  NO_INDEX,
  type Offset,
  type Term,
  type WriteId,
} from "../base/ids.ts";
import { type Membership, memberId, NO_MEMBERS } from "../base/membership.ts";
import type { Prng } from "../base/prng.ts";
import { sealFrame } from "../log/frame.ts";
import { INDEX_SLOT_BYTES } from "../log/index-file.ts";
import { Log } from "../log/log.ts";
import type {
  LeftOfLog,
  LogEvent,
  LogOpened,
  LogOutput,
  LogRoom,
  LogStatus,
} from "../log/protocol.ts";
import type { RetentionLimits } from "../log/retention.ts";
import { DISK_PATIENCE_TIMEOUTS } from "../raft/disk-patience.ts";
import type { RaftEvent, RaftOptions, RaftOutput, RaftRestored } from "../raft/protocol.ts";
import { Raft } from "../raft/raft.ts";
import { encodeStateAt, State, type StateAt } from "../state/state.ts";
import { FOUNDING_TERM, foundingEntry } from "./founding.ts";
import { mayMend } from "./mending.ts";
import type { NodeOptions } from "./protocol.ts";
import { incomingBytesMax } from "./snapshots.ts";
import { SyncTimes } from "./sync-times.ts";

/** Of a small checkpoint, a manifest, a seal and a segment's header. */
const RESERVE_BYTES_LEAST = 4096;

/**
 * What a full disk needs to be trimmed: the files of one more segment, a checkpoint and a manifest,
 * and the entries that wait before the trim.
 */
function reserveBytesOf({ segmentBytesMax, indexEntriesMax }: NodeOptions): number {
  return (
    RESERVE_BYTES_LEAST + indexEntriesMax * INDEX_SLOT_BYTES + Math.floor(segmentBytesMax / 16)
  );
}

/** The cluster's first entry on its way to the disk. */
interface Founding {
  readonly entry: Entry;
  readonly hardState: HardState;
  readonly writeId: number;
}

/** What the committed entries mean, as the bytes of a checkpoint without a user's machine. */
export interface CommittedState {
  /** Of the last of them. */
  readonly index: LogIndex;
  readonly bytes: FrozenBytes;
}

/**
 * Hears Raft's output at two moments: as it was taken, and when its writes and commits are done.
 */
export interface RaftListener {
  raftSpeaks(raft: Raft, output: RaftOutput): void;
  raftSpoke(raft: Raft, output: RaftOutput, hasCommitted: boolean): void;
  /** Once for each entry, in order. */
  entryCommitted(head: EntryHead): void;
  /** What all up to a place means has been put down, and goes to the log. */
  checkpointTaken(): void;
  /** A snapshot has taken the place of the whole log. */
  stateReplaced(state: State): void;
}

export class Replica {
  readonly #options: NodeOptions;
  readonly #prng: Prng;
  readonly #log: Log;
  readonly #listener: RaftListener;
  #state: State;
  /** Null while the log is not open, and while the first entry is being written. */
  #raft: Raft | null = null;
  /** Null until the directory says which instance this is. */
  #self: MemberId | null = null;
  #now = 0 as Instant;
  #founding: Founding | null = null;
  /** The last write handed to the log, and the last of them that is durable. */
  #lastWriteId = 0;
  #persistedId = 0;
  /** Raft counts its writes from 1; the log goes on where the one before it ended. */
  #writeIdBase = 0;
  /** What Raft was told since its output was last taken: one kind at a time, see consult. */
  #untaken: "nothing" | "proposals" | "events" = "nothing";
  readonly #syncTimes = new SyncTimes();
  #checkpointDue = false;
  #checkpointIndex: LogIndex = NO_INDEX;
  /** The state of a checkpoint that waits for the user's machine to come as far. */
  #awaited: StateAt | null = null;
  /** A user's own machine applies the log. */
  readonly hasMachine: boolean;
  readonly #diskPatience: Micros;
  /** Raft was told that the disk does nothing any more. */
  #isDiskHung = false;
  readonly #committed: (head: EntryHead) => void;
  /** The log was told to let go of the records before it. */
  #trimmedOffset = 0 as Offset;

  constructor(
    options: NodeOptions,
    prng: Prng,
    instanceId: string,
    listener: RaftListener,
    hasMachine: boolean,
  ) {
    this.hasMachine = hasMachine;
    this.#diskPatience = diskPatienceOf(options);
    this.#options = options;
    this.#prng = prng;
    this.#listener = listener;
    this.#committed = (head) => listener.entryCommitted(head);
    this.#state = State.empty(options.producersMax);
    const { name: nodeName, clusterId, segmentBytesMax, indexEntriesMax } = options;
    const { preallocateBytes, cacheBytesMax } = options;
    const identity = { clusterId, nodeName, instanceId };
    const reserveBytes = reserveBytesOf(options);
    const sizes = { segmentBytesMax, indexEntriesMax, preallocateBytes, cacheBytesMax };
    const incoming = { incomingBytesMax: incomingBytesMax(options.snapshotPartBytes) };
    const mends = (left: LeftOfLog) => mayMend(options.producersMax, left);
    this.#log = new Log({ identity, ...sizes, ...incoming, reserveBytes, mayMend: mends });
  }

  get raft(): Raft | null {
    return this.#raft;
  }

  get state(): State {
    return this.#state;
  }

  get self(): MemberId | null {
    return this.#self;
  }

  /** Nothing is in this log, and nobody has given it anything. */
  get isEmpty(): boolean {
    return this.#founding === null && this.#raft?.lastIndex === NO_INDEX;
  }

  get logDeadline(): Instant {
    return earlier(this.#log.deadline, this.#diskDeadline);
  }

  /** How much room the disk has left. */
  get room(): LogRoom {
    return this.#log.room;
  }

  get durableIndex(): LogIndex {
    return this.#log.durableIndex;
  }

  /** The index before the log's first entry. */
  get startsAfter(): LogIndex {
    return this.#log.startsAfter;
  }

  /** The disk is full, and the others have committed what waits for room. */
  get maySpendReserve(): boolean {
    const { room, durableIndex } = this.#log;
    return room === "full" && durableIndex < this.#state.committed.index;
  }

  get scrubPasses(): number {
    return this.#log.scrubPasses;
  }

  /** Whether there are sealed segments to scrub. */
  get hasSealed(): boolean {
    return this.#log.hasSealed;
  }

  /** Of the segment that ends with `last`; null when none does. */
  segmentDigest(last: LogIndex): SegmentDigest | null {
    return this.#log.segmentDigest(last);
  }

  digestOf(first: LogIndex, last: LogIndex): number | null {
    return this.#log.digestOf(first, last);
  }

  /** What the limits of retention allow to trim now, by log time; null for nothing. */
  retentionOffset(limits: RetentionLimits): Offset | null {
    return this.#log.retentionOffset(limits, this.#state.end.timestamp);
  }

  committedState(): CommittedState {
    return { index: this.#state.committed.index, bytes: this.#state.encodeCommitted() };
  }

  logStatus(): LogStatus {
    return this.#log.status();
  }

  stepLog(now: Instant, event: LogEvent): void {
    this.#now = now;
    this.#log.step(now, event);
    if (event.kind === "disk-done" && this.#isDiskHung) this.#tellOfDisk(false);
    else if (event.kind === "deadline" && now >= this.#diskDeadline) this.#tellOfDisk(true);
  }

  /**
   * When the disk will have done nothing for too long, reads included; NEVER once that is known.
   */
  get #diskDeadline(): Instant {
    const since = this.#isDiskHung ? NEVER : this.#log.waitingSince;
    return since === NEVER ? NEVER : after(since, this.#diskPatience);
  }

  #tellOfDisk(isHung: boolean): void {
    this.#isDiskHung = isHung;
    this.consult(this.#now, { kind: "disk-hung", isHung });
  }

  takeLogOutput(): LogOutput | null {
    return this.#log.takeOutput();
  }

  /** The state as recovery found it; false when nobody can tell whose votes count. */
  maybeRestore(now: Instant, opened: LogOpened): boolean {
    this.#now = now;
    const { checkpoint, hardState, tail, identity } = opened;
    if (checkpoint !== null) {
      const restored = State.restore(this.#options.producersMax, checkpoint.at, checkpoint.state);
      assert(restored !== null, "a checkpoint with a good checksum is of a known version");
      this.#state = restored;
      this.#checkpointIndex = checkpoint.at.index;
    }
    const base = this.#state.committed;
    for (const head of tail) this.#state.append(head);
    if (opened.end.index > 0 && this.#state.membership.members.length === 0) return false;
    const termRuns = opened.termRuns.filter(({ firstIndex }) => firstIndex <= base.index);
    const membership = this.#state.committedMembership;
    this.#self = memberId(this.#options.name, identity.instanceId);
    this.#startRaft({ hardState, membership, base, start: opened.base, termRuns, tail });
    this.#maybeTrim();
    return true;
  }

  /** Raft is asked nothing more: no vote, no ack, no verdict from here on. */
  quit(): void {
    this.performRaft();
    this.#raft = null;
    this.#founding = null;
  }

  // ---- Raft ----

  /**
   * Gives Raft an event. Proposals reach the state before Raft's output is taken, everything else
   * after, so the two are never mixed in one output: the state would see a tail that the log never
   * had.
   */
  consult(now: Instant, event: RaftEvent): void {
    this.#now = now;
    const raft = this.#raft;
    if (raft === null) return;
    const kind = event.kind === "proposed" ? "proposals" : "events";
    if (this.#untaken !== "nothing" && this.#untaken !== kind) this.performRaft();
    this.#untaken = kind;
    raft.step(this.#now, event);
  }

  /** All that Raft was told is in the state: what is admitted now is admitted against it. */
  settleEvents(): void {
    if (this.#untaken === "events") this.performRaft();
  }

  /** Proposes a draft that was admitted; a refusal is among Raft's verdicts. */
  propose(now: Instant, proposalId: number, draft: Draft): void {
    const raft = this.#raft;
    assert(raft !== null, "only a leader is asked to propose");
    const before = raft.lastIndex;
    this.consult(now, { kind: "proposed", proposalId, draft });
    if (raft.lastIndex === before) return;
    this.#state.append(headOf(draft, raft.lastIndex, raft.term, this.#state.end));
  }

  /** Performs Raft's output; true when there was one. */
  performRaft(): boolean {
    const raft = this.#raft;
    this.#untaken = "nothing";
    const output = raft?.takeOutput() ?? null;
    if (raft === null || output === null) return false;
    this.#listener.raftSpeaks(raft, output);
    this.#performWrite(output);
    const hasCommitted = output.commitIndex > this.#state.committed.index;
    if (hasCommitted) this.#commit(output.commitIndex);
    this.#maybeTrim();
    this.#listener.raftSpoke(raft, output, hasCommitted);
    this.#maybeCheckpoint(raft);
    this.#state.release(this.#state.committed.index);
    return true;
  }

  #commit(index: LogIndex): void {
    this.#state.commit(index, this.#committed);
    const { incomingIndex } = this.#log;
    // The entries have come before the checkpoint did.
    if (incomingIndex !== NO_INDEX && incomingIndex <= index) {
      this.#log.step(this.#now, { kind: "forget-received" });
    }
  }

  /** When this node's own disk had the entry; null when it has not, or that is long ago. */
  durableAt(index: LogIndex): Instant | null {
    return this.#syncTimes.durableAt(index);
  }

  /** The log begins after `base` now. */
  trimmed(now: Instant, base: LogPoint): void {
    this.consult(now, { kind: "trimmed", base });
  }

  /** A segment was sealed. */
  rolled(): void {
    this.#checkpointDue = true;
  }

  persisted(now: Instant, writeId: WriteId): void {
    this.#now = now;
    this.#persistedId = writeId;
    this.#syncTimes.persisted(now, writeId);
    if (this.#founding?.writeId === writeId) this.#becomeFounded(this.#founding);
    else if (this.#founding === null) {
      const own = (writeId - this.#writeIdBase) as WriteId;
      this.consult(now, { kind: "persisted", writeId: own });
    }
  }

  #performWrite({ write }: RaftOutput): void {
    if (write === null) return;
    if (write.install !== undefined) this.#install(write.install);
    if (write.truncateFrom !== null) this.#state.truncate(write.truncateFrom);
    for (const entry of write.entries) {
      if (entry.index > this.#state.end.index) this.#state.append(entry);
    }
    const writeId = (write.writeId + this.#writeIdBase) as WriteId;
    this.#lastWriteId = writeId;
    const last = write.entries.at(-1);
    if (last !== undefined) this.#syncTimes.wrote(writeId, last.index);
    const { hardState, install, truncateFrom, entries } = write;
    const own = { writeId, hardState, truncateFrom, entries };
    const kind = "write";
    this.#log.step(this.#now, { kind, write: install === undefined ? own : { ...own, install } });
  }

  /** The whole log is replaced: so is what it means. */
  #install({ at, state }: Snapshot): void {
    const restored = State.restore(this.#options.producersMax, at, state);
    assert(restored !== null, "a snapshot is looked into before Raft is told of it");
    this.#state = restored;
    this.#checkpointIndex = at.index;
    this.#awaited = null;
    this.#trimmedOffset = restored.startOffset;
    this.#listener.stateReplaced(restored);
  }

  /** A trim is committed: the log lets go of what nobody may read any more, when it can. */
  #maybeTrim(): void {
    const before = this.#state.startOffset;
    if (before <= this.#trimmedOffset) return;
    this.#trimmedOffset = before;
    this.#log.step(this.#now, { kind: "trim", before });
  }

  #maybeCheckpoint(raft: Raft): void {
    if (!this.#checkpointDue || this.#awaited !== null) return;
    const at = this.#state.committed;
    if (at.index <= this.#checkpointIndex || at.index > raft.status().durableIndex) return;
    this.#checkpointDue = false;
    this.#checkpointIndex = at.index;
    this.#awaited = this.#state.stateAt(at.index);
    if (!this.hasMachine) this.finishCheckpoint(EMPTY_BYTES);
  }

  /** The index at which the user's machine is to say what it is; null while nobody waits. */
  get checkpointAwaits(): LogIndex | null {
    return this.#awaited?.at.index ?? null;
  }

  /** `machine` is the user's as of `checkpointAwaits`. */
  finishCheckpoint(machine: FrozenBytes): void {
    const awaited = this.#awaited;
    assert(awaited !== null, "a checkpoint is finished once");
    this.#awaited = null;
    const state = encodeStateAt(awaited, machine);
    this.#log.step(this.#now, { kind: "checkpoint", at: awaited.at, state });
    this.#listener.checkpointTaken();
  }

  #startRaft(restored: RaftRestored): void {
    const self = this.#self;
    assert(self !== null, "who takes part is known");
    this.#writeIdBase = this.#lastWriteId;
    this.#raft = new Raft(this.#raftOptions(self), restored, this.#now);
  }

  #raftOptions(self: MemberId): RaftOptions {
    const { electionTimeoutMin, electionTimeoutMax } = this.#options;
    const { heartbeatInterval, appendBytesMax, appendsInFlightMax } = this.#options;
    const { uncommittedBytesMax, readsWaitingMax, bytesInFlightMax } = this.#options;
    const { commitNoticeDelay, lostLeaderDivisor } = this.#options;
    return {
      self,
      diskPatience: this.#diskPatience,
      electionTimeoutMin,
      electionTimeoutMax,
      heartbeatInterval,
      appendBytesMax,
      appendsInFlightMax,
      ...(bytesInFlightMax === undefined ? {} : { bytesInFlightMax }),
      ...(commitNoticeDelay === undefined ? {} : { commitNoticeDelay }),
      ...(lostLeaderDivisor === undefined ? {} : { lostLeaderDivisor }),
      uncommittedBytesMax,
      readsWaitingMax,
      prng: this.#prng,
      seal: sealFrame,
    };
  }

  // ---- founding ----

  /** Writes the first entry of the cluster's log; to be asked where it is empty. */
  found(membership: Membership): void {
    const raft = this.#raft;
    assert(raft !== null && this.isEmpty, "a used log founds nothing");
    this.performRaft();
    if (this.#lastWriteId > this.#persistedId) return;
    const { term, votedFor } = raft.status();
    const hardState = { term: Math.max(term, FOUNDING_TERM) as Term, votedFor };
    const entry = foundingEntry(membership);
    // Until it is durable nothing is heard and nothing is said.
    this.#raft = null;
    const writeId = ++this.#lastWriteId as WriteId;
    this.#founding = { entry, hardState, writeId };
    const write = { writeId, hardState, truncateFrom: null, entries: [entry] };
    this.#log.step(this.#now, { kind: "write", write });
  }

  #becomeFounded({ entry, hardState }: Founding): void {
    this.#founding = null;
    this.#state.append(entry);
    const restored = { membership: NO_MEMBERS, base: LOG_START, termRuns: [], tail: [entry] };
    this.#startRaft({ hardState, ...restored });
  }
}

function diskPatienceOf({ diskPatience, electionTimeoutMax }: NodeOptions): Micros {
  return diskPatience ?? ((DISK_PATIENCE_TIMEOUTS * electionTimeoutMax) as Micros);
}
