// The log without its bytes, compared with a plain array that keeps everything.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Entry, LOG_START, pointAfter } from "../../src/base/entry.ts";
import { LogTail, RECENT_ENTRIES_MAX } from "../../src/raft/log-tail.ts";
import { at, entriesAfter, logOf, restoredOf, term } from "./subject.ts";

const sizeOf = (entries: readonly Entry[]) =>
  entries.reduce((bytes, { frame }) => bytes + frame.length, 0);

describe("a log tail", () => {
  test("knows what an array of all entries knows", () => {
    const move = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("append"), pick: fc.nat(400) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("truncate"), pick: fc.nat(4000) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("commit"), pick: fc.nat(4000) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("trim"), pick: fc.nat(4000) }) },
    );
    const property = fc.property(fc.array(move, { maxLength: 25, size: "max" }), (moves) => {
      const tail = new LogTail(restoredOf({}));
      const all: Entry[] = [];
      let commit = 0;
      let start = 0;
      let newest = 1;
      for (const { kind, pick } of moves) {
        if (kind === "append") {
          newest += pick % 3;
          const last = all.at(-1);
          const point = last === undefined ? LOG_START : pointAfter(last);
          for (const entry of entriesAfter(point, new Array(pick).fill(newest))) {
            all.push(entry);
            tail.append(entry);
          }
        } else if (kind === "truncate" && all.length > commit) {
          const from = commit + 1 + (pick % (all.length - commit));
          all.length = from - 1;
          tail.truncate(at(from));
        } else if (kind === "commit" && all.length > commit) {
          commit += 1 + (pick % (all.length - commit));
          tail.committed(at(commit));
        } else if (kind === "trim" && commit > 0) {
          const place = 1 + (pick % commit);
          start = Math.max(start, place);
          tail.trim(pointAfter(all[place - 1] as Entry));
        }
        checkEqual(tail, all, start, pick);
      }
    });
    fc.assert(property, { seed: 6, numRuns: 50 });
  });

  /** All that comes before the place `start` is trimmed; the place itself is known. */
  function checkEqual(tail: LogTail, all: readonly Entry[], start: number, pick: number): void {
    const last = all.at(-1);
    expect(tail.lastIndex).toBe(all.length);
    expect(tail.lastTerm).toBe(last?.term ?? 0);
    expect(tail.endOffset).toBe(last === undefined ? 0 : last.offset + last.count);
    expect(tail.termAt(at(all.length + 1))).toBeNull();
    expect(tail.startIndex).toBe(start);
    expect(tail.termAt(at(Math.max(0, start - 1)))).toBe(start < 2 ? 0 : null);
    const index = start + (pick % (all.length - start + 1));
    const entry = all[index - 1];
    expect(tail.termAt(at(index))).toBe(entry?.term ?? 0);
    expect(tail.pointAt(at(index))).toEqual(entry === undefined ? LOG_START : pointAfter(entry));
    expect(tail.bytesBetween(at(index), tail.lastIndex)).toBe(sizeOf(all.slice(index)));
    if (index < all.length) {
      const bytesMax = pick * 10;
      const cut = tail.lastWithin(at(index), bytesMax);
      expect(cut === index + 1 || sizeOf(all.slice(index, cut)) <= bytesMax).toBe(true);
      const oneMore = sizeOf(all.slice(index, cut + 1));
      expect(cut === all.length || oneMore > bytesMax).toBe(true);
    }
    const atMost = pick % 9;
    let joins = Math.min(pick, all.length);
    while (joins >= Math.max(1, start) && (all[joins - 1]?.term ?? 0) > atMost) joins -= 1;
    const found = tail.lastAtMost(at(pick), term(atMost));
    const known = joins < start ? 0 : (all[joins - 1]?.term ?? 0);
    expect(found).toEqual({ index: joins, term: known });
  }

  test("keeps what a peer this far behind needs, and forgets the rest as commits go on", () => {
    const tail = new LogTail(restoredOf({}));
    const terms = new Array(RECENT_ENTRIES_MAX * 3).fill(1);
    for (const entry of entriesAfter(LOG_START, terms)) {
      tail.append(entry);
      tail.committed(entry.index);
    }
    const last = RECENT_ENTRIES_MAX * 3;
    expect(tail.isRecent(at(last - RECENT_ENTRIES_MAX))).toBe(true);
    expect(tail.isRecent(at(last - RECENT_ENTRIES_MAX - 1))).toBe(false);
    expect(tail.termAt(at(1))).toBe(1);
    expect(() => tail.pointAt(at(1))).toThrow(/recent/);
    expect(tail.bytesBetween(at(last - 10), at(last))).toBe(1040);
  });

  test("restored from a checkpoint knows the terms before it and the place after it", () => {
    const tail = new LogTail(restoredOf({ log: [1, 1, 2, 2, 3], base: 4, trimmedTo: 2, term: 3 }));
    expect([0, 1, 2, 3, 4, 5, 6].map((index) => tail.termAt(at(index)))).toEqual([
      0,
      null,
      1,
      2,
      2,
      3,
      null,
    ]);
    expect(tail.pointAt(at(4))).toEqual(pointAfter(logOf([1, 1, 2, 2])[3] as Entry));
    expect(tail.isRecent(at(3))).toBe(false);
  });

  test("restored from a checkpoint whose whole log is trimmed knows its term", () => {
    const tail = new LogTail(restoredOf({ log: [1, 2, 2], base: 3, trimmedTo: 4, term: 2 }));
    expect([2, 3, 4].map((index) => tail.termAt(at(index)))).toEqual([null, 2, null]);
    expect(tail.endOffset).toBe(3);
  });

  test.each<[string, Partial<Entry>]>([
    ["an index that does not follow", { index: at(3) }],
    ["another term before it", { prevTerm: term(1) }],
    ["a gap in offsets", { offset: 1 as Entry["offset"] }],
  ])("refuses an entry with %s", (_, change) => {
    const tail = new LogTail(restoredOf({}));
    expect(() => tail.append({ ...(logOf([1])[0] as Entry), ...change })).toThrow();
  });
});
