// The numbers by which pings and their answers find each other: one count for all pings of a
// member, its own and those on behalf of others.

const TWO_32 = 0x1_0000_0000;

export class Sequence {
  #last = 0;

  /** From 1; after 2^32 - 1 comes 0. */
  take(): number {
    this.#last = (this.#last + 1) % TWO_32;
    return this.#last;
  }
}
