// Opening a directory: whose it is, what a making that was cut short leaves, what is refused.
import { describe, expect, test } from "vitest";

import { viewOf } from "../../src/base/bytes.ts";
import { LOG_START } from "../../src/base/entry.ts";
import type { LogIndex, NodeId } from "../../src/base/ids.ts";
import { checkpointFile, installFile } from "../../src/log/file-names.ts";
import { closeSector } from "../../src/log/sector.ts";
import {
  entriesAfter,
  hardStateOf,
  IDENTITY,
  LogDriver,
  OPTIONS,
  openedLog,
  reopened,
} from "./driver.ts";
import { FakeDisk } from "./fake-disk.ts";

const used = openedLog().write({ entries: entriesAfter(LOG_START, 1, 4) });
const image = used.disk.killImage();

describe("a directory", () => {
  test("of another cluster or node is refused with both identities, and left alone", () => {
    for (const other of [{ clusterId: "ab".repeat(16) }, { nodeName: "n2" as NodeId }]) {
      const expected = { ...IDENTITY, ...other };
      const driver = reopened(image, { ...OPTIONS, identity: expected });
      expect(driver.refused).toEqual({ kind: "another-directory", found: IDENTITY, expected });
      expect(driver.disk.killImage()).toEqual(image);
    }
  });

  test("keeps the instance id it was made with", () => {
    const later = { ...OPTIONS, identity: { ...IDENTITY, instanceId: "9".repeat(32) } };
    const driver = reopened(image, later);
    expect(driver.opened?.identity).toEqual(IDENTITY);
    driver.write({ entries: entriesAfter(driver.log.status().end, 1, 2) });
    expect(reopened(driver.disk.killImage()).opened?.end.index).toBe(6);
  });

  test("of a newer format is refused with both versions", () => {
    for (const file of ["manifest", "hard-state", "00000000000000000001.store"]) {
      const bytes = (image.get(file) as Uint8Array).slice();
      viewOf(bytes).setUint32(8, 3);
      closeSector(bytes.subarray(0, 512));
      const driver = reopened(new Map(image).set(file, bytes));
      expect(driver.refused).toEqual({ kind: "newer-format", found: 3, known: 1 });
    }
  });

  test("whose manifest or hard state is damaged is refused", () => {
    for (const file of ["manifest", "hard-state"]) {
      const bytes = new Uint8Array((image.get(file) as Uint8Array).length);
      const driver = reopened(new Map(image).set(file, bytes));
      expect(driver.refused).toMatchObject({ kind: "damaged", damage: { file } });
    }
    const gone = new Map(image);
    gone.delete("hard-state");
    expect(reopened(gone).refused).toMatchObject({ damage: { what: "the file is gone" } });
  });

  test("remembers its vote when any one sector of the hard state rots", () => {
    const voted = openedLog().write({ hardState: hardStateOf(1, "n2") });
    voted.write({ hardState: hardStateOf(2, "n3") });
    for (const position of [0, 4096]) {
      const image = voted.disk.killImage();
      image.get("hard-state")?.fill(0xa5, position, position + 512);
      const driver = reopened(image);
      expect(driver.opened?.hardState).toEqual(hardStateOf(2, "n3"));
      // And both sectors are whole again.
      expect(reopened(driver.disk.killImage()).opened?.hardState).toEqual(hardStateOf(2, "n3"));
    }
  });

  test("that lost its manifest is never taken for an empty one", () => {
    const lost = new Map(image);
    lost.delete("manifest");
    const what = expect.stringContaining("the manifest is gone");
    expect(reopened(lost).refused).toMatchObject({ kind: "damaged", damage: { what } });
    const onlyHardState = new Map([["hard-state", image.get("hard-state") as Uint8Array]]);
    expect(reopened(onlyHardState).refused).toMatchObject({ damage: { what } });
    const onlyCheckpoint = new Map([[checkpointFile(3 as LogIndex), new Uint8Array(3)]]);
    expect(reopened(onlyCheckpoint).refused).toMatchObject({ damage: { what } });
    const onlyInstall = new Map([[installFile(3 as LogIndex), new Uint8Array(3)]]);
    expect(reopened(onlyInstall).refused).toMatchObject({ damage: { what } });
  });

  test("keeps files of others, and loses leftovers and indexes without a store", () => {
    const extra = new Map(image)
      .set("lock", new Uint8Array([1]))
      .set("manifest.tmp", new Uint8Array(7))
      .set("checkpoint", new Uint8Array(7))
      .set("checkpoint.tmp", new Uint8Array(7))
      .set(`${checkpointFile(2 as LogIndex)}.tmp`, new Uint8Array(7))
      .set(`${installFile(2 as LogIndex)}.tmp`, new Uint8Array(7))
      .set("00000000000000000099.index", new Uint8Array(12));
    const driver = reopened(extra);
    expect([...driver.disk.killImage().keys()].sort()).toEqual([...image.keys(), "lock"].sort());
  });

  test("rebuilds an index that is gone, short, odd or wrong", () => {
    const options = { ...OPTIONS, segmentBytesMax: 1024 };
    const whole = openedLog(options).write({ entries: entriesAfter(LOG_START, 1, 20) });
    const before = whole.disk.killImage();
    const indexes = [...before.keys()].filter((file) => file.endsWith(".index"));
    expect(indexes.length).toBeGreaterThan(3);
    const capacity = OPTIONS.indexEntriesMax * 12;
    for (const bytes of [
      null,
      new Uint8Array(0),
      new Uint8Array(13),
      new Uint8Array(capacity).fill(7),
    ]) {
      const spoiled = new Map(before);
      for (const file of indexes) {
        if (bytes === null) spoiled.delete(file);
        else spoiled.set(file, bytes);
      }
      const driver = reopened(spoiled, options);
      expect(driver.allEntries()).toEqual(whole.allEntries());
      for (const file of indexes.slice(0, -1)) {
        expect(driver.disk.killImage().get(file)).toEqual(before.get(file));
      }
    }
  });

  test("opens with other sizes than it was written with", () => {
    const small = { ...OPTIONS, segmentBytesMax: 900, indexEntriesMax: 3, preallocateBytes: 200 };
    const entries = used.allEntries();
    const driver = reopened(image, small);
    const more = entriesAfter(driver.log.status().end, 1, 9);
    driver.write({ entries: more });
    expect(driver.log.status().segments).toBeGreaterThan(2);
    const again = reopened(driver.disk.killImage(), OPTIONS);
    again.write({ entries: entriesAfter(again.log.status().end, 1, 70) });
    expect(again.allEntries().slice(0, 13)).toEqual([...entries, ...more]);
    expect(reopened(again.disk.killImage(), small).opened?.end.index).toBe(83);
  });

  test("whose index cannot be mapped works with the index in memory", () => {
    const driver = new LogDriver(new FakeDisk(), { ...OPTIONS, segmentBytesMax: 1024 });
    driver.disk.failure = { when: (operation) => operation.kind === "map", code: "EOTHER" };
    driver.open().write({ hardState: hardStateOf(1) });
    const entries = entriesAfter(LOG_START, 1, 12);
    driver.write({ entries });
    expect(driver.allEntries()).toEqual(entries);
    expect(driver.close().closed).toBe(true);
  });
});

test("a disk that fails while a directory is opened is the reason of the refusal", () => {
  const driver = new LogDriver(new FakeDisk(image));
  driver.disk.failure = { when: (operation) => operation.kind === "sync", code: "EIO" };
  driver.open();
  expect(driver.refused).toMatchObject({ kind: "disk-failed", fault: { code: "disk-failed" } });
  expect(driver.close().closed).toBe(true);
});
