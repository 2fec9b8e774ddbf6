// Leadership on its way to another server (thesis 3.10): to whom, until when, and what the asker is
// told. Outlives the leader's role, because it is the successor's first message that completes it.
// When the successor is told to stand is in leader.ts.

import { assert } from "../base/assert.ts";
import { type Instant, type MemberId, NEVER, type Term } from "../base/ids.ts";
import type { Outbox } from "./outbox.ts";
import type { TransferVerdict } from "./protocol.ts";

export interface Transfer {
  /** Null when nobody asked: a leader that was removed leaves its place. */
  readonly transferId: number | null;
  readonly to: MemberId;
  /** The term whose leader gives way. */
  readonly term: Term;
  readonly until: Instant;
}

export class Transfers {
  readonly #outbox: Outbox;
  #current: Transfer | null = null;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  get current(): Transfer | null {
    return this.#current;
  }

  get deadline(): Instant {
    return this.#current?.until ?? NEVER;
  }

  begin(transfer: Transfer): void {
    assert(this.#current === null, "one transfer at a time");
    this.#current = transfer;
  }

  /**
   * It completes when its target is heard to lead, which is after the leadership ended; it is over
   * when another is heard. Says whether it was given up for lack of time.
   */
  follow(now: Instant, term: Term, leader: MemberId | null): boolean {
    const transfer = this.#current;
    if (transfer === null) return false;
    if (term > transfer.term && leader !== null) {
      if (leader === transfer.to) this.complete();
      else this.abort("another-leader");
      return false;
    }
    if (now < transfer.until) return false;
    this.abort("timed-out");
    return true;
  }

  complete(): void {
    const transferId = this.#current?.transferId ?? null;
    this.#current = null;
    if (transferId !== null) this.#outbox.transferVerdict({ kind: "completed", transferId });
  }

  abort(why: Extract<TransferVerdict, { kind: "aborted" }>["why"]): void {
    const transferId = this.#current?.transferId ?? null;
    this.#current = null;
    if (transferId !== null) this.#outbox.transferVerdict({ kind: "aborted", transferId, why });
  }
}
