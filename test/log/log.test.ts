// The log machine as its node sees it: open, write, read, truncate, roll, close, disk trouble.
import { describe, expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import type { Entry } from "../../src/base/entry.ts";
import { LOG_START, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import {
  entriesAfter,
  entriesOf,
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
