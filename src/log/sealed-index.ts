// Where the entries of sealed segments are whose index is no longer in memory: looked up in the
// index file by positioned reads, a block at a time, with a small bounded cache. The file itself is
// a cache of the store and may hold anything: whoever follows it checks what stands there, and has
// it rebuilt from the store when it is another entry. Owns that looking up and rebuilding.

import { getU64, viewOf } from "../base/bytes.ts";
import type { LogIndex, Position } from "../base/ids.ts";
import { DiskTrouble, type Flow, perform, readAt, Turnstile } from "./flow.ts";
import { INDEX_SLOT_BYTES, IndexTable } from "./index-file.ts";
import { StoreScan } from "./recovery.ts";
import type { Segment } from "./segment.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./segment-header.ts";

/** Just under 4 KiB. */
const BLOCK_SLOTS = 340;
/** Blocks kept: 2 MiB, of the entries of three segments of 64 MiB and 1 KiB an entry. */
const BLOCKS_MAX = 512;
/** Places known without a look, because a read ended there. */
const HINTS_MAX = 64;

interface Slot {
  readonly relativeOffset: number;
  readonly position: Position;
}

/** Of entries that are as long on average it is worth a look where those end that fit. */
const LARGE_ENTRY_BYTES = 16 * 1024;

/** Something else stands where an index file says that an entry is. */
export class IndexDoubt {
  readonly segment: Segment;
  readonly position: Position;
  readonly what: string;

  constructor(segment: Segment, position: Position, what: string) {
    this.segment = segment;
    this.position = position;
    this.what = what;
  }
}

export class SealedIndexes {
  /** In the order of last use, oldest first. */
  readonly #blocks = new Map<string, Uint8Array>();
  readonly #hints = new Map<LogIndex, Position>();
  readonly #turnstile = new Turnstile();
  readonly #failed: (trouble: DiskTrouble) => void;
  #rebuilt = 0;

  /** `failed` hears when the disk refuses what is written here. */
  constructor(failed: (trouble: DiskTrouble) => void) {
    this.#failed = failed;
  }

  /** Segments go or come back: nothing that was read of them counts. */
  forget(): void {
    this.#blocks.clear();
    this.#hints.clear();
  }

  /** The next read will begin with `index`, which stands at `position`. */
  hint(index: LogIndex, position: Position): void {
    this.#hints.set(index, position);
    if (this.#hints.size <= HINTS_MAX) return;
    for (const oldest of this.#hints.keys()) {
      this.#hints.delete(oldest);
      return;
    }
  }

  *positionOf(segment: Segment, index: LogIndex): Flow<Position> {
    const known = this.#hints.get(index);
    if (known !== undefined) return known;
    return (yield* this.#slot(segment, index - segment.baseIndex)).position;
  }

  /**
   * Where the last one ends of the entries from `index` on that fit into `bytes` behind `position`,
   * as far as one block tells, and of one at least. Null where a read of all `bytes` costs less
   * than the look: of small entries, the last of which may be read in vain.
   */
  *endWithin(
    segment: Segment,
    index: LogIndex,
    position: Position,
    bytes: number,
  ): Flow<Position | null> {
    const { baseIndex, count, end } = segment;
    const next = index - baseIndex + 1;
    if (end < count * LARGE_ENTRY_BYTES) return null;
    if (next >= count || end <= position + bytes) return end;
    const first = next - (next % BLOCK_SLOTS);
    const block = yield* this.#block(segment, first);
    let low = next;
    let high = Math.min(first + BLOCK_SLOTS, count);
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (slotIn(block, middle - first).position <= position + bytes) low = middle;
      else high = middle;
    }
    const found = slotIn(block, low - first).position;
    return found > position && found < end ? found : null;
  }

  *relativeOffsetOf(segment: Segment, index: LogIndex): Flow<number> {
    return (yield* this.#slot(segment, index - segment.baseIndex)).relativeOffset;
  }

  /**
   * The last of the first `end` entries that begins at or before the offset; the first where none
   * does. `span` is the segment's count of records. Guesses once, so that even entries are found
   * with one or two blocks, then halves: any others are found in O(log blocks).
   */
  *lastAtOrBefore(
    segment: Segment,
    relativeOffset: number,
    end: number,
    span: number,
  ): Flow<LogIndex> {
    // Entry `low` begins at or before the offset, entry `high` does not or does not count.
    let low = 0;
    let high = Math.min(end, segment.count);
    let at = Math.floor((relativeOffset * segment.count) / (span + 1));
    while (high - low > 1) {
      at = Math.min(Math.max(at, low), high - 1);
      const first = at - (at % BLOCK_SLOTS);
      const from = Math.max(first, low);
      const to = Math.min(first + BLOCK_SLOTS, high);
      const block = yield* this.#block(segment, first);
      const found = lastIn(block, first, from, to, relativeOffset);
      if (found < from) high = from;
      else low = found;
      if (found >= from && found < to - 1) high = found + 1;
      // The last of a block may have its successor in the next.
      at = found === to - 1 && high > to ? Math.max(to, (low + high) >>> 1) : (low + high) >>> 1;
    }
    return (segment.baseIndex + low) as LogIndex;
  }

  *#slot(segment: Segment, slot: number): Flow<Slot> {
    const first = slot - (slot % BLOCK_SLOTS);
    return slotIn(yield* this.#block(segment, first), slot - first);
  }

  *#block(segment: Segment, firstSlot: number): Flow<Uint8Array> {
    const key = `${segment.indexName} ${firstSlot}`;
    const known = this.#blocks.get(key);
    if (known !== undefined) {
      this.#blocks.delete(key);
      this.#blocks.set(key, known);
      return known;
    }
    const slots = Math.min(BLOCK_SLOTS, segment.count - firstSlot);
    const length = slots * INDEX_SLOT_BYTES;
    const position = firstSlot * INDEX_SLOT_BYTES;
    const block = yield* readAt(segment.indexName, position, length);
    if (block.length < length) {
      throw new IndexDoubt(segment, SEGMENT_HEADER_BYTES as Position, "the index is short");
    }
    this.#blocks.set(key, block);
    if (this.#blocks.size > BLOCKS_MAX) {
      for (const oldest of this.#blocks.keys()) {
        this.#blocks.delete(oldest);
        break;
      }
    }
    return block;
  }

  /** Counts rebuildings: whoever doubts says what it knew, and rebuilds only what is as old. */
  get generation(): number {
    return this.#rebuilt;
  }

  /** Writes the index file anew from the store. Trouble: the store is not whole either. */
  *rebuild(segment: Segment, generation: number): Flow<void> {
    yield* this.#turnstile.enter();
    try {
      if (generation !== this.#rebuilt) return;
      const table = yield* tableOf(segment);
      const file = segment.indexName;
      const parts = [table.used.slice()];
      try {
        yield* perform(
          { kind: "write-at", file, position: 0 as Position, parts },
          { kind: "sync", file },
        );
      } catch (thrown) {
        if (thrown instanceof DiskTrouble) this.#failed(thrown);
        throw thrown;
      }
      this.#rebuilt++;
      this.forget();
    } finally {
      this.#turnstile.leave();
    }
  }
}

function lastIn(
  block: Uint8Array,
  first: number,
  from: number,
  to: number,
  relativeOffset: number,
): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (slotIn(block, middle - first).relativeOffset <= relativeOffset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function slotIn(block: Uint8Array, slot: number): Slot {
  const view = viewOf(block);
  const at = slot * INDEX_SLOT_BYTES;
  return { relativeOffset: view.getUint32(at), position: getU64(view, at + 4) as Position };
}

/** What the store says; it must hold every entry of the segment. */
function* tableOf(segment: Segment): Flow<IndexTable> {
  const file = segment.store;
  const decoded = decodeSegmentHeader(yield* readAt(file, 0, SEGMENT_HEADER_BYTES));
  if (decoded.kind !== "header") throw damagedAt(file, 0, "segment header");
  const table = new IndexTable();
  const scan = new StoreScan({
    header: decoded.header,
    truncateFrom: (segment.lastIndex + 1) as LogIndex,
    visit: (entry, position) => table.append(entry.offset - segment.baseOffset, position),
  });
  for (let wanted = scan.wanted; wanted !== null; wanted = scan.wanted) {
    scan.take(yield* readAt(file, wanted.position, wanted.length));
  }
  if (table.count >= segment.count) return table;
  const what = `entry ${segment.baseIndex + table.count} cannot be read`;
  throw damagedAt(file, scan.end, what);
}

function damagedAt(file: string, position: number, what: string): DiskTrouble {
  return new DiskTrouble({ code: "damaged", file, position, what });
}
