// The digests that replicas compare: what a leader writes of each segment it sealed, and what this
// node makes of the same entries once that is committed. Owns what was not compared yet and the
// counts; how a digest is made is src/log, what follows from a difference is the log's refusal.
//
// What this node knows no digest of any more, of the time before a restart mostly, it reads again.
//
// Rot is found by checksums, and the same entries with other bytes by this: a frame that was wrong
// before its checksums were made looks whole to everybody but the others.

import { controlDraft, type SegmentDigest } from "../base/control.ts";
import type { EntryHead } from "../base/entry.ts";
import type { Instant, LogIndex, WallMs } from "../base/ids.ts";
import { digestAfter, NO_DIGEST } from "../log/digest.ts";
import type { LogRead } from "../log/protocol.ts";
import type { Replica } from "./replica.ts";

/**
 * Proposals of digests: no request's id, no change's, not retention's. Their verdict is nobody's.
 */
export const DIGEST_ID = Number.MIN_SAFE_INTEGER;

/** Of this class alone; the others' read ids are requests' (positive) and replication's. */
const READ_ID = DIGEST_ID;
const READ_BYTES = 256 * 1024;

/** Entries that are read because their digest is not known. */
interface Reading {
  readonly claim: SegmentDigest;
  digest: number;
  next: LogIndex;
}

/** Digests that wait for their entries to be on this disk; more of them go unchecked. */
const WAITING_MAX = 64;

export interface DigestCounts {
  readonly checked: number;
  /** Of entries that are trimmed here already, or cannot be read. */
  readonly unchecked: number;
}

export class Digests {
  readonly #replica: Replica;
  readonly #waiting: SegmentDigest[] = [];
  #reading: Reading | null = null;
  #found: SegmentDigest | null = null;
  #checked = 0;
  #unchecked = 0;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  get counts(): DigestCounts {
    return { checked: this.#checked, unchecked: this.#unchecked };
  }

  /** A segment was sealed that ends with `last`: where this node leads, the others hear of it. */
  sealed(now: Instant, last: LogIndex): void {
    if (this.#replica.raft?.role !== "leader") return;
    const segment = this.#replica.segmentDigest(last);
    if (segment === null) return;
    const draft = controlDraft({ kind: "digest", ...segment }, 0 as WallMs);
    this.#replica.propose(now, DIGEST_ID, draft);
  }

  /** An entry is committed. */
  committed({ control }: EntryHead): void {
    if (control?.kind !== "digest") return;
    this.#waiting.push(control);
    if (this.#waiting.length <= WAITING_MAX) return;
    this.#waiting.shift();
    this.#unchecked++;
  }

  /** Compares what can be compared by now. */
  advance(now: Instant): void {
    while (this.#reading === null) {
      const [claim] = this.#waiting;
      // Committed by the others, perhaps, and on this disk a little later.
      if (claim === undefined || claim.lastIndex > this.#replica.durableIndex) return;
      this.#waiting.shift();
      const { firstIndex, lastIndex } = claim;
      const own = this.#replica.digestOf(firstIndex, lastIndex);
      if (own !== null) this.#compare(claim, own);
      else if (firstIndex <= this.#replica.startsAfter) this.#unchecked++;
      else this.#read(now, { claim, digest: NO_DIGEST, next: firstIndex });
    }
  }

  /** True when the read was one of this. */
  maybeRead(now: Instant, read: LogRead): boolean {
    if (read.readId !== READ_ID) return false;
    const reading = this.#reading;
    this.#reading = null;
    if (reading === null) return true;
    const { claim } = reading;
    const last = read.kind === "entries" ? read.entries.at(-1) : undefined;
    // A read that fails says so to everybody; of a log that was trimmed meanwhile nothing is left.
    if (read.kind !== "entries" || last === undefined) this.#unchecked++;
    else {
      for (const entry of read.entries) reading.digest = digestAfter(reading.digest, entry);
      reading.next = (last.index + 1) as LogIndex;
      if (last.index < claim.lastIndex) this.#read(now, reading);
      else this.#compare(claim, reading.digest);
    }
    this.advance(now);
    return true;
  }

  /** The first that differed; said once. */
  takeDifference(): SegmentDigest | null {
    const found = this.#found;
    this.#found = null;
    return found;
  }

  /** The log was replaced: its entries are others' now. */
  reset(): void {
    this.#waiting.length = 0;
    this.#reading = null;
  }

  #compare(claim: SegmentDigest, own: number): void {
    this.#checked++;
    if (own !== claim.digest) this.#found ??= claim;
  }

  #read(now: Instant, reading: Reading): void {
    this.#reading = reading;
    const { next: index, claim } = reading;
    const from = { kind: "index", index } as const;
    const bounds = { lastIndex: claim.lastIndex, bytesMax: READ_BYTES };
    this.#replica.stepLog(now, { kind: "read", readId: READ_ID, from, ...bounds });
  }
}
