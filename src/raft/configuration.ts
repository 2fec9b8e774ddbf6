// Which membership is in force (paper, section 6; thesis 4.1): the last one in the log, committed
// or not. Follows the log as it grows, is truncated, is committed and is replaced by a snapshot, so
// that a truncation brings back the membership before. Decides nothing about changes:
// membership-change.ts.

import { assert } from "../base/assert.ts";
import type { EntryHead } from "../base/entry.ts";
import type { LogIndex, MemberId } from "../base/ids.ts";
import { isJoint, isVoterIn, type Membership } from "../base/membership.ts";

interface Placed {
  readonly index: LogIndex;
  readonly membership: Membership;
}

export class Configuration {
  readonly #self: MemberId;
  #committed: Placed;
  /** Not known to be committed, ascending; the last one is in force. */
  #uncommitted: Placed[] = [];
  #effective: Placed;
  #isVoter: boolean;
  #mayStand: boolean;
  #told: Membership;

  /** `membership` is committed as of the place `index`. */
  constructor(self: MemberId, index: LogIndex, membership: Membership) {
    this.#self = self;
    this.#committed = { index, membership };
    this.#effective = this.#committed;
    this.#isVoter = isVoterIn(membership, self);
    this.#mayStand = this.#isVoter;
    this.#told = membership;
  }

  get effective(): Membership {
    return this.#effective.membership;
  }

  /** Where the log says the effective one, or where the log began. */
  get effectiveIndex(): LogIndex {
    return this.#effective.index;
  }

  get committed(): Membership {
    return this.#committed.membership;
  }

  /** Whether this server votes, in either half. */
  get isVoter(): boolean {
    return this.#isVoter;
  }

  /**
   * Whether this server may stand for election: also one that a later entry removes, as long as
   * that entry is not committed (thesis 4.2.2). It counts itself for nothing then, but it may be
   * the only one whose log can win:
   *
   *   1. A, leader of {A, B}, appends {B} and is cut off before anybody has the entry
   *   2. B stands, and A refuses it, for A's log is longer
   *   3. if A did not stand either, both would wait for ever
   */
  get mayStand(): boolean {
    return this.#mayStand;
  }

  /** Whether a change is under way: one that is not committed, or a joint one not left yet. */
  get isChanging(): boolean {
    return this.#uncommitted.length > 0 || isJoint(this.effective);
  }

  get isCommitted(): boolean {
    return this.#uncommitted.length === 0;
  }

  /** The membership in force, if it is another than the last time. */
  takeChange(): Membership | null {
    if (this.effective === this.#told) return null;
    this.#told = this.effective;
    return this.#told;
  }

  /** Every voter but this server, of both halves, once, ascending. */
  get otherVoters(): MemberId[] {
    const { members } = this.effective;
    return members
      .map(({ id }) => id)
      .filter((id) => id !== this.#self && isVoterIn(this.effective, id));
  }

  has(member: MemberId): boolean {
    return this.effective.members.some(({ id }) => id === member);
  }

  /** An entry has been put at the end of the log: a membership is in force from here on. */
  appended({ index, control }: EntryHead): void {
    if (control?.kind !== "membership") return;
    assert(index > this.#effective.index, "memberships follow one another in the log", index);
    this.#uncommitted.push({ index, membership: control.membership });
    this.#follow();
  }

  /** The entries from `from` on are gone: the membership before them is in force again. */
  truncated(from: LogIndex): void {
    if (this.#effective.index < from) return;
    assert(this.#committed.index < from, "a committed membership stays", from);
    this.#uncommitted = this.#uncommitted.filter(({ index }) => index < from);
    this.#follow();
  }

  /** Everything up to `commitIndex` is committed. */
  commitRose(commitIndex: LogIndex): void {
    while (this.#uncommitted.length > 0) {
      const first = this.#uncommitted[0] as Placed;
      if (first.index > commitIndex) return;
      this.#committed = first;
      this.#uncommitted.shift();
      this.#follow();
    }
  }

  /** The whole log is replaced by a snapshot at `index`. */
  installed(index: LogIndex, membership: Membership): void {
    this.#committed = { index, membership };
    this.#uncommitted = [];
    this.#follow();
  }

  #follow(): void {
    this.#effective = this.#uncommitted.at(-1) ?? this.#committed;
    this.#isVoter = isVoterIn(this.effective, this.#self);
    const votesIn = ({ membership }: Placed): boolean => isVoterIn(membership, this.#self);
    this.#mayStand = votesIn(this.#committed) || this.#uncommitted.some(votesIn);
  }
}
