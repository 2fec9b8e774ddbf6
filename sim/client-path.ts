// The way between clients and nodes: requests and answers take time, get lost or come late, and a
// connection breaks with its node. Owns request ids and the fate of what is carried; what a client
// makes of it is sim/sim-client.ts.

import type { Answer, ClientRequest } from "../src/base/client.ts";
import type { Fault } from "../src/base/faults.ts";
import type { RequestId, WallMs } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import type { SimComputer } from "./computer.ts";
import type { NetworkProfile } from "./plan.ts";
import { drawSpan } from "./spans.ts";
import type { Timeline } from "./timeline.ts";

/** An answer, and the life of the node that gave it; null when the connection broke first. */
export type Reply = { readonly answer: Answer; readonly life: number } | null;

/** Makes the request at the node's door, where its wall clock is read. */
export type RequestMaker = (requestId: RequestId, wall: WallMs) => ClientRequest;

interface Waiting {
  readonly computer: SimComputer;
  readonly life: number;
  readonly reply: (reply: Reply) => void;
}

const LATE_MIN_MICROS = 50_000;
const LATE_MEAN_MICROS = 400_000;

export class ClientPath {
  readonly #timeline: Timeline;
  readonly #profile: NetworkProfile;
  readonly #prng: Prng;
  readonly #waiting = new Map<RequestId, Waiting>();
  #nextRequest = 1;
  /** False once everything is healed: nothing is lost or late any more. */
  isRough = true;

  constructor(timeline: Timeline, profile: NetworkProfile, prng: Prng) {
    this.#timeline = timeline;
    this.#profile = profile;
    this.#prng = prng;
  }

  /** Carries a request to a node; `reply` is called at most once, and perhaps never. */
  ask(computer: SimComputer, make: RequestMaker, reply: (reply: Reply) => void): RequestId {
    const requestId = this.#nextRequest++ as RequestId;
    const delay = this.#drawDelay();
    if (delay !== null)
      this.#timeline.after(delay, () => this.#arrive(computer, make, requestId, reply));
    return requestId;
  }

  /** Carries an answer back to whoever waits for it. */
  answered(computer: SimComputer, answer: Answer): void {
    const waiting = this.#waiting.get(answer.requestId);
    if (waiting === undefined) return;
    this.#waiting.delete(answer.requestId);
    this.#carryBack(computer, answer, waiting.reply);
  }

  /** The node is gone: who waited for it hears that the connection broke, or waits in vain. */
  broke(computer: SimComputer): void {
    for (const [requestId, waiting] of this.#waiting) {
      if (waiting.computer !== computer) continue;
      this.#waiting.delete(requestId);
      const delay = this.#drawDelay();
      if (delay !== null) this.#timeline.after(delay, () => waiting.reply(null));
    }
  }

  #arrive(
    computer: SimComputer,
    make: RequestMaker,
    requestId: RequestId,
    reply: (reply: Reply) => void,
  ): void {
    if (computer.isPaused) {
      computer.whenAwake(() => this.#arrive(computer, make, requestId, reply));
      return;
    }
    const request = make(requestId, computer.wall);
    const waiting = { computer, life: computer.life, reply };
    if (request.kind !== "cancel") this.#waiting.set(requestId, waiting);
    if (computer.offer(request)) return;
    this.#waiting.delete(requestId);
    const fault: Fault =
      computer.host === null
        ? { code: "not-serving", state: "stopped" }
        : { code: "overloaded", what: "mailbox", retryAfterMs: 20 };
    this.#carryBack(computer, { kind: "fault", requestId, fault }, reply);
  }

  #carryBack(computer: SimComputer, answer: Answer, reply: (reply: Reply) => void): void {
    const delay = this.#drawDelay();
    const { life } = computer;
    if (delay !== null) this.#timeline.after(delay, () => reply({ answer, life }));
  }

  /** Microseconds one way; null when it is lost. */
  #drawDelay(): number | null {
    const { delayMinMicros, delayMeanMicros, clientDropPerMille, clientLatePerMille } =
      this.#profile;
    const usual = delayMinMicros + drawSpan(this.#prng, delayMeanMicros);
    if (!this.isRough) return usual;
    if (clientDropPerMille > 0 && this.#prng.chance(clientDropPerMille, 1000)) return null;
    if (clientLatePerMille === 0 || !this.#prng.chance(clientLatePerMille, 1000)) return usual;
    return LATE_MIN_MICROS + drawSpan(this.#prng, LATE_MEAN_MICROS);
  }
}
