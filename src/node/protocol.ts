// What a node hears and says: the union of its ports, as data. A recorded run is a list of these
// events; a replay compares these outputs. Types only.

import type { FrozenBytes } from "../base/bytes.ts";
import type { Answer, ClientRequest } from "../base/client.ts";
import type { DiskOperation, DiskResult } from "../base/disk.ts";
import type { LinkId, Micros, NodeId, OpId } from "../base/ids.ts";
import type { Notice } from "../base/notice.ts";
import type { Lane } from "../ports/network.ts";

export interface MemberAddress {
  readonly id: NodeId;
  /** host:port of the one port that serves peers and clients. */
  readonly address: string;
}

export interface NodeOptions {
  readonly name: NodeId;
  /** 32 lower-case hex digits. */
  readonly clusterId: string;
  /** host:port that others dial this node at. */
  readonly address: string;
  /**
   * The founders: whoever begins the cluster, this node among them, the same list on each. Only the
   * lowest name founds, and only once (src/node/founding.ts); from then on the members are what the
   * log says, and these are dialed besides. Empty: this node waits to be admitted.
   */
  readonly members: readonly MemberAddress[];
  readonly electionTimeoutMin: Micros;
  readonly electionTimeoutMax: Micros;
  readonly heartbeatInterval: Micros;
  readonly appendBytesMax: number;
  readonly appendsInFlightMax: number;
  /** Of one peer; absent: appendsInFlightMax times appendBytesMax. */
  readonly bytesInFlightMax?: number;
  readonly uncommittedBytesMax: number;
  readonly readsWaitingMax: number;
  /**
   * A disk that has a write outstanding for so long, or does nothing of what it was asked, makes a
   * leader give way and keeps others from standing for election; absent: 4 electionTimeoutMax.
   */
  readonly diskPatience?: Micros;
  /** Followers that no entries tell of a commit are told after so long; absent: at once. */
  readonly commitNoticeDelay?: Micros;
  /** See RaftOptions. */
  readonly lostLeaderDivisor?: number;
  readonly segmentBytesMax: number;
  readonly indexEntriesMax: number;
  readonly preallocateBytes: number;
  readonly cacheBytesMax: number;
  /** One record's value; larger ones are refused before they are written. */
  readonly recordBytesMax: number;
  /** A batch body. */
  readonly batchBytesMax: number;
  /** Mail of one class (client writes, client reads, ...) before further mail is refused. */
  readonly mailboxEventsMax: number;
  /** Mail taken in one turn. */
  readonly turnEventsMax: number;
  /** Requests waiting for a verdict or for more records. */
  readonly requestsWaitingMax: number;
  readonly producersMax: number;
  /** A snapshot's bytes, on the disk of whoever sends or receives it. */
  readonly snapshotBytesMax: number;
  /** Sent at once of a snapshot, the same on every member; absent: 64 KiB, which is the most. */
  readonly snapshotPartBytes?: number;
  /** Redial after this long, doubled up to the second on each failure. */
  readonly redialMin: Micros;
  readonly redialMax: Micros;
  /** Segments beyond so many bytes, or older by log time, are trimmed; null: never. */
  readonly retentionBytes: number | null;
  readonly retentionMs: number | null;
  /** Sealed segments are read again at this pace, to find rot while there are copies; 0: never. */
  readonly scrubBytesPerSecond: number;
  /** From the begin of one such reading of all segments to that of the next. */
  readonly scrubEvery: Micros;
  /** Whether the leader swaps a wiped member for the instance that answers in its place. */
  readonly autoReplaceWiped: boolean;
}

export type NodeEvent =
  /** The first event: opens the log. */
  | { readonly kind: "start" }
  | { readonly kind: "disk-done"; readonly opId: OpId; readonly result: DiskResult }
  | {
      readonly kind: "link-opened";
      readonly link: LinkId;
      readonly dialed: boolean;
      readonly identity: readonly string[] | null;
    }
  | { readonly kind: "link-frame"; readonly link: LinkId; readonly frame: FrozenBytes }
  | { readonly kind: "link-closed"; readonly link: LinkId; readonly why: string }
  | { readonly kind: "request"; readonly request: ClientRequest }
  | News
  /** Shut down cleanly: refuse new requests, close the log, say `stopped`. */
  | { readonly kind: "stop" }
  | { readonly kind: "deadline" };

/** What discovery has to tell a node. */
export type News =
  /**
   * The founders, for a node that was made without any: heard once, and by an empty log only. What
   * NodeOptions.members says of them holds.
   */
  | { readonly kind: "founders"; readonly members: readonly MemberAddress[] }
  /** Members that gossip sees elsewhere than the log says: dialed there, too; replaces the last. */
  | { readonly kind: "addresses"; readonly members: readonly MemberAddress[] }
  /** Gossip takes this member for failed: a hint, never a vote. */
  | { readonly kind: "peer-failed"; readonly name: NodeId };

export interface Dial {
  readonly link: LinkId;
  readonly peer: NodeId;
  readonly address: string;
  readonly lane: Lane;
}

export interface LinkSend {
  readonly link: LinkId;
  readonly parts: readonly Uint8Array[];
}

export interface LinkClose {
  readonly link: LinkId;
  readonly why: string;
}

/**
 * Everything one turn decided; all of it may be performed at once, in any order between the lists.
 */
export interface NodeOutput {
  readonly operations: readonly DiskOperation[];
  readonly dials: readonly Dial[];
  readonly sends: readonly LinkSend[];
  readonly closes: readonly LinkClose[];
  readonly answers: readonly Answer[];
  readonly notices: readonly Notice[];
  /** Set once, when the node will say and do nothing more. */
  readonly stopped: Stopped | null;
}

export type Stopped =
  | { readonly kind: "clean" }
  /** The directory cannot be used, or the disk failed: one line for the operator. */
  | { readonly kind: "failed"; readonly why: string };
