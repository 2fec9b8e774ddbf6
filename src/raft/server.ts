// What a server has whatever its role (paper, Figure 2, "State"): hard state, log, commit index,
// and the ways out to disk and peers. Roles come and go on top of it; the rules of each role are in
// its file.

import { assert } from "../base/assert.ts";
import type { Entry, LogPoint, Snapshot } from "../base/entry.ts";
import type { LogIndex, MemberId, Micros, Term } from "../base/ids.ts";
import type { Membership } from "../base/membership.ts";
import type { Prng } from "../base/prng.ts";
import { Configuration } from "./configuration.ts";
import { DISK_PATIENCE_TIMEOUTS, DiskPatience } from "./disk-patience.ts";
import { Journal } from "./journal.ts";
import { LogTail } from "./log-tail.ts";
import { Outbox } from "./outbox.ts";
import type { RaftMessage, RaftOptions, RaftRestored } from "./protocol.ts";
import { ReadQueue } from "./read-queue.ts";
import { Transfers } from "./transfer.ts";

type VoteRequest = Extract<RaftMessage, { kind: "vote-request" }>;
type AppendReply = Extract<RaftMessage, { kind: "append-reply" }>;

export class Server {
  readonly options: RaftOptions;
  readonly self: MemberId;
  readonly configuration: Configuration;
  readonly tail: LogTail;
  readonly journal: Journal;
  readonly disk: DiskPatience;
  readonly outbox = new Outbox();
  /** Reads that wait here for whoever leads. */
  readonly reads: ReadQueue;
  readonly transfers: Transfers;
  readonly #electionTimeouts: Prng;
  // Invariant: never goes back, never passes tail.lastIndex.
  #commitIndex: LogIndex;

  constructor(options: RaftOptions, restored: RaftRestored) {
    const { self, electionTimeoutMin, electionTimeoutMax } = options;
    assert(electionTimeoutMin < electionTimeoutMax, "an election timeout is drawn from [min, max)");
    assert(options.heartbeatInterval < electionTimeoutMin, "heartbeats must outpace elections");
    assert(options.appendsInFlightMax >= 1, "at least one append must fit in flight");
    assert((options.bytesInFlightMax ?? 1) >= 1, "at least one byte must fit in flight");
    assert((options.lostLeaderDivisor ?? 1) >= 1, "a part is at most the whole");
    this.options = options;
    this.self = self;
    this.configuration = new Configuration(self, restored.base.index, restored.membership);
    for (const head of restored.tail) this.configuration.appended(head);
    this.configuration.takeChange();
    this.tail = new LogTail(restored);
    this.transfers = new Transfers(this.outbox);
    const { readsWaitingMax, heartbeatInterval, prng } = options;
    this.reads = new ReadQueue(readsWaitingMax, heartbeatInterval, prng.fork("raft.reads"));
    this.journal = new Journal(restored.hardState, this.tail.lastIndex);
    const { diskPatience = (DISK_PATIENCE_TIMEOUTS * electionTimeoutMax) as Micros } = options;
    assert(diskPatience >= electionTimeoutMax, "a disk may be as slow as an election");
    this.disk = new DiskPatience(this.journal, diskPatience);
    this.#commitIndex = restored.base.index;
    this.#electionTimeouts = options.prng.fork("raft.election");
    assert(restored.hardState.term >= this.tail.lastTerm, "the log is newer than the hard state");
  }

  get term(): Term {
    return this.journal.hardState.term;
  }

  get votedFor(): MemberId | null {
    return this.journal.hardState.votedFor;
  }

  /** Which loss of entries the log is being mended of; 0 when it is whole. */
  get loss(): number {
    return this.journal.hardState.loss ?? 0;
  }

  /** Whether this server may be a candidate: it votes, and its log is whole. */
  get mayStand(): boolean {
    return this.configuration.mayStand && this.loss === 0;
  }

  get commitIndex(): LogIndex {
    return this.#commitIndex;
  }

  /** Who decides, as the log says it now. */
  get membership(): Membership {
    return this.configuration.effective;
  }

  /** Enters a later term, with no vote given yet or with the candidate's own. */
  enterTerm(term: Term, votedFor: MemberId | null): void {
    assert(term > this.term, "a term is entered once", term, this.term);
    this.journal.setHardState({ term, votedFor });
    this.outbox.forgetHeld();
  }

  /**
   * Whether `candidate` may have our vote in the term it asks for: once a term (paper, section
   * 5.2), and only with a log that is at least as up to date as ours (5.4.1, the election
   * restriction). A log that has lost entries cannot tell (mending.ts): a vote given before stands,
   * and is not given again.
   */
  wouldVoteFor(candidate: MemberId, { term, lastIndex, lastTerm }: VoteRequest): boolean {
    const { votedFor, tail } = this;
    if (term < this.term || this.loss !== 0) return false;
    if (term === this.term && votedFor !== null && votedFor !== candidate) return false;
    if (lastTerm !== tail.lastTerm) return lastTerm > tail.lastTerm;
    return lastIndex >= tail.lastIndex;
  }

  voteFor(candidate: MemberId): void {
    this.journal.setHardState({ term: this.term, votedFor: candidate });
  }

  append(entry: Entry): void {
    this.tail.append(entry);
    this.journal.append(entry);
    this.configuration.appended(entry);
  }

  /** Drops the entries from `from` on, for those of a leader that has others there. */
  truncate(from: LogIndex): void {
    assert(from > this.#commitIndex, "a committed entry is never truncated", from);
    this.tail.truncate(from);
    this.journal.truncate(from);
    this.configuration.truncated(from);
  }

  /** Replaces the whole log by a snapshot of what is committed further on than anything here. */
  install(snapshot: Snapshot): void {
    const { at, membership } = snapshot;
    assert(at.index > this.#commitIndex, "a snapshot never goes back", at.index);
    this.journal.install(snapshot, this.#commitIndex);
    this.tail.install(at);
    this.configuration.installed(at.index, membership);
    this.#commitIndex = at.index;
  }

  /** The host has dropped the log up to `base`. */
  trim(base: LogPoint): void {
    assert(base.index <= this.#commitIndex, "only what is committed is trimmed", base.index);
    this.tail.trim(base);
  }

  /** Raises the commit index to `index`; a lower one changes nothing. Says whether it rose. */
  maybeCommit(index: LogIndex): boolean {
    if (index <= this.#commitIndex) return false;
    assert(index <= this.tail.lastIndex, "the commit index stays inside the log", index);
    this.#commitIndex = index;
    this.tail.committed(index);
    this.configuration.commitRose(index);
    return true;
  }

  /** An answer to a leader names the loss that is being mended. */
  answer(reply: AppendReply): AppendReply {
    return this.loss === 0 ? reply : { ...reply, loss: this.loss };
  }

  /** Sends what speaks for the present term and vote: once they are durable, and not before. */
  sendWhenDurable(to: MemberId, message: RaftMessage): void {
    if (this.journal.isHardStateDurable) this.outbox.send({ kind: "message", to, message });
    else this.outbox.hold(to, message, this.journal.hardStateWrite);
  }

  /** A timeout in [electionTimeoutMin, electionTimeoutMax), from a stream of its own. */
  drawElectionTimeout(): Micros {
    const { electionTimeoutMin, electionTimeoutMax } = this.options;
    return this.#electionTimeouts.between(electionTimeoutMin, electionTimeoutMax - 1) as Micros;
  }
}
