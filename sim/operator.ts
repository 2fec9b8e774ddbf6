// One operator of the simulated cluster: asks whoever leads for what only a leader does, one thing
// after another as its script says, again and again until it is told how that ended. Owns what it
// asks and when it gives up; clients that read and write are sim/sim-client.ts.

import type { Answer } from "../src/base/client.ts";
import { controlDraft } from "../src/base/control.ts";
import type { FaultCode } from "../src/base/faults.ts";
import type { NodeId, Offset } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import type { RequestMaker } from "./client-path.ts";
import type { SimComputer } from "./computer.ts";
import type { PlannedOperation } from "./plan.ts";
import type { ClientRoom } from "./sim-caller.ts";

export type PlannedErrand = Extract<PlannedOperation, { kind: "trim" }>;

const ERRANDS: ReadonlySet<PlannedOperation["kind"]> = new Set(["trim"]);

/** Whether it is an operator's; all else is a client's. */
export function isErrand(planned: PlannedOperation): planned is PlannedErrand {
  return ERRANDS.has(planned.kind);
}

const ATTEMPT_MICROS = 400_000;
const BACKOFF_MIN_MICROS = 20_000;
const BACKOFF_MAX_MICROS = 200_000;

/** Whoever says so has done nothing, and another time or another node may. */
const RETRY_FAULTS: ReadonlySet<FaultCode> = new Set([
  "not-leader",
  "overloaded",
  "not-serving",
  "disk-failed",
  "disk-full",
  "outcome-unknown",
]);

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
      else this.#run(planned);
    });
  }

  #run(planned: PlannedErrand): void {
    const began = this.#room.timeline.now;
    this.#repetition++;
    if (this.#repetition >= planned.times) {
      this.#line++;
      this.#repetition = 0;
    }
    this.#try(this.#requestOf(planned), () => this.#next(began + planned.everyMs * 1000));
  }

  #requestOf({ keep }: PlannedErrand): RequestMaker {
    const startOffset = Math.max(0, this.#room.knownEnd - keep) as Offset;
    return (requestId, wall) => {
      const draft = controlDraft({ kind: "trim", startOffset }, wall);
      return { kind: "append", requestId, draft, expectedEndOffset: null };
    };
  }

  #try(make: RequestMaker, then: () => void): void {
    let isOver = false;
    const once = (answer: Answer | null) => {
      if (isOver) return;
      isOver = true;
      if (this.#isFinal(answer)) then();
      else this.#room.timeline.after(this.#drawBackoff(), () => this.#try(make, then));
    };
    this.#room.timeline.after(ATTEMPT_MICROS, () => once(null));
    const computer = this.#room.computers[this.#place] as SimComputer;
    this.#room.path.ask(computer, make, (reply) => once(reply?.answer ?? null));
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
