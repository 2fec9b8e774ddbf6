// The bytes of a checkpoint's state: version, membership, start offset, fence, every producer by
// ascending id, every cursor by name, and what a user's machine says of itself. Where and when a
// checkpoint is written is the log's business; its envelope there has the checksum. Version 1 had
// producers only, and is still read.

import { concat, type FrozenBytes, freeze, getU64, putU64, viewOf } from "../base/bytes.ts";
import { isCount, type LogIndex, type Offset, type Term, type WallMs } from "../base/ids.ts";
import {
  decodeMembership,
  encodeMembership,
  type Membership,
  NO_MEMBERS,
} from "../base/membership.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import type { Cursor } from "./cursors.ts";
import type { AcceptedBatch, Producer } from "./producers.ts";

const VERSION = 2;
const HEAD_BYTES = 8; // version u32, producer count u32
/**
 * Since version 2: startOffset; bytes (u32) of membership, machine, fence and cursors; no. of
 * these.
 */
const HEAD_2_BYTES = 36;
const CURSOR_BYTES = 34; // offset, ttlMs, timestamp, index, bytes of the name (u16), then the name
const PRODUCER_BYTES = 36; // id, epoch (u32), nextSequence, lastTimestamp, batch count (u32), pad
const BATCH_BYTES = 36; // sequence, count (u32), index, term, offset

/** What a checkpoint holds. */
export interface Checkpointed {
  readonly membership: Membership;
  readonly startOffset: Offset;
  /** Empty without one. */
  readonly fence: string;
  /** Ascending by id. */
  readonly producers: readonly Producer[];
  /** Ascending by name. */
  readonly cursors: readonly Cursor[];
  /** Of the user's machine; empty when there is none. */
  readonly machine: FrozenBytes;
}

export function encodeCheckpoint(state: Checkpointed): FrozenBytes {
  const { producers, machine, startOffset } = state;
  const membership = encodeMembership(state.membership);
  const fence = encodeUtf8(state.fence);
  const cursors = encodeCursors(state.cursors);
  let producerBytes = 0;
  for (const producer of producers) {
    producerBytes += PRODUCER_BYTES + producer.batches.length * BATCH_BYTES;
  }
  const head = new Uint8Array(HEAD_2_BYTES);
  const view = viewOf(head);
  view.setUint32(0, VERSION);
  view.setUint32(4, producers.length);
  putU64(view, 8, startOffset);
  view.setUint32(16, membership.length);
  view.setUint32(20, machine.length);
  view.setUint32(24, fence.length);
  view.setUint32(28, cursors.length);
  view.setUint32(32, state.cursors.length);
  const middle = new Uint8Array(producerBytes);
  putProducers(viewOf(middle), 0, producers);
  return freeze(concat([head, membership, fence, cursors, middle, machine]));
}

function encodeCursors(cursors: readonly Cursor[]): Uint8Array {
  const parts = cursors.map(({ name, offset, ttlMs, timestamp, index }) => {
    const text = encodeUtf8(name);
    const part = new Uint8Array(CURSOR_BYTES + text.length);
    const view = viewOf(part);
    for (const [at, value] of [offset, ttlMs, timestamp, index].entries()) {
      putU64(view, at * 8, value);
    }
    view.setUint16(32, text.length);
    part.set(text, CURSOR_BYTES);
    return part;
  });
  return concat(parts);
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
  const version = viewOf(bytes).getUint32(0);
  if (version === 1) return decodeVersion1(bytes);
  return version === VERSION && bytes.length >= HEAD_2_BYTES ? decodeVersion2(bytes) : null;
}

function decodeVersion1(bytes: FrozenBytes): Checkpointed | null {
  const producers = producersIn(viewOf(bytes), HEAD_BYTES, bytes.length);
  if (producers === null) return null;
  const machine = bytes.subarray(bytes.length) as FrozenBytes;
  const startOffset = 0 as Offset;
  return { membership: NO_MEMBERS, startOffset, fence: "", producers, cursors: [], machine };
}

function decodeVersion2(bytes: FrozenBytes): Checkpointed | null {
  const view = viewOf(bytes);
  const startOffset = getU64(view, 8) as Offset;
  const fenceAt = HEAD_2_BYTES + view.getUint32(16);
  const cursorsAt = fenceAt + view.getUint32(24);
  const producersAt = cursorsAt + view.getUint32(28);
  const machineAt = bytes.length - view.getUint32(20);
  if (producersAt > machineAt || !isCount(startOffset)) return null;
  const membership = decodeMembership(bytes.subarray(HEAD_2_BYTES, fenceAt));
  const fence = decodeUtf8(bytes.subarray(fenceAt, cursorsAt));
  const cursors = cursorsIn(bytes, cursorsAt, producersAt, view.getUint32(32));
  const producers = producersIn(view, producersAt, machineAt);
  if (membership === null || fence === null || cursors === null || producers === null) return null;
  const machine = bytes.subarray(machineAt) as FrozenBytes;
  return { membership, startOffset, fence, producers, cursors, machine };
}

/** Exactly `count` in [from, to), ascending by name; else null. */
function cursorsIn(bytes: FrozenBytes, from: number, to: number, count: number): Cursor[] | null {
  const view = viewOf(bytes);
  const cursors: Cursor[] = [];
  let at = from;
  while (at < to) {
    const nameAt = at + CURSOR_BYTES;
    if (nameAt > to) return null;
    const end = nameAt + view.getUint16(at + 32);
    const [offset, ttlMs, timestamp, index] = [0, 8, 16, 24].map((by) => getU64(view, at + by));
    const name = end > to ? null : decodeUtf8(bytes.subarray(nameAt, end));
    if (name === null || !isCount(offset) || !isCount(ttlMs)) return null;
    if (!isCount(timestamp) || !isCount(index)) return null;
    cursors.push({
      name,
      offset: offset as Offset,
      ttlMs,
      timestamp: timestamp as WallMs,
      index: index as LogIndex,
    });
    at = end;
  }
  return cursors.length === count ? cursors : null;
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
