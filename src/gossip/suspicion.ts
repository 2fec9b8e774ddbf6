// One suspicion: who holds it, when it becomes a verdict. Its deadline is computed from its start
// and the number of confirmations, never re-armed from "now" (Lifeguard, section IV-B).

import { after, type Instant, type Micros } from "../base/ids.ts";
import { suspicionTimeout } from "./formulas.ts";

export interface SuspicionTerms {
  readonly startedAt: Instant;
  /** How many confirmations bring it to its minimum; 0 for the minimum at once. */
  readonly wanted: number;
  readonly timeoutMin: Micros;
  readonly timeoutMax: Micros;
}

export class Suspicion {
  readonly #terms: SuspicionTerms;
  /** Who has said so, the first accuser included: each counts once. */
  readonly #accusers: Set<string>;

  constructor(terms: SuspicionTerms, accuser: string) {
    this.#terms = terms;
    this.#accusers = new Set([accuser]);
  }

  get confirmations(): number {
    return this.#accusers.size - 1;
  }

  get deadline(): Instant {
    const { startedAt, wanted, timeoutMin, timeoutMax } = this.#terms;
    return after(startedAt, suspicionTimeout(this.confirmations, wanted, timeoutMin, timeoutMax));
  }

  /**
   * Counts `accuser` if he is new and still wanted. The set is bounded by that: who comes later
   * changes nothing.
   */
  maybeConfirm(accuser: string): boolean {
    if (this.confirmations >= this.#terms.wanted || this.#accusers.has(accuser)) return false;
    this.#accusers.add(accuser);
    return true;
  }
}
