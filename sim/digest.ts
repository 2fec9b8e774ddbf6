// One number for a whole run: every event and output is mixed into it, so that two runs with equal
// digests did the same. Whole numbers only, no allocation. Not for adversaries: for determinism.

import { crc32c } from "../src/base/crc32c.ts";

export class Digest {
  #a = 0x243f6a88;
  #b = 0x85a308d3;

  /** Mixes in the low 32 bits of `word`. */
  mix(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x9e3779b1);
    this.#a ^= this.#a >>> 15;
    this.#b = Math.imul(this.#b + word, 0x85ebca6b) ^ this.#a;
    this.#b ^= this.#b >>> 13;
  }

  /** Mixes in a whole number 0 .. 2^53-1. */
  mixCount(count: number): void {
    this.mix(count);
    this.mix(Math.floor(count / 0x1_0000_0000));
  }

  mixBytes(bytes: Uint8Array): void {
    this.mix(bytes.length);
    this.mix(crc32c(bytes));
  }

  mixText(text: string): void {
    this.mix(text.length);
    for (let at = 0; at < text.length; at++) this.mix(text.charCodeAt(at));
  }

  /** 16 hex digits. */
  toString(): string {
    return hex8(this.#a) + hex8(this.#b);
  }
}

function hex8(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
