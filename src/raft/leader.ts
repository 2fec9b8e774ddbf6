// The leader (paper, sections 5.3 and 5.4): gives entries their places, replicates them, commits
// what a majority holds, and knows whether it still leads. One object is one leadership: its term
// never changes.

import { assert } from "../base/assert.ts";
import { EMPTY_BYTES, type FrozenBytes } from "../base/bytes.ts";
import { type Draft, type Entry, FRAME_HEADER_BYTES } from "../base/entry.ts";
import {
  after,
  earlier,
  type Instant,
  isCount,
  type LogIndex,
  NEVER,
  NO_INDEX,
  NO_TERM,
  type NodeId,
  type Term,
  type WallMs,
} from "../base/ids.ts";
import { Progress } from "./progress.ts";
import type { PeerStatus, RaftMessage, Verdict } from "./protocol.ts";
import { reachedByMajority } from "./quorum.ts";
import { Reads } from "./reads.ts";
import type { Server } from "./server.ts";

export type AppendReply = Extract<RaftMessage, { kind: "append-reply" }>;
type Committed = Extract<Verdict, { kind: "committed" }>;

/**
 * The entry every leadership begins with: committing it commits all before it (paper, section 8).
 */
const NOOP: Draft = {
  kind: "noop",
  codec: 0,
  critical: false,
  count: 0,
  timestamp: 0 as WallMs,
  bodyCrc: 0,
  rawLength: 0,
  producerId: 0,
  epoch: 0,
  sequence: 0,
  bytes: EMPTY_BYTES,
};

export class Leader {
  readonly kind = "leader";
  readonly leader: NodeId;
  readonly #server: Server;
  /** Stamped on every entry: the term it was elected for, whatever else is learned later. */
  readonly #term: Term;
  readonly #firstIndex: LogIndex;
  readonly #peers: ReadonlyMap<NodeId, Progress>;
  readonly #reads = new Reads();
  /** Verdicts written when their entry was appended, kept back until it is committed; ascending. */
  #pending: Committed[] = [];
  /** Counts heartbeat rounds; an answer that echoes it was given after the round began. */
  #round = 0;
  #roundIsDue = true;
  #nextHeartbeat: Instant;

  /** Just elected: `server` is in its term, and all of that is durable. */
  constructor(server: Server, now: Instant) {
    assert(server.votedFor === server.self, "a leader has voted for itself");
    assert(server.journal.isHardStateDurable, "a leader's term is durable before it leads");
    this.leader = server.self;
    this.#server = server;
    this.#term = server.term;
    this.#firstIndex = (server.tail.lastIndex + 1) as LogIndex;
    this.#nextHeartbeat = now;
    const { appendsInFlightMax } = server.options;
    this.#peers = new Map(
      server.peers.map((id) => [id, new Progress(id, this.#firstIndex, now, appendsInFlightMax)]),
    );
    this.#append(NOOP);
  }

  /** The next heartbeat, or the end of patience with a silent quorum. */
  get deadline(): Instant {
    const heartbeat = this.#peers.size > 0 ? this.#nextHeartbeat : NEVER;
    return earlier(heartbeat, this.#quorumDeadline());
  }

  status(): PeerStatus[] {
    return [...this.#peers.values()].map((peer) => peer.status());
  }

  hearsLeader(): boolean {
    return true;
  }

  /**
   * True when no quorum has answered for electionTimeoutMax (thesis 6.2): by then it may have
   * elected another, and clients who wait here wait in vain.
   */
  hasLostQuorum(now: Instant): boolean {
    return now >= this.#quorumDeadline();
  }

  timePassed(now: Instant): void {
    if (now >= this.#nextHeartbeat) this.#roundIsDue = true;
  }

  propose(proposalId: number, draft: Draft): void {
    const { tail, commitIndex, options, outbox } = this.#server;
    const uncommitted = tail.bytesBetween(commitIndex, tail.lastIndex);
    // A draft larger than the bound may go alone, or it could never go.
    if (uncommitted > 0 && uncommitted + draft.bytes.length > options.uncommittedBytesMax) {
      const { leader } = this;
      outbox.verdict({ kind: "refused", proposalId, why: "overloaded", leader });
      return;
    }
    const { index, term, offset } = this.#append(draft);
    this.#pending.push({ kind: "committed", proposalId, index, term, offset });
  }

  requestRead(readId: number): void {
    if (this.#reads.waiting < this.#server.options.readsWaitingMax) this.#reads.add(readId);
    else this.#server.outbox.readVerdict({ kind: "refused", readId, leader: this.leader });
  }

  /** Our own disk is one voter among the others: it counts when it says so, and not before. */
  persisted(): void {
    this.#maybeCommit();
  }

  peerUnreachable(peer: NodeId): void {
    this.#peers.get(peer)?.unreachable();
  }

  /** An answer of this term. Says what is wrong with one that no correct peer gives. */
  appendReplied(now: Instant, from: NodeId, reply: AppendReply): string | null {
    const peer = this.#peers.get(from);
    if (peer === undefined) return "not a peer";
    const { tail, options } = this.#server;
    if (reply.round > this.#round) return "a round that never began";
    if (reply.conflict === null && reply.matchIndex > tail.lastIndex) return "beyond the log";
    peer.answered(now, reply.round);
    if (reply.conflict !== null) peer.refused(reply.conflict, tail);
    else if (peer.acknowledged(now, reply.matchIndex)) this.#maybeCommit();
    if (peer.takeStuck(now, options.heartbeatInterval) === "pipeline") this.#askPipeline(peer);
    return null;
  }

  /**
   * Sends all that the turn has made possible: a round if one is due, then entries to each peer.
   */
  flush(now: Instant): void {
    const { outbox, commitIndex, options } = this.#server;
    if (this.#roundIsDue || this.#reads.needRound) {
      this.#round += 1;
      this.#roundIsDue = false;
      this.#nextHeartbeat = after(now, options.heartbeatInterval);
      // Until our own first entry is committed, earlier leaders' commits may be unknown to us.
      const readIndex = Math.max(commitIndex, this.#firstIndex) as LogIndex;
      this.#reads.roundBegan(this.#round, readIndex);
      for (const peer of this.#peers.values()) this.#sendHeartbeat(peer);
    }
    for (const peer of this.#peers.values()) this.#replicate(now, peer);
    if (this.#reads.waiting > 0) this.#reads.release(this.#confirmedRound(), commitIndex, outbox);
  }

  /** Leadership ends, perhaps in favour of `successor`: everything that waits is answered. */
  resign(successor: NodeId | null): void {
    const { outbox } = this.#server;
    for (const { proposalId } of this.#pending) outbox.verdict({ kind: "unknown", proposalId });
    this.#pending = [];
    for (const readId of this.#reads.takeAll()) {
      outbox.readVerdict({ kind: "refused", readId, leader: successor });
    }
  }

  #append(draft: Draft): Entry {
    const { tail, options, term } = this.#server;
    assert(term === this.#term, "a leader appends in the term it was elected for", term);
    assert(isCount(draft.count), "a draft has a whole number of records", draft.count);
    const entry: Entry & { frame: FrozenBytes } = {
      kind: draft.kind,
      codec: draft.codec,
      critical: draft.critical,
      index: (tail.lastIndex + 1) as LogIndex,
      term: this.#term,
      prevTerm: tail.lastTerm,
      offset: tail.endOffset,
      count: draft.count,
      timestamp: Math.max(tail.timestamp, draft.timestamp) as WallMs,
      bodyLength: Math.max(0, draft.bytes.length - FRAME_HEADER_BYTES),
      bodyCrc: draft.bodyCrc,
      rawLength: draft.rawLength,
      producerId: draft.producerId,
      epoch: draft.epoch,
      sequence: draft.sequence,
      ...(draft.control === undefined ? {} : { control: draft.control }),
      frame: EMPTY_BYTES,
    };
    entry.frame = options.seal(entry, draft.bytes);
    this.#server.append(entry);
    return entry;
  }

  /**
   * Commits up to the last index that a majority holds durably, if it is of our own term: an older
   * entry may be on a majority and still be replaced (paper, section 5.4.2 and Figure 8).
   */
  #maybeCommit(): void {
    const { tail, journal, outbox } = this.#server;
    const held = this.#reachedByVoters(journal.durableIndex, (peer) => peer.matchIndex) as LogIndex;
    if (tail.termAt(held) !== this.#term || !this.#server.maybeCommit(held)) return;
    let answered = 0;
    for (const verdict of this.#pending) {
      if (verdict.index > held) break;
      outbox.verdict(verdict);
      answered += 1;
    }
    this.#pending.splice(0, answered);
  }

  /**
   * Proof that we lead, without entries. It speaks only of what the peer is known to have, so that
   * it may overtake any append on the way, and is answered as soon as it is read.
   */
  #sendHeartbeat(peer: Progress): void {
    const known = Math.min(peer.matchIndex, this.#server.commitIndex) as LogIndex;
    this.#sendEmpty(peer, peer.matchIndex, known);
    peer.commitTold(known);
  }

  #replicate(now: Instant, peer: Progress): void {
    const { tail, options, outbox, commitIndex } = this.#server;
    while (peer.mayAppend(tail)) {
      const prevIndex = (peer.nextIndex - 1) as LogIndex;
      const prevTerm = tail.termAt(prevIndex);
      // Trimmed away here: heartbeats go on, but only a checkpoint could bring this peer back.
      if (prevTerm === null) return;
      const bytesMax = options.appendBytesMax;
      const lastIndex =
        peer.mode === "probe" ? tail.lastIndex : tail.lastWithin(prevIndex, bytesMax);
      outbox.send({
        kind: "entries",
        to: peer.peer,
        term: this.#term,
        prevIndex,
        prevTerm,
        lastIndex,
        bytesMax,
        commitIndex,
        round: this.#round,
      });
      peer.appendSent(now, lastIndex, commitIndex);
    }
    // Nothing else tells it: an idle leader says at once what its last entries have become.
    if (Math.min(peer.matchIndex, commitIndex) > peer.toldCommit) this.#sendHeartbeat(peer);
  }

  /** Asks whether the end of the pipeline has arrived; if not, the answer is a refusal. */
  #askPipeline(peer: Progress): void {
    this.#sendEmpty(peer, (peer.nextIndex - 1) as LogIndex, this.#server.commitIndex);
  }

  #sendEmpty({ peer }: Progress, prevIndex: LogIndex, commitIndex: LogIndex): void {
    const { tail, outbox } = this.#server;
    const prevTerm = tail.termAt(prevIndex);
    const message: RaftMessage = {
      kind: "append-request",
      term: this.#term,
      // Trimmed away here, so committed: the place before the log matches every log.
      prevIndex: prevTerm === null ? NO_INDEX : prevIndex,
      prevTerm: prevTerm ?? NO_TERM,
      commitIndex,
      round: this.#round,
      entries: [],
    };
    outbox.send({ kind: "message", to: peer, message });
  }

  /** The newest round that a majority, with ourselves, has answered. */
  #confirmedRound(): number {
    return this.#reachedByVoters(this.#round, (peer) => peer.round);
  }

  #quorumDeadline(): Instant {
    const contactAt = this.#reachedByVoters(NEVER, (peer) => peer.contactAt) as Instant;
    return contactAt === NEVER ? NEVER : after(contactAt, this.#server.options.electionTimeoutMax);
  }

  /**
   * `own` and each other voter's value, as far as a majority has come. Learners count for nothing.
   */
  #reachedByVoters(own: number, reachedBy: (peer: Progress) => number): number {
    const values: number[] = [];
    for (const voter of this.#server.membership.voters) {
      const peer = this.#peers.get(voter);
      values.push(peer === undefined ? own : reachedBy(peer));
    }
    return reachedByMajority(values);
  }
}
