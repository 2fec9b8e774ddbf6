// Reading checkpoints back from a directory. Owns no decision: which are needed is checkpoints.ts.

import { type FrozenBytes, freeze } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import type { LogPoint } from "../base/entry.ts";
import type { Damage } from "../base/faults.ts";
import type { LogIndex } from "../base/ids.ts";
import {
  CHECKPOINT_HEADER_BYTES,
  type Checkpoint,
  type CheckpointHeader,
  decodeCheckpoint,
  decodeCheckpointHeader,
} from "./checkpoint.ts";
import {
  checkpointFile,
  indexOfCheckpoint,
  indexOfIncoming,
  indexOfInstall,
} from "./file-names.ts";
import { type Flow, type Operation, perform, readAt } from "./flow.ts";
import type { FileSizes } from "./refusal.ts";

/** Most checkpoints are read with one operation. */
const FIRST_BYTES = 64 * 1024;
/** Read at once of a state that is wanted whole. */
const STATE_PIECE_BYTES = 4 * 1024 * 1024;
/** Read at once while a checkpoint is verified. */
const PIECE_BYTES = 256 * 1024;

/** What a directory says of its checkpoints. */
export interface FoundCheckpoints {
  /** Those whose header is whole, ascending. */
  readonly points: readonly LogPoint[];
  /** The newest that is whole; null without any. */
  readonly newest: Checkpoint | null;
  readonly skipped: readonly Damage[];
}

export function* findCheckpoints(sizes: FileSizes): Flow<FoundCheckpoints> {
  const indexes = [...sizes.keys()].map(indexOfCheckpoint).filter((index) => index !== null);
  indexes.sort((a, b) => a - b);
  const skipped: Damage[] = [];
  const points: LogPoint[] = [];
  const results = yield* perform(...indexes.map((index) => headerOf(checkpointFile(index))));
  for (const [n, index] of indexes.entries()) {
    const result = results[n];
    const header = result?.kind === "read" ? decodeCheckpointHeader(result.bytes) : null;
    if (header?.at.index === index) points.push(header.at);
    else skipped.push(unreadable(index));
  }
  for (let point = points.at(-1); point !== undefined; point = points.at(-1)) {
    const newest = yield* readCheckpoint(checkpointFile(point.index));
    if (newest !== null) return { points, newest, skipped };
    skipped.push(unreadable(point.index));
    points.pop();
  }
  return { points, newest: null, skipped };
}

function headerOf(file: string): Operation {
  return { kind: "read-at", file, position: 0 as never, length: CHECKPOINT_HEADER_BYTES };
}

function unreadable(index: LogIndex): Damage {
  const what = "the checkpoint cannot be read";
  return { file: checkpointFile(index), position: 0, what, index };
}

/**
 * The checkpoint in `file`, verified; null when it is torn, rotten, of a newer version, or of
 * another index than the file's name says. Read in pieces, so that a disk that works on a large one
 * does not look as if it hung, into the one place where the state then stays.
 */
export function* readCheckpoint(file: string): Flow<Checkpoint | null> {
  const first = yield* readAt(file, 0, FIRST_BYTES);
  const header = decodeCheckpointHeader(first);
  if (header === null || header.at.index !== indexOfName(file)) return null;
  const length = CHECKPOINT_HEADER_BYTES + header.stateBytes;
  if (first.length < FIRST_BYTES || first.length >= length) {
    return decodeCheckpoint(freeze(first.subarray(0, length)));
  }
  // Before room is made for what is not there.
  if ((yield* readAt(file, length - 1, 1)).length === 0) return null;
  const state = new Uint8Array(header.stateBytes);
  state.set(first.subarray(CHECKPOINT_HEADER_BYTES));
  for (let at = first.length - CHECKPOINT_HEADER_BYTES; at < state.length; ) {
    const piece = yield* readState(file, at, Math.min(STATE_PIECE_BYTES, state.length - at));
    if (piece.length === 0) return null;
    state.set(piece, at);
    at += piece.length;
  }
  return crc32c(state) === header.stateCrc ? { at: header.at, state: freeze(state) } : null;
}

/**
 * The same without its state, which is read piece by piece to see that it is whole: memory for one
 * piece, however large it is.
 */
export function* verifyCheckpoint(file: string): Flow<CheckpointHeader | null> {
  const header = decodeCheckpointHeader(yield* readAt(file, 0, CHECKPOINT_HEADER_BYTES));
  if (header === null || header.at.index !== indexOfName(file)) return null;
  let crc = 0;
  for (let at = 0; at < header.stateBytes; ) {
    const length = Math.min(PIECE_BYTES, header.stateBytes - at);
    const piece = yield* readState(file, at, length);
    if (piece.length < length) return null;
    crc = crc32c(piece, crc);
    at += length;
  }
  return crc === header.stateCrc ? header : null;
}

/** Bytes of a checkpoint's state, as they stand; fewer only at its end. */
export function readState(file: string, position: number, length: number): Flow<FrozenBytes> {
  return readAt(file, CHECKPOINT_HEADER_BYTES + position, length);
}

function indexOfName(file: string): LogIndex | null {
  return indexOfCheckpoint(file) ?? indexOfInstall(file) ?? indexOfIncoming(file);
}
