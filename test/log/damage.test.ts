// Any bytes of any file of a directory flipped, cut, zeroed, doubled, moved or swapped, before the
// directory is opened or under an open log: it opens with exactly the log that was acknowledged, or
// is refused with file and place before a byte is changed, or stops as soon as damage in a sealed
// segment is read; and no read ever serves a wrong record.
// The one exception is the last segment's end, where what would prove the loss is lost with it.
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { assert } from "../../src/base/assert.ts";
import { concat, freeze } from "../../src/base/bytes.ts";
import {
  type Entry,
  type HardState,
  LOG_START,
  type LogPoint,
  pointAfter,
} from "../../src/base/entry.ts";
import type { LogIndex, Offset, Term, WallMs } from "../../src/base/ids.ts";
import { NO_MEMBERS } from "../../src/base/membership.ts";
import {
  baseOfIndex,
  baseOfStore,
  indexOfCheckpoint,
  installFile,
} from "../../src/log/file-names.ts";
import { FRAME_HEADER_BYTES } from "../../src/log/frame.ts";
import type { LogOptions, LogRead, ReadFrom } from "../../src/log/protocol.ts";
import { scanStore } from "../../src/log/recovery.ts";
import { sameFrame, samePoint } from "./crash-model.ts";
import {
  entriesAfter,
  hardStateOf,
  LogDriver,
  OPTIONS,
  openedLog,
  reopened,
  stateAt,
} from "./driver.ts";
import { type DiskImage, digestOf, FakeDisk } from "./fake-disk.ts";

const SMALL: LogOptions = {
  ...OPTIONS,
  segmentBytesMax: 1800,
  indexEntriesMax: 8,
  preallocateBytes: 400,
  reserveBytes: 1024,
};

/** A directory as it was left, and what was acknowledged there. */
interface Truth {
  readonly image: DiskImage;
  readonly base: LogPoint;
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
  /** So much of the log is proven by hard state, clean stop or the last segment's existence. */
  readonly provenIndex: number;
}

/** Three terms, several groups a segment, a checkpoint after each boundary. */
function written(): { driver: LogDriver; entries: Entry[] } {
  const driver = openedLog(SMALL);
  const entries: Entry[] = [];
  for (let n = 0; n < 14; n++) {
    const term = 1 + Math.floor(n / 5);
    const hardState = n % 5 === 0 ? hardStateOf(term, `n${term}`) : null;
    const last = entries.at(-1);
    const group = entriesAfter(
      last === undefined ? LOG_START : pointAfter(last),
      term,
      1 + (n % 3),
    );
    const seen = driver.boundaries.length;
    driver.write({ hardState, entries: group });
    entries.push(...group);
    if (driver.boundaries.length > seen) driver.checkpoint(pointAfter(group.at(-1) as Entry)).run();
  }
  return { driver, entries };
}

function truthOf(driver: LogDriver, entries: readonly Entry[], isClean: boolean): Truth {
  if (isClean) driver.close();
  const image = driver.disk.killImage();
  const { opened } = reopened(image, SMALL);
  assert(opened !== null, "the unspoiled directory opens");
  const lastBase = Math.max(...[...image.keys()].map((file) => baseOfStore(file) ?? 0));
  return {
    image,
    base: opened.base,
    entries: entries.filter(({ index }) => index > opened.base.index),
    hardState: opened.hardState,
    provenIndex: isClean ? opened.end.index : lastBase - 1,
  };
}

function killed(): Truth {
  const { driver, entries } = written();
  return truthOf(driver, entries, false);
}

function trimmed(): Truth {
  const { driver, entries } = written();
  driver.trim((entries[15] as Entry).offset).run();
  return truthOf(driver, entries, false);
}

function stopped(): Truth {
  const { driver, entries } = written();
  return truthOf(driver, entries, true);
}

/** A base that has voided the log, of which nothing is removed yet. */
function installing(): Truth {
  const { driver } = written();
  const at: LogPoint = {
    index: 900 as LogIndex,
    term: 3 as Term,
    endOffset: 1234 as Offset,
    timestamp: 7777 as WallMs,
  };
  const base = { at, state: stateAt(900) };
  driver.receiveUpTo(base).submit({ install: { ...base, membership: NO_MEMBERS } });
  while (!driver.disk.killImage().has(installFile(at.index))) driver.perform();
  const image = driver.disk.killImage();
  return { image, base: at, entries: [], hardState: hardStateOf(3, "n3"), provenIndex: 900 };
}

const TRUTHS: readonly (readonly [string, Truth])[] = [
  ["killed", killed()],
  ["killed, and trimmed before", trimmed()],
  ["stopped cleanly", stopped()],
  ["killed in an installation", installing()],
];

// ---- what is done to it ----

interface Mishap {
  readonly kind: "flip" | "cut" | "zero" | "double" | "copy" | "swap" | "exchange" | "fill";
  readonly file: number;
  readonly other: number;
  readonly at: number;
  readonly to: number;
  readonly length: number;
  readonly value: number;
}

const mishaps: fc.Arbitrary<Mishap> = fc.record({
  kind: fc.constantFrom("flip", "cut", "zero", "double", "copy", "swap", "exchange", "fill"),
  file: fc.nat(1000),
  other: fc.nat(1000),
  at: fc.nat(1_000_000),
  to: fc.nat(1_000_000),
  length: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3000 })),
  value: fc.integer({ min: 1, max: 255 }),
});

interface Spoiled {
  readonly image: DiskImage;
  /** By file: from where to where bytes may differ; an end beyond all when the length does too. */
  readonly touched: ReadonlyMap<string, readonly [number, number]>;
}

function spoil(image: DiskImage, mishap: Mishap): Spoiled {
  const files = [...image.keys()].sort();
  const file = files[mishap.file % files.length] as string;
  const bytes = image.get(file) as Uint8Array;
  if (mishap.kind === "exchange") {
    const other = files[mishap.other % files.length] as string;
    const changed = new Map(image).set(file, image.get(other) as Uint8Array).set(other, bytes);
    const all: readonly [number, number] = [0, Number.MAX_SAFE_INTEGER];
    return { image: changed, touched: new Map([file, other].map((each) => [each, all])) };
  }
  const at = mishap.at % bytes.length;
  const end = Math.min(bytes.length, at + mishap.length);
  const [changed, touched] = change(bytes, mishap, at, end);
  return { image: new Map(image).set(file, changed), touched: new Map([[file, touched]]) };
}

function change(
  before: Uint8Array,
  { kind, value, ...mishap }: Mishap,
  at: number,
  end: number,
): [Uint8Array, readonly [number, number]] {
  const bytes = before.slice();
  const to = mishap.to % bytes.length;
  const length = end - at;
  switch (kind) {
    case "flip":
      bytes[at] = (bytes[at] as number) ^ value;
      return [bytes, [at, at + 1]];
    case "cut":
      return [bytes.slice(0, at), [at, Number.MAX_SAFE_INTEGER]];
    case "zero":
      return [bytes.fill(0, at, end), [at, end]];
    case "fill":
      return [bytes.fill(value, at, end), [at, end]];
    case "copy":
      bytes.copyWithin(to, at, end);
      return [bytes, [to, to + length]];
    case "swap": {
      const moved = bytes.slice(to, to + length);
      bytes.copyWithin(to, at, at + moved.length);
      bytes.set(moved, at);
      return [bytes, [Math.min(at, to), Math.max(at, to) + length]];
    }
    default: {
      const doubled = concat([bytes.subarray(0, end), bytes.subarray(at)]);
      return [doubled, [end, Number.MAX_SAFE_INTEGER]];
    }
  }
}

/** Files that are caches or room, and of no weight. */
function isWeightless(file: string): boolean {
  return baseOfIndex(file) !== null || file === "reserve";
}

// ---- what must hold ----

/** Up to which entry the log must be there, whatever a mishap did to the end of the last store. */
function provenBy({ image, provenIndex }: Truth, { touched }: Spoiled): number {
  const stores = [...image.keys()].filter((file) => baseOfStore(file) !== null).sort();
  const last = stores.at(-1) as string;
  const range = touched.get(last);
  let proven = provenIndex;
  for (const marker of markersOf(image.get(last) as Uint8Array)) {
    const { position, index } = marker;
    const isUntouched =
      range === undefined || position + FRAME_HEADER_BYTES <= range[0] || position >= range[1];
    if (isUntouched) proven = Math.max(proven, index);
  }
  return proven;
}

function markersOf(store: Uint8Array): { position: number; index: number }[] {
  const scanned = scanStore(freeze(store));
  const ends = scanned?.entries ?? [];
  const markers: { position: number; index: number }[] = [];
  let end = 512;
  for (const { entry, position } of ends) {
    if (position > end) markers.push({ position: end, index: entry.index - 1 });
    end = position + Math.ceil(entry.frame.length / 8) * 8;
  }
  return markers;
}

/**
 * All entries up to where a read is refused: sealed segments that a checkpoint covers are not read
 * on opening, so that their damage is found by whoever reads them; the node then stops.
 */
function readable(driver: LogDriver, { touched, image }: Spoiled): readonly Entry[] {
  const last = [...image.keys()]
    .filter((file) => baseOfStore(file) !== null)
    .sort()
    .at(-1);
  const { startIndex, end } = driver.log.status();
  const entries: Entry[] = [];
  for (let index = startIndex; index <= end.index; index++) {
    const read = driver.read({ kind: "index", index }, 1);
    if (read.kind === "entries") {
      expect(read.entries.map((entry) => entry.index)).toEqual([index]);
      entries.push(...read.entries);
      continue;
    }
    const { fault } = read;
    assert(fault.code === "damaged", `a read of rotten bytes failed as ${fault.code}`);
    assert(touched.has(fault.file) && fault.file !== last, "damage in an unspoiled file");
    expect(driver.refused).toMatchObject({ kind: "damaged", damage: { file: fault.file } });
    break;
  }
  return entries;
}

function checkOpened(truth: Truth, spoiled: Spoiled, driver: LogDriver): void {
  const { opened } = driver;
  assert(opened !== null, "opened");
  const { touched } = spoiled;
  const all = readable(driver, spoiled);
  const expected = truth.entries.filter(({ index }) => index > opened.base.index);
  expect(all.every((entry, n) => sameFrame(entry, expected[n]))).toBe(true);
  expect(opened.hardState).toEqual(truth.hardState);
  const isCheckpointTouched = [...touched.keys()].some((file) => indexOfCheckpoint(file) !== null);
  if (!isCheckpointTouched) expect(samePoint(opened.base, truth.base)).toBe(true);
  expect(opened.base.index).toBeGreaterThanOrEqual(truth.base.index);
  const { checkpoint } = opened;
  if (checkpoint !== null) expect(checkpoint.state).toEqual(stateAt(checkpoint.at.index));
  const endIndex = truth.entries.at(-1)?.index ?? truth.base.index;
  const isLastTouched = [...touched.keys()].some((file) => baseOfStore(file) !== null);
  if (isLastTouched) expect(opened.end.index).toBeGreaterThanOrEqual(provenBy(truth, spoiled));
  else expect(opened.end.index).toBe(endIndex);
}

describe.each(TRUTHS)("a directory that was %s", (_, truth) => {
  test("is what it was when no byte is wrong", () => {
    const driver = reopened(truth.image, SMALL);
    checkOpened(truth, { image: truth.image, touched: new Map() }, driver);
    expect(truth.provenIndex).toBeGreaterThan(10);
  });

  test("spoiled anywhere opens with what was acknowledged, or is refused, unchanged", () => {
    fc.assert(
      fc.property(mishaps, (mishap) => {
        const spoiled = spoil(truth.image, mishap);
        const driver = reopened(spoiled.image, SMALL);
        const { refused } = driver;
        if (refused === null) {
          checkOpened(truth, spoiled, driver);
          return;
        }
        assert(refused.kind === "damaged", `refused as ${refused.kind}`);
        expect(spoiled.image.has(refused.damage.file)).toBe(true);
        expect(refused.damage.what).not.toBe("");
        expect([...spoiled.touched.keys()].every(isWeightless)).toBe(false);
        expect(digestOf(driver.disk.killImage())).toBe(digestOf(spoiled.image));
      }),
      { numRuns: 700 },
    );
  });
});

// ---- where peers may give back what is lost ----

const MENDING: LogOptions = { ...SMALL, mayMend: () => true };

/** A byte of the body of an entry in the middle of the log is another. */
function rotten({ image, entries }: Truth): Spoiled & { readonly index: number } {
  const { index } = entries[Math.floor(entries.length / 2)] as Entry;
  for (const [file, bytes] of image) {
    const scanned = baseOfStore(file) === null ? null : scanStore(freeze(bytes));
    const at = scanned?.entries.find(({ entry }) => entry.index === index)?.position;
    if (at === undefined) continue;
    const changed = bytes.slice();
    changed[at + 10] = (changed[at + 10] as number) ^ 4;
    const touched = new Map([[file, [at, at + FRAME_HEADER_BYTES] as const]]);
    // Of a sealed segment that a checkpoint covers nothing is read, unless its seal is gone.
    const unsealed = [...image].filter(([name]) => !name.endsWith(".seal"));
    return { image: new Map(unsealed).set(file, changed), touched, index };
  }
  throw new Error(`no entry ${index}`);
}

describe.each(TRUTHS.slice(0, 3))("a directory that was %s and may be mended", (_, truth) => {
  test("spoiled anywhere keeps what is before the loss, and notes it, or is as without", () => {
    let cut = 0;
    fc.assert(
      fc.property(mishaps, (mishap) => {
        const spoiled = spoil(truth.image, mishap);
        const strict = reopened(spoiled.image, SMALL);
        const driver = reopened(spoiled.image, MENDING);
        const { opened, refused } = driver;
        if (opened === null) {
          expect(refused).toEqual(strict.refused);
          expect(digestOf(driver.disk.killImage())).toBe(digestOf(spoiled.image));
          return;
        }
        const all = readable(driver, spoiled);
        const expected = truth.entries.filter(({ index }) => index > opened.base.index);
        expect(all.every((entry, n) => sameFrame(entry, expected[n]))).toBe(true);
        if (strict.opened !== null) {
          expect(opened).toEqual(strict.opened);
          return;
        }
        cut += 1;
        const damage = strict.refused?.kind === "damaged" ? strict.refused.damage : null;
        expect(opened.lost).toEqual(damage);
        expect(opened.end.index + 1).toBe(damage?.index);
        const { loss, ...hardState } = opened.hardState;
        expect(hardState).toEqual(truth.hardState);
        expect(loss).toBeGreaterThan(0);
        expect(opened.checkpoint?.at.index ?? 0).toBeLessThanOrEqual(opened.end.index);
      }),
      { numRuns: 500 },
    );
    expect(cut).toBeGreaterThan(20);
  });

  test("is cut the same whenever the cutting was cut short, and once only", () => {
    const spoiled = rotten(truth);
    const driver = new LogDriver(new FakeDisk(spoiled.image), MENDING);
    const images: DiskImage[] = [];
    driver.afterEach = () => images.push(driver.disk.killImage());
    driver.open();
    const loss = driver.opened?.hardState.loss;
    expect(loss).toBeGreaterThan(0);
    expect(driver.opened?.end.index).toBe(spoiled.index - 1);
    for (const image of images) {
      const again = reopened(image, MENDING);
      expect(again.refused).toBeNull();
      expect(again.opened?.end).toEqual(driver.opened?.end);
      expect(again.opened?.hardState).toEqual(driver.opened?.hardState);
      expect(again.opened?.checkpoint).toEqual(driver.opened?.checkpoint);
    }
    const later = reopened(images.at(-1) as DiskImage, SMALL);
    expect(later.opened).toMatchObject({ lost: null, hardState: { loss } });
  });

  test("takes other entries where it was cut, and forgets the loss when it is told to", () => {
    const driver = reopened(rotten(truth).image, MENDING);
    const { opened } = driver;
    assert(opened !== null, "it opens");
    const { term, votedFor } = opened.hardState;
    const entries = entriesAfter(opened.end, term, 20);
    driver.write({ entries });
    driver.write({ hardState: { term, votedFor } });
    const again = reopened(driver.disk.killImage(), SMALL);
    expect(again.opened).toMatchObject({ lost: null, hardState: { term, votedFor } });
    expect(again.opened?.hardState).not.toHaveProperty("loss");
    expect(again.opened?.end).toEqual(pointAfter(entries.at(-1) as Entry));
  });

  test("is left as it is where the host says that nobody could give it back", () => {
    const { image } = rotten(truth);
    const asked: number[] = [];
    const mayMend: LogOptions["mayMend"] = ({ checkpoint, tail }) => {
      asked.push(tail.at(-1)?.index ?? checkpoint?.at.index ?? 0);
      return false;
    };
    const driver = reopened(image, { ...SMALL, mayMend });
    expect(driver.refused).toMatchObject({ kind: "damaged" });
    expect(asked).toEqual([rotten(truth).index - 1]);
    expect(digestOf(driver.disk.killImage())).toBe(digestOf(image));
  });
});

test("an installation whose file holds another checkpoint is refused, and nothing removed", () => {
  const [, truth] = TRUTHS[3] as (typeof TRUTHS)[number];
  const file = installFile(900 as LogIndex);
  const other = [...truth.image.keys()].find((name) => indexOfCheckpoint(name) !== null) as string;
  const image = new Map(truth.image).set(file, truth.image.get(other) as Uint8Array);
  const driver = reopened(image, SMALL);
  expect(driver.refused).toMatchObject({ kind: "damaged", damage: { file, position: 0 } });
  expect(digestOf(driver.disk.killImage())).toBe(digestOf(image));
});

// ---- under an open log ----

function firstOf(entries: readonly Entry[], from: ReadFrom, end: LogPoint): Entry | undefined {
  switch (from.kind) {
    case "index":
      return entries.find(({ index }) => index >= from.index);
    case "offset":
      return entries.find(({ offset, count }) => offset + count > from.offset);
    case "timestamp":
      return entries.find(({ timestamp }) => timestamp >= from.at);
    case "last":
      return entries.find(({ offset, count }) => offset + count > end.endOffset - from.count);
  }
}

function checkRead(truth: Truth, read: LogRead, from: ReadFrom, touched: readonly string[]): void {
  if (read.kind === "failed") {
    const { fault } = read;
    assert(fault.code === "damaged", `a read of rotten bytes failed as ${fault.code}`);
    expect(touched).toContain(fault.file);
    expect(touched.every(isWeightless)).toBe(false);
    return;
  }
  const end = pointAfter(truth.entries.at(-1) as Entry);
  const first = firstOf(truth.entries, from, end);
  const at = first === undefined ? truth.entries.length : truth.entries.indexOf(first);
  expect(read.entries.length > 0).toBe(first !== undefined);
  expect(read.entries.every((entry, n) => sameFrame(entry, truth.entries[at + n]))).toBe(true);
}

describe.each(TRUTHS.slice(0, 3))("an open log in a directory that was %s", (_, truth) => {
  const first = truth.entries[0] as Entry;
  const last = truth.entries.at(-1) as Entry;
  const end = pointAfter(last);
  const froms: fc.Arbitrary<ReadFrom> = fc.oneof(
    fc
      .integer({ min: first.index, max: last.index })
      .map((index): ReadFrom => ({ kind: "index", index: index as LogIndex })),
    fc
      .integer({ min: first.offset, max: end.endOffset - 1 })
      .map((offset): ReadFrom => ({ kind: "offset", offset: offset as Offset })),
    fc
      .integer({ min: 0, max: end.timestamp })
      .map((at): ReadFrom => ({ kind: "timestamp", at: at as WallMs })),
    fc
      .integer({ min: 1, max: end.endOffset - first.offset })
      .map((count): ReadFrom => ({ kind: "last", count })),
  );
  const reads = fc.array(fc.tuple(froms, fc.constantFrom(1, 300, 100_000)), {
    minLength: 1,
    maxLength: 6,
  });

  test("whose files rot under it serves no wrong record, whichever way it is asked", () => {
    fc.assert(
      fc.property(mishaps, reads, (mishap, asked) => {
        const driver = reopened(truth.image, SMALL);
        const { image, touched } = spoil(driver.disk.killImage(), mishap);
        driver.disk.rot(image);
        for (const [from, bytesMax] of asked) {
          checkRead(truth, driver.read(from, bytesMax), from, [...touched.keys()]);
        }
        const base = driver.readBase();
        if (base.kind !== "base") return;
        expect(driver.readBaseState(base.base)).toEqual(stateAt(base.base.at.index));
        expect(base.base.at.index).toBeGreaterThanOrEqual(truth.base.index);
      }),
      { numRuns: 500 },
    );
  });
});
