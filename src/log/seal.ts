// The seal of a segment: what its store holds, said once nothing of it will change any more, so
// that the next opening need not read it. Owns layout, writing and reading back; whether a seal may
// be believed is store-recovery.ts. It is a file of its own: what was acknowledged is never written
// again. One that is missing, torn or rotten costs a scan of its store and nothing else.
//
//   0   8  "CAIRNSEA"                  64   8  offset after its last record
//   8   4  format version = 1          72   8  timestamp of the last entry
//  12   4  count of term runs          80   8  position of the store's end
//  16   8  baseIndex                   88   8  highest sequence of the hard state in a marker
//  24   8  baseOffset                  96   4  digest of its entries (digest.ts)
//  32   8  term of the entry before   100   4  CRC-32C of bytes 0-99 and all runs
//  40   8  its timestamp              104      runs of terms: term 8, index of the first entry 8
//  48   8  index of the last entry
//  56   8  its term
//
// The directory's identity is not in it: the segment header is read besides.

import { getU64, putU64, viewOf } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import type { LogPoint, TermRun } from "../base/entry.ts";
import {
  isCount,
  type LogIndex,
  type Offset,
  type Position,
  type Term,
  type WallMs,
} from "../base/ids.ts";
import { sealFile } from "./file-names.ts";
import type { Operation } from "./flow.ts";

export const SEAL_VERSION = 1;
const SEAL_HEADER_BYTES = 104;
const RUN_BYTES = 16;
const SEAL_RUNS_MAX = 4096;
export const SEAL_BYTES_MAX = SEAL_HEADER_BYTES + SEAL_RUNS_MAX * RUN_BYTES;
const MAGIC = "CAIRNSEA";

export interface Seal {
  readonly before: LogPoint;
  readonly last: LogPoint;
  readonly end: Position;
  readonly hardSequence: number;
  readonly digest: number;
  readonly runs: readonly TermRun[];
}

export function encodeSeal(seal: Seal): Uint8Array {
  const bytes = new Uint8Array(SEAL_HEADER_BYTES + seal.runs.length * RUN_BYTES);
  const view = viewOf(bytes);
  for (let at = 0; at < 8; at++) bytes[at] = MAGIC.charCodeAt(at);
  view.setUint32(8, SEAL_VERSION);
  view.setUint32(12, seal.runs.length);
  const { before, last } = seal;
  putU64(view, 16, before.index + 1);
  putU64(view, 24, before.endOffset);
  putU64(view, 32, before.term);
  putU64(view, 40, before.timestamp);
  putU64(view, 48, last.index);
  putU64(view, 56, last.term);
  putU64(view, 64, last.endOffset);
  putU64(view, 72, last.timestamp);
  putU64(view, 80, seal.end);
  putU64(view, 88, seal.hardSequence);
  view.setUint32(96, seal.digest);
  for (const [n, run] of seal.runs.entries()) {
    putU64(view, SEAL_HEADER_BYTES + n * RUN_BYTES, run.term);
    putU64(view, SEAL_HEADER_BYTES + n * RUN_BYTES + 8, run.firstIndex);
  }
  view.setUint32(100, sealCrc(bytes));
  return bytes;
}

function sealCrc(bytes: Uint8Array): number {
  return crc32c(bytes, crc32c(bytes, 0, 0, 100), SEAL_HEADER_BYTES);
}

/** Null when it cannot be read: torn, rotten, or of a newer version. */
export function decodeSeal(bytes: Uint8Array): Seal | null {
  if (bytes.length < SEAL_HEADER_BYTES) return null;
  for (let at = 0; at < 8; at++) if (bytes[at] !== MAGIC.charCodeAt(at)) return null;
  const view = viewOf(bytes);
  if (view.getUint32(8) !== SEAL_VERSION || view.getUint32(100) !== sealCrc(bytes)) return null;
  const runs: TermRun[] = [];
  const end = SEAL_HEADER_BYTES + view.getUint32(12) * RUN_BYTES;
  if (bytes.length !== end) return null;
  for (let at = SEAL_HEADER_BYTES; at < end; at += RUN_BYTES) {
    runs.push({ term: getU64(view, at) as Term, firstIndex: getU64(view, at + 8) as LogIndex });
  }
  for (let at = 16; at < 96; at += 8) if (!isCount(getU64(view, at))) return null;
  return {
    before: pointIn(view, getU64(view, 16) - 1, 32, 24, 40),
    last: pointIn(view, getU64(view, 48), 56, 64, 72),
    end: getU64(view, 80) as Position,
    hardSequence: getU64(view, 88),
    digest: view.getUint32(96),
    runs,
  };
}

function pointIn(
  view: DataView,
  index: number,
  term: number,
  endOffset: number,
  timestamp: number,
): LogPoint {
  return {
    index: index as LogIndex,
    term: getU64(view, term) as Term,
    endOffset: getU64(view, endOffset) as Offset,
    timestamp: getU64(view, timestamp) as WallMs,
  };
}

/** False for a segment that is scanned rather than sealed: it has too many runs of terms. */
export function isSealable({ runs }: Seal): boolean {
  return runs.length <= SEAL_RUNS_MAX;
}

/** Makes the seal's file, synced; its name is durable after the caller's sync-dir. */
export function writeSeal(seal: Seal): Operation[] {
  const file = sealFile((seal.before.index + 1) as LogIndex);
  return [
    { kind: "create", file },
    { kind: "write-at", file, position: 0 as Position, parts: [encodeSeal(seal)] },
    { kind: "sync", file },
  ];
}
