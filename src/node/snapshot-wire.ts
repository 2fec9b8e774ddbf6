// The messages that carry a snapshot, as bytes: parts of at most 64 KiB, each with its place and a
// checksum, and the receiver's answer, which says where to go on. Owns their layout
// (docs/formats.md); who sends and keeps what is snapshots.ts.

import { type FrozenBytes, getU64, putU64 } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import type { LogPoint } from "../base/entry.ts";
import { isCount, type LogIndex, type Offset, type Term, type WallMs } from "../base/ids.ts";
import { beginHead, type RouteBytes, sealHead } from "./wire-head.ts";

/** What one snapshot is told from another by. */
export interface SnapshotName {
  readonly at: LogPoint;
  /** Bytes of the whole. */
  readonly length: number;
  /** CRC-32C of the whole. */
  readonly crc: number;
}

export type SnapshotMessage =
  /** Empty `bytes` only ask how far the receiver has come. */
  | {
      readonly kind: "snapshot-part";
      /** Of the sender, who leads. */
      readonly term: Term;
      readonly round: number;
      readonly name: SnapshotName;
      readonly position: number;
      readonly bytes: FrozenBytes;
    }
  /** All before `position` is there, checked; the whole is at `length`. */
  | {
      readonly kind: "snapshot-reply";
      readonly index: LogIndex;
      readonly crc: number;
      readonly position: number;
    };

export const PART_BYTES_MAX = 64 * 1024;

const SNAPSHOT_PART = 9;
const SNAPSHOT_REPLY = 10;
const PART_FIELDS = 64;
const REPLY_FIELDS = 16;

export function encodeSnapshot(route: RouteBytes, message: SnapshotMessage): Uint8Array[] {
  if (message.kind === "snapshot-reply") {
    const { head, view, at } = beginHead(route, SNAPSHOT_REPLY, REPLY_FIELDS);
    putU64(view, at, message.index);
    view.setUint32(at + 8, message.crc);
    view.setUint32(at + 12, message.position);
    return [sealHead(head, view)];
  }
  const { term, round, name, position, bytes } = message;
  const { head, view, at } = beginHead(route, SNAPSHOT_PART, PART_FIELDS);
  putU64(view, at, term);
  putU64(view, at + 8, round);
  putU64(view, at + 16, name.at.index);
  putU64(view, at + 24, name.at.term);
  putU64(view, at + 32, name.at.endOffset);
  putU64(view, at + 40, name.at.timestamp);
  view.setUint32(at + 48, name.length);
  view.setUint32(at + 52, name.crc);
  view.setUint32(at + 56, position);
  view.setUint32(at + 60, crc32c(bytes));
  return [sealHead(head, view), bytes];
}

export function isSnapshotType(type: number): boolean {
  return type === SNAPSHOT_PART || type === SNAPSHOT_REPLY;
}

/** The message; null when it is malformed. Its bytes are a view of the frame. */
export function decodeSnapshot(
  type: number,
  fields: DataView,
  frame: FrozenBytes,
  headLength: number,
): SnapshotMessage | null {
  if (type === SNAPSHOT_REPLY) {
    if (fields.byteLength !== REPLY_FIELDS || frame.length !== headLength) return null;
    const index = getU64(fields, 0) as LogIndex;
    const crc = fields.getUint32(8);
    const position = fields.getUint32(12);
    return isCount(index) ? { kind: "snapshot-reply", index, crc, position } : null;
  }
  if (fields.byteLength !== PART_FIELDS) return null;
  const bytes = frame.subarray(headLength) as FrozenBytes;
  const term = getU64(fields, 0) as Term;
  const round = getU64(fields, 8);
  const at: LogPoint = {
    index: getU64(fields, 16) as LogIndex,
    term: getU64(fields, 24) as Term,
    endOffset: getU64(fields, 32) as Offset,
    timestamp: getU64(fields, 40) as WallMs,
  };
  const counts = [term, round, at.index, at.term, at.endOffset, at.timestamp];
  const name = { at, length: fields.getUint32(48), crc: fields.getUint32(52) };
  const position = fields.getUint32(56);
  if (!counts.every(isCount) || at.index === 0 || at.term > term) return null;
  if (bytes.length > PART_BYTES_MAX || position + bytes.length > name.length) return null;
  if (fields.getUint32(60) !== crc32c(bytes)) return null;
  return { kind: "snapshot-part", term, round, name, position, bytes };
}
