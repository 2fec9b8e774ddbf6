// Tries what a crash may leave: opens every distinct image and holds what is found against the
// model, the stores read from end to end, and a second opening; some of the openings crash too.

import { assert } from "../../src/base/assert.ts";
import { EMPTY_BYTES, freeze } from "../../src/base/bytes.ts";
import type { Entry } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { CHECKPOINT_HEADER_BYTES, decodeCheckpointHeader } from "../../src/log/checkpoint.ts";
import { baseOfStore, incomingFile, indexFile } from "../../src/log/file-names.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { type ScannedStore, scanStore } from "../../src/log/recovery.ts";
import { crashImages, type ImageBudget } from "./crash-images.ts";
import { type Bounds, inadmissible, sameFrame, samePoint } from "./crash-model.ts";
import { entriesAfter, LogDriver, stateAt } from "./driver.ts";
import { type DiskImage, digestOf, FakeDisk } from "./fake-disk.ts";

/** Of a crash within a crash's recovery. */
const NESTED: ImageBudget = { everyMax: 4, drawn: 1 };

export class Enumeration {
  readonly #prng: Prng;
  readonly #options: LogOptions;
  readonly #budget: ImageBudget;
  /** Against the same bounds an image is tried once. */
  readonly #seen = new Set<string>();
  #boundsId = 0;
  #bounds: Bounds | null = null;
  images = 0;
  nested = 0;
  /** Openings that go on with a checkpoint that was being received. */
  resumable = 0;

  constructor(seed: string, options: LogOptions, budget: ImageBudget) {
    this.#prng = new Prng(seed);
    this.#options = options;
    this.#budget = budget;
  }

  /** Kill and power loss, now. */
  crash(disk: FakeDisk, bounds: Bounds, isNested = false): void {
    if (bounds !== this.#bounds) this.#boundsId++;
    this.#bounds = bounds;
    const prng = this.#prng;
    for (const image of crashImages(disk, prng, isNested ? NESTED : this.#budget)) {
      const key = `${digestOf(image)} ${this.#boundsId}`;
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      this.images++;
      this.#check(image, bounds, isNested);
    }
  }

  #check(image: DiskImage, bounds: Bounds, isNested: boolean): void {
    const recovery = new LogDriver(new FakeDisk(image), this.#options);
    if (!isNested && this.#prng.chance(1, 40)) {
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
    const what = inadmissible({ opened, entries }, bounds);
    assert(what === null, what ?? "");
    checkScan(recovery.disk.killImage(), entries);
    if (recovery.log.incomingIndex !== 0) this.#checkIncoming(recovery);
    this.#checkAgain(recovery);
    if (this.#prng.chance(1, 8)) checkReads(recovery);
    if (this.#prng.chance(1, 12)) checkGoesOn(recovery, this.#options);
  }

  /** What is gone on with of a checkpoint that was being received is what was sent. */
  #checkIncoming(recovery: LogDriver): void {
    const index = recovery.log.incomingIndex;
    const bytes = recovery.disk.killImage().get(incomingFile(index)) ?? new Uint8Array(0);
    const base = decodeCheckpointHeader(bytes);
    assert(base !== null && base.at.index === index, "its header is whole", index);
    recovery.step({ kind: "receive-base", base, position: 0, bytes: EMPTY_BYTES });
    const [told] = recovery.received;
    assert(told?.kind === "part" && told.position > 0, "it says how far it is", index);
    const state = bytes.subarray(CHECKPOINT_HEADER_BYTES, CHECKPOINT_HEADER_BYTES + told.position);
    const sent = stateAt(index, base.stateBytes).subarray(0, told.position);
    assert(Buffer.compare(state, sent) === 0, "what was lost is believed", told.position);
    this.resumable++;
  }

  /** What was said on opening is durable, and opening again changes no byte. */
  #checkAgain(recovery: LogDriver): void {
    assert(recovery.disk.isAllDurable, "something was told that is not durable");
    const once = recovery.disk.killImage();
    const again = new LogDriver(new FakeDisk(once), this.#options).open();
    const first = recovery.opened;
    const second = again.opened;
    assert(first !== null && second !== null, "opened once, and not again");
    assert(samePoint(first.end, second.end), "another end the second time");
    assert(samePoint(first.base, second.base), "another start the second time");
    assert(first.hardState.term === second.hardState.term, "another term the second time");
    assert(first.hardState.votedFor === second.hardState.votedFor, "another vote");
    assert(second.tornBytes === 0, "something is torn the second time", second.tornBytes);
    assert(digestOf(again.disk.killImage()) === digestOf(once), "recovery does not settle");
  }
}

/** Every index and every offset is answered by the index as by a linear search. */
function checkReads(recovery: LogDriver): void {
  for (const entry of recovery.allEntries()) {
    assert(sameFrame(entry, recovery.entriesFrom(entry.index, 1)[0]), "by index", entry.index);
    for (let offset = entry.offset as number; offset < entry.offset + entry.count; offset++) {
      assert(sameFrame(entry, recovery.entriesAt(offset, 1)[0]), "by offset", offset);
    }
  }
}

/** The stores, read by themselves from end to end, hold what is served, and the indexes say so. */
function checkScan(image: DiskImage, entries: readonly Entry[]): void {
  const first = entries[0]?.index ?? Number.MAX_SAFE_INTEGER;
  const stores = [...image].filter(([file]) => baseOfStore(file) !== null);
  stores.sort(([a], [b]) => (a < b ? -1 : 1));
  let served = 0;
  for (const [file, bytes] of stores) {
    const store = scanStore(freeze(bytes));
    assert(store?.verdict.kind === "clean", "a recovered store is clean");
    for (const { entry } of store.entries) {
      if (entry.index < first) continue;
      assert(sameFrame(entry, entries[served]), "the scan differs", entry.index);
      served++;
    }
    // What a sealed segment's index says is looked into when it is read, not before.
    if (file === stores.at(-1)?.[0]) checkActiveIndex(image, store);
  }
  assert(served === entries.length, "the scan is shorter", served, entries.length);
}

/** The active segment's index says, slot for slot, what a linear search of its store finds. */
function checkActiveIndex(image: DiskImage, { header, entries }: ScannedStore): void {
  const index = image.get(indexFile((header.before.index + 1) as LogIndex));
  assert(index !== undefined, "the active segment has its index");
  const slots = new DataView(index.buffer, index.byteOffset, index.byteLength);
  for (const [slot, { entry, position }] of entries.entries()) {
    const offset = entry.offset - header.before.endOffset;
    assert(slots.getUint32(12 * slot) === offset, "the index tells another offset", slot);
    assert(Number(slots.getBigUint64(12 * slot + 4)) === position, "or another position", slot);
  }
  const rest = index.subarray(12 * entries.length);
  assert(
    rest.every((byte) => byte === 0),
    "an empty slot is not zero",
  );
}

/** What was recovered can be written to, and is there the next time. */
function checkGoesOn(recovery: LogDriver, options: LogOptions): void {
  const { end } = recovery.log.status();
  const before = recovery.allEntries().length;
  const term = Math.max(1, recovery.opened?.hardState.term ?? 0);
  const hardState = { term: term as never, votedFor: null };
  recovery.write({ hardState, entries: entriesAfter(end, term, 2) });
  const again = new LogDriver(new FakeDisk(recovery.disk.killImage()), options).open();
  assert(again.allEntries().length === before + 2, "what was written after recovery is not there");
}
