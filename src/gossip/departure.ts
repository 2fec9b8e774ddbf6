// Going in good order: first the intent, until it has been told or time is up, then our own last
// word, likewise, then a while in which we still answer, then silence. Owns the order and the
// waiting; what is said is serf-members.ts and membership.ts. Only who has lost his name goes at
// once.

import { after, type Instant, type Micros, NEVER } from "../base/ids.ts";
import type { LocalMember } from "./local-member.ts";
import type { Membership } from "./membership.ts";
import type { Outbox } from "./outbox.ts";
import type { GossipProfile, GossipRequestId } from "./protocol.ts";
import type { Roster } from "./roster.ts";
import type { Rumors } from "./rumors.ts";
import type { SerfMembers } from "./serf-members.ts";

/** Requests that wait for the departure at once. */
export const LEAVE_REQUESTS_MAX = 16;

type Phase = "staying" | "telling-intent" | "saying-goodbye" | "lingering" | "gone";

export class Departure {
  readonly #profile: GossipProfile;
  readonly #self: LocalMember;
  readonly #roster: Roster;
  readonly #rumors: Rumors;
  readonly #membership: Membership;
  readonly #serf: SerfMembers;
  readonly #outbox: Outbox;
  #phase: Phase = "staying";
  #deadline: Instant = NEVER;
  #waiting: GossipRequestId[] = [];

  constructor(parts: {
    readonly profile: GossipProfile;
    readonly self: LocalMember;
    readonly roster: Roster;
    readonly rumors: Rumors;
    readonly membership: Membership;
    readonly serf: SerfMembers;
    readonly outbox: Outbox;
  }) {
    this.#profile = parts.profile;
    this.#self = parts.self;
    this.#roster = parts.roster;
    this.#rumors = parts.rumors;
    this.#membership = parts.membership;
    this.#serf = parts.serf;
    this.#outbox = parts.outbox;
  }

  get state(): "running" | "leaving" | "left" {
    if (this.#phase === "staying") return "running";
    return this.#phase === "gone" ? "left" : "leaving";
  }

  get deadline(): Instant {
    return this.#deadline;
  }

  /** Begins, or joins those who wait already. */
  request(now: Instant, requestId: GossipRequestId): void {
    if (this.#phase === "gone") {
      this.#outbox.answer({ kind: "done", requestId });
      return;
    }
    if (this.#waiting.length >= LEAVE_REQUESTS_MAX) {
      this.#outbox.answer({ kind: "refused", requestId, why: "overloaded" });
      return;
    }
    this.#waiting.push(requestId);
    if (this.#phase !== "staying") return;
    this.#serf.announceLeave();
    this.#enter(now, "telling-intent", this.#profile.broadcastTimeout);
  }

  /**
   * Goes on as soon as what was to be told has been told, or nobody is there to be told; true when
   * that was the end.
   */
  maybeEnd(now: Instant): boolean {
    const { node } = this.#self;
    if (
      this.#phase === "telling-intent" &&
      !this.#mustWait(now, this.#rumors.isTellingIntent(node))
    ) {
      this.#membership.sayGoodbye();
      this.#enter(now, "saying-goodbye", this.#profile.broadcastTimeout);
    }
    if (this.#phase === "saying-goodbye" && !this.#mustWait(now, this.#rumors.isTelling(node))) {
      this.#serf.hasLeft();
      const isAlone = this.#roster.presentCount === 0;
      const { leavePropagateDelay } = this.#profile;
      this.#enter(now, "lingering", isAlone ? (0 as Micros) : leavePropagateDelay);
    }
    if (this.#phase !== "lingering" || now < this.#deadline) return false;
    this.#end();
    return true;
  }

  /**
   * At once and without a word: our name is somebody else's, and what we say of it would be his.
   */
  fallSilent(): void {
    this.#serf.hasLeft();
    this.#end();
  }

  #mustWait(now: Instant, isTelling: boolean): boolean {
    return isTelling && now < this.#deadline && this.#roster.presentCount > 0;
  }

  #enter(now: Instant, phase: Phase, patience: Micros): void {
    this.#phase = phase;
    this.#deadline = after(now, patience);
  }

  #end(): void {
    this.#phase = "gone";
    this.#deadline = NEVER;
    for (const requestId of this.#waiting) this.#outbox.answer({ kind: "done", requestId });
    this.#waiting = [];
  }
}
