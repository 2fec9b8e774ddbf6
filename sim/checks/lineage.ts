// Every entry that was ever seen on a disk or on the wire, by index and term, and the histories they
// imply. Because a leader's own entries are one run at the end of its log, the log of a term is told by
// where that run starts and which term stands before it: no log needs to be copied to know any of its
// terms. Owns log matching [5.3]; what is committed is committed-log.ts.

import type { EntryHead } from "../../src/base/entry.ts";
import { type LogIndex, NO_TERM, type NodeId, type Term } from "../../src/base/ids.ts";
import type { Report } from "./violation.ts";

/** Where the run of a term starts, and what stands before it. */
interface TermStart {
  readonly firstIndex: LogIndex;
  readonly prevTerm: Term;
  readonly seenAt: string;
}

interface Seen {
  readonly head: EntryHead;
  readonly print: string;
  /** `n2 sent` or `on the disk of n3`. */
  readonly where: string;
}

export class Lineage {
  readonly #report: Report;
  /** By index, then by term: a handful of terms at most. */
  readonly #seen: Map<Term, Seen>[] = [];
  readonly #starts = new Map<Term, TermStart>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** An entry was seen; reports when it contradicts what was seen before. */
  see(head: EntryHead, node: NodeId, where: string): void {
    const terms = this.#termsAt(head.index);
    const print = printOf(head);
    const before = terms.get(head.term);
    if (before !== undefined) {
      if (before.print !== print) this.#conflict(before, { head, print, where }, node);
      return;
    }
    terms.set(head.term, { head, print, where });
    if (head.prevTerm > head.term) {
      const first = `${where} ${print}`;
      const facts = [first, `the entry before it has the later term ${head.prevTerm}`] as const;
      this.#report({ property: "log-matching", facts, node });
    } else if (head.prevTerm !== head.term) this.#seeStart(head, node, where);
  }

  #seeStart(head: EntryHead, node: NodeId, where: string): void {
    const start = this.#starts.get(head.term);
    if (start === undefined) {
      const { index: firstIndex, prevTerm } = head;
      this.#starts.set(head.term, { firstIndex, prevTerm, seenAt: where });
      return;
    }
    const facts = [
      `${start.seenAt} the first entry of term ${head.term} at index ${start.firstIndex}, after term ${start.prevTerm}`,
      `${where} another first entry of that term at index ${head.index}, after term ${head.prevTerm}`,
    ] as const;
    this.#report({ property: "log-matching", facts, node });
  }

  #conflict(before: Seen, now: Seen, node: NodeId): void {
    const facts = [`${before.where} ${before.print}`, `${now.where} ${now.print}`] as const;
    this.#report({ property: "log-matching", facts, node });
  }

  /**
   * The term of the entry at `index` in a log that has an entry of `lastTerm` at or after it; null when
   * nothing of `lastTerm`, or of a term before it, was seen yet.
   */
  termAt(index: LogIndex, lastTerm: Term): Term | null {
    let term = lastTerm;
    while (index > 0) {
      if (term === NO_TERM) return null;
      const start = this.#starts.get(term);
      if (start === undefined) return null;
      if (index >= start.firstIndex) return term;
      term = start.prevTerm;
    }
    return NO_TERM;
  }

  /** Where the run of `term` starts; null when nothing of it was seen yet. */
  firstIndexOf(term: Term): LogIndex | null {
    return this.#starts.get(term)?.firstIndex ?? null;
  }

  /** The entry with this index and term; null when it was never seen. */
  find(index: LogIndex, term: Term): EntryHead | null {
    return this.#seen[index]?.get(term)?.head ?? null;
  }

  #termsAt(index: LogIndex): Map<Term, Seen> {
    let terms = this.#seen[index];
    if (terms === undefined) {
      terms = new Map();
      this.#seen[index] = terms;
    }
    return terms;
  }
}

/** All that a header says, in words; equal for equal entries only. */
export function printOf(head: EntryHead): string {
  const producer =
    head.producerId === 0
      ? ""
      : `, producer ${head.producerId} epoch ${head.epoch} sequence ${head.sequence}`;
  return (
    `${head.kind} ${head.index}@${head.term} after term ${head.prevTerm}, offset ${head.offset} x${head.count}` +
    `, ${head.bodyLength} bytes, crc ${head.bodyCrc.toString(16)}, time ${head.timestamp}${producer}`
  );
}
