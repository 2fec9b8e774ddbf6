// Room for bytes that are joined and soon forgotten: cut from larger pieces, because an array of
// its own outside the heap costs ten times as much as a view. Owns no bytes that it has handed out;
// a piece lives as long as anything cut from it.

const SLAB_BYTES = 64 * 1024;
/** What is longer has an array of its own. */
const CUT_BYTES_MAX = 4 * 1024;

let slab = new Uint8Array(SLAB_BYTES);
let used = 0;

/** One buffer with all the parts in order; a copy, to keep. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = roomFor(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function roomFor(length: number): Uint8Array {
  if (length > CUT_BYTES_MAX) return new Uint8Array(length);
  if (used + length > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    used = 0;
  }
  const room = slab.subarray(used, used + length);
  used += length;
  return room;
}
