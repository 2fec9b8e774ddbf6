// Memberlist's single messages as bytes: a type byte and a map, or for a user message the Serf
// message as it is. Owns these forms; compounds and wrappers are packet-codec.ts, push/pulls are
// stream-codec.ts.

import type { Address } from "../base/address.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import { type Fields, readOnlyFields } from "./fields.ts";
import type {
  Alive,
  IndirectPing,
  PacketMessage,
  Ping,
  StreamError,
  Versions,
} from "./messages.ts";
import { MsgpackWriter } from "./msgpack.ts";
import type { DropReason } from "./protocol.ts";
import { decodeSerf, encodeSerf } from "./serf-codec.ts";

/** The first byte of everything. */
export const TYPE = {
  ping: 0,
  indirectPing: 1,
  ack: 2,
  suspect: 3,
  alive: 4,
  dead: 5,
  pushPull: 6,
  compound: 7,
  user: 8,
  compress: 9,
  encrypt: 10,
  nack: 11,
  hasCrc: 12,
  error: 13,
  label: 244,
} as const;

/** The bytes of one message, its type first: a packet by itself, or a part of a compound. */
export function encodeMessage(message: PacketMessage | StreamError): FrozenBytes {
  const to = new MsgpackWriter();
  switch (message.kind) {
    case "ping":
      writePing(to, message);
      break;
    case "indirect-ping":
      writeIndirectPing(to, message);
      break;
    case "ack":
      to.byte(TYPE.ack).map(2).text("Payload").rawOrNil(message.payload);
      to.text("SeqNo").uint(message.sequence);
      break;
    case "nack":
      to.byte(TYPE.nack).map(1).text("SeqNo").uint(message.sequence);
      break;
    case "suspect":
    case "dead":
      to.byte(TYPE[message.kind]).map(3).text("From").text(message.from);
      to.text("Incarnation").uint(message.incarnation).text("Node").text(message.node);
      break;
    case "alive":
      writeAlive(to, message);
      break;
    case "user":
      to.byte(TYPE.user).verbatim(encodeSerf(message.message));
      break;
    case "error":
      to.byte(TYPE.error).map(1).text("Error").text(message.text);
  }
  return to.take();
}

function writePing(to: MsgpackWriter, ping: Ping): void {
  to.byte(TYPE.ping).map(2 + sourceFieldCount(ping));
  to.text("Node")
    .text(ping.node ?? "")
    .text("SeqNo")
    .uint(ping.sequence);
  writeSource(to, ping);
}

function writeIndirectPing(to: MsgpackWriter, ping: IndirectPing): void {
  to.byte(TYPE.indirectPing)
    .map(5 + sourceFieldCount(ping))
    .text("Nack")
    .bool(ping.nack);
  to.text("Node")
    .text(ping.node ?? "")
    .text("Port")
    .uint(ping.target.port);
  to.text("SeqNo").uint(ping.sequence);
  writeSource(to, ping);
  to.text("Target").raw(ping.target.ip);
}

interface Source {
  readonly source: Address | null;
  readonly sourceNode: string | null;
}

function sourceFieldCount({ source, sourceNode }: Source): number {
  return (source === null ? 0 : 2) + (sourceNode === null ? 0 : 1);
}

function writeSource(to: MsgpackWriter, { source, sourceNode }: Source): void {
  if (source !== null) to.text("SourceAddr").raw(source.ip);
  if (sourceNode !== null) to.text("SourceNode").text(sourceNode);
  if (source !== null) to.text("SourcePort").uint(source.port);
}

function writeAlive(to: MsgpackWriter, alive: Alive): void {
  to.byte(TYPE.alive).map(6).text("Addr").raw(alive.address.ip);
  to.text("Incarnation").uint(alive.incarnation).text("Meta").rawOrNil(alive.meta);
  to.text("Node").text(alive.node).text("Port").uint(alive.address.port);
  to.text("Vsn").raw(encodeVersions(alive.versions));
}

export function encodeVersions(versions: Versions): Uint8Array {
  return Uint8Array.of(
    versions.protocolMin,
    versions.protocolMax,
    versions.protocolCurrent,
    versions.delegateMin,
    versions.delegateMax,
    versions.delegateCurrent,
  );
}

/** One message without wrappers; what follows its map is ignored, as agents do. Never throws. */
export function decodeMessage(bytes: FrozenBytes): PacketMessage | StreamError | DropReason {
  const type = bytes[0];
  switch (type) {
    case undefined:
      return "empty";
    case TYPE.user: {
      const message = decodeSerf(bytes, 1);
      return typeof message === "string" ? message : { kind: "user", message };
    }
    case TYPE.pushPull:
      return "not-for-packets";
    case TYPE.encrypt:
      return "encrypted";
    case TYPE.label:
      return "labelled";
    case TYPE.compound:
    case TYPE.compress:
    case TYPE.hasCrc:
      return "too-deep";
  }
  if (type > TYPE.error) return "unknown-type";
  const fields = readOnlyFields(bytes, 1);
  return fields === null ? "malformed" : decodeByType(type, fields);
}

function decodeByType(type: number, fields: Fields): PacketMessage | StreamError | DropReason {
  switch (type) {
    case TYPE.ping:
      return fields.finish({ kind: "ping", ...askOf(fields) });
    case TYPE.indirectPing:
      return fields.finish({
        kind: "indirect-ping",
        ...askOf(fields),
        nack: fields.bool("Nack"),
        target: fields.address("Target", "Port"),
      });
    case TYPE.ack:
      return fields.finish({
        kind: "ack",
        sequence: fields.u32("SeqNo"),
        payload: fields.raw("Payload"),
      });
    case TYPE.nack:
      return fields.finish({ kind: "nack", sequence: fields.u32("SeqNo") });
    case TYPE.suspect:
      return fields.finish({ kind: "suspect", ...claimOf(fields), from: fields.name("From") });
    case TYPE.dead:
      return fields.finish({ kind: "dead", ...claimOf(fields), from: fields.name("From") });
    case TYPE.alive:
      return fields.finish({
        kind: "alive",
        ...claimOf(fields),
        address: fields.address("Addr", "Port"),
        meta: fields.meta("Meta"),
        versions: fields.versions("Vsn"),
      });
    default:
      return fields.finish({ kind: "error", text: fields.text("Error") });
  }
}

function askOf(fields: Fields): Omit<Ping, "kind"> {
  return {
    sequence: fields.u32("SeqNo"),
    node: fields.maybeName("Node"),
    source: fields.maybeAddress("SourceAddr", "SourcePort"),
    sourceNode: fields.maybeName("SourceNode"),
  };
}

function claimOf(fields: Fields): Pick<Alive, "incarnation" | "node"> {
  return { incarnation: fields.incarnation("Incarnation"), node: fields.name("Node") };
}
