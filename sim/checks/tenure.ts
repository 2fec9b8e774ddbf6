// How long a leader may go on with what must end: a transfer of its leadership, which completes or
// is given up within an election timeout, and leading a cluster that it is no voter of. Owns these
// bounds; what a transfer must not break is everybody's.

import type { Instant, NodeId } from "../../src/base/ids.ts";
import { isVoterIn } from "../../src/base/membership.ts";
import type { RaftStatus } from "../../src/raft/protocol.ts";
import type { Computer } from "../observer.ts";
import type { Plan } from "../plan.ts";
import { describeMembership } from "./memberships.ts";
import type { Report } from "./violation.ts";

/** Since when a node has been at it; null while it is not. */
interface Terms {
  term: number;
  transferTo: string | null;
  transferSince: Instant;
  removedSince: Instant | null;
}

export class Tenure {
  readonly #report: Report;
  /** Twice what the node allows itself: clocks run slow, and mail waits. */
  readonly #patience: number;
  readonly #terms = new Map<NodeId, Terms>();

  constructor({ options }: Plan, report: Report) {
    this.#report = report;
    this.#patience = options.electionTimeoutMaxMs * 2000;
  }

  wentDown(node: NodeId): void {
    this.#terms.delete(node);
  }

  /** It has had no time while it stood still. */
  resumed(node: NodeId, now: Instant): void {
    const terms = this.#terms.get(node);
    if (terms === undefined) return;
    terms.transferSince = now;
    if (terms.removedSince !== null) terms.removedSince = now;
  }

  afterTurn({ name, raft }: Computer, now: Instant): void {
    if (raft === null || raft.role !== "leader") {
      this.#terms.delete(name);
      return;
    }
    const terms = this.#of(name, raft, now);
    if (raft.transferTo !== terms.transferTo) {
      terms.transferTo = raft.transferTo;
      terms.transferSince = now;
    }
    const { committedMembership, membership, self, term } = raft;
    // After a restart it may know of an older one to be committed than is.
    const isVoter = isVoterIn(committedMembership, self) || isVoterIn(membership, self);
    if (isVoter) terms.removedSince = null;
    else terms.removedSince ??= now;
    if (terms.transferTo !== null && now - terms.transferSince > this.#patience) {
      const first = `${name} has been handing term ${term} over to ${terms.transferTo} for ${now - terms.transferSince} us`;
      const facts = [first, `${this.#patience} us are enough to do it or to give it up`] as const;
      this.#report({ property: "transfer-ends", facts, node: name });
    }
    if (terms.removedSince !== null && now - terms.removedSince > this.#patience) {
      const first = `${name} has committed ${describeMembership(committedMembership)}, in which it does not vote`;
      const facts = [first, `it still leads ${now - terms.removedSince} us later`] as const;
      this.#report({ property: "removed-leader-leaves", facts, node: name });
    }
  }

  #of(name: NodeId, { term }: RaftStatus, now: Instant): Terms {
    const known = this.#terms.get(name);
    if (known?.term === term) return known;
    const terms = { term, transferTo: null, transferSince: now, removedSince: null };
    this.#terms.set(name, terms);
    return terms;
  }
}
