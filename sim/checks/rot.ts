// Where a disk may rot: a byte of an entry or of what stands around it in a store, of a sector of
// the hard state or the manifest, of a cache. Owns reading the log's formats for the mishap.

import { freeze } from "../../src/base/bytes.ts";
import { FRAME_HEADER_BYTES } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import type { Prng } from "../../src/base/prng.ts";
import {
  baseOfIndex,
  baseOfStore,
  HARD_STATE_FILE,
  indexOfCheckpoint,
  MANIFEST_FILE,
} from "../../src/log/file-names.ts";
import { SLOT_POSITIONS } from "../../src/log/hard-state.ts";
import { type ScannedEntry, scanStore } from "../../src/log/recovery.ts";
import { SECTOR_BYTES } from "../../src/log/sector.ts";
import { SEGMENT_HEADER_BYTES } from "../../src/log/segment-header.ts";

export type RotKind = "store" | "index" | "checkpoint" | "manifest" | "hard-state";

/** Kinds without which a node may have to be given up. */
export const VITAL_KINDS: ReadonlySet<RotKind> = new Set(["store", "manifest", "hard-state"]);

/**
 * Whether a node may have to be given up without this file of a directory; of checkpoints only
 * without the one that stands for what is trimmed.
 */
export function isVitalFile(file: string, directory: Iterable<string>): boolean {
  const kind = rotKindOf(file);
  if (kind === null || VITAL_KINDS.has(kind)) return kind !== null;
  return kind === "checkpoint" && file === baseIn(directory);
}

/** The checkpoint at which a log begins; null where it begins with its first entry. */
function baseIn(directory: Iterable<string>): string | null {
  const sorted = [...directory].sort();
  const [first] = sorted.map(baseOfStore).filter((base) => base !== null);
  if (first === undefined || first === 1) return null;
  return sorted.find((file) => (indexOfCheckpoint(file) ?? 0) >= first - 1) ?? null;
}

/** What rots of such a file; null for all others. */
export function rotKindOf(file: string): RotKind | null {
  if (indexOfCheckpoint(file) !== null) return "checkpoint";
  if (file === MANIFEST_FILE) return "manifest";
  if (file === HARD_STATE_FILE) return "hard-state";
  if (baseOfStore(file) !== null) return "store";
  return baseOfIndex(file) === null ? null : "index";
}

/** A byte to rot, and the entry it belongs to; index null where it belongs to all of them. */
export interface PlaceOfRot {
  readonly position: number;
  readonly index: LogIndex | null;
}

/** Null when the file has nothing that could rot. */
export function drawPlaceOfRot(kind: RotKind, image: Uint8Array, prng: Prng): PlaceOfRot | null {
  switch (kind) {
    case "store":
      return drawPlaceInStore(image, prng);
    case "hard-state":
      return { position: prng.pick(SLOT_POSITIONS) + prng.below(SECTOR_BYTES), index: null };
    case "manifest":
      return { position: prng.below(SECTOR_BYTES), index: null };
    default:
      return image.length === 0 ? null : { position: prng.below(image.length), index: null };
  }
}

/** Of an entry, of what stands before it since the entry before, or of the segment's header. */
function drawPlaceInStore(image: Uint8Array, prng: Prng): PlaceOfRot | null {
  const entries = scanStore(freeze(image))?.entries ?? [];
  if (entries.length === 0) return null;
  if (prng.chance(1, 16)) return { position: prng.below(SEGMENT_HEADER_BYTES), index: null };
  const at = prng.below(entries.length);
  const scanned = entries[at] as ScannedEntry;
  const before = entries[at - 1];
  const gapStart = before === undefined ? SEGMENT_HEADER_BYTES : endOf(before);
  const start = prng.chance(1, 8) ? gapStart : scanned.position;
  return { position: start + prng.below(endOf(scanned) - start), index: scanned.entry.index };
}

function endOf({ entry, position }: ScannedEntry): number {
  return position + FRAME_HEADER_BYTES + entry.bodyLength;
}
