// One operator of the simulated cluster: asks whoever leads for what only a leader does, one thing
// after another as its script says, again and again until it is told how that ended. It is sober:
// it asks for no membership in which too few are left that it can count on. Owns what it asks and
// when it gives up; clients that read and write are sim/sim-client.ts.

import type { Answer, MembershipChange } from "../src/base/client.ts";
import { controlDraft } from "../src/base/control.ts";
import type { FaultCode } from "../src/base/faults.ts";
import type { NodeId, Offset } from "../src/base/ids.ts";
import { isJoint } from "../src/base/membership.ts";
import type { Prng } from "../src/base/prng.ts";
import type { RequestMaker } from "./client-path.ts";
import { addressOf, type SimComputer } from "./computer.ts";
import { voterNames } from "./electorates.ts";
import type { PlannedOperation, Target } from "./plan.ts";
import type { ClientRoom } from "./sim-caller.ts";

const CHANGES = [
  "add-member",
  "remove-member",
  "promote-member",
  "demote-member",
  "replace-member",
  "set-members",
] as const;
type PlannedChange = Extract<PlannedOperation, { kind: (typeof CHANGES)[number] }>;
type PlannedTrim = Extract<PlannedOperation, { kind: "trim" }>;
type PlannedTransfer = Extract<PlannedOperation, { kind: "transfer" }>;
export type PlannedErrand = PlannedChange | PlannedTrim | PlannedTransfer;

const ERRANDS: ReadonlySet<PlannedOperation["kind"]> = new Set(["trim", "transfer", ...CHANGES]);

/** Whether it is an operator's; all else is a client's. */
export function isErrand(planned: PlannedOperation): planned is PlannedErrand {
  return ERRANDS.has(planned.kind);
}

const ATTEMPT_MICROS = 400_000;
/** A leader answers when a change is complete, or cannot be. */
const CHANGE_ATTEMPT_MICROS = 3_000_000;
const LOOK_AGAIN_MICROS = 1_000;
const BACKOFF_MIN_MICROS = 20_000;
const BACKOFF_MAX_MICROS = 200_000;

/** Whoever says so has done nothing, or nobody knows what: another time or another node may. */
const RETRY_FAULTS: ReadonlySet<FaultCode> = new Set([
  "not-leader",
  "overloaded",
  "not-serving",
  "disk-failed",
  "disk-full",
  "outcome-unknown",
]);

const TOO_LATE = {
  kind: "refused",
  fault: { code: "change-refused", what: "nobody wants that any more" },
} as const;

/** What is being asked for. */
interface Errand {
  readonly make: (computer: SimComputer) => RequestMaker;
  readonly attemptMicros: number;
  readonly ended: () => void;
  /** Once nothing new may begin, it is not tried again. */
  readonly mayGiveUp?: boolean;
}

export class Operator {
  readonly #script: readonly PlannedErrand[];
  readonly #room: ClientRoom;
  readonly #prng: Prng;
  #line = 0;
  #repetition = 0;
  #place = 0;
  #isDone = false;

  constructor(script: readonly PlannedErrand[], room: ClientRoom, prng: Prng) {
    this.#script = script;
    this.#room = room;
    this.#prng = prng;
  }

  /** Its script is at its end, or it may begin nothing more; nothing is under way. */
  get isDone(): boolean {
    return this.#isDone;
  }

  begin(): void {
    this.#next(0);
  }

  #next(notBefore: number): void {
    const planned = this.#script[this.#line];
    if (planned === undefined) {
      this.#isDone = true;
      return;
    }
    const { timeline } = this.#room;
    const due = Math.max(planned.atMs * 1000, notBefore, timeline.now);
    timeline.at(due, () => {
      if (this.#room.isClosing) this.#isDone = true;
      else if (this.#isTooEarly(planned)) this.#next(timeline.now + LOOK_AGAIN_MICROS);
      else this.#run(planned);
    });
  }

  /** A joint membership is soon left: so leaders are watched until one has it, and it is asked. */
  #isTooEarly(planned: PlannedErrand): boolean {
    if (planned.kind !== "transfer" || planned.inJointMs === 0) return false;
    const { computers, timeline } = this.#room;
    const place = computers.findIndex(({ raft }) => {
      return raft?.role === "leader" && isJoint(raft.membership);
    });
    if (place >= 0) this.#place = place;
    return place < 0 && timeline.now < (planned.atMs + planned.inJointMs) * 1000;
  }

  #run(planned: PlannedErrand): void {
    const began = this.#room.timeline.now;
    const [times, everyMs] = "times" in planned ? [planned.times, planned.everyMs] : [1, 0];
    this.#repetition++;
    if (this.#repetition >= times) {
      this.#line++;
      this.#repetition = 0;
    }
    const then = () => this.#next(began + everyMs * 1000);
    const attemptMicros = ATTEMPT_MICROS;
    if (planned.kind === "trim") {
      const make = this.#trim(planned);
      this.#try({ make: () => make, attemptMicros, ended: then });
    } else if (planned.kind === "transfer") {
      const to = planned.to === null ? null : this.#nameOf(planned.to);
      // What comes so late that nobody waits for it any more must not unseat a leader after all.
      const make: RequestMaker = (requestId) =>
        this.#room.isClosing ? TOO_LATE : { kind: "transfer-leadership", requestId, to };
      // To whom is down for good nobody hands over: each try keeps everybody else waiting.
      const mayGiveUp = true;
      this.#try({ make: () => make, attemptMicros, ended: then, mayGiveUp });
    } else this.#change(this.#changeOf(planned), then);
  }

  #trim({ keep }: PlannedTrim): RequestMaker {
    const startOffset = Math.max(0, this.#room.knownEnd - keep) as Offset;
    return (requestId, wall) => {
      const draft = controlDraft({ kind: "trim", startOffset }, wall);
      return { kind: "append", requestId, draft, expectedEndOffset: null };
    };
  }

  // ---- changes of the membership ----

  #change(change: MembershipChange, then: () => void): void {
    const { electorates, isSound } = this.#room;
    const voters = this.#votersAfter(change);
    // Whom it cannot count on must not be needed. That nobody is left to vote is refused anyway.
    if (voters.length > 0 && !electorates.couldBear(voters, isSound)) {
      then();
      return;
    }
    const forget = electorates.want(voters.length > 0 ? voters : this.#votersNow());
    this.#try({
      make: (computer) => (requestId) => {
        // What is under way is waited for; nothing new is wanted any more. It comes after that.
        const idle: MembershipChange = { kind: "promote", name: computer.name };
        const wanted = this.#room.isClosing ? idle : change;
        return { kind: "change-membership", requestId, change: wanted };
      },
      attemptMicros: CHANGE_ATTEMPT_MICROS,
      ended: () => {
        forget();
        then();
      },
    });
  }

  #changeOf(planned: PlannedChange): MembershipChange {
    switch (planned.kind) {
      case "add-member": {
        const name = this.#nameOf(planned.node);
        return { kind: "add", name, address: addressOf(name), asVoter: planned.asVoter };
      }
      case "replace-member": {
        const withName = this.#nameOf(planned.withNode);
        const withAddress = addressOf(withName);
        return { kind: "replace", name: this.#nameOf(planned.node), withName, withAddress };
      }
      case "set-members": {
        const [voters, learners] = [planned.voters, planned.learners].map((places) => {
          return places.map((place) => this.#nameOf(place));
        }) as [NodeId[], NodeId[]];
        return { kind: "set", voters, learners };
      }
      case "remove-member":
        return { kind: "remove", name: this.#nameOf(planned.node) };
      case "promote-member":
        return { kind: "promote", name: this.#nameOf(planned.node) };
      case "demote-member":
        return { kind: "demote", name: this.#nameOf(planned.node) };
    }
  }

  #votersNow(): NodeId[] {
    const { latest } = this.#room.electorates;
    return latest === null ? [] : voterNames(latest);
  }

  /** Who votes when it is done, as far as that can be known beforehand. */
  #votersAfter(change: MembershipChange): NodeId[] {
    const now = this.#votersNow();
    const without = (name: NodeId) => now.filter((voter) => voter !== name);
    switch (change.kind) {
      case "add":
        return change.asVoter ? [...without(change.name), change.name] : now;
      case "promote":
        return [...without(change.name), change.name];
      case "remove":
      case "demote":
        return without(change.name);
      case "replace":
        return [
          ...without(change.name).filter((name) => name !== change.withName),
          change.withName,
        ];
      case "set":
        return [...change.voters];
    }
  }

  #nameOf(target: Target): NodeId {
    return this.#room.target(target).name;
  }

  // ---- asking ----

  #try(errand: Errand): void {
    let isOver = false;
    const once = (answer: Answer | null) => {
      if (isOver) return;
      isOver = true;
      const isGivenUp = errand.mayGiveUp === true && this.#room.isClosing;
      if (isGivenUp || this.#isFinal(answer)) errand.ended();
      else this.#room.timeline.after(this.#drawBackoff(), () => this.#try(errand));
    };
    this.#room.timeline.after(errand.attemptMicros, () => once(null));
    const computer = this.#room.computers[this.#place] as SimComputer;
    this.#room.path.ask(computer, errand.make(computer), (reply) => once(reply?.answer ?? null));
  }

  /** Learns who leads; false when it is to be asked again. */
  #isFinal(answer: Answer | null): boolean {
    if (answer !== null && answer.kind !== "fault") return true;
    const fault = answer?.fault ?? null;
    if (fault !== null && !RETRY_FAULTS.has(fault.code)) return true;
    const hint = fault?.code === "not-leader" ? fault.leader : null;
    this.#place = this.#placeOf(hint) ?? this.#prng.below(this.#room.computers.length);
    return false;
  }

  #placeOf(name: NodeId | null): number | null {
    const place = this.#room.computers.findIndex((computer) => computer.name === name);
    return place < 0 ? null : place;
  }

  #drawBackoff(): number {
    return this.#prng.between(BACKOFF_MIN_MICROS, BACKOFF_MAX_MICROS);
  }
}
