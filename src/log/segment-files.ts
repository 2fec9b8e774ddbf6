// What is done to a segment's two files as a whole: made, mapped, sealed, dropped. Owns the order
// in which that becomes durable; not when it is due (writer.ts, opening.ts), nor what stands
// inside.

import { assert } from "../base/assert.ts";
import type { Position } from "../base/ids.ts";
import { attempt, type Flow, type Operation, perform } from "./flow.ts";
import { INDEX_SLOT_BYTES } from "./index-file.ts";
import type { LogOptions } from "./protocol.ts";
import type { Segment } from "./segment.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./segment-header.ts";
import { zeros } from "./zeros.ts";

const START = 0 as Position;

/**
 * Makes both files of a new segment, with their contents synced; their names are durable only after
 * the caller's sync-dir. The store is preallocated, the index is all written zeros.
 */
export function createFiles(segment: Segment, options: LogOptions): Operation[] {
  const ahead = Math.min(options.preallocateBytes, options.segmentBytesMax);
  segment.storeFileBytes = SEGMENT_HEADER_BYTES + ahead;
  return [...createStore(segment, options), ...createIndex(segment, options)];
}

function createStore(segment: Segment, options: LogOptions): Operation[] {
  const { clusterId, instanceId } = options.identity;
  const header = encodeSegmentHeader({ before: segment.before, clusterId, instanceId });
  const ahead = zeros(segment.storeFileBytes - SEGMENT_HEADER_BYTES);
  return [
    { kind: "create", file: segment.store },
    { kind: "write-at", file: segment.store, position: START, parts: [header, ...ahead] },
    { kind: "sync", file: segment.store },
  ];
}

/** Makes the index file, with room for a whole segment's slots and those in use written. */
export function createIndex(segment: Segment, options: LogOptions): Operation[] {
  segment.indexFileBytes = Math.max(options.indexEntriesMax, segment.count) * INDEX_SLOT_BYTES;
  return [{ kind: "create", file: segment.indexName }, ...writeIndex(segment)];
}

/** Writes the index file over from end to end; every byte of it, because it will be mapped. */
export function writeIndex(segment: Segment): Operation[] {
  const used = segment.index.used.slice();
  const parts = [used, ...zeros(segment.indexFileBytes - used.length)];
  return [
    { kind: "write-at", file: segment.indexName, position: START, parts },
    { kind: "sync", file: segment.indexName },
  ];
}

/**
 * Maps the active segment's index. When that cannot be done the index stays in memory, which costs
 * nothing but that memory: the next open rebuilds the file.
 */
export function* mapIndex(segment: Segment): Flow<void> {
  const length = segment.indexFileBytes;
  const result = yield* attempt({ kind: "map", file: segment.indexName, length });
  if (result.kind === "failed") return;
  assert(result.kind === "mapped", "a map is answered with a view", result.kind);
  assert(result.view.length === length, "mapped view has another length", result.view.length);
  segment.index.moveInto(result.view);
}

/** Gives the mapped memory back after a last flush; the index goes on in memory of its own. */
export function* sealIndex(segment: Segment): Flow<void> {
  const file = segment.indexName;
  if (!segment.index.mapped) {
    yield* perform(...writeIndex(segment));
    return;
  }
  segment.index.moveOut();
  yield* perform({ kind: "flush-map", file }, { kind: "sync", file }, { kind: "unmap", file });
}

/**
 * Takes back a making of both files, and of `others`, that was cut short; what exists of them
 * cannot come back.
 */
export function* removeUnfinished(segment: Segment, others: readonly string[] = []): Flow<void> {
  const [listed] = yield* perform({ kind: "list" });
  const names = listed?.kind === "listed" ? listed.files.map(({ file }) => file) : [];
  const ours = [segment.store, segment.indexName, ...others];
  const made = names.filter((file) => ours.includes(file));
  yield* perform(...made.map((file): Operation => ({ kind: "unlink", file })));
  yield* perform({ kind: "sync-dir" });
}

/** The segment is to be written to again: no seal may say what it holds, not after any crash. */
export function* breakSeal(segment: Segment): Flow<void> {
  if (!segment.isSealed) return;
  yield* perform({ kind: "unlink", file: segment.seal });
  yield* perform({ kind: "sync-dir" });
  segment.isSealed = false;
}

/** Removes a whole segment, and returns when it cannot come back. */
export function* dropFiles(segment: Segment): Flow<void> {
  const mapped = segment.index.mapped;
  if (mapped) segment.index.moveOut();
  const unmap: Operation[] = mapped ? [{ kind: "unmap", file: segment.indexName }] : [];
  const unseal: Operation[] = segment.isSealed ? [{ kind: "unlink", file: segment.seal }] : [];
  yield* perform(
    ...unmap,
    ...unseal,
    { kind: "unlink", file: segment.indexName },
    { kind: "unlink", file: segment.store },
  );
  yield* perform({ kind: "sync-dir" });
}
