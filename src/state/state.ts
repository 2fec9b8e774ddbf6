// What the entries of the log mean, on every node: who produced what (producers.ts) and how far it
// is committed. A function of the log, uncommitted tail included, so that admission is decided
// once, by the leader, against all that may yet commit; a truncation takes the tail's part back.
// Knows nothing of terms won or lost, nor of disks: the node tells it what was appended, truncated
// and committed.

import { assert } from "../base/assert.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import { brokenLink, type EntryHead, LOG_START, type LogPoint, pointAfter } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { LogIndex, Offset } from "../base/ids.ts";
import { decodeCheckpoint, encodeCheckpoint } from "./checkpoint.ts";
import {
  type AcceptedBatch,
  type ProducerStampedHead,
  ProducerTable,
  type ProducerUndo,
} from "./producers.ts";

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
}

export class State {
  #producers: ProducerTable;
  /** Invariant: committed.index + tail.length == end.index. */
  #committed: LogPoint;
  #end: LogPoint;
  /** Everything after `committed`, in order; `#tailFrom` of them are already committed and dead. */
  #tail: TailEntry[] = [];
  #tailFrom = 0;

  private constructor(producers: ProducerTable, at: LogPoint) {
    this.#producers = producers;
    this.#committed = at;
    this.#end = at;
  }

  /** The meaning of an empty log. */
  static empty(producersMax: number): State {
    return new State(new ProducerTable(producersMax), LOG_START);
  }

  /**
   * The meaning of the log up to `at`; null when the bytes are not a checkpoint of a known version.
   */
  static restore(producersMax: number, at: LogPoint, bytes: FrozenBytes): State | null {
    const producers = decodeCheckpoint(bytes);
    if (producers === null) return null;
    const table = new ProducerTable(producersMax);
    table.restore(producers);
    return new State(table, at);
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

  /** What an append would meet if it were proposed now; changes nothing. */
  admit(append: ProducerStampedHead, expectedEndOffset: Offset | null): Admission {
    if (append.producerId !== 0) {
      const verdict = this.#producers.judge(append);
      if (verdict.kind !== "new") return verdict;
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
    this.#tail.push({ head, undo });
    this.#end = pointAfter(head);
  }

  /** The log dropped every entry from `fromIndex` on; committed ones are never dropped. */
  truncate(fromIndex: LogIndex): void {
    assert(fromIndex > this.#committed.index, "a committed entry stays", fromIndex);
    while (this.#end.index >= fromIndex) {
      const dropped = this.#tail.pop();
      assert(dropped !== undefined, "the tail reaches down to what is committed");
      if (dropped.undo !== null) this.#producers.undo(dropped.undo);
      const last = this.#tail.at(-1);
      const live = this.#tail.length > this.#tailFrom;
      this.#end = live && last !== undefined ? pointAfter(last.head) : this.#committed;
    }
  }

  /** Everything up to `index` is committed; hears each head once, in order. */
  commit(index: LogIndex, each: (head: EntryHead) => void): void {
    assert(
      index >= this.#committed.index && index <= this.#end.index,
      "commit stays in the log",
      index,
    );
    while (this.#committed.index < index) {
      const { head } = this.#tail[this.#tailFrom] as TailEntry;
      this.#tailFrom++;
      this.#committed = pointAfter(head);
      each(head);
    }
    // PERF: dead entries are cut off in bulk, so that a commit costs O(1) per entry.
    if (this.#tailFrom > 1024 || this.#tailFrom === this.#tail.length) {
      this.#tail.splice(0, this.#tailFrom);
      this.#tailFrom = 0;
    }
  }

  /** The state as of `committed`, for a checkpoint: equal logs give equal bytes. */
  encodeCommitted(): FrozenBytes {
    const producers = this.#producers.copy();
    for (let at = this.#tail.length - 1; at >= this.#tailFrom; at--) {
      const { undo } = this.#tail[at] as TailEntry;
      if (undo !== null) producers.undo(undo);
    }
    return encodeCheckpoint(producers.sorted());
  }
}
