// The way between clients and nodes: requests and answers take time, get lost or come late, and a
// connection breaks with its node. Owns request ids and the fate of what is carried; what a client
// makes of it is sim/sim-client.ts.

import type { Answer, ClientRequest, NodeStatus } from "../src/base/client.ts";
import type { Fault } from "../src/base/faults.ts";
import type { RequestId, WallMs } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import type { SimComputer } from "./computer.ts";
import type { NetworkProfile } from "./plan.ts";
import { drawSpan } from "./spans.ts";
import type { Timeline } from "./timeline.ts";

/** An answer, and the life of the node that gave it; null when the connection broke first. */
export type Reply = { readonly answer: Answer; readonly life: number } | null;

/** Refused at the door: the node is not asked. */
export interface Refused {
  readonly kind: "refused";
  readonly fault: Fault;
}

/** Makes the request at the node's door, where its wall clock and its status are read. */
export type RequestMaker = (
  requestId: RequestId,
  wall: WallMs,
  status: () => NodeStatus,
) => ClientRequest | Refused;

/** What a client asked, and what its node must answer well before; both in one life of it. */
interface Asked {
  readonly requestId: RequestId;
  readonly make: RequestMaker;
  readonly first: RequestMaker | null;
  readonly reply: (reply: Reply) => void;
}

interface Waiting {
  readonly computer: SimComputer;
  readonly life: number;
  readonly asked: Asked;
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

  /**
   * Carries a request to a node; `reply` is called at most once, and perhaps never. With `first`
   * the node is asked that before, and the request only after an answer that is no fault.
   */
  ask(
    computer: SimComputer,
    make: RequestMaker,
    reply: (reply: Reply) => void,
    first: RequestMaker | null = null,
  ): RequestId {
    const requestId = this.#nextRequest++ as RequestId;
    const asked = { requestId, make, first, reply };
    const delay = this.#drawDelay();
    if (delay !== null) this.#timeline.after(delay, () => this.#arrive(computer, asked));
    return requestId;
  }

  /** Carries an answer back to whoever waits for it. */
  answered(computer: SimComputer, answer: Answer): void {
    const waiting = this.#waiting.get(answer.requestId);
    if (waiting === undefined) return;
    this.#waiting.delete(answer.requestId);
    const { asked, life } = waiting;
    if (asked.first === null || answer.kind === "fault") {
      this.#carryBack(computer, answer, asked.reply);
      return;
    }
    // As the service goes on once the node's turn is over.
    this.#timeline.after(0, () => {
      if (computer.host === null || computer.life !== life) this.#breakOff(asked);
      else this.#arrive(computer, { ...asked, first: null });
    });
  }

  /** The node is gone: who waited for it hears that the connection broke, or waits in vain. */
  broke(computer: SimComputer): void {
    for (const [requestId, waiting] of this.#waiting) {
      if (waiting.computer !== computer) continue;
      this.#waiting.delete(requestId);
      this.#breakOff(waiting.asked);
    }
  }

  #breakOff({ reply }: Asked): void {
    const delay = this.#drawDelay();
    if (delay !== null) this.#timeline.after(delay, () => reply(null));
  }

  #arrive(computer: SimComputer, asked: Asked): void {
    if (computer.isPaused) {
      computer.whenAwake(() => this.#arrive(computer, asked));
      return;
    }
    const { first, make, reply } = asked;
    // What is asked first has an id of its own, as everything that a node is asked.
    const requestId = first === null ? asked.requestId : (this.#nextRequest++ as RequestId);
    const refuse = (fault: Fault) =>
      this.#carryBack(computer, { kind: "fault", requestId, fault }, reply);
    const { host } = computer;
    if (host === null) {
      refuse({ code: "not-serving", state: "stopped" });
      return;
    }
    const request = (first ?? make)(requestId, computer.wall, () => host.status());
    if (request.kind === "refused") {
      refuse(request.fault);
      return;
    }
    const waiting = { computer, life: computer.life, asked };
    if (request.kind !== "cancel") this.#waiting.set(requestId, waiting);
    if (computer.offer(request)) return;
    this.#waiting.delete(requestId);
    refuse({ code: "overloaded", what: "mailbox", retryAfterMs: 20 });
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
