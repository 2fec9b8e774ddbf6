// Time, as a node may ask for it. The adapter is src/adapters/os-clock.ts, the double
// sim/sim-clock.ts.

import type { Instant, WallMs } from "../base/ids.ts";

export interface Clock {
  /** Microseconds, monotonic, from any origin. */
  now(): Instant;
  /** Milliseconds since 1970; may jump. */
  wall(): WallMs;
  /**
   * Calls the inbox's `alarm` once, at or after `at`, replacing any alarm asked for before. An
   * alarm in the past rings soon, never inside this call, and never before sockets had one chance
   * to be read after it fell due (a pause must not depose a leader).
   */
  wakeAt(at: Instant): void;
  /** Rings as soon as what is ready now has been heard; never inside this call. Coalesces. */
  wakeSoon(): void;
  attach(inbox: ClockInbox): void;
}

export interface ClockInbox {
  alarm(): void;
}
