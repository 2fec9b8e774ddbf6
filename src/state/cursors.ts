// How far each consumer has come, by name. A function of the log alone, tail included; each commit
// can be taken back. A cursor expires by log time, which is the same on every node. Owns no rule
// about what is committed: state.ts knows.

import { assert } from "../base/assert.ts";
import type { Control } from "../base/control.ts";
import type { Fault } from "../base/faults.ts";
import type { LogIndex, Offset, WallMs } from "../base/ids.ts";

/** Replaced as a whole, never changed, so that an undo can keep the one before. */
export interface Cursor {
  readonly name: string;
  /** What the consumer wants next. */
  readonly offset: Offset;
  /** 0: never forgotten. */
  readonly ttlMs: number;
  /** Log time of the last commit. */
  readonly timestamp: WallMs;
  /** Of the entry of the last commit. */
  readonly index: LogIndex;
}

export type CursorControl = Extract<Control, { kind: "cursor" }>;

/** How to take one commit back. */
export interface CursorUndo {
  readonly name: string;
  readonly before: Cursor | null;
  readonly forgotten: Cursor | null;
}

/** Refused, and the entry that the refusal rests on. */
export interface CursorRefusal {
  readonly fault: Fault;
  readonly restsOn: LogIndex;
}

export class CursorTable {
  readonly #cursorsMax: number;
  readonly #byName = new Map<string, Cursor>();

  constructor(cursorsMax: number) {
    this.#cursorsMax = cursorsMax;
  }

  /** As of the last commit, expired ones included. */
  get(name: string): Cursor | null {
    return this.#byName.get(name) ?? null;
  }

  /**
   * What a commit meets, or null. `expected` is where the consumer believes the cursor to be:
   * undefined anywhere, null nowhere. `now` is log time.
   */
  judge(
    { name, offset }: CursorControl,
    expected: Offset | null | undefined,
    now: WallMs,
  ): CursorRefusal | null {
    const known = this.#byName.get(name);
    const live = known !== undefined && !isExpired(known, now) ? known : null;
    const restsOn = known?.index ?? (0 as LogIndex);
    if (expected !== undefined && expected !== (live?.offset ?? null)) {
      const at = live?.offset ?? null;
      return { fault: { code: "cursor-mismatch", expected: expected ?? 0, offset: at }, restsOn };
    }
    if (offset === null) {
      return live === null ? { fault: { code: "cursor-not-found", name }, restsOn } : null;
    }
    if (known !== undefined || this.#byName.size < this.#cursorsMax) return null;
    if (isExpired(this.#firstToExpire(), now)) return null;
    return { fault: { code: "overloaded", what: "cursors", retryAfterMs: 1000 }, restsOn };
  }

  /** Takes a commit or a deletion that is in the log. */
  accept(control: CursorControl, index: LogIndex, timestamp: WallMs): CursorUndo {
    const { name, offset, ttlMs } = control;
    const before = this.#byName.get(name) ?? null;
    let forgotten: Cursor | null = null;
    if (offset === null) this.#byName.delete(name);
    else {
      if (before === null && this.#byName.size >= this.#cursorsMax) {
        forgotten = this.#firstToExpire();
        this.#byName.delete(forgotten.name);
      }
      this.#byName.set(name, { name, offset, ttlMs, timestamp, index });
    }
    return { name, before, forgotten };
  }

  /** Takes back the last commit that was not taken back yet. */
  undo({ name, before, forgotten }: CursorUndo): void {
    if (before === null) this.#byName.delete(name);
    else this.#byName.set(name, before);
    if (forgotten !== null) this.#byName.set(forgotten.name, forgotten);
  }

  /** A copy that changes on its own; cursors themselves never change. */
  copy(): CursorTable {
    const copied = new CursorTable(this.#cursorsMax);
    for (const cursor of this.#byName.values()) copied.#byName.set(cursor.name, cursor);
    return copied;
  }

  /** All by name: an order that no history shows in. Expired ones are among them. */
  sorted(): Cursor[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Puts back what a checkpoint held. */
  restore(cursors: readonly Cursor[]): void {
    this.#byName.clear();
    for (const cursor of cursors) this.#byName.set(cursor.name, cursor);
  }

  /** The same on every node, whatever the map's order. */
  #firstToExpire(): Cursor {
    let first: Cursor | null = null;
    for (const cursor of this.#byName.values()) {
      if (first === null || isBefore(cursor, first)) first = cursor;
    }
    assert(first !== null, "a full table has a first cursor");
    return first;
  }
}

function expiryOf({ ttlMs, timestamp }: Cursor): number {
  return ttlMs === 0 ? Number.MAX_SAFE_INTEGER : timestamp + ttlMs;
}

function isBefore(a: Cursor, b: Cursor): boolean {
  const [x, y] = [expiryOf(a), expiryOf(b)];
  return x === y ? a.name < b.name : x < y;
}

/** Whether it is forgotten at the log time `now`. */
export function isExpired(cursor: Cursor, now: WallMs): boolean {
  return expiryOf(cursor) <= now;
}
