// Leadership given away by a leader whose disk is in another's way: one that has no room, at the
// first sign of it, before a write has to wait, and from then on as long as it is full; and one
// whose base checkpoint cannot be read, once somebody needs it, because nobody can be brought a
// later one (what is between would be lost to it), and another may have its own. Owns when that is
// tried; to whom leadership goes is Raft's decision.

import { after, type Instant, millis, NEVER, type Term } from "../base/ids.ts";
import type { LogBase, LogRoom } from "../log/protocol.ts";
import type { Replica } from "./replica.ts";

/** Nobody asked for these transfers: their verdict is nobody's. */
export const HANDOVER_ID = -1;

/** The others may be full, too: then leadership goes round at this pace. */
const TRY_AGAIN = millis(5_000);
/** A disk may return a wrong byte once: so many reads of the base in a row tell that it rotted. */
const MISREADS_MAX = 2;
/** Whoever was offered the place has taken it by then, or will not. */
const PATIENCE = millis(1_000);

export class Handover {
  readonly #replica: Replica;
  #room: LogRoom = "plenty";
  /** For the first sign of a full disk one try is enough. */
  #hasTried = false;
  #notBefore = 0 as Instant;
  /** Reads in a row that found the base unreadable, while leading in this term. */
  #misreads = 0;
  #misreadIn: Term | null = null;
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

  /** Somebody was to be brought the base, and this is what became of it. */
  baseRead(read: LogBase): void {
    const term = this.#replica.raft?.term ?? null;
    if (read.kind === "failed" && read.fault.code === "damaged") {
      this.#misreads = this.#misreadIn === term ? this.#misreads + 1 : 1;
      this.#misreadIn = term;
    } else if (read.kind !== "failed") this.#misreads = 0;
  }

  /** True when the leader's place was offered. */
  maybeHandOver(now: Instant): boolean {
    if (!this.#isDue || now < this.#notBefore) return false;
    if (!this.#isFilling && !this.#hasPeerAbreast) {
      this.#notBefore = after(now, TRY_AGAIN);
      return false;
    }
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
    if (!this.#wantsAway) return false;
    return this.#room === "full" || this.#hasLostBase || !this.#hasTried;
  }

  get #wantsAway(): boolean {
    if (!this.#isFilling && !this.#hasLostBase) return false;
    if (this.#replica.raft?.role !== "leader") return false;
    return this.#replica.state.membership.voters.length > 1;
  }

  get #isFilling(): boolean {
    return this.#room === "full" || this.#room === "scarce";
  }

  get #hasLostBase(): boolean {
    return this.#misreads >= MISREADS_MAX && this.#replica.raft?.term === this.#misreadIn;
  }

  /** Who needs the base itself cannot lead in the place of who cannot bring it. */
  get #hasPeerAbreast(): boolean {
    const peers = this.#replica.raft?.status().peers ?? [];
    const { voters } = this.#replica.state.membership;
    return peers.some(({ peer, mode }) => mode === "replicate" && voters.includes(peer));
  }
}
