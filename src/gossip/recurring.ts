// What comes back every so often: an instant that moves on by an interval, in a phase drawn once,
// so that members which started together do not act together. Instants that passed unused are
// skipped, never made up for.

import { after, type Instant, type Micros } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";

export class Recurring {
  #at: Instant;

  /** First within one interval of `now`. */
  constructor(now: Instant, interval: Micros, prng: Prng) {
    this.#at = after(now, prng.below(interval) as Micros);
  }

  get at(): Instant {
    return this.#at;
  }

  isDue(now: Instant): boolean {
    return now >= this.#at;
  }

  /** Moves to the first instant of the phase that is after `now`. */
  moveBeyond(now: Instant, interval: Micros): void {
    if (this.#at > now) return;
    const missed = Math.floor((now - this.#at) / interval) + 1;
    this.#at = (this.#at + missed * interval) as Instant;
  }
}
