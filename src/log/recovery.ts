// Reading a store file back: a fold over its bytes that ends with the good end and a verdict. Pure:
// it asks for byte ranges and is given them, so that a file is streamed in bounded chunks, and a
// checker folds a whole disk image. What follows from a verdict is store-recovery.ts.
//
// The verdict rests on markers. A group of entries is written only after the one before it was
// synced, and begins with a marker that names the durable index of then. So where frames stop:
//  - nothing but zeros behind: clean, the file ends here;
//  - a marker further on that names a lost entry as durable: damage, it was acknowledged;
//  - else only the last, never acknowledged group is torn, in any order of its sectors: torn tail.
// A whole frame that does not join on to the one before is damage: no torn write looks so.

import { assert } from "../base/assert.ts";
import { equalBytes, type FrozenBytes, freeze, viewOf } from "../base/bytes.ts";
import { decodeControl } from "../base/control.ts";
import {
  brokenLink,
  type Entry,
  type EntryHead,
  type LogPoint,
  pointAfter,
} from "../base/entry.ts";
import type { LogIndex, Position } from "../base/ids.ts";
import {
  decodeHead,
  FRAME_ALIGNMENT,
  FRAME_HEADER_BYTES,
  FRAME_LIMITS,
  isBodyWhole,
  paddedLength,
  withFrame,
} from "./frame.ts";
import { markerSalt } from "./identity.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, type SegmentHeader } from "./segment-header.ts";

/** Bytes asked for at once, unless one frame is longer. */
export const SCAN_CHUNK_BYTES = 1024 * 1024;

const CUT = "a truncation was under way";

/** A restart may read it right. */
export const READS_DIFFERENTLY = "reads differently the second time";

export type StoreVerdict =
  | { readonly kind: "clean" }
  /** Bytes of a write that never was acknowledged stand in [end, tornEnd). */
  | { readonly kind: "torn-tail"; readonly tornEnd: Position; readonly what: string }
  /** Acknowledged bytes are lost or wrong at the good end; the first lost index where known. */
  | { readonly kind: "damage"; readonly what: string; readonly index: LogIndex | null }
  /** An entry that only a newer version understands. */
  | { readonly kind: "unsupported"; readonly what: string };

export interface ScanOptions {
  readonly header: SegmentHeader;
  /** Entries from here on are being cut by a truncation: they end the scan and are no loss. */
  readonly truncateFrom: LogIndex | null;
  /** Where the entries go, in order; their frames are not kept. */
  readonly visit: (head: EntryHead, position: Position) => void;
}

export interface WantedBytes {
  readonly position: Position;
  readonly length: number;
}

export class StoreScan {
  readonly #options: ScanOptions;
  readonly #salt: number;
  #phase: "frames" | "rest" | "done" = "frames";
  /** The end of the last good frame, padded. */
  #end = SEGMENT_HEADER_BYTES;
  #wantedLength = SCAN_CHUNK_BYTES;
  #point: LogPoint;
  /** Of the last marker on the good way, or null. */
  #markerPosition: Position | null = null;
  #hardSequence = 0;
  #stop = "the file ends";
  #rest = 0;
  #lastNonZero = -1;
  /** What the frames stopped at, until it has been read once more. */
  #stopped: Uint8Array | null = null;
  #durableIndex = 0 as LogIndex;
  #verdict: StoreVerdict = { kind: "clean" };

  constructor(options: ScanOptions) {
    this.#options = options;
    this.#point = options.header.before;
    this.#salt = markerSalt(options.header.instanceId, this.#baseIndex);
  }

  get #baseIndex(): LogIndex {
    return (this.#options.header.before.index + 1) as LogIndex;
  }

  /** The bytes wanted next, or null when the verdict is there. */
  get wanted(): WantedBytes | null {
    if (this.#phase === "done") return null;
    const position = (this.#phase === "frames" ? this.#end : this.#rest) as Position;
    return { position, length: this.#wantedLength };
  }

  /** Where the next frame would go: behind the last good frame and its padding. */
  get end(): Position {
    return this.#end as Position;
  }

  /** The place just after the last good entry. */
  get point(): LogPoint {
    return this.#point;
  }

  /** Where the last group begins, as far as it is good; null when the segment has none. */
  get lastMarkerPosition(): Position | null {
    return this.#markerPosition;
  }

  /** The highest sequence number of the hard state that a marker saw durable. */
  get hardSequence(): number {
    return this.#hardSequence;
  }

  get verdict(): StoreVerdict {
    assert(this.#phase === "done", "the scan is not done");
    return this.#verdict;
  }

  /**
   * Takes what stands at `wanted.position`; fewer bytes than wanted mean that the file ends there.
   */
  take(bytes: FrozenBytes): void {
    const ends = bytes.length < this.#wantedLength;
    if (this.#phase === "rest") {
      if (this.#isSeenAgain(bytes)) this.#takeRest(bytes, ends);
      else this.#finish({ kind: "damage", what: READS_DIFFERENTLY, index: null });
      return;
    }
    const start = this.#end;
    this.#takeFrames(bytes, ends);
    if (this.#phase !== "frames") this.#stopped = bytes.subarray(this.#end - start);
  }

  /**
   * Whether the first bytes of the rest are what the frames stopped at: a disk that returns a wrong
   * byte now and then must not make a torn tail of entries that were acknowledged.
   */
  #isSeenAgain(bytes: Uint8Array): boolean {
    const stopped = this.#stopped;
    this.#stopped = null;
    if (stopped === null) return true;
    const length = Math.min(stopped.length, bytes.length);
    return equalBytes(stopped.subarray(0, length), bytes.subarray(0, length));
  }

  #takeFrames(bytes: FrozenBytes, ends: boolean): void {
    const view = viewOf(bytes);
    let at = 0;
    while (this.#phase === "frames") {
      const decoded = decodeHead(bytes, at, FRAME_LIMITS, view);
      switch (decoded.kind) {
        case "head":
          if (at + decoded.length > bytes.length) {
            this.#cutShort(decoded.length, ends);
            return;
          }
          at += this.#takeFrame(decoded.head, bytes, at);
          break;
        case "incomplete":
          this.#cutShort(decoded.needs, ends);
          return;
        case "malformed":
          this.#stopAt(decoded.what);
          break;
        case "unsupported":
          if (this.#isAtCut) this.#stopAt(CUT);
          else this.#finish({ kind: "unsupported", what: decoded.what });
          break;
      }
    }
  }

  /**
   * Asks for the frame again from its own start, unless the file ends: no bytes are carried over.
   */
  #cutShort(needs: number, ends: boolean): void {
    if (ends) this.#stopAt("the file ends inside a frame");
    else this.#wantedLength = Math.max(SCAN_CHUNK_BYTES, needs);
  }

  /** The bytes to go on by; 0 when the frame at `at`, all of which is there, ends the scan. */
  #takeFrame(head: EntryHead, bytes: Uint8Array, at: number): number {
    if (!isBodyWhole(bytes, at, head)) {
      this.#stopAt("body checksum does not match");
      return 0;
    }
    const start = at + FRAME_HEADER_BYTES;
    const control = decodeControl(head.kind, bytes.subarray(start, start + head.bodyLength));
    if (control === "malformed") {
      this.#break(`the body of a ${head.kind} entry makes no sense`);
      return 0;
    }
    return this.#takeHead(control === null ? head : { ...head, control });
  }

  /** The bytes to go on by; 0 when the entry ends the scan. */
  #takeHead(entry: EntryHead): number {
    const isMarker = entry.kind === "marker";
    if (!isMarker && this.#isAtCut) {
      this.#stopAt(CUT);
      return 0;
    }
    const broken = isMarker ? this.#brokenMarker(entry) : brokenLink(this.#point, entry);
    if (broken !== null) {
      this.#break(broken);
      return 0;
    }
    if (isMarker) {
      this.#markerPosition = this.#end as Position;
      this.#hardSequence = Math.max(this.#hardSequence, entry.sequence);
    } else {
      this.#options.visit(entry, this.#end as Position);
      this.#point = pointAfter(entry);
    }
    const length = paddedLength(FRAME_HEADER_BYTES + entry.bodyLength);
    this.#end += length;
    return length;
  }

  /** Whether the next entry would be one that is being cut: whatever stands here is no loss. */
  get #isAtCut(): boolean {
    return this.#point.index + 1 >= (this.#options.truncateFrom ?? Number.MAX_SAFE_INTEGER);
  }

  /** A whole frame that cannot stand here. */
  #break(what: string): void {
    if (this.#isAtCut) this.#stopAt(CUT);
    else this.#finish({ kind: "damage", what, index: (this.#point.index + 1) as LogIndex });
  }

  #brokenMarker(marker: EntryHead): string | null {
    if (!this.#isOurs(marker, this.#end)) return "marker of another place";
    if (marker.index !== this.#point.index) return "marker does not follow";
    if (marker.offset !== this.#point.endOffset) return "marker's offset does not follow";
    return null;
  }

  /** A marker counts only where it says that it stands, in the segment it was made for. */
  #isOurs(marker: EntryHead, position: number): boolean {
    return marker.producerId === position && marker.epoch === this.#salt;
  }

  #stopAt(what: string): void {
    this.#stop = what;
    this.#phase = "rest";
    this.#rest = this.#end;
    this.#wantedLength = SCAN_CHUNK_BYTES;
  }

  /** Looks at all that is left: where the last byte is that is not zero, and for markers. */
  #takeRest(bytes: FrozenBytes, ends: boolean): void {
    const view = viewOf(bytes);
    const searched = ends ? bytes.length : bytes.length - FRAME_HEADER_BYTES + FRAME_ALIGNMENT;
    for (let at = 0; at < searched; at += FRAME_ALIGNMENT) {
      if (isZeroWord(bytes, at)) continue;
      this.#lastNonZero = this.#rest + lastNonZeroOfWord(bytes, at);
      const decoded = decodeHead(bytes, at, FRAME_LIMITS, view);
      if (decoded.kind !== "head" || decoded.head.kind !== "marker") continue;
      if (!this.#isOurs(decoded.head, this.#rest + at)) continue;
      this.#durableIndex = Math.max(this.#durableIndex, decoded.head.index) as LogIndex;
      this.#hardSequence = Math.max(this.#hardSequence, decoded.head.sequence);
    }
    this.#rest += searched;
    if (ends) this.#judge();
  }

  #judge(): void {
    const cut = this.#options.truncateFrom;
    const durable = cut === null ? this.#durableIndex : Math.min(this.#durableIndex, cut - 1);
    if (durable > this.#point.index) {
      const what = `entries up to ${durable} were durable, but: ${this.#stop}`;
      this.#finish({ kind: "damage", what, index: (this.#point.index + 1) as LogIndex });
    } else if (this.#lastNonZero >= this.#end) {
      const tornEnd = paddedLength(this.#lastNonZero + 1) as Position;
      this.#finish({ kind: "torn-tail", tornEnd, what: this.#stop });
    } else {
      this.#finish({ kind: "clean" });
    }
  }

  #finish(verdict: StoreVerdict): void {
    this.#phase = "done";
    this.#verdict = verdict;
  }
}

function isZeroWord(bytes: Uint8Array, at: number): boolean {
  const end = Math.min(at + FRAME_ALIGNMENT, bytes.length);
  for (let n = at; n < end; n++) if (bytes[n] !== 0) return false;
  return true;
}

function lastNonZeroOfWord(bytes: Uint8Array, at: number): number {
  let last = Math.min(at + FRAME_ALIGNMENT, bytes.length) - 1;
  while (bytes[last] === 0) last--;
  return last;
}

/** True when every byte from `at` on is zero. */
export function isZeroFrom(bytes: Uint8Array, at: number): boolean {
  for (let n = at; n < bytes.length; n++) if (bytes[n] !== 0) return false;
  return true;
}

/** How much of some bytes is whole. */
export interface WholeBytes {
  readonly length: number;
  /** What has to be read from there to get on; no more than is there when it is not whole. */
  readonly needs: number;
}

/**
 * The whole frames that stand one after another from the first byte on; of the last one's padding
 * some may be missing.
 */
export function wholeFrames(bytes: Uint8Array): WholeBytes {
  const view = viewOf(bytes);
  let length = 0;
  while (length < bytes.length) {
    const decoded = decodeHead(bytes, length, FRAME_LIMITS, view);
    if (decoded.kind === "incomplete") return { length, needs: decoded.needs };
    if (decoded.kind !== "head") return { length, needs: 0 };
    if (length + decoded.length > bytes.length) return { length, needs: decoded.length };
    if (!isBodyWhole(bytes, length, decoded.head)) return { length, needs: 0 };
    length += paddedLength(decoded.length);
  }
  return { length, needs: 0 };
}

export interface ScannedEntry {
  readonly entry: Entry;
  readonly position: Position;
}

/** All that one store file says by itself. */
export interface ScannedStore {
  readonly header: SegmentHeader;
  readonly entries: readonly ScannedEntry[];
  /** The place just after the last good entry. */
  readonly point: LogPoint;
  readonly end: Position;
  readonly hardSequence: number;
  readonly lastMarkerPosition: Position | null;
  readonly verdict: StoreVerdict;
}

/**
 * Reads a whole store file's image, as recovery does, without a look at any other file. For
 * checkers and tools. Null when its header cannot be read: no entry of it was ever acknowledged
 * then, unless the file is damaged. The entries' frames are views of `bytes`.
 */
export function scanStore(
  bytes: FrozenBytes,
  truncateFrom: LogIndex | null = null,
): ScannedStore | null {
  const decoded = decodeSegmentHeader(bytes);
  if (decoded.kind !== "header") return null;
  const { header } = decoded;
  const entries: ScannedEntry[] = [];
  const visit = (head: EntryHead, position: Position) => {
    const end = position + FRAME_HEADER_BYTES + head.bodyLength;
    const entry = withFrame(head, freeze(bytes.subarray(position, end)));
    entries.push({ entry, position });
  };
  const scan = new StoreScan({ header, truncateFrom, visit });
  for (let wanted = scan.wanted; wanted !== null; wanted = scan.wanted) {
    const end = Math.min(bytes.length, wanted.position + wanted.length);
    scan.take(bytes.subarray(wanted.position, end) as FrozenBytes);
  }
  const { point, end, hardSequence, lastMarkerPosition, verdict } = scan;
  return { header, entries, point, end, hardSequence, lastMarkerPosition, verdict };
}
