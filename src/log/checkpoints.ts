// Which checkpoints a directory holds, and which of them are needed: the newest, for the next
// opening; and for each segment the first one at or after its start, because the log can begin
// there once everything before it is trimmed. Owns that choice; the files are written and removed
// by upkeep.ts, their layout is checkpoint.ts.

import { assert } from "../base/assert.ts";
import type { LogPoint } from "../base/entry.ts";
import type { LogIndex, Offset } from "../base/ids.ts";

export class Checkpoints {
  /** Whole and durable under their names, ascending. */
  #points: LogPoint[];

  constructor(points: readonly LogPoint[]) {
    this.#points = points.slice();
  }

  get newest(): LogPoint | null {
    return this.#points.at(-1) ?? null;
  }

  /** Ascending; a copy. */
  list(): readonly LogPoint[] {
    return this.#points.slice();
  }

  /** One more is durable; at the newest's index it replaces that. */
  add(point: LogPoint): void {
    const newest = this.newest;
    assert(newest === null || point.index >= newest.index, "checkpoints ascend", point.index);
    if (newest?.index === point.index) this.#points.pop();
    this.#points.push(point);
  }

  /** The first at or after `index`, or null. */
  firstFrom(index: LogIndex): LogPoint | null {
    return this.#points.find((point) => point.index >= index) ?? null;
  }

  /**
   * The last whose records all lie before `offset`, and that lies before the entry at `pinned`, if
   * one is; or null.
   */
  lastBefore(offset: Offset, pinned: LogIndex | null): LogPoint | null {
    const isFree = ({ index }: LogPoint) => pinned === null || index < pinned;
    return this.#points.findLast((point) => point.endOffset <= offset && isFree(point)) ?? null;
  }

  /** Forgets those that nobody needs while segments begin after `starts`, and says which. */
  takeSurplus(starts: readonly LogIndex[]): readonly LogPoint[] {
    const needed = new Set<LogPoint | null>([this.newest]);
    // Before the very first entry there is no state to keep.
    for (const start of starts) if (start > 0) needed.add(this.firstFrom(start));
    const surplus = this.#points.filter((point) => !needed.has(point));
    this.#points = this.#points.filter((point) => needed.has(point));
    return surplus;
  }

  /** It cannot be read. */
  drop(point: LogPoint): void {
    this.#points = this.#points.filter((known) => known !== point);
  }

  /** Only this one is left. */
  reset(point: LogPoint): void {
    this.#points = [point];
  }
}
