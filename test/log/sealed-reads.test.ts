// Reads of sealed segments, whose indexes are in their files only: by index, offset, log time and
// from the end; how many disk reads that takes; and index files that say anything at all.
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type Entry, LOG_START, type LogPoint, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex, Offset, WallMs } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { baseOfIndex, baseOfStore } from "../../src/log/file-names.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { sameFrame } from "./crash-model.ts";
import {
  entriesAfter,
  entriesOf,
  entryAfter,
  LogDriver,
  OPTIONS,
  openedLog,
  reopened,
} from "./driver.ts";
import { type DiskImage, FakeDisk } from "./fake-disk.ts";

const SMALL: LogOptions = { ...OPTIONS, segmentBytesMax: 3000, indexEntriesMax: 20 };
const BIG: LogOptions = { ...OPTIONS, segmentBytesMax: 400_000, indexEntriesMax: 4000 };
const ALL = 1_000_000 as LogIndex;

/** A log whose segments are all sealed and released but the last, just opened. */
function sealedLog(entries: readonly Entry[], options: LogOptions): LogDriver {
  const driver = openedLog(options);
  for (let n = 0; n < entries.length; n += 50) driver.write({ entries: entries.slice(n, n + 50) });
  driver.checkpoint(driver.log.status().end).run();
  return reopened(driver.disk.killImage(), options);
}

const ENTRIES = entriesAfter(LOG_START, 1, 90);
/** Every third entry has the same time as the one before it. */
const TIMED = timed(ENTRIES.length);

function timed(count: number): Entry[] {
  const entries: Entry[] = [];
  let before: LogPoint = LOG_START;
  for (let n = 0; n < count; n++) {
    const timestamp = (n % 3 === 0 ? before.timestamp - 1 : before.timestamp + 6) as WallMs;
    const entry = entryAfter({ ...before, timestamp }, 1, n % 4);
    entries.push(entry);
    before = pointAfter(entry);
  }
  return entries;
}

describe("a sealed segment", () => {
  test("is read by index, by offset and in whole stretches like any other", () => {
    for (const driver of [sealedLog(ENTRIES, SMALL), running(ENTRIES)]) {
      expect(driver.log.status().segments).toBeGreaterThan(4);
      expect(driver.allEntries()).toEqual(ENTRIES);
      for (const entry of ENTRIES) {
        expect(driver.entriesFrom(entry.index, 1)).toEqual([entry]);
        for (let n = 0; n < entry.count; n++) {
          expect(driver.entriesAt(entry.offset + n, 1)).toEqual([entry]);
        }
      }
      const { endOffset } = driver.log.status().end;
      expect(driver.entriesAt(endOffset, 1)).toEqual([]);
    }
  });

  test("gives as much as bytesMax and lastIndex allow, and one entry at least", () => {
    const driver = sealedLog(ENTRIES, SMALL);
    const some = driver.entriesFrom(3, 700);
    const bytes = some.reduce((sum, entry) => sum + entry.frame.length, 0);
    expect(bytes).toBeLessThanOrEqual(700);
    expect(bytes).toBeGreaterThan(300);
    const from = { kind: "index", index: 3 as LogIndex } as const;
    expect(entriesOf(driver.read(from, 1_000_000, 6 as LogIndex))).toEqual(ENTRIES.slice(2, 6));
    const long = [...entriesAfter(LOG_START, 1, 1)];
    long.push(entryAfter(pointAfter(long[0] as Entry), 1, 1, 20_000));
    long.push(...entriesAfter(pointAfter(long[1] as Entry), 1, 30));
    const large = sealedLog(long, SMALL);
    expect(large.entriesFrom(2, 1)).toEqual([long[1]]);
    expect(large.allEntries()).toEqual(long);
  });

  test("is read by log time: from the first entry that is not older", () => {
    for (const driver of [
      sealedLog(TIMED, SMALL),
      running(TIMED),
      openedLog().write({ entries: TIMED }),
    ]) {
      const { timestamp: newest } = driver.log.status().end;
      for (let at = 0; at <= newest + 1; at++) {
        const found = driver.read({ kind: "timestamp", at: at as WallMs }, 1);
        const expected = TIMED.find(({ timestamp }) => timestamp >= at);
        expect(entriesOf(found)).toEqual(expected === undefined ? [] : [expected]);
      }
      const from = { kind: "timestamp", at: 100 as WallMs } as const;
      expect(entriesOf(driver.read(from, 1, 5 as LogIndex))).toEqual([]);
    }
  });

  test("is read from the end: the last n records up to lastIndex", () => {
    for (const driver of [sealedLog(ENTRIES, SMALL), openedLog().write({ entries: ENTRIES })]) {
      for (const lastIndex of [90, 71, 33, 2, 1]) {
        const known = ENTRIES.slice(0, lastIndex);
        const end = pointAfter(known.at(-1) as Entry).endOffset;
        for (const count of [0, 1, 2, 7, 1000]) {
          const found = driver.read({ kind: "last", count }, 1, lastIndex as LogIndex);
          const offset = Math.max(0, end - count);
          const holder = known.find((e) => e.offset <= offset && offset < e.offset + e.count);
          expect(entriesOf(found)).toEqual(holder === undefined ? [] : [holder]);
        }
      }
    }
  });
});

/** A log that was checkpointed while it ran, and never opened again. */
function running(entries: readonly Entry[]): LogDriver {
  const driver = openedLog(SMALL);
  for (let n = 0; n < entries.length; n += 3) {
    driver.write({ entries: entries.slice(n, n + 3) });
    driver.checkpoint(driver.log.status().end).run();
  }
  return driver;
}

describe("a read of a sealed segment", () => {
  const many = entriesAfter(LOG_START, 1, 6000, 20);
  const image = sealedLog(many, BIG).disk.killImage();

  function readsOf(ask: (driver: LogDriver) => void, driver = reopened(image, BIG)): number {
    const before = driver.disk.performed.length;
    ask(driver);
    const performed = driver.disk.performed.slice(before);
    expect(performed.every(({ kind }) => kind === "read-at")).toBe(true);
    return performed.length;
  }

  test("takes one read for its index and one for its entries; the next stretch one alone", () => {
    const driver = reopened(image, BIG);
    expect(readsOf((log) => log.entriesFrom(1234, 1), driver)).toBe(2);
    let next = 0;
    readsOf((log) => {
      next = (log.entriesFrom(200, 9000).at(-1)?.index ?? 0) + 1;
    }, driver);
    expect(readsOf((log) => log.entriesFrom(next, 9000), driver)).toBe(1);
  });

  test("by offset or time takes reads in the logarithm of the entries", () => {
    const { end } = reopened(image, BIG).log.status();
    for (let offset = 0; offset < end.endOffset; offset += 611) {
      expect(readsOf((log) => log.entriesAt(offset, 1))).toBeLessThanOrEqual(6);
    }
    for (let at = 1; at < end.timestamp; at += 577) {
      const from = { kind: "timestamp", at: at as WallMs } as const;
      expect(readsOf((log) => log.read(from, 1))).toBeLessThanOrEqual(20);
    }
  });

  test("keeps no more of the indexes in memory than a few blocks, whatever is read", () => {
    const driver = reopened(image, BIG);
    expect(driver.log.status().cachedBytes).toBe(0);
    for (let index = 1; index <= 6000; index += 7) driver.entriesFrom(index, 1);
    expect(readsOf((log) => log.entriesFrom(17, 1), driver)).toBeLessThanOrEqual(2);
  });
});

describe("a read of large entries in a sealed segment", () => {
  const LARGE: LogOptions = { ...OPTIONS, segmentBytesMax: 300_000, indexEntriesMax: 40 };
  const large: Entry[] = [];
  for (let n = 0; n < 30; n++) {
    const before = large.at(-1);
    large.push(entryAfter(before ? pointAfter(before) : LOG_START, 1, 1, 18_000 + 1000 * (n % 7)));
  }
  const image = sealedLog(large, LARGE).disk.killImage();

  const areLarge = (entries: readonly Entry[]): boolean =>
    entries.length === large.length && large.every((entry, n) => sameFrame(entry, entries[n]));

  test("asks the store for no byte that it does not return, whatever the bound", () => {
    for (const bytesMax of [1, 20_000, 50_000, 65_000, 200_000]) {
      const driver = reopened(image, LARGE);
      const { performed } = driver.disk;
      const before = performed.length;
      expect(areLarge(driver.allEntries(bytesMax))).toBe(true);
      const stores = performed.slice(before).filter((one) => {
        return one.kind === "read-at" && baseOfStore(one.file) !== null;
      });
      const asked = stores.reduce((sum, one) => sum + (one.kind === "read-at" ? one.length : 0), 0);
      const { storeBytes } = driver.log.status();
      expect(asked).toBeLessThanOrEqual(storeBytes);
    }
  });

  test("finds them although the index file says that they end anywhere", () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(1, 30_000, 100_000), (seed, bytesMax) => {
        const prng = new Prng(seed);
        const driver = reopened(image, LARGE);
        for (const [file, bytes] of image) {
          if (baseOfIndex(file) === null) continue;
          const spoilt = bytes.slice();
          const view = new DataView(spoilt.buffer);
          for (let at = 4; at + 8 <= spoilt.length; at += 12) {
            if (prng.chance(1, 2)) view.setBigUint64(at, BigInt(prng.below(400_000)));
          }
          driver.disk.rot(new Map([[file, spoilt]]));
        }
        expect(areLarge(driver.allEntries(bytesMax))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });
});

describe("an index file of a sealed segment that says anything", () => {
  const image = sealedLog(ENTRIES, SMALL).disk.killImage();
  const indexes = [...image.keys()].filter((file) => baseOfIndex(file) !== null).slice(0, -1);

  /** Bytes change under the open log, as rot would have it. */
  function spoil(driver: LogDriver, file: string, position: number, bytes: Uint8Array): void {
    const opId = 1_000_000 as never;
    const operation = { kind: "write-at", opId, file, position: position as never } as const;
    driver.disk.submit({ ...operation, parts: [bytes] });
    driver.disk.performNext(file);
  }

  test("misleads no reader: it is rebuilt from the store", () => {
    fc.assert(
      fc.property(fc.string(), fc.nat({ max: 89 }), fc.boolean(), (seed, at, byOffset) => {
        const prng = new Prng(seed);
        const driver = reopened(image, SMALL);
        for (const file of indexes) spoil(driver, file, 0, prng.bytes(240));
        const entry = ENTRIES[at] as Entry;
        const found =
          byOffset && entry.count > 0
            ? driver.entriesAt(entry.offset, 1)
            : driver.entriesFrom(entry.index, 1);
        expect(found).toEqual([entry]);
        expect(driver.allEntries()).toEqual(ENTRIES);
      }),
      { numRuns: 80 },
    );
  });

  test("that says nothing begins before, or all does, misleads no reader either", () => {
    for (const fill of [0, 255]) {
      const driver = reopened(image, SMALL);
      for (const file of indexes) {
        const bytes = (image.get(file) as Uint8Array).slice();
        for (let at = 0; at + 4 <= 240; at += 12) bytes.fill(fill, at, at + 4);
        spoil(driver, file, 0, bytes);
      }
      for (const entry of ENTRIES.filter(({ count }) => count > 0)) {
        expect(driver.entriesAt(entry.offset, 1)).toEqual([entry]);
      }
    }
  });

  test("is no excuse for a store that rotted: that is a fault with its place", () => {
    const stores = [...image.keys()].filter((file) => baseOfStore(file) !== null);
    const file = stores[1] as string;
    const driver = reopened(image, SMALL);
    spoil(driver, file, 800, new Uint8Array([0xee, 0xdd]));
    const first = baseOfStore(file) as LogIndex;
    const answer = driver.read({ kind: "index", index: (first + 1) as LogIndex });
    expect(answer).toMatchObject({ kind: "failed", fault: { code: "damaged", file } });
    expect(driver.poisoned).toBeNull();
    expect(driver.entriesFrom(1, 1)).toEqual(ENTRIES.slice(0, 1));
    // The node is told, and no seal vouches for the segment when the directory is opened again.
    expect(driver.refused).toMatchObject({ kind: "damaged", damage: { file } });
    const again = reopened(driver.disk.killImage(), SMALL);
    expect(again.refused).toMatchObject({ kind: "damaged", damage: { file } });
  });

  test("is rebuilt once by many readers at a time", () => {
    const driver = reopened(image, SMALL);
    for (const file of indexes) spoil(driver, file, 0, new Uint8Array(240).fill(9));
    const first = { kind: "index", index: 2 as LogIndex } as const;
    const ids = [1, 2, 3, 4, 5].map(() => driver.askRead(first, 1));
    driver.run();
    for (const id of ids) expect(driver.answers.get(id)).toMatchObject({ entries: [ENTRIES[1]] });
    const writes = driver.disk.performed.filter(({ kind }) => kind === "write-at");
    expect(writes.filter((w) => "file" in w && w.file === indexes[0])).toHaveLength(2);
  });
});

test("a read by offset before anything, or of an empty log, finds nothing", () => {
  const driver = new LogDriver(new FakeDisk(), SMALL).open();
  for (const from of [
    { kind: "offset", offset: 0 as Offset },
    { kind: "timestamp", at: 0 as WallMs },
    { kind: "last", count: 5 },
  ] as const) {
    expect(driver.read(from, 100, ALL)).toMatchObject({ kind: "entries", entries: [] });
  }
  const empty: DiskImage = driver.disk.killImage();
  expect(reopened(empty, SMALL).entriesAt(0)).toEqual([]);
});
