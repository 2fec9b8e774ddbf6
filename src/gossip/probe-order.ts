// Who is probed next: round robin over a shuffled list, shuffled anew after each lap, newcomers put
// in at random (SWIM, section 4.3), so that every member is probed at least once in two laps less
// one. Knows names, not what became of them: the asker skips whom it does not want.

import type { Prng } from "../base/prng.ts";

export class ProbeOrder {
  readonly #prng: Prng;
  #names: string[] = [];
  #next = 0;

  /** `prng` is the stream "gossip.probe-order". */
  constructor(prng: Prng) {
    this.#prng = prng;
  }

  get size(): number {
    return this.#names.length;
  }

  insert(name: string): void {
    const at = this.#prng.below(this.#names.length + 1);
    this.#names.splice(at, 0, name);
    if (at < this.#next) this.#next += 1;
  }

  remove(name: string): void {
    const at = this.#names.indexOf(name);
    if (at < 0) return;
    this.#names.splice(at, 1);
    if (at < this.#next) this.#next -= 1;
  }

  /** The next name that `isWanted`; null when there is none. */
  take(isWanted: (name: string) => boolean): string | null {
    // What is left of this lap, and the whole of the next.
    const seenMax = 2 * this.#names.length;
    for (let seen = 0; seen < seenMax; seen++) {
      if (this.#next >= this.#names.length) this.#beginLap();
      const name = this.#names[this.#next] as string;
      this.#next += 1;
      if (isWanted(name)) return name;
    }
    return null;
  }

  #beginLap(): void {
    this.#names = this.#prng.shuffled(this.#names);
    this.#next = 0;
  }
}
