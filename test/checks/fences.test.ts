// The checker of fences and epochs, on small logs made by hand: silent on good ones, and each
// property found on one that is broken in one place.

import { describe, expect, test } from "vitest";

import type { ClientLog } from "../../sim/checks/client-log.ts";
import { checkFences } from "../../sim/checks/fences.ts";
import type { Call } from "../../sim/history.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import { appendedAt, asked, fencedWith, headsOf } from "./entries.ts";

const LOG = headsOf(
  { time: 10, control: fencedWith("t1") },
  { time: 20, count: 1 },
  { time: 30, control: fencedWith("t2") },
  { time: 40, count: 1 },
);
/** Record 1 at offset 0, record 2 at offset 1. */
const RECORDS: ClientLog = { records: [1, 2], batchEnds: [1, 2] };

function fence(token: string, index: number, span: readonly [number, number], expected?: string) {
  const guard = expected === undefined ? {} : { expected };
  return asked({ question: { kind: "fence", token, ...guard }, span, facts: appendedAt(index) });
}

function append(record: number, token: string | undefined, span: readonly [number, number]): Call {
  const named = token === undefined ? {} : { fencingToken: token };
  const question = {
    kind: "append",
    records: [record],
    producerId: 0,
    epoch: 0,
    sequence: 0,
    expectedEndOffset: null,
    ...named,
  } as const;
  return asked({ question, span, facts: appendedAt(record * 2, record - 1) });
}

const T1 = fence("t1", 1, [0, 5]);
const T2 = fence("t2", 3, [20, 25], "t1");

function check(calls: readonly Call[], log: readonly EntryHead[] = LOG) {
  return checkFences(calls, log, RECORDS);
}

describe("the fence checker", () => {
  test("says nothing of writers that name the token in force, or none", () => {
    expect(check([T1, append(1, "t1", [10, 15]), T2, append(2, "t2", [30, 35])])).toBeNull();
    expect(
      check([T1, append(1, undefined, [10, 15]), T2, append(2, undefined, [30, 35])]),
    ).toBeNull();
  });

  test("finds an append of a fenced writer after the fence", () => {
    expect(check([T1, append(1, "t1", [10, 15]), T2, append(2, "t1", [30, 35])])).toMatchObject({
      property: "fence-holds",
      facts: [
        expect.stringContaining('naming the token "t1"'),
        expect.stringContaining('the log was fenced with "t2"'),
      ],
    });
  });

  test("finds an append before the fence that began when the fence was acknowledged", () => {
    const late = append(1, "t1", [30, 35]);
    expect(check([T1, T2, late])).toMatchObject({ property: "linearizability" });
  });

  test("finds an acknowledged fence that is not in the log", () => {
    expect(check([T1, T2, fence("t3", 4, [50, 55])])).toMatchObject({ property: "fence-holds" });
  });

  test("finds a fence past its guard", () => {
    const past = fence("t2", 3, [20, 25], "t0");
    expect(check([T1, past])).toMatchObject({ property: "fence-holds" });
  });

  test("finds a fence that was refused, and one that nobody asked for", () => {
    const refused = asked({ question: T2.question, span: [20, 25], outcome: "fail" });
    expect(check([T1, refused])).toMatchObject({ property: "fence-holds" });
    expect(check([T1])).toMatchObject({ property: "fence-holds" });
  });

  test("finds a producer's epoch after a later one", () => {
    const good = headsOf({ time: 1, count: 1, epoch: 0 }, { time: 2, count: 1, epoch: 1 });
    expect(check([], good)).toBeNull();
    const back = headsOf({ time: 1, count: 1, epoch: 1 }, { time: 2, count: 1, epoch: 0 });
    expect(check([], back)).toMatchObject({ property: "epoch-monotonic" });
  });
});
