// What may be damaged in a run, so that of every entry a quorum of true copies remains: the disks of
// a minority, each of which counts as lost from its first damaged entry on. Within a disk only bytes
// whose loss a node can notice: entries before a durable marker. Of the last group nobody can tell
// rot from a torn write, and of the newest slot of the hard state neither.

import { type FrozenBytes, freeze } from "../src/base/bytes.ts";
import { FRAME_HEADER_BYTES } from "../src/base/entry.ts";
import type { Prng } from "../src/base/prng.ts";
import { scanStore } from "../src/log/recovery.ts";

export class DiskAtlas {
  readonly #lostMax: number;
  readonly #lost = new Set<number>();

  constructor(nodes: number) {
    this.#lostMax = Math.floor((nodes - 1) / 2);
  }

  /** Counts the disk as lost; false when a quorum would not remain, and nothing may be damaged. */
  maybeLose(place: number): boolean {
    if (!this.#lost.has(place) && this.#lost.size >= this.#lostMax) return false;
    this.#lost.add(place);
    return true;
  }
}

/** A byte of an entry in a store's durable image, of which markers say that it was durable. */
export function drawPlaceOfRot(image: Uint8Array, prng: Prng): number | null {
  const scanned = scanStore(freeze(image) as FrozenBytes);
  const limit = scanned?.lastMarkerPosition ?? 0;
  const sure = (scanned?.entries ?? []).filter(({ position }) => position < limit);
  if (sure.length === 0) return null;
  const { entry, position } = prng.pick(sure);
  return position + prng.below(FRAME_HEADER_BYTES + entry.bodyLength);
}
