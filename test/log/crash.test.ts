// Crash enumeration: short workloads, stopped before and after every single effect on the disk,
// with what a kill leaves and with many of the things that a power loss may leave. Every image must
// open to a log between what was acknowledged and what was asked for, whatever the index files
// hold.
import { expect, test } from "vitest";

import { assert } from "../../src/base/assert.ts";
import { type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import type { HardState } from "../../src/base/entry.ts";
import { type Entry, LOG_START, type LogPoint, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { baseOfStore, indexOfCheckpoint } from "../../src/log/file-names.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { scanStore } from "../../src/log/recovery.ts";
import {
  entriesAfter,
  hardStateOf,
  LogDriver,
  OPTIONS,
  type PickFile,
  takingTurns,
} from "./driver.ts";
import { type CrashChoices, type DiskImage, digestOf, FakeDisk } from "./fake-disk.ts";

/** Small enough that a few entries roll, and a zeroed slot shows. */
const TINY: LogOptions = { ...OPTIONS, segmentBytesMax: 1400, indexEntriesMax: 5 };

type Step =
  | { readonly kind: "append"; readonly count: number; readonly bodyBytes?: number }
  /**
   * Cuts before `from` and goes on with `count` entries of the next term; that term comes with the
   * same write, or with one before it.
   */
  | {
      readonly kind: "replace";
      readonly from: number;
      readonly count: number;
      readonly apart?: boolean;
    }
  | { readonly kind: "vote"; readonly votedFor: string }
  | { readonly kind: "checkpoint" }
  /** Lets the disk finish; else the next step is handed in while the last is under way. */
  | { readonly kind: "settle" }
  | { readonly kind: "reopen"; readonly clean: boolean };

/** What the log holds once write number n is done. */
interface ModelState {
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
}

interface Bounds {
  /** The states between which the crash fell: acknowledged first, asked for last. */
  readonly states: readonly ModelState[];
  readonly checkpoints: readonly number[];
}

function endOf(entries: readonly Entry[]): LogPoint {
  const last = entries.at(-1);
  return last === undefined ? LOG_START : pointAfter(last);
}

function isPrefix(part: readonly Entry[], whole: readonly Entry[]): boolean {
  return part.every((entry, n) => sameFrame(entry, whole[n]));
}

function sameFrame(a: Entry, b: Entry | undefined): boolean {
  return b !== undefined && Buffer.compare(a.frame, b.frame) === 0;
}

function commonLength(a: readonly Entry[], b: readonly Entry[]): number {
  let length = 0;
  for (; length < a.length && length < b.length; length++) {
    if (!sameFrame(a[length] as Entry, b[length])) break;
  }
  return length;
}

/** Why a recovered log cannot be, or null. */
function inadmissible(
  entries: readonly Entry[],
  hardState: HardState,
  bounds: Bounds,
): string | null {
  const { states } = bounds;
  for (let n = 0; n < states.length; n++) {
    const before = states[Math.max(0, n - 1)] as ModelState;
    const here = states[n] as ModelState;
    const common = n === 0 ? here.entries.length : commonLength(before.entries, here.entries);
    const isPart = isPrefix(entries, here.entries) || isPrefix(entries, before.entries);
    if (!isPart || entries.length < common) continue;
    // New entries are never durable before the hard state of the same write, nor it too late.
    const isNew = !isPrefix(entries, before.entries);
    const allowed = states.slice(isNew ? n : 0).map((state) => JSON.stringify(state.hardState));
    if (allowed.includes(JSON.stringify(hardState))) return null;
  }
  const lengths = states.map((state) => state.entries.length).join(" .. ");
  return `${entries.length} entries of ${lengths}, term ${hardState.term}`;
}

class Enumeration {
  readonly #prng: Prng;
  readonly #seen = new Set<string>();
  readonly #options: LogOptions;
  images = 0;
  nested = 0;

  constructor(seed: string, options: LogOptions) {
    this.#prng = new Prng(seed);
    this.#options = options;
  }

  /** Kill and power loss, now. */
  crash(disk: FakeDisk, bounds: Bounds, isNested: boolean): void {
    const images: DiskImage[] = [disk.killImage()];
    const lotteries: CrashChoices[] = [
      { take: () => 0, index: () => null },
      { take: (count) => count, index: (bytes) => new Uint8Array(bytes.length) },
    ];
    for (let n = 0; n < (isNested ? 1 : 2); n++) lotteries.push(this.#dice());
    for (const choices of lotteries) images.push(disk.powerLossImage(choices));
    for (const image of images) this.#check(image, bounds, isNested);
  }

  #dice(): CrashChoices {
    const prng = this.#prng;
    const bias = prng.below(4);
    return {
      take: (count) => (prng.below(4) < bias ? count : prng.below(count + 1)),
      index: (bytes) => prng.bytes(bytes.length),
    };
  }

  #check(image: DiskImage, bounds: Bounds, isNested: boolean): void {
    const acknowledged = bounds.states[0]?.entries.length;
    const key = `${digestOf(image)} ${bounds.states.length} ${acknowledged}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.images++;
    const recovery = new LogDriver(new FakeDisk(image), this.#options);
    const crashHere = !isNested && this.#prng.chance(1, 30);
    if (crashHere) {
      this.nested++;
      recovery.afterEach = () => {
        if (recovery.opened === null) this.crash(recovery.disk, bounds, true);
      };
    }
    recovery.open();
    recovery.afterEach = () => {};
    const { opened } = recovery;
    assert(opened !== null, `refused: ${JSON.stringify(recovery.refused)}`);
    const entries = recovery.allEntries();
    const what = inadmissible(entries, opened.hardState, bounds);
    assert(what === null, what ?? "");
    const checkpointIndex = opened.checkpoint?.at.index ?? 0;
    assert(bounds.checkpoints.includes(checkpointIndex), "checkpoint", checkpointIndex);
    expect(opened.tail.map((head) => head.index)).toEqual(
      entries.slice(checkpointIndex).map((entry) => entry.index),
    );
    this.#checkReads(recovery, entries);
    this.#checkScan(recovery.disk.killImage(), entries);
    this.#checkAgain(recovery, entries, opened.hardState);
  }

  /** What was said on opening is durable, and opening again changes no byte. */
  #checkAgain(recovery: LogDriver, entries: readonly Entry[], hardState: HardState): void {
    expect(recovery.disk.isAllDurable).toBe(true);
    const once = recovery.disk.killImage();
    const again = new LogDriver(new FakeDisk(once), this.#options).open();
    expect(again.opened).toMatchObject({ end: endOf(entries), hardState, tornBytes: 0 });
    expect(digestOf(again.disk.killImage())).toBe(digestOf(once));
  }

  /** Every index and every offset is answered by the index as by a linear search. */
  #checkReads(recovery: LogDriver, entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(sameFrame(entry, recovery.entriesFrom(entry.index, 1)[0]), "by index", entry.index);
      for (let offset = entry.offset as number; offset < entry.offset + entry.count; offset++) {
        assert(sameFrame(entry, recovery.entriesAt(offset, 1)[0]), "by offset", offset);
      }
    }
  }

  #checkScan(image: DiskImage, entries: readonly Entry[]): void {
    const stores = [...image].filter(([file]) => baseOfStore(file) !== null);
    stores.sort(([a], [b]) => (a < b ? -1 : 1));
    const scanned = stores.flatMap(([, bytes]) => {
      const store = scanStore(freeze(bytes));
      assert(store?.verdict.kind === "clean", "a recovered store is clean");
      return store.entries.map(({ entry }) => entry);
    });
    assert(scanned.length === entries.length && isPrefix(scanned, entries), "scan differs");
  }
}

class Workload {
  readonly #options: LogOptions;
  readonly #pick: PickFile;
  readonly #enumeration: Enumeration;
  #driver: LogDriver;
  /** States by write; the first is what was there at the last (re)open. */
  #states: ModelState[] = [{ entries: [], hardState: hardStateOf(0) }];
  #checkpoints = [0];
  #isCheckpointUnderWay = false;

  constructor(options: LogOptions, pick: PickFile, enumeration: Enumeration) {
    this.#options = options;
    this.#pick = pick;
    this.#enumeration = enumeration;
    this.#driver = this.#start(new FakeDisk());
  }

  #start(disk: FakeDisk): LogDriver {
    const driver = new LogDriver(disk, this.#options, this.#pick);
    driver.afterEach = () => this.#crash(driver);
    this.#enumeration.crash(disk, this.#bounds(driver), false);
    return driver.open();
  }

  #bounds(driver: LogDriver): Bounds {
    return { states: this.#states.slice(driver.persisted), checkpoints: this.#checkpoints };
  }

  #crash(driver: LogDriver): void {
    const last = driver.disk.performed.at(-1);
    if (last?.kind === "rename" && indexOfCheckpoint(last.to) !== null)
      this.#isCheckpointUnderWay = true;
    if (last?.kind === "sync-dir" && this.#isCheckpointUnderWay) {
      this.#isCheckpointUnderWay = false;
      this.#checkpoints = this.#checkpoints.slice(-1);
    }
    this.#enumeration.crash(driver.disk, this.#bounds(driver), false);
  }

  get #now(): ModelState {
    return this.#states.at(-1) as ModelState;
  }

  #submit(
    write: {
      readonly hardState?: HardState;
      readonly truncateFrom?: LogIndex;
      readonly entries: readonly Entry[];
    },
    isTermKnown = false,
  ): void {
    const kept = this.#now.entries.slice(0, (write.truncateFrom ?? Number.MAX_SAFE_INTEGER) - 1);
    const hardState = write.hardState ?? this.#now.hardState;
    this.#states.push({ entries: [...kept, ...write.entries], hardState });
    this.#driver.submit(isTermKnown ? { ...write, hardState: null } : write);
  }

  run(steps: readonly Step[]): void {
    this.#submit({ hardState: hardStateOf(1), entries: [] });
    for (const step of steps) this.#take(step);
    this.#driver.run();
  }

  #take(step: Step): void {
    const { entries, hardState } = this.#now;
    switch (step.kind) {
      case "append":
        this.#submit({
          entries: entriesAfter(endOf(entries), hardState.term, step.count, step.bodyBytes),
        });
        break;
      case "replace": {
        const before = endOf(entries.slice(0, step.from - 1));
        const term = hardState.term + 1;
        const replaced = entriesAfter(before, term, step.count, 25);
        const truncateFrom = step.from as LogIndex;
        if (step.apart === true) this.#submit({ hardState: hardStateOf(term), entries: [] });
        this.#submit({ hardState: hardStateOf(term), truncateFrom, entries: replaced }, step.apart);
        break;
      }
      case "vote":
        this.#submit({ hardState: hardStateOf(hardState.term + 1, step.votedFor), entries: [] });
        break;
      case "checkpoint": {
        this.#driver.run();
        const at = endOf(entries);
        this.#checkpoints.push(at.index);
        this.#driver.step({ kind: "checkpoint", at, state: new Uint8Array(700) as FrozenBytes });
        break;
      }
      case "settle":
        this.#driver.run();
        break;
      case "reopen": {
        this.#driver.run();
        if (step.clean) this.#driver.close();
        this.#states = [this.#now];
        this.#checkpoints = this.#checkpoints.slice(-1);
        this.#driver = this.#start(new FakeDisk(this.#driver.disk.killImage()));
        break;
      }
    }
  }
}

const settle: Step = { kind: "settle" };
const WORKLOADS: Readonly<Record<string, readonly Step[]>> = {
  "appends in groups": [
    { kind: "append", count: 1 },
    { kind: "append", count: 2 },
    { kind: "append", count: 1 },
    settle,
    { kind: "append", count: 3, bodyBytes: 300 },
  ],
  "rolls through segments": [
    { kind: "append", count: 5 },
    settle,
    { kind: "append", count: 9 },
    { kind: "append", count: 1, bodyBytes: 1700 },
    { kind: "append", count: 2 },
  ],
  "replaces a tail inside a segment": [
    { kind: "append", count: 2 },
    settle,
    { kind: "append", count: 2 },
    settle,
    { kind: "replace", from: 2, count: 2 },
    settle,
    { kind: "append", count: 1 },
  ],
  "replaces a tail over segments, twice, before it was durable": [
    { kind: "append", count: 12 },
    settle,
    { kind: "replace", from: 4, count: 4 },
    { kind: "replace", from: 6, count: 2 },
    { kind: "append", count: 3 },
  ],
  "replaces a tail in a term known before, with appends in front and behind": [
    { kind: "append", count: 4 },
    settle,
    { kind: "append", count: 1 },
    { kind: "replace", from: 3, count: 2, apart: true },
    { kind: "append", count: 1 },
    settle,
    { kind: "replace", from: 2, count: 0, apart: true },
    { kind: "append", count: 7 },
  ],
  "replaces a whole segment and the whole log": [
    { kind: "append", count: 8 },
    settle,
    { kind: "replace", from: 6, count: 1 },
    settle,
    { kind: "replace", from: 1, count: 3 },
  ],
  "votes between appends": [
    { kind: "vote", votedFor: "n2" },
    { kind: "append", count: 1 },
    { kind: "vote", votedFor: "n3" },
    { kind: "append", count: 1 },
    settle,
    { kind: "vote", votedFor: "a-node-with-a-longer-name" },
  ],
  "takes checkpoints": [
    { kind: "append", count: 3 },
    { kind: "checkpoint" },
    { kind: "append", count: 3 },
    { kind: "checkpoint" },
    { kind: "append", count: 1 },
  ],
  "stops and starts": [
    { kind: "append", count: 3 },
    { kind: "reopen", clean: true },
    { kind: "append", count: 3 },
    { kind: "reopen", clean: false },
    { kind: "replace", from: 5, count: 2 },
    { kind: "reopen", clean: true },
  ],
};

const ORDERS: Readonly<Record<string, () => PickFile>> = {
  "taking turns": takingTurns,
  "one file to its end": () => (waiting) => waiting[waiting.length - 1] as string,
};

test("a crash at any effect, of any kind, loses nothing acknowledged and invents nothing", () => {
  const started = performance.now();
  let images = 0;
  let nested = 0;
  for (const [name, steps] of Object.entries(WORKLOADS)) {
    for (const [order, pick] of Object.entries(ORDERS)) {
      for (const preallocateBytes of [0, 600]) {
        const options = { ...TINY, preallocateBytes };
        const enumeration = new Enumeration(`${name} ${order} ${preallocateBytes}`, options);
        try {
          new Workload(options, pick(), enumeration).run(steps);
        } catch (error) {
          throw new Error(`${name}, ${order}, preallocating ${preallocateBytes}`, { cause: error });
        }
        images += enumeration.images;
        nested += enumeration.nested;
      }
    }
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(
    `crash images: ${images} distinct, ${nested} recoveries crashed, ${seconds} s\n`,
  );
  expect(images).toBeGreaterThan(3000);
}, 120_000);
