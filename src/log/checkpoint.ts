// A checkpoint's file: a point of the log and the opaque state as of it. Owns the layout; which
// checkpoints there are is checkpoints.ts, and when one is written upkeep.ts. The file is written
// aside, synced, renamed, and the directory synced: under its name it is whole.
//
//   0   8  "CAIRNCHK"                  32   8  endOffset
//   8   4  format version = 1          40   8  timestamp
//  12   4  CRC-32C of bytes 0-11, 16-63 48  8  length of the state
//  16   8  index                       56   4  CRC-32C of the state
//  24   8  term                        60   4  reserved, 0
//                                      64      state

import { type FrozenBytes, freeze, getU64, putU64, viewOf } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import type { LogPoint } from "../base/entry.ts";
import { isCount, type LogIndex, type Offset, type Term, type WallMs } from "../base/ids.ts";

export const CHECKPOINT_VERSION = 1;
export const CHECKPOINT_HEADER_BYTES = 64;
const MAGIC = "CAIRNCHK";

export interface Checkpoint {
  readonly at: LogPoint;
  readonly state: FrozenBytes;
}

/** The file's parts, in order; the state is not copied. */
export function encodeCheckpoint({ at, state }: Checkpoint): Uint8Array[] {
  const header = encodeCheckpointHeader({
    at,
    stateBytes: state.length,
    stateCrc: crc32c(state),
  });
  return [header, state];
}

/** What a file begins with whose state follows as it is read elsewhere. */
export function encodeCheckpointHeader({ at, stateBytes, stateCrc }: CheckpointHeader): Uint8Array {
  const header = new Uint8Array(CHECKPOINT_HEADER_BYTES);
  const view = viewOf(header);
  for (let n = 0; n < 8; n++) header[n] = MAGIC.charCodeAt(n);
  view.setUint32(8, CHECKPOINT_VERSION);
  putU64(view, 16, at.index);
  putU64(view, 24, at.term);
  putU64(view, 32, at.endOffset);
  putU64(view, 40, at.timestamp);
  putU64(view, 48, stateBytes);
  view.setUint32(56, stateCrc);
  view.setUint32(12, headerCrc(header));
  return header;
}

function headerCrc(bytes: Uint8Array): number {
  return crc32c(bytes, crc32c(bytes, 0, 0, 12), 16, CHECKPOINT_HEADER_BYTES);
}

/** What a checkpoint's first bytes say: enough to know its place and whether its state is whole. */
export interface CheckpointHeader {
  readonly at: LogPoint;
  readonly stateBytes: number;
  readonly stateCrc: number;
}

/** Null when it cannot be read: torn, rotten, or of a newer version. */
export function decodeCheckpointHeader(bytes: Uint8Array): CheckpointHeader | null {
  if (bytes.length < CHECKPOINT_HEADER_BYTES) return null;
  for (let at = 0; at < 8; at++) if (bytes[at] !== MAGIC.charCodeAt(at)) return null;
  const view = viewOf(bytes);
  if (view.getUint32(12) !== headerCrc(bytes)) return null;
  if (view.getUint32(8) !== CHECKPOINT_VERSION || view.getUint32(60) !== 0) return null;
  const [index, term, endOffset, timestamp] = [16, 24, 32, 40].map((at) => getU64(view, at));
  if (!isCount(index) || !isCount(term) || !isCount(endOffset) || !isCount(timestamp)) return null;
  const at: LogPoint = {
    index: index as LogIndex,
    term: term as Term,
    endOffset: endOffset as Offset,
    timestamp: timestamp as WallMs,
  };
  return { at, stateBytes: getU64(view, 48), stateCrc: view.getUint32(56) };
}

/**
 * The checkpoint in a file's bytes, or null when it cannot be read. The caller then takes an older
 * one and replays more of the log. The state is a view of `bytes`.
 */
export function decodeCheckpoint(bytes: FrozenBytes): Checkpoint | null {
  const header = decodeCheckpointHeader(bytes);
  if (header === null) return null;
  const state = bytes.subarray(CHECKPOINT_HEADER_BYTES);
  if (state.length !== header.stateBytes || crc32c(state) !== header.stateCrc) return null;
  return { at: header.at, state: freeze(state) };
}
