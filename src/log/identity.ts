// A directory's identity as bytes: 128-bit ids as 16 bytes, and the salt that ties a marker to its
// segment. Does not own where the identity is stored (manifest.ts, segment-header.ts).

import { assert } from "../base/assert.ts";
import { putU64, viewOf } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import type { LogIndex } from "../base/ids.ts";

export const ID_BYTES = 16;

const HEX_ID = /^[0-9a-f]{32}$/;

/** Writes 32 lower-case hex digits as 16 bytes. */
export function putId(bytes: Uint8Array, at: number, id: string): void {
  assert(HEX_ID.test(id), "an id is 32 lower-case hex digits", id);
  for (let n = 0; n < ID_BYTES; n++) {
    bytes[at + n] = Number.parseInt(id.slice(2 * n, 2 * n + 2), 16);
  }
}

/** Reads 16 bytes as 32 lower-case hex digits. */
export function getId(bytes: Uint8Array, at: number): string {
  let id = "";
  for (let n = 0; n < ID_BYTES; n++) {
    id += (bytes[at + n] as number).toString(16).padStart(2, "0");
  }
  return id;
}

/**
 * What the markers of one segment of one directory carry. A client may store a copy of a segment
 * inside records; with salt and position no such copy passes for a marker of this very log.
 */
export function markerSalt(instanceId: string, baseIndex: LogIndex): number {
  const bytes = new Uint8Array(ID_BYTES + 8);
  putId(bytes, 0, instanceId);
  putU64(viewOf(bytes), ID_BYTES, baseIndex);
  return crc32c(bytes);
}
