// The order check and the search must agree, and each must be able to say no.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkHistory } from "../../sim/checks/history.ts";
import { checkLinearizable } from "../../sim/checks/linearizability.ts";
import {
  checkBySearch,
  LOG_MODEL,
  operationsOf,
  searchLinearization,
} from "../../sim/checks/porcupine.ts";
import {
  acked,
  type Case,
  linearizableCases,
  logOf,
  perhapsBrokenCases,
  tail,
  unknown,
} from "./calls.ts";

const STEPS_MAX = 500_000;

function search({ calls, log }: Case) {
  return searchLinearization(LOG_MODEL, operationsOf(calls, log), STEPS_MAX);
}

describe("the order check", () => {
  it("accepts appends that overlap in time, whichever the log has first", () => {
    const calls = [
      acked({ records: [1], start: 0, end: 10, offset: 1 }),
      acked({ records: [2], start: 5, end: 15, offset: 0 }),
    ];
    expect(checkLinearizable(calls, logOf([2], [1]))).toBeNull();
  });

  it("refuses an append that was over before another began and stands behind it in the log", () => {
    const calls = [
      acked({ records: [1], start: 0, end: 10, offset: 1 }),
      acked({ records: [2], start: 11, end: 15, offset: 0 }),
    ];
    const finding = checkLinearizable(calls, logOf([2], [1]));
    expect(finding?.property).toBe("linearizability");
    expect(finding?.facts[0]).toMatch(
      /first in time: .*record 1, from 0 to 10 us: acknowledged at offset 1/,
    );
    expect(finding?.facts[1]).toMatch(/begun afterwards.*record 2, from 11 to 15 us/);
  });

  it("refuses a read of the end that misses an acknowledged append", () => {
    const calls = [acked({ records: [1], start: 0, end: 10, offset: 0 }), tail(11, 12, 0)];
    expect(checkLinearizable(calls, logOf([1]))?.facts[1]).toMatch(/the log ends at 0/);
  });

  it("refuses a read of the end that saw what was appended only later", () => {
    const calls = [tail(0, 5, 1), acked({ records: [1], start: 6, end: 10, offset: 0 })];
    expect(checkLinearizable(calls, logOf([1]))?.property).toBe("linearizability");
  });

  it("refuses reads of the end that go back", () => {
    const calls = [unknown({ records: [1], start: 0 }), tail(3, 5, 1), tail(6, 7, 0)];
    expect(checkLinearizable(calls, logOf([1]))?.property).toBe("linearizability");
  });

  it("refuses an end that lies inside a batch", () => {
    const calls = [acked({ records: [1, 2], start: 0, end: 10, offset: 0 }), tail(3, 5, 1)];
    expect(checkLinearizable(calls, logOf([1, 2]))?.facts[1]).toMatch(/no batch that ends there/);
  });

  it("lets an unknown append take effect long after it was given up", () => {
    const calls = [unknown({ records: [1], start: 0, end: 5 }), tail(6, 7, 0), tail(8, 9, 1)];
    expect(checkLinearizable(calls, logOf([1]))).toBeNull();
  });

  it("refuses an unknown append that took effect before it began", () => {
    const calls = [tail(0, 5, 1), unknown({ records: [1], start: 6 })];
    expect(checkLinearizable(calls, logOf([1]))?.property).toBe("linearizability");
  });

  it("refuses a guarded append elsewhere than at the end it expected", () => {
    const calls = [
      acked({ records: [1], start: 0, end: 1, offset: 0 }),
      acked({ records: [2], start: 2, end: 3, offset: 1, expecting: 0 }),
    ];
    expect(checkLinearizable(calls, logOf([1], [2]))?.facts[1]).toBe(
      "the log ended at 1 when it took effect",
    );
  });

  it("refuses an acknowledgement of another offset than the log's", () => {
    const calls = [acked({ records: [1], start: 0, end: 10, offset: 3 })];
    expect(checkLinearizable(calls, logOf([1]))?.facts[1]).toBe("the final log has it at offset 0");
  });
});

describe("the search", () => {
  it("finds an order of appends that overlap in time", () => {
    const calls = [
      acked({ records: [1], start: 0, end: 10, offset: 1 }),
      acked({ records: [2], start: 5, end: 15, offset: 0 }),
    ];
    expect(search({ calls, log: logOf([2], [1]) })).toBe("linearizable");
  });

  it("finds no order for a read of the end that misses an acknowledged append", () => {
    const calls = [acked({ records: [1], start: 0, end: 10, offset: 0 }), tail(11, 12, 0)];
    expect(search({ calls, log: logOf([1]) })).toBe("not-linearizable");
  });

  it("finds no order when the log lacks an acknowledged append", () => {
    const calls = [acked({ records: [1], start: 0, end: 10, offset: 0 })];
    expect(search({ calls, log: logOf() })).toBe("not-linearizable");
  });

  it("reports with two facts, and leaves long histories alone", () => {
    const stale = [acked({ records: [1], start: 0, end: 10, offset: 0 }), tail(11, 12, 0)];
    const finding = checkBySearch(stale, logOf([1]));
    expect(finding?.property).toBe("linearizability");
    expect(finding?.facts[0]).toBe("clients made 2 appends and reads of the end");
    const many = Array.from({ length: 150 }, (_, at) => tail(at, at + 1, 1));
    expect(checkBySearch([...stale, ...many], logOf([1]))).toBeNull();
  });

  it("gives up when told to", () => {
    const calls = [acked({ records: [1], start: 0, end: 10, offset: 0 }), tail(11, 12, 1)];
    expect(searchLinearization(LOG_MODEL, operationsOf(calls, logOf([1])), 1)).toBe("gave-up");
  });
});

describe("the order check and the search", () => {
  it("both accept every history that was made in an order", () => {
    fc.assert(
      fc.property(linearizableCases(9), (made) => {
        expect(checkHistory(made.calls, made.log)).toBeNull();
        expect(search(made)).toBe("linearizable");
      }),
      { numRuns: 300 },
    );
  });

  it("say the same of histories that were changed at random", () => {
    const said = { linearizable: 0, "not-linearizable": 0, "gave-up": 0 };
    fc.assert(
      fc.property(perhapsBrokenCases(9), (made) => {
        const searched = search(made);
        said[searched] += 1;
        const finding = checkHistory(made.calls, made.log);
        if (searched !== "gave-up") expect(finding === null).toBe(searched === "linearizable");
      }),
      { numRuns: 1500 },
    );
    // Both verdicts must have been common, or the agreement shows little.
    expect(said.linearizable).toBeGreaterThan(150);
    expect(said["not-linearizable"]).toBeGreaterThan(150);
    expect(said["gave-up"]).toBeLessThan(15);
  });
});
