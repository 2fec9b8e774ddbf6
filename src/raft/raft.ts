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
import {
  earlier,
  type Instant,
  type LogIndex,
  type MemberId,
  NO_INDEX,
  type Term,
  type WriteId,
} from "../base/ids.ts";
import type { Machine } from "../base/machine.ts";
import { Candidate, PreCandidate, type VoteReply } from "./candidate.ts";
import { type AppendRequest, Follower } from "./follower.ts";
import { type AppendReply, Leader } from "./leader.ts";
import { malformedMessage, malformedSnapshot } from "./message-check.ts";
import type {
  RaftEvent,
  RaftMessage,
  RaftOptions,
  RaftOutput,
  RaftRestored,
  RaftStatus,
  Role,
} from "./protocol.ts";
import { keepReaders, readAsked, readReplied, requested, type ServerRole } from "./requests.ts";
import { Server } from "./server.ts";
import { statusOf } from "./status.ts";
import type { Tally } from "./tally.ts";

type VoteRequest = Extract<RaftMessage, { kind: "vote-request" }>;
type TimeoutNow = Extract<RaftMessage, { kind: "timeout-now" }>;
type EventOf<Kind extends RaftEvent["kind"]> = Extract<RaftEvent, { kind: Kind }>;

/**
 * One member's consensus. Its host gives it events, performs every output it takes (at once, and
 * writes in the order taken), answers each write with `persisted`, and comes back at `deadline`.
 * Throws InvariantViolation for a bug of its own or its host's, never for what a peer says.
 */
export class Raft implements Machine<RaftEvent, RaftOutput> {
  readonly #server: Server;
  /** Made anew at every change of role or term, so that nothing of the old one can be left over. */
  #role: ServerRole;
  #now: Instant;
  #isStepping = false;
  #reportedCommit: LogIndex;
  #dropped = 0;
  #lastDropped: string | null = null;
  /** As it was when somebody last asked, and whether something may be otherwise since. */
  #status: RaftStatus | null = null;
  #mayHaveChanged = true;

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
  get leader(): MemberId | null {
    return this.#role.leader;
  }

  get lastIndex(): LogIndex {
    return this.#server.tail.lastIndex;
  }

  get commitIndex(): LogIndex {
    return this.#server.commitIndex;
  }

  /** Whether its log has lost entries, so that it neither votes nor stands nor counts. */
  get isMending(): boolean {
    return this.#server.loss !== 0;
  }

  /** The term of the entry at `index`; null when the log has none there, or no longer. */
  termAt(index: LogIndex): Term | null {
    return this.#server.tail.termAt(index);
  }

  get deadline(): Instant {
    const { reads, transfers } = this.#server;
    return earlier(this.#role.deadline, earlier(reads.deadline, transfers.deadline));
  }

  step(now: Instant, event: RaftEvent): void {
    assert(!this.#isStepping, "a step ends before the next begins");
    assert(now >= this.#now, "time never goes back", now, this.#now);
    this.#isStepping = true;
    this.#mayHaveChanged = true;
    this.#now = now;
    this.#dispatch(event);
    this.#followTransfer();
    this.#isStepping = false;
  }

  takeOutput(): RaftOutput | null {
    assert(!this.#isStepping, "output is taken between steps");
    const { journal, outbox, configuration, commitIndex } = this.#server;
    this.#mayHaveChanged = true;
    this.#role.flush(this.#now);
    const write = journal.takeWrite(this.#now);
    const membership = configuration.takeChange();
    const isSame = commitIndex === this.#reportedCommit && membership === null;
    if (write === null && outbox.isEmpty && isSame) return null;
    this.#reportedCommit = commitIndex;
    const { sends, verdicts, reads, transfers } = outbox.take();
    return { write, sends, verdicts, reads, transfers, membership, commitIndex };
  }

  /** See RaftStatus; for whoever looks after each message. */
  get dropped(): number {
    return this.#dropped;
  }

  get lastDropped(): string | null {
    return this.#lastDropped;
  }

  /** The object of the last time, as long as nothing in it has changed. */
  status(): RaftStatus {
    if (this.#status !== null && !this.#mayHaveChanged) return this.#status;
    this.#mayHaveChanged = false;
    const dropped = { dropped: this.#dropped, lastDropped: this.#lastDropped };
    this.#status = statusOf(this.#server, this.#role, dropped, this.#status);
    return this.#status;
  }

  #dispatch(event: RaftEvent): void {
    switch (event.kind) {
      case "deadline":
        this.#timePassed();
        break;
      case "received":
        this.#drop(
          this.#unwelcome(event.from, event.message) ?? this.#heard(event.from, event.message),
        );
        break;
      case "proposed":
      case "membership-proposed":
      case "transfer-requested":
      case "read-requested":
        requested(this.#server, this.#role, this.#now, event);
        break;
      case "persisted":
        this.#persisted(event.writeId);
        break;
      case "snapshot-received":
        this.#drop(malformedSnapshot(event) ?? this.#snapshotReceived(event));
        break;
      case "trimmed":
        this.#server.trim(event.base);
        break;
      case "disk-hung":
        this.#diskHung(event.isHung);
        break;
      case "disk-full":
        this.#server.disk.hostSaysFull(this.#now, event.isFull);
        break;
      case "snapshot-ended":
        if (this.#role.kind === "leader") this.#role.heardOf(this.#now, event);
        break;
      case "peer-unreachable":
        if (this.#role.kind === "leader") this.#role.heardOf(this.#now, event);
        else if (this.#role.kind === "follower") this.#role.lost(this.#now, event.peer);
        break;
      default:
        unreachable(event);
    }
  }

  #timePassed(): void {
    const { reads, outbox } = this.#server;
    for (const { readId } of reads.timePassed(this.#now)) {
      outbox.readVerdict({ kind: "refused", readId, leader: this.leader });
    }
    if (this.#now < this.#role.deadline) return;
    if (this.#role.kind !== "leader") this.#timedOut();
    else if (this.#role.hasLostQuorum(this.#now)) this.#becomeFollower(this.term, null);
    else this.#role.timePassed(this.#now);
  }

  /** Calls an election, unless this server could not even make its own vote durable. */
  #timedOut(): void {
    if (this.#server.disk.isExhausted(this.#now)) this.#becomeFollower(this.term, null);
    else this.#becomePreCandidate();
  }

  #diskHung(isHung: boolean): void {
    this.#server.disk.hostSays(isHung);
    if (isHung && this.#role.kind === "leader") this.#role.giveWay(this.#now);
  }

  /**
   * A transfer that has come to nothing is over. Its leader goes on, unless it was removed, so that
   * there is nothing left to lead, or its disk hangs: then whoever can win an election leads
   * better.
   */
  #followTransfer(): void {
    const { transfers, configuration, disk } = this.#server;
    const hasTimedOut = transfers.follow(this.#now, this.term, this.leader);
    if (!hasTimedOut || this.#role.kind !== "leader") return;
    const isFit = configuration.isVoter && !disk.isExhausted(this.#now);
    if (isFit) this.#role.transferAborted(this.#now);
    else this.#becomeFollower(this.term, null);
  }

  #persisted(writeId: WriteId): void {
    const { journal, outbox } = this.#server;
    journal.persisted(writeId);
    outbox.release(journal.confirmedWrite);
    this.#role.persisted(this.#now);
    this.#countVotes();
  }

  /**
   * What keeps a message from being looked at. Requests are served whoever asks: a member may be
   * asked by one that it has not heard of yet, and who decides is the asker's log to say (thesis
   * 4.1). Answers count from members only; a removed peer's acknowledge, but raise no term.
   */
  #unwelcome(from: MemberId, message: RaftMessage): string | null {
    if (from === this.#server.self) return "from this server itself";
    const malformed = malformedMessage(message);
    if (malformed !== null) return malformed;
    if (!message.kind.endsWith("-reply") || this.#server.configuration.has(from)) return null;
    const isTold = this.#role.kind === "leader" && this.#role.tracks(from);
    return isTold && message.term <= this.term ? null : "the sender is not a member";
  }

  /** Says what is wrong with a message that, as things stand here, no correct peer sends. */
  #heard(from: MemberId, message: RaftMessage): string | null {
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
      case "timeout-now":
        return this.#toldToStand(from, message);
      case "read-request":
        return readAsked(this.#server, this.#role, from, message);
      case "read-reply":
        return readReplied(this.#server, message);
      default:
        return unreachable(message);
    }
  }

  /**
   * Any message of a later term ends ours (paper, section 5.1), but for some: whoever asks for a
   * pre-vote, or has been granted one, has not entered the term it names; while we hear a leader, a
   * candidate is a disturbance (paper, section 6), unless that leader has sent it; and what only a
   * leader of our own term is asked or says proves no other. A candidate in earnest says so by its
   * answer to the leader's next append.
   */
  #raisesTerm(message: RaftMessage): boolean {
    switch (message.kind) {
      case "vote-request":
        return !message.preVote && !this.#isLoyal(message);
      case "vote-reply":
        return !(message.preVote && message.granted);
      case "append-request":
      case "append-reply":
      case "read-reply":
        return true;
      case "timeout-now":
      case "read-request":
        return false;
      default:
        return unreachable(message);
    }
  }

  /** Whether we hear a leader, so that a candidate is refused that it has not sent itself. */
  #isLoyal({ transfer }: VoteRequest): boolean {
    return !transfer && this.#role.hearsLeader(this.#now);
  }

  #voteRequested(from: MemberId, request: VoteRequest): null {
    const { preVote } = request;
    const granted = !this.#isLoyal(request) && this.#server.wouldVoteFor(from, request);
    if (granted && !preVote) this.#voteFor(from);
    const term = granted ? request.term : this.term;
    this.#server.sendWhenDurable(from, { kind: "vote-reply", term, granted, preVote });
    return null;
  }

  /** Gives our vote; its candidate gets a whole timeout to win. Giving it again changes nothing. */
  #voteFor(candidate: MemberId): void {
    if (this.#server.votedFor === candidate) return;
    this.#server.voteFor(candidate);
    this.#becomeFollower(this.term, null);
  }

  #voteReplied(from: MemberId, reply: VoteReply): null {
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
    else if (outcome === "won" && role.kind === "candidate") this.#becomeLeader(role.votes);
    else if (outcome === "won") this.#becomeCandidate(false);
  }

  #appendRequested(from: MemberId, request: AppendRequest): string | null {
    if (request.term < this.term) return this.#refuseFormerLeader(from);
    if (this.#role.kind === "leader") return "a second leader in this term";
    if (this.#role.kind !== "follower") this.#becomeFollower(this.term, from);
    assert(this.#role.kind === "follower", "only a follower takes entries");
    return this.#role.appendRequested(this.#now, from, request);
  }

  /**
   * It learns of our term by the answer, and steps down. The answer says that and nothing else, no
   * round and no place in a log: by the time it comes, its reader may lead our term.
   *
   *   1. A leads term 2, its round 7 is slow on its way to us
   *   2. A is deposed, and elected again in term 4, with our vote
   *   3. its round 7 of term 2 comes: were it echoed, in term 4, A would take it for an answer to
   *      round 7 of term 4, which may not have begun, and serve a read that somebody has outdated
   */
  #refuseFormerLeader(from: MemberId): null {
    const nothing = { round: 0, matchIndex: NO_INDEX, conflict: null } as const;
    const reply = { kind: "append-reply", term: this.term, ...nothing } as const;
    this.#server.sendWhenDurable(from, this.#server.answer(reply));
    return null;
  }

  #appendReplied(from: MemberId, reply: AppendReply): string | null {
    if (this.#role.kind !== "leader" || reply.term !== this.term) return null;
    return this.#role.appendReplied(this.#now, from, reply);
  }

  /**
   * TimeoutNow (thesis 3.10). Obeyed at once and without a pre-vote, if it comes from the leader we
   * follow and we still have the log that it counts on; a learner never stands.
   */
  #toldToStand(from: MemberId, { term, lastIndex }: TimeoutNow): string | null {
    if (term !== this.term || from !== this.leader) return null;
    if (!this.#server.configuration.mayStand) return "a learner is told to stand";
    const isFit = this.#server.loss === 0 && !this.#server.disk.isExhausted(this.#now);
    if (isFit && this.termAt(lastIndex) === term) this.#becomeCandidate(true);
    return null;
  }

  #snapshotReceived({ from, term, round, snapshot }: EventOf<"snapshot-received">): string | null {
    if (from === this.#server.self) return "from this server itself";
    if (term < this.term) return this.#refuseFormerLeader(from);
    if (term > this.term) this.#becomeFollower(term, from);
    if (this.#role.kind === "leader") return "a second leader in this term";
    if (this.#role.kind !== "follower") this.#becomeFollower(this.term, from);
    assert(this.#role.kind === "follower", "only a follower takes a snapshot");
    return this.#role.snapshotReceived(this.#now, from, round, snapshot);
  }

  /**
   * In a later term nobody has our vote yet; in the same term our vote stands, whatever we were.
   * `leader` is only a hint for those who waited on us: a follower knows its leader by hearing it.
   */
  #becomeFollower(term: Term, leader: MemberId | null): void {
    if (term > this.term) this.#server.enterTerm(term, null);
    if (this.#role.kind === "leader") keepReaders(this.#server, this.#role, leader);
    this.#server.outbox.forgetRequests();
    this.#role = new Follower(this.#server, this.#now, null);
  }

  /** Asks whether an election could be won, before anyone is disturbed by one (thesis 9.6). */
  #becomePreCandidate(): void {
    assert(this.#server.mayStand, "only a voter with a whole log stands for election");
    this.#role = new PreCandidate(this.#server, this.#now);
    this.#countVotes();
  }

  /** Enters the next term and asks for votes; `transfer`: because its leader wants it so. */
  #becomeCandidate(transfer: boolean): void {
    this.#server.enterTerm((this.term + 1) as Term, this.#server.self);
    this.#role = new Candidate(this.#server, this.#now, transfer);
    this.#countVotes();
  }

  /** By votes, and by nothing else. */
  #becomeLeader(votes: Tally<"vote">): void {
    const leader = new Leader(this.#server, votes, this.#now);
    this.#role = leader;
    for (const read of this.#server.reads.takeAll()) leader.requestRead({ kind: "here", ...read });
  }

  /** Counts a message that has had no effect, if anything is wrong with it. */
  #drop(why: string | null): void {
    if (why === null) return;
    this.#dropped += 1;
    this.#lastDropped = why;
  }
}
