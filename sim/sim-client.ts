// One simulated client: it does what its script says, one call at a time, and writes down what it
// asked and was told. It knows no more of the cluster than a real client: a hint who leads, an
// offset where the log ended. Owns retries and what an outcome means; when scripts end is
// sim/workload.ts.

import type { Answer } from "../src/base/client.ts";
import type { Entry } from "../src/base/entry.ts";
import { FRAME_HEADER_BYTES } from "../src/base/entry.ts";
import type { Fault, FaultCode } from "../src/base/faults.ts";
import type { Instant, Micros, Offset, RequestId } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import { decodeBatch, draftOf } from "../src/base/record-batch.ts";
import type { ClientPath, Reply, RequestMaker } from "./client-path.ts";
import type { SimComputer } from "./computer.ts";
import type { Call, Facts, History, Outcome, Question, RecordId, SeenRecord } from "./history.ts";
import type { PlannedOperation, Target } from "./plan.ts";
import type { RecordValues } from "./sim-record.ts";
import type { Timeline } from "./timeline.ts";

/** What all clients of a run share. */
export interface ClientRoom {
  readonly timeline: Timeline;
  readonly path: ClientPath;
  readonly computers: readonly SimComputer[];
  readonly history: History;
  readonly values: RecordValues;
  /** The highest end of the log that any client was told. */
  knownEnd: Offset;
  nextRecord: RecordId;
  /** From here on nobody begins a call. */
  isClosing: boolean;
  /** The computer that a plan means. */
  target(target: Target): SimComputer;
  returned(call: Call): void;
  /** A record whose bytes are not those of any that was written. */
  altered(entry: Entry, computer: SimComputer): void;
}

const ATTEMPT_MICROS = 400_000;
const STREAM_PATIENCE_MICROS = 2_500_000;
const BACKOFF_MIN_MICROS = 5_000;
const BACKOFF_MAX_MICROS = 80_000;
/** One entry at a time, a few, or many. */
const READ_BYTES_MAX: readonly number[] = [1, 1500, 16_384, 16_384];

type PlannedAppend = Extract<PlannedOperation, { kind: "append" }>;
type PlannedRead = Extract<PlannedOperation, { kind: "read" }>;
type AppendQuestion = Extract<Question, { kind: "append" }>;
type ReadQuestion = Extract<Question, { kind: "read" }>;

/**
 * Faults that say for certain: this request appended nothing. A retry may do better after the
 * first.
 */
const RETRY_FAULTS: ReadonlySet<FaultCode> = new Set([
  "not-leader",
  "overloaded",
  "not-serving",
  "disk-failed",
  "disk-full",
]);

export class SimClient {
  readonly id: number;
  readonly #room: ClientRoom;
  readonly #prng: Prng;
  readonly #script: readonly PlannedOperation[];
  #line = 0;
  #repetition = 0;
  #isDone = false;
  /** Where the leader is believed to be. */
  #place: number;
  #epoch = 0;
  #sequence = 0;
  #tails = 0;

  constructor(id: number, script: readonly PlannedOperation[], room: ClientRoom, prng: Prng) {
    this.id = id;
    this.#script = script;
    this.#room = room;
    this.#prng = prng;
    this.#place = prng.below(room.computers.length);
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
    this.#append({ records: 1, bytes: 16, producer: true, guarded: false }, 0, () => {
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
    const times = planned.kind === "stream" ? 1 : planned.times;
    const everyMs = planned.kind === "stream" ? 0 : planned.everyMs;
    this.#repetition++;
    if (this.#repetition >= times) {
      this.#line++;
      this.#repetition = 0;
    }
    const then = () => this.#next(began + everyMs * 1000);
    const isFirst = this.#repetition === 1 || times === 1;
    if (planned.kind === "append") this.#append(planned, isFirst && planned.gap ? 1 : 0, then);
    else if (planned.kind === "read") this.#readOnce(planned, then);
    else if (planned.kind === "check-tail") this.#checkTail(then);
    else then(); // A stream is a client of its own (sim/workload.ts).
  }

  // ---- appends ----

  /** `left` sequences are left out before it. */
  #append(
    planned: Pick<PlannedAppend, "records" | "bytes" | "producer" | "guarded">,
    left: number,
    then: () => void,
  ): void {
    const { history, timeline } = this.#room;
    const records: RecordId[] = [];
    for (let at = 0; at < planned.records; at++) records.push(this.#room.nextRecord++);
    const question: AppendQuestion = {
      kind: "append",
      records,
      producerId: planned.producer ? this.id + 1 : 0,
      epoch: planned.producer ? this.#epoch : 0,
      sequence: planned.producer ? this.#sequence + left : 0,
      expectedEndOffset: planned.guarded ? this.#room.knownEnd : null,
    };
    const call = history.begin(this.id, question, timeline.now);
    this.#tryAppend({ call, question, bytes: planned.bytes, isUncertain: false, then });
  }

  #tryAppend(append: AppendUnderWay): void {
    const { call, question, bytes } = append;
    const { encode } = this.#room.values;
    const values = question.records.map((record) => ({ value: encode(record, bytes) }));
    const make: RequestMaker = (requestId, wall) => ({
      kind: "append",
      requestId,
      draft: draftOf(values, wall, question),
      expectedEndOffset: question.expectedEndOffset,
    });
    call.attempts++;
    this.#ask(this.#believedLeader(), make, ATTEMPT_MICROS, (reply) => {
      const answer = reply?.answer ?? null;
      if (answer?.kind === "appended") this.#appended(append, answer);
      else this.#notAppended(append, answer?.kind === "fault" ? answer.fault : null);
    });
  }

  #appended(append: AppendUnderWay, answer: Extract<Answer, { kind: "appended" }>): void {
    const { offset, index, term, duplicate } = answer;
    this.#learnEnd(offset + append.question.records.length);
    this.#endAppend(append, "ok", { kind: "appended", offset, index, term, duplicate });
  }

  /** `fault` is null when nothing was heard: the attempt may have appended, or may yet. */
  #notAppended(append: AppendUnderWay, fault: Fault | null): void {
    const code = fault?.code ?? null;
    if (fault !== null) this.#learnFrom(fault);
    else this.#lookElsewhere();
    if (code === null || code === "outcome-unknown") append.isUncertain = true;
    const mayRetry = code === null || code === "outcome-unknown" || RETRY_FAULTS.has(code);
    if (append.question.producerId !== 0 && mayRetry) {
      this.#after(this.#drawBackoff(), () => this.#tryAppend(append));
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
    this.#finish(append.call, outcome, facts);
    append.then();
  }

  // ---- reads ----

  #readOnce(planned: PlannedRead, then: () => void): void {
    const from = Math.floor((this.#room.knownEnd * planned.fromPerMille) / 1000) as Offset;
    this.read(this.#room.target(planned.node), from, null, then);
  }

  /** One fetch; `then` hears where to go on. A stream's fetch waits at the end of the log. */
  read(
    computer: SimComputer,
    from: Offset,
    stream: number | null,
    then: (next: Offset) => void,
  ): void {
    const { history, timeline } = this.#room;
    const wait = stream !== null;
    const bytesMax = this.#prng.pick(READ_BYTES_MAX);
    const question: ReadQuestion = { kind: "read", node: computer.name, from, wait, stream };
    const call = history.begin(this.id, question, timeline.now);
    call.attempts = 1;
    const make: RequestMaker = (requestId) => ({
      kind: "fetch",
      requestId,
      from,
      bytesMax,
      wait,
    });
    const patience = wait ? STREAM_PATIENCE_MICROS : ATTEMPT_MICROS;
    const requestId = this.#ask(computer, make, patience, (reply) => {
      if (reply === null && wait) this.#cancel(computer, requestId);
      then(this.#readReturned(call, from, computer, reply));
    });
  }

  /** Returns the offset to go on from. */
  #readReturned(call: Call, from: Offset, computer: SimComputer, reply: Reply): Offset {
    if (reply?.answer.kind !== "fetched") {
      const fault = reply?.answer.kind === "fault" ? reply.answer.fault : null;
      if (fault === null) this.#finish(call, "unknown", null);
      else this.#finish(call, "fail", { kind: "fault", code: fault.code });
      return from;
    }
    const { entries, endOffset } = reply.answer;
    const records: SeenRecord[] = [];
    let next = from;
    for (const entry of entries) {
      if (!this.#see(entry, from, records)) this.#room.altered(entry, computer);
      next = (entry.offset + entry.count) as Offset;
    }
    this.#learnEnd(endOffset);
    const { name: node } = computer;
    this.#finish(call, "ok", { kind: "read", node, life: reply.life, records, endOffset });
    return next;
  }

  /** Adds the records of an entry from `from` on; false when they are not what was written. */
  #see(entry: Entry, from: Offset, seen: SeenRecord[]): boolean {
    const batch = decodeBatch(entry.frame.subarray(FRAME_HEADER_BYTES));
    if (batch === null || batch.length !== entry.count) return false;
    for (const { offsetDelta, value } of batch) {
      const record = this.#room.values.decode(value);
      if (record === null) return false;
      const offset = (entry.offset + offsetDelta) as Offset;
      if (offset >= from) seen.push({ offset, record });
    }
    return true;
  }

  #cancel(computer: SimComputer, target: RequestId): void {
    const make: RequestMaker = () => ({ kind: "cancel", requestId: target });
    this.#room.path.ask(computer, make, () => undefined);
  }

  // ---- the tail ----

  #checkTail(then: () => void): void {
    const { history, timeline } = this.#room;
    const call = history.begin(this.id, { kind: "check-tail" }, timeline.now);
    this.#tryCheckTail(call, then);
  }

  #tryCheckTail(call: Call, then: () => void): void {
    call.attempts++;
    // Every other one asks another member, which asks the leader in its turn.
    const { computers } = this.#room;
    const isElsewhere = this.#tails++ % 2 === 1;
    const computer = isElsewhere
      ? (computers[(this.#place + 1) % computers.length] as SimComputer)
      : this.#believedLeader();
    const within = ATTEMPT_MICROS as Micros;
    const make: RequestMaker = (requestId) => {
      return { kind: "check-tail", requestId, ...(isElsewhere ? { within } : {}) };
    };
    this.#ask(computer, make, ATTEMPT_MICROS, (reply) => {
      const answer = reply?.answer ?? null;
      if (answer?.kind === "tail") {
        this.#learnEnd(answer.endOffset);
        this.#finish(call, "ok", { kind: "tail", endOffset: answer.endOffset });
        then();
        return;
      }
      if (answer?.kind === "fault") this.#learnFrom(answer.fault);
      else this.#lookElsewhere();
      this.#after(this.#drawBackoff(), () => this.#tryCheckTail(call, then));
    });
  }

  // ---- asking ----

  /** Calls `then` exactly once: with the reply, or with null when none came in time. */
  #ask(
    computer: SimComputer,
    make: RequestMaker,
    patience: number,
    then: (reply: Reply) => void,
  ): RequestId {
    let isOver = false;
    const once = (reply: Reply) => {
      if (isOver) return;
      isOver = true;
      then(reply);
    };
    this.#after(patience, () => once(null));
    return this.#room.path.ask(computer, make, once);
  }

  #after(span: number, happening: () => void): void {
    this.#room.timeline.after(span, happening);
  }

  #finish(call: Call, outcome: Outcome, facts: Facts | null): void {
    this.#room.history.finish(call, outcome, facts, this.#room.timeline.now as Instant);
    this.#room.returned(call);
  }

  #drawBackoff(): number {
    return this.#prng.between(BACKOFF_MIN_MICROS, BACKOFF_MAX_MICROS);
  }

  // ---- beliefs ----

  #believedLeader(): SimComputer {
    return this.#room.computers[this.#place] as SimComputer;
  }

  #learnFrom(fault: Fault): void {
    const hint = fault.code === "not-leader" ? fault.leader : null;
    const place = this.#room.computers.findIndex((computer) => computer.name === hint);
    if (place >= 0) this.#place = place;
    else if (RETRY_FAULTS.has(fault.code)) this.#lookElsewhere();
  }

  #lookElsewhere(): void {
    this.#place = this.#prng.below(this.#room.computers.length);
  }

  #learnEnd(end: number): void {
    if (end > this.#room.knownEnd) this.#room.knownEnd = end as Offset;
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
