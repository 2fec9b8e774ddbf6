// One 512-byte sector with a magic word in front and a CRC-32C in its last four bytes: the outer
// form of manifest, hard state slot and segment header. A disk writes a sector wholly or not at
// all, and the checksum stands at the same place in every version, so that "newer" and "damaged"
// differ.
//
//   0   8  magic, ASCII
//   8   4  format version
//  12      what the format says
// 508   4  CRC-32C of bytes 0-507

import { getU64, viewOf } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import { isCount } from "../base/ids.ts";

export const SECTOR_BYTES = 512;
const CRC_AT = SECTOR_BYTES - 4;

export type OpenedSector =
  | { readonly kind: "sector"; readonly view: DataView }
  | { readonly kind: "newer"; readonly found: number }
  | { readonly kind: "malformed"; readonly what: string };

/** A zeroed sector with its magic and version; `closeSector` makes it valid. */
export function beginSector(magic: string, version: number): Uint8Array {
  const bytes = new Uint8Array(SECTOR_BYTES);
  for (let at = 0; at < 8; at++) bytes[at] = magic.charCodeAt(at);
  viewOf(bytes).setUint32(8, version);
  return bytes;
}

/** Writes the checksum; the last thing done to a sector. */
export function closeSector(bytes: Uint8Array): Uint8Array {
  viewOf(bytes).setUint32(CRC_AT, crc32c(bytes, 0, 0, CRC_AT));
  return bytes;
}

/**
 * Verifies magic, checksum and version of the sector that starts at `at`; versions from `oldest` on
 * can be read.
 */
export function openSector(
  bytes: Uint8Array,
  at: number,
  magic: string,
  version: number,
  oldest = version,
): OpenedSector {
  if (bytes.length < at + SECTOR_BYTES) return { kind: "malformed", what: "shorter than a sector" };
  for (let n = 0; n < 8; n++) {
    if (bytes[at + n] !== magic.charCodeAt(n)) return { kind: "malformed", what: "no magic word" };
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, SECTOR_BYTES);
  if (view.getUint32(CRC_AT) !== crc32c(bytes, 0, at, at + CRC_AT)) {
    return { kind: "malformed", what: "checksum does not match" };
  }
  const found = view.getUint32(8);
  if (found > version) return { kind: "newer", found };
  if (found < oldest) return { kind: "malformed", what: `version ${found} is none` };
  return { kind: "sector", view };
}

/** True when the 8-byte numbers at all these places are whole and at most 2^53-1. */
export function areCounts(view: DataView, ...places: readonly number[]): boolean {
  return places.every((at) => isCount(getU64(view, at)));
}
