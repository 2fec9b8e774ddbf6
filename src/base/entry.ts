// What an entry is, for every floor that passes one on: the numbers of its frame header, and the
// frame's bytes, which no machine reads. The byte layout is src/log/frame.ts.

import type { FrozenBytes } from "./bytes.ts";
import type { Control } from "./control.ts";
import type { LogIndex, MemberId, Offset, Term, WallMs, WriteId } from "./ids.ts";
import type { Membership } from "./membership.ts";

/** What a frame means. "marker" is node-local: it is on one disk, never in the log itself. */
export type EntryKind =
  | "noop"
  | "records"
  | "membership"
  | "producer"
  | "cursor"
  | "fence"
  | "trim"
  | "compact"
  | "feature-level"
  | "command"
  | "digest"
  /** The cluster was made of what another one had left; JSON for people says how (recover). */
  | "recovered"
  | "marker"
  /**
   * Not critical and of a newer version: its frame is stored and passed on as it is, and means
   * nothing here.
   */
  | "unknown";

/** EntryHead.codec of a body that is a gzip stream. */
export const GZIP_CODEC = 1;

/**
 * The header of one entry. Invariants between neighbours, checked on append, on receipt and on
 * recovery: next.index == index + 1, next.offset == offset + count, next.prevTerm == term,
 * next.timestamp >= timestamp.
 */
export interface EntryHead {
  readonly kind: EntryKind;
  /** How the body is packed: 0 plain, 1 gzip. */
  readonly codec: number;
  /** A node that does not know the kind must stop rather than skip it. */
  readonly critical: boolean;
  readonly index: LogIndex;
  readonly term: Term;
  readonly prevTerm: Term;
  /** Of the first record here, or of the next record for an entry without any. */
  readonly offset: Offset;
  /** Records inside; 0 for control entries. */
  readonly count: number;
  /** Log time: the leader stamps max(previous, its wall clock). */
  readonly timestamp: WallMs;
  readonly bodyLength: number;
  /** CRC-32C of the body. */
  readonly bodyCrc: number;
  /** Length of the body when unpacked; equals bodyLength for codec 0. */
  readonly rawLength: number;
  /** 0 when the append was not idempotent. */
  readonly producerId: number;
  readonly epoch: number;
  /** Of the first record here; a producer's next sequence is sequence + count. */
  readonly sequence: number;
  /** What the body of a control entry says; absent for kinds whose body no machine reads. */
  readonly control?: Control;
}

/** Every frame begins with a header of this length; src/log/frame.ts has its layout. */
export const FRAME_HEADER_BYTES = 96;

/** The body of a sealed entry: a view, nothing is copied. */
export function bodyOf(entry: Entry): FrozenBytes {
  return entry.frame.subarray(
    FRAME_HEADER_BYTES,
    FRAME_HEADER_BYTES + entry.bodyLength,
  ) as FrozenBytes;
}

/** A sealed entry: head and frame say the same, and neither changes again. */
export interface Entry extends EntryHead {
  /** Header and body, contiguous: the same bytes on disk, on the wire and in a reader's hands. */
  readonly frame: FrozenBytes;
}

/**
 * An entry before it has a place: what a proposer hands in. `bytes` is owned by the proposer until
 * it is proposed, then by the log: FRAME_HEADER_BYTES of room, then the body.
 */
export interface Draft {
  readonly kind: EntryKind;
  readonly codec: number;
  readonly critical: boolean;
  readonly count: number;
  /** The proposer's wall clock; never runs backwards in the log. */
  readonly timestamp: WallMs;
  readonly bodyCrc: number;
  readonly rawLength: number;
  readonly producerId: number;
  readonly epoch: number;
  readonly sequence: number;
  /** Set for kinds that control.ts decodes; says the same as the body. */
  readonly control?: Control;
  readonly bytes: Uint8Array;
}

/**
 * Writes `head` into the room in front of the body and freezes the frame. Given to Raft by the
 * node.
 */
export type Seal = (head: EntryHead, bytes: Uint8Array) => FrozenBytes;

/** What must survive every crash before anything said because of it is sent (paper, Figure 2). */
export interface HardState {
  readonly term: Term;
  readonly votedFor: MemberId | null;
  /**
   * The log has lost entries that were durable: which of its directory's losses is being mended, a
   * number that grows with each. Absent when nothing lacks.
   */
  readonly loss?: number;
}

/**
 * Everything up to a place of the log in one value: what a peer too far behind is given instead of
 * entries that were trimmed, and what a log that is trimmed begins with.
 */
export interface Snapshot {
  readonly at: LogPoint;
  /** In force at `at`, uncommitted changes after it not included. */
  readonly membership: Membership;
  /** Opaque to Raft and the log: src/state encodes it, the user's machine included. */
  readonly state: FrozenBytes;
}

/**
 * One durable step of the log, performed in this order: hard state, installation, truncation,
 * entries. Writes are performed in the order of their ids; `persisted(n)` says that all up to n are
 * durable.
 */
export interface LogWrite {
  readonly writeId: WriteId;
  readonly hardState: HardState | null;
  /**
   * Present: the whole log is replaced by this; the next entry is at.index + 1. Never together with
   * a truncation. After a crash either the old log is there, or this.
   */
  readonly install?: Snapshot;
  /** First index to drop, or null. */
  readonly truncateFrom: LogIndex | null;
  readonly entries: readonly Entry[];
}

/** The first index of a run of entries of one term. */
export interface TermRun {
  readonly term: Term;
  readonly firstIndex: LogIndex;
}

/** The place just after an entry: what the next one must join on to. */
export interface LogPoint {
  readonly index: LogIndex;
  readonly term: Term;
  /** Offset of the next record. */
  readonly endOffset: Offset;
  readonly timestamp: WallMs;
}

export const LOG_START: LogPoint = {
  index: 0 as LogIndex,
  term: 0 as Term,
  endOffset: 0 as Offset,
  timestamp: 0 as WallMs,
};

/** The point just after `entry`. */
export function pointAfter(entry: EntryHead): LogPoint {
  return {
    index: entry.index,
    term: entry.term,
    endOffset: (entry.offset + entry.count) as Offset,
    timestamp: entry.timestamp,
  };
}

/** The head that a leader of `term` gives to `draft` at `index`, right after `end`. */
export function headOf(draft: Draft, index: LogIndex, term: Term, end: LogPoint): EntryHead {
  return {
    kind: draft.kind,
    codec: draft.codec,
    critical: draft.critical,
    index,
    term,
    prevTerm: end.term,
    offset: end.endOffset,
    count: draft.count,
    timestamp: Math.max(end.timestamp, draft.timestamp) as WallMs,
    bodyLength: draft.bytes.length - FRAME_HEADER_BYTES,
    bodyCrc: draft.bodyCrc,
    rawLength: draft.rawLength,
    producerId: draft.producerId,
    epoch: draft.epoch,
    sequence: draft.sequence,
    ...(draft.control === undefined ? {} : { control: draft.control }),
  };
}

/** What is wrong with `entry` standing right after `before`, or null when the chain holds. */
export function brokenLink(before: LogPoint, entry: EntryHead): string | null {
  if (entry.index !== before.index + 1) return "index does not follow";
  if (entry.offset !== before.endOffset) return "offset does not follow";
  if (entry.prevTerm !== before.term) return "prevTerm does not match";
  if (entry.term < before.term) return "term went back";
  if (entry.timestamp < before.timestamp) return "timestamp went back";
  return null;
}
