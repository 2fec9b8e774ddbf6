// Bytes and who owns them, and the integer codecs all formats share (big-endian, as in the seeds).
// FrozenBytes: keep, share, never write. BorrowedBytes: valid until the current function returns.
// Plain Uint8Array: being built by its owner. `freeze` is the one-way door.

import type { Brand } from "./ids.ts";

/** Bytes that nobody writes any more: keep them and share them. */
export type FrozenBytes = Brand<Uint8Array, "FrozenBytes">;
export type BorrowedBytes = Brand<Uint8Array, "BorrowedBytes">;

export const EMPTY_BYTES: FrozenBytes = new Uint8Array(0) as FrozenBytes;

/** Declares that nobody will write to `bytes` again; copies nothing. */
export function freeze(bytes: Uint8Array): FrozenBytes {
  return bytes as FrozenBytes;
}

/** A DataView over exactly the bytes of `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const TWO_32 = 0x1_0000_0000;

/** Writes a whole number 0 .. 2^53-1 as 8 bytes. */
export function putU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / TWO_32));
  view.setUint32(at + 4, value >>> 0);
}

/** As DataView.setUint32, without a view: making one for every frame costs more than writing it. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** As putU64, without a view. */
export function writeU64(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, Math.floor(value / TWO_32));
  writeU32(bytes, at + 4, value >>> 0);
}

/**
 * Reads 8 bytes as a whole number. Values above 2^53-1 come back unsafe: callers that read what a
 * disk or a peer said check the result with `isCount`.
 */
export function getU64(view: DataView, at: number): number {
  return view.getUint32(at) * TWO_32 + view.getUint32(at + 4);
}

/** One buffer with all the parts in order. Copies; for cold paths only. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Byte-wise equality. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
