// The log machine as its node sees it: open, write, read, truncate, roll, close, disk trouble.
import { describe, expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import type { Entry } from "../../src/base/entry.ts";
import { LOG_START, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import { GROUP_BYTES_MAX } from "../../src/log/writer.ts";
import {
  entriesAfter,
  entriesOf,
  entryAfter,
  hardStateOf,
  LogDriver,
  OPTIONS,
  openedLog,
  reopened,
} from "./driver.ts";

const SMALL = { ...OPTIONS, segmentBytesMax: 2048 };
const index = (value: number) => value as LogIndex;

function endOf(entries: readonly Entry[]) {
  const last = entries.at(-1);
  return last === undefined ? LOG_START : pointAfter(last);
}

describe("a log on an empty directory", () => {
  test("makes it, and opens empty", () => {
    const driver = new LogDriver().open();
    expect(driver.opened).toMatchObject({
      hardState: { term: 0, votedFor: null },
      checkpoint: null,
      startIndex: 1,
      startOffset: 0,
      termRuns: [],
      tail: [],
      end: LOG_START,
      tornBytes: 0,
    });
    expect(driver.disk.isAllDurable).toBe(true);
  });

  test("reads back what it wrote, and again after a kill", () => {
    const entries = entriesAfter(LOG_START, 1, 20);
    const driver = openedLog();
    driver.write({ entries });
    expect(driver.persisted).toBe(2);
    expect(driver.allEntries()).toEqual(entries);
    const again = reopened(driver.disk.killImage());
    expect(again.refused).toBeNull();
    expect(again.opened).toMatchObject({ end: endOf(entries), cleanStop: false, tornBytes: 0 });
    expect(again.allEntries()).toEqual(entries);
  });

  test("rolls segments and goes on over them", () => {
    const driver = openedLog(SMALL);
    const entries = entriesAfter(LOG_START, 1, 60);
    for (const entry of entries) driver.submit({ entries: [entry] });
    driver.run();
    expect(driver.log.status().segments).toBeGreaterThan(3);
    expect(driver.allEntries()).toEqual(entries);
    const again = reopened(driver.disk.killImage(), SMALL);
    expect(again.allEntries()).toEqual(entries);
  });

  test("truncates a tail over segments and writes on from there", () => {
    const driver = openedLog(SMALL);
    const entries = entriesAfter(LOG_START, 1, 60);
    driver.write({ entries });
    const kept = entries.slice(0, 9);
    const replaced = entriesAfter(endOf(kept), 2, 30);
    driver.write({ hardState: hardStateOf(2, "n2"), truncateFrom: index(10), entries: replaced });
    expect(driver.allEntries()).toEqual([...kept, ...replaced]);
    const again = reopened(driver.disk.killImage(), SMALL);
    expect(again.refused).toBeNull();
    expect(again.opened?.hardState).toEqual(hardStateOf(2, "n2"));
    expect(again.allEntries()).toEqual([...kept, ...replaced]);
  });

  test("counts what one truncation has replaced as durable while a later one waits", () => {
    const driver = openedLog();
    driver.write({ entries: entriesAfter(LOG_START, 1, 9) });
    const kept = entriesAfter(LOG_START, 1, 9).slice(0, 4);
    const second = entriesAfter(endOf(kept), 2, 6);
    driver.submit({ hardState: hardStateOf(2), truncateFrom: index(5), entries: second });
    expect(driver.log.status().durableIndex).toBe(4);
    const first = driver.submit({ hardState: hardStateOf(3), truncateFrom: index(9) }) - 1;
    while (driver.persisted < first) driver.perform();
    expect(driver.log.status().durableIndex).toBe(8);
    driver.run();
    expect(driver.log.status().durableIndex).toBe(8);
  });

  test("closes cleanly and opens without a torn byte", () => {
    const driver = openedLog();
    const entries = entriesAfter(LOG_START, 1, 10);
    driver.write({ entries }).close();
    expect(driver.closed).toBe(true);
    const again = reopened(driver.disk.killImage());
    expect(again.opened).toMatchObject({ cleanStop: true, end: endOf(entries) });
    const third = reopened(again.disk.killImage());
    expect(third.opened).toMatchObject({ cleanStop: false, end: endOf(entries) });
  });

  test("keeps the newest of checkpoints that came while one was being written", () => {
    const driver = openedLog();
    const entries = entriesAfter(LOG_START, 1, 4);
    driver.write({ entries });
    for (let count = 1; count <= 4; count++) {
      const state = freeze(new Uint8Array(count));
      driver.step({ kind: "checkpoint", at: endOf(entries.slice(0, count)), state });
    }
    driver.run();
    const renames = driver.disk.performed.filter(({ kind }) => kind === "rename");
    expect(renames.length).toBe(3);
    const again = reopened(driver.disk.killImage());
    expect(again.opened?.checkpoint).toEqual({ at: endOf(entries), state: new Uint8Array(4) });
    expect(again.opened?.tail).toEqual([]);
  });

  test("merges the writes that wait for a sync into one", () => {
    const driver = openedLog();
    const entries = entriesAfter(LOG_START, 1, 9);
    const before = driver.disk.performed.length;
    for (const entry of entries) driver.submit({ entries: [entry] });
    driver.run();
    const kinds = driver.disk.performed.slice(before).map(({ kind }) => kind);
    expect(kinds).toEqual(["write-at", "sync", "write-at", "sync"]);
    expect(driver.persisted).toBe(10);
  });

  test("writes ahead of its end while it is idle, and never over an entry", () => {
    const driver = openedLog({ ...OPTIONS, preallocateBytes: 2000 });
    const entries = entriesAfter(LOG_START, 1, 40);
    for (const entry of entries) driver.write({ entries: [entry] });
    const store = driver.disk.killImage().get("00000000000000000001.store") as Uint8Array;
    const { storeBytes } = driver.log.status();
    expect(store.length - storeBytes).toBeGreaterThan(900);
    expect(store.subarray(storeBytes).every((byte) => byte === 0)).toBe(true);
    expect(driver.allEntries()).toEqual(entries);
  });

  test("writes nothing ahead of groups so large that they would write it over at once", () => {
    const options = { ...OPTIONS, segmentBytesMax: 1 << 22, preallocateBytes: 2000 };
    const driver = openedLog(options);
    const large = entriesAfter(LOG_START, 1, 3, 70_000);
    for (const entry of large) driver.write({ entries: [entry] });
    const store = "00000000000000000001.store";
    const written = () => driver.disk.killImage().get(store)?.length ?? 0;
    expect(written()).toBe(driver.log.status().storeBytes);
    const small = entriesAfter(driver.log.status().end, 1, 1);
    driver.write({ entries: small });
    expect(written()).toBe(driver.log.status().storeBytes + 2000);
    expect(driver.allEntries()).toHaveLength(4);
  });

  test("bounds one gathered write, and says each roll once", () => {
    const options = { ...OPTIONS, segmentBytesMax: 1 << 24 };
    const driver = openedLog(options);
    const large = entriesAfter(LOG_START, 1, 4, GROUP_BYTES_MAX / 2);
    const before = driver.disk.performed.length;
    driver.write({ entries: large });
    const writes = driver.disk.performed.slice(before).filter(({ kind }) => kind === "write-at");
    expect(writes.length).toBeGreaterThan(1);
    expect(driver.persisted).toBe(2);
    expect(driver.boundaries).toEqual([]);
    const small = openedLog(SMALL).write({ entries: entriesAfter(LOG_START, 1, 60) });
    expect(small.boundaries.length).toBe(small.log.status().segments - 1);
  });

  test("keeps in memory what the cache may hold, and no more once it is durable", () => {
    const driver = openedLog({ ...OPTIONS, cacheBytesMax: 500 });
    const entries = entriesAfter(LOG_START, 1, 20);
    driver.submit({ entries });
    const all = entries.reduce((sum, entry) => sum + entry.frame.length, 0);
    expect(driver.log.status().cachedBytes).toBe(all);
    driver.run();
    const { cachedBytes } = driver.log.status();
    expect(cachedBytes).toBeLessThanOrEqual(500);
    expect(cachedBytes).toBeGreaterThan(300);
  });

  test("rolls before a segment spans more records than a slot can say", () => {
    const driver = openedLog();
    const first = entryAfter(LOG_START, 1, 0xffff_ffff);
    const second = entryAfter(pointAfter(first), 1, 2);
    const third = entryAfter(pointAfter(second), 1, 1);
    driver.write({ entries: [first, second, third] });
    expect(driver.log.status().segments).toBe(2);
    expect(driver.entriesAt(0xffff_ffff + 2)).toEqual([third]);
    expect(reopened(driver.disk.killImage()).allEntries()).toEqual([first, second, third]);
  });

  test("goes on in the directory's own instance after a start with another one", () => {
    const image = openedLog(SMALL).close().disk.killImage();
    const identity = { ...OPTIONS.identity, instanceId: "7".repeat(32) };
    const driver = reopened(image, { ...SMALL, identity });
    const entries = entriesAfter(LOG_START, 1, 30);
    driver.write({ entries });
    expect(reopened(driver.disk.killImage(), SMALL).allEntries()).toEqual(entries);
  });

  test("brings its index to the file before it says that it is closed", () => {
    const driver = openedLog().write({ entries: entriesAfter(LOG_START, 1, 3) });
    const before = driver.disk.performed.length;
    driver.close();
    const performed = driver.disk.performed.slice(before).map(({ kind }) => kind);
    const index = ["flush-map", "sync", "unmap"];
    const manifest = ["create", "write-at", "sync", "rename", "sync-dir"];
    expect(performed).toEqual([...index, "sync", ...manifest]);
  });

  test("answers reads by offset with the entry that holds the record", () => {
    const driver = openedLog(SMALL);
    const entries = entriesAfter(LOG_START, 1, 60);
    driver.write({ entries });
    for (let offset = 0; offset < endOf(entries).endOffset; offset++) {
      const holder = entries.find((e) => e.offset <= offset && offset < e.offset + e.count);
      expect(driver.entriesAt(offset, 1)).toEqual([holder]);
    }
    expect(driver.entriesAt(endOf(entries).endOffset)).toEqual([]);
    expect(entriesOf(driver.read({ kind: "index", index: index(61) }))).toEqual([]);
  });
});
