// A pin: what somebody still reads stays on the disk, a trim waits for it, and nothing else does.

import { beforeEach, expect, test } from "vitest";
import { type Entry, LOG_START, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import { NO_MEMBERS } from "../../src/base/membership.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { entriesAfter, type LogDriver, OPTIONS, openedLog, stateAt } from "./driver.ts";

const SMALL: LogOptions = { ...OPTIONS, segmentBytesMax: 1500, indexEntriesMax: 7 };

let driver: LogDriver;
let entries: readonly Entry[];

beforeEach(() => {
  driver = openedLog(SMALL);
  entries = entriesAfter(LOG_START, 1, 40);
  for (let n = 0; n < entries.length; n += 2) {
    const seen = driver.boundaries.length;
    driver.write({ entries: entries.slice(n, n + 2) });
    if (driver.boundaries.length > seen) driver.checkpoint(driver.log.status().end).run();
  }
});

function pin(from: number | null): void {
  driver.step({ kind: "pin", from: from as LogIndex | null });
  driver.run();
}

const end = () => driver.log.status().end;
const start = () => driver.log.status().startIndex;

test("a trim waits until the pin is gone, and then is done", () => {
  pin(1);
  driver.trim(end().endOffset).run();
  expect(start()).toBe(1);
  expect(driver.allEntries()).toHaveLength(40);
  pin(null);
  expect(start()).toBeGreaterThan(30);
});

test("a trim follows a pin that moves on, up to a checkpoint before it", () => {
  pin(1);
  driver.trim(end().endOffset).run();
  pin(20);
  const moved = start();
  expect(moved).toBeGreaterThan(1);
  expect(moved).toBeLessThanOrEqual(20);
  expect(driver.entriesFrom(20)[0]?.index).toBe(20);
  pin(41);
  expect(start()).toBeGreaterThan(moved);
});

test("a pin that comes while a trim verifies its base is in time, whatever was read by then", () => {
  for (let steps = 0; ; steps++) {
    const from = start();
    driver.trim(end().endOffset);
    let performed = 0;
    while (performed < steps && start() === from && driver.perform()) performed++;
    if (start() > from) {
      expect(steps).toBeGreaterThan(0);
      return;
    }
    driver.step({ kind: "pin", from });
    driver.run();
    expect(start()).toBe(from);
    expect(driver.readBase()).toMatchObject({ kind: "none" });
    expect(driver.entriesFrom(from)[0]?.index).toBe(from);
    pin(null);
    expect(start()).toBeGreaterThan(from);
    // Once more from the beginning, with a later moment.
    driver = openedLog(SMALL);
    for (let n = 0; n < entries.length; n += 2) {
      const seen = driver.boundaries.length;
      driver.write({ entries: entries.slice(n, n + 2) });
      if (driver.boundaries.length > seen) driver.checkpoint(end()).run();
    }
  }
});

test("a snapshot that replaces the log does not wait for a pin", () => {
  pin(1);
  const at = { ...pointAfter(entries[39] as Entry), index: 50 as LogIndex };
  driver.receiveUpTo({ at, state: stateAt(50) });
  driver.write({ install: { at, membership: NO_MEMBERS, state: stateAt(50) } });
  expect(start()).toBe(51);
});
