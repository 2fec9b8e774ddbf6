// Virtual time: it stands still while something happens and then jumps to the next event. Owns the
// instant of a run and its one queue; what happens is the business of whoever put it in.

import { assert } from "../src/base/assert.ts";
import type { Instant } from "../src/base/ids.ts";
import { EventQueue, type Happening } from "./event-queue.ts";

export class Timeline {
  readonly #queue = new EventQueue();
  #now = 0;
  #happened = 0;

  /** Microseconds since the run began. */
  get now(): Instant {
    return this.#now as Instant;
  }

  /** Events so far. */
  get happened(): number {
    return this.#happened;
  }

  /** The instant of the next event; Infinity when nothing is left. */
  get next(): number {
    return this.#queue.nextInstant;
  }

  /** Puts an event at an instant that has not passed; whole microseconds. */
  at(instant: number, happening: Happening): void {
    assert(Number.isInteger(instant), "instants are whole microseconds", instant);
    assert(instant >= this.#now, "nothing happens in the past", instant, this.#now);
    this.#queue.put(instant, happening);
  }

  /** Puts an event `span` microseconds from now; 0 is after all that is due now. */
  after(span: number, happening: Happening): void {
    this.at(this.#now + span, happening);
  }

  /** Lets the next event happen; only when there is one. */
  advance(): void {
    this.#now = this.#queue.nextInstant;
    this.#happened++;
    this.#queue.take()();
  }

  /**
   * Lets everything happen up to and with `instant`, then stands there. For tests of single ports.
   */
  advanceTo(instant: number): void {
    while (this.next <= instant) this.advance();
    this.#now = instant;
  }
}
