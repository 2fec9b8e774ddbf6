// A value that entries of the log change, with every version that may still be asked for: of the
// uncommitted tail, so that a truncation takes it back, and of what a checkpoint may be taken at.

import { assert } from "../base/assert.ts";
import { type LogIndex, NO_INDEX } from "../base/ids.ts";

interface Version<T> {
  readonly index: LogIndex;
  readonly value: T;
}

export class Versions<T> {
  /** Ascending by index; never empty. */
  #versions: Version<T>[];

  /** `value` holds from the log's start, or from the place of a checkpoint, on. */
  constructor(value: T, index: LogIndex = NO_INDEX) {
    this.#versions = [{ index, value }];
  }

  get latest(): T {
    return this.at(Number.MAX_SAFE_INTEGER as LogIndex);
  }

  /** Where the latest began. */
  get latestIndex(): LogIndex {
    return (this.#versions.at(-1) as Version<T>).index;
  }

  /** The value after the entry at `index`. */
  at(index: LogIndex): T {
    const version = this.#versions.findLast((each) => each.index <= index);
    assert(version !== undefined, "a version that was released is not asked for", index);
    return version.value;
  }

  set(index: LogIndex, value: T): void {
    this.#versions.push({ index, value });
  }

  /** The entries from `fromIndex` on are dropped, and what they changed with them. */
  truncate(fromIndex: LogIndex): void {
    while ((this.#versions.at(-1) as Version<T>).index >= fromIndex) this.#versions.pop();
  }

  /** Nobody asks for what held before `index` any more. */
  release(index: LogIndex): void {
    const from = this.#versions.findLastIndex((each) => each.index <= index);
    if (from > 0) this.#versions.splice(0, from);
  }
}
