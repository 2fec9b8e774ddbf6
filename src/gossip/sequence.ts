// The numbers by which pings and their answers find each other: one count for all pings of a
// member, its own and those on behalf of others.

const TWO_32 = 0x1_0000_0000;
/** How many of the last numbers may still be answered: late, or a second time. */
const RECENT = 1024;

export class Sequence {
  #last = 0;
  #taken = 0;

  /** From 1; after 2^32 - 1 comes 0. */
  take(): number {
    this.#last = (this.#last + 1) % TWO_32;
    this.#taken = Math.min(this.#taken + 1, RECENT);
    return this.#last;
  }

  /** True for a number that was taken lately: its answer is late or doubled, and nothing wrong. */
  isRecent(sequence: number): boolean {
    return (this.#last - sequence + TWO_32) % TWO_32 < this.#taken;
  }
}
