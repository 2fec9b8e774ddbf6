// Bytes as somebody might send them who means no good: valid ones, changed in one or several of a
// few ways. Owns the ways; what is done with the bytes is the test's.

import { Prng } from "../../src/base/prng.ts";

/** Numbers at which lengths and counts break. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x0a, 0x12, 0xc1] as const;

export class Mutator {
  readonly #prng: Prng;
  readonly #samples: readonly Uint8Array[];

  constructor(seed: string, samples: readonly Uint8Array[]) {
    this.#prng = new Prng(seed);
    this.#samples = samples;
  }

  /** Bytes of its own: nobody else's buffer is written to. */
  next(): Uint8Array {
    const prng = this.#prng;
    if (prng.below(20) === 0) return prng.bytes(prng.below(200));
    let bytes: Uint8Array = Uint8Array.from(this.#sample());
    for (let left = prng.between(1, 4); left > 0; left--) bytes = this.#changed(bytes);
    return bytes;
  }

  #sample(): Uint8Array {
    return this.#samples[this.#prng.below(this.#samples.length)] ?? new Uint8Array(0);
  }

  #changed(bytes: Uint8Array): Uint8Array {
    const prng = this.#prng;
    const at = prng.below(bytes.length + 1);
    const to = prng.between(at, bytes.length);
    switch (prng.below(7)) {
      case 0:
        return bytes.slice(0, at);
      case 1:
        return joined(bytes.subarray(0, at), bytes.subarray(to));
      case 2:
        return joined(bytes.subarray(0, to), bytes.subarray(at));
      case 3:
        return joined(bytes.subarray(0, at), this.#sample());
      case 4:
        return joined(bytes.subarray(0, at), prng.bytes(prng.between(1, 12)), bytes.subarray(at));
      case 5:
        if (at < bytes.length) bytes[at] = EDGES[prng.below(EDGES.length)] ?? 0;
        return bytes;
      default:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << prng.below(8));
        return bytes;
    }
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
