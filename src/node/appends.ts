// Appends from admission to answer: what waits for a verdict of Raft's, which duplicates wait for
// their original, which refusals wait for the entry they rest on. Each request is answered exactly
// once.

import type { Answer, ClientRequest } from "../base/client.ts";
import { isClientControl } from "../base/control.ts";
import { type Draft, FRAME_HEADER_BYTES } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { Instant, LogIndex, RequestId } from "../base/ids.ts";
import { takeAll } from "../base/taking.ts";
import type { Verdict } from "../raft/protocol.ts";
import type { AcceptedBatch } from "../state/producers.ts";
import type { NodeOptions } from "./protocol.ts";
import type { Replica } from "./replica.ts";
import type { Safekeeping } from "./safekeeping.ts";

export type AppendRequest = Extract<ClientRequest, { kind: "append" }>;

/** Waits for an index to be committed, or for leadership to be lost before that. */
interface Waiter {
  readonly requestId: RequestId;
  readonly index: LogIndex;
  readonly committed: Answer;
  /** The answer when the entry's fate stays unknown here. */
  readonly lost: Answer;
}

export class Appends {
  /** Proposed, without a verdict. */
  readonly #proposed = new Set<RequestId>();
  readonly #waiters = new Map<RequestId, Waiter>();
  readonly #answers: Answer[] = [];
  readonly #options: NodeOptions;
  readonly #replica: Replica;
  readonly #safekeeping: Safekeeping;

  constructor(options: NodeOptions, replica: Replica, safekeeping: Safekeeping) {
    this.#options = options;
    this.#replica = replica;
    this.#safekeeping = safekeeping;
  }

  get size(): number {
    return this.#proposed.size + this.#waiters.size;
  }

  /** Of a node that serves: admitted once, against its whole log, or refused with the reason. */
  request(now: Instant, request: AppendRequest, notLeader: () => Fault): void {
    const { requestId, draft } = request;
    const refusal = this.#refusalOf(draft);
    if (refusal !== null) {
      this.refuse(requestId, refusal);
      return;
    }
    const replica = this.#replica;
    replica.settleEvents();
    if (replica.raft?.role !== "leader") {
      this.refuse(requestId, notLeader());
      return;
    }
    // A trim is what makes room again; the log has a reserve for it.
    const full = draft.kind === "trim" ? null : this.#safekeeping.refusal(now);
    if (full !== null) {
      this.refuse(requestId, full);
      return;
    }
    const commitIndex = replica.state.committed.index;
    const admission = replica.state.admit(draft, request);
    if (admission.kind === "duplicate") {
      this.#duplicate(requestId, admission.batch, commitIndex);
    } else if (admission.kind === "refused") {
      const { fault, restsOn } = admission;
      this.#refuseAfter(requestId, fault, restsOn, commitIndex, notLeader());
    } else {
      this.#proposed.add(requestId);
      replica.propose(now, requestId, draft);
    }
  }

  #refusalOf(draft: Draft): Fault | null {
    const bytes = draft.bytes.length - FRAME_HEADER_BYTES;
    const { batchBytesMax, requestsWaitingMax } = this.#options;
    if (!isClientControl(draft.kind) && (draft.count < 1 || draft.kind !== "records")) {
      return { code: "malformed", what: "an append holds at least one record" };
    }
    if (bytes > batchBytesMax) {
      return { code: "record-too-large", bytes, bytesMax: batchBytesMax };
    }
    if (this.size >= requestsWaitingMax) {
      return { code: "overloaded", what: "appends", retryAfterMs: 50 };
    }
    return null;
  }

  refuse(requestId: RequestId, fault: Fault): void {
    this.#answers.push({ kind: "fault", requestId, fault });
  }

  /** The batch is in the log already; its answer waits for the original's commit. */
  #duplicate(requestId: RequestId, batch: AcceptedBatch, commitIndex: LogIndex): void {
    const { index, term, offset } = batch;
    const place = { offset, index, term, durableAt: null };
    const committed: Answer = { kind: "appended", requestId, ...place, duplicate: true };
    if (index <= commitIndex) {
      this.#answers.push(committed);
      return;
    }
    const lost: Answer = { kind: "fault", requestId, fault: { code: "outcome-unknown" } };
    this.#waiters.set(requestId, { requestId, index, committed, lost });
  }

  /** A refusal; said at once only when what it rests on is committed. */
  #refuseAfter(
    requestId: RequestId,
    fault: Fault,
    restsOn: LogIndex,
    commitIndex: LogIndex,
    notLeader: Fault,
  ): void {
    const committed: Answer = { kind: "fault", requestId, fault };
    if (restsOn <= commitIndex) {
      this.#answers.push(committed);
      return;
    }
    // Nothing of this request is in the log: losing leadership makes it a plain refusal.
    const lost: Answer = { kind: "fault", requestId, fault: notLeader };
    this.#waiters.set(requestId, { requestId, index: restsOn, committed, lost });
  }

  verdict(verdict: Verdict, notLeader: Fault): void {
    const requestId = verdict.proposalId as RequestId;
    if (!this.#proposed.delete(requestId)) return;
    switch (verdict.kind) {
      case "committed": {
        const { offset, index, term } = verdict;
        const place = { offset, index, term, durableAt: this.#replica.durableAt(index) };
        this.#answers.push({ kind: "appended", requestId, ...place, duplicate: false });
        return;
      }
      case "refused": {
        const overloaded: Fault = { code: "overloaded", what: "appends", retryAfterMs: 50 };
        this.refuse(requestId, verdict.why === "overloaded" ? overloaded : notLeader);
        return;
      }
      case "unknown":
        this.refuse(requestId, { code: "outcome-unknown" });
    }
  }

  /** Everything up to `index` is committed, while leading. */
  committed(index: LogIndex): void {
    for (const waiter of this.#waiters.values()) {
      if (waiter.index > index) continue;
      this.#waiters.delete(waiter.requestId);
      this.#answers.push(waiter.committed);
    }
  }

  /** Leadership is lost: what was waited for may go either way. */
  leadershipLost(): void {
    for (const waiter of this.#waiters.values()) this.#answers.push(waiter.lost);
    this.#waiters.clear();
  }

  /** No verdict will come any more: what was proposed is unknown, the rest is lost. */
  abandon(): void {
    for (const requestId of this.#proposed) this.refuse(requestId, { code: "outcome-unknown" });
    this.#proposed.clear();
    this.leadershipLost();
  }

  takeAnswers(): readonly Answer[] {
    return takeAll(this.#answers);
  }
}
