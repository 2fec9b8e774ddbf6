// The bytes of a checkpoint's state: version, membership, start offset, every producer by ascending
// id, and what a user's machine says of itself. Where and when a checkpoint is written is the log's
// business; its envelope there has the checksum. Version 1 had producers only, and is still read.

import { type FrozenBytes, freeze, getU64, putU64, viewOf } from "../base/bytes.ts";
import { isCount, type LogIndex, type Offset, type Term, type WallMs } from "../base/ids.ts";
import {
  decodeMembership,
  encodeMembership,
  type Membership,
  NO_MEMBERS,
} from "../base/membership.ts";
import type { AcceptedBatch, Producer } from "./producers.ts";

const VERSION = 2;
const HEAD_BYTES = 8; // version u32, producer count u32
const HEAD_2_BYTES = 24; // since version 2: startOffset, bytes of membership and machine (u32 each)
const PRODUCER_BYTES = 36; // id, epoch (u32), nextSequence, lastTimestamp, batch count (u32), pad
const BATCH_BYTES = 36; // sequence, count (u32), index, term, offset

/** What a checkpoint holds. */
export interface Checkpointed {
  readonly membership: Membership;
  readonly startOffset: Offset;
  /** Ascending by id. */
  readonly producers: readonly Producer[];
  /** Of the user's machine; empty when there is none. */
  readonly machine: FrozenBytes;
}

export function encodeCheckpoint(state: Checkpointed): FrozenBytes {
  const { producers, machine, startOffset } = state;
  const membership = encodeMembership(state.membership);
  const producersAt = HEAD_2_BYTES + membership.length;
  let length = producersAt + machine.length;
  for (const producer of producers) {
    length += PRODUCER_BYTES + producer.batches.length * BATCH_BYTES;
  }
  const bytes = new Uint8Array(length);
  const view = viewOf(bytes);
  view.setUint32(0, VERSION);
  view.setUint32(4, producers.length);
  putU64(view, 8, startOffset);
  view.setUint32(16, membership.length);
  view.setUint32(20, machine.length);
  bytes.set(membership, HEAD_2_BYTES);
  putProducers(view, producersAt, producers);
  bytes.set(machine, length - machine.length);
  return freeze(bytes);
}

function putProducers(view: DataView, from: number, producers: readonly Producer[]): void {
  let at = from;
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
}

/** What a checkpoint holds; null when the bytes are not one of a known version. */
export function decodeCheckpoint(bytes: FrozenBytes): Checkpointed | null {
  if (bytes.length < HEAD_BYTES) return null;
  const view = viewOf(bytes);
  const version = view.getUint32(0);
  if (version === 1) {
    const producers = producersIn(view, HEAD_BYTES, bytes.length);
    const machine = bytes.subarray(bytes.length) as FrozenBytes;
    const startOffset = 0 as Offset;
    return producers === null ? null : { membership: NO_MEMBERS, startOffset, producers, machine };
  }
  if (version !== VERSION || bytes.length < HEAD_2_BYTES) return null;
  const producersAt = HEAD_2_BYTES + view.getUint32(16);
  const machineAt = bytes.length - view.getUint32(20);
  const startOffset = getU64(view, 8) as Offset;
  if (producersAt > machineAt || !isCount(startOffset)) return null;
  const membership = decodeMembership(bytes.subarray(HEAD_2_BYTES, producersAt));
  const producers = producersIn(view, producersAt, machineAt);
  if (membership === null || producers === null) return null;
  return { membership, startOffset, producers, machine: bytes.subarray(machineAt) as FrozenBytes };
}

/** Exactly those in [from, to); null when they do not fill it. */
function producersIn(view: DataView, from: number, to: number): Producer[] | null {
  const producers: Producer[] = [];
  let at = from;
  for (let left = view.getUint32(4); left > 0; left--) {
    if (at + PRODUCER_BYTES > to) return null;
    const batchCount = view.getUint32(at + 28);
    const end = at + PRODUCER_BYTES + batchCount * BATCH_BYTES;
    if (batchCount === 0 || end > to) return null;
    const batches: AcceptedBatch[] = [];
    for (let place = at + PRODUCER_BYTES; place < end; place += BATCH_BYTES) {
      batches.push(decodeBatchPlace(view, place));
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
  return at === to && producers.every(isSound) ? producers : null;
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
