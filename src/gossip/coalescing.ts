// User events that may coalesce, on their way to the host: of those with one name in a window only
// the last is told. The window ends a while after its first event, or sooner when nothing comes for
// a shorter while (Serf's coalescing). Owns the window; what an event is is user-events.ts.

import { after, earlier, type Instant, type Micros, NEVER } from "../base/ids.ts";
import type { UserEvent } from "./messages.ts";

/** Events that wait in one window; more end it. */
export const COALESCED_MAX = 512;

export class Coalescing {
  readonly #period: Micros;
  readonly #quiet: Micros;
  readonly #tell: (event: UserEvent) => void;
  /** By name, in the order of first coming: all of the latest time. */
  readonly #latest = new Map<string, UserEvent[]>();
  #count = 0;
  #endsAt: Instant = NEVER;
  #quietAt: Instant = NEVER;

  constructor(period: Micros, quiet: Micros, tell: (event: UserEvent) => void) {
    this.#period = period;
    this.#quiet = quiet;
    this.#tell = tell;
  }

  get deadline(): Instant {
    return earlier(this.#endsAt, this.#quietAt);
  }

  /** Those of one name and one Lamport time are told side by side; the earlier are forgotten. */
  add(now: Instant, event: UserEvent): void {
    if (this.#count >= COALESCED_MAX) this.flush();
    if (this.#endsAt === NEVER) this.#endsAt = after(now, this.#period);
    this.#quietAt = after(now, this.#quiet);
    const known = this.#latest.get(event.name) ?? [];
    const time = known[0]?.time ?? 0;
    if (event.time < time) return;
    if (event.time === time) known.push(event);
    else this.#latest.set(event.name, [event]);
    this.#count += event.time === time ? 1 : 1 - known.length;
  }

  timePassed(now: Instant): void {
    if (now >= this.deadline) this.flush();
  }

  /** Ends the window. */
  flush(): void {
    const told = [...this.#latest.values()].flat();
    this.#latest.clear();
    this.#count = 0;
    this.#endsAt = NEVER;
    this.#quietAt = NEVER;
    for (const event of told) this.#tell(event);
  }
}
