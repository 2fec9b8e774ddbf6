// LZW as memberlist compresses: codes from the lowest bit on, literals of 8 bits, widths 9 to 12.
// The encoder gives the same bytes as Go's compress/lzw; the decoder never makes more bytes than it
// is allowed to. Owns the codes; the message around them is packet-codec.ts.

import { type FrozenBytes, freeze } from "../base/bytes.ts";

const CLEAR = 256;
const END = 257;
const FIRST_WIDTH = 9;
const WIDTH_MAX = 12;
const CODES = 1 << WIDTH_MAX;
const NO_CODE = -1;

/** Bits into bytes, the lowest first. */
class BitWriter {
  #bytes: Uint8Array;
  #at = 0;
  #bits = 0;
  #bitCount = 0;

  constructor(bytesExpected: number) {
    this.#bytes = new Uint8Array(bytesExpected);
  }

  write(code: number, width: number): void {
    this.#bits |= code << this.#bitCount;
    this.#bitCount += width;
    while (this.#bitCount >= 8) this.#putByte();
  }

  /** All bytes; the last one is filled up with zeros. */
  finish(): Uint8Array {
    if (this.#bitCount > 0) this.#putByte();
    return this.#bytes.slice(0, this.#at);
  }

  #putByte(): void {
    if (this.#at === this.#bytes.length) {
      const grown = new Uint8Array(2 * this.#bytes.length);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes[this.#at++] = this.#bits & 0xff;
    this.#bits >>>= 8;
    this.#bitCount -= 8;
  }
}

/** The compressed form of `plain`: clear, codes, end. */
export function lzwEncode(plain: Uint8Array): FrozenBytes {
  const out = new BitWriter(plain.length + 8);
  /** Code of (prefix code, next byte). */
  const table = new Map<number, number>();
  let width = FIRST_WIDTH;
  let newest = END;
  /** Counts the code that was just written; says whether the table has room for a new entry. */
  const maybeAdvance = (): boolean => {
    newest++;
    if (newest === 1 << width) width++;
    if (newest < CODES - 1) return true;
    out.write(CLEAR, width);
    table.clear();
    width = FIRST_WIDTH;
    newest = END;
    return false;
  };
  out.write(CLEAR, width);
  let prefix = NO_CODE;
  for (const byte of plain) {
    if (prefix === NO_CODE) {
      prefix = byte;
      continue;
    }
    const key = (prefix << 8) | byte;
    const longer = table.get(key);
    if (longer !== undefined) {
      prefix = longer;
      continue;
    }
    out.write(prefix, width);
    if (maybeAdvance()) table.set(key, newest);
    prefix = byte;
  }
  if (prefix !== NO_CODE) {
    out.write(prefix, width);
    maybeAdvance();
  }
  out.write(END, width);
  return freeze(out.finish());
}

/** The plain bytes, at most `bytesMax` of them, or why there are none. */
export function lzwDecode(
  packed: Uint8Array,
  bytesMax: number,
): FrozenBytes | "malformed" | "too-large" {
  const decoder = new Decoder(packed, bytesMax);
  return decoder.run();
}

class Decoder {
  readonly #packed: Uint8Array;
  readonly #bytesMax: number;
  #out: Uint8Array;
  #length = 0;
  #at = 0;
  #bits = 0;
  #bitCount = 0;
  #width = FIRST_WIDTH;
  /** The entry that the next code defines. */
  #next = END;
  #last = NO_CODE;
  readonly #prefixes = new Int16Array(CODES);
  readonly #suffixes = new Uint8Array(CODES);
  /** Bytes that each entry stands for. */
  readonly #lengths = new Uint16Array(CODES).fill(1);

  constructor(packed: Uint8Array, bytesMax: number) {
    this.#packed = packed;
    this.#bytesMax = bytesMax;
    this.#out = new Uint8Array(Math.min(bytesMax, Math.max(64, 4 * packed.length)));
  }

  run(): FrozenBytes | "malformed" | "too-large" {
    for (;;) {
      const code = this.#readCode();
      if (code === END) return freeze(this.#out.slice(0, this.#length));
      if (code === NO_CODE) return "malformed";
      if (code === CLEAR) {
        this.#width = FIRST_WIDTH;
        this.#next = END;
        this.#last = NO_CODE;
        continue;
      }
      if (code > this.#next) return "malformed";
      const isUndefined = code === this.#next && this.#last !== NO_CODE;
      const known = isUndefined ? this.#last : code;
      const count = (this.#lengths[known] as number) + (isUndefined ? 1 : 0);
      if (!this.#makeRoom(count)) return "too-large";
      const first = this.#spell(known, isUndefined ? count - 1 : count);
      if (isUndefined) this.#out[this.#length + count - 1] = first;
      this.#length += count;
      this.#define(code, first);
    }
  }

  #readCode(): number {
    while (this.#bitCount < this.#width) {
      if (this.#at === this.#packed.length) return NO_CODE;
      this.#bits |= (this.#packed[this.#at++] as number) << this.#bitCount;
      this.#bitCount += 8;
    }
    const code = this.#bits & ((1 << this.#width) - 1);
    this.#bits >>>= this.#width;
    this.#bitCount -= this.#width;
    return code;
  }

  /** Writes the `count` bytes of an entry at the end of the output; returns the first of them. */
  #spell(code: number, count: number): number {
    let at = this.#length + count;
    let left = code;
    while (left >= CLEAR && at > this.#length + 1) {
      this.#out[--at] = this.#suffixes[left] as number;
      left = this.#prefixes[left] as number;
    }
    this.#out[this.#length] = left;
    return left;
  }

  /** The entry (last code, first byte of this one); a full table stays as it is. */
  #define(code: number, first: number): void {
    if (this.#last !== NO_CODE) {
      this.#prefixes[this.#next] = this.#last;
      this.#suffixes[this.#next] = first;
      this.#lengths[this.#next] = (this.#lengths[this.#last] as number) + 1;
    }
    this.#last = code;
    this.#next++;
    if (this.#next < 1 << this.#width) return;
    if (this.#width < WIDTH_MAX) {
      this.#width++;
      return;
    }
    this.#last = NO_CODE;
    this.#next--;
  }

  #makeRoom(count: number): boolean {
    const needed = this.#length + count;
    if (needed > this.#bytesMax) return false;
    if (needed <= this.#out.length) return true;
    const grown = new Uint8Array(Math.min(this.#bytesMax, Math.max(needed, 2 * this.#out.length)));
    grown.set(this.#out);
    this.#out = grown;
    return true;
  }
}
