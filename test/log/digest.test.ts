// Digests of stretches of entries: joined from their parts without a look at any entry, the same
// wherever segments end, and what follows when they differ from the cluster's.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { crc32c, crc32cJoined } from "../../src/base/crc32c.ts";
import { LOG_START, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import { digestAfter, digestBehind, digestJoined, NO_DIGEST } from "../../src/log/digest.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { entriesAfter, OPTIONS, openedLog, reopened } from "./driver.ts";

const SMALL: LogOptions = { ...OPTIONS, segmentBytesMax: 1500, indexEntriesMax: 7 };
const index = (value: number): LogIndex => value as LogIndex;

function digestOf(entries: readonly Parameters<typeof digestAfter>[1][]): number {
  return entries.reduce(digestAfter, NO_DIGEST);
}

test("the checksum of two stretches is that of the whole", () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(bytes, bytes, (first, second) => {
      const whole = crc32c(second, crc32c(first));
      expect(crc32cJoined(crc32c(first), crc32c(second), second.length)).toBe(whole);
    }),
  );
});

test("the digest of what is behind is joined to what is before, and taken away again", () => {
  const entries = entriesAfter(LOG_START, 1, 40);
  for (let cut = 0; cut <= entries.length; cut++) {
    const [before, behind] = [digestOf(entries.slice(0, cut)), digestOf(entries.slice(cut))];
    const count = entries.length - cut;
    expect(digestJoined(before, behind, count)).toBe(digestOf(entries));
    expect(digestBehind(before, digestOf(entries), count)).toBe(behind);
  }
});

describe("a log", () => {
  test("knows the digest of any entries since the last segments, wherever those end", () => {
    const driver = openedLog(SMALL);
    const entries = entriesAfter(LOG_START, 1, 40);
    driver.write({ entries });
    const { segments } = driver.log.status();
    expect(segments).toBeGreaterThan(4);
    for (let first = 1; first <= 40; first++) {
      for (let last = first; last <= 40; last++) {
        const expected = digestOf(entries.slice(first - 1, last));
        expect(driver.log.digestOf(index(first), index(last))).toBe(expected);
      }
    }
    expect(driver.log.digestOf(index(1), index(41))).toBeNull();
  });

  test("forgets digests inside of old segments, and still knows those of whole ones", () => {
    const driver = openedLog(SMALL);
    const entries = entriesAfter(LOG_START, 1, 20);
    driver.write({ entries });
    driver.checkpoint(pointAfter(entries[19] as (typeof entries)[0])).run();
    const more = entriesAfter(pointAfter(entries[19] as (typeof entries)[0]), 1, 30);
    driver.write({ entries: more });
    expect(driver.log.digestOf(index(2), index(50))).toBeNull();
    expect(driver.log.digestOf(index(1), index(50))).toBe(digestOf([...entries, ...more]));
  });

  test("that differs from the cluster refuses to go on, and at every later opening", () => {
    const driver = openedLog(SMALL);
    driver.write({ entries: entriesAfter(LOG_START, 1, 20) });
    driver.step({ kind: "differs", first: index(3), last: index(9) });
    driver.run();
    const what = "entries 3 to 9 are not those that the cluster agreed on";
    expect(driver.refused).toMatchObject({ kind: "damaged", damage: { what, index: 3 } });
    for (let image = driver.disk.killImage(), time = 0; time < 2; time++) {
      const again = reopened(image, SMALL);
      const damage = { file: "manifest", position: 400, what, index: null };
      expect(again.refused).toEqual({ kind: "damaged", damage });
      image = again.disk.killImage();
    }
  });
});
