// One stream of appends, of single records or of batches: many in flight, responses in the order of
// the requests, the first failure ends it. Owns order and back-pressure, both ways; who appends is
// given.

import type { Answer } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import type { Respond } from "./in-flight.ts";

/** Where a stream's answers go. */
export interface ProduceSink<Response> {
  /** False: no more fits for now; the stream goes on after `drained`. */
  produced(response: Response): boolean;
  /** There is room again after a `push` that said false. */
  resume(): void;
  /** Nothing comes after this; null when all was answered. */
  ended(fault: Fault | null): void;
}

type Appended = Extract<Answer, { kind: "appended" }>;

interface Slot {
  answer: Answer | null;
}

export class ProduceStream<Request, Response> {
  readonly #windowMax: number;
  readonly #append: (request: Request, respond: Respond) => void;
  readonly #answered: (appended: Appended) => Response;
  readonly #sink: ProduceSink<Response>;
  /** In the order of the requests. */
  readonly #slots: Slot[] = [];
  #isFull = false;
  #isBlocked = false;
  #isFinished = false;
  #hasEnded = false;

  /** At most `windowMax` requests are in flight; `append` answers each exactly once. */
  constructor(
    windowMax: number,
    append: (request: Request, respond: Respond) => void,
    answered: (appended: Appended) => Response,
    sink: ProduceSink<Response>,
  ) {
    this.#windowMax = windowMax;
    this.#append = append;
    this.#answered = answered;
    this.#sink = sink;
  }

  /** Takes one more request. False: the window is full, push nothing until the sink's `resume`. */
  push(request: Request): boolean {
    if (this.#hasEnded) return true;
    const slot: Slot = { answer: null };
    this.#slots.push(slot);
    this.#append(request, (answer) => {
      slot.answer = answer;
      this.#release();
    });
    this.#isFull = this.#slots.length >= this.#windowMax;
    return !this.#isFull;
  }

  /** The next request was no request: what came before is answered, then the stream ends so. */
  pushFault(fault: Fault): void {
    this.#slots.push({ answer: { kind: "fault", requestId: 0 as Answer["requestId"], fault } });
    this.#release();
  }

  /** The caller sends no more. */
  finish(): void {
    this.#isFinished = true;
    this.#release();
  }

  /** The sink has room again. */
  drained(): void {
    this.#isBlocked = false;
    this.#release();
  }

  /** The caller is gone: nothing more is said. What is in flight goes on. */
  abandon(): void {
    this.#hasEnded = true;
    this.#slots.length = 0;
  }

  #release(): void {
    while (!this.#hasEnded && !this.#isBlocked) {
      const answer = this.#slots[0]?.answer ?? null;
      if (answer === null) break;
      this.#slots.shift();
      if (answer.kind === "appended")
        this.#isBlocked = !this.#sink.produced(this.#answered(answer));
      else this.#end(answer.kind === "fault" ? answer.fault : { code: "outcome-unknown" });
    }
    if (this.#hasEnded) return;
    if (this.#isFinished && this.#slots.length === 0) this.#end(null);
    else if (this.#isFull && this.#slots.length <= this.#windowMax / 2) {
      this.#isFull = false;
      this.#sink.resume();
    }
  }

  #end(fault: Fault | null): void {
    this.#hasEnded = true;
    this.#slots.length = 0;
    this.#sink.ended(fault);
  }
}
