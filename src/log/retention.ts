// Which records are old enough to go: a pure decision over the segments, by log time and never by a
// local clock, so that it can be proposed by the leader and carried out alike everywhere. Owns the
// decision; what a trim does to the disk is upkeep.ts.

import type { LogPoint } from "../base/entry.ts";
import type { Offset, WallMs } from "../base/ids.ts";

export interface RetentionLimits {
  /** Bytes of all segments together; null for no limit. */
  readonly bytesMax: number | null;
  /** A segment may go once its last entry is older than this, in log time; null for never. */
  readonly ageMsMax: number | null;
}

/** One segment: the place before its first entry, the place after its last, and its bytes. */
export interface SegmentExtent {
  readonly before: LogPoint;
  readonly last: LogPoint;
  readonly bytes: number;
}

/**
 * The offset before which to trim so that the limits are kept as far as whole segments allow; null
 * when nothing is to go. `segments` ascend; the last is active and always stays. `now` is log time:
 * the timestamp of the leader's last entry, or what it would stamp the next one with.
 */
export function retentionOffset(
  segments: readonly SegmentExtent[],
  { bytesMax, ageMsMax }: RetentionLimits,
  now: WallMs,
): Offset | null {
  let bytes = 0;
  for (const segment of segments) bytes += segment.bytes;
  let offset: Offset | null = null;
  for (const { last, bytes: freed } of segments.slice(0, -1)) {
    const isTooMuch = bytesMax !== null && bytes > bytesMax;
    const isTooOld = ageMsMax !== null && now - last.timestamp > ageMsMax;
    if (!isTooMuch && !isTooOld) break;
    bytes -= freed;
    offset = last.endOffset;
  }
  return offset;
}
