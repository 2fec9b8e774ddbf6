// The candidate and the pre-candidate (paper, section 5.2; thesis 9.6): one round of asking, with a
// tally of its own. Each round is a new object, so that no answer is counted in two rounds.

import { after, type Instant, type NodeId, type Term } from "../base/ids.ts";
import type { RaftMessage } from "./protocol.ts";
import { electionOutcome, type Outcome } from "./quorum.ts";
import type { Server } from "./server.ts";

export type VoteReply = Extract<RaftMessage, { kind: "vote-reply" }>;

export class Candidate {
  readonly kind: "candidate" | "pre-candidate";
  readonly leader = null;
  /** When to give up and ask anew. */
  readonly deadline: Instant;
  readonly #server: Server;
  /** The term asked for: a pre-candidate has not entered it. */
  readonly #askedTerm: Term;
  readonly #granted = new Set<NodeId>();
  readonly #refused = new Set<NodeId>();

  /**
   * Asks every other voter. A candidate has just entered its term and voted for itself: its
   * requests are held until that is durable, or after a crash it could stand in the same term once
   * more.
   */
  constructor(server: Server, kind: "candidate" | "pre-candidate", now: Instant) {
    this.kind = kind;
    this.#server = server;
    this.deadline = after(now, server.drawElectionTimeout());
    const preVote = kind === "pre-candidate";
    this.#askedTerm = (preVote ? server.term + 1 : server.term) as Term;
    const { lastIndex, lastTerm } = server.tail;
    for (const voter of server.membership.voters) {
      if (voter === server.self) continue;
      server.sendWhenDurable(voter, {
        kind: "vote-request",
        term: this.#askedTerm,
        lastIndex,
        lastTerm,
        preVote,
      });
    }
    this.persisted();
  }

  get outcome(): Outcome {
    const voters = this.#server.membership.voters.length;
    return electionOutcome(voters, this.#granted.size, this.#refused.size);
  }

  /** Its own vote counts like any other: when it is durable. A pre-vote promises nothing. */
  persisted(): void {
    if (this.kind === "pre-candidate" || this.#server.journal.isHardStateDurable) {
      this.#granted.add(this.#server.self);
    }
  }

  /**
   * Counts a voter's answer. A grant names the round's term and stands. A refusal carries the
   * voter's own term, so that one may be left over from an earlier round: a grant that follows
   * replaces it.
   */
  voteReplied(from: NodeId, { term, granted, preVote }: VoteReply): void {
    if (preVote !== (this.kind === "pre-candidate")) return;
    // Until our own vote is durable nobody has been asked.
    if (!this.#granted.has(this.#server.self)) return;
    if (!this.#server.membership.voters.includes(from)) return;
    if (granted && term === this.#askedTerm) {
      this.#granted.add(from);
      this.#refused.delete(from);
    } else if (!granted && term <= this.#askedTerm && !this.#granted.has(from)) {
      this.#refused.add(from);
    }
  }

  hearsLeader(): boolean {
    return false;
  }

  /** It has asked when it was made; there is nothing more to say. */
  flush(): void {}
}
