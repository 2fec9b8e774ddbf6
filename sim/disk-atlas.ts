// What may be damaged in a run, so that of every entry a quorum of true copies remains. The atlas
// knows, for each disk, which entries it may not have any more: some indexes after rot in a store,
// all of them after a wipe, an older image or a write that never reached the medium, and for a hard
// state or a manifest, without which there is no copy. It says no when an entry would be true on
// fewer disks than a quorum; and, while a node gives up more than what is damaged to get it back
// from its peers, when a quorum of nodes would not be left. In an unbounded run it says yes to
// everything.

import type { LogIndex } from "../src/base/ids.ts";

/**
 * Whether a node mends a damaged entry and keeps those behind it; today it gives up all behind the
 * damage, and gets them back from its peers.
 */
export const NODES_REPAIR = false;

/** Entries `first` to `last`, both included. */
export interface IndexRange {
  readonly first: LogIndex;
  readonly last: LogIndex;
}

/** Every entry that there is or will be. */
const ALL: IndexRange = { first: 0 as LogIndex, last: Number.MAX_SAFE_INTEGER as LogIndex };

export interface AtlasRules {
  readonly nodesRepair?: boolean;
  /** False: everything may be lost. */
  readonly isBounded?: boolean;
  /** Whether those that decide can do without the disks at these places. */
  readonly bears?: (lost: ReadonlySet<number>) => boolean;
}

export class DiskAtlas {
  /** Copies of one entry that may be untrue. */
  readonly #lostMax: number;
  readonly #nodesRepair: boolean;
  readonly #isBounded: boolean;
  readonly #bears: (lost: ReadonlySet<number>) => boolean;
  readonly #damaged = new Map<number, IndexRange[]>();

  constructor(nodes: number, rules: AtlasRules = {}) {
    this.#lostMax = Math.floor((nodes - 1) / 2);
    this.#isBounded = rules.isBounded ?? true;
    this.#nodesRepair = rules.nodesRepair ?? NODES_REPAIR;
    this.#bears = rules.bears ?? (() => true);
  }

  /** Counts these entries as untrue on that disk; false when they must stay true there. */
  maybeDamage(place: number, range: IndexRange): boolean {
    if (!this.#isBounded) return true;
    const others = [...this.#damaged].filter(([other]) => other !== place);
    const isBounded = this.#nodesRepair
      ? mostOverlapping(others, range) < this.#lostMax
      : others.length < this.#lostMax;
    if (this.#lostMax === 0 || !isBounded) return false;
    if (!this.#bears(new Set([...this.#damaged.keys(), place]))) return false;
    this.#damaged.set(place, [...(this.#damaged.get(place) ?? []), range]);
    return true;
  }

  /** The same for a whole disk. */
  maybeLose(place: number): boolean {
    return this.maybeDamage(place, ALL);
  }

  /** Whether anything on that disk may be untrue, noticed or not. */
  isDamaged(place: number): boolean {
    return this.#damaged.has(place);
  }

  /** The disk has a true copy of everything again. */
  restored(place: number): void {
    this.#damaged.delete(place);
  }
}

/** Of the entries in `range`, how many of these disks at most do not have the same one. */
function mostOverlapping(
  disks: readonly (readonly [number, readonly IndexRange[]])[],
  range: IndexRange,
): number {
  // The worst entry is the first of some disk's range, or of the range asked about.
  const starts = disks.flatMap(([, ranges]) => ranges.map(({ first }) => first));
  const within = starts.filter((index) => index >= range.first && index <= range.last);
  const counts = [range.first, ...within].map((index) => {
    return disks.filter(([, ranges]) => {
      return ranges.some(({ first, last }) => first <= index && index <= last);
    }).length;
  });
  return Math.max(...counts);
}
