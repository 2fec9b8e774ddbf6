// A run that shows nothing is not a pass, and a batch of tame runs neither.

import { describe, expect, it } from "vitest";
import {
  describeMissedMarks,
  describeTameness,
  describeVacuity,
  isTelling,
  MARKED_RUNS_MIN,
  runsByMark,
} from "../../sim/checks/non-vacuity.ts";
import { type MarkCounts, Marks } from "../../sim/marks.ts";
import { type Counts, Tally } from "../../sim/tally.ts";

const NOTHING: Counts = new Tally().counts;
const TELLING: Counts = { ...NOTHING, leaders: 2, acked: 35, lossyCrashes: 1, partitions: 1 };

describe("a run", () => {
  it("shows nothing without a leader, or without an acknowledged append", () => {
    expect(describeVacuity(NOTHING)).toBe("no node ever led");
    expect(describeVacuity({ ...NOTHING, leaders: 1 })).toBe("no append was acknowledged");
    expect(describeVacuity({ ...NOTHING, leaders: 1, acked: 1 })).toBeNull();
  });

  it("is telling when it met every danger, and a one-way cut is a partition too", () => {
    expect(isTelling(TELLING)).toBe(true);
    expect(isTelling({ ...TELLING, partitions: 0 })).toBe(false);
    expect(isTelling({ ...TELLING, partitions: 0, oneWayCuts: 1 })).toBe(true);
    expect(isTelling({ ...TELLING, leaders: 1 })).toBe(false);
    expect(isTelling({ ...TELLING, acked: 34 })).toBe(false);
    expect(isTelling({ ...TELLING, lossyCrashes: 0 })).toBe(false);
  });
});

describe("a batch", () => {
  const batch = (telling: number, tame: number): Counts[] => [
    ...Array.from({ length: telling }, () => TELLING),
    ...Array.from({ length: tame }, () => ({ ...TELLING, acked: 7 })),
  ];

  it("is enough when nine runs in ten are telling", () => {
    expect(describeTameness(batch(9, 1))).toBeNull();
    expect(describeTameness(batch(90, 10))).toBeNull();
  });

  it("is too tame below that, and says which danger was missing", () => {
    expect(describeTameness(batch(89, 11))).toBe(
      "only 89 of 100 runs met every danger, and 90 % must: two leaders in 100, " +
        "35 acknowledged appends in 89, a crash that lost unsynced bytes in 100, a partition in 100",
    );
  });
});

describe("a large batch", () => {
  const none: MarkCounts = new Marks().counts;
  const all = Object.fromEntries(Object.keys(none).map((mark) => [mark, 1])) as MarkCounts;
  const batch = (runs: number, last: MarkCounts) => [...new Array(runs - 1).fill(none), last];

  it("has come to every mark in some run", () => {
    expect(
      describeMissedMarks(MARKED_RUNS_MIN, runsByMark(batch(MARKED_RUNS_MIN, all))),
    ).toBeNull();
  });

  it("names each mark that none of its runs came to", () => {
    const but = { ...all, blackout: 0, "tail-cut": 0 };
    expect(describeMissedMarks(MARKED_RUNS_MIN, runsByMark(batch(MARKED_RUNS_MIN, but)))).toBe(
      "no run came to: tail-cut (an uncommitted suffix is dropped), blackout (all nodes are down at once)",
    );
  });

  it("may miss some while it is small", () => {
    expect(
      describeMissedMarks(MARKED_RUNS_MIN - 1, runsByMark(batch(MARKED_RUNS_MIN - 1, none))),
    ).toBeNull();
  });
});
