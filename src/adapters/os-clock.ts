// The Clock port over the process's monotonic clock and one timer of the event loop. Owns when an
// alarm rings relative to the loop's phases; what a deadline means is the node's. The double is
// sim/sim-clock.ts.
//
// Why an alarm is not rung from the timer itself: (1) a process is paused for a second; (2) in the
// socket lies the heartbeat that would have prevented an election; (3) the loop runs due timers
// before it polls sockets, so a clock that rings in the timer deposes a healthy leader. Here an
// alarm that fell due is first noticed, then the loop polls once, then it rings.

import { assert } from "../base/assert.ts";
import { type Instant, NEVER, type WallMs } from "../base/ids.ts";
import type { Clock, ClockInbox } from "../ports/clock.ts";

/** setTimeout turns a longer delay into 1 ms (Node's TIMEOUT_MAX). */
const TIMER_MS_MAX = 2 ** 31 - 1;

export class OsClock implements Clock {
  #inbox: ClockInbox | null = null;
  /** When the alarm asked for falls due; NEVER when none is waited for. */
  #alarmAt: Instant = NEVER;
  /** The alarm was seen to be due, and the loop has polled its sockets, or will before #check. */
  #dueSeen = false;
  #soonAsked = false;
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #closed = false;

  now(): Instant {
    const [seconds, nanoseconds] = process.hrtime();
    return (seconds * 1_000_000 + Math.floor(nanoseconds / 1000)) as Instant;
  }

  wall(): WallMs {
    return Date.now() as WallMs;
  }

  attach(inbox: ClockInbox): void {
    assert(this.#inbox === null, "a clock has one inbox");
    this.#inbox = inbox;
  }

  wakeAt(at: Instant): void {
    if (this.#closed) return;
    this.#stopTimer();
    this.#alarmAt = at;
    this.#dueSeen = false;
    this.#arm();
  }

  wakeSoon(): void {
    if (this.#closed) return;
    this.#soonAsked = true;
    this.#checkLater();
  }

  /** Rings no more and lets the process end; for after the node has stopped. */
  close(): void {
    this.#closed = true;
    this.#alarmAt = NEVER;
    this.#soonAsked = false;
    this.#stopTimer();
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#immediate = null;
  }

  #arm(): void {
    if (this.#alarmAt === NEVER) return;
    const micros = this.#alarmAt - this.now();
    if (micros <= 0) {
      this.#checkLater();
      return;
    }
    const delayMs = Math.min(Math.ceil(micros / 1000), TIMER_MS_MAX);
    this.#timer = setTimeout(() => this.#timerRang(), delayMs);
  }

  #timerRang(): void {
    this.#timer = null;
    // The loop counts from when this round of it began, so a timer may run out early; and a delay
    // beyond TIMER_MS_MAX is waited for in pieces.
    if (this.now() < this.#alarmAt) {
      this.#arm();
      return;
    }
    // Timers, then poll, then check: the sockets are read before the immediate runs.
    this.#dueSeen = true;
    this.#checkLater();
  }

  #checkLater(): void {
    this.#immediate ??= setImmediate(() => this.#check());
  }

  /** In the loop's check phase, just after a poll. */
  #check(): void {
    this.#immediate = null;
    const due = this.#alarmAt <= this.now();
    if (due && !this.#dueSeen) {
      // It may have fallen due after this round's poll: one more round. That holds for wakeSoon
      // too, because the turn it starts lets the same time pass.
      this.#dueSeen = true;
      this.#checkLater();
      return;
    }
    if (due) {
      this.#alarmAt = NEVER;
      this.#dueSeen = false;
      this.#stopTimer();
    } else if (!this.#soonAsked) {
      return;
    }
    this.#soonAsked = false;
    assert(this.#inbox !== null, "a clock rings for its inbox: attach one first");
    this.#inbox.alarm();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
