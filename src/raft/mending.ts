// Mending: what becomes of a server whose log lost entries that were durable. Until it has them
// again it is counted for nothing, and this file says from when until when, as its leader sees it.
// Owns which of a peer's answers may be believed; that a server which mends neither votes nor
// stands is in raft.ts, what it does to its own log is in follower.ts.
//
// An acknowledgement promises that an entry is there for the next election. A server that has lost
// entries has broken such promises, some of them perhaps still on their way to a leader:
//
//   1. B acknowledges entry 9 of term 2, and A commits it by A and B of A, B, C
//   2. B loses entry 9 and starts again: voting for C, which never had it, would be the end of it
//   3. so B does not vote, and its answers name the loss; from the first of them on A believes no
//      answer that does not, unless it echoes a round that began later: the others are from before
//   4. when everything that A's log held at that moment is committed by others, A says so, naming
//      the loss; B has that much durably, notes that it is whole, and its answers count again
//
// Whatever B had acknowledged to A is in A's log at 3; what it had acknowledged to leaders before
// and is committed, too, because A was elected without B or by a B that was whole. A loss is named
// by a number that only grows on one directory, so that neither side takes news of an earlier one
// for this (Protocol-Aware Recovery, FAST 2018, has a node that lost its end recover so, 3.3.3).

import { type LogIndex, NO_INDEX } from "../base/ids.ts";

/** What a leader says to a server that mends. */
export interface Mend {
  /** Which loss is meant. */
  readonly loss: number;
  /** Who has everything up to here, durably, has everything that it ever acknowledged. */
  readonly index: LogIndex;
}

/**
 * How an answer is to be taken. "counts": as any. "mends": its sender is counted for nothing.
 * "lost": the same, and nothing it said before is true any more. "mended": from now on it counts
 * again, with all it has. "late": it is from before the loss, or of an earlier one, and says
 * nothing.
 */
export type Credit = "counts" | "mends" | "lost" | "mended" | "late";

/** One peer's losses, as the leader of one term learns of them. */
export class PeerLosses {
  /** The loss that it mends; 0 when it counts. */
  #loss = 0;
  /** The last loss that it has mended, as far as is known here. */
  #mended = 0;
  /** The leader's round when it first heard of the loss: answers to this one may be from before. */
  #heardInRound = 0;
  /** The leader's last index at that moment. */
  #index: LogIndex = NO_INDEX;

  get isMending(): boolean {
    return this.#loss !== 0;
  }

  /** What it is to be told once the others hold that much. */
  get mend(): Mend {
    return { loss: this.#loss, index: this.#index };
  }

  /**
   * An answer that names `loss` (0: none) and echoes `echoed`, when the leader is in `round` and
   * its log ends at `lastIndex`.
   */
  credit(loss: number, echoed: number, round: number, lastIndex: LogIndex): Credit {
    if (loss === 0) return this.#creditWhole(echoed);
    if (loss < this.#loss || loss <= this.#mended) return "late";
    if (loss === this.#loss) return "mends";
    this.#loss = loss;
    this.#heardInRound = round;
    this.#index = lastIndex;
    return "lost";
  }

  #creditWhole(echoed: number): Credit {
    if (this.#heardInRound > 0 && echoed <= this.#heardInRound) return "late";
    if (this.#loss === 0) return "counts";
    this.#mended = this.#loss;
    this.#loss = 0;
    return "mended";
  }
}
