// Disk trouble: any write or sync that fails poisons the log. Nothing is acknowledged from then on,
// nothing is tried again, and reads go on. A disk that is merely full is full-disk.test.ts.
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { InvariantViolation } from "../../src/base/assert.ts";
import { freeze } from "../../src/base/bytes.ts";
import type { DiskErrorCode, DiskOperation } from "../../src/base/disk.ts";
import { type Entry, LOG_START, type LogPoint, pointAfter } from "../../src/base/entry.ts";
import { type LogIndex, NEVER } from "../../src/base/ids.ts";
import { checkpointFile } from "../../src/log/file-names.ts";
import {
  entriesAfter,
  hardStateOf,
  LogDriver,
  OPTIONS,
  openedLog,
  reopened,
  takingTurns,
} from "./driver.ts";
import { FakeDisk } from "./fake-disk.ts";

const SMALL = { ...OPTIONS, segmentBytesMax: 1200, indexEntriesMax: 6, preallocateBytes: 300 };

function endOf(entries: readonly Entry[]): LogPoint {
  const last = entries.at(-1);
  return last === undefined ? LOG_START : pointAfter(last);
}

function changes(operation: DiskOperation): boolean {
  return operation.kind !== "read-at" && operation.kind !== "map" && operation.kind !== "list";
}

describe("a failed operation", () => {
  test.each(["EIO", "ENOSPC"] as const)(
    "with %s is told once, and later writes are never persisted",
    (code) => {
      const driver = openedLog();
      const entries = entriesAfter(LOG_START, 1, 3);
      driver.write({ entries });
      driver.disk.failure = { when: (operation) => operation.kind === "sync", code };
      const lost = entriesAfter(endOf(entries), 1, 2);
      driver.write({ entries: lost });
      const message = "EIO: injected";
      const operation = "sync 00000000000000000001.store";
      const expected =
        code === "EIO" ? { code: "disk-failed", operation, message } : { code: "disk-full" };
      expect(driver.poisoned).toEqual(expected);
      const performed = driver.disk.performed.length;
      driver.write({ hardState: hardStateOf(2) }).write({ truncateFrom: 5 as LogIndex });
      expect(driver.disk.performed.length).toBe(performed);
      expect(driver.persisted).toBe(2);
      expect(driver.log.status()).toMatchObject({ state: "poisoned", durableIndex: 3 });
      expect(driver.allEntries()).toEqual([...entries, ...lost.slice(0, 1)]);
      expect(driver.close().closed).toBe(true);
      expect(reopened(driver.disk.killImage()).opened?.cleanStop).toBe(false);
    },
  );

  test("at any place leaves a directory that opens with all that was acknowledged", () => {
    const codes = fc.constantFrom<DiskErrorCode>("EIO", "ENOSPC");
    fc.assert(
      fc.property(fc.nat({ max: 130 }), codes, fc.boolean(), (place, code, powerLoss) => {
        const driver = new LogDriver(new FakeDisk(), SMALL, takingTurns());
        let left = place;
        let isWaitedFor = false;
        const when = (operation: DiskOperation) => {
          if (!changes(operation) || left-- !== 0) return false;
          const needsRoom = ["create", "write-at", "rename"].includes(operation.kind);
          isWaitedFor = code === "ENOSPC" && needsRoom;
          return true;
        };
        driver.disk.failure = { when, code };
        driver.open();
        const acknowledged = driver.opened === null ? [] : work(driver);
        const failed = driver.disk.failure === null && !isWaitedFor;
        expect(driver.poisoned !== null || driver.refused !== null).toBe(failed);
        const image = powerLoss
          ? driver.disk.powerLossImage({ take: () => 0, index: () => null })
          : driver.disk.killImage();
        const again = reopened(image, SMALL);
        expect(again.refused).toBeNull();
        expect(again.allEntries().slice(0, acknowledged.length)).toEqual(acknowledged);
      }),
      { numRuns: 250 },
    );
  });
});

describe("a sync that failed", () => {
  test("leaves readable bytes that are not durable; what a restart serves is", () => {
    let worked = 0;
    fc.assert(
      fc.property(fc.nat({ max: 45 }), (place) => {
        const driver = new LogDriver(new FakeDisk(), SMALL, takingTurns());
        let left = place;
        const when = (operation: DiskOperation) => operation.kind === "sync" && left-- === 0;
        driver.disk.failure = { when, code: "EIO" };
        driver.open();
        if (driver.opened !== null) work(driver);
        const again = new LogDriver(driver.disk.restart(), SMALL).open();
        expect(again.refused).toBeNull();
        const served = again.allEntries();
        const image = again.disk.powerLossImage({ take: () => 0, index: () => null });
        const third = reopened(image, SMALL);
        expect(third.opened?.hardState).toEqual(again.opened?.hardState);
        expect(third.allEntries()).toEqual(served);
        worked = Math.max(worked, served.length);
      }),
      { numRuns: 150 },
    );
    expect(worked).toBeGreaterThan(10);
  });
});

/**
 * Appends, rolls, truncates and takes a checkpoint; the entries that were acknowledged and stay.
 */
function work(driver: LogDriver): readonly Entry[] {
  driver.write({ hardState: hardStateOf(1) });
  driver.afterEach = () => {
    if (driver.log.deadline !== NEVER && driver.disk.waiting.length === 0) driver.retry();
  };
  const first = entriesAfter(LOG_START, 1, 8);
  driver.write({ entries: first });
  if (driver.persisted < 2) return [];
  const kept = first.slice(0, 5);
  const at = endOf(kept.slice(0, 3));
  driver.step({ kind: "checkpoint", at, state: freeze(new Uint8Array(100)) });
  const second = entriesAfter(endOf(kept), 2, 9);
  driver.write({ hardState: hardStateOf(2), truncateFrom: 6 as LogIndex, entries: second });
  if (driver.persisted < 3) return kept;
  const third = entriesAfter(endOf(second), 2, 3);
  driver.write({ entries: third });
  const all = driver.persisted < 4 ? [...kept, ...second] : [...kept, ...second, ...third];
  driver.close();
  return all;
}

describe("a poisoned log", () => {
  test("acknowledges no write that was under way elsewhere, and begins no other", () => {
    const driver = openedLog();
    const entries = entriesAfter(LOG_START, 1, 3);
    driver.write({ entries });
    const when = (operation: DiskOperation) => operation.kind === "create";
    driver.disk.failure = { when, code: "EIO" };
    driver.step({ kind: "checkpoint", at: endOf(entries), state: freeze(new Uint8Array(9)) });
    const more = entriesAfter(endOf(entries), 1, 2);
    driver.submit({ entries: more.slice(0, 1) });
    driver.submit({ entries: more.slice(1) });
    while (driver.poisoned === null) driver.perform(`${checkpointFile(3 as LogIndex)}.tmp`);
    driver.run();
    expect(driver.persisted).toBe(2);
    expect(driver.log.status().writtenIndex).toBe(4);
    expect(driver.allEntries()).toEqual([...entries, ...more]);
  });

  test("serves no entry that was truncated since, and none that came after", () => {
    const driver = openedLog();
    const entries = entriesAfter(LOG_START, 1, 6);
    driver.write({ entries });
    driver.disk.failure = { when: (operation) => operation.kind === "write-at", code: "EIO" };
    const replaced = entriesAfter(endOf(entries.slice(0, 3)), 2, 1);
    driver.write({ hardState: hardStateOf(2), truncateFrom: 4 as LogIndex, entries: replaced });
    const last = entriesAfter(endOf(entries.slice(0, 2)), 3, 2);
    driver.write({ hardState: hardStateOf(3), truncateFrom: 3 as LogIndex, entries: last });
    expect(driver.allEntries()).toEqual(entries.slice(0, 2));
    expect(driver.poisoned).not.toBeNull();
  });

  test("whose entry before a cut cannot be read back says which", () => {
    const driver = openedLog();
    driver.write({ entries: entriesAfter(LOG_START, 1, 6) });
    const file = "00000000000000000001.store";
    const position = 700 as never;
    const parts = [new Uint8Array(300)];
    driver.disk.submit({ kind: "write-at", opId: 1_000_000 as never, file, position, parts });
    driver.disk.performNext(file);
    driver.write({ hardState: hardStateOf(2), truncateFrom: 4 as LogIndex });
    expect(driver.poisoned).toMatchObject({
      code: "damaged",
      file,
      what: "entry 3 cannot be read back",
    });
  });
});

describe("a caller's bug", () => {
  const entries = entriesAfter(LOG_START, 1, 2);
  const bugs: [string, (driver: LogDriver) => void][] = [
    ["an entry that does not follow", (driver) => driver.submit({ entries: entries.slice(1) })],
    [
      "an entry of a term that was not persisted",
      (driver) => driver.submit({ entries: entriesAfter(LOG_START, 2, 1) }),
    ],
    ["a term that goes back", (driver) => driver.submit({ hardState: hardStateOf(0) })],
    [
      "a truncation before the start",
      (driver) => {
        driver.submit({ entries });
        driver.submit({ truncateFrom: 0 as LogIndex });
      },
    ],
    [
      "a checkpoint that is not durable",
      (driver) => {
        driver.submit({ entries });
        driver.step({ kind: "checkpoint", at: endOf(entries), state: freeze(new Uint8Array(0)) });
      },
    ],
    [
      "a truncated checkpoint",
      (driver) => {
        driver.write({ entries });
        driver.step({ kind: "checkpoint", at: endOf(entries), state: freeze(new Uint8Array(0)) });
        driver.submit({ truncateFrom: 2 as LogIndex });
      },
    ],
    ["a second open", (driver) => driver.step({ kind: "open" })],
    [
      "a completion of nothing",
      (driver) =>
        driver.step({ kind: "disk-done", opId: 99_999 as never, result: { kind: "done" } }),
    ],
    [
      "a frame of another length",
      (driver) => {
        const [first] = entries as [Entry];
        driver.submit({ entries: [{ ...first, frame: freeze(first.frame.slice(8)) }] });
      },
    ],
    [
      "a marker",
      (driver) => {
        const [first] = entries as [Entry];
        driver.submit({ entries: [{ ...first, kind: "marker" }] });
      },
    ],
  ];

  test.each(bugs)("%s stops the node", (_, commit) => {
    expect(() => commit(openedLog())).toThrow(InvariantViolation);
  });
});
