// A checksum of a stretch of entries as replicas have to agree on it: index, term and body checksum
// of each, one after another. Made entry by entry, without a look at any body.

import { putU64, viewOf } from "../base/bytes.ts";
import { crc32c, crc32cJoined } from "../base/crc32c.ts";
import type { EntryHead } from "../base/entry.ts";

/** Before the first entry. */
export const NO_DIGEST = 0;

const ENTRY_BYTES = 20;
/** Overwritten with each entry; nothing of it is ever handed out. */
const SCRATCH = new Uint8Array(ENTRY_BYTES);
const VIEW = viewOf(SCRATCH);

/** The digest with `entry` behind what `before` covers. */
export function digestAfter(before: number, entry: EntryHead): number {
  putU64(VIEW, 0, entry.index);
  putU64(VIEW, 8, entry.term);
  VIEW.setUint32(16, entry.bodyCrc);
  return crc32c(SCRATCH, before);
}

/** The digest of a stretch and the `count` entries behind it, from the digests of both. */
export function digestJoined(before: number, behind: number, count: number): number {
  return crc32cJoined(before, behind, count * ENTRY_BYTES);
}

/** The digest of the last `count` entries of a stretch: what `whole` has and `before` has not. */
export function digestBehind(before: number, whole: number, count: number): number {
  // Addition over GF(2) is its own inverse.
  return crc32cJoined(before, whole, count * ENTRY_BYTES);
}
