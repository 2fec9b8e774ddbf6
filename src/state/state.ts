// What the entries of the log mean, on every node: who produced what (producers.ts), how far its
// consumers are (cursors.ts), who the members are, what was trimmed, who may write, and how far all
// that is committed. A function of the log,
// uncommitted tail included, so that admission is decided once, by the leader, against all that may
// yet commit; a truncation takes the tail's part back. Knows nothing of terms won or lost, nor of
// disks: the node tells it what was appended, truncated and committed.

import { assert } from "../base/assert.ts";
import { EMPTY_BYTES, type FrozenBytes } from "../base/bytes.ts";
import type { Control } from "../base/control.ts";
import { brokenLink, type EntryHead, LOG_START, type LogPoint, pointAfter } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { LogIndex, Offset, WallMs } from "../base/ids.ts";
import { type Membership, NO_MEMBERS } from "../base/membership.ts";
import { type Checkpointed, decodeCheckpoint, encodeCheckpoint } from "./checkpoint.ts";
import { type Cursor, CursorTable, type CursorUndo, isExpired } from "./cursors.ts";
import {
  type AcceptedBatch,
  type ProducerStampedHead,
  ProducerTable,
  type ProducerUndo,
} from "./producers.ts";
import { Versions } from "./versions.ts";

/** The leader's answer to an append before it is proposed. */
export type Admission =
  | { readonly kind: "new" }
  /** In the log already, perhaps not committed: its answer waits for the original's commit. */
  | { readonly kind: "duplicate"; readonly batch: AcceptedBatch }
  /** A refusal that rests on an uncommitted entry waits for that entry's fate. */
  | { readonly kind: "refused"; readonly fault: Fault; readonly restsOn: LogIndex };

interface TailEntry {
  readonly head: EntryHead;
  readonly undo: ProducerUndo | null;
  readonly cursorUndo: CursorUndo | null;
}

/** What a proposer asks of the log's state besides its producer's order. */
export interface Conditions {
  /** Appends only when the log ends exactly here; null for anywhere. */
  readonly expectedEndOffset: Offset | null;
  /** Absent: the writer names no token, and is not fenced off by one. */
  readonly fencingToken?: string;
  /** For a cursor's commit: where it is now, null for nowhere; absent: wherever. */
  readonly expectedCursor?: Offset | null;
}

/** A proposal as admission sees it. */
export interface Proposed extends ProducerStampedHead {
  readonly control?: Control;
}

/** The token that appends must name, and the entry that said so. */
interface Fence {
  readonly token: string;
  readonly index: LogIndex;
}

/** The state as of an entry, to be encoded once the user's machine has come there, too. */
export type StateAt = Omit<Checkpointed, "machine"> & { readonly at: LogPoint };

/** Cursors of one log; the same on all nodes, or they would forget different ones. */
export const CURSORS_MAX = 10_000;

export class State {
  #producers: ProducerTable;
  readonly #memberships: Versions<Membership>;
  readonly #starts: Versions<Offset>;
  readonly #fences: Versions<Fence>;
  #cursors: CursorTable;
  #machine: FrozenBytes;
  /** The place before the first entry of the tail: no version from before it is kept. */
  #kept: LogPoint;
  #committed: LogPoint;
  #end: LogPoint;
  /**
   * Everything after `kept`, in order: committed entries that a checkpoint may still be taken at,
   * then the uncommitted ones.
   */
  #tail: TailEntry[] = [];
  /** Entries at the front of `#tail` that are released and wait to be cut off. */
  #released = 0;

  private constructor(tables: Tables, at: LogPoint, from: Checkpointed) {
    this.#producers = tables.producers;
    this.#cursors = tables.cursors;
    this.#memberships = new Versions(from.membership, at.index);
    this.#starts = new Versions(from.startOffset);
    this.#fences = new Versions({ token: from.fence, index: at.index });
    this.#machine = from.machine;
    this.#kept = at;
    this.#committed = at;
    this.#end = at;
  }

  /** The meaning of an empty log. */
  static empty(producersMax: number, cursorsMax = CURSORS_MAX): State {
    return new State(tablesOf(producersMax, cursorsMax), LOG_START, {
      membership: NO_MEMBERS,
      startOffset: 0 as Offset,
      fence: "",
      producers: [],
      cursors: [],
      machine: EMPTY_BYTES,
    });
  }

  /**
   * The meaning of the log up to `at`; null when the bytes are not a checkpoint of a known version.
   */
  static restore(
    producersMax: number,
    at: LogPoint,
    bytes: FrozenBytes,
    cursorsMax = CURSORS_MAX,
  ): State | null {
    const checkpoint = decodeCheckpoint(bytes);
    if (checkpoint === null) return null;
    const tables = tablesOf(producersMax, cursorsMax);
    tables.producers.restore(checkpoint.producers);
    tables.cursors.restore(checkpoint.cursors);
    return new State(tables, at, checkpoint);
  }

  /**
   * The user's machine in the checkpoint this began with, for whoever restores it: handed over once
   * and empty then, because it may be large.
   */
  takeMachine(): FrozenBytes {
    const machine = this.#machine;
    this.#machine = EMPTY_BYTES;
    return machine;
  }

  /** The place after the last committed entry. */
  get committed(): LogPoint {
    return this.#committed;
  }

  /** The place after the last entry. */
  get end(): LogPoint {
    return this.#end;
  }

  get producerCount(): number {
    return this.#producers.size;
  }

  /** As of the last entry, committed or not: a membership is in force from its append on. */
  get membership(): Membership {
    return this.#memberships.latest;
  }

  /** Of the entry that says so; of the checkpoint, when that does. */
  get membershipIndex(): LogIndex {
    return this.#memberships.latestIndex;
  }

  get committedMembership(): Membership {
    return this.#memberships.at(this.#committed.index);
  }

  /** Of the first record that readers may have: what is before it was trimmed. */
  get startOffset(): Offset {
    return this.#starts.at(this.#committed.index);
  }

  /** The cursors with these names, or all, as committed; expired ones are left out. */
  committedCursors(names: readonly string[] | null): readonly Cursor[] {
    const now = this.#committed.timestamp;
    const cursors = this.#cursorsAt(this.#committed.index);
    const found = names === null ? cursors.sorted() : names.map((name) => cursors.get(name));
    return found.filter((cursor) => cursor !== null && !isExpired(cursor, now)) as Cursor[];
  }

  /** What an append would meet if it were proposed now; changes nothing. */
  admit(append: Proposed, conditions: Conditions): Admission {
    if (append.producerId !== 0) {
      const verdict = this.#producers.judge(append);
      if (verdict.kind !== "new") return verdict;
    }
    const { control } = append;
    if (control?.kind === "cursor") {
      const now = Math.max(this.#end.timestamp, append.timestamp) as WallMs;
      const refusal = this.#cursors.judge(control, conditions.expectedCursor, now);
      if (refusal !== null) return { kind: "refused", ...refusal };
    }
    // What is not committed may be truncated: only what all will have for ever can be let go.
    if (control?.kind === "trim" && control.startOffset > this.#committed.endOffset) {
      const [startOffset, endOffset] = [this.startOffset, this.#committed.endOffset];
      const offset = control.startOffset;
      const fault: Fault = { code: "offset-out-of-range", offset, startOffset, endOffset };
      return { kind: "refused", fault, restsOn: this.#committed.index };
    }
    const { token, index } = this.#fences.latest;
    const { fencingToken, expectedEndOffset } = conditions;
    if (fencingToken !== undefined && fencingToken !== token) {
      return { kind: "refused", fault: { code: "fenced-off" }, restsOn: index };
    }
    if (expectedEndOffset !== null && expectedEndOffset !== this.#end.endOffset) {
      const endOffset = this.#end.endOffset;
      const fault: Fault = { code: "end-offset-mismatch", expected: expectedEndOffset, endOffset };
      return { kind: "refused", fault, restsOn: this.#end.index };
    }
    return { kind: "new" };
  }

  /** An entry was appended to this node's log. */
  append(head: EntryHead): void {
    const broken = brokenLink(this.#end, head);
    assert(broken === null, "an appended entry joins on", head.index, broken);
    const undo = head.producerId === 0 ? null : this.#producers.accept(head);
    const { control, index, timestamp } = head;
    const cursorUndo =
      control?.kind === "cursor" ? this.#cursors.accept(control, index, timestamp) : null;
    this.#tail.push({ head, undo, cursorUndo });
    this.#end = pointAfter(head);
    if (control?.kind === "fence") this.#fences.set(index, { token: control.token, index });
    else if (control?.kind === "membership") this.#memberships.set(head.index, control.membership);
    else if (control?.kind === "trim") {
      const startOffset = Math.max(this.#starts.latest, control.startOffset) as Offset;
      this.#starts.set(head.index, startOffset);
    }
  }

  /** The log dropped every entry from `fromIndex` on; committed ones are never dropped. */
  truncate(fromIndex: LogIndex): void {
    assert(fromIndex > this.#committed.index, "a committed entry stays", fromIndex);
    while (this.#end.index >= fromIndex) {
      const dropped = this.#tail.pop();
      assert(dropped !== undefined, "the tail reaches down to what is committed");
      if (dropped.undo !== null) this.#producers.undo(dropped.undo);
      if (dropped.cursorUndo !== null) this.#cursors.undo(dropped.cursorUndo);
      const last = this.#tail.at(-1);
      const live = this.#tail.length > this.#released;
      this.#end = live && last !== undefined ? pointAfter(last.head) : this.#kept;
    }
    this.#memberships.truncate(fromIndex);
    this.#starts.truncate(fromIndex);
    this.#fences.truncate(fromIndex);
  }

  /** Everything up to `index` is committed; hears each head once, in order. */
  commit(index: LogIndex, each: (head: EntryHead) => void): void {
    assert(
      index >= this.#committed.index && index <= this.#end.index,
      "commit stays in the log",
      index,
    );
    while (this.#committed.index < index) {
      const head = this.#headAfter(this.#committed.index);
      this.#committed = pointAfter(head);
      each(head);
    }
  }

  /** No checkpoint will be asked for before the committed entry at `index`. */
  release(index: LogIndex): void {
    const upTo = Math.min(index, this.#committed.index);
    while (this.#kept.index < upTo) {
      this.#kept = pointAfter(this.#headAfter(this.#kept.index));
      this.#released++;
    }
    this.#memberships.release(this.#kept.index);
    this.#starts.release(this.#kept.index);
    this.#fences.release(this.#kept.index);
    // PERF: released entries are cut off in bulk, so that a commit costs O(1) per entry.
    if (this.#released > 1024 || this.#released === this.#tail.length) {
      this.#tail.splice(0, this.#released);
      this.#released = 0;
    }
  }

  /** The state as of a committed entry that was not released. */
  stateAt(index: LogIndex): StateAt {
    const inReach = index >= this.#kept.index && index <= this.#committed.index;
    assert(inReach, "a checkpoint is of a committed entry that is still known", index);
    const producers = this.#producers.copy();
    const left = this.#end.index - index;
    for (let at = this.#tail.length - 1; at >= this.#tail.length - left; at--) {
      const { undo } = this.#tail[at] as TailEntry;
      if (undo !== null) producers.undo(undo);
    }
    return {
      at:
        index === this.#kept.index
          ? this.#kept
          : pointAfter(this.#headAfter((index - 1) as LogIndex)),
      membership: this.#memberships.at(index),
      startOffset: this.#starts.at(index),
      fence: this.#fences.at(index).token,
      producers: producers.sorted(),
      cursors: this.#cursorsAt(index).sorted(),
    };
  }

  /**
   * As after the entry at `index`, which was not released. Copies only when the tail has commits.
   */
  #cursorsAt(index: LogIndex): CursorTable {
    const from = this.#tail.length - (this.#end.index - index);
    if (!this.#tail.slice(from).some(({ cursorUndo }) => cursorUndo !== null)) return this.#cursors;
    const cursors = this.#cursors.copy();
    for (let at = this.#tail.length - 1; at >= from; at--) {
      const { cursorUndo } = this.#tail[at] as TailEntry;
      if (cursorUndo !== null) cursors.undo(cursorUndo);
    }
    return cursors;
  }

  /** The committed state without a user's machine: equal logs give equal bytes. */
  encodeCommitted(): FrozenBytes {
    return encodeStateAt(this.stateAt(this.#committed.index), EMPTY_BYTES);
  }

  /** The head of the entry that follows `index`, which is at or after `kept`. */
  #headAfter(index: LogIndex): EntryHead {
    const entry = this.#tail[this.#released + index - this.#kept.index];
    assert(entry !== undefined, "the tail reaches from what is kept to the end", index);
    return entry.head;
  }
}

/** The bytes of a checkpoint; `machine` is the user's, as of the same entry, or empty. */
export function encodeStateAt(state: StateAt, machine: FrozenBytes): FrozenBytes {
  const { membership, startOffset, fence, producers, cursors } = state;
  return encodeCheckpoint({ membership, startOffset, fence, producers, cursors, machine });
}

interface Tables {
  readonly producers: ProducerTable;
  readonly cursors: CursorTable;
}

function tablesOf(producersMax: number, cursorsMax: number): Tables {
  return { producers: new ProducerTable(producersMax), cursors: new CursorTable(cursorsMax) };
}
