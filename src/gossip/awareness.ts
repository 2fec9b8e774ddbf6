// Lifeguard's local health (arXiv 1707.00788, section IV-A): how far we may trust our own judgement
// of others. 0 is healthy; each point makes a probe wait one interval longer.

import type { Micros } from "../base/ids.ts";
import { scaledByHealth } from "./formulas.ts";

export class Awareness {
  readonly #scoreMax: number;
  #score = 0;

  /** The score stays below `multiplierMax`. */
  constructor(multiplierMax: number) {
    this.#scoreMax = Math.max(0, multiplierMax - 1);
  }

  get score(): number {
    return this.#score;
  }

  /** A probe was answered. */
  probeSucceeded(): void {
    this.#move(-1);
  }

  /**
   * A probe failed. Helpers who said that they had no answer either prove that we hear others: only
   * those who said nothing count against us, or one where nobody could have said so.
   */
  probeFailed(nacksExpected: number, nacksReceived: number): void {
    this.#move(nacksExpected > 0 ? Math.max(0, nacksExpected - nacksReceived) : 1);
  }

  /** Somebody thought us gone: we have been too slow for them. */
  refuted(): void {
    this.#move(1);
  }

  /** We woke later than we meant to, by whole probe intervals. */
  wokeLate(): void {
    this.#move(1);
  }

  scale(span: Micros): Micros {
    return scaledByHealth(span, this.#score);
  }

  #move(delta: number): void {
    this.#score = Math.min(this.#scoreMax, Math.max(0, this.#score + delta));
  }
}
