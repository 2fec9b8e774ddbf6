// When a segment is rolled for its age, and which segments are old enough or too many: all by log
// time.
import { describe, expect, test } from "vitest";

import { LOG_START, type LogPoint } from "../../src/base/entry.ts";
import type { LogIndex, Offset, Term, WallMs } from "../../src/base/ids.ts";
import { retentionOffset, type SegmentExtent } from "../../src/log/retention.ts";
import { entriesAfter, entryAfter, OPTIONS, openedLog, reopened } from "./driver.ts";

function point(index: number, timestamp: number): LogPoint {
  return {
    index: index as LogIndex,
    term: 1 as Term,
    endOffset: (index * 2) as Offset,
    timestamp: timestamp as WallMs,
  };
}

/** Three sealed segments of 1000 bytes that end at 100, 200 and 300 ms, and an active one. */
const SEGMENTS: readonly SegmentExtent[] = [0, 1, 2, 3].map((n) => ({
  before: n === 0 ? LOG_START : point(10 * n, 100 * n),
  last: point(10 * (n + 1), 100 * (n + 1)),
  bytes: n === 3 ? 400 : 1000,
}));

describe("retention", () => {
  test.each([
    ["no limit", null, null, 10_000, null],
    ["room for all", 3400, null, 10_000, null],
    ["one byte too many", 3399, null, 10_000, 20],
    ["room for two", 1400, null, 10_000, 40],
    ["room for nothing: the active one stays", 0, null, 10_000, 60],
    ["none is old enough", null, 150, 250, null],
    ["the first is too old by a millisecond", null, 149, 250, 20],
    ["all are old: the active one stays", null, 0, 10_000, 60],
    ["the stricter of the two counts", 2400, 60, 300, 40],
  ] as const)("with %s", (_, bytesMax, ageMsMax, now, offset) => {
    expect(retentionOffset(SEGMENTS, { bytesMax, ageMsMax }, now as WallMs)).toBe(offset);
  });

  test("proposes the offset at a boundary of the open log's segments", () => {
    const driver = openedLog({ ...OPTIONS, segmentBytesMax: 1500 });
    driver.write({ entries: entriesAfter(LOG_START, 1, 30) });
    const { storeBytes, end } = driver.log.status();
    const limits = { bytesMax: storeBytes - 1, ageMsMax: null };
    const first = driver.boundaries[0] as LogPoint;
    expect(driver.log.retentionOffset(limits, end.timestamp)).toBe(first.endOffset);
    driver.checkpoint(end).trim(first.endOffset).run();
    expect(driver.trimmed).toEqual([]);
  });
});

describe("a segment", () => {
  test("is rolled before an entry that is too much younger than its first, by log time", () => {
    const options = { ...OPTIONS, segmentAgeMsMax: 50 };
    const entries = chainOf([1, 51, 52, 60, 200]);
    const log = openedLog(options).write({ entries });
    expect(log.boundaries.map(({ index }) => index)).toEqual([2, 4]);
    const again = reopened(log.disk.killImage(), options);
    again.write({
      entries: [entryAfter({ ...again.log.status().end, timestamp: 250 as WallMs }, 1)],
    });
    expect(again.boundaries.map(({ index }) => index)).toEqual([5]);
  });
});

/** One record each, stamped with these times. */
function chainOf(times: readonly number[]) {
  let before = LOG_START;
  return times.map((time) => {
    const entry = entryAfter({ ...before, timestamp: (time - 1) as WallMs }, 1);
    before = {
      index: entry.index,
      term: entry.term,
      endOffset: (entry.offset + entry.count) as Offset,
      timestamp: entry.timestamp,
    };
    return entry;
  });
}
