// The bytes of a checkpoint's state: version, then every producer by ascending id. Where and when a
// checkpoint is written is the log's business; its envelope there has the checksum.

import { type FrozenBytes, freeze, getU64, putU64, viewOf } from "../base/bytes.ts";
import { isCount, type LogIndex, type Offset, type Term, type WallMs } from "../base/ids.ts";
import type { AcceptedBatch, Producer } from "./producers.ts";

const VERSION = 1;
const HEAD_BYTES = 8; // version u32, producer count u32
const PRODUCER_BYTES = 36; // id, epoch (u32), nextSequence, lastTimestamp, batch count (u32), pad
const BATCH_BYTES = 36; // sequence, count (u32), index, term, offset

export function encodeCheckpoint(producers: readonly Producer[]): FrozenBytes {
  let length = HEAD_BYTES;
  for (const producer of producers)
    length += PRODUCER_BYTES + producer.batches.length * BATCH_BYTES;
  const bytes = new Uint8Array(length);
  const view = viewOf(bytes);
  view.setUint32(0, VERSION);
  view.setUint32(4, producers.length);
  let at = HEAD_BYTES;
  for (const producer of producers) {
    putU64(view, at, producer.id);
    view.setUint32(at + 8, producer.epoch);
    putU64(view, at + 12, producer.nextSequence);
    putU64(view, at + 20, producer.lastTimestamp);
    view.setUint32(at + 28, producer.batches.length);
    at += PRODUCER_BYTES;
    for (const batch of producer.batches) {
      putU64(view, at, batch.sequence);
      view.setUint32(at + 8, batch.count);
      putU64(view, at + 12, batch.index);
      putU64(view, at + 20, batch.term);
      putU64(view, at + 28, batch.offset);
      at += BATCH_BYTES;
    }
  }
  return freeze(bytes);
}

/** The producers of a checkpoint; null when the bytes are not one of this version. */
export function decodeCheckpoint(bytes: FrozenBytes): Producer[] | null {
  if (bytes.length < HEAD_BYTES) return null;
  const view = viewOf(bytes);
  if (view.getUint32(0) !== VERSION) return null;
  const producers: Producer[] = [];
  let at = HEAD_BYTES;
  for (let left = view.getUint32(4); left > 0; left--) {
    if (at + PRODUCER_BYTES > bytes.length) return null;
    const batchCount = view.getUint32(at + 28);
    const end = at + PRODUCER_BYTES + batchCount * BATCH_BYTES;
    if (batchCount === 0 || end > bytes.length) return null;
    const batches: AcceptedBatch[] = [];
    for (let from = at + PRODUCER_BYTES; from < end; from += BATCH_BYTES) {
      batches.push(decodeBatchPlace(view, from));
    }
    producers.push({
      id: getU64(view, at),
      epoch: view.getUint32(at + 8),
      nextSequence: getU64(view, at + 12),
      lastTimestamp: getU64(view, at + 20) as WallMs,
      batches,
    });
    at = end;
  }
  return at === bytes.length && producers.every(isSound) ? producers : null;
}

function decodeBatchPlace(view: DataView, at: number): AcceptedBatch {
  return {
    sequence: getU64(view, at),
    count: view.getUint32(at + 8),
    index: getU64(view, at + 12) as LogIndex,
    term: getU64(view, at + 20) as Term,
    offset: getU64(view, at + 28) as Offset,
  };
}

function isSound(producer: Producer): boolean {
  const { id, nextSequence, lastTimestamp, batches } = producer;
  if (!isCount(id) || !isCount(nextSequence) || !isCount(lastTimestamp)) return false;
  return batches.every(
    ({ sequence, index, term, offset }) =>
      isCount(sequence) && isCount(index) && isCount(term) && isCount(offset),
  );
}
