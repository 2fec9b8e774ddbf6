// Leadership given away by a leader whose disk has no room: at the first sign of it, before a write
// has to wait, and from then on as long as it is full. Owns when that is tried; to whom leadership
// goes is Raft's decision.

import { after, type Instant, millis, NEVER } from "../base/ids.ts";
import type { LogRoom } from "../log/protocol.ts";
import type { Replica } from "./replica.ts";

/** Nobody asked for these transfers: their verdict is nobody's. */
export const HANDOVER_ID = -1;

/** The others may be full, too: then leadership goes round at this pace. */
const TRY_AGAIN = millis(5_000);
/** Whoever was offered the place has taken it by then, or will not. */
const PATIENCE = millis(1_000);

export class Handover {
  readonly #replica: Replica;
  #room: LogRoom = "plenty";
  /** For the first sign of a full disk one try is enough. */
  #hasTried = false;
  #notBefore = 0 as Instant;
  #offeredAt = 0 as Instant;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  get deadline(): Instant {
    return this.#isDue ? this.#notBefore : NEVER;
  }

  room(room: LogRoom): void {
    this.#room = room;
    if (room === "plenty" || room === "congested") this.#hasTried = false;
  }

  /** True when the leader's place was offered. */
  maybeHandOver(now: Instant): boolean {
    if (!this.#isDue || now < this.#notBefore) return false;
    this.#hasTried = true;
    this.#offeredAt = now;
    this.#notBefore = after(now, TRY_AGAIN);
    this.#replica.consult(now, { kind: "transfer-requested", transferId: HANDOVER_ID, to: null });
    return true;
  }

  /** Leadership is on offer, or is about to be: a client had better ask again soon. */
  isPending(now: Instant): boolean {
    if (!this.#wantsAway) return false;
    return now >= this.#notBefore || now < after(this.#offeredAt, PATIENCE);
  }

  get #isDue(): boolean {
    return this.#wantsAway && (this.#room === "full" || !this.#hasTried);
  }

  get #wantsAway(): boolean {
    if (this.#room !== "full" && this.#room !== "scarce") return false;
    if (this.#replica.raft?.role !== "leader") return false;
    return this.#replica.state.membership.voters.length > 1;
  }
}
