// The runs of terms over the retained log: who asks for the term of an index gets it without a
// read. Owned by the log machine; Raft keeps its own.

import { assert } from "../base/assert.ts";
import type { EntryHead, TermRun } from "../base/entry.ts";
import type { LogIndex, Term } from "../base/ids.ts";

export class TermRuns {
  readonly #runs: TermRun[] = [];

  append(entry: EntryHead): void {
    this.appendRun({ term: entry.term, firstIndex: entry.index });
  }

  /** All entries from the run's first on have its term. */
  appendRun(run: TermRun): void {
    if (this.#runs.at(-1)?.term !== run.term) this.#runs.push(run);
  }

  /** Forgets the entries from `from` on. */
  truncate(from: LogIndex): void {
    while ((this.#runs.at(-1)?.firstIndex ?? 0) >= from) this.#runs.pop();
  }

  /** Forgets the entries up to and with `index`. */
  trim(index: LogIndex): void {
    const gone = this.#runs.filter(({ firstIndex }) => firstIndex <= index + 1).length - 1;
    if (gone > 0) this.#runs.splice(0, gone);
    const first = this.#runs[0];
    if (first === undefined || first.firstIndex > index) return;
    this.#runs[0] = { term: first.term, firstIndex: (index + 1) as LogIndex };
  }

  /** Forgets all entries. */
  reset(): void {
    this.#runs.length = 0;
  }

  /** The term of `index`, which is retained. */
  at(index: LogIndex): Term {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle] as TermRun).firstIndex <= index) low = middle + 1;
      else high = middle;
    }
    const run = this.#runs[low - 1];
    assert(run !== undefined, "no term is known for this index", index);
    return run.term;
  }

  /** Ascending; a copy. */
  list(): TermRun[] {
    return this.#runs.slice();
  }
}
