// Protobuf fields as our few messages need them: lengths and writers for encoding, and a reader
// that turns the first malformed byte into a value that says where it was. Owns no message.

import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import { FieldReader, putVarint, varintLength } from "../base/varint.ts";

/**
 * What decoding gives when the bytes are not the message: a value, to be answered, never thrown.
 */
export class Malformed {
  /** Which field or byte, what is wrong with it, and what it should be. */
  readonly what: string;

  constructor(what: string) {
    this.what = what;
  }
}

const UINT32_MAX = 0xffff_ffff;

/**
 * Reads one message field by field: `next` gives the number of a field of this message, or 0 at the
 * end and after the first malformed byte. Fields that the message does not know are passed over.
 */
export class MessageReader {
  readonly #name: string;
  readonly #fields: FieldReader;
  readonly #known: readonly number[];
  #what: string | null = null;
  #tag = 0;

  /** `known` holds the tags (number * 8 + wire type) of the message's fields, in any order. */
  constructor(name: string, fields: FieldReader, known: readonly number[]) {
    this.#name = name;
    this.#fields = fields;
    this.#known = known;
  }

  static over(name: string, bytes: Uint8Array, known: readonly number[]): MessageReader {
    return new MessageReader(name, new FieldReader(bytes), known);
  }

  /** The tag of the next known field, or 0 when there is none. */
  next(): number {
    const fields = this.#fields;
    while (!fields.done && this.#what === null) {
      const tag = fields.varint();
      if (!fields.ok || tag < 8) return this.#fail("a field number cannot be read");
      this.#tag = tag;
      if (this.#known.includes(tag)) return tag;
      fields.skip(tag & 7);
      if (!fields.ok) return this.#fail("an unknown field is cut off or of no known wire type");
    }
    return 0;
  }

  /** A uint64 up to 2^53-1. */
  uint(): number {
    const value = this.#fields.varint();
    if (!this.#fields.ok) this.#fail("the number is cut off or above 9007199254740991");
    return value;
  }

  uint32(): number {
    const value = this.uint();
    return value <= UINT32_MAX ? value : this.#fail("the number is above 4294967295");
  }

  bool(): boolean {
    return this.uint() !== 0;
  }

  /** A view of the field's bytes. */
  bytes(): Uint8Array {
    const view = this.#fields.view();
    if (!this.#fields.ok) this.#fail("the field is longer than the message");
    return view;
  }

  string(): string {
    const text = decodeUtf8(this.bytes());
    if (text === null) this.#fail("the text is not UTF-8");
    return text ?? "";
  }

  /** A reader over a message in this field; what is wrong inside is reported with `close`. */
  message(name: string, known: readonly number[]): MessageReader {
    const nested = this.#fields.nested();
    if (!this.#fields.ok) this.#fail("the field is longer than the message");
    return new MessageReader(name, nested, known);
  }

  /** Takes over what a nested reader found wrong. */
  close(nested: MessageReader): void {
    this.#what ??= nested.#what;
  }

  /** Says that the field just read is wrong in a way only its message knows. */
  refuse(what: string): void {
    this.#fail(what);
  }

  /** What was wrong, or null when the whole message was read. */
  get malformed(): Malformed | null {
    return this.#what === null ? null : new Malformed(this.#what);
  }

  #fail(what: string): 0 {
    const field = this.#tag === 0 ? "" : ` field ${Math.floor(this.#tag / 8)}`;
    this.#what ??= `${this.#name}${field}, byte ${this.#fields.at}: ${what}`;
    return 0;
  }
}

/** Bytes of a number field, which proto3 leaves out when it is 0. */
export function uintLength(value: number): number {
  return value === 0 ? 0 : 1 + varintLength(value);
}

/** Bytes of a length-delimited field of `length` bytes, also when it is empty. */
export function bytesLength(length: number): number {
  return 1 + varintLength(length) + length;
}

/** Writes a number field with a one-byte tag, unless the value is 0; returns the place after it. */
export function putUint(into: Uint8Array, at: number, tag: number, value: number): number {
  if (value === 0) return at;
  into[at] = tag;
  return putVarint(into, at + 1, value);
}

/** Writes the tag and length of a length-delimited field; returns where its bytes begin. */
export function putLength(into: Uint8Array, at: number, tag: number, length: number): number {
  into[at] = tag;
  return putVarint(into, at + 1, length);
}

/** Writes a length-delimited field; returns the place after it. */
export function putBytes(into: Uint8Array, at: number, tag: number, bytes: Uint8Array): number {
  const from = putLength(into, at, tag, bytes.length);
  into.set(bytes, from);
  return from + bytes.length;
}

/** A field by its number: a varint, or a length-delimited text or message. */
type Value = number | string | Uint8Array | null;

/** Encodes fields in order; null and proto3's defaults are left out unless `always`. */
export function encodeFields(
  fields: readonly (readonly [number: number, Value, always?: boolean])[],
): Buffer {
  const parts: [tag: number, value: number | Uint8Array][] = [];
  let length = 0;
  for (const [number, value, always = false] of fields) {
    if (value === null) continue;
    if (typeof value === "number") {
      if (value === 0 && !always) continue;
      parts.push([number * 8, value]);
      length += varintLength(number * 8) + varintLength(value);
    } else {
      const bytes = typeof value === "string" ? encodeUtf8(value) : value;
      if (bytes.length === 0 && !always) continue;
      parts.push([number * 8 + 2, bytes]);
      length += varintLength(number * 8) - 1 + bytesLength(bytes.length);
    }
  }
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for (const [tag, value] of parts) {
    at = putVarint(bytes, at, tag);
    at = putVarint(bytes, at, typeof value === "number" ? value : value.length);
    if (typeof value === "number") continue;
    bytes.set(value, at);
    at += value.length;
  }
  return bytes;
}
