// Recovery as a judge: any bytes of a store cut, flipped, zeroed or doubled, and the verdict is
// right: no wrong record is ever served, nothing proven durable is silently cut, and a torn last
// group never keeps a node from starting.
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { concat, type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import { type Entry, LOG_START, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex, Offset, Position } from "../../src/base/ids.ts";
import { checkpointFile } from "../../src/log/file-names.ts";
import { FRAME_HEADER_BYTES } from "../../src/log/frame.ts";
import { markerSalt } from "../../src/log/identity.ts";
import { sealMarker } from "../../src/log/marker.ts";
import { SCAN_CHUNK_BYTES, StoreScan, scanStore } from "../../src/log/recovery.ts";
import { decodeSegmentHeader, encodeSegmentHeader } from "../../src/log/segment-header.ts";
import {
  entriesAfter,
  entryAfter,
  hardStateOf,
  IDENTITY,
  LogDriver,
  OPTIONS,
  openedLog,
  reopened,
} from "./driver.ts";
import { type DiskImage, FakeDisk } from "./fake-disk.ts";

const STORE = "00000000000000000001.store";
const GROUPS = [3, 1, 4, 2];

interface Built {
  readonly image: DiskImage;
  readonly store: Uint8Array;
  readonly entries: readonly Entry[];
  /** Positions of the markers, and the index each says was durable. */
  readonly markers: readonly { readonly position: number; readonly index: number }[];
  readonly end: number;
}

/** One segment of several groups, as a killed node leaves it. */
function build(groups: readonly number[], preallocateBytes = 0): Built {
  const driver = openedLog({ ...OPTIONS, preallocateBytes });
  const entries: Entry[] = [];
  const markers: { position: number; index: number }[] = [];
  for (const count of groups) {
    const last = entries.at(-1);
    const position = driver.log.status().storeBytes;
    markers.push({ position, index: last?.index ?? 0 });
    const group = entriesAfter(last === undefined ? LOG_START : pointAfter(last), 1, count);
    driver.write({ entries: group });
    entries.push(...group);
  }
  const image = driver.disk.killImage();
  const store = image.get(STORE) as Uint8Array;
  return { image, store, entries, markers, end: driver.log.status().storeBytes };
}

const BUILT = build(GROUPS);
const PREALLOCATED = build(GROUPS, 4000);

/** A store's bytes changed in one place; `touched` is where any byte may differ from before. */
interface Mishap {
  readonly bytes: Uint8Array;
  readonly touched: readonly [number, number];
  readonly kind: string;
}

function spoil(store: Uint8Array, kind: string, a: number, b: number): Mishap {
  const at = a % store.length;
  const length = 1 + (b % 300);
  const end = Math.min(store.length, at + length);
  const bytes = store.slice();
  switch (kind) {
    case "cut":
      return { kind, bytes: store.slice(0, at), touched: [at, store.length] };
    case "flip":
      bytes[at] = (bytes[at] as number) ^ (1 + (b % 255));
      return { kind, bytes, touched: [at, at + 1] };
    case "zero":
      return { kind, bytes: bytes.fill(0, at, end), touched: [at, end] };
    case "overwrite":
      // A run of the store's own bytes, copied over another place.
      bytes.copyWithin(at, b % store.length, (b % store.length) + length);
      return { kind, bytes, touched: [at, end] };
    default:
      return {
        kind,
        bytes: concat([store.subarray(0, end), store.subarray(at)]),
        touched: [end, store.length + length],
      };
  }
}

const mishaps = fc.tuple(
  fc.constantFrom("cut", "flip", "zero", "overwrite", "double"),
  fc.nat(),
  fc.nat(),
);

function openSpoiled(built: Built, store: Uint8Array): LogDriver {
  const image = new Map(built.image);
  image.set(STORE, store);
  return reopened(image);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** What still proves how much was durable: markers that nothing touched, and the hard state. */
function provenIndex(built: Built, { touched }: Mishap): number {
  const whole = built.markers.filter(
    ({ position }) => position + FRAME_HEADER_BYTES <= touched[0] || position >= touched[1],
  );
  return Math.max(0, ...whole.map(({ index }) => index));
}

describe.each([
  ["a store that ends with its last frame", BUILT],
  ["a store with zeros written ahead", PREALLOCATED],
])("%s", (_, built) => {
  test("spoiled anywhere never serves a wrong record, nor forgets a proven one", () => {
    fc.assert(
      fc.property(mishaps, ([kind, a, b]) => {
        const mishap = spoil(built.store, kind, a, b);
        const driver = openSpoiled(built, mishap.bytes);
        if (driver.opened === null) {
          expect(driver.refused?.kind).toBe("damaged");
          return;
        }
        const entries = driver.allEntries();
        for (const [n, entry] of entries.entries()) {
          expect(isSame(entry.frame, (built.entries[n] as Entry).frame)).toBe(true);
        }
        expect(entries.length).toBeGreaterThanOrEqual(provenIndex(built, mishap));
      }),
      { numRuns: 500 },
    );
  });

  test("torn anywhere in its last group opens with all groups before", () => {
    const last = built.markers.at(-1);
    const start = last?.position ?? 0;
    fc.assert(
      fc.property(mishaps, ([kind, a, b]) => {
        if (kind === "double" || kind === "overwrite") return;
        const place = start + (a % (built.end - start));
        const mishap = spoil(built.store, kind, place, b);
        const driver = openSpoiled(built, mishap.bytes);
        expect(driver.refused).toBeNull();
        expect(driver.allEntries().length).toBeGreaterThanOrEqual(last?.index ?? 0);
      }),
      { numRuns: 300 },
    );
  });

  test("flipped at any bit of a group that a later one proves durable is damage", () => {
    const lastMarker = built.markers.at(-1)?.position ?? 0;
    for (let at = 512; at < lastMarker; at++) {
      if (isPadding(built, at)) continue;
      const bytes = built.store.slice();
      bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
      const driver = openSpoiled(built, bytes);
      expect(driver.refused).toMatchObject({ kind: "damaged", damage: { file: STORE } });
    }
  });
});

function isPadding(built: Built, at: number): boolean {
  const scanned = scanStore(freeze(built.store));
  return (scanned?.entries ?? []).some(({ entry, position }) => {
    const end = position + entry.frame.length;
    return at >= end && at < Math.ceil(end / 8) * 8;
  });
}

describe("a refusal for damage", () => {
  test("names the file, the place, the first lost index, and changes no byte", () => {
    const scanned = scanStore(freeze(BUILT.store));
    const third = scanned?.entries[2]?.position ?? 0;
    const bytes = BUILT.store.slice();
    bytes[third + 20] = 0xff;
    const image = new Map(BUILT.image);
    image.set(STORE, bytes);
    const driver = reopened(image);
    expect(driver.refused).toEqual({
      kind: "damaged",
      damage: {
        file: STORE,
        position: third,
        index: 3,
        what: "entries up to 8 were durable, but: header checksum does not match",
      },
    });
    expect(driver.disk.killImage()).toEqual(image);
  });

  test("comes for a last group that was lost although the node stopped cleanly", () => {
    const driver = openedLog()
      .write({ entries: entriesAfter(LOG_START, 1, 3) })
      .close();
    const image = driver.disk.killImage();
    const store = image.get(STORE) as Uint8Array;
    image.set(STORE, store.slice(0, store.length - 100));
    expect(reopened(image).refused).toMatchObject({
      kind: "damaged",
      damage: { index: 3, what: "ends after entry 2, but entries up to 3 were durable" },
    });
  });

  test("comes for a last group that the hard state or the checkpoint knows of", () => {
    const entries = entriesAfter(LOG_START, 1, 3);
    const voted = openedLog()
      .write({ entries })
      .write({ hardState: hardStateOf(2, "n2") });
    const marked = openedLog().write({ entries });
    const at = pointAfter(entries[2] as Entry);
    marked.step({ kind: "checkpoint", at, state: new Uint8Array(9) as FrozenBytes });
    for (const driver of [voted, marked.run()]) {
      const image = driver.disk.killImage();
      image.set(STORE, (image.get(STORE) as Uint8Array).slice(0, 600));
      expect(reopened(image).refused).toMatchObject({
        damage: { index: 1, what: "ends after entry 0, but entries up to 3 were durable" },
      });
    }
  });

  test("comes for a hard state older than what the log saw of it", () => {
    const driver = openedLog();
    const early = driver.disk.killImage().get("hard-state") as Uint8Array;
    driver.write({ hardState: hardStateOf(2) }).write({ entries: entriesAfter(LOG_START, 2, 1) });
    const image = driver.disk.killImage();
    image.set("hard-state", early);
    expect(reopened(image).refused).toMatchObject({
      kind: "damaged",
      damage: { file: "hard-state", what: "older than what the log says was durable" },
    });
  });

  test("comes for a sealed segment that is short, gone, or of another directory", () => {
    const options = { ...OPTIONS, segmentBytesMax: 1024 };
    const driver = openedLog(options);
    driver.write({ entries: entriesAfter(LOG_START, 1, 20) });
    const image = driver.disk.killImage();
    const stores = [...image.keys()].filter((file) => file.endsWith(".store")).sort();
    expect(stores.length).toBeGreaterThan(3);
    const [first, second, third] = stores as [string, string, string];
    const short = new Map(image).set(second, (image.get(second) as Uint8Array).slice(0, 700));
    expect(reopened(short, options).refused).toMatchObject({ damage: { file: second } });
    const gone = new Map(image);
    gone.delete(second);
    expect(reopened(gone, options).refused).toMatchObject({ damage: { file: first } });
    const firstGone = new Map(image);
    firstGone.delete(first);
    expect(reopened(firstGone, options).refused).toMatchObject({ damage: { file: second } });
    const elsewhere = { ...options, identity: { ...options.identity, instanceId: "f".repeat(32) } };
    const other = openedLog(elsewhere).write({ entries: entriesAfter(LOG_START, 1, 20) });
    const foreign = other.disk.killImage().get(third) as Uint8Array;
    expect(reopened(new Map(image).set(third, foreign), options).refused).toMatchObject({
      damage: { file: third, what: "segment of another directory" },
    });
    const renamed = new Map(image).set(third, image.get(second) as Uint8Array);
    expect(reopened(renamed, options).refused).toMatchObject({
      damage: { file: third, what: "segment was renamed" },
    });
    const header = (image.get(third) as Uint8Array).slice();
    header[30] = 9;
    expect(reopened(new Map(image).set(third, header), options).refused).toMatchObject({
      damage: { file: third, position: 0 },
    });
  });
});

describe("a torn tail", () => {
  test("is cut with zeros, counted, and gone after the next stop", () => {
    const { image, store, markers, end } = BUILT;
    const torn = store.slice(0, end - 60);
    const driver = reopened(new Map(image).set(STORE, torn));
    const scan = scanStore(freeze(torn));
    expect(scan?.verdict).toMatchObject({
      kind: "torn-tail",
      what: "the file ends inside a frame",
    });
    const tornEnd = scan?.verdict.kind === "torn-tail" ? scan.verdict.tornEnd : 0;
    expect(tornEnd).toBeGreaterThan(scan?.end ?? 0);
    expect(driver.opened?.tornBytes).toBe(tornEnd - (scan?.end ?? 0));
    const repaired = driver.disk.killImage().get(STORE) as Uint8Array;
    expect(repaired.subarray(scan?.end ?? 0).every((byte) => byte === 0)).toBe(true);
    expect(driver.opened?.end.index).toBeGreaterThanOrEqual(markers.at(-1)?.index ?? 0);
    expect(reopened(driver.disk.killImage()).opened?.tornBytes).toBe(0);
  });

  test("is written over by the next group, which a later recovery then finds", () => {
    const { image, store, end, entries } = BUILT;
    const driver = reopened(new Map(image).set(STORE, store.slice(0, end - 60)));
    const kept = driver.allEntries();
    const next = entriesAfter(pointAfter(kept.at(-1) as Entry), 1, 3);
    driver.write({ entries: next });
    expect(kept.length).toBeLessThan(entries.length);
    expect(reopened(driver.disk.killImage()).allEntries()).toEqual([...kept, ...next]);
  });

  test("with a copy of another log's marker in a record is still only torn", () => {
    // A client may store a whole segment in a record. Its markers, at other places, prove nothing.
    const foreign = build([30, 1], 0).store;
    const driver = openedLog().write({ entries: entriesAfter(LOG_START, 1, 2) });
    const start = driver.log.status().storeBytes;
    const end = driver.log.status().end;
    const carrier = entryAfter(end, 1, 1, foreign.length);
    const body = carrier.frame.subarray(FRAME_HEADER_BYTES) as Uint8Array;
    body.set(foreign);
    driver.write({ entries: [carrier] });
    const image = driver.disk.killImage();
    const torn = (image.get(STORE) as Uint8Array).slice().fill(0, start, start + 512);
    const again = reopened(image.set(STORE, torn));
    expect(again.refused).toBeNull();
    expect(again.allEntries().length).toBe(2);
  });
});

describe("a marker", () => {
  const header = { before: LOG_START, ...IDENTITY };
  const salt = markerSalt(IDENTITY.instanceId, 1 as LogIndex);
  const place = { position: 512 as Position, salt, hardSequence: 2 };
  const lost = { ...LOG_START, index: 9 as LogIndex };

  test("forged inside a record, at the very place it names, proves nothing without the salt", () => {
    const driver = openedLog().write({ entries: entriesAfter(LOG_START, 1, 2) });
    const start = driver.log.status().storeBytes;
    const carrier = entryAfter(driver.log.status().end, 1, 1, 2 * FRAME_HEADER_BYTES);
    const position = (start + 2 * FRAME_HEADER_BYTES) as Position;
    const forged = sealMarker(lost, 1, { ...place, position, salt: (salt ^ 1) >>> 0 });
    (carrier.frame.subarray(FRAME_HEADER_BYTES) as Uint8Array).set(forged);
    driver.write({ entries: [carrier] });
    const image = driver.disk.killImage();
    const torn = (image.get(STORE) as Uint8Array).slice().fill(0, start, start + 8);
    expect(reopened(image.set(STORE, torn)).opened?.end.index).toBe(2);
    const genuine = torn.slice();
    genuine.set(sealMarker(lost, 1, { ...place, position }), position);
    expect(reopened(image.set(STORE, genuine)).refused).toMatchObject({ kind: "damaged" });
  });

  test("that does not restate the entry before it is damage", () => {
    const empty = encodeSegmentHeader(header);
    const wrong = [lost, { ...LOG_START, endOffset: 3 as Offset }];
    for (const point of wrong) {
      const store = concat([empty, sealMarker(point, 1, place)]);
      expect(scanStore(freeze(store))?.verdict).toMatchObject({ kind: "damage", index: 1 });
    }
    const right = concat([empty, sealMarker(LOG_START, 1, place)]);
    expect(scanStore(freeze(right))).toMatchObject({ verdict: { kind: "clean" }, hardSequence: 2 });
  });
});

describe("a scan", () => {
  test("of a store in bounded chunks finds the same as in one piece", () => {
    const driver = openedLog({ ...OPTIONS, segmentBytesMax: 1 << 24, indexEntriesMax: 100_000 });
    const entries = entriesAfter(LOG_START, 1, 60, 90_000);
    const huge = entryAfter(pointAfter(entries.at(-1) as Entry), 1, 1, 3 * SCAN_CHUNK_BYTES);
    driver.write({ entries: [...entries, huge] });
    const store = driver.disk.killImage().get(STORE) as Uint8Array;
    const decoded = decodeSegmentHeader(store);
    if (decoded.kind !== "header") throw new Error("no header");
    const indexes: number[] = [];
    const scan = new StoreScan({
      header: decoded.header,
      truncateFrom: null,
      visit: (entry) => indexes.push(entry.index),
    });
    let longest = 0;
    for (let wanted = scan.wanted; wanted !== null; wanted = scan.wanted) {
      const { position, length } = wanted;
      longest = Math.max(longest, length);
      scan.take(freeze(store.slice(position, position + length)));
    }
    expect(indexes).toEqual([...entries, huge].map((entry) => entry.index));
    expect(longest).toBe(huge.frame.length);
    expect(scanStore(freeze(store))?.end).toBe(scan.end);
  });

  test("stops where a truncation was under way, and takes no marker behind it for a proof", () => {
    const cut = scanStore(freeze(BUILT.store), 5 as LogIndex);
    expect(cut?.point.index).toBe(4);
    expect(cut?.verdict).toMatchObject({ kind: "torn-tail", what: "a truncation was under way" });
    expect(scanStore(new Uint8Array(2000) as FrozenBytes)).toBeNull();
  });
});

test("an unreadable checkpoint is ignored and the log replayed from its start", () => {
  const entries = entriesAfter(LOG_START, 1, 4);
  const driver = openedLog().write({ entries });
  const at = pointAfter(entries[2] as Entry);
  driver.step({ kind: "checkpoint", at, state: freeze(new Uint8Array([1, 2, 3])) });
  const image = driver.run().disk.killImage();
  const whole = reopened(image);
  expect(whole.opened?.checkpoint).toEqual({ at, state: new Uint8Array([1, 2, 3]) });
  expect(whole.opened?.tail.map((head) => head.index)).toEqual([4]);
  const file = checkpointFile(at.index);
  const rotten = (image.get(file) as Uint8Array).slice();
  rotten[65] = 77;
  const ignored = reopened(new Map(image).set(file, rotten));
  expect(ignored.opened?.checkpoint).toBeNull();
  expect(ignored.opened?.skipped).toMatchObject([{ file, index: 3 }]);
  expect(ignored.opened?.tail.map((head) => head.index)).toEqual([1, 2, 3, 4]);
});

test("a store with a critical frame of a newer version is refused with that as the reason", () => {
  const { image, store } = BUILT;
  const scanned = scanStore(freeze(store));
  const first = scanned?.entries[0]?.position ?? 0;
  const bytes = store.slice();
  bytes[first + 2] = (bytes[first + 2] as number) | 0x40;
  const driver = new LogDriver(
    new FakeDisk(new Map(image).set(STORE, resealed(bytes, first))),
  ).open();
  expect(driver.refused).toMatchObject({
    damage: { what: "compacted batch is of a newer version: start that version", index: 1 },
  });
});

/** The frame at `at` with its header's checksum made right again. */
function resealed(bytes: Uint8Array, at: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const before = crc32c(bytes, 0, at, at + 8);
  view.setUint32(at + 8, crc32c(bytes, before, at + 12, at + FRAME_HEADER_BYTES));
  return bytes;
}
