// The shape of every pure machine: one door in, one door out, and the next instant that matters.

import type { Instant } from "./ids.ts";

export interface Machine<Event, Output> {
  /** Takes one event; synchronous, total: only a bug makes it throw. `now` never goes back. */
  step(now: Instant, event: Event): void;
  /** All decisions since the last call, coalesced; null when there are none. */
  takeOutput(): Output | null;
  /** When a "deadline" event would next matter; NEVER when nothing is waited for. */
  readonly deadline: Instant;
}
