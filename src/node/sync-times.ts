// When this node's own disk had which entry: for the spans of whoever traces appends. Owns no
// decision: nothing waits for what is said here.

import type { Instant, LogIndex, WriteId } from "../base/ids.ts";

/** Older ones are forgotten: an append that was committed so much later is not asked about. */
const SYNCS_MAX = 64;

interface Sync {
  readonly lastIndex: LogIndex;
  readonly at: Instant;
}

export class SyncTimes {
  readonly #written: { readonly writeId: WriteId; readonly lastIndex: LogIndex }[] = [];
  readonly #syncs: Sync[] = [];
  /** The last entry whose sync is forgotten. */
  #forgotten = 0;

  /** A write that ends with this entry was handed to the log. */
  wrote(writeId: WriteId, lastIndex: LogIndex): void {
    // Written again after a truncation: what was said of the old entries says nothing now.
    while ((this.#syncs.at(-1)?.lastIndex ?? -1) >= lastIndex) this.#syncs.pop();
    this.#written.push({ writeId, lastIndex });
  }

  /** It, and all writes before it, are on the disk. */
  persisted(at: Instant, writeId: WriteId): void {
    let lastIndex: LogIndex | null = null;
    while ((this.#written[0]?.writeId ?? Number.POSITIVE_INFINITY) <= writeId) {
      lastIndex = this.#written.shift()?.lastIndex ?? null;
    }
    if (lastIndex === null) return;
    this.#syncs.push({ lastIndex, at });
    if (this.#syncs.length > SYNCS_MAX) this.#forgotten = this.#syncs.shift()?.lastIndex ?? 0;
  }

  /** Null: not yet, or forgotten. */
  durableAt(index: LogIndex): Instant | null {
    if (index <= this.#forgotten) return null;
    let found: Instant | null = null;
    for (let at = this.#syncs.length - 1; at >= 0; at--) {
      const sync = this.#syncs[at];
      if (sync === undefined || sync.lastIndex < index) break;
      found = sync.at;
    }
    return found;
  }
}
