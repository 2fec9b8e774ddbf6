// The golden bytes of stock agents (vectors.json) as a test reads them: hex to bytes, and decoded
// messages to the notation of the file, so that a vector is compared as a whole.
import { readFileSync } from "node:fs";
import type { Address } from "../../src/base/address.ts";
import { type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import { type Coordinate, decodeCoordinate } from "../../src/gossip/coordinate.ts";
import { encodeVersions } from "../../src/gossip/message-codec.ts";
import type {
  PacketMessage,
  PushPull,
  SerfMessage,
  SerfState,
  StreamMessage,
} from "../../src/gossip/messages.ts";
import {
  decodeConflictResponse,
  decodeFilter,
  decodeKeyResponse,
} from "../../src/gossip/query-payloads.ts";
import { decodeTags } from "../../src/gossip/tags.ts";

/** A value in the file's notation. */
export type Told = null | boolean | number | string | readonly Told[] | { [key: string]: Told };

export interface Vector {
  readonly id: string;
  readonly transport: "udp" | "tcp";
  readonly origin: string;
  readonly hex: string;
  readonly decoded: { readonly [key: string]: Told };
}

export interface LzwVector {
  readonly id: string;
  readonly lzw: string;
  readonly plain?: string;
  readonly plainLength?: number;
  readonly plainSha256?: string;
}

interface VectorFile {
  readonly messages: readonly Vector[];
  readonly lzw: readonly LzwVector[];
  readonly encryption: readonly { readonly id: string; readonly hex: string }[];
}

export const vectors = JSON.parse(
  readFileSync(new URL("./vectors.json", import.meta.url), "utf8"),
) as VectorFile;

export function bytesOf(hex: string): FrozenBytes {
  return freeze(Uint8Array.from(Buffer.from(hex, "hex")));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

const told = (bytes: Uint8Array): string => `0x${hexOf(bytes)}`;
const toldOrNull = (bytes: Uint8Array): string | null => (bytes.length === 0 ? null : told(bytes));

function tellSource(source: Address | null, sourceNode: string | null): { [key: string]: Told } {
  return {
    ...(source === null ? {} : { SourceAddr: told(source.ip), SourcePort: source.port }),
    ...(sourceNode === null ? {} : { SourceNode: sourceNode }),
  };
}

function tellTags(meta: FrozenBytes): { [key: string]: Told } {
  return { tags: Object.fromEntries(decodeTags(meta)) };
}

function tellCoordinate({ adjustment, error, height, vector }: Coordinate): Told {
  const coordinate = { Adjustment: adjustment, Error: error, Height: height, Vec: vector };
  return { pingVersion: 1, coordinate };
}

/** A packet's message, or a stream's, in the notation of the vectors. */
export function tellMessage(message: PacketMessage | StreamMessage): { [key: string]: Told } {
  switch (message.kind) {
    case "ping": {
      const { source, sourceNode } = message;
      const asked = { Node: message.node, SeqNo: message.sequence };
      return { type: 0, name: "ping", ...asked, ...tellSource(source, sourceNode) };
    }
    case "indirect-ping": {
      const { source, sourceNode, target } = message;
      const asked = { Node: message.node, SeqNo: message.sequence, Nack: message.nack };
      const where = { Port: target.port, Target: told(target.ip) };
      const from = tellSource(source, sourceNode);
      return { type: 1, name: "indirectPing", ...asked, ...where, ...from };
    }
    case "ack": {
      const coordinate = decodeCoordinate(message.payload);
      return {
        type: 2,
        name: "ackResp",
        Payload: toldOrNull(message.payload),
        SeqNo: message.sequence,
        ...(coordinate === null ? {} : { PayloadDecoded: tellCoordinate(coordinate) }),
      };
    }
    case "nack":
      return { type: 11, name: "nackResp", SeqNo: message.sequence };
    case "suspect":
    case "dead": {
      const { from, incarnation, node, kind } = message;
      const type = kind === "dead" ? 5 : 3;
      return { type, name: kind, From: from, Incarnation: incarnation, Node: node };
    }
    case "alive":
      return {
        type: 4,
        name: "alive",
        Addr: told(message.address.ip),
        Incarnation: message.incarnation,
        Meta: told(message.meta),
        Node: message.node,
        Port: message.address.port,
        Vsn: told(encodeVersions(message.versions)),
        ...tellTags(message.meta),
      };
    case "user":
      return { type: 8, name: "user", ...tellSerf(message.message) };
    case "error":
      return { type: 13, name: "err", Error: message.text };
    case "push-pull":
      return tellPushPull(message);
  }
}

function tellPushPull({ join, nodes, nodesDropped, serf }: PushPull): { [key: string]: Told } {
  const states = ["alive", "suspect", "dead", "left"];
  return {
    name: "pushPull",
    type: 6,
    Join: join,
    Nodes: nodes.length + nodesDropped,
    nodes: nodes.map((node) => ({
      Addr: told(node.address.ip),
      Incarnation: node.incarnation,
      Meta: told(node.meta),
      Name: node.node,
      Port: node.address.port,
      State: states.indexOf(node.state),
      Vsn: told(encodeVersions(node.versions)),
      ...tellTags(node.meta),
    })),
    userState: serf === null ? null : tellState(serf),
  };
}

function tellState(state: SerfState): { [key: string]: Told } {
  return {
    serfType: 2,
    serfName: "pushPull",
    EventLTime: state.eventTime,
    Events: state.events.map((slot) =>
      slot === null
        ? null
        : {
            LTime: slot.time,
            Events: slot.events.map(({ name, payload }) => ({
              Name: name,
              Payload: told(payload),
            })),
          },
    ),
    LTime: state.time,
    LeftMembers: state.left,
    QueryLTime: state.queryTime,
    StatusLTimes: Object.fromEntries(state.statusTimes),
  };
}

/** A Serf message in the notation of the vectors. */
export function tellSerf(message: SerfMessage): { [key: string]: Told } {
  switch (message.kind) {
    case "leave-intent": {
      const { time, node, prune } = message;
      return { serfType: 0, serfName: "leave", LTime: time, Node: node, Prune: prune };
    }
    case "join-intent":
      return { serfType: 1, serfName: "join", LTime: message.time, Node: message.node };
    case "state":
      return tellState(message);
    case "user-event":
      return {
        serfType: 3,
        serfName: "userEvent",
        CC: message.coalesce,
        LTime: message.time,
        Name: message.name,
        Payload: told(message.payload),
      };
    case "query":
      return tellQuery(message);
    case "query-response":
      return tellResponse(message);
    case "relay":
      return {
        serfType: 9,
        serfName: "relay",
        DestAddr: { IP: told(message.to.ip), Port: message.to.port, Zone: message.zone },
        DestName: message.node,
        inner: tellSerf(message.message),
      };
  }
}

function tellQuery(query: SerfMessage & { kind: "query" }): { [key: string]: Told } {
  const filters = query.filters.map((bytes): Told => {
    const filter = decodeFilter(bytes);
    if (filter === null) return null;
    if (filter.kind === "nodes") return { type: 0, value: filter.nodes };
    return { type: 1, value: { Expr: filter.expression, Tag: filter.tag } };
  });
  return {
    serfType: 4,
    serfName: "query",
    Addr: told(query.source.ip),
    Filters: filters.length === 0 ? null : query.filters.map(told),
    ...(filters.length === 0 ? {} : { FiltersDecoded: filters }),
    Flags: query.flags,
    ID: query.id,
    LTime: query.time,
    Name: query.name,
    Payload: toldOrNull(query.payload),
    Port: query.source.port,
    RelayFactor: query.relayFactor,
    SourceNode: query.sourceNode,
    Timeout: query.timeoutNanos,
  };
}

function tellResponse(message: SerfMessage & { kind: "query-response" }): { [key: string]: Told } {
  const conflict = decodeConflictResponse(message.payload);
  const keys = decodeKeyResponse(message.payload);
  return {
    serfType: 5,
    serfName: "queryResponse",
    Flags: message.flags,
    From: message.from,
    ID: message.id,
    LTime: message.time,
    Payload: toldOrNull(message.payload),
    ...(conflict === null
      ? {}
      : {
          PayloadDecoded: {
            serfType: 6,
            serfName: "conflictResponse",
            Addr: told(conflict.address.ip),
            DelegateCur: conflict.delegateCurrent,
            DelegateMax: conflict.delegateMax,
            DelegateMin: conflict.delegateMin,
            Name: conflict.node,
            Port: conflict.address.port,
            ProtocolCur: conflict.protocolCurrent,
            ProtocolMax: conflict.protocolMax,
            ProtocolMin: conflict.protocolMin,
            Status: conflict.status,
            Tags: Object.fromEntries(conflict.tags),
          },
        }),
    ...(keys === null
      ? {}
      : {
          PayloadDecoded: {
            serfType: 8,
            serfName: "keyResponse",
            Keys: keys.keys,
            Message: keys.message,
            PrimaryKey: keys.primaryKey,
            Result: keys.succeeded,
          },
        }),
  };
}

/**
 * A vector's decoded form as tellMessage would say it: wrappers opened, a push/pull's header and
 * its ring of events laid out, counts of the file left out.
 */
export function expectedParts(decoded: { readonly [key: string]: Told }): Told[] {
  const { inner, parts, header, len: _, ...rest } = decoded as { [key: string]: Told };
  const name = rest["name"];
  if (name === "hasCrc" || name === "compress")
    return expectedParts(inner as { [key: string]: Told });
  if (name === "compound") {
    return (parts as { [key: string]: Told }[]).flatMap((part) => expectedParts(part));
  }
  if (name !== "pushPull") return [inner === undefined ? rest : { ...rest, inner }];
  const { UserStateLen: _length, ...told } = header as { [key: string]: Told };
  const { trailingBytes: _trailing, userState, ...rest2 } = rest;
  const state = userState as { [key: string]: Told };
  const ring = state["Events"] as { length: number; nonNil: { [at: string]: Told } } | Told[];
  const events = Array.isArray(ring)
    ? ring
    : Array.from({ length: ring.length }, (__, at): Told => ring.nonNil[at] ?? null);
  return [{ ...rest2, ...told, userState: { ...state, Events: events } }];
}
