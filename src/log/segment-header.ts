// The first sector of a store file: which part of which log it holds, and the point its first entry
// joins on to. A sector of its own, written and synced before any entry and never again; so
// position 0 is never an entry's, and a zero slot of the index means empty.
//
//   0   8  "CAIRNSEG"                  32   8  term of the entry before
//   8   4  format version = 1          40   8  timestamp of the entry before
//  12   4  header length = 512         48  16  cluster id
//  16   8  baseIndex                   64  16  instance id
//  24   8  baseOffset                 508   4  CRC-32C

import { getU64, putU64, viewOf } from "../base/bytes.ts";
import type { LogPoint } from "../base/entry.ts";
import type { LogIndex, Offset, Term, WallMs } from "../base/ids.ts";
import { getId, putId } from "./identity.ts";
import { areCounts, beginSector, closeSector, openSector, SECTOR_BYTES } from "./sector.ts";

export const SEGMENT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = SECTOR_BYTES;
const MAGIC = "CAIRNSEG";

export interface SegmentHeader {
  /** The place just before the segment's first entry: baseIndex - 1, baseOffset, prevTerm. */
  readonly before: LogPoint;
  readonly clusterId: string;
  readonly instanceId: string;
}

export type DecodedSegmentHeader =
  | { readonly kind: "header"; readonly header: SegmentHeader }
  | { readonly kind: "newer"; readonly found: number }
  | { readonly kind: "malformed"; readonly what: string };

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = beginSector(MAGIC, SEGMENT_VERSION);
  const view = viewOf(bytes);
  view.setUint32(12, SEGMENT_HEADER_BYTES);
  putU64(view, 16, header.before.index + 1);
  putU64(view, 24, header.before.endOffset);
  putU64(view, 32, header.before.term);
  putU64(view, 40, header.before.timestamp);
  putId(bytes, 48, header.clusterId);
  putId(bytes, 64, header.instanceId);
  return closeSector(bytes);
}

export function decodeSegmentHeader(bytes: Uint8Array): DecodedSegmentHeader {
  const opened = openSector(bytes, 0, MAGIC, SEGMENT_VERSION);
  if (opened.kind !== "sector") return opened;
  const { view } = opened;
  const baseIndex = getU64(view, 16);
  if (view.getUint32(12) !== SEGMENT_HEADER_BYTES) {
    return { kind: "malformed", what: "header length is not 512" };
  }
  if (!areCounts(view, 16, 24, 32, 40) || baseIndex === 0) {
    return { kind: "malformed", what: "a field is out of range" };
  }
  const before: LogPoint = {
    index: (baseIndex - 1) as LogIndex,
    term: getU64(view, 32) as Term,
    endOffset: getU64(view, 24) as Offset,
    timestamp: getU64(view, 40) as WallMs,
  };
  const header = { before, clusterId: getId(bytes, 48), instanceId: getId(bytes, 64) };
  return { kind: "header", header };
}
