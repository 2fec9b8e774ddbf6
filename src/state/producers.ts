// What the log says about producers: for each, its epoch, its next sequence and where its last
// batches went, so that a repeated append is told from a new one. A function of the log alone, tail
// included; each append can be taken back. Owns no commit rule: state.ts knows what is committed.

import { assert } from "../base/assert.ts";
import type { EntryHead } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { LogIndex, Offset, Term, WallMs } from "../base/ids.ts";

/** Batches a producer may have in doubt at once and still have answered with their offsets. */
export const BATCHES_REMEMBERED = 8;

/** A producer silent for this long, in log time, may be forgotten when room is needed. */
export const PRODUCER_IDLE_MS = 3_600_000;

/** Where one accepted batch went. */
export interface AcceptedBatch {
  readonly sequence: number;
  readonly count: number;
  readonly index: LogIndex;
  readonly term: Term;
  readonly offset: Offset;
}

/** Replaced as a whole, never changed, so that an undo can keep the one before. */
export interface Producer {
  readonly id: number;
  readonly epoch: number;
  /** Invariant: the sum of counts accepted in this epoch. */
  readonly nextSequence: number;
  readonly lastTimestamp: WallMs;
  /** The last batches, oldest first; never empty. */
  readonly batches: readonly AcceptedBatch[];
}

/** What an append would meet. */
export type ProducerVerdict =
  | { readonly kind: "new" }
  | { readonly kind: "duplicate"; readonly batch: AcceptedBatch }
  | { readonly kind: "refused"; readonly fault: Fault; readonly restsOn: LogIndex };

/** How to take one append back. */
export interface ProducerUndo {
  readonly id: number;
  readonly before: Producer | null;
  readonly forgotten: Producer | null;
}

export interface ProducerStampedHead {
  readonly producerId: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly count: number;
  readonly timestamp: WallMs;
}

export class ProducerTable {
  readonly #producersMax: number;
  readonly #byId = new Map<number, Producer>();

  constructor(producersMax: number) {
    this.#producersMax = producersMax;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Decides an append by the table as it stands; changes nothing. */
  judge(append: ProducerStampedHead): ProducerVerdict {
    const known = this.#byId.get(append.producerId);
    if (known === undefined) return this.#judgeUnknown(append);
    const restsOn = lastBatch(known).index;
    if (append.epoch < known.epoch) {
      const fault: Fault = {
        code: "producer-fenced",
        epoch: append.epoch,
        currentEpoch: known.epoch,
      };
      return { kind: "refused", fault, restsOn };
    }
    const expected = append.epoch > known.epoch ? 0 : known.nextSequence;
    if (append.sequence === expected) return { kind: "new" };
    if (append.sequence > expected) return refuseGap(expected, append.sequence, restsOn);
    return judgeRepeated(known, append);
  }

  #judgeUnknown(append: ProducerStampedHead): ProducerVerdict {
    if (append.sequence !== 0) return refuseGap(0, append.sequence, 0 as LogIndex);
    if (this.#byId.size < this.#producersMax) return { kind: "new" };
    const oldest = this.#oldest();
    if (oldest.lastTimestamp + PRODUCER_IDLE_MS <= append.timestamp) return { kind: "new" };
    const fault: Fault = { code: "overloaded", what: "producers", retryAfterMs: 1000 };
    return { kind: "refused", fault, restsOn: 0 as LogIndex };
  }

  /** Takes an entry that `judge` found new: on the leader at admission, on every node at append. */
  accept(head: EntryHead): ProducerUndo {
    const verdict = this.judge(head);
    assert(
      verdict.kind === "new",
      "an entry in the log was admitted once",
      head.index,
      head.sequence,
    );
    const before = this.#byId.get(head.producerId) ?? null;
    let forgotten: Producer | null = null;
    if (before === null && this.#byId.size >= this.#producersMax) {
      forgotten = this.#oldest();
      this.#byId.delete(forgotten.id);
    }
    const goesOn = before !== null && before.epoch === head.epoch;
    const { sequence, count, index, term, offset } = head;
    const batches = goesOn ? before.batches.slice(1 - BATCHES_REMEMBERED) : [];
    batches.push({ sequence, count, index, term, offset });
    this.#byId.set(head.producerId, {
      id: head.producerId,
      epoch: head.epoch,
      nextSequence: sequence + count,
      lastTimestamp: head.timestamp,
      batches,
    });
    return { id: head.producerId, before, forgotten };
  }

  /** Takes back the last append that was not taken back yet. */
  undo(undo: ProducerUndo): void {
    if (undo.before === null) this.#byId.delete(undo.id);
    else this.#byId.set(undo.id, undo.before);
    if (undo.forgotten !== null) this.#byId.set(undo.forgotten.id, undo.forgotten);
  }

  /** A copy that changes on its own; producers themselves never change. */
  copy(): ProducerTable {
    const copied = new ProducerTable(this.#producersMax);
    for (const producer of this.#byId.values()) copied.#byId.set(producer.id, producer);
    return copied;
  }

  /** All producers by ascending id: an order that no history shows in. */
  sorted(): Producer[] {
    return [...this.#byId.values()].sort((a, b) => a.id - b.id);
  }

  /** Puts back what a checkpoint held. */
  restore(producers: readonly Producer[]): void {
    this.#byId.clear();
    for (const producer of producers) this.#byId.set(producer.id, producer);
  }

  /** The one whose last batch lies deepest: the same on every node, whatever the map's order. */
  #oldest(): Producer {
    let oldest: Producer | null = null;
    for (const producer of this.#byId.values()) {
      if (oldest === null || lastBatch(producer).index < lastBatch(oldest).index) oldest = producer;
    }
    assert(oldest !== null, "a full table has an oldest producer");
    return oldest;
  }
}

function lastBatch(producer: Producer): AcceptedBatch {
  const last = producer.batches.at(-1);
  assert(last !== undefined, "a producer is known by a batch");
  return last;
}

function judgeRepeated(known: Producer, append: ProducerStampedHead): ProducerVerdict {
  for (const batch of known.batches) {
    if (batch.sequence !== append.sequence) continue;
    if (batch.count === append.count) return { kind: "duplicate", batch };
    const what = `sequence ${append.sequence} was used for ${batch.count} records before`;
    const fault: Fault = { code: "malformed", what };
    return { kind: "refused", fault, restsOn: batch.index };
  }
  const fault: Fault = { code: "duplicate-forgotten", sequence: append.sequence };
  return { kind: "refused", fault, restsOn: lastBatch(known).index };
}

function refuseGap(expected: number, sequence: number, restsOn: LogIndex): ProducerVerdict {
  return { kind: "refused", fault: { code: "sequence-gap", expected, sequence }, restsOn };
}
