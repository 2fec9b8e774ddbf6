// Seals: opening reads of sealed segments header and seal only, however long they are; and believes
// no seal that is torn, rotten, of another segment, or older than a truncation.
import { describe, expect, test } from "vitest";

import { type Entry, LOG_START, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex, Position, Term } from "../../src/base/ids.ts";
import { digestAfter, NO_DIGEST } from "../../src/log/digest.ts";
import { baseOfSeal, baseOfStore, sealFile } from "../../src/log/file-names.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { decodeSeal, encodeSeal, type Seal } from "../../src/log/seal.ts";
import { entriesAfter, hardStateOf, LogDriver, OPTIONS, openedLog, reopened } from "./driver.ts";
import { type DiskImage, digestOf, FakeDisk } from "./fake-disk.ts";

const SMALL: LogOptions = { ...OPTIONS, segmentBytesMax: 4000, indexEntriesMax: 30 };

/** A log of that many segments, the last of which alone is not covered by a checkpoint. */
function logOf(segments: number, options: LogOptions = SMALL): LogDriver {
  const driver = openedLog(options);
  while (driver.log.status().segments < segments) {
    driver.write({ entries: entriesAfter(driver.log.status().end, 1, 10) });
    driver.checkpoint(driver.log.status().end).run();
  }
  return driver;
}

function sealsOf(image: DiskImage): string[] {
  return [...image.keys()].filter((file) => baseOfSeal(file) !== null).sort();
}

/** Which store files were read beyond their headers while this image was opened. */
function scannedOn(image: DiskImage, options = SMALL): { driver: LogDriver; scanned: string[] } {
  const driver = reopened(image, options);
  const scanned = new Set<string>();
  for (const operation of driver.disk.performed) {
    if (operation.kind !== "read-at" || baseOfStore(operation.file) === null) continue;
    if (operation.position > 0 || operation.length > 512) scanned.add(operation.file);
  }
  return { driver, scanned: [...scanned].sort() };
}

describe("opening", () => {
  test("fifty segments reads one of them, and of the others header, seal and checkpoint", () => {
    const driver = logOf(50);
    const image = driver.disk.killImage();
    const { driver: again, scanned } = scannedOn(image);
    expect(scanned).toHaveLength(1);
    expect(again.opened?.end).toEqual(driver.log.status().end);
    const reads = again.disk.performed.filter(({ kind }) => kind === "read-at");
    expect(reads.length).toBeLessThan(3 * 50 + 20);
    expect(again.disk.performed.length).toBeLessThan(3 * 50 + 60);
    // Ten times the bytes in as many segments: no more operations.
    const long = logOf(50, { ...SMALL, segmentBytesMax: 40_000, indexEntriesMax: 300 });
    const large = scannedOn(long.disk.killImage(), { ...SMALL, indexEntriesMax: 300 });
    expect(large.scanned).toHaveLength(1);
    expect(large.driver.disk.performed.length).toBeLessThan(3 * 50 + 60);
    expect(again.allEntries()).toEqual(driver.allEntries());
  });

  test("a hundred and fifty segments reads each seal once, and no more of it than is there", () => {
    const image = logOf(150).disk.killImage();
    const { driver, scanned } = scannedOn(image);
    expect(scanned).toHaveLength(1);
    const lengths = new Map<string, number>();
    for (const operation of driver.disk.performed) {
      if (operation.kind !== "read-at" || baseOfSeal(operation.file) === null) continue;
      expect(lengths.has(operation.file)).toBe(false);
      lengths.set(operation.file, operation.length);
    }
    const sizes = sealsOf(image).map((file) => [file, image.get(file)?.length]);
    expect([...lengths].sort()).toEqual(sizes);
    expect(sizes.length).toBeGreaterThan(2 * 64);
  });

  test("knows the terms of segments that it does not read", () => {
    const driver = openedLog(SMALL);
    const entries: Entry[] = [];
    for (let term = 1; term <= 12; term++) {
      const before = entries.length === 0 ? LOG_START : pointAfter(entries.at(-1) as Entry);
      const more = entriesAfter(before, term, 7);
      driver.write({ hardState: hardStateOf(term), entries: more });
      entries.push(...more);
    }
    const runs = (reopened(driver.disk.killImage(), SMALL).opened as { termRuns: unknown })
      .termRuns;
    driver.checkpoint(driver.log.status().end).run();
    const { driver: again, scanned } = scannedOn(driver.disk.killImage());
    expect(scanned).toHaveLength(1);
    expect(again.opened?.termRuns).toEqual(runs);
    const offset = (entries[40] as Entry).offset;
    again.trim(offset).run();
    expect(again.trimmed).toEqual([]);
  });

  test("scans segments without a seal that holds, and seals them for the next time", () => {
    const image = logOf(6).disk.killImage();
    const [first, second, third, ...rest] = sealsOf(image);
    expect(rest).toHaveLength(2);
    const spoiled = new Map(image);
    spoiled.delete(first as string);
    spoiled.set(second as string, new Uint8Array(3));
    const rotten = (image.get(third as string) as Uint8Array).slice();
    rotten[60] = (rotten[60] as number) ^ 4;
    spoiled.set(third as string, rotten);
    const { driver, scanned } = scannedOn(spoiled);
    expect(scanned).toHaveLength(4);
    expect(digestOf(driver.disk.killImage())).toBe(
      digestOf(reopened(image, SMALL).disk.killImage()),
    );
    expect(scannedOn(driver.disk.killImage()).scanned).toHaveLength(1);
  });

  test("of a directory of before there were seals scans all of it once", () => {
    const image = new Map(logOf(5).disk.killImage());
    for (const file of sealsOf(image)) image.delete(file);
    const { driver, scanned } = scannedOn(image);
    expect(scanned).toHaveLength(5);
    expect(scannedOn(driver.disk.killImage()).scanned).toHaveLength(1);
  });

  test("scans what is not covered by a checkpoint: its heads are wanted", () => {
    const driver = logOf(4);
    const covered = driver.log.status().segments;
    driver.write({ entries: entriesAfter(driver.log.status().end, 1, 60) });
    const all = driver.log.status().segments;
    expect(all).toBeGreaterThan(covered + 1);
    expect(scannedOn(driver.disk.killImage()).scanned).toHaveLength(all - covered + 1);
  });

  test("believes no seal of another segment, nor one whose store is shorter than it says", () => {
    const image = logOf(5).disk.killImage();
    const [first, second] = sealsOf(image);
    const swapped = new Map(image).set(first as string, image.get(second as string) as Uint8Array);
    expect(scannedOn(swapped).scanned).toHaveLength(2);
    const short = new Map(image);
    const [store] = [...image.keys()].filter((file) => baseOfStore(file) !== null).sort();
    short.set(store as string, (image.get(store as string) as Uint8Array).slice(0, 900));
    expect(reopened(short, SMALL).refused).toMatchObject({
      kind: "damaged",
      damage: { file: store },
    });
  });
});

describe("a truncation into a sealed segment", () => {
  test("breaks its seal first, so that no crash leaves one that says too much", () => {
    const driver = openedLog(SMALL);
    const entries = entriesAfter(LOG_START, 1, 60);
    driver.write({ entries });
    const seals = sealsOf(driver.disk.killImage());
    expect(seals.length).toBeGreaterThan(1);
    const replaced = entriesAfter(pointAfter(entries[4] as Entry), 2, 3);
    driver.afterEach = () => {
      const all = reopened(driver.disk.killImage(), SMALL).allEntries();
      expect(all.slice(0, 5)).toEqual(entries.slice(0, 5));
    };
    const truncateFrom = 6 as LogIndex;
    driver.write({ hardState: hardStateOf(2), truncateFrom, entries: replaced });
    driver.afterEach = () => {};
    expect(sealsOf(driver.disk.killImage())).toEqual([]);
    const more = entriesAfter(driver.log.status().end, 2, 60);
    driver.write({ entries: more }).checkpoint(driver.log.status().end).run();
    const { driver: again, scanned } = scannedOn(driver.disk.killImage());
    expect(scanned).toHaveLength(1);
    expect(again.allEntries()).toEqual([...entries.slice(0, 5), ...replaced, ...more]);
  });
});

describe("a seal", () => {
  const entries = entriesAfter(LOG_START, 3, 9);
  const seal: Seal = {
    before: LOG_START,
    last: pointAfter(entries[8] as Entry),
    end: 4096 as Position,
    hardSequence: 17,
    digest: 0xdead_beef,
    runs: [
      { term: 1 as Term, firstIndex: 1 as LogIndex },
      { term: 3 as Term, firstIndex: 4 as LogIndex },
    ],
  };

  test("is read back as it was written, and not with any byte changed or missing", () => {
    const bytes = encodeSeal(seal);
    expect(decodeSeal(bytes)).toEqual(seal);
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ 0x10;
      expect(decodeSeal(changed)).toBeNull();
      expect(decodeSeal(bytes.slice(0, at))).toBeNull();
    }
  });

  test("holds the digest of index, term and checksum of each entry", () => {
    const driver = logOf(3);
    const all = driver.allEntries();
    const image = driver.disk.killImage();
    const [first] = sealsOf(image);
    const read = decodeSeal(image.get(first as string) as Uint8Array) as Seal;
    const inside = all.filter(({ index }) => index <= read.last.index);
    expect(read.digest).toBe(inside.reduce(digestAfter, NO_DIGEST));
    expect(first).toBe(sealFile(1 as LogIndex));
    const [a, b] = all as [Entry, Entry];
    const other = { ...a, bodyCrc: a.bodyCrc ^ 1 };
    expect(digestAfter(NO_DIGEST, other)).not.toBe(digestAfter(NO_DIGEST, a));
    expect([a, b].reduce(digestAfter, NO_DIGEST)).not.toBe([b, a].reduce(digestAfter, NO_DIGEST));
  });
});

test("a log that crashes at any effect of a roll opens with all that was acknowledged", () => {
  const driver = new LogDriver(new FakeDisk(), SMALL).open();
  driver.write({ hardState: hardStateOf(1) });
  const entries = entriesAfter(LOG_START, 1, 40);
  driver.afterEach = () => {
    for (const take of [(): number => 0, (count: number) => count]) {
      const image = driver.disk.powerLossImage({ take, index: () => null });
      const { log } = reopened(image, SMALL);
      expect(log.status().end.index).toBeGreaterThanOrEqual(driver.log.status().durableIndex);
    }
  };
  for (let n = 0; n < 40; n += 4) driver.write({ entries: entries.slice(n, n + 4) });
  expect(driver.boundaries.length).toBeGreaterThan(0);
});
