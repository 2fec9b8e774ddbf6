// MessagePack as memberlist's library speaks it (go-msgpack 0.5): the old format, in which texts
// and bytes are one family. Reading takes the new format too. A map's keys are written in ascending
// order by whoever writes the map. Owns the encoding; what is in a message is the codecs' business.
// Why an own one: docs/decisions/0013-an-own-msgpack.md.

import { EMPTY_BYTES, type FrozenBytes, freeze, getU64, putU64, viewOf } from "../base/bytes.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";

/** Arrays and maps inside each other; Serf needs five. */
const DEPTH_MAX = 8;
const TWO_32 = 0x1_0000_0000;

/**
 * What was read. Raw values share memory with what they were read from; numbers above 2^53-1 come
 * back inexact, so that a check with `isCount` refuses them. Of equal keys the last one counts;
 * entries whose key is not a text are left out.
 */
export type MsgpackValue =
  | null
  | boolean
  | number
  | FrozenBytes
  | readonly MsgpackValue[]
  | ReadonlyMap<string, MsgpackValue>;

/** All that is here is well-formed, and at least so many bytes in all are needed to go on. */
export interface Short {
  readonly neededBytes: number;
}

export type MsgpackReading =
  | { readonly value: MsgpackValue; readonly end: number }
  | Short
  | "malformed";

/** Builds one run of bytes; the calls are the order of the wire. */
export class MsgpackWriter {
  #bytes = new Uint8Array(128);
  #view = viewOf(this.#bytes);
  #at = 0;

  /** One byte as it is: a message's type. */
  byte(value: number): this {
    this.#grow(1);
    this.#bytes[this.#at++] = value;
    return this;
  }

  /** Bytes as they are, without a length. */
  verbatim(bytes: Uint8Array): this {
    this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  /** Begins a map of `count` entries: key, value, key, value, keys ascending. */
  map(count: number): this {
    return this.#header(count, 0x80, 15, 0xde);
  }

  array(count: number): this {
    return this.#header(count, 0x90, 15, 0xdc);
  }

  nil(): this {
    return this.byte(0xc0);
  }

  bool(value: boolean): this {
    return this.byte(value ? 0xc3 : 0xc2);
  }

  /** A whole number 0 .. 2^53-1, in its shortest form. */
  uint(value: number): this {
    if (value < 0x80) return this.byte(value);
    this.#grow(9);
    const at = this.#at + 1;
    if (value < 0x100) {
      this.#bytes[at] = value;
      return this.#mark(0xcc, 1);
    }
    if (value < 0x1_0000) {
      this.#view.setUint16(at, value);
      return this.#mark(0xcd, 2);
    }
    if (value < TWO_32) {
      this.#view.setUint32(at, value);
      return this.#mark(0xce, 4);
    }
    putU64(this.#view, at, value);
    return this.#mark(0xcf, 8);
  }

  float64(value: number): this {
    this.#grow(9);
    this.#view.setFloat64(this.#at + 1, value);
    return this.#mark(0xcb, 8);
  }

  raw(bytes: Uint8Array): this {
    return this.#header(bytes.length, 0xa0, 31, 0xda).verbatim(bytes);
  }

  /** As Go writes a slice that was never made: nil when there is nothing. */
  rawOrNil(bytes: Uint8Array): this {
    return bytes.length === 0 ? this.nil() : this.raw(bytes);
  }

  text(value: string): this {
    const start = this.#at;
    this.#header(value.length, 0xa0, 31, 0xda);
    this.#grow(value.length);
    for (let at = 0; at < value.length; at++) {
      const code = value.charCodeAt(at);
      if (code >= 0x80) {
        this.#at = start;
        return this.raw(encodeUtf8(value));
      }
      this.#bytes[this.#at++] = code;
    }
    return this;
  }

  /** What was written; the writer must not be used after. */
  take(): FrozenBytes {
    return freeze(this.#bytes.slice(0, this.#at));
  }

  #header(count: number, fixed: number, fixedMax: number, marker16: number): this {
    if (count <= fixedMax) return this.byte(fixed | count);
    this.#grow(5);
    if (count < 0x1_0000) {
      this.#view.setUint16(this.#at + 1, count);
      return this.#mark(marker16, 2);
    }
    this.#view.setUint32(this.#at + 1, count);
    return this.#mark(marker16 + 1, 4);
  }

  #mark(marker: number, following: number): this {
    this.#bytes[this.#at] = marker;
    this.#at += 1 + following;
    return this;
  }

  #grow(count: number): void {
    const needed = this.#at + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = grown;
    this.#view = viewOf(grown);
  }
}

/** Reads the value that begins at `at`; never throws. */
export function readMsgpack(bytes: FrozenBytes, at: number): MsgpackReading {
  const reader = new Reader(bytes, at);
  const value = reader.value(0);
  if (reader.failure === "short") return { neededBytes: reader.at };
  return reader.failure ?? { value, end: reader.at };
}

/** The map that begins at `at`, or null when there is none; what follows it is ignored. */
export function readOnlyMap(
  bytes: FrozenBytes,
  at: number,
): ReadonlyMap<string, MsgpackValue> | null {
  const reader = new Reader(bytes, at);
  const value = reader.value(0);
  return reader.failure === null && value instanceof Map ? value : null;
}

class Reader {
  readonly #bytes: FrozenBytes;
  readonly #view: DataView;
  /** Where reading goes on; after a failure for want of bytes, where it wanted to be. */
  at: number;
  failure: "short" | "malformed" | null = null;

  constructor(bytes: FrozenBytes, at: number) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.at = at;
  }

  /** Null, without meaning, once there is a failure. */
  value(depth: number): MsgpackValue {
    if (depth > DEPTH_MAX) return this.#fail("malformed");
    const marker = this.#uint(1);
    if (this.failure !== null) return null;
    if (marker < 0x80) return marker;
    if (marker < 0x90) return this.#map(marker & 15, depth);
    if (marker < 0xa0) return this.#array(marker & 15, depth);
    if (marker < 0xc0) return this.#raw(marker & 31);
    if (marker >= 0xe0) return marker - 0x100;
    return this.#marked(marker, depth);
  }

  #marked(marker: number, depth: number): MsgpackValue {
    switch (marker) {
      case 0xc0:
        return null;
      case 0xc2:
      case 0xc3:
        return marker === 0xc3;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#raw(this.#uint(1 << (marker - 0xc4)));
      case 0xca:
        return this.#number(4, (at) => this.#view.getFloat32(at));
      case 0xcb:
        return this.#number(8, (at) => this.#view.getFloat64(at));
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf:
        return this.#uint(1 << (marker - 0xcc));
      case 0xd0:
        return this.#number(1, (at) => this.#view.getInt8(at));
      case 0xd1:
        return this.#number(2, (at) => this.#view.getInt16(at));
      case 0xd2:
        return this.#number(4, (at) => this.#view.getInt32(at));
      case 0xd3:
        return this.#number(8, (at) => {
          return this.#view.getInt32(at) * TWO_32 + this.#view.getUint32(at + 4);
        });
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#raw(this.#uint(1 << (marker - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#uint(marker === 0xdc ? 2 : 4), depth);
      case 0xde:
      case 0xdf:
        return this.#map(this.#uint(marker === 0xde ? 2 : 4), depth);
      default:
        return this.#extension(marker);
    }
  }

  /** Nobody here knows an extension type: it is read over, as an unknown key is. */
  #extension(marker: number): null {
    if (marker >= 0xd4 && marker <= 0xd8) this.#raw(1 + (1 << (marker - 0xd4)));
    else if (marker >= 0xc7 && marker <= 0xc9) this.#raw(1 + this.#uint(1 << (marker - 0xc7)));
    else this.#fail("malformed");
    return null;
  }

  #array(count: number, depth: number): MsgpackValue {
    const values: MsgpackValue[] = [];
    for (let done = 0; done < count && this.failure === null; done++) {
      values.push(this.value(depth + 1));
    }
    return values;
  }

  #map(count: number, depth: number): MsgpackValue {
    const entries = new Map<string, MsgpackValue>();
    for (let done = 0; done < count && this.failure === null; done++) {
      const key = this.value(depth + 1);
      const value = this.value(depth + 1);
      const name = key instanceof Uint8Array ? decodeUtf8(key) : null;
      if (name !== null) entries.set(name, value);
    }
    return entries;
  }

  #raw(length: number): FrozenBytes {
    if (this.failure !== null) return EMPTY_BYTES;
    const start = this.at;
    this.at += length;
    if (this.at > this.#bytes.length) {
      this.#fail("short");
      return EMPTY_BYTES;
    }
    return freeze(this.#bytes.subarray(start, this.at));
  }

  #uint(length: number): number {
    return this.#number(length, (at) => {
      if (length === 1) return this.#view.getUint8(at);
      if (length === 2) return this.#view.getUint16(at);
      return length === 4 ? this.#view.getUint32(at) : getU64(this.#view, at);
    });
  }

  /** 0 when there are not `length` bytes left. */
  #number(length: number, read: (at: number) => number): number {
    if (this.failure !== null) return 0;
    const at = this.at;
    this.at += length;
    if (this.at <= this.#bytes.length) return read(at);
    this.#fail("short");
    return 0;
  }

  #fail(failure: "short" | "malformed"): null {
    this.failure ??= failure;
    return null;
  }
}
