// Serf's layer over the same members: what operators see (alive, leaving, left, failed), settled by
// what memberlist found out and by intents with a Lamport time, which come before or after it, or
// before the member itself is known. Owns status, marks, the buffer of early intents and the
// erasing of those long gone; not who is alive.

import { after, type Instant, type NodeId } from "../base/ids.ts";
import { LamportClock } from "./lamport.ts";
import type { LocalMember } from "./local-member.ts";
import type { JoinIntent, LamportTime, LeaveIntent, SerfState } from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import type {
  DropReason,
  GossipMember,
  GossipProfile,
  Happening,
  MemberStatus,
} from "./protocol.ts";
import type { IntentMark, Member, Roster } from "./roster.ts";
import type { Rumors } from "./rumors.ts";
import { decodeTags } from "./tags.ts";

/** Intents kept for members not known yet; beyond it the oldest is forgotten. */
export const EARLY_INTENTS_MAX = 1024;

export type Intent = JoinIntent | LeaveIntent;

/** Clocks that are told with ours: user events and queries have one each. */
export interface SerfClocks {
  readonly events: LamportClock;
  readonly queries: LamportClock;
}

interface EarlyIntent {
  readonly intent: Intent;
  readonly heardAt: Instant;
}

/** Positive when `a` stands against `b`: the later, and of two at one time the leave. */
export function compareMarks(a: IntentMark, b: IntentMark): number {
  if (a.time !== b.time) return a.time - b.time;
  return Number(a.kind === "leave-intent") - Number(b.kind === "leave-intent");
}

export class SerfMembers {
  readonly #profile: GossipProfile;
  readonly #self: LocalMember;
  readonly #roster: Roster;
  readonly #rumors: Rumors;
  readonly #outbox: Outbox;
  readonly #clock = new LamportClock();
  readonly #others: SerfClocks;
  readonly #early = new Map<NodeId, EarlyIntent>();
  #mark: IntentMark = { time: 0 as LamportTime, kind: "join-intent" };
  #status: MemberStatus = "alive";

  constructor(
    profile: GossipProfile,
    self: LocalMember,
    roster: Roster,
    rumors: Rumors,
    outbox: Outbox,
    others: SerfClocks,
  ) {
    this.#profile = profile;
    this.#self = self;
    this.#roster = roster;
    this.#rumors = rumors;
    this.#outbox = outbox;
    this.#others = others;
  }

  get time(): LamportTime {
    return this.#clock.time as LamportTime;
  }

  /** Our own status. */
  get status(): MemberStatus {
    return this.#status;
  }

  // What memberlist found out.

  /** A member is there: new, or back again. */
  joined(member: Member, isNew: boolean): void {
    member.status = "alive";
    this.#roster.setPruneAt(member, null);
    const early = isNew ? this.#early.get(member.node) : undefined;
    if (early !== undefined) {
      this.#early.delete(member.node);
      member.mark = early.intent;
      if (early.intent.kind === "leave-intent") member.status = "leaving";
    }
    this.#happened("join", member);
  }

  /**
   * A member is gone. It left if it said so, by an intent or by its own last word; otherwise it
   * failed. The last word may come after somebody else's verdict.
   */
  departed(member: Member): void {
    const hasLeft = member.status === "leaving" || member.state === "left";
    const status: MemberStatus = hasLeft ? "left" : "failed";
    if (member.status === status) return;
    member.status = status;
    this.#happened(hasLeft ? "leave" : "fail", member);
  }

  updated(member: Member): void {
    this.#happened("update", member);
  }

  // What members intend.

  heard(now: Instant, intent: Intent): DropReason | null {
    if (!this.#clock.maybeWitness(intent.time)) return "time-jump";
    if (intent.node === this.#self.node) this.#heardOfSelf(intent);
    else this.#heardOf(now, intent);
    return null;
  }

  /** Tells everybody that we are here; after a join, so that it outdates older departures. */
  announceJoin(): void {
    this.#announce("join-intent", this.#self.node, false);
  }

  /** Tells everybody that we are about to go. */
  announceLeave(): void {
    this.#status = "leaving";
    this.#announce("leave-intent", this.#self.node, false);
  }

  hasLeft(): void {
    this.#status = "left";
  }

  /** Declares `member` gone for good; it objects if it is not. */
  forceLeave(now: Instant, member: Member, prune: boolean): void {
    const intent = this.#announce("leave-intent", member.node, prune);
    this.#settle(now, member, intent);
  }

  /**
   * Our part of a push/pull, with recent user events; equal tables give equal states. Whoever is
   * leaving is told of among those who left: a leave is what the time beside his name belongs to,
   * and if he is not leaving, this is how he learns that somebody said so.
   */
  stateWith(slots: SerfState["events"]): SerfState {
    const marks = new Map<NodeId, LamportTime>([[this.#self.node, this.#mark.time]]);
    const left: NodeId[] = this.#status === "alive" ? [] : [this.#self.node];
    for (const { node, mark, status } of this.#roster.members) {
      marks.set(node, mark.time);
      if (status === "left" || status === "leaving") left.push(node);
    }
    const names = [...marks.keys()].sort();
    return {
      kind: "state",
      time: this.time,
      statusTimes: new Map(names.map((node) => [node, marks.get(node) as LamportTime])),
      left: left.sort(),
      eventTime: this.#others.events.time as LamportTime,
      events: slots,
      queryTime: this.#others.queries.time as LamportTime,
    };
  }

  /**
   * Takes in another's part of a push/pull. Stock agents add one to the time of those who left, so
   * that they beat the join intent which this very exchange makes of a departure; here a leave
   * beats a join of the same time, and nothing grows.
   */
  merge(now: Instant, state: SerfState): DropReason | null {
    if (!this.#witnessClocks(state)) return "time-jump";
    const left = new Set(state.left);
    for (const [node, time] of state.statusTimes) {
      const intent: Intent = left.has(node)
        ? { kind: "leave-intent", node, time, prune: false }
        : { kind: "join-intent", node, time };
      // A member nobody has spoken of yet has no time: nothing to learn from that.
      if (time > 0) this.heard(now, intent);
    }
    return null;
  }

  // What time does.

  get deadline(): Instant {
    let deadline = Number.MAX_SAFE_INTEGER;
    for (const member of this.#roster.departed) {
      deadline = Math.min(deadline, this.#erasedAt(member));
    }
    for (const { pruneAt } of this.#roster.condemned) {
      if (pruneAt !== null) deadline = Math.min(deadline, pruneAt);
    }
    const oldest = this.#early.values().next();
    if (oldest.done !== true) deadline = Math.min(deadline, this.#forgottenAt(oldest.value));
    return deadline as Instant;
  }

  timePassed(now: Instant): void {
    for (const member of [...this.#roster.condemned]) {
      if (member.pruneAt !== null && now >= member.pruneAt) this.#prune(now, member);
    }
    for (const member of [...this.#roster.departed]) {
      if (now >= this.#erasedAt(member)) this.#erase(member);
    }
    for (const [node, early] of this.#early) {
      if (now < this.#forgottenAt(early)) break;
      this.#early.delete(node);
    }
  }

  /** Long gone, with what we know of its status; the reaping interval only delays it. */
  #erasedAt({ changedAt, status }: Member): Instant {
    const { reconnectTimeout, tombstoneTimeout } = this.#profile;
    return after(changedAt, status === "failed" ? reconnectTimeout : tombstoneTimeout);
  }

  #forgottenAt({ heardAt }: EarlyIntent): Instant {
    return after(heardAt, this.#profile.recentIntentTimeout);
  }

  /** What was settled about it is still known for a while, lest an older rumor come round again. */
  #prune(now: Instant, member: Member): void {
    const { node, mark } = member;
    this.#remember(now, { kind: "leave-intent", node, time: mark.time, prune: true });
    this.#erase(member);
  }

  #erase(member: Member): void {
    this.#roster.erase(member);
    this.#happened("reap", member);
  }

  #announce(kind: Intent["kind"], node: NodeId, prune: boolean): Intent {
    const time = this.#clock.tick() as LamportTime;
    const intent: Intent =
      kind === "join-intent" ? { kind, node, time } : { kind, node, time, prune };
    if (node === this.#self.node) this.#mark = { kind, time };
    this.#rumors.tellIntent(intent);
    return intent;
  }

  /**
   * Somebody has heard something of us that is later than what we said. Perhaps that we are going,
   * which stock agents do not tell us in their push/pulls: we say again that we are here.
   */
  #heardOfSelf(intent: Intent): void {
    const isLater = compareMarks(intent, this.#mark) > 0;
    if (isLater && this.#status === "alive") this.announceJoin();
  }

  #heardOf(now: Instant, intent: Intent): void {
    const member = this.#roster.get(intent.node);
    if (member === null) {
      this.#keepEarly(now, intent);
      return;
    }
    if (compareMarks(intent, member.mark) <= 0) return;
    this.#rumors.tellIntent(intent);
    this.#settle(now, member, intent);
  }

  #settle(now: Instant, member: Member, intent: Intent): void {
    member.mark = { kind: intent.kind, time: intent.time };
    if (intent.kind === "join-intent") {
      if (member.status === "leaving") member.status = "alive";
      this.#roster.setPruneAt(member, null);
      return;
    }
    if (member.status === "alive") member.status = "leaving";
    if (member.status === "failed") {
      member.status = "left";
      this.#happened("leave", member);
    }
    if (!intent.prune) return;
    const { broadcastTimeout, leavePropagateDelay } = this.#profile;
    if (member.isPresent) {
      const at = after(after(now, broadcastTimeout), leavePropagateDelay);
      this.#roster.setPruneAt(member, at);
    } else this.#prune(now, member);
  }

  #keepEarly(now: Instant, intent: Intent): void {
    const known = this.#early.get(intent.node);
    if (known !== undefined && compareMarks(intent, known.intent) <= 0) return;
    this.#remember(now, intent);
    this.#rumors.tellIntent(intent);
  }

  #remember(now: Instant, intent: Intent): void {
    this.#early.delete(intent.node);
    if (this.#early.size >= EARLY_INTENTS_MAX) {
      const oldest = this.#early.keys().next();
      if (oldest.done !== true) this.#early.delete(oldest.value);
    }
    this.#early.set(intent.node, { intent, heardAt: now });
  }

  #witnessClocks({ time, eventTime, queryTime }: SerfState): boolean {
    const witness = (clock: LamportClock, next: LamportTime) =>
      next <= 1 || clock.maybeWitness(next - 1);
    const isCredible = witness(this.#clock, time);
    const { events, queries } = this.#others;
    return witness(events, eventTime) && witness(queries, queryTime) && isCredible;
  }

  #happened(kind: Happening["kind"], member: Member): void {
    this.#outbox.happened({ kind, member: showMember(member) });
  }
}

/** A member as operators know it; a fresh object. */
export function showMember(member: Member): GossipMember {
  const { node, status, announcement, standing } = member;
  const { address, meta, versions } = announcement;
  const { incarnation } = standing;
  return { node, address, tags: decodeTags(meta), status, incarnation, versions };
}
