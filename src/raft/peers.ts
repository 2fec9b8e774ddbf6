// Everybody the leader replicates to: the members of the configuration in force but itself, and for
// a while those it has removed, so that they learn of it. Owns who is in the table, and what a
// quorum of the voters has reached; how far each one is, is in progress.ts.

import { assert } from "../base/assert.ts";
import { after, type Instant, type LogIndex, type MemberId } from "../base/ids.ts";
import type { Member } from "../base/membership.ts";
import type { Mend } from "./mending.ts";
import { Progress } from "./progress.ts";
import type { MembershipTarget, PeerStatus } from "./protocol.ts";
import { majorityOf, reachedByQuorum } from "./quorum.ts";
import type { Server } from "./server.ts";

export class Peers {
  readonly #server: Server;
  readonly #progress = new Map<MemberId, Progress>();
  /** Removed members, with the instant until which they are still told; null: not committed yet. */
  readonly #departing = new Map<MemberId, Instant | null>();

  /** Invariant: every voter but the leader is in the table. */
  constructor(server: Server, nextIndex: LogIndex, now: Instant) {
    this.#server = server;
    this.follow(nextIndex, now);
  }

  get size(): number {
    return this.#progress.size;
  }

  [Symbol.iterator](): IterableIterator<Progress> {
    return this.#progress.values();
  }

  get(peer: MemberId): Progress | undefined {
    return this.#progress.get(peer);
  }

  /** `before` itself where nothing in it has changed. */
  status(before: readonly PeerStatus[]): readonly PeerStatus[] {
    const { tail } = this.#server;
    let at = 0;
    for (const peer of this.#progress.values()) {
      const last = before[at];
      if (last === undefined || !peer.isStill(last, tail)) break;
      at++;
    }
    if (at === before.length && at === this.#progress.size) return before;
    return [...this.#progress.values()].map((peer) => peer.status(tail));
  }

  /**
   * The configuration has changed: newcomers are asked first after `nextIndex` - 1, members that
   * are no longer depart, and who comes back has never left.
   */
  follow(nextIndex: LogIndex, now: Instant): void {
    const { membership, self, options } = this.#server;
    const members = new Set(membership.members.map(({ id }) => id));
    for (const id of members) {
      this.#departing.delete(id);
      if (id === self || this.#progress.has(id)) continue;
      this.#progress.set(id, new Progress(id, nextIndex, now, options));
    }
    for (const id of this.#progress.keys()) {
      if (!members.has(id) && !this.#departing.has(id)) this.#departing.set(id, null);
    }
  }

  /** The configuration is committed: the removed ones are told so for electionTimeoutMax more. */
  removalCommitted(now: Instant): void {
    const until = after(now, this.#server.options.electionTimeoutMax);
    for (const [id, known] of this.#departing) if (known === null) this.#departing.set(id, until);
  }

  /** Forgets the removed ones that have had their time. */
  timePassed(now: Instant): void {
    for (const [id, until] of this.#departing) {
      if (until === null || now < until) continue;
      this.#departing.delete(id);
      this.#progress.delete(id);
    }
  }

  /**
   * `own` and each other voter's value, as far as a quorum has come, in a joint configuration of
   * each half. Learners and removed ones count for nothing; nor does a leader that is no voter, nor
   * who mends its log.
   */
  reachedByQuorum(own: number, reachedBy: (peer: Progress) => number): number {
    const { self, membership } = this.#server;
    return reachedByQuorum(membership, (voter) => {
      if (voter === self) return own;
      const peer = this.#progress.get(voter);
      assert(peer !== undefined, "a leader knows every voter", voter);
      return peer.isMending ? 0 : reachedBy(peer);
    });
  }

  /** The last index that a quorum holds durably, `own` being ours. */
  heldByQuorum(own: LogIndex): LogIndex {
    return this.reachedByQuorum(own, matchIndexOf) as LogIndex;
  }

  /** What `peer` is to be told to be whole again; null as long as it would be counted for it. */
  mendOf(peer: Progress): Mend | null {
    if (!peer.isMending) return null;
    return this.heldByQuorum(this.#server.journal.durableIndex) >= peer.mend.index
      ? peer.mend
      : null;
  }

  /** Whether anybody else could lead; of a joint configuration, among those that stay. */
  get hasVoters(): boolean {
    return this.#server.membership.voters.some((voter) => this.mayLead(voter));
  }

  /** Whether that other server, a voter, could lead: it does not mend its log. */
  mayLead(voter: MemberId): boolean {
    const peer = this.#progress.get(voter);
    return peer !== undefined && !peer.isMending;
  }

  /** Whether it has been heard so recently that it can be counted on to answer. */
  answers(now: Instant, id: MemberId): boolean {
    const peer = this.#progress.get(id);
    return peer !== undefined && this.#isHeard(now, peer);
  }

  #isHeard(now: Instant, { contactAt }: Progress): boolean {
    return now < after(contactAt, this.#server.options.electionTimeoutMin);
  }

  /**
   * The voter whose log is the longest of those that answer, of all when none does; the first of
   * several; null when there is no other. Of a joint configuration only those that stay are
   * considered.
   */
  mostCaughtUp(now: Instant): MemberId | null {
    let best: Progress | null = null;
    for (const voter of this.#server.membership.voters) {
      const peer = this.#progress.get(voter);
      if (peer === undefined || peer.isMending) continue;
      if (best === null || this.#isFitter(now, peer, best)) best = peer;
    }
    return best?.peer ?? null;
  }

  #isFitter(now: Instant, one: Progress, other: Progress): boolean {
    const isHeard = this.#isHeard(now, one);
    if (isHeard !== this.#isHeard(now, other)) return isHeard;
    return one.matchIndex > other.matchIndex;
  }

  /** The first learner that is to vote and lacks more than one append of what is committed. */
  learnerBehind(now: Instant, { voters }: MembershipTarget): string | null {
    const { membership, commitIndex } = this.#server;
    for (const { id } of voters) {
      const peer = membership.learners.includes(id) ? this.#progress.get(id) : undefined;
      if (peer === undefined || this.#isCaughtUp(now, peer)) continue;
      return `${id} has ${peer.matchIndex} of ${commitIndex} committed entries`;
    }
    return null;
  }

  /**
   * The first of these voters that mends its log, where they could decide nothing without it: the
   * change could neither be committed nor taken back, and nobody would ever tell it that it is
   * whole.
   */
  menderNeeded(voters: readonly Member[]): string | null {
    const menders = voters.filter(({ id }) => this.#progress.get(id)?.isMending === true);
    const first = menders[0];
    if (first === undefined || voters.length - menders.length >= majorityOf(voters.length)) {
      return null;
    }
    return `${first.id} mends its log, and nothing could be decided without it`;
  }

  /**
   * Thesis 4.2.1 counts rounds of replication; here a learner is caught up when it is alive and
   * what it lacks of the committed log fits into one append.
   */
  #isCaughtUp(now: Instant, peer: Progress): boolean {
    const { tail, commitIndex, options } = this.#server;
    if (!this.#isHeard(now, peer)) return false;
    if (peer.isMending || peer.mode !== "replicate" || !tail.isRecent(peer.matchIndex))
      return false;
    return tail.bytesBetween(peer.matchIndex, commitIndex) <= options.appendBytesMax;
  }
}

const matchIndexOf = (peer: Progress): LogIndex => peer.matchIndex;
