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

/** What needs an index that everything committed before lies within. */
export type ReadIndexRequest = Extract<ClientRequest, { kind: "check-tail" | "begin-backup" }>;

interface Waiting {
  /** What is made of the index: the end is told, or a backup begins. */
  readonly of: "tail" | "backup";
  readonly deadline: Instant;
  /** Null until Raft has told it. */
  readIndex: LogIndex | null;
}

export class Reads {
  readonly #waiting = new Map<RequestId, Waiting>();
  #answers: Answer[] = [];
  #confirmed: RequestId[] = [];

  /** When a request that waits is out of time. */
  get deadline(): Instant {
    let due = NEVER;
    if (this.#waiting.size === 0) return due;
    for (const { deadline } of this.#waiting.values()) due = earlier(due, deadline);
    return due;
  }

  /** What Raft is asked for a request. */
  request(now: Instant, request: ReadIndexRequest): RaftEvent {
    const { requestId: readId, within } = request;
    const deadline = within === undefined ? NEVER : after(now, within);
    const of = request.kind === "check-tail" ? "tail" : "backup";
    this.#waiting.set(readId, { of, deadline, readIndex: null });
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
    for (const [requestId, { of, readIndex }] of this.#waiting) {
      if (readIndex === null || readIndex > index) continue;
      this.#waiting.delete(requestId);
      if (of === "tail") this.#answers.push({ kind: "tail", requestId, endOffset });
      else this.#confirmed.push(requestId);
    }
  }

  /** Backups that may begin with what is committed here by now. */
  takeConfirmed(): readonly RequestId[] {
    return takeAll(this.#confirmed);
  }

  /** True when a backup was to begin; it is answered as cancelled. */
  maybeCancel(requestId: RequestId): boolean {
    if (this.#waiting.get(requestId)?.of !== "backup") return false;
    this.#refuse(requestId, { code: "cancelled" });
    return true;
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
