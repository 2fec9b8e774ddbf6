// The candidate and the pre-candidate (paper, section 5.2; thesis 9.6): one round of asking, with a
// tally of its own. Each round is a new object, so that no answer is counted in two rounds.

import { after, type Instant, type MemberId, type Term } from "../base/ids.ts";
import type { RaftMessage } from "./protocol.ts";
import type { Outcome } from "./quorum.ts";
import type { Server } from "./server.ts";
import { Tally } from "./tally.ts";

export type VoteReply = Extract<RaftMessage, { kind: "vote-reply" }>;

/** One round: asks every other voter, of both halves of a joint configuration. */
class Round<Kind extends "pre-vote" | "vote"> {
  readonly tally: Tally<Kind>;
  readonly #server: Server;
  /** The term asked for: a pre-candidate has not entered it. */
  readonly #askedTerm: Term;

  constructor(server: Server, kind: Kind, askedTerm: Term, transfer: boolean) {
    this.tally = new Tally(kind);
    this.#server = server;
    this.#askedTerm = askedTerm;
    const { lastIndex, lastTerm } = server.tail;
    for (const voter of server.configuration.otherVoters) {
      server.sendWhenDurable(voter, {
        kind: "vote-request",
        term: askedTerm,
        lastIndex,
        lastTerm,
        preVote: kind === "pre-vote",
        transfer,
      });
    }
  }

  get outcome(): Outcome {
    return this.tally.outcomeAmong(this.#server.membership);
  }

  /**
   * Counts a voter's answer. A grant names the round's term and stands. A refusal carries the
   * voter's own term, so that one may be left over from an earlier round: a grant that follows
   * replaces it.
   */
  voteReplied(from: MemberId, { term, granted, preVote }: VoteReply): void {
    if (preVote !== (this.tally.kind === "pre-vote")) return;
    // Until our own vote is durable nobody has been asked.
    if (!this.tally.hasGranted(this.#server.self)) return;
    if (granted && term === this.#askedTerm) {
      this.tally.granted(from);
    } else if (!granted && term <= this.#askedTerm) {
      this.tally.refused(from);
    }
  }
}

/** Asks whether an election could be won, before anyone is disturbed by one. */
export class PreCandidate {
  readonly kind = "pre-candidate";
  readonly leader = null;
  /** When to give up and ask anew. */
  readonly deadline: Instant;
  readonly #round: Round<"pre-vote">;

  /** Its own pre-vote promises nothing, so it counts at once. */
  constructor(server: Server, now: Instant) {
    this.deadline = after(now, server.drawElectionTimeout());
    this.#round = new Round(server, "pre-vote", (server.term + 1) as Term, false);
    this.#round.tally.granted(server.self);
  }

  get outcome(): Outcome {
    return this.#round.outcome;
  }

  voteReplied(from: MemberId, reply: VoteReply): void {
    this.#round.voteReplied(from, reply);
  }

  hearsLeader(): boolean {
    return false;
  }

  persisted(): void {}

  /** It has asked when it was made; there is nothing more to say. */
  flush(): void {}
}

export class Candidate {
  readonly kind = "candidate";
  readonly leader = null;
  readonly deadline: Instant;
  readonly #server: Server;
  readonly #round: Round<"vote">;

  /**
   * It has just entered its term and voted for itself: its requests are held until that is durable,
   * or after a crash it could stand in the same term once more.
   */
  constructor(server: Server, now: Instant, transfer: boolean) {
    this.#server = server;
    this.deadline = after(now, server.drawElectionTimeout());
    this.#round = new Round(server, "vote", server.term, transfer);
    this.persisted();
  }

  get outcome(): Outcome {
    return this.#round.outcome;
  }

  /** The votes themselves: what makes a leader. */
  get votes(): Tally<"vote"> {
    return this.#round.tally;
  }

  voteReplied(from: MemberId, reply: VoteReply): void {
    this.#round.voteReplied(from, reply);
  }

  hearsLeader(): boolean {
    return false;
  }

  /** Its own vote counts like any other: when it is durable. */
  persisted(): void {
    if (this.#server.journal.isHardStateDurable) this.#round.tally.granted(this.#server.self);
  }

  flush(): void {}
}
