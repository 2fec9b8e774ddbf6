// Linearizable reads that wait for an index: told by Raft, reached by the member's own log, or out
// of time.

import { expect, test } from "vitest";

import type { Instant, LogIndex, Micros, Offset, RequestId } from "../../src/base/ids.ts";
import { Reads } from "../../src/node/reads.ts";

const at = (micros: number) => micros as Instant;
const index = (place: number) => place as LogIndex;
const end = 40 as Offset;
const requestId = 7 as RequestId;
const OVERLOADED = { code: "overloaded", what: "reads", retryAfterMs: 50 } as const;

function asked(within?: number): Reads {
  const reads = new Reads();
  const time = within === undefined ? {} : { within: within as Micros };
  const event = reads.request(at(100), { kind: "check-tail", requestId, ...time });
  const deadline = within === undefined ? {} : { deadline: at(100 + within) };
  expect(event).toEqual({ kind: "read-requested", readId: 7, ...deadline });
  return reads;
}

test("a read is answered once this member has committed as far as it must", () => {
  const reads = asked(1000);
  reads.committed(index(9), end);
  expect(reads.takeAnswers()).toEqual([]);
  reads.verdict({ kind: "ready", readId: 7, readIndex: index(10) }, OVERLOADED);
  reads.committed(index(9), end);
  expect(reads.takeAnswers()).toEqual([]);
  reads.committed(index(10), end);
  reads.committed(index(11), end);
  expect(reads.takeAnswers()).toEqual([{ kind: "tail", requestId, endOffset: end }]);
});

test("a read that Raft refuses is refused once", () => {
  const reads = asked();
  reads.verdict({ kind: "refused", readId: 7, leader: null }, OVERLOADED);
  reads.verdict({ kind: "refused", readId: 7, leader: null }, OVERLOADED);
  expect(reads.takeAnswers()).toEqual([{ kind: "fault", requestId, fault: OVERLOADED }]);
});

test("a read whose index is never reached here ends with its time", () => {
  const reads = asked(1000);
  reads.verdict({ kind: "ready", readId: 7, readIndex: index(10) }, OVERLOADED);
  expect(reads.deadline).toBe(1100);
  reads.ring(at(1099));
  expect(reads.takeAnswers()).toEqual([]);
  reads.ring(at(1100));
  const fault = { code: "deadline-exceeded" };
  expect(reads.takeAnswers()).toEqual([{ kind: "fault", requestId, fault }]);
});
