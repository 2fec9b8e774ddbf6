// What members say to each other, as data: memberlist's messages (packets and streams) and Serf's,
// which ride in them. Types and limits only; the bytes are packet-codec.ts, stream-codec.ts and
// serf-codec.ts. A value of these types is one that a decoder let through: names are UTF-8 of 1 to
// NAME_BYTES_MAX bytes, metas at most META_BYTES_MAX, versions six bytes that make sense.

import type { Address } from "../base/address.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import type { Brand, NodeId } from "../base/ids.ts";

/** A member's own count of what it says about itself, 0 .. 2^32-1; only its owner raises it. */
export type Incarnation = Brand<number, "Incarnation">;

/**
 * Serf's Lamport time: a whole number 0 .. 2^53-1. The wire has 64 bits; what is above is
 * malformed.
 */
export type LamportTime = Brand<number, "LamportTime">;

/** What a member calls itself to others, on the wire as `Vsn`, six bytes in this order. */
export interface Versions {
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly protocolCurrent: number;
  readonly delegateMin: number;
  readonly delegateMax: number;
  readonly delegateCurrent: number;
}

/** What serf 0.9.4 says, and we with it: `01 05 02 02 05 05`. */
export const OUR_VERSIONS: Versions = {
  protocolMin: 1,
  protocolMax: 5,
  protocolCurrent: 2,
  delegateMin: 2,
  delegateMax: 5,
  delegateCurrent: 5,
};

/** Bytes of a member's meta (its encoded tags). */
export const META_BYTES_MAX = 512;
/** Bytes of a name; stock agents take the host's, which DNS keeps below this. */
export const NAME_BYTES_MAX = 255;
/** Parts in one compound: above it, memberlist 0.2.2 loses the whole packet. */
export const COMPOUND_PARTS_MAX = 127;
/** What a packet is filled up to before wrappers are added, as in memberlist. */
export const PACKET_BYTES_TARGET = 1400;

export interface Ping {
  readonly kind: "ping";
  /** 0 .. 2^32-1. */
  readonly sequence: number;
  /** Whom it is meant for; null when the sender does not say. */
  readonly node: NodeId | null;
  /** Where the ack shall go; null: to where the ping came from. */
  readonly source: Address | null;
  readonly sourceNode: NodeId | null;
}

/** Asks the receiver to ping `node` at `target` and to tell the asker how that went. */
export interface IndirectPing {
  readonly kind: "indirect-ping";
  readonly sequence: number;
  readonly node: NodeId | null;
  readonly target: Address;
  /** The asker understands a nack. */
  readonly nack: boolean;
  readonly source: Address | null;
  readonly sourceNode: NodeId | null;
}

export interface Ack {
  readonly kind: "ack";
  readonly sequence: number;
  /** Of a direct ack: the acker's coordinate (coordinate.ts), or empty. */
  readonly payload: FrozenBytes;
}

export interface Nack {
  readonly kind: "nack";
  readonly sequence: number;
}

export interface Suspect {
  readonly kind: "suspect";
  readonly incarnation: Incarnation;
  readonly node: NodeId;
  /** Who suspects; each name counts as one confirmation. */
  readonly from: NodeId;
}

export interface Alive {
  readonly kind: "alive";
  readonly incarnation: Incarnation;
  readonly node: NodeId;
  readonly address: Address;
  /** Encoded tags (tags.ts); changes are told by these bytes. */
  readonly meta: FrozenBytes;
  readonly versions: Versions;
}

/** From its own `node` it means that it left; from anybody else that it failed. */
export interface Dead {
  readonly kind: "dead";
  readonly incarnation: Incarnation;
  readonly node: NodeId;
  readonly from: NodeId;
}

export interface User {
  readonly kind: "user";
  readonly message: SerfMessage;
}

/** All that may be a packet, or a part of a compound. */
export type PacketMessage = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | User;

export type MemberState = "alive" | "suspect" | "dead" | "left";

/** One member as a push/pull tells of it. */
export interface NodeRecord {
  readonly node: NodeId;
  readonly address: Address;
  readonly incarnation: Incarnation;
  readonly meta: FrozenBytes;
  readonly state: MemberState;
  readonly versions: Versions;
}

/** One side's whole table; the answer to one is another. */
export interface PushPull {
  readonly kind: "push-pull";
  /** Part of a join, not of the periodic exchange. */
  readonly join: boolean;
  readonly nodes: readonly NodeRecord[];
  /** Records of the sender that were left out because no correct member makes them. */
  readonly nodesDropped: number;
  /** Null when the sender told no Serf state, or one that is malformed. */
  readonly serf: SerfState | null;
}

/** Why the other side refused a stream, in words. */
export interface StreamError {
  readonly kind: "error";
  readonly text: string;
}

/** All that may be said on a stream, once in each direction. */
export type StreamMessage = PushPull | Ping | Ack | StreamError;

export interface LeaveIntent {
  readonly kind: "leave-intent";
  readonly time: LamportTime;
  readonly node: NodeId;
  /** Erase the member instead of keeping it as left. */
  readonly prune: boolean;
}

export interface JoinIntent {
  readonly kind: "join-intent";
  readonly time: LamportTime;
  readonly node: NodeId;
}

/** Serf's part of a push/pull. */
export interface SerfState {
  readonly kind: "state";
  readonly time: LamportTime;
  /** In the order of the wire; encoders sort it by name beforehand. */
  readonly statusTimes: ReadonlyMap<NodeId, LamportTime>;
  readonly left: readonly NodeId[];
  readonly eventTime: LamportTime;
  /** A ring of slots by time; null for an empty slot. */
  readonly events: readonly (EventSlot | null)[];
  readonly queryTime: LamportTime;
}

export interface EventSlot {
  readonly time: LamportTime;
  readonly events: readonly { readonly name: string; readonly payload: FrozenBytes }[];
}

export interface UserEvent {
  readonly kind: "user-event";
  readonly time: LamportTime;
  readonly name: string;
  readonly payload: FrozenBytes;
  /** Of those with this name in a window, only the last need be told. */
  readonly coalesce: boolean;
}

/** Bits of `flags` in queries and their responses. */
export const QUERY_ACK = 1;
export const QUERY_NO_BROADCAST = 2;

/** Whom a query is for; all of its filters must match. */
export type QueryFilter =
  /** One of these names. */
  | { readonly kind: "nodes"; readonly nodes: readonly NodeId[] }
  /** `expression` (RE2) is found in the tag's value; a tag that is not there is empty. */
  | { readonly kind: "tag"; readonly tag: string; readonly expression: string };

export interface Query {
  readonly kind: "query";
  readonly time: LamportTime;
  readonly id: number;
  readonly name: string;
  readonly payload: FrozenBytes;
  /** Where answers go. */
  readonly source: Address;
  readonly sourceNode: NodeId | null;
  /** As they came; query-filters.ts reads them. */
  readonly filters: readonly FrozenBytes[];
  readonly flags: number;
  readonly relayFactor: number;
  /** A whole number of nanoseconds. */
  readonly timeoutNanos: number;
}

export interface QueryResponse {
  readonly kind: "query-response";
  readonly time: LamportTime;
  readonly id: number;
  readonly from: NodeId;
  readonly flags: number;
  readonly payload: FrozenBytes;
}

/** Asks the receiver to pass a whole Serf message on. */
export interface Relay {
  readonly kind: "relay";
  readonly to: Address;
  /** IPv6 zone; empty everywhere else. */
  readonly zone: string;
  readonly node: NodeId | null;
  readonly message: Exclude<SerfMessage, Relay>;
}

export type SerfMessage =
  | LeaveIntent
  | JoinIntent
  | SerfState
  | UserEvent
  | Query
  | QueryResponse
  | Relay;
