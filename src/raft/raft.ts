// Raft: the pure machine. Events go in by `step`, decisions come out by `takeOutput`; nothing else
// happens. This file owns the rules that every server follows (paper, Figure 2): terms, votes, and
// who becomes what. What each role does is in follower.ts, candidate.ts and leader.ts; what they
// share is in server.ts. README.md of this folder maps the files and numbers the invariants.
//
//                    timeout                 pre-votes won               votes won
//   +----------+ ---------------> +---------------+ -----------> +-----------+ --------> +--------+
//   | follower |                  | pre-candidate |              | candidate |           | leader |
//   +----------+ <--------------- +---------------+ <----------- +-----------+           +--------+
//        ^         leader heard,                      timeout          |                     |
//        |         lost                                                |                     |
//        +-------------------------------------------------------------+---------------------+
//                      a higher term, a leader of this term, an election or a quorum lost

import { assert, unreachable } from "../base/assert.ts";
import type { Draft } from "../base/entry.ts";
import {
  type Instant,
  type LogIndex,
  NO_INDEX,
  type NodeId,
  type Term,
  type WriteId,
} from "../base/ids.ts";
import type { Machine } from "../base/machine.ts";
import { Candidate, type VoteReply } from "./candidate.ts";
import { type AppendRequest, Follower } from "./follower.ts";
import { type AppendReply, Leader } from "./leader.ts";
import { malformedMessage } from "./message-check.ts";
import type {
  RaftEvent,
  RaftMessage,
  RaftOptions,
  RaftOutput,
  RaftRestored,
  RaftStatus,
  Role,
} from "./protocol.ts";
import { Server } from "./server.ts";

const NOT_A_MEMBER = "the sender is not a member";

type VoteRequest = Extract<RaftMessage, { kind: "vote-request" }>;

/**
 * One member's consensus. Its host gives it events, performs every output it takes (at once, and
 * writes in the order taken), answers each write with `persisted`, and comes back at `deadline`.
 * Throws InvariantViolation for a bug of its own or its host's, never for what a peer says.
 */
export class Raft implements Machine<RaftEvent, RaftOutput> {
  readonly #server: Server;
  /** Made anew at every change of role or term, so that nothing of the old one can be left over. */
  #role: Follower | Candidate | Leader;
  #now: Instant;
  #isStepping = false;
  #reportedCommit: LogIndex;
  #dropped = 0;
  #lastDropped: string | null = null;

  /**
   * Begins as a follower. It may have heard a leader just before it stopped, so it votes for nobody
   * until electionTimeoutMin has passed.
   */
  constructor(options: RaftOptions, restored: RaftRestored, now: Instant) {
    this.#server = new Server(options, restored);
    this.#now = now;
    this.#role = new Follower(this.#server, now, now);
    this.#reportedCommit = this.#server.commitIndex;
  }

  get role(): Role {
    return this.#role.kind;
  }

  get term(): Term {
    return this.#server.term;
  }

  /** The leader of this term, where known. */
  get leader(): NodeId | null {
    return this.#role.leader;
  }

  get lastIndex(): LogIndex {
    return this.#server.tail.lastIndex;
  }

  get commitIndex(): LogIndex {
    return this.#server.commitIndex;
  }

  /** The term of the entry at `index`; null when the log has none there, or no longer. */
  termAt(index: LogIndex): Term | null {
    return this.#server.tail.termAt(index);
  }

  get deadline(): Instant {
    return this.#role.deadline;
  }

  step(now: Instant, event: RaftEvent): void {
    assert(!this.#isStepping, "a step ends before the next begins");
    assert(now >= this.#now, "time never goes back", now, this.#now);
    this.#isStepping = true;
    this.#now = now;
    this.#dispatch(event);
    this.#isStepping = false;
  }

  takeOutput(): RaftOutput | null {
    assert(!this.#isStepping, "output is taken between steps");
    const { journal, outbox, commitIndex } = this.#server;
    this.#role.flush(this.#now);
    const write = journal.takeWrite();
    if (write === null && outbox.isEmpty && commitIndex === this.#reportedCommit) return null;
    this.#reportedCommit = commitIndex;
    const { sends, verdicts, reads } = outbox.take();
    return { write, sends, verdicts, reads, commitIndex };
  }

  status(): RaftStatus {
    const { self, term, votedFor, tail, journal, commitIndex } = this.#server;
    return {
      self,
      role: this.role,
      term,
      votedFor,
      leader: this.leader,
      lastIndex: tail.lastIndex,
      lastTerm: tail.lastTerm,
      endOffset: tail.endOffset,
      commitIndex,
      durableIndex: journal.durableIndex,
      peers: this.#role.kind === "leader" ? this.#role.status() : [],
      dropped: this.#dropped,
      lastDropped: this.#lastDropped,
    };
  }

  #dispatch(event: RaftEvent): void {
    switch (event.kind) {
      case "deadline":
        this.#timePassed();
        break;
      case "received":
        this.#received(event.from, event.message);
        break;
      case "proposed":
        this.#proposed(event.proposalId, event.draft);
        break;
      case "persisted":
        this.#persisted(event.writeId);
        break;
      case "read-requested":
        this.#readRequested(event.readId);
        break;
      case "peer-unreachable":
        if (this.#role.kind === "leader") this.#role.peerUnreachable(event.peer);
        break;
      default:
        unreachable(event);
    }
  }

  #timePassed(): void {
    if (this.#now < this.#role.deadline) return;
    if (this.#role.kind !== "leader") this.#becomePreCandidate();
    else if (this.#role.hasLostQuorum(this.#now)) this.#becomeFollower(this.term, null);
    else this.#role.timePassed(this.#now);
  }

  #proposed(proposalId: number, draft: Draft): void {
    const { leader } = this;
    if (this.#role.kind === "leader") this.#role.propose(proposalId, draft);
    else this.#server.outbox.verdict({ kind: "refused", proposalId, why: "not-leader", leader });
  }

  #readRequested(readId: number): void {
    const { leader } = this;
    if (this.#role.kind === "leader") this.#role.requestRead(readId);
    else this.#server.outbox.readVerdict({ kind: "refused", readId, leader });
  }

  #persisted(writeId: WriteId): void {
    const { journal, outbox } = this.#server;
    journal.persisted(writeId);
    outbox.release(journal.confirmedWrite);
    this.#role.persisted();
    this.#countVotes();
  }

  #received(from: NodeId, message: RaftMessage): void {
    const isPeer = this.#server.peers.includes(from);
    this.#drop(isPeer ? (malformedMessage(message) ?? this.#heard(from, message)) : NOT_A_MEMBER);
  }

  /** Says what is wrong with a message that, as things stand here, no correct peer sends. */
  #heard(from: NodeId, message: RaftMessage): string | null {
    if (message.term > this.term && this.#raisesTerm(message)) {
      this.#becomeFollower(message.term, message.kind === "append-request" ? from : null);
    }
    switch (message.kind) {
      case "vote-request":
        return this.#voteRequested(from, message);
      case "vote-reply":
        return this.#voteReplied(from, message);
      case "append-request":
        return this.#appendRequested(from, message);
      case "append-reply":
        return this.#appendReplied(from, message);
      default:
        return unreachable(message);
    }
  }

  /**
   * Any message of a later term ends ours (paper, section 5.1), but for three: whoever asks for a
   * pre-vote, or has been granted one, has not entered the term it names; and while we hear a
   * leader, a candidate is a disturbance (paper, section 6). If that one is in earnest, its answer
   * to the leader's next append says so.
   */
  #raisesTerm(message: RaftMessage): boolean {
    switch (message.kind) {
      case "vote-request":
        return !message.preVote && !this.#role.hearsLeader(this.#now);
      case "vote-reply":
        return !(message.preVote && message.granted);
      case "append-request":
      case "append-reply":
        return true;
      default:
        return unreachable(message);
    }
  }

  #voteRequested(from: NodeId, request: VoteRequest): null {
    const { preVote } = request;
    const granted = this.#wouldVoteFor(from, request);
    if (granted && !preVote) this.#voteFor(from);
    const term = granted ? request.term : this.term;
    this.#server.sendWhenDurable(from, { kind: "vote-reply", term, granted, preVote });
    return null;
  }

  /** Gives our vote; its candidate gets a whole timeout to win. Giving it again changes nothing. */
  #voteFor(candidate: NodeId): void {
    if (this.#server.votedFor === candidate) return;
    this.#server.voteFor(candidate);
    this.#becomeFollower(this.term, null);
  }

  /**
   * Whether `candidate` may have our vote in the term it asks for (paper, sections 5.2 and 5.4.1).
   */
  #wouldVoteFor(candidate: NodeId, { term, lastIndex, lastTerm }: VoteRequest): boolean {
    if (this.#role.hearsLeader(this.#now)) return false;
    const { votedFor, tail } = this.#server;
    if (term < this.term) return false;
    if (term === this.term && votedFor !== null && votedFor !== candidate) return false;
    if (lastTerm !== tail.lastTerm) return lastTerm > tail.lastTerm;
    return lastIndex >= tail.lastIndex;
  }

  #voteReplied(from: NodeId, reply: VoteReply): null {
    if (this.#role.kind === "candidate" || this.#role.kind === "pre-candidate") {
      this.#role.voteReplied(from, reply);
      this.#countVotes();
    }
    return null;
  }

  #countVotes(): void {
    const role = this.#role;
    if (role.kind !== "candidate" && role.kind !== "pre-candidate") return;
    const outcome = role.outcome;
    if (outcome === "lost") this.#becomeFollower(this.term, null);
    else if (outcome === "won" && role.kind === "candidate") this.#becomeLeader();
    else if (outcome === "won") this.#becomeCandidate();
  }

  #appendRequested(from: NodeId, request: AppendRequest): string | null {
    if (request.term < this.term) return this.#refuseFormerLeader(from);
    if (this.#role.kind === "leader") return "a second leader in this term";
    if (this.#role.kind !== "follower") this.#becomeFollower(this.term, from);
    assert(this.#role.kind === "follower", "only a follower takes entries");
    return this.#role.appendRequested(this.#now, from, request);
  }

  /**
   * It learns of our term by the answer, and steps down. The answer says that and nothing else: it
   * names no round and no place in a log, because by the time it comes its reader may lead our
   * term.
   *
   *   1. A leads term 2, its round 7 is slow on its way to us
   *   2. A is deposed, and elected again in term 4, with our vote
   *   3. its round 7 of term 2 comes: were it echoed, in term 4, A would take it for an answer to
   *      round 7 of term 4, which may not have begun, and serve a read that somebody has outdated
   */
  #refuseFormerLeader(from: NodeId): null {
    this.#server.sendWhenDurable(from, {
      kind: "append-reply",
      term: this.term,
      round: 0,
      matchIndex: NO_INDEX,
      conflict: null,
    });
    return null;
  }

  #appendReplied(from: NodeId, reply: AppendReply): string | null {
    if (this.#role.kind !== "leader" || reply.term !== this.term) return null;
    return this.#role.appendReplied(this.#now, from, reply);
  }

  /**
   * In a later term nobody has our vote yet; in the same term our vote stands, whatever we were.
   * `leader` is only a hint for those who waited on us: a follower knows its leader by hearing it.
   */
  #becomeFollower(term: Term, leader: NodeId | null): void {
    if (term > this.term) this.#server.enterTerm(term, null);
    if (this.#role.kind === "leader") this.#role.resign(leader);
    this.#server.outbox.forgetRequests();
    this.#role = new Follower(this.#server, this.#now, null);
  }

  /** Asks whether an election could be won, before anyone is disturbed by one (thesis 9.6). */
  #becomePreCandidate(): void {
    assert(this.#server.isVoter, "only a voter stands for election");
    this.#role = new Candidate(this.#server, "pre-candidate", this.#now);
    this.#countVotes();
  }

  #becomeCandidate(): void {
    this.#server.enterTerm((this.term + 1) as Term, this.#server.self);
    this.#role = new Candidate(this.#server, "candidate", this.#now);
    this.#countVotes();
  }

  #becomeLeader(): void {
    this.#role = new Leader(this.#server, this.#now);
  }

  /** Counts a message that has had no effect, if anything is wrong with it. */
  #drop(why: string | null): void {
    if (why === null) return;
    this.#dropped += 1;
    this.#lastDropped = why;
  }
}
