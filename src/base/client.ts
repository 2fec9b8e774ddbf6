// What clients ask of one node and what it answers, as data: the service floor and the simulated
// clients speak this; gRPC is made of it elsewhere.

import type { FrozenBytes } from "./bytes.ts";
import type { Draft, Entry, LogPoint } from "./entry.ts";
import type { Fault } from "./faults.ts";
import type { Instant, LogIndex, Micros, NodeId, Offset, RequestId, Term, WallMs } from "./ids.ts";

export type ClientRequest =
  /**
   * Appends a batch of records, or a control of a client's, as one entry, atomically. With a
   * producer id in the draft it is idempotent: a repeated (producerId, epoch, sequence) is answered
   * with its first offset.
   */
  | {
      readonly kind: "append";
      readonly requestId: RequestId;
      readonly draft: Draft;
      /** Appends only when the log ends exactly here; null for anywhere. */
      readonly expectedEndOffset: Offset | null;
      /** Refused when the log is fenced with another token; absent: the writer names none. */
      readonly fencingToken?: string;
      /** Of a cursor's commit: where it is now, null for nowhere; absent: wherever. */
      readonly expectedCursor?: Offset | null;
    }
  /**
   * Committed entries from the one that holds `from` on, of this node's own log. At the end it
   * waits for more when `wait`, else it is out of range. Control entries are left out.
   */
  | {
      readonly kind: "fetch";
      readonly requestId: RequestId;
      readonly from: Offset;
      /**
       * Entries before this log time are left out; the log is searched, not read, for the first.
       */
      readonly notBefore?: WallMs;
      readonly bytesMax: number;
      readonly wait: boolean;
    }
  /** The committed cursors of these names, those there are, or all; of this node's own log. */
  | {
      readonly kind: "read-cursors";
      readonly requestId: RequestId;
      readonly names: readonly string[] | null;
    }
  /**
   * The linearizable end of the committed log: one quorum round (thesis 6.4), and from then on this
   * member's own log has all that was committed before. Of a leader; with `within`, of any member,
   * which asks whoever leads for so long at most.
   */
  | { readonly kind: "check-tail"; readonly requestId: RequestId; readonly within?: Micros }
  /** Asks the leader for another membership; `done` once the whole change is committed. */
  | {
      readonly kind: "change-membership";
      readonly requestId: RequestId;
      readonly change: MembershipChange;
    }
  /** Asks the leader to make another voter lead, the most caught up when `to` is null. */
  | {
      readonly kind: "transfer-leadership";
      readonly requestId: RequestId;
      readonly to: NodeId | null;
    }
  /**
   * A copy of this member's log up to an index that all that was committed before the request lies
   * within, whoever leads: sought for `within` at most. Until it is read to its end, or taken back
   * with `cancel` under this very id, what it needs stays on the disk. One at a time.
   */
  | { readonly kind: "begin-backup"; readonly requestId: RequestId; readonly within: Micros }
  /** What comes next of the backup that `begin-backup` of the id `backupId` has begun. */
  | {
      readonly kind: "read-backup";
      readonly requestId: RequestId;
      readonly backupId: RequestId;
      /** Of frames, or of the base's state; one entry is read all the same. */
      readonly bytesMax: number;
    }
  /**
   * Takes back a waiting request; its answer is then a "cancelled" fault, unless it was just given.
   */
  | { readonly kind: "cancel"; readonly requestId: RequestId };

/**
 * Members are meant by name; who is new is whoever answers at the address and proves the name. Any
 * change may be asked for again: what is done already is done.
 */
export type MembershipChange =
  /** As a learner first; as a voter once it has caught up, when `asVoter`. */
  | {
      readonly kind: "add";
      readonly name: NodeId;
      readonly address: string;
      readonly asVoter: boolean;
    }
  | { readonly kind: "remove"; readonly name: NodeId }
  | { readonly kind: "promote"; readonly name: NodeId }
  | { readonly kind: "demote"; readonly name: NodeId }
  /** The same name for a member whose directory was wiped. */
  | {
      readonly kind: "replace";
      readonly name: NodeId;
      readonly withName: NodeId;
      readonly withAddress: string;
    }
  | {
      readonly kind: "set";
      readonly voters: readonly NodeId[];
      readonly learners: readonly NodeId[];
    };

export type Answer =
  | {
      readonly kind: "appended";
      readonly requestId: RequestId;
      /** Of the first record. */
      readonly offset: Offset;
      readonly index: LogIndex;
      readonly term: Term;
      /** The batch was in the log before this request came. */
      readonly duplicate: boolean;
      /** When this leader's own disk had it, of one that had not been there; null: others first. */
      readonly durableAt: Instant | null;
    }
  | {
      readonly kind: "fetched";
      readonly requestId: RequestId;
      /** Kind "records" only; never empty. The first may begin before `from`. */
      readonly entries: readonly Entry[];
      /** End of what is committed here, exclusive. */
      readonly endOffset: Offset;
    }
  | {
      readonly kind: "cursors";
      readonly requestId: RequestId;
      readonly cursors: readonly CursorInfo[];
    }
  | { readonly kind: "tail"; readonly requestId: RequestId; readonly endOffset: Offset }
  | {
      readonly kind: "backup-begun";
      readonly requestId: RequestId;
      readonly backup: BackupBegun;
    }
  | { readonly kind: "backup-part"; readonly requestId: RequestId; readonly part: BackupPart }
  | { readonly kind: "done"; readonly requestId: RequestId }
  | { readonly kind: "fault"; readonly requestId: RequestId; readonly fault: Fault };

/** What a backup will hold. */
export interface BackupBegun {
  /** The checkpoint that it begins with; null when it begins with the log's first entry. */
  readonly base: BackupBase | null;
  /** Its last entry. */
  readonly cut: LogPoint;
  /** Of the first record that readers may have, as of the cut. */
  readonly startOffset: Offset;
  /** This member's, not below the cut's. */
  readonly term: Term;
  /** Of its directory. */
  readonly instanceId: string;
  /** A user's own machine applies the log here: its state is not in the entries alone. */
  readonly hasMachine: boolean;
  /** About so many bytes there are to come; more than there are, mostly. */
  readonly bytes: number;
}

export interface BackupBase {
  readonly at: LogPoint;
  readonly stateBytes: number;
  readonly stateCrc: number;
}

export type BackupPart =
  /** Of the base's state, in order; each part joins on to the one before. */
  | { readonly kind: "state"; readonly bytes: FrozenBytes }
  /** Whole entries in order, chained, the base's next one first. */
  | { readonly kind: "entries"; readonly entries: readonly Entry[] }
  /** There is no more: the whole backup was read, and is let go of. */
  | { readonly kind: "end" };

/** How far a consumer has come. */
export interface CursorInfo {
  readonly name: string;
  /** What it wants next. */
  readonly offset: Offset;
  /** 0: never forgotten. */
  readonly ttlMs: number;
  /** Log time of its last commit. */
  readonly timestamp: WallMs;
}

/** A member as clients need to know it. */
export interface MemberInfo {
  readonly id: NodeId;
  readonly address: string;
  readonly isLeader: boolean;
  /** Of its data directory; empty before the cluster is founded. */
  readonly instance: string;
  /** Outgoing: a voter until the change under way is complete. */
  readonly standing: "voter" | "outgoing" | "learner" | "none";
  /** Entries it lacks, where this node leads; else null. */
  readonly lag: number | null;
  /**
   * How the leader sends to it: looking for where the logs join, a bounded number of appends ahead,
   * or a checkpoint first; null for the leader, and where this node does not lead.
   */
  readonly replication: "probe" | "pipeline" | "snapshot" | null;
  /** Whether it can be spoken to, as far as the asked node can tell; that node itself can. */
  readonly isUp: boolean;
  /** Another instance that answers in its place, because its directory was wiped; else null. */
  readonly answersAs: string | null;
}

/** How a node's log and its disk are. */
export interface DiskStatus {
  /**
   * "scarce": there is no room to write ahead, a leader hands over; "congested": more waits for the
   * disk than may; "full": nothing more is taken until there is room.
   */
  readonly room: "plenty" | "scarce" | "congested" | "full";
  readonly segments: number;
  /** Of all stores, what was written ahead left out. */
  readonly storeBytes: number;
  /** Whether the room that is given up for trims and clean stops is there. */
  readonly isReserved: boolean;
  readonly scrub: {
    /** Times that all sealed segments have been read again. */
    readonly passes: number;
    /** Read since the start. */
    readonly bytes: number;
    /** Where it goes on. */
    readonly baseIndex: LogIndex;
    readonly position: number;
  };
  /** Digests of other nodes' segments that agreed with this one's, or could not be compared. */
  readonly digests: { readonly checked: number; readonly unchecked: number };
  /** What is wrong with it, and what to do; null while nothing is known. */
  readonly damage: string | null;
}

/** A snapshot for people, probes and GetServers; fresh at each call. */
export interface NodeStatus {
  readonly name: NodeId;
  readonly clusterId: string;
  readonly state: "opening" | "serving" | "poisoned" | "stopping" | "stopped" | "refused";
  readonly role: string;
  readonly term: Term;
  readonly leader: NodeId | null;
  readonly commitIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly durableIndex: LogIndex;
  readonly startOffset: Offset;
  /** End of the committed records, exclusive. */
  readonly endOffset: Offset;
  readonly members: readonly MemberInfo[];
  /** Index of the entry that says them; 0 before the cluster is founded. */
  readonly membershipIndex: LogIndex;
  readonly disk: DiskStatus;
  readonly at: Instant;
}
