// The head that every peer message begins with: between whom, of which cluster and what, with a
// checksum of its own. Owns its bytes; the fields of each type are in wire.ts (the hello),
// raft-wire.ts and snapshot-wire.ts.
//
//   0  u8  version (1)        1  u8  type           2  u16 length of the head
//   4  u32 CRC-32C of the head but these four bytes
//   8  16 bytes cluster id    24 u8 length, from; u8 length, to; then the fields of the type
//
// All integers are big-endian.

import { assert } from "../base/assert.ts";
import { type FrozenBytes, freeze, viewOf } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import type { NodeId } from "../base/ids.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";

/** A name in a peer message: 1 to 255 bytes of UTF-8. */
export const NAME_BYTES_MAX = 255;

export const FORMAT_VERSION = 1;
/** Where the names begin. */
export const ROUTE_AT = 24;

export interface Route {
  readonly clusterId: string;
  readonly from: NodeId;
  readonly to: NodeId;
}

/** The route of all messages from one node to one peer, encoded once. */
export class RouteBytes {
  readonly route: Route;
  readonly bytes: Uint8Array;
  /** Where the fields of a message with this route begin. */
  readonly fieldsAt: number;

  constructor(route: Route) {
    const from = encodeUtf8(route.from);
    const to = encodeUtf8(route.to);
    assert(from.length > 0 && from.length <= NAME_BYTES_MAX, "a name is 1 to 255 bytes");
    assert(to.length > 0 && to.length <= NAME_BYTES_MAX, "a name is 1 to 255 bytes");
    this.route = route;
    this.bytes = new Uint8Array(16 + 2 + from.length + to.length);
    this.fieldsAt = 8 + this.bytes.length;
    this.bytes.set(bytesOfHex(route.clusterId), 0);
    this.bytes[16] = from.length;
    this.bytes.set(from, 17);
    this.bytes[17 + from.length] = to.length;
    this.bytes.set(to, 18 + from.length);
  }

  /** Whether it is the route in that head. */
  stands(frame: Uint8Array, headLength: number): boolean {
    const { bytes } = this;
    if (8 + bytes.length > headLength) return false;
    // Names differ more often than clusters do.
    for (let n = bytes.length - 1; n >= 0; n--) if (frame[8 + n] !== bytes[n]) return false;
    return true;
  }
}

export interface Head {
  readonly head: Uint8Array;
  readonly view: DataView;
  /** Where the fields of the type begin. */
  readonly at: number;
}

export function beginHead(route: RouteBytes, type: number, fieldBytes: number): Head {
  const at = 8 + route.bytes.length;
  const head = new Uint8Array(at + fieldBytes);
  const view = viewOf(head);
  view.setUint8(0, FORMAT_VERSION);
  view.setUint8(1, type);
  view.setUint16(2, head.length);
  head.set(route.bytes, 8);
  return { head, view, at };
}

export function sealHead(head: Uint8Array, view: DataView): FrozenBytes {
  view.setUint32(4, headCrc(head, head.length));
  return freeze(head);
}

/** Over the whole head but the checksum itself: a flipped type must not make another message. */
export function headCrc(bytes: Uint8Array, headLength: number): number {
  return crc32c(bytes, crc32c(bytes, 0, 0, 4), 8, headLength);
}

/**
 * The route in the head of `frame`, and where the fields begin; null for names that are none.
 * `known` is the route that the sender is expected to use: then nothing has to be decoded.
 */
export function decodeRoute(
  frame: FrozenBytes,
  headLength: number,
  known: RouteBytes | null,
): { route: Route; fieldsAt: number } | null {
  if (known?.stands(frame, headLength) === true) return known;
  const fromLength = frame[ROUTE_AT] as number;
  const toAt = ROUTE_AT + 1 + fromLength;
  if (fromLength === 0 || toAt >= headLength) return null;
  const toLength = frame[toAt] as number;
  if (toLength === 0 || toAt + 1 + toLength > headLength) return null;
  const from = decodeUtf8(frame.subarray(ROUTE_AT + 1, toAt));
  const to = decodeUtf8(frame.subarray(toAt + 1, toAt + 1 + toLength));
  if (from === null || to === null) return null;
  const clusterId = hexOf(frame.subarray(8, 24));
  const fieldsAt = toAt + 1 + toLength;
  return { route: { clusterId, from: from as NodeId, to: to as NodeId }, fieldsAt };
}

/** The bytes of 2n hex digits. */
export function bytesOfHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16);
  }
  return bytes;
}

/** Lower-case hex digits of bytes. */
export function hexOf(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += (byte < 16 ? "0" : "") + byte.toString(16);
  return hex;
}
