// Frames that change on their way: one to three bits, half of the time in the first bytes, where a
// frame says what it is. Owns which frame and which bits; a checksum must find each of them out.

import { type FrozenBytes, freeze } from "../src/base/bytes.ts";
import type { Prng } from "../src/base/prng.ts";

const FLIPS_MAX = 3;
const HEAD_BYTES = 32;

export class FrameCorrupter {
  readonly #prng: Prng;
  perMille = 0;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** The frame itself, or a changed copy. */
  passed(frame: FrozenBytes): FrozenBytes {
    const prng = this.#prng;
    if (this.perMille === 0 || frame.length === 0 || !prng.chance(this.perMille, 1000))
      return frame;
    const changed = new Uint8Array(frame);
    const flipped = new Set<number>();
    for (let left = prng.between(1, FLIPS_MAX); left > 0; left--) {
      const among = prng.chance(1, 2) ? Math.min(HEAD_BYTES, frame.length) : frame.length;
      const bit = prng.below(8 * among);
      // A bit that flips twice is as it was.
      if (flipped.has(bit)) continue;
      flipped.add(bit);
      const at = bit >> 3;
      changed[at] = (changed[at] as number) ^ (1 << (bit & 7));
    }
    return freeze(changed);
  }
}
