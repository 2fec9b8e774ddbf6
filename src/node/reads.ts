// Linearizable reads at any member (thesis 6.4): Raft finds the index that the reader must have
// applied, and the answer waits here until this member has. A request with time is carried to
// whoever leads, within that time; one without is for a leader alone. Owns who waits; the index is
// Raft's.

import type { Answer, ClientRequest } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import {
  after,
  earlier,
  type Instant,
  type LogIndex,
  NEVER,
  type Offset,
  type RequestId,
} from "../base/ids.ts";
import { takeAll } from "../base/taking.ts";
import type { RaftEvent, ReadVerdict } from "../raft/protocol.ts";

interface Waiting {
  readonly deadline: Instant;
  /** Null until Raft has told it. */
  readIndex: LogIndex | null;
}

export class Reads {
  readonly #waiting = new Map<RequestId, Waiting>();
  #answers: Answer[] = [];

  /** When a request that waits is out of time. */
  get deadline(): Instant {
    let due = NEVER;
    if (this.#waiting.size === 0) return due;
    for (const { deadline } of this.#waiting.values()) due = earlier(due, deadline);
    return due;
  }

  /** What Raft is asked for a request. */
  request(now: Instant, request: Extract<ClientRequest, { kind: "check-tail" }>): RaftEvent {
    const { requestId: readId, within } = request;
    const deadline = within === undefined ? NEVER : after(now, within);
    this.#waiting.set(readId, { deadline, readIndex: null });
    return { kind: "read-requested", readId, ...(within === undefined ? {} : { deadline }) };
  }

  verdict(verdict: ReadVerdict, refusal: Fault): void {
    const requestId = verdict.readId as RequestId;
    const waiting = this.#waiting.get(requestId);
    if (waiting === undefined) return;
    if (verdict.kind === "ready") waiting.readIndex = verdict.readIndex;
    else this.#refuse(requestId, refusal);
  }

  /** Everything up to `index`, where the records end at `endOffset`, is committed here. */
  committed(index: LogIndex, endOffset: Offset): void {
    for (const [requestId, { readIndex }] of this.#waiting) {
      if (readIndex === null || readIndex > index) continue;
      this.#waiting.delete(requestId);
      this.#answers.push({ kind: "tail", requestId, endOffset });
    }
  }

  ring(now: Instant): void {
    for (const [requestId, { deadline }] of this.#waiting) {
      if (deadline <= now) this.#refuse(requestId, { code: "deadline-exceeded" });
    }
  }

  refuseAll(fault: Fault): void {
    for (const requestId of this.#waiting.keys()) this.#refuse(requestId, fault);
  }

  takeAnswers(): readonly Answer[] {
    return takeAll(this.#answers);
  }

  #refuse(requestId: RequestId, fault: Fault): void {
    this.#waiting.delete(requestId);
    this.#answers.push({ kind: "fault", requestId, fault });
  }
}
