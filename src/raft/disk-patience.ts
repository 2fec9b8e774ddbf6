// Whether this server's disk still does anything: how long its oldest write has been outstanding,
// and what the host says of everything else. A server that can make nothing durable, or read
// nothing back, can answer heartbeats for ever: so it must neither lead nor stand for election.
// Owns the bound; what follows is decided in raft.ts and succession.ts.

import { after, type Instant, type Micros, NEVER } from "../base/ids.ts";
import type { Journal } from "./journal.ts";

/** The bound where nobody gives another, in electionTimeoutMax. */
export const DISK_PATIENCE_TIMEOUTS = 4;

export class DiskPatience {
  readonly #journal: Journal;
  readonly #patience: Micros;
  #isHungForHost = false;
  #isFull = false;
  #fullUntil = 0 as Instant;

  constructor(journal: Journal, patience: Micros) {
    this.#journal = journal;
    this.#patience = patience;
  }

  /** When the oldest write will have been outstanding for too long; NEVER without any. */
  get deadline(): Instant {
    const since = this.#journal.oldestWriteAt;
    if (since === NEVER || this.#isFull) return NEVER;
    return after(since > this.#fullUntil ? since : this.#fullUntil, this.#patience);
  }

  /** A full disk works: its writes wait for room, and a trim that a leader writes makes some. */
  hostSaysFull(now: Instant, isFull: boolean): void {
    if (this.#isFull && !isFull) this.#fullUntil = now;
    this.#isFull = isFull;
  }

  /** The host knows of reads, too. */
  hostSays(isHung: boolean): void {
    this.#isHungForHost = isHung;
  }

  isExhausted(now: Instant): boolean {
    return this.#isHungForHost || now >= this.deadline;
  }
}
