// Protobuf's variable-length integers, as far as whole numbers 0 .. 2^53-1 go, and a reader that
// cannot run past its bytes. Shared by every body that is a protobuf message.

import { isCount } from "./ids.ts";

/** Bytes that `value` takes as a varint. */
export function varintLength(value: number): number {
  let length = 1;
  let rest = value;
  while (rest >= 128) {
    rest = Math.floor(rest / 128);
    length++;
  }
  return length;
}

/** Writes `value` at `at` and returns the place after it. */
export function putVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 128) {
    bytes[next++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  bytes[next++] = rest;
  return next;
}

/** Reads fields one after another; `ok` turns false, and stays so, at the first malformed byte. */
export class FieldReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;
  ok = true;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get done(): boolean {
    return !this.ok || this.at >= this.end;
  }

  /** A varint up to 2^53-1; 0 and not ok when it is cut off or larger. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let length = 0; length < 8; length++) {
      if (this.at >= this.end) break;
      const byte = this.bytes[this.at++] as number;
      value += (byte & 127) * scale;
      if (byte < 128) return isCount(value) ? value : this.#fail();
      scale *= 128;
    }
    return this.#fail();
  }

  /** A length-delimited field as a view. */
  view(): Uint8Array {
    const length = this.varint();
    if (!this.ok || length > this.end - this.at) {
      this.#fail();
      return this.bytes.subarray(0, 0);
    }
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** A reader over a length-delimited field. */
  nested(): FieldReader {
    const length = this.varint();
    if (!this.ok || length > this.end - this.at) {
      this.#fail();
      return new FieldReader(this.bytes, 0, 0);
    }
    this.at += length;
    return new FieldReader(this.bytes, this.at - length, this.at);
  }

  /** Passes over the value of an unknown field of wire type `wireType`. */
  skip(wireType: number): void {
    if (wireType === 0) this.#skipVarint();
    else if (wireType === 1) this.#advance(8);
    else if (wireType === 2) this.view();
    else if (wireType === 5) this.#advance(4);
    else this.#fail();
  }

  #skipVarint(): void {
    for (let length = 0; length < 10; length++) {
      if (this.at >= this.end) break;
      if ((this.bytes[this.at++] as number) < 128) return;
    }
    this.#fail();
  }

  #advance(count: number): void {
    if (count > this.end - this.at) this.#fail();
    else this.at += count;
  }

  #fail(): number {
    this.ok = false;
    return 0;
  }
}
