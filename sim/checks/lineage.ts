// Every entry that was ever seen on a disk or on the wire, by index and term, and the histories
// they imply. Because a leader's own entries are one run at the end of its log, the log of a term
// is told by where that run starts and which term stands before it: no log needs to be copied to
// know any of its terms. Owns log matching [5.3]; what is committed is committed-log.ts.

import type { EntryHead } from "../../src/base/entry.ts";
import { type LogIndex, NO_TERM, type NodeId, type Term } from "../../src/base/ids.ts";
import type { Report } from "./violation.ts";

/** Where the run of a term starts, and what stands before it. */
interface TermStart {
  readonly firstIndex: LogIndex;
  readonly prevTerm: Term;
  readonly node: NodeId;
  readonly act: Act;
}

interface Seen {
  readonly head: EntryHead;
  readonly node: NodeId;
  readonly act: Act;
}

/** How an entry came to be seen. */
export type Act = "wrote to its disk" | "sent";

export class Lineage {
  readonly #report: Report;
  /** By index, then by term: a handful of terms at most. */
  readonly #seen: Map<Term, Seen>[] = [];
  readonly #starts = new Map<Term, TermStart>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** An entry was seen; reports when it contradicts what was seen before. */
  see(head: EntryHead, node: NodeId, act: Act): void {
    const terms = this.#termsAt(head.index);
    const before = terms.get(head.term);
    if (before !== undefined) {
      if (!isSameHead(before.head, head)) this.#conflict(before, { head, node, act });
      return;
    }
    terms.set(head.term, { head, node, act });
    if (head.prevTerm > head.term) {
      const first = `${node} ${act} ${printOf(head)}`;
      const facts = [first, `the entry before it has the later term ${head.prevTerm}`] as const;
      this.#report({ property: "log-matching", facts, node });
    } else if (head.prevTerm !== head.term) this.#seeStart(head, node, act);
  }

  #seeStart({ term, index, prevTerm }: EntryHead, node: NodeId, act: Act): void {
    const start = this.#starts.get(term);
    if (start === undefined) {
      this.#starts.set(term, { firstIndex: index, prevTerm, node, act });
      return;
    }
    const facts = [
      `${start.node} ${start.act} the first entry of term ${term} at index ${start.firstIndex}, after term ${start.prevTerm}`,
      `${node} ${act} another first entry of that term at index ${index}, after term ${prevTerm}`,
    ] as const;
    this.#report({ property: "log-matching", facts, node });
  }

  #conflict(before: Seen, now: Seen): void {
    const [first, second] = [before, now].map(({ head, node, act }) => {
      return `${node} ${act} ${printOf(head)}`;
    }) as [string, string];
    this.#report({ property: "log-matching", facts: [first, second], node: now.node });
  }

  /**
   * The term of the entry at `index` in a log that has an entry of `lastTerm` at or after it; null
   * when nothing of `lastTerm`, or of a term before it, was seen yet.
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

/** True when two headers say the same; with the body's checksum, so do the bodies. */
export function isSameHead(a: EntryHead, b: EntryHead): boolean {
  return (
    a.index === b.index &&
    a.term === b.term &&
    a.prevTerm === b.prevTerm &&
    a.kind === b.kind &&
    a.offset === b.offset &&
    a.count === b.count &&
    a.bodyLength === b.bodyLength &&
    a.bodyCrc === b.bodyCrc &&
    a.timestamp === b.timestamp &&
    a.codec === b.codec &&
    a.critical === b.critical &&
    a.rawLength === b.rawLength &&
    a.producerId === b.producerId &&
    a.epoch === b.epoch &&
    a.sequence === b.sequence
  );
}

/** All that a header says, in words. */
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
