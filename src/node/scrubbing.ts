// When the log is asked to read its sealed segments again, and how much at a time: a little every
// now and then, so that a pass over all of them goes by unnoticed, then a rest until the next pass.
// Owns the pace; what is read and what is found is src/log/scrub.ts.

import { after, type Instant, type Micros, NEVER } from "../base/ids.ts";
import type { Replica } from "./replica.ts";

/** Asked for at once: a quarter of a second's worth, so that a pass has no bursts. */
const SLICE: Micros = 250_000 as Micros;

export interface ScrubPace {
  /** 0: never. */
  readonly scrubBytesPerSecond: number;
  /** From the begin of a pass to the begin of the next one, if it is over by then. */
  readonly scrubEvery: Micros;
}

export class Scrubbing {
  readonly #pace: ScrubPace;
  readonly #replica: Replica;
  #next: Instant = NEVER;
  #passes = 0;
  #passBegan = 0 as Instant;
  #isResting = false;

  constructor(pace: ScrubPace, replica: Replica) {
    this.#pace = pace;
    this.#replica = replica;
  }

  get deadline(): Instant {
    return this.#next;
  }

  begin(now: Instant): void {
    if (this.#pace.scrubBytesPerSecond === 0) return;
    this.#passBegan = now;
    this.#next = after(now, SLICE);
  }

  stop(): void {
    this.#next = NEVER;
  }

  ring(now: Instant): void {
    if (now < this.#next) return;
    if (this.#isResting) {
      this.#isResting = false;
      this.#passBegan = now;
    }
    const { scrubPasses, hasSealed } = this.#replica;
    if (scrubPasses > this.#passes || !hasSealed) this.#rest(now);
    else {
      const bytesMax = Math.ceil(this.#pace.scrubBytesPerSecond / 4);
      this.#replica.stepLog(now, { kind: "scrub", bytesMax });
      this.#next = after(now, SLICE);
    }
  }

  #rest(now: Instant): void {
    this.#passes = this.#replica.scrubPasses;
    this.#isResting = true;
    const next = after(this.#passBegan, this.#pace.scrubEvery);
    this.#next = next > now ? next : after(now, SLICE);
  }
}
