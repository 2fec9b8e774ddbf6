// One simulated client: it does what its script says, one call at a time, and writes down what it
// asked and was told. Owns the script, appends and what their outcome means; how it asks is
// sim/sim-caller.ts, how it reads sim/client-reads.ts, cursors and fences sim/client-controls.ts,
// when scripts end sim/workload.ts.

import type { Answer } from "../src/base/client.ts";
import type { Fault } from "../src/base/faults.ts";
import type { Micros, Offset } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import { draftOf } from "../src/base/record-batch.ts";
import { ClientBackups } from "./client-backups.ts";
import { ClientControls } from "./client-controls.ts";
import type { RequestMaker } from "./client-path.ts";
import { ClientReads } from "./client-reads.ts";
import type { SimComputer } from "./computer.ts";
import type { Call, Facts, Outcome, Question, RecordId } from "./history.ts";
import type { PlannedOperation } from "./plan.ts";
import { ATTEMPT_MICROS, Caller, type ClientRoom, RETRY_FAULTS } from "./sim-caller.ts";

type PlannedAppend = Extract<PlannedOperation, { kind: "append" }>;
type AppendQuestion = Extract<Question, { kind: "append" }>;
/** One append as the script asks for it. */
type AppendForm = Pick<PlannedAppend, "records" | "bytes" | "producer" | "guarded" | "fenced">;

export class SimClient {
  readonly #room: ClientRoom;
  readonly #caller: Caller;
  readonly #reads: ClientReads;
  readonly #controls: ClientControls;
  readonly #script: readonly PlannedOperation[];
  #line = 0;
  #repetition = 0;
  #isDone = false;
  #epoch = 0;
  #sequence = 0;
  #tails = 0;

  constructor(id: number, script: readonly PlannedOperation[], room: ClientRoom, prng: Prng) {
    this.#script = script;
    this.#room = room;
    this.#caller = new Caller(id, room, prng);
    this.#reads = new ClientReads(this.#caller);
    this.#controls = new ClientControls(this.#caller);
  }

  /** Its script is at its end, or it may begin nothing more; no call is open. */
  get isDone(): boolean {
    return this.#isDone;
  }

  begin(): void {
    this.#next(0);
  }

  /** One append of one record, without a script and after all scripts have closed. */
  appendNow(): void {
    const form = { records: 1, bytes: 16, producer: true, guarded: false, fenced: false };
    this.#append(form, 0, () => {
      this.#isDone = true;
    });
  }

  /** Goes to the script's next call, not before `notBefore`. */
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
      else this.#call(planned);
    });
  }

  #call(planned: PlannedOperation): void {
    const began = this.#room.timeline.now;
    const times = "times" in planned ? planned.times : 1;
    const everyMs = "everyMs" in planned ? planned.everyMs : 0;
    this.#repetition++;
    if (this.#repetition >= times) {
      this.#line++;
      this.#repetition = 0;
    }
    const then = () => this.#next(began + everyMs * 1000);
    const isFirst = this.#repetition === 1 || times === 1;
    switch (planned.kind) {
      case "append":
        this.#append(planned, isFirst && planned.gap ? 1 : 0, then);
        return;
      case "read":
        this.#reads.readOnce(planned, then);
        return;
      case "seek":
        this.#reads.seek(planned, then);
        return;
      case "check-tail":
        this.#checkTail(then);
        return;
      case "backup":
        new ClientBackups(this.#caller).take(planned, then);
        return;
      case "commit-cursor":
        this.#controls.commit(planned, then);
        return;
      case "fetch-cursor":
        this.#controls.fetch(planned, then);
        return;
      case "fence":
        this.#controls.fence(planned, then);
        return;
      default: // Streams and operators are clients of their own (sim/workload.ts).
        then();
    }
  }

  /** As ClientReads.read. */
  read(
    computer: SimComputer,
    from: Offset,
    stream: number | null,
    then: (next: Offset) => void,
  ): void {
    this.#reads.read(computer, from, stream, then);
  }

  /** As ClientControls.audit. */
  auditCursors(computer: SimComputer, then: (isAnswered: boolean) => void): void {
    this.#controls.audit(computer, then);
  }

  // ---- appends ----

  /** `left` sequences are left out before it. */
  #append(planned: AppendForm, left: number, then: () => void): void {
    const { history, timeline } = this.#room;
    const records: RecordId[] = [];
    for (let at = 0; at < planned.records; at++) records.push(this.#room.nextRecord++);
    const question: AppendQuestion = {
      kind: "append",
      records,
      producerId: planned.producer ? this.#caller.id + 1 : 0,
      epoch: planned.producer ? this.#epoch : 0,
      sequence: planned.producer ? this.#sequence + left : 0,
      expectedEndOffset: planned.guarded ? this.#room.knownEnd : null,
      ...(planned.fenced ? { fencingToken: this.#controls.token } : {}),
    };
    const call = history.begin(this.#caller.id, question, timeline.now);
    this.#tryAppend({ call, question, bytes: planned.bytes, isUncertain: false, then });
  }

  #tryAppend(append: AppendUnderWay): void {
    const { call, question, bytes } = append;
    const { encode } = this.#room.values;
    const values = question.records.map((record) => ({ value: encode(record, bytes) }));
    const { expectedEndOffset, fencingToken } = question;
    const fence = fencingToken === undefined ? {} : { fencingToken };
    const make: RequestMaker = (requestId, wall) => ({
      kind: "append",
      requestId,
      draft: draftOf(values, wall, question),
      expectedEndOffset,
      ...fence,
    });
    call.attempts++;
    this.#caller.ask(this.#caller.believedLeader(), make, ATTEMPT_MICROS, (reply) => {
      const answer = reply?.answer ?? null;
      if (answer?.kind === "appended") this.#appended(append, answer);
      else this.#notAppended(append, answer?.kind === "fault" ? answer.fault : null);
    });
  }

  #appended(append: AppendUnderWay, answer: Extract<Answer, { kind: "appended" }>): void {
    const { offset, index, term, duplicate } = answer;
    this.#caller.learnEnd(offset + append.question.records.length);
    this.#endAppend(append, "ok", { kind: "appended", offset, index, term, duplicate });
  }

  /** `fault` is null when nothing was heard: the attempt may have appended, or may yet. */
  #notAppended(append: AppendUnderWay, fault: Fault | null): void {
    const code = fault?.code ?? null;
    if (fault !== null) this.#caller.learnFrom(fault);
    else this.#caller.lookElsewhere();
    if (code === null || code === "outcome-unknown") append.isUncertain = true;
    const mayRetry = code === null || code === "outcome-unknown" || RETRY_FAULTS.has(code);
    if (append.question.producerId !== 0 && mayRetry) {
      this.#caller.after(this.#caller.drawBackoff(), () => this.#tryAppend(append));
      return;
    }
    const facts: Facts | null = code === null ? null : { kind: "fault", code };
    this.#endAppend(append, append.isUncertain ? "unknown" : "fail", facts);
  }

  #endAppend(append: AppendUnderWay, outcome: Outcome, facts: Facts | null): void {
    const { question } = append;
    if (question.producerId !== 0) {
      // After a refusal the next sequence is in doubt: a new epoch leaves no doubt.
      if (outcome === "ok") this.#sequence = question.sequence + question.records.length;
      else {
        this.#epoch++;
        this.#sequence = 0;
      }
    }
    this.#caller.finish(append.call, outcome, facts);
    append.then();
  }

  // ---- the tail ----

  #checkTail(then: () => void): void {
    const { history, timeline } = this.#room;
    const call = history.begin(this.#caller.id, { kind: "check-tail" }, timeline.now);
    this.#tryCheckTail(call, then);
  }

  #tryCheckTail(call: Call, then: () => void): void {
    call.attempts++;
    // Every other one asks another member, which asks the leader in its turn.
    const isElsewhere = this.#tails++ % 2 === 1;
    const computer = isElsewhere ? this.#caller.bystander() : this.#caller.believedLeader();
    const within = ATTEMPT_MICROS as Micros;
    const make: RequestMaker = (requestId) => {
      return { kind: "check-tail", requestId, ...(isElsewhere ? { within } : {}) };
    };
    this.#caller.ask(computer, make, ATTEMPT_MICROS, (reply) => {
      const answer = reply?.answer ?? null;
      if (answer?.kind === "tail") {
        this.#caller.learnEnd(answer.endOffset);
        this.#caller.finish(call, "ok", { kind: "tail", endOffset: answer.endOffset });
        then();
        return;
      }
      if (answer?.kind === "fault") this.#caller.learnFrom(answer.fault);
      else this.#caller.lookElsewhere();
      this.#caller.after(this.#caller.drawBackoff(), () => this.#tryCheckTail(call, then));
    });
  }
}

interface AppendUnderWay {
  readonly call: Call;
  readonly question: AppendQuestion;
  /** Of one value. */
  readonly bytes: number;
  /** Some attempt may have appended. */
  isUncertain: boolean;
  readonly then: () => void;
}
