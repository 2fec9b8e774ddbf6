// The other members we know of, whatever became of them, and how to pick among them: the table, the
// probe order, random choice. Bounded. Owns who is in it; what is believed of each is decided by
// membership.ts and serf-members.ts, which write to it.

import { assert } from "../base/assert.ts";
import { after, type Instant, type Micros, type NodeId } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import type { Announcement, Belief, Standing } from "./claims.ts";
import type { Coordinate } from "./coordinate.ts";
import type { LamportTime, MemberState } from "./messages.ts";
import { ProbeOrder } from "./probe-order.ts";
import type { MemberStatus } from "./protocol.ts";
import type { Suspicion } from "./suspicion.ts";

/** What an intent of Serf's has settled: the later time stands, at equal times the leave. */
export interface IntentMark {
  readonly time: LamportTime;
  readonly kind: "join-intent" | "leave-intent";
}

/** One other member. Its fields are written by the layer that owns them. */
export class Member {
  readonly node: NodeId;
  /** Memberlist's: what is believed, since when in this state, and the suspicion that runs. */
  belief: Belief;
  changedAt: Instant;
  suspicion: Suspicion | null = null;
  /** Serf's: what operators see, by which intent, and when it shall be erased for good. */
  status: MemberStatus = "alive";
  mark: IntentMark = { time: 0 as LamportTime, kind: "join-intent" };
  pruneAt: Instant | null = null;
  /** Where it says it is, and the round trips that were last measured: coordinates.ts. */
  coordinate: Coordinate | null = null;
  readonly latencies: Micros[] = [];

  constructor(node: NodeId, belief: Belief, now: Instant) {
    this.node = node;
    this.belief = belief;
    this.changedAt = now;
  }

  get state(): MemberState {
    return this.belief.standing.state;
  }

  get standing(): Standing {
    return this.belief.standing;
  }

  get announcement(): Announcement {
    return this.belief.announcement;
  }

  /** Alive as far as we know, perhaps suspected. */
  get isPresent(): boolean {
    return this.state === "alive" || this.state === "suspect";
  }
}

export class Roster {
  readonly #members = new Map<NodeId, Member>();
  readonly #departed = new Set<Member>();
  readonly #suspected = new Set<Member>();
  readonly #condemned = new Set<Member>();
  readonly #order: ProbeOrder;
  readonly #targets: Prng;
  readonly #countMax: number;
  readonly #gossipToTheDead: Micros;

  constructor(countMax: number, gossipToTheDead: Micros, prng: Prng) {
    this.#countMax = countMax;
    this.#gossipToTheDead = gossipToTheDead;
    this.#order = new ProbeOrder(prng.fork("gossip.probe-order"));
    this.#targets = prng.fork("gossip.targets");
  }

  get(node: NodeId): Member | null {
    return this.#members.get(node) ?? null;
  }

  /** In the order in which we met them. */
  get members(): Iterable<Member> {
    return this.#members.values();
  }

  get size(): number {
    return this.#members.size;
  }

  get presentCount(): number {
    return this.#members.size - this.#departed.size;
  }

  get departed(): Iterable<Member> {
    return this.#departed;
  }

  get suspected(): Iterable<Member> {
    return this.#suspected;
  }

  /** Who shall be erased for good at their pruneAt. */
  get condemned(): Iterable<Member> {
    return this.#condemned;
  }

  /** Null: `member` is not erased after all. */
  setPruneAt(member: Member, at: Instant | null): void {
    member.pruneAt = at;
    if (at === null) this.#condemned.delete(member);
    else this.#condemned.add(member);
  }

  /**
   * How many members the formulas count: ourselves, those present, and those who departed so
   * lately that rumors still go to them.
   */
  countedAt(now: Instant): number {
    let count = 1 + this.presentCount;
    for (const member of this.#departed) if (this.#isLatelyDeparted(now, member)) count += 1;
    return count;
  }

  /** Takes in a new, present member; null when there is no room, nor one to be made. */
  maybeAdd(node: NodeId, belief: Belief, now: Instant): Member | null {
    assert(!this.#members.has(node), "a member is added once", node);
    if (this.#members.size >= this.#countMax && !this.#maybeForgetOne(now)) return null;
    const member = new Member(node, belief, now);
    this.#members.set(node, member);
    this.#order.insert(node);
    return member;
  }

  erase(member: Member): void {
    this.#members.delete(member.node);
    this.#departed.delete(member);
    this.#suspected.delete(member);
    this.#condemned.delete(member);
    this.#order.remove(member.node);
  }

  /** Keeps the books after `member` has changed from `before` to what it is now. */
  stateChanged(member: Member, before: MemberState, now: Instant): void {
    member.changedAt = now;
    const wasPresent = before === "alive" || before === "suspect";
    if (member.state === "suspect") this.#suspected.add(member);
    else this.#suspected.delete(member);
    if (member.isPresent === wasPresent) return;
    if (member.isPresent) {
      this.#departed.delete(member);
      this.#order.insert(member.node);
    } else {
      this.#departed.add(member);
      this.#order.remove(member.node);
    }
  }

  /** Who is probed next; null when nobody is there. */
  nextToProbe(): Member | null {
    const node = this.#order.take(() => true);
    return node === null ? null : this.get(node as NodeId);
  }

  /** Up to `count` members that `isWanted`, each as likely as any other. */
  pick(count: number, isWanted: (member: Member) => boolean): Member[] {
    const eligible: Member[] = [];
    for (const member of this.#members.values()) if (isWanted(member)) eligible.push(member);
    const picked = Math.min(count, eligible.length);
    for (let at = 0; at < picked; at++) {
      const other = at + this.#targets.below(eligible.length - at);
      const drawn = eligible[other] as Member;
      eligible[other] = eligible[at] as Member;
      eligible[at] = drawn;
    }
    return eligible.slice(0, picked);
  }

  /** Whether rumors go to `member`: to the present, and to the lately dead, who may object. */
  isGossipTarget(now: Instant, member: Member): boolean {
    if (member.isPresent) return true;
    return member.state === "dead" && this.#isLatelyDeparted(now, member);
  }

  #isLatelyDeparted(now: Instant, member: Member): boolean {
    return now < after(member.changedAt, this.#gossipToTheDead);
  }

  /** Makes room by the member that departed first, if that was long ago. */
  #maybeForgetOne(now: Instant): boolean {
    let first: Member | null = null;
    for (const member of this.#departed) {
      if (first === null || member.changedAt < first.changedAt) first = member;
    }
    if (first === null || this.#isLatelyDeparted(now, first)) return false;
    this.erase(first);
    return true;
  }
}
