// A disk that returns a wrong byte once, while the medium is right: opening may refuse, and then
// the next attempt succeeds, but what was acknowledged is neither cut nor written down wrongly.

import { describe, expect, test } from "vitest";

import { freeze } from "../../src/base/bytes.ts";
import type { DiskOperation } from "../../src/base/disk.ts";
import { LOG_START, pointAfter } from "../../src/base/entry.ts";
import { entriesAfter, hardStateOf, LogDriver, OPTIONS, openedLog, reopened } from "./driver.ts";
import { type Completion, type DiskImage, FakeDisk } from "./fake-disk.ts";

const STORE = "00000000000000000001.store";

/** Flips a bit at `position` of one file in the nth read of it that covers that place. */
class MisreadingDisk extends FakeDisk {
  left: number;
  /** In how many reads from there on, each time another bit. */
  times = 1;
  readonly #file: string;
  readonly #position: number;

  constructor(image: DiskImage, file: string, position: number, nth: number) {
    super(image);
    this.#file = file;
    this.#position = position;
    this.left = nth;
  }

  override performNext(file: string): Completion {
    const before = this.performed.length;
    const completion = super.performNext(file);
    return this.#flip(this.performed[before] as DiskOperation, completion);
  }

  #flip(operation: DiskOperation, { opId, result }: Completion): Completion {
    if (operation.kind !== "read-at" || operation.file !== this.#file || result.kind !== "read")
      return { opId, result };
    const at = this.#position - operation.position;
    const bytes = result.bytes.slice();
    if (at < 0 || at >= bytes.length) return { opId, result };
    this.left--;
    if (this.left > 0 || this.left <= -this.times) return { opId, result };
    bytes[at] = (bytes[at] as number) ^ (1 << -this.left);
    return { opId, result: { kind: "read", bytes: freeze(bytes) } };
  }
}

const driver = openedLog();
const first = entriesAfter(LOG_START, 1, 3);
driver.write({ hardState: hardStateOf(2, "n2") }).write({ entries: first });
const last = entriesAfter(pointAfter(first[2] as (typeof first)[number]), 2, 2);
const groupAt = driver.log.status().storeBytes;
driver.write({ entries: last });
const end = driver.log.status().storeBytes;
const image = driver.disk.killImage();
const all = [...first, ...last];

/** Opens with one wrong byte; how it ended, after checks that nothing was lost by it. */
function openMisreading(
  file: string,
  position: number,
  nth: number,
): "opened" | "refused" | "never read" {
  const disk = new MisreadingDisk(image, file, position, nth);
  const misled = new LogDriver(disk).open();
  const wasMet = disk.left <= 0;
  disk.times = 0;
  if (misled.refused === null) {
    expect(misled.allEntries()).toEqual(all);
    expect(misled.opened?.hardState).toEqual(hardStateOf(2, "n2"));
  } else expect(misled.refused.kind).toBe("damaged");
  const again = reopened(disk.killImage());
  expect(again.refused).toBeNull();
  expect(again.allEntries()).toEqual(all);
  expect(again.opened?.hardState).toEqual(hardStateOf(2, "n2"));
  if (!wasMet) return "never read";
  return misled.refused === null ? "opened" : "refused";
}

describe("a byte that is read wrong once", () => {
  test("in the last group costs no acknowledged entry, whichever read it is", () => {
    const outcomes = new Set<string>();
    for (let position = groupAt; position < end; position += 5)
      for (let nth = 1; nth <= 4; nth++) outcomes.add(openMisreading(STORE, position, nth));
    expect(outcomes).toContain("refused");
  });

  test("in the last group twice, and differently, costs no acknowledged entry either", () => {
    for (let position = groupAt; position < end; position += 5) {
      const disk = new MisreadingDisk(image, STORE, position, 1);
      disk.times = 2;
      expect(new LogDriver(disk).open().refused?.kind ?? "opened").toMatch(/damaged|opened/);
      expect(reopened(disk.killImage()).allEntries()).toEqual(all);
    }
  });

  test("in the segment's header or before the last group is refused, and right the next time", () => {
    for (let position = 0; position < groupAt; position += 7)
      for (let nth = 1; nth <= 3; nth++) openMisreading(STORE, position, nth);
    expect(openMisreading(STORE, 20, 1)).toBe("refused");
    expect(openMisreading(STORE, 600, 1)).toBe("refused");
  });

  test("again and again, and differently, is never taken for a loss that peers make good", () => {
    const options = { ...OPTIONS, segmentBytesMax: 1024 };
    const segments = openedLog(options);
    segments.write({ hardState: hardStateOf(2, "n2") });
    for (let n = 0; n < 4; n++)
      segments.write({ entries: entriesAfter(segments.log.status().end, 2, 3) });
    const several = segments.disk.killImage();
    const { end: lastPoint } = segments.log.status();
    const stores = [...several.keys()].filter((file) => file.endsWith(".store")).sort();
    expect(stores.length).toBeGreaterThan(2);
    for (const position of [20, 100, 530, 620]) {
      const disk = new MisreadingDisk(several, stores[1] as string, position, 1);
      disk.times = 8;
      const misled = new LogDriver(disk, { ...options, mayMend: () => true }).open();
      expect(misled.opened?.lost ?? null).toBeNull();
      expect(reopened(disk.killImage(), options).opened?.end).toEqual(lastPoint);
    }
  });

  test.each([0, 4096])("in the hard state at %i forgets no vote", (sector) => {
    for (let at = 0; at < 512; at += 3)
      expect(openMisreading("hard-state", sector + at, 1)).toBe("opened");
  });

  test("in the manifest is refused, and right the next time", () => {
    expect(openMisreading("manifest", 40, 1)).toBe("refused");
  });
});
