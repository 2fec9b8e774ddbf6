// Cursors and fences: what the log says about consumers and writers while its tail grows, is cut
// and is committed, and what a checkpoint brings back of it.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Control } from "../../src/base/control.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import type { LogIndex, Offset, Term, WallMs } from "../../src/base/ids.ts";
import { State } from "../../src/state/state.ts";

const ANYWHERE = { expectedEndOffset: null };

function next(state: State, control: Control | null, timestamp = 0): EntryHead {
  const { index, term, endOffset, timestamp: before } = state.end;
  return {
    kind: control?.kind ?? "records",
    codec: 0,
    critical: true,
    index: (index + 1) as LogIndex,
    term: Math.max(term, 1) as Term,
    prevTerm: term,
    offset: endOffset,
    count: control === null ? 1 : 0,
    timestamp: Math.max(before, timestamp) as WallMs,
    bodyLength: 0,
    bodyCrc: 0,
    rawLength: 0,
    producerId: 0,
    epoch: 0,
    sequence: 0,
    ...(control === null ? {} : { control }),
  };
}

const cursor = (name: string, offset: number | null, ttlMs = 0): Control => {
  return { kind: "cursor", name, offset: offset as Offset | null, ttlMs };
};
const append = (state: State, control: Control | null, timestamp = 0) =>
  state.append(next(state, control, timestamp));
const commitAll = (state: State) => state.commit(state.end.index, () => undefined);
const shown = (state: State, names: readonly string[] | null = null) =>
  state.committedCursors(names).map(({ name, offset }) => `${name}=${offset}`);

describe("a cursor", () => {
  test("is where its last committed entry put it, whatever the tail says", () => {
    const state = State.empty(10);
    append(state, cursor("a", 5));
    append(state, cursor("b", 1));
    commitAll(state);
    append(state, cursor("a", 9));
    append(state, cursor("b", null));
    expect(shown(state)).toEqual(["a=5", "b=1"]);
    expect(shown(state, ["b", "nobody"])).toEqual(["b=1"]);
    commitAll(state);
    expect(shown(state)).toEqual(["a=9"]);
  });

  test("goes back with the tail that moved it", () => {
    const state = State.empty(10);
    append(state, cursor("a", 5));
    commitAll(state);
    append(state, cursor("a", 6));
    append(state, cursor("c", 1));
    state.truncate(2 as LogIndex);
    append(state, null);
    commitAll(state);
    expect(shown(state)).toEqual(["a=5"]);
  });

  test("is moved only from where the consumer believes it to be, when it says so", () => {
    const state = State.empty(10);
    const from = (expected: number | null | undefined, control = cursor("a", 7)) =>
      state.admit(next(state, control), {
        ...ANYWHERE,
        ...(expected === undefined ? {} : { expectedCursor: expected as Offset | null }),
      });
    expect(from(null).kind).toBe("new");
    append(state, cursor("a", 5));
    expect(from(5).kind).toBe("new");
    expect(from(undefined).kind).toBe("new");
    const fault = { code: "cursor-mismatch", expected: 4, offset: 5 };
    expect(from(4)).toEqual({ kind: "refused", fault, restsOn: 1 });
    expect(from(null)).toMatchObject({ fault: { code: "cursor-mismatch", offset: 5 } });
  });

  test("that does not exist cannot be deleted", () => {
    const state = State.empty(10);
    const fault = { code: "cursor-not-found", name: "a" };
    expect(state.admit(next(state, cursor("a", null)), ANYWHERE)).toMatchObject({ fault });
    append(state, cursor("a", 1));
    expect(state.admit(next(state, cursor("a", null)), ANYWHERE).kind).toBe("new");
  });

  test("expires by log time, and is then as if it had never been", () => {
    const state = State.empty(10);
    append(state, cursor("a", 5, 100), 1000);
    append(state, null, 1099);
    commitAll(state);
    expect(shown(state)).toEqual(["a=5"]);
    append(state, null, 1100);
    commitAll(state);
    expect(shown(state)).toEqual([]);
    const gone = { ...ANYWHERE, expectedCursor: null };
    expect(state.admit(next(state, cursor("a", 1)), gone).kind).toBe("new");
  });

  test("finds room where the first to expire has expired, and is refused where none has", () => {
    const state = State.empty(10, 2);
    append(state, cursor("late", 1, 500), 1000);
    append(state, cursor("soon", 1, 100), 1000);
    const third = (timestamp: number) =>
      state.admit(next(state, cursor("third", 1), timestamp), ANYWHERE);
    expect(third(1099)).toMatchObject({ fault: { code: "overloaded", what: "cursors" } });
    expect(third(1100).kind).toBe("new");
    append(state, cursor("third", 1), 1100);
    commitAll(state);
    expect(shown(state)).toEqual(["late=1", "third=1"]);
  });

  test("that made room for another is back when that one is truncated", () => {
    const state = State.empty(10, 1);
    append(state, cursor("a", 1, 100), 1000);
    commitAll(state);
    append(state, cursor("b", 1), 1100);
    state.truncate(2 as LogIndex);
    expect(shown(state)).toEqual(["a=1"]);
  });
});

describe("a fence", () => {
  const write = (state: State, fencingToken?: string) =>
    state.admit(next(state, null), {
      ...ANYWHERE,
      ...(fencingToken === undefined ? {} : { fencingToken }),
    });

  test("keeps out who names another token, from its append on", () => {
    const state = State.empty(10);
    expect(write(state, "").kind).toBe("new");
    append(state, { kind: "fence", token: "w2" });
    const fault = { code: "fenced-off" };
    expect(write(state, "w1")).toEqual({ kind: "refused", fault, restsOn: 1 });
    expect(write(state, "")).toEqual({ kind: "refused", fault, restsOn: 1 });
    expect(write(state, "w2").kind).toBe("new");
    expect(write(state).kind).toBe("new");
  });

  test("is gone when its entry is truncated", () => {
    const state = State.empty(10);
    append(state, { kind: "fence", token: "w1" });
    commitAll(state);
    append(state, { kind: "fence", token: "w2" });
    state.truncate(2 as LogIndex);
    expect([write(state, "w1").kind, write(state, "w2").kind]).toEqual(["new", "refused"]);
  });
});

test("a checkpoint brings cursors and fence back as they were committed, tail or not", () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ name: fc.constantFrom("a", "b", "ü"), offset: fc.option(fc.nat(9)) }),
      fc.record({ token: fc.constantFrom("", "w1", "w2") }),
    ),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(steps, fc.nat(), (list, cut) => {
      const [whole, prefix] = [State.empty(10), State.empty(10)];
      const committed = list.length === 0 ? 0 : cut % (list.length + 1);
      for (const [at, step] of list.entries()) {
        const control: Control =
          "token" in step ? { kind: "fence", token: step.token } : cursor(step.name, step.offset);
        append(whole, control, at);
        if (at < committed) append(prefix, control, at);
      }
      whole.commit(committed as LogIndex, () => undefined);
      commitAll(prefix);
      const bytes = whole.encodeCommitted();
      expect(bytes).toEqual(prefix.encodeCommitted());
      const restored = State.restore(10, whole.committed, bytes);
      expect(restored?.encodeCommitted()).toEqual(bytes);
      expect(restored?.committedCursors(null)).toEqual(whole.committedCursors(null));
      for (let at = 0; at < bytes.length; at++) {
        expect(State.restore(10, whole.committed, bytes.subarray(0, at) as never)).toBeNull();
      }
    }),
    { numRuns: 60 },
  );
});
