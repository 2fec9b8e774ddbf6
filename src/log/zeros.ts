// Zeros to be written: one shared chunk, repeated, so that clearing a region allocates nothing but
// the list of parts.

const CHUNK = new Uint8Array(64 * 1024);

/** Parts that together are `length` zeros; nobody may write to them. */
export function zeros(length: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let left = length;
  for (; left >= CHUNK.length; left -= CHUNK.length) parts.push(CHUNK);
  if (left > 0) parts.push(CHUNK.subarray(0, left));
  return parts;
}
