// The checker of reads from a place that the node finds, on a small log made by hand: silent on
// good reads, and each property found on one that is wrong in one place.

import { describe, expect, test } from "vitest";

import { checkLinearizable } from "../../sim/checks/linearizability.ts";
import { checkSeeks } from "../../sim/checks/seeks.ts";
import type { Consistency, Facts, Question } from "../../sim/history.ts";
import type { Offset } from "../../src/base/ids.ts";
import { appendedAt, asked, headsOf, NODE } from "./entries.ts";

/** Batches at offsets 0, 2 and 3, the second and the third of one time. */
const LOG = headsOf({ time: 100, count: 2 }, { time: 150, count: 1 }, { time: 150, count: 1 });
const RECORDS = { records: [1, 2, 3, 4], batchEnds: [2, 3, 4] };

type From = Extract<Question, { kind: "seek" }>["from"];

function seek(
  from: From,
  offsets: readonly number[],
  endOffset = 4,
  consistency: Consistency = "local",
) {
  const records = offsets.map((offset) => ({ offset: offset as Offset, record: offset + 1 }));
  const told = { node: NODE, life: 1, records, endOffset: endOffset as Offset };
  const facts: Facts = { kind: "read", ...told };
  return asked({
    question: { kind: "seek", node: NODE, from, consistency },
    span: [50, 60],
    facts,
  });
}

const APPENDED = asked({
  question: {
    kind: "append",
    records: [4],
    producerId: 0,
    epoch: 0,
    sequence: 0,
    expectedEndOffset: null,
  },
  span: [10, 20],
  facts: appendedAt(3, 3),
});

function byTime(timestampMs: number): From {
  return { kind: "timestamp", timestampMs };
}

describe("the checker of reads by time", () => {
  test("says nothing of a read that begins with the first batch at or after it", () => {
    const good = [
      seek(byTime(0), [0, 1]),
      seek(byTime(100), [0, 1, 2]),
      seek(byTime(101), [2, 3]),
      seek(byTime(150), [2]),
      seek(byTime(151), []),
    ];
    expect(checkSeeks(good, LOG, 0)).toBeNull();
  });

  test("says nothing when what was first has been trimmed", () => {
    expect(checkSeeks([seek(byTime(100), [2, 3])], LOG, 2)).toBeNull();
  });

  test("finds a read that begins too late", () => {
    const late = seek(byTime(150), [3]);
    expect(checkSeeks([late], LOG, 0)).toMatchObject({ property: "read-by-time" });
  });

  test("finds a read that begins too early", () => {
    const early = seek(byTime(101), [0, 1]);
    expect(checkSeeks([early], LOG, 0)).toMatchObject({
      property: "read-by-time",
      facts: [expect.any(String), "it began at offset 0, where the batch has time 100"],
    });
  });

  test("finds a read that has found nothing where something is", () => {
    expect(checkSeeks([seek(byTime(150), [])], LOG, 0)).toMatchObject({ property: "read-by-time" });
  });
});

describe("the checker of reads of the last n", () => {
  test("says nothing of a read that begins where n are left, or with the batch before", () => {
    const good = [
      seek({ kind: "last", count: 1 }, [3]),
      seek({ kind: "last", count: 3 }, [0, 1, 2, 3]),
      seek({ kind: "last", count: 9 }, [0, 1]),
      seek({ kind: "last", count: 9 }, [], 0),
    ];
    expect(checkSeeks(good, LOG, 0)).toBeNull();
  });

  test("finds a read that leaves some of them out", () => {
    const short = seek({ kind: "last", count: 2 }, [3]);
    expect(checkSeeks([short], LOG, 0)).toMatchObject({ property: "read-last" });
  });
});

describe("a linearizable read", () => {
  test("sees an append that was acknowledged before it began", () => {
    const fresh = seek({ kind: "offset", offset: 0 }, [0, 1], 4, "linearizable");
    expect(checkSeeks([APPENDED, fresh], LOG, 0)).toBeNull();
    expect(checkLinearizable([APPENDED, fresh], RECORDS)).toBeNull();
  });

  test("is found when it does not, by both checkers", () => {
    const stale = seek({ kind: "offset", offset: 0 }, [0, 1], 3, "linearizable");
    expect(checkSeeks([APPENDED, stale], LOG, 0)).toMatchObject({ property: "stale-read" });
    expect(checkLinearizable([APPENDED, stale], RECORDS)).toMatchObject({
      property: "linearizability",
    });
  });

  test("is the only one that must", () => {
    const local = seek({ kind: "offset", offset: 0 }, [0, 1], 3, "local");
    expect(checkSeeks([APPENDED, local], LOG, 0)).toBeNull();
    expect(checkLinearizable([APPENDED, local], RECORDS)).toBeNull();
  });
});
