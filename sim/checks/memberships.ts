// Every membership that a log ever said, and the rules of going from one to the next (paper,
// section 6; thesis 4.1 to 4.3): one change at a time, none before an entry of the leader's own
// term is committed, and every two majorities in a row overlap. A node must count by the last one
// of its log, committed or not. Owns these rules; whose votes and copies make a quorum is
// safety.ts.

import type { EntryHead } from "../../src/base/entry.ts";
import {
  type LogIndex,
  type MemberId,
  NO_INDEX,
  type NodeId,
  type Term,
} from "../../src/base/ids.ts";
import { isVoterIn, type Membership, nameOf } from "../../src/base/membership.ts";
import type { RaftStatus } from "../../src/raft/protocol.ts";
import type { CommittedLog } from "./committed-log.ts";
import type { Lineage } from "./lineage.ts";
import type { Report } from "./violation.ts";

/** A membership and the entry that says it. */
interface Placed {
  readonly index: LogIndex;
  readonly term: Term;
  readonly membership: Membership;
}

/** What a node was held against last. */
interface Held {
  readonly raft: RaftStatus;
  /** How many memberships were known then. */
  readonly known: number;
}

export class Memberships {
  readonly #lineage: Lineage;
  readonly #committed: CommittedLog;
  readonly #report: Report;
  readonly #placed: Placed[] = [];
  readonly #held = new Map<NodeId, Held>();

  constructor(lineage: Lineage, committed: CommittedLog, report: Report) {
    this.#lineage = lineage;
    this.#committed = committed;
    this.#report = report;
  }

  /** The last committed one; null before the first. */
  get committed(): Membership | null {
    const { lastIndex } = this.#committed;
    return this.#lastIn(lastIndex, this.#committed.at(lastIndex)?.term ?? null)?.membership ?? null;
  }

  get haveChanged(): boolean {
    return this.#placed.length > 1;
  }

  /**
   * An entry was seen for the first time, with `leader` as what its node said of itself last, where
   * that leads the entry's term.
   */
  saw(head: EntryHead, node: NodeId, leader: RaftStatus | null): void {
    const { control, index, term } = head;
    if (control?.kind !== "membership") return;
    const { membership } = control;
    const before = index === 1 ? null : this.#lastIn((index - 1) as LogIndex, head.prevTerm);
    this.#placed.push({ index, term, membership });
    if (before === null) return;
    const [was, is] = [placeOf(before), `${index}@${term} ${describeMembership(membership)}`];
    const broken = brokenStep(before.membership, membership);
    if (broken !== null) {
      const first = `the log of term ${term} has the membership ${was}`;
      const facts = [first, `${node} goes on with ${is}: ${broken}`] as const;
      this.#report({ property: "majorities-overlap", facts, node });
    }
    if (leader === null) return;
    const { commitIndex } = leader;
    if (before.index > commitIndex) {
      const first = `${node} has committed all up to index ${commitIndex}, and not ${was}`;
      this.#report({ property: "one-change", facts: [first, `it appends ${is}`], node });
    } else if (this.#lineage.termAt(commitIndex, term) !== term) {
      const first = `${node} has committed all up to index ${commitIndex}, nothing of term ${term}`;
      this.#report({ property: "one-change", facts: [first, `it appends ${is}`], node });
    }
  }

  /** A node says what it counts by. */
  observe(node: NodeId, raft: RaftStatus): void {
    const held = this.#held.get(node);
    const known = this.#placed.length;
    // PERF: it can only be another one when something of this is.
    if (held?.known === known && held.raft.membership === raft.membership) {
      if (held.raft.lastTerm === raft.lastTerm && held.raft.lastIndex <= raft.lastIndex) return;
    }
    // What it has just appended may be such an entry, and nobody has seen it yet.
    const { lastIndex, lastTerm } = raft;
    if (lastIndex > 0 && this.#lineage.find(lastIndex, lastTerm) === null) return;
    this.#held.set(node, { raft, known });
    const last = this.#lastIn(lastIndex, lastTerm);
    if (last === null || isSame(last.membership, raft.membership)) return;
    const first = `the log of ${node} up to ${lastIndex}@${lastTerm} says ${placeOf(last)}`;
    const facts = [first, `it counts by ${describeMembership(raft.membership)}`] as const;
    this.#report({ property: "membership-in-force", facts, node });
  }

  /** A node leads that did not before. */
  elected(node: NodeId, raft: RaftStatus): void {
    const { self, term, membership, committedMembership } = raft;
    // Whom only an uncommitted entry removes may be the only one that can win (thesis 4.2.2); after
    // a restart a node knows of none that it is committed.
    if (isVoterIn(membership, self) || isVoterIn(committedMembership, self)) return;
    if (this.#placed.some((placed) => mayBeUncommitted(placed, raft))) return;
    const first = `${node} leads term ${term}`;
    const second = `it votes neither in ${describeMembership(membership)} nor in what it has committed`;
    this.#report({ property: "leader-votes", facts: [first, second], node });
  }

  wentDown(node: NodeId): void {
    this.#held.delete(node);
  }

  /** The last membership of a log that ends so; null where none is known. */
  #lastIn(lastIndex: LogIndex, lastTerm: Term | null): Placed | null {
    if (lastTerm === null || lastIndex === NO_INDEX) return null;
    let found: Placed | null = null;
    for (const placed of this.#placed) {
      if (placed.index > lastIndex || placed.index <= (found?.index ?? 0)) continue;
      if (this.#lineage.termAt(placed.index, lastTerm) === placed.term) found = placed;
    }
    return found;
  }
}

function isSame(one: Membership, other: Membership): boolean {
  return one === other || describeMembership(one) === describeMembership(other);
}

/** What is wrong with going from one membership to the next; null when two majorities overlap. */
function brokenStep(before: Membership, next: Membership): string | null {
  const isJoint = next.outgoing.length > 0;
  if (before.outgoing.length > 0) {
    if (isJoint) return "a joint one is left before another one is entered";
    return isEqual(next.voters, before.voters) ? null : "it is not what the joint one leads to";
  }
  if (isJoint)
    return isEqual(next.outgoing, before.voters) ? null : "it does not join on to those before";
  const entered = next.voters.filter((id) => !before.voters.includes(id));
  const left = before.voters.filter((id) => !next.voters.includes(id));
  return entered.length + left.length > 1 ? "they differ by more than one voter" : null;
}

function isEqual(one: readonly MemberId[], other: readonly MemberId[]): boolean {
  return one.length === other.length && one.every((id, at) => id === other[at]);
}

function placeOf({ index, term, membership }: Placed): string {
  return `${index}@${term} ${describeMembership(membership)}`;
}

/** `{n0 n1 n2}`, `{n0 n1}&{n0 n2} n3 learns`; of an instance the first digits. */
export function describeMembership(membership: Membership): string {
  const { voters, outgoing, learners, learnersNext } = membership;
  const names = (ids: readonly MemberId[]) => ids.map(shortOf).join(" ");
  const joint = outgoing.length === 0 ? "" : `&{${names(outgoing)}}`;
  const learning = [...learners, ...learnersNext];
  return `{${names(voters)}}${joint}${learning.length === 0 ? "" : ` ${names(learning)} learns`}`;
}

function shortOf(id: MemberId): string {
  return id === (nameOf(id) as string) ? id : id.slice(0, nameOf(id).length + 5);
}

/** Whether a log may have this membership, in which its node votes, beyond its commit index. */
function mayBeUncommitted({ index, membership }: Placed, raft: RaftStatus): boolean {
  const isThere = index > raft.commitIndex && index <= raft.lastIndex;
  return isThere && isVoterIn(membership, raft.self);
}
