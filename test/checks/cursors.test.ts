// The cursor checker, on small logs made by hand: silent on good ones, and each property found on
// one that is broken in one place.

import { describe, expect, test } from "vitest";

import { checkCursors } from "../../sim/checks/cursors.ts";
import type { Consistency, Facts } from "../../sim/history.ts";
import type { Offset, WallMs } from "../../src/base/ids.ts";
import { appendedAt, asked, cursorAt, headsOf, NODE } from "./entries.ts";

const LOG = headsOf(
  { time: 100, count: 5 },
  { time: 110, control: cursorAt(2, 1000) },
  { time: 150, control: cursorAt(4, 1001) },
  { time: 200, count: 1 },
);

interface Commit {
  readonly offset: number | null;
  readonly ttlMs: number;
  readonly expected?: number | null;
}

function commit({ offset, ttlMs, expected }: Commit) {
  const guard = expected === undefined ? {} : { expected: expected as Offset | null };
  return {
    kind: "commit-cursor",
    name: "a",
    offset: offset as Offset | null,
    ttlMs,
    ...guard,
  } as const;
}

const FIRST = asked({
  question: commit({ offset: 2, ttlMs: 1000, expected: null }),
  span: [10, 20],
  facts: appendedAt(2),
});
const SECOND = asked({
  question: commit({ offset: 4, ttlMs: 1001, expected: 2 }),
  span: [30, 40],
  facts: appendedAt(3),
});

function read(
  found: readonly (readonly [offset: number, ttlMs: number, timestamp: number])[],
  span: readonly [number, number],
  consistency: Consistency = "local",
) {
  const cursors = found.map(([offset, ttlMs, timestamp]) => {
    return { name: "a", offset: offset as Offset, ttlMs, timestamp: timestamp as WallMs };
  });
  const facts: Facts = { kind: "cursors", node: NODE, life: 1, cursors };
  const question = { kind: "fetch-cursors", node: NODE, names: ["a"], consistency } as const;
  return asked({ question, span, facts });
}

describe("the cursor checker", () => {
  test("says nothing of commits that are where they were acknowledged, and of reads of them", () => {
    const reads = [
      read([], [5, 6]),
      read([[2, 1000, 110]], [50, 60]),
      read([[4, 1001, 150]], [50, 60], "linearizable"),
    ];
    expect(checkCursors([FIRST, SECOND, ...reads], LOG)).toBeNull();
  });

  test("finds an acknowledged commit that is not in the log", () => {
    const lost = asked({
      question: commit({ offset: 5, ttlMs: 1002 }),
      span: [50, 60],
      facts: appendedAt(4),
    });
    expect(checkCursors([FIRST, SECOND, lost], LOG)).toMatchObject({ property: "cursor-lost" });
  });

  test("finds an acknowledged commit beyond the end of the log", () => {
    const lost = asked({
      question: commit({ offset: 5, ttlMs: 1002 }),
      span: [50, 60],
      facts: appendedAt(9),
    });
    expect(checkCursors([FIRST, SECOND, lost], LOG)).toMatchObject({
      property: "cursor-lost",
      facts: [expect.any(String), "there the log has nothing: it has 4 entries"],
    });
  });

  test("finds a move that nobody asked for", () => {
    expect(checkCursors([FIRST], LOG)).toMatchObject({
      property: "cursor-moved",
      facts: [expect.stringContaining("a moved at 4"), "no call asked for it"],
    });
  });

  test("finds a refused commit that moved the cursor", () => {
    const refused = asked({ question: SECOND.question, span: [30, 40], outcome: "fail" });
    expect(checkCursors([FIRST, refused], LOG)).toMatchObject({ property: "cursor-moved" });
  });

  test("finds a commit that went past its guard, and so took a cursor back", () => {
    const late = asked({
      question: commit({ offset: 4, ttlMs: 1001, expected: null }),
      span: [30, 40],
      facts: appendedAt(3),
    });
    expect(checkCursors([FIRST, late], LOG)).toMatchObject({
      property: "cursor-moved",
      facts: [expect.any(String), expect.stringContaining("was at 2 just before")],
    });
  });

  test("lets a guard expect nothing once the cursor is forgotten", () => {
    const log = headsOf(
      { time: 110, control: cursorAt(2, 50) },
      { time: 160, control: cursorAt(4, 51) },
    );
    const calls = [
      asked({
        question: commit({ offset: 2, ttlMs: 50, expected: null }),
        span: [1, 2],
        facts: appendedAt(1),
      }),
      asked({
        question: commit({ offset: 4, ttlMs: 51, expected: null }),
        span: [3, 4],
        facts: appendedAt(2),
      }),
    ];
    expect(checkCursors(calls, log)).toBeNull();
  });

  test("finds a deletion of what is not there", () => {
    const log = headsOf({ time: 110, control: cursorAt(null, 50) });
    const gone = asked({
      question: commit({ offset: null, ttlMs: 50 }),
      span: [1, 2],
      facts: appendedAt(1),
    });
    expect(checkCursors([gone], log)).toMatchObject({ property: "cursor-moved" });
  });

  test("finds a linearizable read of a cursor as it was before an acknowledged commit", () => {
    const stale = read([[2, 1000, 110]], [50, 60], "linearizable");
    expect(checkCursors([FIRST, SECOND, stale], LOG)).toMatchObject({ property: "cursor-read" });
  });

  test("finds a read of a cursor as the log never had it", () => {
    const wrong = read([[3, 1000, 110]], [50, 60]);
    expect(checkCursors([FIRST, SECOND, wrong], LOG)).toMatchObject({ property: "cursor-read" });
  });

  test("finds a read of a cursor that is forgotten by then", () => {
    const log = headsOf({ time: 110, control: cursorAt(2, 50) }, { time: 300, count: 1 });
    const first = asked({
      question: commit({ offset: 2, ttlMs: 50, expected: null }),
      span: [1, 2],
      facts: appendedAt(1),
    });
    const append = asked({
      question: {
        kind: "append",
        records: [1],
        producerId: 0,
        epoch: 0,
        sequence: 0,
        expectedEndOffset: null,
      },
      span: [3, 4],
      facts: appendedAt(2),
    });
    const remembered = read([[2, 50, 110]], [5, 6], "linearizable");
    expect(checkCursors([first, append, remembered], log)).toMatchObject({
      property: "cursor-read",
    });
    expect(checkCursors([first, append, read([], [5, 6], "linearizable")], log)).toBeNull();
  });
});
