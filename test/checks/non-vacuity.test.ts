// A run that shows nothing is not a pass, and a batch of tame runs neither.

import { describe, expect, it } from "vitest";
import { describeTameness, describeVacuity, isTelling } from "../../sim/checks/non-vacuity.ts";
import { type Counts, Tally } from "../../sim/tally.ts";

const NOTHING: Counts = new Tally().counts;
const TELLING: Counts = { ...NOTHING, leaders: 2, acked: 50, lossyCrashes: 1, partitions: 1 };

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
    expect(isTelling({ ...TELLING, acked: 49 })).toBe(false);
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
        "50 acknowledged appends in 89, a crash that lost unsynced bytes in 100, a partition in 100",
    );
  });
});
