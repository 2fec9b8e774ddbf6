// How a simulated client moves a cursor, reads cursors and fences the log. Each commit carries a
// time to live and each fence a token like no other's, so that checkers can tell from the log alone
// whose it has. Owns these calls and what the client believes of cursors and fences; no script.

import { type Control, controlDraft } from "../src/base/control.ts";
import type { Fault } from "../src/base/faults.ts";
import type { Offset } from "../src/base/ids.ts";
import type { ControlConditions } from "../src/service/cursor-requests.ts";
import type { Reply, RequestMaker } from "./client-path.ts";
import { freshnessOf } from "./client-reads.ts";
import type { SimComputer } from "./computer.ts";
import type { Call, Consistency, Outcome, Question } from "./history.ts";
import type { PlannedOperation } from "./plan.ts";
import { ATTEMPT_MICROS, type Caller, RETRY_FAULTS } from "./sim-caller.ts";

/** Requests that a control takes at most. */
const ATTEMPTS_MAX = 12;
/** Longer than any run, and still told apart. */
const FOR_EVER_MS = 1_000_000_000_000;

type PlannedCommit = Extract<PlannedOperation, { kind: "commit-cursor" }>;
type PlannedFetch = Extract<PlannedOperation, { kind: "fetch-cursor" }>;
type PlannedFence = Extract<PlannedOperation, { kind: "fence" }>;
type FetchQuestion = Extract<Question, { kind: "fetch-cursors" }>;

interface ControlUnderWay {
  readonly call: Call;
  readonly control: Control;
  readonly conditions: ControlConditions;
  /** Some attempt may have moved something. */
  isUncertain: boolean;
  readonly ended: (outcome: Outcome, fault: Fault | null) => void;
}

export class ClientControls {
  readonly #caller: Caller;
  /** Where each cursor is believed to be; null for nowhere. */
  readonly #cursors = new Map<string, Offset | null>();
  /** The last fence that this client set, or failed to. */
  #token = "";

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** The fencing token that this client writes with. */
  get token(): string {
    return this.#token;
  }

  // ---- cursors ----

  commit(planned: PlannedCommit, then: () => void): void {
    const { room } = this.#caller;
    const name = nameOf(planned.cursor);
    const believed = this.#cursors.get(name) ?? null;
    const offset = planned.drop ? null : this.#nextOffset(believed);
    const ttlMs = (planned.ttlMs === 0 ? FOR_EVER_MS : planned.ttlMs) + room.nextControl++;
    const guard = planned.guarded ? { expected: believed } : {};
    const question: Question = { kind: "commit-cursor", name, offset, ttlMs, ...guard };
    this.#begin(question, {
      control: { kind: "cursor", name, offset, ttlMs },
      conditions: planned.guarded ? { expectedCursor: believed } : {},
      ended: (outcome, fault) => {
        if (outcome === "ok") this.#cursors.set(name, offset);
        else if (fault?.code === "cursor-mismatch") this.#cursors.set(name, fault.offset);
        else if (fault?.code === "cursor-not-found") this.#cursors.set(name, null);
        then();
      },
    });
  }

  /** Somewhat further, as far as the log is known to go. */
  #nextOffset(believed: Offset | null): Offset {
    const { room, prng } = this.#caller;
    const from = believed ?? 0;
    const left = Math.max(room.knownEnd - from, 0);
    return (from + prng.below(Math.min(left, 40) + 1)) as Offset;
  }

  fetch(planned: PlannedFetch, then: () => void): void {
    const { room } = this.#caller;
    this.#fetch(room.target(planned.node), [nameOf(planned.cursor)], planned.consistency, then);
  }

  /** All cursors of a node that has everything; `then` hears whether it said them. */
  audit(computer: SimComputer, then: (isAnswered: boolean) => void): void {
    this.#fetch(computer, null, "linearizable", then);
  }

  #fetch(
    computer: SimComputer,
    names: readonly string[] | null,
    consistency: Consistency,
    then: (isAnswered: boolean) => void,
  ): void {
    const { room, id } = this.#caller;
    const { name: node } = computer;
    const question: FetchQuestion = { kind: "fetch-cursors", node, names, consistency };
    const call = room.history.begin(id, question, room.timeline.now);
    call.attempts = 1;
    const make: RequestMaker = (requestId, _wall, status) => {
      const now = status();
      const isRefused = consistency === "leader" && now.leader !== now.name;
      const fault = { code: "not-leader", leader: now.leader, address: null } as const;
      return isRefused ? { kind: "refused", fault } : { kind: "read-cursors", requestId, names };
    };
    const done = (reply: Reply) => then(this.#fetched(call, computer, reply));
    this.#caller.ask(computer, make, ATTEMPT_MICROS, done, freshnessOf(consistency));
  }

  #fetched(call: Call, { name: node }: SimComputer, reply: Reply): boolean {
    const answer = reply?.answer ?? null;
    if (reply === null || answer === null) this.#caller.finish(call, "unknown", null);
    else if (answer.kind === "cursors") {
      const { cursors } = answer;
      for (const name of this.#cursors.keys()) {
        const isAsked = (call.question as FetchQuestion).names?.includes(name) === true;
        const found = cursors.find((cursor) => cursor.name === name);
        if (isAsked) this.#cursors.set(name, found?.offset ?? null);
      }
      this.#caller.finish(call, "ok", { kind: "cursors", node, life: reply.life, cursors });
      return true;
    } else if (answer.kind === "fault")
      this.#caller.finish(call, "fail", { kind: "fault", code: answer.fault.code });
    return false;
  }

  // ---- the fence ----

  fence({ guarded }: PlannedFence, then: () => void): void {
    const token = `token-${this.#caller.room.nextControl++}`;
    const expected = this.#token;
    this.#begin(
      { kind: "fence", token, ...(guarded ? { expected } : {}) },
      {
        control: { kind: "fence", token },
        conditions: guarded ? { fencingToken: expected } : {},
        ended: (outcome) => {
          // When nobody knows, its writer must believe that it was set: only then is it fenced.
          if (outcome !== "fail") this.#token = token;
          then();
        },
      },
    );
  }

  // ---- both ----

  #begin(
    question: Question,
    { control, conditions, ended }: Pick<ControlUnderWay, "control" | "conditions" | "ended">,
  ): void {
    const { room, id } = this.#caller;
    const call = room.history.begin(id, question, room.timeline.now);
    this.#try({ call, control, conditions, isUncertain: false, ended });
  }

  #try(underWay: ControlUnderWay): void {
    const { call, control, conditions } = underWay;
    const make: RequestMaker = (requestId, wall) => ({
      kind: "append",
      requestId,
      draft: controlDraft(control, wall),
      expectedEndOffset: null,
      ...conditions,
    });
    call.attempts++;
    this.#caller.ask(this.#caller.believedLeader(), make, ATTEMPT_MICROS, (reply) => {
      const answer = reply?.answer ?? null;
      if (answer?.kind === "appended") {
        const { offset, index, term, duplicate } = answer;
        this.#caller.finish(call, "ok", { kind: "appended", offset, index, term, duplicate });
        underWay.ended("ok", null);
      } else this.#notDone(underWay, answer?.kind === "fault" ? answer.fault : null);
    });
  }

  /** `fault` is null when nothing was heard: the attempt may have moved it, or may yet. */
  #notDone(underWay: ControlUnderWay, fault: Fault | null): void {
    const { call, conditions } = underWay;
    const code = fault?.code ?? null;
    if (fault !== null) this.#caller.learnFrom(fault);
    else this.#caller.lookElsewhere();
    const isInDoubt = code === null || code === "outcome-unknown";
    if (isInDoubt) underWay.isUncertain = true;
    // Without a condition a second one could undo what others did after the first.
    const isConditional = Object.keys(conditions).length > 0;
    const mayRetry = isInDoubt ? isConditional : RETRY_FAULTS.has(code);
    if (mayRetry && call.attempts < ATTEMPTS_MAX) {
      this.#caller.after(this.#caller.drawBackoff(), () => this.#try(underWay));
      return;
    }
    const outcome: Outcome = underWay.isUncertain ? "unknown" : "fail";
    this.#caller.finish(call, outcome, code === null ? null : { kind: "fault", code });
    underWay.ended(outcome, fault);
  }
}

function nameOf(cursor: number): string {
  return `cursor-${cursor}`;
}
