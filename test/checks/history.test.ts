// Each way in which clients can be lied to is found, and named with the two facts.

import { describe, expect, it } from "vitest";
import { MISSING } from "../../sim/checks/client-log.ts";
import { checkHistory } from "../../sim/checks/history.ts";
import { describeFinding } from "../../sim/checks/violation.ts";
import { acked, brought, logOf, refused, tail, unknown } from "./calls.ts";

describe("a history", () => {
  it("passes when every client was told the truth", () => {
    const calls = [
      acked({ records: [1, 2], start: 0, end: 10, offset: 0, producer: { id: 7, sequence: 0 } }),
      unknown({ records: [3], start: 11, end: 20, producer: { id: 7, sequence: 2 } }),
      unknown({ records: [4], start: 11 }),
      refused({ records: [5], start: 0, end: 4 }),
      tail(21, 22, 3),
      brought({
        from: 1,
        records: [
          [0, 1],
          [1, 2],
        ],
        stream: 1,
        endOffset: 2,
      }),
      brought({ from: 2, records: [[2, 3]], stream: 1, start: 30, end: 31, endOffset: 3 }),
    ];
    expect(checkHistory(calls, logOf([1, 2], [3]))).toBeNull();
  });

  it("with an acknowledged append that is not in the log is a lost write", () => {
    const finding = checkHistory([acked({ records: [9], start: 0, end: 3, offset: 0 })], logOf());
    expect(finding?.property).toBe("lost-write");
    expect(finding?.facts[0]).toMatch(
      /an append of record 9, from 0 to 3 us: acknowledged at offset 0$/,
    );
    expect(finding?.facts[1]).toBe("the log ends at offset 0");
    expect(finding === null ? "" : describeFinding(finding)).toMatch(
      /^lost-write: An acknowledged append is in the log.*\n {2}1\. call .*\n {2}2\. the log ends/,
    );
  });

  it("with an acknowledged append that nobody has any more is a lost write, and no phantom", () => {
    const calls = [acked({ records: [1], start: 0, end: 3, offset: 0 })];
    const finding = checkHistory(calls, logOf([MISSING], [MISSING]));
    expect(finding?.property).toBe("lost-write");
    expect(finding?.facts[1]).toBe("nobody has what was committed at offset 0");
  });

  it("with an acknowledged append at another offset is a lost write", () => {
    const calls = [
      acked({ records: [1], start: 0, end: 3, offset: 1 }),
      acked({ records: [2], start: 0, end: 3, offset: 1 }),
    ];
    const finding = checkHistory(calls, logOf([1], [2]));
    expect(finding?.property).toBe("lost-write");
    expect(finding?.facts[1]).toBe("the log has record 2 at offset 1, and this append at offset 0");
  });

  it("with a refused append that is in the log is an aborted append", () => {
    const finding = checkHistory([refused({ records: [9], start: 0, end: 3 })], logOf([9]));
    expect(finding?.property).toBe("aborted-append");
    expect(finding?.facts[0]).toMatch(/definitely refused \(overloaded\)/);
  });

  it("with an unknown append in the log twice is a duplicate", () => {
    const finding = checkHistory([unknown({ records: [9], start: 0 })], logOf([9], [9]));
    expect(finding?.property).toBe("duplicate");
    expect(finding?.facts[0]).toBe("the log has record 9 at offset 0 and again at 1");
  });

  it("with a record in the log that nobody appended is a phantom", () => {
    expect(checkHistory([], logOf([9]))?.property).toBe("phantom");
  });

  it("with half of a batch in the log is a torn batch", () => {
    const half = checkHistory([unknown({ records: [1, 2], start: 0 })], logOf([1]));
    expect(half?.property).toBe("torn-batch");
    expect(half?.facts[1]).toBe("its records stand at offsets 0, nowhere");
    const turned = checkHistory([unknown({ records: [1, 2], start: 0 })], logOf([2, 1]));
    expect(turned?.property).toBe("torn-batch");
  });

  it("with a producer's appends in another order than their sequences is a nonmonotonic send", () => {
    const calls = [
      unknown({ records: [1], start: 0, producer: { id: 7, sequence: 0 } }),
      unknown({ records: [2], start: 0, producer: { id: 7, sequence: 1 } }),
    ];
    const finding = checkHistory(calls, logOf([2], [1]));
    expect(finding?.property).toBe("nonmonotonic-send");
    expect(finding?.facts[0]).toMatch(/^sequence 0 is at offset 1/);
    expect(finding?.facts[1]).toMatch(/^sequence 1 is at offset 0/);
  });

  it("with a sequence in the log whose predecessor is not there has a gap", () => {
    const calls = [
      unknown({ records: [1], start: 0, producer: { id: 7, sequence: 0 } }),
      unknown({ records: [2], start: 0, producer: { id: 7, sequence: 2 } }),
    ];
    const finding = checkHistory(calls, logOf([1], [2]));
    expect(finding?.property).toBe("sequence-gap");
    expect(finding?.facts[1]).toBe("nothing of the log has sequence 1 of producer 7/0");
    const late = [unknown({ records: [1], start: 0, producer: { id: 7, sequence: 1 } })];
    expect(checkHistory(late, logOf([1]))?.property).toBe("sequence-gap");
  });

  it("with a read of what never came into the log is an aborted read", () => {
    const finding = checkHistory([brought({ from: 0, records: [[0, 5]] })], logOf());
    expect(finding?.property).toBe("aborted-read");
    expect(finding?.node).toBe("n1");
  });

  it("with a read of another record than the log has there is an inconsistent offset", () => {
    const calls = [
      unknown({ records: [1], start: 0 }),
      unknown({ records: [2], start: 0 }),
      brought({ from: 0, records: [[0, 2]] }),
    ];
    const finding = checkHistory(calls, logOf([1], [2]));
    expect(finding?.property).toBe("inconsistent-offsets");
    expect(finding?.facts[1]).toBe("the final log has record 1 there");
  });

  it("with a hole in a read, or before it, is a skipped poll", () => {
    const sent = [1, 2, 3].map((record) => unknown({ records: [record], start: 0 }));
    const log = logOf([1], [2], [3]);
    const hole = checkHistory(
      [
        ...sent,
        brought({
          from: 0,
          records: [
            [0, 1],
            [2, 3],
          ],
        }),
      ],
      log,
    );
    expect(hole?.property).toBe("poll-skip");
    expect(hole?.facts[1]).toBe("after offset 0 it brought offset 2");
    const late = checkHistory([...sent, brought({ from: 0, records: [[1, 2]] })], log);
    expect(late?.property).toBe("poll-skip");
  });

  it("with a stream that leaves something out or repeats it is found", () => {
    const sent = [1, 2, 3].map((record) => unknown({ records: [record], start: 0 }));
    const log = logOf([1], [2], [3]);
    const first = brought({ from: 0, records: [[0, 1]], stream: 4, end: 20, endOffset: 1 });
    const skips = brought({ from: 2, records: [[2, 3]], stream: 4, start: 30, end: 40 });
    expect(checkHistory([...sent, first, skips], log)?.property).toBe("poll-skip");
    const repeats = brought({ from: 0, records: [[0, 1]], stream: 4, start: 30, end: 40 });
    expect(checkHistory([...sent, first, repeats], log)?.property).toBe("nonmonotonic-poll");
  });

  it("with a node whose end goes back is a nonmonotonic poll, unless it was restarted between", () => {
    const sent = [unknown({ records: [1], start: 0 })];
    const ahead = brought({ from: 0, records: [[0, 1]], start: 5, end: 6, endOffset: 9 });
    const behind = brought({ from: 0, records: [[0, 1]], start: 7, end: 8, endOffset: 8 });
    const finding = checkHistory([...sent, behind, ahead], logOf([1]));
    expect(finding?.property).toBe("nonmonotonic-poll");
    expect(finding?.facts[0]).toMatch(/ends at 9$/);
    const restarted = brought({
      from: 0,
      records: [[0, 1]],
      start: 7,
      end: 8,
      endOffset: 8,
      life: 2,
    });
    expect(checkHistory([...sent, ahead, restarted], logOf([1]))).toBeNull();
    const concurrent = brought({ from: 0, records: [[0, 1]], start: 5, end: 8, endOffset: 8 });
    expect(checkHistory([...sent, ahead, concurrent], logOf([1]))).toBeNull();
  });

  it("that is not linearizable is found last of all", () => {
    const calls = [acked({ records: [1], start: 0, end: 10, offset: 0 }), tail(11, 12, 0)];
    expect(checkHistory(calls, logOf([1]))?.property).toBe("linearizability");
  });
});
