// Cuts a stream of bytes into frames: a big-endian u32 of length, then that many bytes. Owns the
// cutting, and who pins what memory; what is in a frame is src/node/wire.ts.

import { assert } from "../base/assert.ts";
import { EMPTY_BYTES, type FrozenBytes, freeze } from "../base/bytes.ts";

export const LENGTH_BYTES = 4;
/** Smaller frames are always copied: a view would keep alive the chunk it came in. */
const VIEW_BYTES_MIN = 4096;

/** The peer announced a frame beyond the limit; the stream cannot be followed any further. */
export interface Oversized {
  readonly kind: "oversized";
  readonly length: number;
}

export class LinkDecoder {
  readonly #frameBytesMax: number;
  /** What was pushed last, and how far it was read. */
  #chunk: Uint8Array = EMPTY_BYTES;
  #at = 0;
  #lengthBytes = 0;
  #length = 0;
  /** A frame that lies in several chunks; null until its first byte is known. */
  #body: Uint8Array | null = null;
  #bodyBytes = 0;

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Takes a chunk that nobody will write to; only when `next` has nothing more to give. */
  push(chunk: Uint8Array): void {
    assert(this.#at === this.#chunk.length, "a chunk was pushed before the last one was read");
    // A plain Uint8Array: what a Buffer would hand out is a Buffer, whose slice() aliases.
    this.#chunk = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    this.#at = 0;
  }

  /** The next frame, or null when more bytes are needed. The frame pins at most twice its size. */
  next(): FrozenBytes | Oversized | null {
    if (!this.#readLength()) return null;
    if (this.#length > this.#frameBytesMax) return { kind: "oversized", length: this.#length };
    const here = this.#chunk.length - this.#at;
    if (this.#body === null && here >= this.#length) return this.#whole();
    if (here === 0) return null;
    return this.#gathered(here);
  }

  /** True once the length of the frame under way is known. */
  #readLength(): boolean {
    while (this.#lengthBytes < LENGTH_BYTES) {
      const byte = this.#chunk[this.#at];
      if (byte === undefined) return false;
      this.#length = this.#length * 256 + byte;
      this.#lengthBytes++;
      this.#at++;
    }
    return true;
  }

  #whole(): FrozenBytes {
    const start = this.#at;
    this.#at += this.#length;
    const view = this.#chunk.subarray(start, this.#at);
    const pins = this.#chunk.buffer.byteLength;
    const isWorthPinning = view.length >= VIEW_BYTES_MIN && view.length * 2 >= pins;
    this.#expectNext();
    return freeze(isWorthPinning ? view : view.slice());
  }

  #gathered(here: number): FrozenBytes | null {
    const body = this.#body ?? makeRoom(this.#length);
    const part = Math.min(here, this.#length - this.#bodyBytes);
    body.set(this.#chunk.subarray(this.#at, this.#at + part), this.#bodyBytes);
    this.#at += part;
    this.#bodyBytes += part;
    this.#body = body;
    if (this.#bodyBytes < this.#length) return null;
    this.#expectNext();
    return freeze(body);
  }

  #expectNext(): void {
    this.#lengthBytes = 0;
    this.#length = 0;
    this.#body = null;
    this.#bodyBytes = 0;
    // A chunk that is read to its end is not kept until the next one comes.
    if (this.#at < this.#chunk.length) return;
    this.#chunk = EMPTY_BYTES;
    this.#at = 0;
  }
}

/** Unpooled and not zeroed: it is handed out only when every byte was received. */
function makeRoom(length: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}
