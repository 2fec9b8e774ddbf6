// One node's clock in one life: a monotonic time with an origin of its own, a wall clock that may
// be wrong, and two alarms. The contract is src/ports/clock.ts. Owns no time: sim/timeline.ts does.

import { assert } from "../src/base/assert.ts";
import { type Instant, NEVER, type WallMs } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import type { Clock, ClockInbox } from "../src/ports/clock.ts";
import { drawSpan } from "./spans.ts";
import type { Timeline } from "./timeline.ts";

/** The wall clock of a run starts here: 2030-01-01 00:00 UTC. */
const WALL_AT_START_MS = 1_893_456_000_000;
/** An operating system rings a little late. */
const LATENESS_MEAN_MICROS = 60;
/** Mail that comes while a node is busy with the turn before is heard together. */
const SOON_MEAN_MICROS = 15;

/** A computer's wall clock: it goes on while nobody asks it, and mishaps set it. */
export class SimWall {
  readonly #timeline: Timeline;
  #aheadMs: number;
  /** What it shows while it stands still; null when it goes. */
  #frozenAt: WallMs | null = null;

  constructor(timeline: Timeline, aheadMs: number) {
    this.#timeline = timeline;
    this.#aheadMs = aheadMs;
  }

  get now(): WallMs {
    if (this.#frozenAt !== null) return this.#frozenAt;
    const elapsedMs = Math.floor(this.#timeline.now / 1000);
    return (WALL_AT_START_MS + elapsedMs + this.#aheadMs) as WallMs;
  }

  step(byMs: number): void {
    this.#aheadMs += byMs;
  }

  freeze(): void {
    this.#frozenAt = this.now;
  }

  thaw(): void {
    this.#frozenAt = null;
  }
}

export interface SimClockOptions {
  /** What the monotonic clock shows when the run is at its start, whole microseconds. */
  readonly origin: number;
  /** Parts per million by which it runs too fast. */
  readonly driftPpm: number;
  readonly wall: SimWall;
  readonly prng: Prng;
  /** Called before and after each alarm that rings: between the two is the node's turn. */
  readonly rings: () => void;
  readonly rang: () => void;
}

export class SimClock implements Clock {
  readonly #timeline: Timeline;
  readonly #options: SimClockOptions;
  #inbox: ClockInbox | null = null;
  #isHalted = false;
  #isPaused = false;
  /** Something rang while nobody could hear it. */
  #hasMissed = false;
  /** When the alarm is due on the timeline; NEVER when none is asked for. */
  #due: number = NEVER;
  /** The earliest instant at which the timeline will ask whether the alarm is due. */
  #asksAt: number = NEVER;
  #isSoon = false;

  constructor(timeline: Timeline, options: SimClockOptions) {
    this.#timeline = timeline;
    this.#options = options;
  }

  now(): Instant {
    return this.#shownAt(this.#timeline.now);
  }

  wall(): WallMs {
    return this.#options.wall.now;
  }

  wakeAt(at: Instant): void {
    this.#due = NEVER;
    if (at === NEVER) return;
    const lateness = drawSpan(this.#options.prng, LATENESS_MEAN_MICROS);
    this.#due = Math.max(this.#instantOf(at), this.#timeline.now) + lateness;
    this.#askAt(this.#due);
  }

  wakeSoon(): void {
    if (this.#isSoon) return;
    this.#isSoon = true;
    this.#timeline.after(drawSpan(this.#options.prng, SOON_MEAN_MICROS), () => {
      this.#isSoon = false;
      this.#ring();
    });
  }

  attach(inbox: ClockInbox): void {
    this.#inbox = inbox;
  }

  /** What this clock shows at an instant of the run. */
  #shownAt(instant: number): Instant {
    const { origin, driftPpm } = this.#options;
    return (origin + instant + Math.floor((instant * driftPpm) / 1_000_000)) as Instant;
  }

  /** The first instant of the run at which this clock shows `shown`. */
  #instantOf(shown: number): number {
    const { origin, driftPpm } = this.#options;
    let instant = Math.floor(((shown - origin) * 1_000_000) / (1_000_000 + driftPpm));
    while (this.#shownAt(instant) < shown) instant++;
    return instant;
  }

  /** The process stands still: what rings is heard when it goes on. */
  pause(): void {
    this.#isPaused = true;
  }

  /** The process goes on, and what its sockets hold is read before this rings. */
  resume(): void {
    this.#isPaused = false;
    if (!this.#hasMissed) return;
    this.#hasMissed = false;
    this.#timeline.after(0, () => this.#ring());
  }

  /** The node is gone: nothing rings any more. */
  halt(): void {
    this.#isHalted = true;
  }

  /**
   * An alarm that moves on, as a leader's heartbeat moves an election on, costs no event of its
   * own.
   */
  #askAt(instant: number): void {
    if (this.#asksAt <= instant) return;
    this.#asksAt = instant;
    this.#timeline.at(instant, () => {
      if (this.#asksAt !== instant) return;
      this.#asksAt = NEVER;
      if (this.#due > instant) {
        if (this.#due !== NEVER) this.#askAt(this.#due);
        return;
      }
      // Mail of this very instant goes first, whenever it was put into the queue: yield to it once.
      this.#timeline.after(0, () => {
        if (this.#due > instant) return;
        this.#due = NEVER;
        this.#ring();
      });
    });
  }

  #ring(): void {
    if (this.#isHalted) return;
    if (this.#isPaused) {
      this.#hasMissed = true;
      return;
    }
    assert(this.#inbox !== null, "a clock rings for somebody: attach an inbox first");
    this.#options.rings();
    this.#inbox.alarm();
    this.#options.rang();
  }
}
