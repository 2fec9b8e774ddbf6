// Reading sealed segments over and over, a little at a time, so that rot is found while there still
// are other copies. Owns how far it has come and the verdict; how much is read and when is decided
// by whoever asks. Segments that may still be truncated are not its business.

import type { Fault } from "../base/faults.ts";
import type { LogIndex } from "../base/ids.ts";
import { digestAfter, NO_DIGEST } from "./digest.ts";
import { type Flow, type FlowRunner, readAt } from "./flow.ts";
import type { ScrubStatus } from "./protocol.ts";
import { StoreScan } from "./recovery.ts";
import type { Segment } from "./segment.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./segment-header.ts";
import type { Segments } from "./segments.ts";

export interface ScrubParts {
  readonly runner: FlowRunner;
  readonly segments: Segments;
  /** Told when a segment does not read as what was sealed, twice. */
  readonly damaged: (segment: Segment, fault: Fault) => void;
  /** The same where all reads well, and the entries are not those that were sealed. */
  readonly differs: (segment: Segment) => void;
}

/** One segment as far as it was read. */
interface Work {
  readonly segment: Segment;
  readonly scan: StoreScan;
  digest: number;
}

export class Scrub {
  readonly #parts: ScrubParts;
  #work: Work | null = null;
  /** The segment to go on with: the first that begins here or later. */
  #nextBase = 1 as LogIndex;
  #isSecondLook = false;
  #isRunning = false;
  #passes = 0;
  #bytes = 0;

  constructor(parts: ScrubParts) {
    this.#parts = parts;
  }

  get passes(): number {
    return this.#passes;
  }

  get status(): ScrubStatus {
    const work = this.#work;
    return {
      passes: this.#passes,
      bytes: this.#bytes,
      baseIndex: work?.segment.baseIndex ?? this.#nextBase,
      position: work?.scan.end ?? 0,
    };
  }

  /** Reads about `bytesMax` more, a chunk at least; nothing while the last asking is under way. */
  advance(bytesMax: number): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#parts.runner.start(this.#advance(bytesMax), () => this.#giveUp());
  }

  /** A segment that cannot be read now is begun anew next time; a node hears of it by its reads. */
  #giveUp(): void {
    this.#work = null;
    this.#isRunning = false;
  }

  *#advance(bytesMax: number): Flow<void> {
    for (let left = bytesMax; left > 0; ) {
      this.#work ??= yield* this.#begin();
      const work = this.#work;
      if (work === null) break;
      const wanted = work.scan.wanted;
      if (wanted === null) {
        this.#judge(work);
        continue;
      }
      const bytes = yield* readAt(work.segment.store, wanted.position, wanted.length);
      left -= Math.max(bytes.length, 1);
      this.#bytes += bytes.length;
      if (this.#parts.segments.has(work.segment)) work.scan.take(bytes);
      else this.#work = null;
    }
    this.#isRunning = false;
  }

  /** The next sealed segment; null when there is none at all, or a pass has just ended. */
  *#begin(): Flow<Work | null> {
    const segment = this.#parts.segments.releasedFrom(this.#nextBase);
    if (segment === null) {
      if (this.#nextBase > 1) this.#passes++;
      this.#nextBase = 1 as LogIndex;
      return null;
    }
    const bytes = yield* readAt(segment.store, 0, SEGMENT_HEADER_BYTES);
    const decoded = decodeSegmentHeader(bytes);
    if (decoded.kind !== "header") {
      this.#suspect(segment, 0, "segment header cannot be read");
      return null;
    }
    const work: Work = {
      segment,
      digest: NO_DIGEST,
      scan: new StoreScan({
        header: decoded.header,
        truncateFrom: (segment.lastIndex + 1) as LogIndex,
        visit: (entry) => {
          work.digest = digestAfter(work.digest, entry);
        },
      }),
    };
    return work;
  }

  #judge({ segment, scan, digest }: Work): void {
    this.#work = null;
    if (scan.point.index < segment.lastIndex) {
      this.#suspect(segment, scan.end, `entry ${scan.point.index + 1} cannot be read`);
    } else if (digest !== segment.digest) {
      this.#suspect(segment, 0, null);
    } else this.#goOn(segment);
  }

  /**
   * `what` null: other entries than were sealed. Believed the second time: a disk may return a
   * wrong byte now and then.
   */
  #suspect(segment: Segment, position: number, what: string | null): void {
    this.#work = null;
    if (!this.#isSecondLook) {
      this.#isSecondLook = true;
      this.#nextBase = segment.baseIndex;
      return;
    }
    if (what === null) this.#parts.differs(segment);
    else this.#parts.damaged(segment, { code: "damaged", file: segment.store, position, what });
    this.#goOn(segment);
  }

  #goOn(segment: Segment): void {
    this.#isSecondLook = false;
    this.#nextBase = (segment.lastIndex + 1) as LogIndex;
  }
}
