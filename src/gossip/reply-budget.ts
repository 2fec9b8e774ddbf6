// How much one packet may make us send at once: three bytes for each of its own, whoever it says it
// is from, so that nobody can use us to flood another. What others are told at their own pace, by
// gossip, is bounded there. Answers to queries may take more, out of an allowance for all of them.

import type { Instant } from "../base/ids.ts";

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

/** What long answers to queries may take a second, and at once. */
export const ANSWER_BYTES_PER_SECOND = 32 * 1024;
const SECOND = 1_000_000;

/**
 * What answers to queries may take that are longer than the query has paid for. Only members are
 * answered so, where we know them to be: a forged query makes all of us answer one of us, and this
 * is how much each of us will.
 */
export class AnswerAllowance {
  /** In millionths of a byte, so that nothing is lost to rounding. */
  #left = ANSWER_BYTES_PER_SECOND * SECOND;
  #countedAt: Instant;

  constructor(now: Instant) {
    this.#countedAt = now;
  }

  /** False, and nothing is spent, where it does not suffice. */
  maybeSpend(now: Instant, bytes: number): boolean {
    const elapsed = Math.min(now - this.#countedAt, SECOND);
    const grown = this.#left + elapsed * ANSWER_BYTES_PER_SECOND;
    this.#left = Math.min(grown, ANSWER_BYTES_PER_SECOND * SECOND);
    this.#countedAt = now;
    if (bytes * SECOND > this.#left) return false;
    this.#left -= bytes * SECOND;
    return true;
  }
}
