// Changes of the membership, from what an operator asks to Raft's proposals: who is meant (a name
// is resolved to the instance that answers at its address), which step comes next, and when it is
// to be tried again. One change is under way at a time; each step is planned anew from the
// membership in force, so that a leader that takes over goes on where the one before stopped. A
// member that was wiped is swapped for the instance that answers in its place
// (docs/decisions/0015). Owns no rule of consensus: Raft refuses what cannot be.

import type { Answer, ClientRequest } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import {
  after,
  earlier,
  type Instant,
  type MemberId,
  type Micros,
  millis,
  NEVER,
  type NodeId,
  type RequestId,
} from "../base/ids.ts";
import { isJoint, type Membership, NO_MEMBERS, nameOf } from "../base/membership.ts";
import { takeAll } from "../base/taking.ts";
import type { MembershipTarget, RaftEvent, TransferVerdict, Verdict } from "../raft/protocol.ts";
import { type Change, isOtherInstance, planChange } from "./change-plan.ts";
import type { Greeting } from "./links.ts";
import type { MemberAddress } from "./protocol.ts";

/** Tried again after so long, while it cannot be yet. */
const RETRY: Micros = millis(100);
/** A change that does not get further for so long is refused with what it waits for. */
const PATIENCE: Micros = millis(30_000);
/** Nobody answers at an address: that is known sooner. */
const GREETING_PATIENCE: Micros = millis(5000);
/**
 * What nobody asked for gives way to whatever else is due after so long, and rests for as long: a
 * wiped member that never catches up must not keep the next one from coming back.
 */
const UNASKED_PATIENCE: Micros = millis(5000);
const WAITING_MAX = 16;

type ChangeRequest = Extract<ClientRequest, { kind: "change-membership" }>;

/** What a change is decided on. */
export interface ChangeView {
  readonly self: MemberId;
  readonly isLeader: boolean;
  readonly membership: Membership;
  readonly greetings: readonly Greeting[];
}

interface Operation {
  /** Null for what nobody asked for. */
  readonly requestId: RequestId | null;
  readonly change: Change;
  /** Some step of it was proposed. */
  isBegun: boolean;
  /** The proposal whose verdict is awaited. */
  proposalId: number | null;
  nextTry: Instant;
  giveUpAt: Instant;
  /** What it waits for, for people. */
  waitsFor: string;
}

export class Changes {
  readonly #replacesWiped: boolean;
  readonly #waiting: Operation[] = [];
  #current: Operation | null = null;
  /** Below all ids of requests. */
  #nextProposal = -1;
  /** Not before this is a member swapped that nobody asked for. */
  #nextReplacement = 0 as Instant;
  /** Until when what nobody asked for is not tried again, by the member's name. */
  readonly #restUntil = new Map<NodeId, Instant>();
  #answers: Answer[] = [];
  #proposals: RaftEvent[] = [];
  /** What the last look at who answers was taken of. */
  #seen = -1;
  #membership: Membership = NO_MEMBERS;

  /** `replacesWiped`: whether a wiped member is replaced without being asked. */
  constructor(replacesWiped: boolean) {
    this.#replacesWiped = replacesWiped;
  }

  get deadline(): Instant {
    const current = this.#current;
    if (current === null || current.proposalId !== null) return NEVER;
    return earlier(current.nextTry, current.giveUpAt);
  }

  /** Addresses that must be dialed for the change under way, besides those of the members. */
  get addresses(): MemberAddress[] {
    const change = this.#current?.change;
    if (change?.kind === "add") return [{ id: change.name, address: change.address }];
    if (change?.kind !== "replace") return [];
    return [{ id: change.withName, address: change.withAddress }];
  }

  /** Another membership is in force; heard on every node, whoever leads. */
  follow(membership: Membership): void {
    if (membership === this.#membership) return;
    this.#membership = membership;
    this.#seen = -1;
  }

  request(now: Instant, { requestId, change }: ChangeRequest): void {
    if (this.#waiting.length >= WAITING_MAX) {
      const what = "membership changes";
      this.#refuse(requestId, { code: "overloaded", what, retryAfterMs: 1000 });
      return;
    }
    this.#waiting.push(operation(requestId, change, now));
  }

  /**
   * Whether there is anything to go on with; `seen` counts changes of who answers and who leads.
   */
  isDue(now: Instant, seen: number): boolean {
    if (this.#current !== null) return this.deadline <= now;
    return this.#waiting.length > 0 || seen !== this.#seen;
  }

  /** Goes on with what is under way, and begins what waits. */
  advance(now: Instant, seen: number, view: ChangeView, notLeader: Fault): void {
    this.#seen = seen;
    if (!view.isLeader) {
      this.#endAll(notLeader);
      return;
    }
    this.#current ??= this.#waiting.shift() ?? this.#replacement(now, view);
    const current = this.#current;
    if (current === null || current.proposalId !== null || current.nextTry > now) return;
    if (isJoint(view.membership)) this.#wait(now, current, "another change is being completed");
    else this.#plan(now, current, view);
  }

  /** True when the verdict is on a step of a change. */
  maybeVerdict(now: Instant, verdict: Verdict, notLeader: Fault): boolean {
    const current = this.#current;
    if (current === null || verdict.proposalId !== current.proposalId) {
      return verdict.proposalId < 0;
    }
    current.proposalId = null;
    if (verdict.kind === "committed") {
      current.nextTry = now;
      current.giveUpAt = after(now, patienceOf(current.requestId));
    } else if (verdict.kind === "unknown") this.#end({ code: "outcome-unknown" });
    else if (verdict.why === "not-leader") this.#end(notLeader);
    else if (verdict.why === "invalid") this.#giveUp(now, verdict.what ?? "it cannot be so");
    else this.#wait(now, current, verdict.what ?? verdict.why);
    return true;
  }

  /** Nothing is decided here any more. */
  abandon(fault: Fault): void {
    this.#endAll(fault);
    if (this.#current !== null) this.#end({ code: "outcome-unknown" });
  }

  takeAnswers(): readonly Answer[] {
    return takeAll(this.#answers);
  }

  takeProposals(): readonly RaftEvent[] {
    return takeAll(this.#proposals);
  }

  #plan(now: Instant, current: Operation, view: ChangeView): void {
    const step = planChange(current.change, view, current.isBegun);
    switch (step.kind) {
      case "done":
        this.#end(null);
        return;
      case "refused":
        this.#giveUp(now, step.what);
        return;
      case "waits":
        if (!current.isBegun && current.waitsFor === "") {
          current.giveUpAt = after(now, GREETING_PATIENCE);
        }
        this.#wait(now, current, step.what);
        return;
      case "propose":
        this.#propose(current, step.target);
    }
  }

  #propose(current: Operation, target: MembershipTarget): void {
    const proposalId = this.#nextProposal--;
    current.isBegun = true;
    current.proposalId = proposalId;
    this.#proposals.push({ kind: "membership-proposed", proposalId, target });
  }

  #wait(now: Instant, current: Operation, what: string): void {
    current.waitsFor = what;
    current.nextTry = after(now, RETRY);
    if (now >= current.giveUpAt) this.#giveUp(now, `given up: ${what}`);
  }

  #giveUp(now: Instant, why: string): void {
    const current = this.#current;
    if (current?.requestId === null && "name" in current.change) {
      this.#restUntil.set(current.change.name, after(now, UNASKED_PATIENCE));
    }
    this.#end(refused(why));
  }

  /**
   * The swap of a member that was wiped: another instance answers where it was, and becomes what it
   * was. The second half may be another leader's, after any crash: the membership itself says who
   * is owed a vote.
   */
  #replacement(now: Instant, { self, membership, greetings }: ChangeView): Operation | null {
    if (!this.#replacesWiped) return null;
    for (const { id, isOwedVote } of membership.members) {
      if (!isOwedVote || this.#rests(now, id)) continue;
      if (greetings.some(({ member }) => member === id)) {
        return operation(null, { kind: "promote", name: nameOf(id) }, now);
      }
    }
    for (const { id, address } of membership.members) {
      if (id === self || this.#rests(now, id)) continue;
      if (greetings.some(({ member }) => member === id)) continue;
      const there = greetings.find((greeting) => {
        return isOtherInstance(greeting.member, id) && greeting.address === address;
      });
      if (there === undefined) continue;
      if (now < this.#nextReplacement) {
        this.#seen = -1; // Looked at again until its time has come.
        return null;
      }
      this.#nextReplacement = after(now, PATIENCE);
      const name: NodeId = nameOf(id);
      const change = { kind: "replace", name, withName: name, withAddress: address } as const;
      return operation(null, change, now);
    }
    return null;
  }

  /** Whether it was tried for this member and given up; if so, it is looked at again. */
  #rests(now: Instant, id: MemberId): boolean {
    const until = this.#restUntil.get(nameOf(id));
    if (until === undefined) return false;
    if (now >= until) this.#restUntil.delete(nameOf(id));
    else this.#seen = -1;
    return now < until;
  }

  #endAll(fault: Fault): void {
    // What was proposed has a verdict to come.
    if (this.#current !== null && this.#current.proposalId === null) this.#end(fault);
    for (const { requestId } of this.#waiting.splice(0)) {
      if (requestId !== null) this.#refuse(requestId, fault);
    }
    this.#nextReplacement = 0 as Instant;
    this.#restUntil.clear();
  }

  /** The change under way is over: done, or not with this fault. */
  #end(fault: Fault | null): void {
    const requestId = this.#current?.requestId ?? null;
    this.#current = null;
    this.#seen = -1; // What nobody asked for may be due again.
    if (requestId === null) return;
    if (fault === null) this.#answers.push({ kind: "done", requestId });
    else this.#refuse(requestId, fault);
  }

  #refuse(requestId: RequestId, fault: Fault): void {
    this.#answers.push({ kind: "fault", requestId, fault });
  }
}

function operation(requestId: RequestId | null, change: Change, now: Instant): Operation {
  const giveUpAt = after(now, patienceOf(requestId));
  return {
    requestId,
    change,
    isBegun: false,
    proposalId: null,
    nextTry: now,
    giveUpAt,
    waitsFor: "",
  };
}

function patienceOf(requestId: RequestId | null): Micros {
  return requestId === null ? UNASKED_PATIENCE : PATIENCE;
}

function refused(what: string): Fault {
  return { code: "change-refused", what };
}

/** What whoever asked for a transfer of leadership is told. */
export function transferAnswer(verdict: TransferVerdict, notLeader: Fault): Answer {
  const requestId = verdict.transferId as RequestId;
  if (verdict.kind === "completed") return { kind: "done", requestId };
  const fault =
    verdict.why === "not-leader" ? notLeader : refused(`leadership stays: ${verdict.why}`);
  return { kind: "fault", requestId, fault };
}
