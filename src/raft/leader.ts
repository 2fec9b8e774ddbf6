// The leader (paper, sections 5.3 and 5.4): gives entries their places, replicates them, commits
// what a majority holds, and knows whether it still leads. One object is one leadership: its term
// never changes.

import { assert } from "../base/assert.ts";
import { EMPTY_BYTES, type FrozenBytes } from "../base/bytes.ts";
import { type Control, controlDraft } from "../base/control.ts";
import { type Draft, type Entry, FRAME_HEADER_BYTES } from "../base/entry.ts";
import {
  after,
  earlier,
  type Instant,
  isCount,
  type LogIndex,
  type MemberId,
  type Micros,
  NEVER,
  type Term,
  type WallMs,
} from "../base/ids.ts";
import { isJoint, type Membership } from "../base/membership.ts";
import { changeTo, leaveJoint } from "./membership-change.ts";
import { Peers } from "./peers.ts";
import type { Progress } from "./progress.ts";
import type {
  MembershipTarget,
  PeerStatus,
  RaftEvent,
  RaftMessage,
  Refusal,
  Verdict,
} from "./protocol.ts";
import type { WaitingRead } from "./read-queue.ts";
import { type Asker, Reads } from "./reads.ts";
import { Replication } from "./replication.ts";
import type { Server } from "./server.ts";
import { Succession } from "./succession.ts";
import type { Tally } from "./tally.ts";

export type AppendReply = Extract<RaftMessage, { kind: "append-reply" }>;
type PeerNews = Extract<RaftEvent, { kind: "peer-unreachable" | "snapshot-ended" }>;
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
  readonly leader: MemberId;
  readonly #server: Server;
  /** Stamped on every entry: the term it was elected for, whatever else is learned later. */
  readonly #term: Term;
  readonly #firstIndex: LogIndex;
  readonly #peers: Peers;
  readonly #replication: Replication;
  readonly #succession: Succession;
  readonly #reads = new Reads();
  /** Verdicts written when their entry was appended, kept back until it is committed; ascending. */
  #pending: Committed[] = [];
  /** Who asked for the joint change under way; answered with the entry that leaves it. */
  #changeId: number | null = null;
  #roundIsDue = true;
  #nextHeartbeat: Instant;
  /** When peers are told of a commit that nothing else has told them by then. */
  #commitNoticeAt: Instant = NEVER;

  /** Just elected by `votes`: `server` is in its term, and all of that is durable. */
  constructor(server: Server, votes: Tally<"vote">, now: Instant) {
    assert(votes.hasGranted(server.self), "a leader has voted for itself");
    assert(server.journal.isHardStateDurable, "a leader's term is durable before it leads");
    this.leader = server.self;
    this.#server = server;
    this.#term = server.term;
    this.#firstIndex = (server.tail.lastIndex + 1) as LogIndex;
    this.#nextHeartbeat = now;
    this.#peers = new Peers(server, this.#firstIndex, now);
    this.#replication = new Replication(server, this.#peers);
    this.#succession = new Succession(server, this.#peers);
    this.#append(NOOP);
  }

  /**
   * The next heartbeat or word of a commit, a reader's deadline, or the end of patience with a
   * silent quorum or disk.
   */
  get deadline(): Instant {
    const heartbeat = this.#peers.size > 0 ? this.#nextHeartbeat : NEVER;
    const patience = earlier(this.#quorumDeadline(), this.#succession.deadline);
    const word = earlier(heartbeat, this.#commitNoticeAt);
    return earlier(earlier(word, this.#reads.deadline), patience);
  }

  status(before: readonly PeerStatus[]): readonly PeerStatus[] {
    return this.#peers.status(before);
  }

  tracks(peer: MemberId): boolean {
    return this.#peers.get(peer) !== undefined;
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
    if (now >= this.#succession.deadline) this.#succession.giveWay(now);
    this.#peers.timePassed(now);
    for (const { readId } of this.#reads.takeLate(now)) {
      this.#server.outbox.readVerdict({ kind: "refused", readId, leader: this.leader });
    }
  }

  propose(proposalId: number, draft: Draft): void {
    const { tail, commitIndex, options, transfers } = this.#server;
    const uncommitted = tail.bytesBetween(commitIndex, tail.lastIndex);
    // A draft larger than the bound may go alone, or it could never go.
    if (uncommitted > 0 && uncommitted + draft.bytes.length > options.uncommittedBytesMax) {
      this.#refuse(proposalId, "overloaded");
    } else if (transfers.current !== null) {
      this.#refuse(proposalId, "transferring");
    } else {
      this.#answerWhenCommitted(proposalId, this.#append(draft));
    }
  }

  /**
   * Changes who decides (paper, section 6; thesis 4.1): one change at a time, and none before an
   * entry of our own term is committed. Without that, two leaders could take two first steps that
   * do not overlap (Ongaro, raft-dev 2015).
   */
  proposeMembership(now: Instant, proposalId: number, target: MembershipTarget): void {
    const { configuration, commitIndex, transfers } = this.#server;
    const refuse = (why: Refusal, what?: string): void => this.#refuse(proposalId, why, what);
    if (transfers.current !== null) refuse("transferring");
    else if (commitIndex < this.#firstIndex) refuse("not-ready");
    else if (configuration.isChanging) refuse("change-in-progress");
    else {
      const change = changeTo(configuration.effective, target);
      const behind =
        this.#peers.learnerBehind(now, target) ?? this.#peers.menderNeeded(target.voters);
      if (change.kind === "invalid") refuse("invalid", change.what);
      else if (behind !== null) refuse("not-caught-up", behind);
      else this.#change(now, proposalId, change.membership);
    }
  }

  /** The answer is given with the final configuration, which a joint one is not. */
  #change(now: Instant, proposalId: number, membership: Membership): void {
    const entry = this.#appendMembership(now, membership);
    if (isJoint(membership)) this.#changeId = proposalId;
    else this.#answerWhenCommitted(proposalId, entry);
  }

  /** Begins to hand leadership over (thesis 3.10); null lets the longest log decide. */
  requestTransfer(now: Instant, transferId: number, wanted: MemberId | null): void {
    this.#succession.request(now, transferId, wanted);
  }

  /** Another should lead: this server's disk hangs. */
  giveWay(now: Instant): void {
    this.#succession.giveWay(now);
  }

  /** The successor did not take over in time: everything goes on here. */
  transferAborted(now: Instant): void {
    this.#configurationCommitted(now);
  }

  requestRead(asker: Asker): boolean {
    if (this.#reads.waiting >= this.#server.options.readsWaitingMax) return false;
    this.#reads.add(asker);
    return true;
  }

  /** Our own disk is one voter among the others: it counts when it says so, and not before. */
  persisted(now: Instant): void {
    this.#maybeCommit(now);
  }

  /** What the host has learned of a peer. */
  heardOf(now: Instant, news: PeerNews): void {
    const peer = this.#peers.get(news.peer);
    if (news.kind === "peer-unreachable") {
      peer?.unreachable(now);
      return;
    }
    // What was sent whole takes its time to be checked and installed; nothing is sent twice for it.
    const { heartbeatInterval, electionTimeoutMax } = this.#server.options;
    const patience = (electionTimeoutMax - heartbeatInterval) as Micros;
    peer?.snapshotEnded(news.ok ? after(now, patience) : now);
  }

  /** An answer of this term. Says what is wrong with one that no correct peer gives. */
  appendReplied(now: Instant, from: MemberId, reply: AppendReply): string | null {
    const peer = this.#peers.get(from);
    if (peer === undefined) return "not a peer";
    const { tail, options } = this.#server;
    if (reply.round > this.#replication.round) return "a round that never began";
    if (reply.conflict === null && reply.matchIndex > tail.lastIndex) return "beyond the log";
    const credit = peer.credit(
      reply.loss ?? 0,
      reply.round,
      this.#replication.round,
      tail.lastIndex,
    );
    if (credit === "late") return null;
    peer.answered(now, reply.round);
    const hasLost = reply.conflict !== null && peer.maybeLost(reply.conflict, reply.round);
    if (reply.conflict !== null) peer.refused(reply.conflict, tail);
    else if (this.#acknowledged(now, peer, reply) || credit === "mended") this.#maybeCommit(now);
    if (peer.takeStuck(now, options.heartbeatInterval, tail.startIndex) === "pipeline") {
      this.#replication.askPipeline(peer);
    }
    return hasLost ? `${from} has lost entries that it had acknowledged` : null;
  }

  #acknowledged(now: Instant, peer: Progress, { matchIndex }: AppendReply): boolean {
    const { startIndex } = this.#server.tail;
    return peer.acknowledged(now, this.#replication.round, matchIndex, startIndex);
  }

  /**
   * Sends all that the turn has made possible: a round if one is due, then entries to each peer.
   */
  flush(now: Instant): void {
    const { commitIndex, options } = this.#server;
    if (this.#roundIsDue || this.#reads.needRound) {
      this.#roundIsDue = false;
      this.#nextHeartbeat = after(now, options.heartbeatInterval);
      this.#replication.beginRound();
      // Until our own first entry is committed, earlier leaders' commits may be unknown to us.
      const readIndex = Math.max(commitIndex, this.#firstIndex) as LogIndex;
      this.#reads.roundBegan(this.#replication.round, readIndex);
    }
    const { commitNoticeDelay = 0 as Micros } = options;
    const tellsCommits = commitNoticeDelay === 0 || now >= this.#commitNoticeAt;
    this.#replication.flush(now, tellsCommits);
    if (!this.#replication.hasUntold) this.#commitNoticeAt = NEVER;
    else this.#commitNoticeAt = earlier(this.#commitNoticeAt, after(now, commitNoticeDelay));
    if (this.#reads.waiting > 0) {
      const confirmed = this.#confirmedRound();
      this.#reads.release(confirmed, commitIndex, (asker, index) => this.#answer(asker, index));
    }
    this.#succession.maybeTell(this.#replication.round);
  }

  /**
   * Leadership ends, perhaps in favour of `successor`: everything that waits is answered. Returns
   * the reads that may go on waiting for another leader.
   */
  resign(successor: MemberId | null): WaitingRead[] {
    const { outbox } = this.#server;
    for (const { proposalId } of this.#pending) outbox.verdict({ kind: "unknown", proposalId });
    if (this.#changeId !== null) outbox.verdict({ kind: "unknown", proposalId: this.#changeId });
    this.#pending = [];
    this.#changeId = null;
    const patient: WaitingRead[] = [];
    for (const asker of this.#reads.takeAll()) {
      if (asker.kind === "peer") continue;
      if (asker.deadline !== NEVER) patient.push(asker);
      else outbox.readVerdict({ kind: "refused", readId: asker.readId, leader: successor });
    }
    return patient;
  }

  #refuse(proposalId: number, why: Refusal, what?: string): void {
    const refusal = { kind: "refused", proposalId, why, leader: this.leader } as const;
    this.#server.outbox.verdict(what === undefined ? refusal : { ...refusal, what });
  }

  #answerWhenCommitted(proposalId: number, { index, term, offset }: Entry): void {
    this.#pending.push({ kind: "committed", proposalId, index, term, offset });
  }

  #answer(asker: Asker, readIndex: LogIndex): void {
    const { outbox } = this.#server;
    if (asker.kind === "here") {
      outbox.readVerdict({ kind: "ready", readId: asker.readId, readIndex });
      return;
    }
    const { peer: to, sequence } = asker;
    const message: RaftMessage = { kind: "read-reply", term: this.#term, sequence, readIndex };
    outbox.send({ kind: "message", to, message });
  }

  #append(draft: Draft): Entry {
    const { tail, options, term } = this.#server;
    assert(term === this.#term, "a leader appends in the term it was elected for", term);
    assert(isCount(draft.count), "a draft has a whole number of records", draft.count);
    const entry: Entry & { frame: FrozenBytes; control?: Control } = {
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
      frame: EMPTY_BYTES,
    };
    // Not spread into the literal: that costs more than all else here, and few entries have one.
    if (draft.control !== undefined) entry.control = draft.control;
    entry.frame = options.seal(entry, draft.bytes);
    this.#server.append(entry);
    return entry;
  }

  /** It is in force from here on, for counting as for sending (thesis 4.1). */
  #appendMembership(now: Instant, membership: Membership): Entry {
    const entry = this.#append(controlDraft({ kind: "membership", membership }, 0 as WallMs));
    this.#peers.follow(entry.index, now);
    return entry;
  }

  /**
   * Commits up to the last index that a quorum holds durably, if it is of our own term: an older
   * entry may be on a majority and still be replaced (paper, section 5.4.2 and Figure 8).
   */
  #maybeCommit(now: Instant): void {
    const { tail, journal, outbox } = this.#server;
    const held = this.#peers.heldByQuorum(journal.durableIndex);
    if (tail.termAt(held) !== this.#term || !this.#server.maybeCommit(held)) return;
    let answered = 0;
    for (const verdict of this.#pending) {
      if (verdict.index > held) break;
      outbox.verdict(verdict);
      answered += 1;
    }
    this.#pending.splice(0, answered);
    this.#configurationCommitted(now);
  }

  /**
   * What a committed configuration asks of its leader, once something of its own term is committed
   * as well: a joint one is left, whoever began it; and a leader that it does not count gives its
   * place to another.
   */
  #configurationCommitted(now: Instant): void {
    const { configuration, transfers, commitIndex } = this.#server;
    if (!configuration.isCommitted || commitIndex < this.#firstIndex) return;
    this.#peers.removalCommitted(now);
    if (transfers.current !== null) return;
    if (isJoint(configuration.effective)) {
      const entry = this.#appendMembership(now, leaveJoint(configuration.effective));
      if (this.#changeId !== null) this.#answerWhenCommitted(this.#changeId, entry);
      this.#changeId = null;
    } else if (!configuration.isVoter) {
      this.#succession.giveWay(now);
    }
  }

  /** The newest round that a quorum, with ourselves, has answered. */
  #confirmedRound(): number {
    return this.#peers.reachedByQuorum(this.#replication.round, roundOf);
  }

  #quorumDeadline(): Instant {
    const contactAt = this.#peers.reachedByQuorum(NEVER, contactAtOf) as Instant;
    return contactAt === NEVER ? NEVER : after(contactAt, this.#server.options.electionTimeoutMax);
  }
}

const roundOf = (peer: Progress): number => peer.round;
const contactAtOf = (peer: Progress): Instant => peer.contactAt;
