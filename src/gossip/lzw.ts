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

/**
 * The codes of (prefix code, next byte): a hash table in one block of memory, for packets are many
 * and small. An entry is key + 1 and code, 20 and 12 bits; 0 is a free place.
 */
class CodeTable {
  readonly #entries: Uint32Array;
  readonly #mask: number;

  /** With room for all entries that so many bytes can make. */
  constructor(bytes: number) {
    let places = 64;
    while (places < 2 * Math.min(bytes, CODES)) places *= 2;
    this.#entries = new Uint32Array(places);
    this.#mask = places - 1;
  }

  /** NO_CODE when there is none. */
  get(key: number): number {
    const entry = this.#entries[this.#placeOf(key)] as number;
    return entry === 0 ? NO_CODE : entry & (CODES - 1);
  }

  /** Only for a key that has no code. */
  set(key: number, code: number): void {
    this.#entries[this.#placeOf(key)] = (((key + 1) << WIDTH_MAX) | code) >>> 0;
  }

  clear(): void {
    this.#entries.fill(0);
  }

  /** Where `key` is, or would be. */
  #placeOf(key: number): number {
    let place = Math.imul(key, 0x9e3779b1) >>> 16;
    for (;;) {
      place &= this.#mask;
      const entry = this.#entries[place] as number;
      if (entry === 0 || entry >>> WIDTH_MAX === key + 1) return place;
      place++;
    }
  }
}

/** The compressed form of `plain`: clear, codes, end. */
export function lzwEncode(plain: Uint8Array): FrozenBytes {
  const out = new BitWriter(plain.length + 8);
  const table = new CodeTable(plain.length);
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
    if (longer !== NO_CODE) {
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
  readonly #prefixes: Int16Array;
  readonly #suffixes: Uint8Array;
  /** Bytes that each entry stands for. */
  readonly #lengths: Uint16Array;

  constructor(packed: Uint8Array, bytesMax: number) {
    this.#packed = packed;
    this.#bytesMax = bytesMax;
    this.#out = new Uint8Array(Math.min(bytesMax, Math.max(64, 4 * packed.length)));
    // A code takes nine bits at least, and makes one entry at most.
    const codes = Math.min(CODES, END + 2 + packed.length);
    this.#prefixes = new Int16Array(codes);
    this.#suffixes = new Uint8Array(codes);
    this.#lengths = new Uint16Array(codes).fill(1);
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
