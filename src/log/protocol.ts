// What the log hears and says: events in, disk operations and answers out. Types only.

import type { FrozenBytes } from "../base/bytes.ts";
import type { DiskOperation, DiskResult } from "../base/disk.ts";
import type { Entry, EntryHead, HardState, LogPoint, LogWrite, TermRun } from "../base/entry.ts";
import type { Damage, Fault } from "../base/faults.ts";
import type { LogIndex, NodeId, Offset, OpId, WallMs, WriteId } from "../base/ids.ts";
import type { Checkpoint, CheckpointHeader } from "./checkpoint.ts";

/** Whose directory this is. A directory is never shared, renamed or moved between clusters. */
export interface Identity {
  /** 32 lower-case hex digits. */
  readonly clusterId: string;
  readonly nodeName: NodeId;
  /** 32 lower-case hex digits, random, made with the directory. */
  readonly instanceId: string;
}

export interface LogOptions {
  /** instanceId is used only when the directory is new. */
  readonly identity: Identity;
  readonly segmentBytesMax: number;
  /** Entries an index file has room for; a segment rolls before it is full. */
  readonly indexEntriesMax: number;
  /** Zeros written ahead of the active segment's end, so that a sync need not grow the file. */
  readonly preallocateBytes: number;
  /** Frames kept in memory behind the durable end, for followers and tailing readers. */
  readonly cacheBytesMax: number;
  /**
   * A segment rolls before an entry that is by so many ms of log time younger than its first one;
   * absent: by size only.
   */
  readonly segmentAgeMsMax?: number;
  /** Room that is given up when the disk is full, for checkpoint and clean stop; absent: none. */
  readonly reserveBytes?: number;
  /** Frame bytes that may wait for the disk before the log says that it is congested. */
  readonly backlogBytesMax?: number;
  /**
   * For measuring what it costs: reads from the disk believe bodies without a look at their
   * checksums. No node is ever run so, because it would serve rot.
   */
  readonly areBodiesUnverified?: boolean;
  /**
   * Bytes of a checkpoint from a peer that wait for the disk, and that are written and not synced;
   * the same for every life of a directory; absent: 1 MiB.
   */
  readonly incomingBytesMax?: number;
  /**
   * Whether a log that has lost its end may be cut there, which is asked with what would be left of
   * it: its entries are to come from peers, and until then its hard state names the loss. Absent,
   * or false: it is refused as damaged, and left as it is.
   */
  readonly mayMend?: (left: LeftOfLog) => boolean;
}

/** What is left of a log that has lost its end. */
export interface LeftOfLog {
  readonly identity: Identity;
  /** The newest before the loss; null without one. */
  readonly checkpoint: Checkpoint | null;
  /** Heads of every entry after it. */
  readonly tail: readonly EntryHead[];
}

/**
 * Whether there is room for more entries. The log takes every write it is given, because it was
 * decided elsewhere; whoever decides looks here first. "congested": more waits for the disk than
 * backlogBytesMax, until it is half of that: propose nothing more, take no more from a leader.
 * "scarce": zeros could not be written ahead; entries still go in, but a leader had better hand
 * over now. "full": the disk has no room for what waits; reads go on, it is tried again soon.
 */
export type LogRoom = "plenty" | "scarce" | "congested" | "full";

export type LogEvent =
  /** First event: recover. Answered by `opened`, or by `refused`. */
  | { readonly kind: "open" }
  /** Performed strictly after all earlier writes; answered by `persisted`. */
  | { readonly kind: "write"; readonly write: LogWrite }
  /** Forward read of whole entries; answered by one LogRead with this id. */
  | {
      readonly kind: "read";
      readonly readId: number;
      readonly from: ReadFrom;
      /** No entry after this one is returned: the commit index for clients. */
      readonly lastIndex: LogIndex;
      /** Frame bytes; at least one entry is returned when there is one. */
      readonly bytesMax: number;
    }
  /**
   * State as of a committed, durable index: best at or soon after a boundary that `rolled` told,
   * because the log can only begin at a checkpoint once it is trimmed.
   */
  | { readonly kind: "checkpoint"; readonly at: LogPoint; readonly state: FrozenBytes }
  /**
   * Records before this offset are wanted no more, by a committed entry: whole segments of them go
   * as soon as a durable checkpoint lies between them and the offset. Given again after every open.
   */
  | { readonly kind: "trim"; readonly before: Offset }
  /**
   * Read about so many bytes more of sealed segments, to find rot while there are other copies. The
   * host decides how often; progress is in the status, damage is told like that of a read.
   */
  | { readonly kind: "scrub"; readonly bytesMax: number }
  /**
   * These committed entries are not those that the cluster agreed on: the directory is marked, so
   * that every later opening refuses, too, and then `refused` says that it is damaged.
   */
  | { readonly kind: "differs"; readonly first: LogIndex; readonly last: LogIndex }
  /**
   * Entries from this index on, and all that the log begins with before them, stay on the disk: a
   * trim that would take them waits, and is done once the pin has moved on. Null: nothing is pinned
   * any more. An installation is not kept waiting.
   */
  | { readonly kind: "pin"; readonly from: LogIndex | null }
  /** Gives up the reserve of a full disk for what waits: the others have it already. */
  | { readonly kind: "spend-reserve" }
  /**
   * What a peer begins with that is too far behind: verified, but not handed out whole. Answered by
   * one LogBase with this id.
   */
  | { readonly kind: "read-base"; readonly readId: number }
  /**
   * Bytes [position, position + length) of the state of the checkpoint at `index`, which `base` has
   * named. Answered by one LogBase with this id: by "failed" when a trim has removed it since.
   */
  | {
      readonly kind: "read-base-part";
      readonly readId: number;
      readonly index: LogIndex;
      readonly position: number;
      readonly length: number;
    }
  /**
   * Bytes of the state of a checkpoint that a peer sends, from `position` on. Kept when they are
   * the next ones and there is room for them in memory; empty ones only ask. What was received of
   * another checkpoint is let go of for this one. Answered by LogReceived, but for what is kept
   * only once it is written; not at all while one that was received is being installed.
   */
  | {
      readonly kind: "receive-base";
      readonly base: CheckpointHeader;
      readonly position: number;
      readonly bytes: FrozenBytes;
    }
  /** Nobody will install what has been received. */
  | { readonly kind: "forget-received" }
  | { readonly kind: "disk-done"; readonly opId: OpId; readonly result: DiskResult }
  /** The log's deadline has come. */
  | { readonly kind: "deadline" }
  /** Finish what is under way, mark the directory as cleanly stopped, then say `closed`. */
  | { readonly kind: "close" };

export type ReadFrom =
  | { readonly kind: "index"; readonly index: LogIndex }
  /** The entry that holds this record; control entries on the way are returned too. */
  | { readonly kind: "offset"; readonly offset: Offset }
  /** The first entry whose log time is not before this. */
  | { readonly kind: "timestamp"; readonly at: WallMs }
  /** The entry that holds the first of the last so many records up to lastIndex. */
  | { readonly kind: "last"; readonly count: number };

export type LogRead =
  /** Whole entries in order, chained; empty when `from` is beyond lastIndex. */
  | { readonly kind: "entries"; readonly readId: number; readonly entries: readonly Entry[] }
  | { readonly kind: "failed"; readonly readId: number; readonly fault: Fault };

/** The checkpoint at the log's start; the entries after it are the log. */
export type LogBase =
  | { readonly kind: "base"; readonly readId: number; readonly base: CheckpointHeader }
  | {
      readonly kind: "part";
      readonly readId: number;
      readonly position: number;
      readonly bytes: FrozenBytes;
    }
  /** The log begins with its very first entry: nobody needs more than entries. */
  | { readonly kind: "none"; readonly readId: number }
  | { readonly kind: "failed"; readonly readId: number; readonly fault: Fault };

/** What has become of the bytes that a peer sends of a checkpoint. */
export type LogReceived =
  /** All before `position` is written: where to go on. */
  | { readonly kind: "part"; readonly base: CheckpointHeader; readonly position: number }
  /** All of it is durable and has its checksum: it may be installed, until another is received. */
  | { readonly kind: "whole"; readonly base: CheckpointHeader; readonly state: FrozenBytes }
  /** Let go of: the whole does not have its checksum, or the disk has no room for it. */
  | { readonly kind: "broken"; readonly base: CheckpointHeader };

export interface LogOutput {
  readonly operations: readonly DiskOperation[];
  /** All writes up to and with this one are durable; null when nothing new is. */
  readonly persisted: WriteId | null;
  readonly reads: readonly LogRead[];
  readonly opened: LogOpened | null;
  /**
   * Why the directory cannot be used; the machine does nothing more. While it is open: a read or a
   * scrub found that acknowledged entries of a sealed segment are damaged. The next opening will
   * say the same; a node must not go on as if it had them.
   */
  readonly refused: OpenRefusal | null;
  /** A write or sync failed: nothing more becomes durable until a restart. */
  readonly poisoned: Fault | null;
  /** A segment was sealed, and ends here: the place for a checkpoint. Null when none was. */
  readonly rolled: LogPoint | null;
  /** The log begins after this place now, after any crash too; null when it did not move. */
  readonly trimmed: { readonly base: LogPoint } | null;
  readonly bases: readonly LogBase[];
  /** One after another. */
  readonly received: readonly LogReceived[];
  /** Since now; null when it did not change. */
  readonly room: LogRoom | null;
  readonly closed: boolean;
}

/** What recovery found; all of it is durable when it is said. */
export interface LogOpened {
  readonly identity: Identity;
  readonly cleanStop: boolean;
  readonly hardState: HardState;
  /** The newest that is whole; null before the first. */
  readonly checkpoint: Checkpoint | null;
  /** Checkpoints that could not be read, for the operator. */
  readonly skipped: readonly Damage[];
  /** The place before the first retained entry; LOG_START until something is trimmed. */
  readonly base: LogPoint;
  /** First retained index and offset. */
  readonly startIndex: LogIndex;
  readonly startOffset: Offset;
  /** Runs of terms over all retained entries, ascending. */
  readonly termRuns: readonly TermRun[];
  /**
   * Heads of every entry after the checkpoint (after the log's start without one), ascending, with
   * `control` decoded.
   */
  readonly tail: readonly EntryHead[];
  readonly end: LogPoint;
  /** Bytes of a torn, never acknowledged tail that were cut. */
  readonly tornBytes: number;
  /** Why this opening has cut acknowledged entries, the first of them at `index`; else null. */
  readonly lost: Damage | null;
}

export type OpenRefusal =
  | { readonly kind: "another-directory"; readonly found: Identity; readonly expected: Identity }
  | { readonly kind: "newer-format"; readonly found: number; readonly known: number }
  | { readonly kind: "damaged"; readonly damage: Damage }
  | { readonly kind: "disk-failed"; readonly fault: Fault };

export interface LogStatus {
  readonly state: "new" | "opening" | "open" | "poisoned" | "closing" | "closed" | "refused";
  readonly segments: number;
  readonly startIndex: LogIndex;
  readonly startOffset: Offset;
  readonly writtenIndex: LogIndex;
  readonly durableIndex: LogIndex;
  readonly end: LogPoint;
  readonly storeBytes: number;
  readonly cachedBytes: number;
  readonly room: LogRoom;
  /** Frame bytes that wait for the disk. */
  readonly backlogBytes: number;
  /** Whether the reserve for a full disk is there. */
  readonly isReserved: boolean;
  readonly scrub: ScrubStatus;
}

/** How far scrubbing has come. */
export interface ScrubStatus {
  /** Times that all sealed segments have been read. */
  readonly passes: number;
  /** Read since the start. */
  readonly bytes: number;
  /** Where it goes on: a segment, and a position in its store. */
  readonly baseIndex: LogIndex;
  readonly position: number;
}
