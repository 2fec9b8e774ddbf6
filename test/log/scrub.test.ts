// Scrubbing: all sealed segments are read, a little at a time, and rot is found that no reader met.
import { describe, expect, test } from "vitest";

import { freeze } from "../../src/base/bytes.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import { FRAME_HEADER_BYTES, LOG_START } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import { digestAfter, NO_DIGEST } from "../../src/log/digest.ts";
import { baseOfStore, sealFile, storeFile } from "../../src/log/file-names.ts";
import { sealFrame } from "../../src/log/frame.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { type ScannedEntry, scanStore } from "../../src/log/recovery.ts";
import { entriesAfter, type LogDriver, OPTIONS, openedLog, reopened } from "./driver.ts";

const SMALL: LogOptions = { ...OPTIONS, segmentBytesMax: 3000, indexEntriesMax: 20 };

function sealedLog(): LogDriver {
  const driver = openedLog(SMALL).write({ entries: entriesAfter(LOG_START, 1, 90) });
  return driver.checkpoint(driver.log.status().end).run();
}

function scrub(driver: LogDriver, bytesMax: number): void {
  driver.step({ kind: "scrub", bytesMax });
  driver.run();
}

function spoil(driver: LogDriver, file: string, position: number): void {
  const opId = 1_000_000 as never;
  const parts = [new Uint8Array([0xa5])];
  driver.disk.submit({ kind: "write-at", opId, file, position: position as never, parts });
  driver.disk.performNext(file);
}

describe("scrubbing", () => {
  test("reads every sealed segment once a pass, and says how far it has come", () => {
    for (const driver of [sealedLog(), reopened(sealedLog().disk.killImage(), SMALL)]) {
      const { segments, scrub: before } = driver.log.status();
      expect(before).toEqual({ passes: 0, bytes: 0, baseIndex: 1, position: 0 });
      const read = new Set<string>();
      const from = driver.disk.performed.length;
      for (let n = 0; driver.log.status().scrub.passes === 0; n++) {
        expect(n).toBeLessThan(100);
        scrub(driver, 1);
      }
      for (const operation of driver.disk.performed.slice(from)) {
        expect(operation.kind).toBe("read-at");
        if ("file" in operation) read.add(operation.file);
      }
      expect(read.size).toBe(segments - 1);
      expect(driver.log.status().scrub.bytes).toBeGreaterThan(3000);
      expect(driver.refused).toBeNull();
      while (driver.log.status().scrub.passes === 1) scrub(driver, 1_000_000);
      expect(driver.log.status().scrub.passes).toBe(2);
    }
  });

  test("finds what rotted, breaks the seal, and the directory is refused from then on", () => {
    const driver = reopened(sealedLog().disk.killImage(), SMALL);
    const stores = [...driver.disk.killImage().keys()].filter((f) => baseOfStore(f) !== null);
    const file = stores[2] as string;
    spoil(driver, file, 900);
    for (let n = 0; n < 8 && driver.refused === null; n++) scrub(driver, 1_000_000);
    expect(driver.refused).toMatchObject({ kind: "damaged", damage: { file } });
    const base = baseOfStore(file) as LogIndex;
    expect(driver.disk.killImage().has(sealFile(base))).toBe(false);
    expect(reopened(driver.disk.killImage(), SMALL).refused).toMatchObject({ damage: { file } });
  });

  test("finds entries that read well and are not those that were sealed, once and for ever", () => {
    const driver = reopened(sealedLog().disk.killImage(), SMALL);
    const stores = [...driver.disk.killImage().keys()].filter((f) => baseOfStore(f) !== null);
    const file = stores[2] as string;
    const image = driver.disk.killImage().get(file) as Uint8Array;
    const scanned = scanStore(freeze(image.slice()))?.entries ?? [];
    const { entry, position } = scanned.find((each) => each.entry.bodyLength > 0) as ScannedEntry;
    const frame = Uint8Array.from(entry.frame);
    frame[frame.length - 1] = (frame.at(-1) ?? 0) ^ 1;
    const bodyCrc = crc32c(frame, 0, FRAME_HEADER_BYTES);
    const forged = sealFrame({ ...entry, bodyCrc }, frame);
    const opId = 1_000_000 as never;
    driver.disk.submit({ kind: "write-at", opId, file, position, parts: [forged] });
    driver.disk.performNext(file);
    for (let n = 0; n < 8 && driver.refused === null; n++) scrub(driver, 1_000_000);
    const what = expect.stringMatching(
      /^entries \d+ to \d+ are not those that the cluster agreed on/,
    );
    expect(driver.refused).toMatchObject({ kind: "damaged", damage: { file, what } });
    expect(reopened(driver.disk.killImage(), SMALL).refused).toMatchObject({ damage: { what } });
  });

  test("looks twice before it believes, and goes on after a disk that refuses", () => {
    const driver = reopened(sealedLog().disk.killImage(), SMALL);
    const file = storeFile(1 as LogIndex);
    driver.disk.failure = { when: ({ kind }) => kind === "read-at", code: "EIO" };
    scrub(driver, 1_000_000);
    const image = driver.disk.killImage();
    spoil(driver, file, 900);
    scrub(driver, 1);
    const right = (image.get(file) as Uint8Array).slice(900, 901);
    const operation = { kind: "write-at", opId: 1_000_001 as never, file } as const;
    driver.disk.submit({ ...operation, position: 900 as never, parts: [right] });
    driver.disk.performNext(file);
    for (let n = 0; n < 30; n++) scrub(driver, 1_000_000);
    expect(driver.refused).toBeNull();
    expect(driver.poisoned).toBeNull();
    expect(driver.log.status().scrub.passes).toBeGreaterThan(0);
  });

  test("of a log without sealed segments reads nothing; trimmed ones are left out", () => {
    const young = openedLog(SMALL);
    scrub(young, 1000);
    expect(young.log.status().scrub).toMatchObject({ passes: 0, bytes: 0 });
    const driver = sealedLog();
    driver.step({ kind: "scrub", bytesMax: 1 });
    driver.trim(driver.log.status().end.endOffset).run();
    scrub(driver, 1_000_000);
    expect(driver.refused).toBeNull();
    expect(driver.log.status().segments).toBe(1);
  });
});

test("a segment's digest is that of its entries, before and after it is opened again", () => {
  const driver = sealedLog();
  const entries = driver.allEntries();
  const again = reopened(driver.disk.killImage(), SMALL);
  expect(driver.boundaries.length).toBeGreaterThan(2);
  let firstIndex = 1;
  for (const { index: lastIndex } of driver.boundaries) {
    const inside = entries.filter(({ index }) => index >= firstIndex && index <= lastIndex);
    const digest = inside.reduce(digestAfter, NO_DIGEST);
    expect(driver.log.segmentDigest(lastIndex)).toEqual({ firstIndex, lastIndex, digest });
    expect(again.log.segmentDigest(lastIndex)).toEqual({ firstIndex, lastIndex, digest });
    firstIndex = lastIndex + 1;
  }
  expect(driver.log.segmentDigest(2 as LogIndex)).toBeNull();
});
