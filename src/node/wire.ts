// Peer messages as bytes. One frame is one message: a head that says between whom, of which cluster
// and what, with a checksum of its own, and for appends the entries' frames as they are on disk,
// each with its checksums. Owns the layout (docs/formats.md); which peer may say what is decided in
// links.ts.
//
//   0  u8  version (1)        1  u8  type           2  u16 length of the head
//   4  u32 CRC-32C of the head but these four bytes
//   8  16 bytes cluster id    24 u8 length, from; u8 length, to; then the fields of the type
//
// All integers are big-endian. A message that is not understood is malformed, never an exception.

import { assert } from "../base/assert.ts";
import { type FrozenBytes, freeze, getU64, putU64, viewOf } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import type { Entry } from "../base/entry.ts";
import { isCount, type LogIndex, type NodeId, type Term } from "../base/ids.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import { decodeFrame } from "../log/frame.ts";
import type { Lane } from "../ports/network.ts";
import type { Conflict, RaftMessage } from "../raft/protocol.ts";

/**
 * The protocol versions this build speaks, oldest and newest. Version 2 counts members by name and
 * instance, and its hello tells an address; version 1 did neither and is no longer spoken.
 */
export const PROTOCOL_MIN = 2;
export const PROTOCOL_MAX = 2;

/** Feature bit of a hello: the directory is empty, and waits for whom it greets to found. */
const FEATURE_AWAITS = 1;

/** A name in a peer message: 1 to 255 bytes of UTF-8. */
export const NAME_BYTES_MAX = 255;

const FORMAT_VERSION = 1;
const FIXED_BYTES = 24;

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

export interface Route {
  readonly clusterId: string;
  readonly from: NodeId;
  readonly to: NodeId;
}

/** What is said after the hello. */
export type PeerPayload = {
  readonly kind: "raft";
  readonly route: Route;
  readonly message: RaftMessage;
};

export type PeerMessage =
  | { readonly kind: "hello"; readonly route: Route; readonly hello: Hello }
  | PeerPayload;

export type DecodedMessage = PeerMessage | { readonly kind: "malformed"; readonly what: string };

/** Of a hello's fields in every version; since version 2 the address follows. */
const HELLO_BYTES = 25;
const ADDRESS_BYTES_MAX = 512;

const HELLO = 1;
const VOTE_REQUEST = 2;
const VOTE_REPLY = 3;
const APPEND_REQUEST = 4;
const APPEND_REPLY = 5;
const TIMEOUT_NOW = 6;
const READ_REQUEST = 7;
const READ_REPLY = 8;

/** The route of all messages from one node to one peer, encoded once. */
export class RouteBytes {
  readonly route: Route;
  readonly bytes: Uint8Array;

  constructor(route: Route) {
    const from = encodeUtf8(route.from);
    const to = encodeUtf8(route.to);
    assert(from.length > 0 && from.length <= NAME_BYTES_MAX, "a name is 1 to 255 bytes");
    assert(to.length > 0 && to.length <= NAME_BYTES_MAX, "a name is 1 to 255 bytes");
    this.route = route;
    this.bytes = new Uint8Array(16 + 2 + from.length + to.length);
    this.bytes.set(bytesOfHex(route.clusterId), 0);
    this.bytes[16] = from.length;
    this.bytes.set(from, 17);
    this.bytes[17 + from.length] = to.length;
    this.bytes.set(to, 18 + from.length);
  }
}

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

/** A Raft message as the parts of one frame; the entries' frames are passed on, not copied. */
export function encodeRaft(
  route: RouteBytes,
  message: RaftMessage,
  entries: readonly Entry[] = message.kind === "append-request" ? message.entries : [],
): Uint8Array[] {
  switch (message.kind) {
    case "vote-request": {
      const { head, view, at } = beginHead(route, VOTE_REQUEST, 25);
      putU64(view, at, message.term);
      putU64(view, at + 8, message.lastIndex);
      putU64(view, at + 16, message.lastTerm);
      view.setUint8(at + 24, (message.preVote ? 1 : 0) | (message.transfer ? 2 : 0));
      return [sealHead(head, view)];
    }
    case "vote-reply": {
      const { head, view, at } = beginHead(route, VOTE_REPLY, 9);
      putU64(view, at, message.term);
      view.setUint8(at + 8, (message.preVote ? 1 : 0) | (message.granted ? 2 : 0));
      return [sealHead(head, view)];
    }
    case "append-request": {
      const { head, view, at } = beginHead(route, APPEND_REQUEST, 44);
      putU64(view, at, message.term);
      putU64(view, at + 8, message.prevIndex);
      putU64(view, at + 16, message.prevTerm);
      putU64(view, at + 24, message.commitIndex);
      putU64(view, at + 32, message.round);
      view.setUint32(at + 40, entries.length);
      const parts = [sealHead(head, view)];
      for (const entry of entries) parts.push(entry.frame);
      return parts;
    }
    case "append-reply": {
      const { head, view, at } = beginHead(route, APPEND_REPLY, 49);
      putU64(view, at, message.term);
      putU64(view, at + 8, message.round);
      putU64(view, at + 16, message.matchIndex);
      view.setUint8(at + 24, message.conflict === null ? 0 : 1);
      putU64(view, at + 25, message.conflict?.prevIndex ?? 0);
      putU64(view, at + 33, message.conflict?.hintIndex ?? 0);
      putU64(view, at + 41, message.conflict?.hintTerm ?? 0);
      return [sealHead(head, view)];
    }
    case "timeout-now": {
      const { head, view, at } = beginHead(route, TIMEOUT_NOW, 16);
      putU64(view, at, message.term);
      putU64(view, at + 8, message.lastIndex);
      return [sealHead(head, view)];
    }
    case "read-request": {
      const { head, view, at } = beginHead(route, READ_REQUEST, 16);
      putU64(view, at, message.term);
      putU64(view, at + 8, message.sequence);
      return [sealHead(head, view)];
    }
    case "read-reply": {
      const { head, view, at } = beginHead(route, READ_REPLY, 25);
      putU64(view, at, message.term);
      putU64(view, at + 8, message.sequence);
      view.setUint8(at + 16, message.readIndex === null ? 0 : 1);
      putU64(view, at + 17, message.readIndex ?? 0);
      return [sealHead(head, view)];
    }
  }
}

interface Head {
  readonly head: Uint8Array;
  readonly view: DataView;
  /** Where the fields of the type begin. */
  readonly at: number;
}

function beginHead(route: RouteBytes, type: number, fieldBytes: number): Head {
  const at = 8 + route.bytes.length;
  const head = new Uint8Array(at + fieldBytes);
  const view = viewOf(head);
  view.setUint8(0, FORMAT_VERSION);
  view.setUint8(1, type);
  view.setUint16(2, head.length);
  head.set(route.bytes, 8);
  return { head, view, at };
}

function sealHead(head: Uint8Array, view: DataView): FrozenBytes {
  view.setUint32(4, headCrc(head, head.length));
  return freeze(head);
}

/** Over the whole head but the checksum itself: a flipped type must not make another message. */
function headCrc(bytes: Uint8Array, headLength: number): number {
  return crc32c(bytes, crc32c(bytes, 0, 0, 4), 8, headLength);
}

/** The message in a frame; its entries are views of the frame. `bodyBytesMax` bounds one entry. */
export function decodeMessage(frame: FrozenBytes, bodyBytesMax: number): DecodedMessage {
  if (frame.length < FIXED_BYTES + 4) return malformed("shorter than any message");
  const view = viewOf(frame);
  if (view.getUint8(0) !== FORMAT_VERSION) return malformed(`format version ${view.getUint8(0)}`);
  const headLength = view.getUint16(2);
  if (headLength < FIXED_BYTES + 4 || headLength > frame.length) return malformed("head length");
  if (view.getUint32(4) !== headCrc(frame, headLength)) return malformed("head checksum");
  const route = decodeRoute(frame, headLength);
  if (route === null) return malformed("names");
  const at = FIXED_BYTES + 2 + (frame[FIXED_BYTES] as number) + route.toLength;
  const fields = new DataView(frame.buffer, frame.byteOffset + at, headLength - at);
  const type = view.getUint8(1);
  if (type === HELLO) return decodeHello(route.route, frame, at, fields);
  const message = decodeRaft(type, fields, frame, headLength, bodyBytesMax);
  if (typeof message === "string") return malformed(message);
  return { kind: "raft", route: route.route, message };
}

function malformed(what: string): DecodedMessage {
  return { kind: "malformed", what };
}

function decodeRoute(
  frame: FrozenBytes,
  headLength: number,
): { route: Route; toLength: number } | null {
  const fromLength = frame[FIXED_BYTES] as number;
  const toAt = FIXED_BYTES + 1 + fromLength;
  if (fromLength === 0 || toAt >= headLength) return null;
  const toLength = frame[toAt] as number;
  if (toLength === 0 || toAt + 1 + toLength > headLength) return null;
  const from = decodeUtf8(frame.subarray(FIXED_BYTES + 1, toAt));
  const to = decodeUtf8(frame.subarray(toAt + 1, toAt + 1 + toLength));
  if (from === null || to === null) return null;
  const clusterId = hexOf(frame.subarray(8, 24));
  return { route: { clusterId, from: from as NodeId, to: to as NodeId }, toLength };
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

/** The message, or what is wrong with it. */
function decodeRaft(
  type: number,
  fields: DataView,
  frame: FrozenBytes,
  headLength: number,
  bodyBytesMax: number,
): RaftMessage | string {
  const isAppend = type === APPEND_REQUEST;
  if (!isAppend && headLength !== frame.length) return "bytes after the message";
  if (type === VOTE_REQUEST) return decodeVoteRequest(fields) ?? "vote-request";
  if (type === VOTE_REPLY) return decodeVoteReply(fields) ?? "vote-reply";
  if (type === APPEND_REPLY) return decodeAppendReply(fields) ?? "append-reply";
  if (type === TIMEOUT_NOW) return decodeTimeoutNow(fields) ?? "timeout-now";
  if (type === READ_REQUEST) return decodeReadRequest(fields) ?? "read-request";
  if (type === READ_REPLY) return decodeReadReply(fields) ?? "read-reply";
  if (!isAppend) return `message type ${type}`;
  return decodeAppendRequest(fields, frame, headLength, bodyBytesMax);
}

function decodeVoteRequest(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 25) return null;
  const term = getU64(fields, 0) as Term;
  const lastIndex = getU64(fields, 8) as LogIndex;
  const lastTerm = getU64(fields, 16) as Term;
  if (!isCount(term) || !isCount(lastIndex) || !isCount(lastTerm)) return null;
  const flags = fields.getUint8(24);
  const [preVote, transfer] = [(flags & 1) !== 0, (flags & 2) !== 0];
  return { kind: "vote-request", term, lastIndex, lastTerm, preVote, transfer };
}

function decodeVoteReply(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 9) return null;
  const term = getU64(fields, 0) as Term;
  const flags = fields.getUint8(8);
  if (!isCount(term)) return null;
  return { kind: "vote-reply", term, preVote: (flags & 1) !== 0, granted: (flags & 2) !== 0 };
}

function decodeAppendReply(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 49) return null;
  const term = getU64(fields, 0) as Term;
  const round = getU64(fields, 8);
  const matchIndex = getU64(fields, 16) as LogIndex;
  if (!isCount(term) || !isCount(round) || !isCount(matchIndex)) return null;
  if (fields.getUint8(24) === 0) {
    return { kind: "append-reply", term, round, matchIndex, conflict: null };
  }
  const conflict: Conflict = {
    prevIndex: getU64(fields, 25) as LogIndex,
    hintIndex: getU64(fields, 33) as LogIndex,
    hintTerm: getU64(fields, 41) as Term,
  };
  const { prevIndex, hintIndex, hintTerm } = conflict;
  if (!isCount(prevIndex) || !isCount(hintIndex) || !isCount(hintTerm)) return null;
  return { kind: "append-reply", term, round, matchIndex, conflict };
}

function decodeTimeoutNow(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 16) return null;
  const term = getU64(fields, 0) as Term;
  const lastIndex = getU64(fields, 8) as LogIndex;
  if (!isCount(term) || !isCount(lastIndex)) return null;
  return { kind: "timeout-now", term, lastIndex };
}

function decodeReadRequest(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 16) return null;
  const term = getU64(fields, 0) as Term;
  const sequence = getU64(fields, 8);
  if (!isCount(term) || !isCount(sequence)) return null;
  return { kind: "read-request", term, sequence };
}

function decodeReadReply(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 25) return null;
  const term = getU64(fields, 0) as Term;
  const sequence = getU64(fields, 8);
  const readIndex = getU64(fields, 17) as LogIndex;
  if (!isCount(term) || !isCount(sequence) || !isCount(readIndex)) return null;
  const hasIndex = fields.getUint8(16) === 1;
  return { kind: "read-reply", term, sequence, readIndex: hasIndex ? readIndex : null };
}

function decodeAppendRequest(
  fields: DataView,
  frame: FrozenBytes,
  headLength: number,
  bodyBytesMax: number,
): RaftMessage | string {
  if (fields.byteLength !== 44) return "append-request";
  const term = getU64(fields, 0) as Term;
  const prevIndex = getU64(fields, 8) as LogIndex;
  const prevTerm = getU64(fields, 16) as Term;
  const commitIndex = getU64(fields, 24) as LogIndex;
  const round = getU64(fields, 32);
  if (!isCount(term) || !isCount(prevIndex) || !isCount(prevTerm)) return "append-request";
  if (!isCount(commitIndex) || !isCount(round)) return "append-request";
  const entries: Entry[] = [];
  let at = headLength;
  for (let left = fields.getUint32(40); left > 0; left--) {
    const decoded = decodeFrame(frame, at, { bodyBytesMax });
    if (decoded.kind !== "entry") return `entry ${entries.length}: ${decoded.kind}`;
    entries.push(decoded.entry);
    at += decoded.entry.frame.length;
  }
  if (at !== frame.length) return "bytes after the entries";
  return { kind: "append-request", term, prevIndex, prevTerm, commitIndex, round, entries };
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
