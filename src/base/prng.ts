// Chance as a gift: named streams derived from one seed, so that a new draw in one place shifts no
// other. Built on seedrandom's alea; whole numbers only, because a float must not decide anything.

import seedrandom from "seedrandom";

import { assert } from "./assert.ts";

export class Prng {
  readonly #path: string;
  readonly #draw: () => number;

  /** Equal seeds give equal streams, on every machine. */
  constructor(seed: string) {
    this.#path = seed;
    const stream = seedrandom.alea(seed);
    this.#draw = () => stream.int32() >>> 0;
  }

  /** What this stream was made of; `new Prng(seed)` begins it again. */
  get seed(): string {
    return this.#path;
  }

  /** A stream of its own for `purpose`; does not advance this one. */
  fork(purpose: string): Prng {
    return new Prng(`${this.#path}/${purpose}`);
  }

  /** A whole number 0 .. 2^32-1. */
  uint32(): number {
    return this.#draw();
  }

  /** A whole number 0 .. bound-1, without bias; 1 <= bound <= 2^32. */
  below(bound: number): number {
    assert(bound >= 1 && bound <= 0x1_0000_0000, "bound must be 1 to 2^32", bound);
    const limit = 0x1_0000_0000 - (0x1_0000_0000 % bound);
    for (;;) {
      const drawn = this.#draw();
      if (drawn < limit) return drawn % bound;
    }
  }

  /** A whole number low .. high, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True `numerator` times in `denominator`. */
  chance(numerator: number, denominator: number): boolean {
    return this.below(denominator) < numerator;
  }

  /** One of `choices`, which must not be empty. */
  pick<T>(choices: readonly T[]): T {
    assert(choices.length > 0, "nothing to pick from");
    return choices[this.below(choices.length)] as T;
  }

  /** A new array with the same items in drawn order. */
  shuffled<T>(items: readonly T[]): T[] {
    const drawn = items.slice();
    for (let last = drawn.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      const kept = drawn[last] as T;
      drawn[last] = drawn[other] as T;
      drawn[other] = kept;
    }
    return drawn;
  }

  /** `count` drawn bytes. */
  bytes(count: number): Uint8Array {
    const drawn = new Uint8Array(count);
    for (let at = 0; at < count; at++) drawn[at] = this.#draw() & 0xff;
    return drawn;
  }
}
