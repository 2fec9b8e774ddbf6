// A full disk: what met it before a sync is taken back and waits, reads go on, and all goes on once
// there is room. The reserve lets a checkpoint be taken, the log be trimmed, and the node stop.
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type Entry, LOG_START, type LogPoint, pointAfter } from "../../src/base/entry.ts";
import { type LogIndex, NEVER } from "../../src/base/ids.ts";
import { RESERVE_FILE } from "../../src/log/file-names.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { scanStore } from "../../src/log/recovery.ts";
import {
  entriesAfter,
  hardStateOf,
  LogDriver,
  OPTIONS,
  openedLog,
  reopened,
  stateAt,
} from "./driver.ts";
import { type CrashChoices, FakeDisk } from "./fake-disk.ts";

const SMALL: LogOptions = { ...OPTIONS, segmentBytesMax: 1500, indexEntriesMax: 7 };
const RESERVED: LogOptions = { ...SMALL, reserveBytes: 4096 };
const PLENTY = Number.MAX_SAFE_INTEGER;
const ALL: CrashChoices = { take: (count) => count, index: () => null };

function endOf(entries: readonly Entry[]): LogPoint {
  const last = entries.at(-1);
  return last === undefined ? LOG_START : pointAfter(last);
}

describe("a write that meets a full disk", () => {
  test("waits, says so, and is durable once there is room; reads go on", () => {
    const driver = openedLog();
    const entries = entriesAfter(LOG_START, 1, 3);
    driver.write({ entries });
    driver.disk.room = 100;
    const more = entriesAfter(endOf(entries), 1, 4);
    driver.write({ entries: more });
    expect(driver.rooms).toEqual(["full"]);
    expect(driver.poisoned).toBeNull();
    expect(driver.persisted).toBe(2);
    expect(driver.log.status()).toMatchObject({ state: "open", durableIndex: 3, room: "full" });
    expect(driver.log.status().backlogBytes).toBeGreaterThan(0);
    expect(driver.allEntries()).toEqual([...entries, ...more]);
    driver.retry();
    expect(driver.persisted).toBe(2);
    expect(driver.log.deadline).not.toBe(NEVER);
    driver.disk.room = PLENTY;
    driver.retry();
    expect(driver.rooms).toEqual(["full", "plenty"]);
    expect(driver.persisted).toBe(3);
    expect(driver.log.deadline).toBe(NEVER);
    expect(driver.log.status()).toMatchObject({ durableIndex: 7, backlogBytes: 0 });
    expect(reopened(driver.disk.killImage()).allEntries()).toEqual([...entries, ...more]);
  });

  test("leaves none of its frames behind other entries that take its place", () => {
    const driver = openedLog({ ...OPTIONS, preallocateBytes: 0 });
    const entries = entriesAfter(LOG_START, 1, 2);
    driver.write({ entries });
    const lost = entriesAfter(endOf(entries), 1, 4);
    driver.disk.room = 600;
    driver.write({ entries: lost });
    expect(driver.rooms).toEqual(["full"]);
    const store = scanStore(driver.disk.killImage().get("00000000000000000001.store") as never);
    expect(store?.verdict).toEqual({ kind: "clean" });
    // Of the same length as the first that was lost: the second would stand right behind it.
    const other = entriesAfter(endOf(entries), 2, 1);
    driver.submit({ hardState: hardStateOf(2), truncateFrom: 3 as LogIndex, entries: other });
    driver.disk.room = PLENTY;
    driver.retry();
    for (const image of [driver.disk.killImage(), driver.disk.powerLossImage(ALL)]) {
      expect(reopened(image).allEntries()).toEqual([...entries, ...other]);
    }
  });

  test("at any place, however often, loses nothing and poisons nothing", () => {
    const rooms = fc.array(fc.nat({ max: 900 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(rooms, fc.constantFrom(0, 300), (steps, preallocateBytes) => {
        const options = { ...SMALL, preallocateBytes };
        const driver = openedLog(options);
        const first = entriesAfter(LOG_START, 1, 12);
        driver.disk.room = 0;
        driver.write({ entries: first.slice(0, 5) }).write({ entries: first.slice(5) });
        const kept = first.slice(0, 7);
        const second = entriesAfter(endOf(kept), 2, 8);
        driver.submit({ hardState: hardStateOf(2), truncateFrom: 8 as LogIndex, entries: second });
        driver.run();
        for (const room of steps) {
          driver.disk.room = room;
          if (driver.log.deadline !== NEVER) driver.retry();
          const image = driver.disk.killImage();
          const found = reopened(image, options).allEntries();
          const { durableIndex } = driver.log.status();
          expect(found.slice(0, durableIndex).length).toBe(durableIndex);
        }
        driver.disk.room = PLENTY;
        while (driver.log.deadline !== NEVER) driver.retry();
        expect(driver.poisoned).toBeNull();
        expect(driver.persisted).toBe(4);
        expect(driver.allEntries()).toEqual([...kept, ...second]);
        expect(reopened(driver.disk.killImage(), options).allEntries()).toEqual([
          ...kept,
          ...second,
        ]);
      }),
      { numRuns: 60 },
    );
  });

  test("whose sync fails is not believed to be merely without room", () => {
    const driver = openedLog();
    driver.disk.room = 100;
    driver.disk.failure = { when: ({ kind }) => kind === "sync", code: "EIO" };
    driver.write({ entries: entriesAfter(LOG_START, 1, 4) });
    expect(driver.poisoned).toMatchObject({ code: "disk-failed" });
  });

  test("is not waited for by a stop, which leaves the directory in order", () => {
    const driver = openedLog(RESERVED);
    const entries = entriesAfter(LOG_START, 1, 2);
    driver.write({ entries });
    expect(driver.log.status().isReserved).toBe(true);
    driver.disk.room = 0;
    driver.write({ entries: entriesAfter(endOf(entries), 1, 9) });
    expect(driver.log.status().room).toBe("full");
    expect(driver.close().closed).toBe(true);
    expect(driver.poisoned).toBeNull();
    const image = driver.disk.killImage();
    expect(image.has(RESERVE_FILE)).toBe(false);
    const again = reopened(image, RESERVED);
    expect(again.opened).toMatchObject({ cleanStop: true, end: endOf(entries) });
  });
});

describe("the reserve", () => {
  test("is there after the first opening, and after every other", () => {
    const driver = openedLog(RESERVED);
    expect(driver.disk.killImage().get(RESERVE_FILE)?.length).toBe(4096);
    const larger = { ...RESERVED, reserveBytes: 8192 };
    expect(reopened(driver.disk.killImage(), larger).log.status().isReserved).toBe(true);
    const none = reopened(driver.disk.killImage(), SMALL);
    expect(none.disk.killImage().has(RESERVE_FILE)).toBe(false);
  });

  test("is given up for a checkpoint, so that a full disk can be trimmed and goes on", () => {
    const driver = openedLog(RESERVED);
    const entries = entriesAfter(LOG_START, 1, 30);
    driver.write({ entries });
    driver.disk.room = 0;
    const more = entriesAfter(endOf(entries), 1, 9);
    driver.write({ entries: more });
    expect(driver.log.status().room).toBe("full");
    driver.checkpoint(endOf(entries)).run();
    expect(driver.log.status()).toMatchObject({ isReserved: false, startIndex: 1 });
    driver.trim(endOf(entries).endOffset).run();
    expect(driver.trimmed).toEqual([endOf(entries)]);
    expect(driver.rooms).toEqual(["full", "plenty"]);
    expect(driver.log.status()).toMatchObject({ durableIndex: 39, isReserved: true });
    expect(reopened(driver.disk.killImage(), RESERVED).allEntries()).toEqual(more);
  });

  test("is given up for a trim's entry and what waits before it, roll included", () => {
    const driver = openedLog(RESERVED);
    const entries = entriesAfter(LOG_START, 1, 30);
    driver.write({ entries });
    driver.disk.room = 0;
    driver.write({ entries: entriesAfter(endOf(entries), 1, 5) });
    driver.retry();
    expect(driver.log.status()).toMatchObject({ room: "full", durableIndex: 30 });
    const [last] = entriesAfter(LOG_START, 1, 35).slice(-1);
    const trim = { ...entriesAfter(endOf([last as Entry]), 1, 1)[0], kind: "trim" } as Entry;
    driver.write({ entries: [trim] });
    expect(driver.poisoned).toBeNull();
    expect(driver.log.status()).toMatchObject({ durableIndex: 36, isReserved: false });
  });

  test("is given up when the others have what waits", () => {
    const driver = openedLog(RESERVED);
    const entries = entriesAfter(LOG_START, 1, 30);
    driver.write({ entries });
    driver.disk.room = 0;
    driver.write({ entries: entriesAfter(endOf(entries), 1, 5) });
    driver.step({ kind: "spend-reserve" });
    driver.run();
    expect(driver.log.status()).toMatchObject({ durableIndex: 35, isReserved: false });
    expect(driver.rooms.at(0)).toBe("full");
  });

  test("is given up to open a directory on a disk that is full", () => {
    const driver = openedLog(RESERVED);
    const entries = entriesAfter(LOG_START, 1, 10);
    driver.write({ entries }).close();
    const disk = new FakeDisk(driver.disk.killImage());
    disk.room = 0;
    const again = new LogDriver(disk, RESERVED).open();
    expect(again.refused).toBeNull();
    expect(again.allEntries()).toEqual(entries);
  });
});

test("a checkpoint without room is done without, and the next one is tried", () => {
  const driver = openedLog();
  const entries = entriesAfter(LOG_START, 1, 9);
  driver.write({ entries });
  driver.disk.room = 0;
  driver.checkpoint(endOf(entries.slice(0, 4))).run();
  expect(driver.poisoned).toBeNull();
  driver.disk.room = PLENTY;
  driver.checkpoint(endOf(entries.slice(0, 6))).run();
  const { opened } = reopened(driver.disk.killImage());
  expect(opened?.checkpoint).toEqual({ at: endOf(entries.slice(0, 6)), state: stateAt(6) });
});

test("more than the backlog may be is congestion, told until half of it is durable", () => {
  const driver = openedLog({ ...OPTIONS, backlogBytesMax: 1000 });
  const entries = entriesAfter(LOG_START, 1, 20);
  for (const entry of entries.slice(0, 5)) driver.submit({ entries: [entry] });
  expect(driver.rooms).toEqual([]);
  for (const entry of entries.slice(5)) driver.submit({ entries: [entry] });
  expect(driver.rooms).toEqual(["congested"]);
  driver.run();
  expect(driver.rooms).toEqual(["congested", "plenty"]);
  expect(driver.log.status()).toMatchObject({ durableIndex: 20, backlogBytes: 0 });
});
