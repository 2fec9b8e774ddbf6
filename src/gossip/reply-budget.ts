// How much one packet may make us send at once: three bytes for each of its own, whoever it says it
// is from, so that nobody can use us to flood another. What others are told at their own pace, by
// gossip, is bounded there.

/** Bytes sent unasked for each byte received. */
export const AMPLIFICATION_MAX = 3;

export class ReplyBudget {
  #left: number;

  constructor(packetBytes: number) {
    this.#left = AMPLIFICATION_MAX * packetBytes;
  }

  get left(): number {
    return this.#left;
  }

  /** False, and nothing is spent, where it does not suffice. */
  maybeSpend(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }
}
