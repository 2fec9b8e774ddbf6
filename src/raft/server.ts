// What a server has whatever its role (paper, Figure 2, "State"): hard state, log, commit index,
// and the ways out to disk and peers. Roles come and go on top of it; the rules of each role are in
// its file.

import { assert } from "../base/assert.ts";
import type { Entry } from "../base/entry.ts";
import type { LogIndex, Micros, NodeId, Term } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import { Journal } from "./journal.ts";
import { LogTail } from "./log-tail.ts";
import { Outbox } from "./outbox.ts";
import type { Membership, RaftMessage, RaftOptions, RaftRestored } from "./protocol.ts";

export class Server {
  readonly options: RaftOptions;
  readonly self: NodeId;
  readonly membership: Membership;
  /** Every member but this server, voters first. */
  readonly peers: readonly NodeId[];
  readonly isVoter: boolean;
  readonly tail: LogTail;
  readonly journal: Journal;
  readonly outbox = new Outbox();
  readonly #electionTimeouts: Prng;
  // Invariant: never goes back, never passes tail.lastIndex.
  #commitIndex: LogIndex;

  constructor(options: RaftOptions, restored: RaftRestored) {
    const { self, electionTimeoutMin, electionTimeoutMax } = options;
    assert(electionTimeoutMin < electionTimeoutMax, "an election timeout is drawn from [min, max)");
    assert(options.heartbeatInterval < electionTimeoutMin, "heartbeats must outpace elections");
    assert(options.appendsInFlightMax >= 1, "at least one append must fit in flight");
    const { voters, learners } = restored.membership;
    this.options = options;
    this.self = self;
    this.membership = restored.membership;
    this.peers = [...voters, ...learners].filter((member) => member !== self);
    this.isVoter = voters.includes(self);
    this.tail = new LogTail(restored);
    this.journal = new Journal(restored.hardState, this.tail.lastIndex);
    this.#commitIndex = restored.base.index;
    this.#electionTimeouts = options.prng.fork("raft.election");
    assert(restored.hardState.term >= this.tail.lastTerm, "the log is newer than the hard state");
  }

  get term(): Term {
    return this.journal.hardState.term;
  }

  get votedFor(): NodeId | null {
    return this.journal.hardState.votedFor;
  }

  get commitIndex(): LogIndex {
    return this.#commitIndex;
  }

  /** Enters a later term, with no vote given yet or with the candidate's own. */
  enterTerm(term: Term, votedFor: NodeId | null): void {
    assert(term > this.term, "a term is entered once", term, this.term);
    this.journal.setHardState({ term, votedFor });
    this.outbox.forgetHeld();
  }

  voteFor(candidate: NodeId): void {
    this.journal.setHardState({ term: this.term, votedFor: candidate });
  }

  append(entry: Entry): void {
    this.tail.append(entry);
    this.journal.append(entry);
  }

  /** Drops the entries from `from` on, for those of a leader that has others there. */
  truncate(from: LogIndex): void {
    assert(from > this.#commitIndex, "a committed entry is never truncated", from);
    this.tail.truncate(from);
    this.journal.truncate(from);
  }

  /** Raises the commit index to `index`; a lower one changes nothing. Says whether it rose. */
  maybeCommit(index: LogIndex): boolean {
    if (index <= this.#commitIndex) return false;
    assert(index <= this.tail.lastIndex, "the commit index stays inside the log", index);
    this.#commitIndex = index;
    this.tail.committed(index);
    return true;
  }

  /** Sends what speaks for the present term and vote: once they are durable, and not before. */
  sendWhenDurable(to: NodeId, message: RaftMessage): void {
    if (this.journal.isHardStateDurable) this.outbox.send({ kind: "message", to, message });
    else this.outbox.hold(to, message, this.journal.hardStateWrite);
  }

  /** A timeout in [electionTimeoutMin, electionTimeoutMax), from a stream of its own. */
  drawElectionTimeout(): Micros {
    const { electionTimeoutMin, electionTimeoutMax } = this.options;
    return this.#electionTimeouts.between(electionTimeoutMin, electionTimeoutMax - 1) as Micros;
  }
}
