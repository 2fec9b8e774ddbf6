// When this node's own disk had which entry, as the spans of appends tell it.

import { expect, test } from "vitest";

import type { Instant, LogIndex, WriteId } from "../../src/base/ids.ts";
import { SyncTimes } from "../../src/node/sync-times.ts";

const index = (value: number) => value as LogIndex;
const write = (value: number) => value as WriteId;
const at = (value: number) => value as Instant;

test("an entry is durable when the first sync that covers it is done", () => {
  const times = new SyncTimes();
  times.wrote(write(1), index(3));
  times.wrote(write(2), index(5));
  times.wrote(write(3), index(6));
  expect(times.durableAt(index(1))).toBeNull();
  times.persisted(at(100), write(2));
  times.persisted(at(200), write(3));
  expect([1, 5, 6, 7].map((each) => times.durableAt(index(each)))).toEqual([100, 100, 200, null]);
});

test("what was written over is durable anew", () => {
  const times = new SyncTimes();
  times.wrote(write(1), index(4));
  times.persisted(at(100), write(1));
  times.wrote(write(2), index(4));
  expect(times.durableAt(index(4))).toBeNull();
  times.persisted(at(300), write(2));
  expect(times.durableAt(index(4))).toBe(300);
});

test("a long log leaves no long list behind", () => {
  const times = new SyncTimes();
  for (let each = 1; each <= 1000; each++) {
    times.wrote(write(each), index(each));
    times.persisted(at(each * 10), write(each));
  }
  expect(times.durableAt(index(1000))).toBe(10_000);
  expect(times.durableAt(index(937))).toBe(9370);
  expect(times.durableAt(index(936))).toBeNull();
});
