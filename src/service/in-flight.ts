// What was asked of the node and not answered yet: request ids, bounds, taking back, deadlines.
// Each request is answered exactly once, whatever the node does. Owns no timers: whoever has one
// calls `expire` now and then.

import { assert } from "../base/assert.ts";
import type { Answer, ClientRequest } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import type { Instant, RequestId } from "../base/ids.ts";
import type { NodeHost } from "../node/ports.ts";

export interface InFlightBounds {
  /** Requests that wait for an answer, those at the end of the log among them. */
  readonly requestsMax: number;
  /** Bytes of the appends that wait for an answer. */
  readonly appendBytesMax: number;
}

export type Respond = (answer: Answer) => void;

interface Waiting {
  readonly request: ClientRequest;
  /** When the service gives up; NEVER for those that wait at the end of the log. */
  readonly deadline: Instant;
  /** Null once it was answered without the node, which still has to let go of it. */
  respond: Respond | null;
}

const BUSY_RETRY_MS = 50;

export class InFlight {
  readonly #bounds: InFlightBounds;
  #host: NodeHost | null = null;
  #closing = false;
  #nextId = 1;
  #appendBytes = 0;
  readonly #waiting = new Map<RequestId, Waiting>();
  /** Taken back, but the node had no room to hear it. */
  readonly #untold = new Set<RequestId>();

  constructor(bounds: InFlightBounds) {
    this.#bounds = bounds;
  }

  attach(host: NodeHost): void {
    assert(this.#host === null, "a service has one node");
    this.#host = host;
  }

  get size(): number {
    return this.#waiting.size;
  }

  nextId(): RequestId {
    return this.#nextId++ as RequestId;
  }

  /** Hands a request to the node. `respond` is called exactly once, perhaps before this returns. */
  ask(request: ClientRequest, deadline: Instant, respond: Respond): void {
    const { requestId } = request;
    const fault = this.#refusal(request);
    if (fault !== null) {
      respond({ kind: "fault", requestId, fault });
      return;
    }
    this.#waiting.set(requestId, { request, deadline, respond });
    this.#appendBytes += bytesOf(request);
    if (this.#host?.offer(request) === true) return;
    this.#forget(requestId);
    respond({ kind: "fault", requestId, fault: this.#unheard() });
  }

  #refusal(request: ClientRequest): Fault | null {
    if (this.#host === null) return { code: "not-serving", state: "opening" };
    if (this.#closing) return { code: "not-serving", state: "stopping" };
    const { requestsMax, appendBytesMax } = this.#bounds;
    if (this.#waiting.size >= requestsMax) return overloaded("requests in flight");
    const bytes = bytesOf(request);
    if (bytes > 0 && this.#appendBytes + bytes > appendBytesMax && this.#appendBytes > 0) {
      return overloaded("bytes of appends in flight");
    }
    return null;
  }

  /** Why the node did not take a request. */
  #unheard(): Fault {
    const state = this.#host?.status().state;
    if (state === "stopping" || state === "stopped") return { code: "not-serving", state };
    return overloaded("the node's mailbox");
  }

  answer(answer: Answer): void {
    const waiting = this.#forget(answer.requestId);
    waiting?.respond?.(answer);
  }

  /** Answers with `fault` now and lets the node forget the request. */
  takeBack(requestId: RequestId, fault: Fault): void {
    const waiting = this.#waiting.get(requestId);
    if (waiting === undefined || waiting.respond === null) return;
    const respond = waiting.respond;
    waiting.respond = null;
    this.#tellGone(requestId);
    respond({ kind: "fault", requestId, fault });
  }

  /** The node forgets what it began under this id, also when it has answered. */
  letGo(requestId: RequestId): void {
    this.#tellGone(requestId);
  }

  #tellGone(requestId: RequestId): void {
    const told = this.#host?.offer({ kind: "cancel", requestId }) === true;
    if (told) this.#untold.delete(requestId);
    else this.#untold.add(requestId);
  }

  /** Gives up on what is older than its deadline. An append given up on may still happen. */
  expire(now: Instant): void {
    for (const requestId of this.#untold) this.#tellGone(requestId);
    for (const [requestId, { request, deadline, respond }] of this.#waiting) {
      if (deadline > now || respond === null) continue;
      const code = request.kind === "append" ? "outcome-unknown" : "deadline-exceeded";
      this.takeBack(requestId, { code });
    }
  }

  /** Refuses what comes from now on and ends what waits at the end of the log; the rest goes on. */
  close(): void {
    this.#closing = true;
    for (const [requestId, { request }] of this.#waiting) {
      if (request.kind === "fetch" && request.wait) {
        this.takeBack(requestId, { code: "not-serving", state: "stopping" });
      }
    }
  }

  #forget(requestId: RequestId): Waiting | undefined {
    const waiting = this.#waiting.get(requestId);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(requestId);
    this.#untold.delete(requestId);
    this.#appendBytes -= bytesOf(waiting.request);
    return waiting;
  }
}

function overloaded(what: string): Fault {
  return { code: "overloaded", what, retryAfterMs: BUSY_RETRY_MS };
}

function bytesOf(request: ClientRequest): number {
  return request.kind === "append" ? request.draft.bytes.length : 0;
}
