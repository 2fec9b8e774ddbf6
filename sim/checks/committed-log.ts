// The one list of committed entries: each node that advances its commitIndex must find its own
// entries in it, or be the leader that makes the next ones. Owns state-machine safety [5.4.3], the
// chain of offsets, and each producer's sequences; whether a commit was allowed is safety.ts.

import {
  brokenLink,
  type EntryHead,
  LOG_START,
  type LogPoint,
  pointAfter,
} from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Offset, Term } from "../../src/base/ids.ts";
import { PRODUCER_IDLE_MS } from "../../src/state/producers.ts";
import { printOf } from "./lineage.ts";
import type { Report } from "./violation.ts";

interface Committed {
  readonly head: EntryHead;
  /** Whose commitIndex reached it first, and in which term. */
  readonly by: NodeId;
  readonly inTerm: Term;
}

export class CommittedLog {
  readonly #report: Report;
  readonly #entries: Committed[] = [];
  /** By producer and epoch: the last entry. */
  readonly #lastOf = new Map<string, EntryHead>();
  #end: LogPoint = LOG_START;

  constructor(report: Report) {
    this.#report = report;
  }

  get lastIndex(): LogIndex {
    return this.#end.index;
  }

  get endOffset(): Offset {
    return this.#end.endOffset;
  }

  /** The end of the records up to and with `index`. */
  endOffsetAt(index: LogIndex): Offset {
    const head = this.#entries[index - 1]?.head;
    return (head === undefined ? 0 : head.offset + head.count) as Offset;
  }

  /** All of them, in order; a copy. */
  get heads(): EntryHead[] {
    return this.#entries.map(({ head }) => head);
  }

  at(index: LogIndex): EntryHead | null {
    return this.#entries[index - 1]?.head ?? null;
  }

  /** For facts: `records 7@2 ..., committed by n1 in term 2`. */
  describe(index: LogIndex): string {
    const entry = this.#entries[index - 1];
    if (entry === undefined) return `nothing is committed at index ${index}`;
    return `${printOf(entry.head)}, committed by ${entry.by} in term ${entry.inTerm}`;
  }

  /** The last index committed by a leader of an earlier term than `term`. */
  lastIndexBefore(term: Term): LogIndex {
    let index = this.#entries.length;
    while (index > 0 && (this.#entries[index - 1]?.inTerm ?? 0) >= term) index--;
    return index as LogIndex;
  }

  /** A leader committed the next entry. */
  extend(head: EntryHead, by: NodeId, inTerm: Term): void {
    const broken = brokenLink(this.#end, head);
    if (broken !== null) {
      const last = this.describe(this.#end.index);
      const facts = [last, `${by} committed after it ${printOf(head)}: ${broken}`] as const;
      const isBack = broken === "timestamp went back";
      const property = isBack ? "log-time-monotonic" : "state-machine-safety";
      this.#report({ property, facts, node: by });
      return;
    }
    this.#entries.push({ head, by, inTerm });
    this.#end = pointAfter(head);
    if (head.producerId !== 0) this.#checkSequence(head, by);
  }

  /** A node says that its entry at a committed index has this term. */
  compare(index: LogIndex, term: Term, node: NodeId): void {
    const own = this.#entries[index - 1]?.head;
    if (own === undefined || own.term === term) return;
    const facts = [
      this.describe(index),
      `${node} takes for committed its own entry of term ${term} at index ${index}`,
    ] as const;
    this.#report({ property: "state-machine-safety", facts, node });
  }

  #checkSequence(head: EntryHead, by: NodeId): void {
    const producer = `${head.producerId}/${head.epoch}`;
    const last = this.#lastOf.get(producer);
    const expected = last === undefined ? 0 : last.sequence + last.count;
    this.#lastOf.set(producer, head);
    if (head.sequence === expected) return;
    // A producer that was silent for long may have been forgotten: it begins anew.
    const silence = head.timestamp - (last?.timestamp ?? 0);
    if (head.sequence === 0 && silence >= PRODUCER_IDLE_MS) return;
    const property = head.sequence < expected ? "duplicate" : "nonmonotonic-send";
    const facts = [
      `producer ${head.producerId} epoch ${head.epoch} has committed all sequences below ${expected}`,
      `${by} committed ${printOf(head)}`,
    ] as const;
    this.#report({ property, facts, node: by });
  }
}
