// Peer messages as bytes. One frame is one message: a head (wire-head.ts), and for some types bytes
// behind it. Owns the hello and what decides what a frame is; which peer may say what is decided in
// links.ts. A message that is not understood is malformed, never an exception.

import { assert } from "../base/assert.ts";
import { type FrozenBytes, viewOf } from "../base/bytes.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import type { Lane } from "../ports/network.ts";
import type { RaftMessage } from "../raft/protocol.ts";
import { decodeRaft } from "./raft-wire.ts";
import { decodeSnapshot, isSnapshotType, type SnapshotMessage } from "./snapshot-wire.ts";
import {
  beginHead,
  bytesOfHex,
  decodeRoute,
  FORMAT_VERSION,
  headCrc,
  hexOf,
  ROUTE_AT,
  type Route,
  type RouteBytes,
  sealHead,
} from "./wire-head.ts";

/**
 * The protocol versions this build speaks, oldest and newest. Version 2 counts members by name and
 * instance, and its hello tells an address; version 1 did neither and is no longer spoken.
 */
export const PROTOCOL_MIN = 2;
export const PROTOCOL_MAX = 2;

/** Feature bit of a hello: the directory is empty, and waits for whom it greets to found. */
const FEATURE_AWAITS = 1;

/** Said first on a link, by both ends: who I am, and whom I take you for. */
export interface Hello {
  readonly protocolMin: number;
  readonly protocolMax: number;
  /** 32 hex digits, random, made with the data directory. */
  readonly instanceId: string;
  readonly lane: Lane;
  /**
   * This directory is empty and knows no membership, and by its own list it is the greeted node's
   * to found the cluster. Founding rests on it: it is true when it is said, on this link.
   */
  readonly awaits: boolean;
  /** host:port where the sender listens; empty when nobody shall dial it. */
  readonly address: string;
}

/** What is said after the hello. */
export type PeerPayload =
  | { readonly kind: "raft"; readonly route: Route; readonly message: RaftMessage }
  | { readonly kind: "snapshot"; readonly route: Route; readonly message: SnapshotMessage };

export type PeerMessage =
  | { readonly kind: "hello"; readonly route: Route; readonly hello: Hello }
  | PeerPayload;

export type DecodedMessage = PeerMessage | { readonly kind: "malformed"; readonly what: string };

/** Of a hello's fields in every version; since version 2 the address follows. */
const HELLO_BYTES = 25;
const ADDRESS_BYTES_MAX = 512;

const HELLO = 1;

/** A hello as one frame. */
export function encodeHello(route: RouteBytes, hello: Hello): Uint8Array[] {
  const address = encodeUtf8(hello.address);
  assert(address.length <= ADDRESS_BYTES_MAX, "an address is at most 512 bytes");
  const { head, view, at } = beginHead(route, HELLO, HELLO_BYTES + 2 + address.length);
  view.setUint16(at, hello.protocolMin);
  view.setUint16(at + 2, hello.protocolMax);
  head.set(bytesOfHex(hello.instanceId), at + 4);
  view.setUint8(at + 20, hello.lane === "control" ? 0 : 1);
  view.setUint32(at + 21, hello.awaits ? FEATURE_AWAITS : 0);
  view.setUint16(at + HELLO_BYTES, address.length);
  head.set(address, at + HELLO_BYTES + 2);
  return [sealHead(head, view)];
}

/**
 * The message in a frame; its entries are views of the frame. `bodyBytesMax` bounds one entry;
 * `known` is the route that the frame is expected to have, whoever may know it.
 */
export function decodeMessage(
  frame: FrozenBytes,
  bodyBytesMax: number,
  known: RouteBytes | null = null,
): DecodedMessage {
  if (frame.length < ROUTE_AT + 4) return malformed("shorter than any message");
  const view = viewOf(frame);
  if (view.getUint8(0) !== FORMAT_VERSION) return malformed(`format version ${view.getUint8(0)}`);
  const headLength = view.getUint16(2);
  if (headLength < ROUTE_AT + 4 || headLength > frame.length) return malformed("head length");
  if (view.getUint32(4) !== headCrc(frame, headLength)) return malformed("head checksum");
  const route = decodeRoute(frame, headLength, known);
  if (route === null) return malformed("names");
  const at = route.fieldsAt;
  const fields = new DataView(frame.buffer, frame.byteOffset + at, headLength - at);
  const type = view.getUint8(1);
  if (type === HELLO) return decodeHello(route.route, frame, at, fields);
  if (isSnapshotType(type)) {
    const part = decodeSnapshot(type, fields, frame, headLength);
    return part === null
      ? malformed("snapshot")
      : { kind: "snapshot", route: route.route, message: part };
  }
  const message = decodeRaft(type, fields, frame, headLength, bodyBytesMax);
  if (typeof message === "string") return malformed(message);
  return { kind: "raft", route: route.route, message };
}

function malformed(what: string): DecodedMessage {
  return { kind: "malformed", what };
}

function decodeHello(
  route: Route,
  frame: FrozenBytes,
  at: number,
  fields: DataView,
): DecodedMessage {
  const address = decodeAddress(frame, at, fields);
  if (address === null) return malformed("hello");
  const hello: Hello = {
    protocolMin: fields.getUint16(0),
    protocolMax: fields.getUint16(2),
    instanceId: hexOf(frame.subarray(at + 4, at + 20)),
    lane: fields.getUint8(20) === 0 ? "control" : "bulk",
    awaits: (fields.getUint32(21) & FEATURE_AWAITS) !== 0,
    address,
  };
  return { kind: "hello", route, hello };
}

/** The address in a hello, which versions above 2 may go on after; version 1 had none. */
function decodeAddress(frame: FrozenBytes, at: number, fields: DataView): string | null {
  if (fields.byteLength === HELLO_BYTES) return "";
  if (fields.byteLength < HELLO_BYTES + 2) return null;
  const length = fields.getUint16(HELLO_BYTES);
  const from = HELLO_BYTES + 2;
  if (length > ADDRESS_BYTES_MAX || from + length > fields.byteLength) return null;
  return decodeUtf8(frame.subarray(at + from, at + from + length));
}
