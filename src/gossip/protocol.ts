// What gossip hears and says to its host: the events it may be given, the one output it hands
// back, what it is made of and what it shows. Types only; the messages between members are
// messages.ts. `Gossip implements Machine<GossipEvent, GossipOutput>` is gossip.ts.

import type { Address } from "../base/address.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import type { Brand, Instant, Micros, NodeId, StreamId } from "../base/ids.ts";
import type { Notice } from "../base/notice.ts";
import type { Prng } from "../base/prng.ts";
import type { Incarnation, LamportTime, QueryFilter, Versions } from "./messages.ts";

/** Names one request to the machine; given by whoever asks, answered exactly once. */
export type GossipRequestId = Brand<number, "GossipRequestId">;

/** Names one query of somebody's that waits for our answer. */
export type QueryId = Brand<number, "QueryId">;

/** A member's tags; at most META_BYTES_MAX bytes when encoded. */
export type Tags = ReadonlyMap<string, string>;

export type GossipEvent =
  | { readonly kind: "deadline" }
  /** One datagram, from whatever address it says it is. */
  | { readonly kind: "packet"; readonly from: Address; readonly bytes: FrozenBytes }
  /** A dial succeeded (`dialed`), or somebody dialed us; what was to be written may be now. */
  | {
      readonly kind: "stream-opened";
      readonly streamId: StreamId;
      readonly peer: Address;
      readonly dialed: boolean;
    }
  | { readonly kind: "stream-bytes"; readonly streamId: StreamId; readonly bytes: FrozenBytes }
  /** The other end is done, the connection broke or the dial failed: nothing more comes. */
  | { readonly kind: "stream-closed"; readonly streamId: StreamId; readonly why: string }
  /**
   * A push/pull with each of `addresses`; answered `joined` when each succeeded or failed. User
   * events of before are told of only with `replay`.
   */
  | {
      readonly kind: "join";
      readonly requestId: GossipRequestId;
      readonly addresses: readonly Address[];
      readonly replay?: boolean;
    }
  /** Says good-bye; answered `done` when it has been said and the machine is silent. */
  | { readonly kind: "leave"; readonly requestId: GossipRequestId }
  /** Declares a failed member left; with `prune` it is erased. Answered `done` at once. */
  | {
      readonly kind: "force-leave";
      readonly requestId: GossipRequestId;
      readonly node: NodeId;
      readonly prune: boolean;
    }
  /** Replaces all of our own tags. */
  | { readonly kind: "set-tags"; readonly requestId: GossipRequestId; readonly tags: Tags }
  /** Tells everybody, ourselves too, that something happened. Answered `done` at once. */
  | {
      readonly kind: "user-event";
      readonly requestId: GossipRequestId;
      readonly name: string;
      readonly payload: FrozenBytes;
      readonly coalesce: boolean;
    }
  /**
   * Asks everybody whom the filters match, ourselves too. Answered `asked` at once; acks and
   * answers are heard of until it has ended.
   */
  | {
      readonly kind: "query";
      readonly requestId: GossipRequestId;
      readonly question: Question;
    }
  /** Answers a query that was heard. */
  | {
      readonly kind: "answer-query";
      readonly requestId: GossipRequestId;
      readonly queryId: QueryId;
      readonly payload: FrozenBytes;
    };

/** What a query asks, of whom and for how long. */
export interface Question {
  readonly name: string;
  readonly payload: FrozenBytes;
  readonly filters: readonly QueryFilter[];
  /** Null: as the number of members makes it. */
  readonly timeout: Micros | null;
  /** Each that the query is for says that it got it. */
  readonly requestAck: boolean;
  /** Each answer is sent through so many others besides. */
  readonly relayFactor: number;
}

/** All that gossip decided since the last take. Performed in this order: all may leave at once. */
export interface GossipOutput {
  readonly packets: readonly OutgoingPacket[];
  readonly dials: readonly Dial[];
  readonly streamWrites: readonly StreamWrite[];
  /** After all that was written has left; no `stream-closed` follows. Dials are taken back. */
  readonly streamCloses: readonly StreamClose[];
  readonly happenings: readonly Happening[];
  readonly answers: readonly GossipAnswer[];
  readonly heard: readonly Heard[];
  readonly notices: readonly Notice[];
}

export interface OutgoingPacket {
  readonly to: Address;
  readonly bytes: FrozenBytes;
}

/** Answered by stream-opened or stream-closed. */
export interface Dial {
  readonly streamId: StreamId;
  readonly to: Address;
}

export interface StreamWrite {
  readonly streamId: StreamId;
  readonly bytes: FrozenBytes;
}

export interface StreamClose {
  readonly streamId: StreamId;
  readonly why: string;
}

/** Something became known about another member, in the order it became known. */
export interface Happening {
  readonly kind: "join" | "leave" | "fail" | "update" | "reap";
  /** As it is after what happened. */
  readonly member: GossipMember;
}

/** What members said beside membership, in the order it was heard. */
export type Heard =
  | {
      readonly kind: "user-event";
      readonly time: LamportTime;
      readonly name: string;
      readonly payload: FrozenBytes;
      readonly coalesce: boolean;
    }
  /** May be answered once, until then. */
  | {
      readonly kind: "query";
      readonly queryId: QueryId;
      readonly time: LamportTime;
      readonly name: string;
      readonly payload: FrozenBytes;
      /** Who asks, as it says. */
      readonly from: NodeId | null;
      readonly endsAt: Instant;
    }
  /** Of our own query, once for each name. */
  | {
      readonly kind: "query-ack";
      readonly requestId: GossipRequestId;
      readonly from: NodeId;
    }
  | {
      readonly kind: "query-answer";
      readonly requestId: GossipRequestId;
      readonly from: NodeId;
      readonly payload: FrozenBytes;
    }
  /** Nothing more is heard of it. */
  | {
      readonly kind: "query-ended";
      readonly requestId: GossipRequestId;
      readonly tally: QueryTally;
    };

/** What became of a query of ours. */
export interface QueryTally {
  readonly acks: number;
  readonly answers: number;
  /** Acks and answers of a name that had given one. */
  readonly duplicates: number;
}

export type GossipAnswer =
  | {
      readonly kind: "joined";
      readonly requestId: GossipRequestId;
      /** Addresses whose members took us in. */
      readonly reached: number;
      readonly failures: readonly { readonly address: Address; readonly why: string }[];
    }
  | { readonly kind: "done"; readonly requestId: GossipRequestId }
  | {
      readonly kind: "asked";
      readonly requestId: GossipRequestId;
      /** How long answers are waited for. */
      readonly timeout: Micros;
    }
  | {
      readonly kind: "refused";
      readonly requestId: GossipRequestId;
      readonly why:
        | "leaving"
        | "left"
        | "unknown-member"
        | "tags-too-large"
        | "too-large"
        | "unknown-query"
        | "overloaded";
    };

/** As operators know it from `serf members`. */
export type MemberStatus = "alive" | "leaving" | "left" | "failed";

/** One member as we know it; a fresh object each time. */
export interface GossipMember {
  readonly node: NodeId;
  readonly address: Address;
  readonly tags: Tags;
  readonly status: MemberStatus;
  readonly incarnation: Incarnation;
  readonly versions: Versions;
}

/**
 * Why something from outside had no effect. The first group is decided by the codecs, the second
 * by the machine, the third by the host.
 */
export type DropReason =
  | "empty"
  | "unknown-type"
  | "encrypted"
  | "plaintext"
  | "undecryptable"
  | "labelled"
  | "crc-mismatch"
  | "truncated"
  | "malformed"
  | "too-large"
  | "too-deep"
  | "not-for-packets"
  | "not-for-streams"
  | "not-for-us"
  | "no-such-ping"
  | "bad-coordinate"
  | "incompatible"
  | "incarnation-jump"
  | "time-jump"
  | "too-old"
  | "unreadable-filter"
  | "unknown-query"
  | "no-such-query"
  | "name-conflict"
  | "table-full"
  | "answer-too-large"
  | "too-many-streams"
  | "too-slow"
  | "after-leave"
  | "queue-full";

/** Timing and sizes; presets are profiles.ts. Names follow memberlist's and Serf's. */
export interface GossipProfile {
  readonly streamTimeout: Micros;
  readonly probeInterval: Micros;
  readonly probeTimeout: Micros;
  readonly indirectChecks: number;
  readonly suspicionMult: number;
  readonly suspicionMaxTimeoutMult: number;
  readonly awarenessMax: number;
  /** A ping tells a suspect that it is one (Lifeguard's buddy system); stock agents always do. */
  readonly tellsSuspects: boolean;
  readonly retransmitMult: number;
  readonly gossipInterval: Micros;
  readonly gossipNodes: number;
  readonly gossipToTheDead: Micros;
  /** A name whose owner has been dead for this long may come back at another address. */
  readonly deadNodeReclaim: Micros;
  readonly pushPullInterval: Micros;
  readonly broadcastTimeout: Micros;
  readonly leavePropagateDelay: Micros;
  readonly reconnectInterval: Micros;
  readonly reconnectTimeout: Micros;
  readonly tombstoneTimeout: Micros;
  readonly recentIntentTimeout: Micros;
  /** User events that may coalesce are told of so long after the first at the latest. */
  readonly userCoalescePeriod: Micros;
  /** And so long after the last. */
  readonly userQuiescentPeriod: Micros;
  readonly queryTimeoutMult: number;
}

export interface GossipOptions {
  readonly self: NodeId;
  /** Where others reach us; told to everybody. */
  readonly address: Address;
  readonly tags: Tags;
  /** The first thing we say about ourselves; above all we said in an earlier life, where known. */
  readonly incarnation: Incarnation;
  readonly profile: GossipProfile;
  /** Sends LZW where it is shorter; what comes compressed is always read. */
  readonly compress: boolean;
  /** Tells a network coordinate in acks, and keeps those of others; as agents do. */
  readonly coordinates: boolean;
  /** Members in the table, whatever their state; more are not taken in. */
  readonly membersMax: number;
  /** Rumors waiting to be passed on; beyond it the most-sent is dropped. */
  readonly rumorsMax: number;
  /** Streams open at once, dialed and accepted. */
  readonly streamsMax: number;
  readonly prng: Prng;
}

/** A readable snapshot; a fresh object each time. */
export interface GossipStatus {
  readonly self: NodeId;
  readonly state: "running" | "leaving" | "left";
  /** Sorted by name; ourselves among them. */
  readonly members: readonly GossipMember[];
  readonly incarnation: Incarnation;
  /** Lifeguard's local health: 0 is well, awarenessMax - 1 the worst. */
  readonly healthScore: number;
  readonly time: LamportTime;
  readonly eventTime: LamportTime;
  readonly queryTime: LamportTime;
  readonly rumors: number;
  /** Rumors that made room for newer ones before they had been told as often as they should. */
  readonly rumorsEvicted: number;
  readonly streams: number;
  readonly dropped: Readonly<Partial<Record<DropReason, number>>>;
  readonly at: Instant;
}
