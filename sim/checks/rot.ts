// Where a disk may rot so that its node can notice: bytes of entries before a durable marker. Of
// the last group nobody can tell rot from a torn write. Owns reading the log's formats for the
// mishap.

import { freeze } from "../../src/base/bytes.ts";
import { FRAME_HEADER_BYTES } from "../../src/base/entry.ts";
import type { Prng } from "../../src/base/prng.ts";
import { baseOfIndex, baseOfStore, CHECKPOINT_FILE } from "../../src/log/file-names.ts";
import { scanStore } from "../../src/log/recovery.ts";

export type RotKind = "store" | "index" | "checkpoint";

/** What rots of such a file; null for all others. */
export function rotKindOf(file: string): RotKind | null {
  if (file === CHECKPOINT_FILE) return "checkpoint";
  if (baseOfStore(file) !== null) return "store";
  return baseOfIndex(file) === null ? null : "index";
}

/** A byte of an entry in a store's durable image, of which markers say that it was durable. */
export function drawPlaceOfRot(image: Uint8Array, prng: Prng): number | null {
  const scanned = scanStore(freeze(image));
  const limit = scanned?.lastMarkerPosition ?? 0;
  const sure = (scanned?.entries ?? []).filter(({ position }) => position < limit);
  if (sure.length === 0) return null;
  const { entry, position } = prng.pick(sure);
  return position + prng.below(FRAME_HEADER_BYTES + entry.bodyLength);
}
