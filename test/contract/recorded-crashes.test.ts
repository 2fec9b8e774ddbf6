// The log on real files: what a kill or a power loss could have left after any of its calls is
// written to a fresh directory and opened by the real log, with each kind of index.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { FileDisk } from "../../src/adapters/file-disk.ts";
import { chooseIndex, type IndexKind } from "../../src/adapters/index-maps.ts";
import { assert } from "../../src/base/assert.ts";
import { freeze } from "../../src/base/bytes.ts";
import { type Entry, LOG_START, type LogPoint, type LogWrite } from "../../src/base/entry.ts";
import type { Instant, LogIndex, Offset, Term, WallMs, WriteId } from "../../src/base/ids.ts";
import { NO_MEMBERS } from "../../src/base/membership.ts";
import { Prng } from "../../src/base/prng.ts";
import { baseOfIndex } from "../../src/log/file-names.ts";
import { Log } from "../../src/log/log.ts";
import type {
  LogEvent,
  LogOpened,
  LogOptions,
  LogRead,
  OpenRefusal,
} from "../../src/log/protocol.ts";
import type { Disk } from "../../src/ports/disk.ts";
import { INDEX_KINDS } from "../adapters/index-kinds.ts";
import { until } from "../adapters/peer-end.ts";
import { crashImages } from "../log/crash-images.ts";
import {
  type Bounds,
  endOf,
  inadmissible,
  type Limits,
  type ModelState,
  STATE_BYTES,
} from "../log/crash-model.ts";
import { entriesAfter, entriesOf, hardStateOf, headerOf, OPTIONS, stateAt } from "../log/driver.ts";
import { type DiskImage, digestOf } from "../log/fake-disk.ts";
import { directoryImage, RecordingDisk } from "./recording-disk.ts";

const SMALL: LogOptions = {
  ...OPTIONS,
  segmentBytesMax: 1400,
  indexEntriesMax: 6,
  preallocateBytes: 600,
};
const IMAGES_MAX = 150;

/** A log on a disk that takes its time. */
class LogHost {
  readonly log = new Log(SMALL);
  readonly #disk: Disk;
  /** Operations under way. */
  #waiting = 0;
  #reads = 0;
  persisted = 0;
  opened: LogOpened | null = null;
  refused: OpenRefusal | null = null;
  readonly #answers: LogRead[] = [];

  constructor(disk: Disk) {
    this.#disk = disk;
    disk.attach({
      diskDone: (opId, result) => {
        this.#waiting--;
        this.step({ kind: "disk-done", opId, result });
      },
    });
  }

  step(event: LogEvent): void {
    this.log.step(0 as Instant, event);
    const output = this.log.takeOutput();
    if (output === null) return;
    this.persisted = output.persisted ?? this.persisted;
    this.opened ??= output.opened;
    this.refused ??= output.refused;
    this.#answers.push(...output.reads);
    this.#waiting += output.operations.length;
    for (const operation of output.operations) this.#disk.submit(operation);
  }

  async idle(): Promise<void> {
    await until(() => this.#waiting === 0);
  }

  async open(): Promise<LogOpened> {
    this.step({ kind: "open" });
    await this.idle();
    const { opened } = this;
    assert(opened !== null, `refused: ${JSON.stringify(this.refused)}`);
    return opened;
  }

  /** The whole log, in as many reads as it takes. */
  async allEntries(): Promise<readonly Entry[]> {
    const { startIndex, end } = this.log.status();
    const entries: Entry[] = [];
    for (;;) {
      const readId = ++this.#reads;
      const index = ((entries.at(-1)?.index ?? startIndex - 1) + 1) as LogIndex;
      const from = { kind: "index", index } as const;
      this.step({ kind: "read", readId, from, lastIndex: end.index, bytesMax: 1_000_000 });
      await this.idle();
      const more = entriesOf(this.#answers.pop() as LogRead);
      if (more.length === 0) return entries;
      entries.push(...more);
    }
  }
}

interface Recorded {
  readonly image: DiskImage;
  readonly bounds: Bounds;
}

/** Runs a workload on real files, and records what crashes could leave of it. */
class Recording {
  readonly images: Recorded[] = [];
  readonly #prng = new Prng("recorded crashes");
  readonly #directory: string;
  readonly #disk: RecordingDisk;
  readonly host: LogHost;
  #writes = 0;
  #states: readonly ModelState[] = [{ base: LOG_START, entries: [], hardState: hardStateOf(0) }];
  #limits = new Map<number, Limits>([
    [0, { checkpoints: [], checkpointMin: 0, startMin: 0, trimOffset: 0 }],
  ]);

  constructor(directory: string, disk: Disk) {
    this.#directory = directory;
    this.#disk = new RecordingDisk(disk);
    this.host = new LogHost(this.#disk);
    this.#disk.afterEach = () => this.#record();
  }

  #record(): void {
    const states = this.#states.slice(this.host.persisted);
    const bounds: Bounds = { states, limits: new Map(this.#limits) };
    const real = directoryImage(this.#directory);
    this.images.push({ image: real, bounds });
    for (const image of crashImages(this.#disk.shadow, this.#prng, { everyMax: 4, drawn: 2 })) {
      this.images.push({ image, bounds });
    }
  }

  get now(): ModelState {
    return this.#states.at(-1) as ModelState;
  }

  submit(write: Partial<Omit<LogWrite, "writeId">>): void {
    const { base, entries, hardState } = this.now;
    const cut = write.truncateFrom ?? Number.MAX_SAFE_INTEGER;
    const kept = write.install === undefined ? entries.filter(({ index }) => index < cut) : [];
    const next: ModelState = {
      base: write.install?.at ?? base,
      entries: [...kept, ...(write.entries ?? [])],
      hardState: write.hardState ?? hardState,
    };
    this.#states = [...this.#states, next];
    const writeId = ++this.#writes as WriteId;
    const whole = { writeId, hardState: null, truncateFrom: null, entries: [], ...write };
    this.host.step({ kind: "write", write: whole });
  }

  append(count: number): void {
    this.submit({ entries: entriesAfter(endOf(this.now), this.now.hardState.term, count) });
  }

  replace(back: number, count: number): void {
    const { base, entries, hardState } = this.now;
    const from = (endOf(this.now).index + 1 - back) as LogIndex;
    const before = endOf({ base, entries: entries.filter(({ index }) => index < from) });
    const term = hardState.term + 1;
    const more = entriesAfter(before, term, count);
    this.submit({ hardState: hardStateOf(term, "n2"), truncateFrom: from, entries: more });
  }

  /** At the end, which must be durable, with the trim of all that this lets go. */
  checkpointAndTrim(): void {
    const at = endOf(this.now);
    const limits = this.#limits.get(this.now.base.index) as Limits;
    const checkpoints = [...limits.checkpoints, at.index];
    const changed = { ...limits, checkpoints, trimOffset: at.endOffset };
    this.#limits.set(this.now.base.index, changed);
    this.host.step({ kind: "checkpoint", at, state: stateAt(at.index, STATE_BYTES) });
    this.host.step({ kind: "trim", before: at.endOffset });
  }

  /** Received in two parts, then installed. */
  async install(): Promise<void> {
    const end = endOf(this.now);
    const at: LogPoint = {
      index: (end.index + 10) as LogIndex,
      term: this.now.hardState.term as Term,
      endOffset: (end.endOffset + 30) as Offset,
      timestamp: (end.timestamp + 5) as WallMs,
    };
    const { index } = at;
    const limits = { checkpoints: [index], checkpointMin: index, startMin: index, trimOffset: 0 };
    this.#limits.set(index, limits);
    const state = stateAt(index, STATE_BYTES);
    for (const [from, to] of [
      [0, 400],
      [400, STATE_BYTES],
    ]) {
      const bytes = freeze(state.subarray(from, to));
      const place = { base: headerOf({ at, state }), position: from ?? 0, bytes };
      this.host.step({ kind: "receive-base", ...place });
      await this.host.idle();
    }
    const install = { at, membership: NO_MEMBERS, state };
    this.submit({ install, entries: entriesAfter(at, at.term, 2) });
  }

  /** The real files hold what the mirrored calls say, index files and mapped memory aside. */
  checkShadow(): void {
    const weighty = (image: DiskImage) =>
      new Map([...image].filter(([file]) => baseOfIndex(file) === null));
    const real = digestOf(weighty(directoryImage(this.#directory)));
    expect(real).toBe(digestOf(weighty(this.#disk.shadow.killImage())));
  }
}

async function record(kind: IndexKind): Promise<readonly Recorded[]> {
  const directory = mkdtempSync(join(tmpdir(), "cairn-crash-"));
  const disk = new FileDisk({ directory, index: chooseIndex(kind).maps });
  const recording = new Recording(directory, disk);
  await recording.host.open();
  recording.submit({ hardState: hardStateOf(1) });
  for (const count of [1, 3, 8, 2]) recording.append(count);
  await recording.host.idle();
  recording.replace(3, 2);
  recording.append(1);
  await recording.host.idle();
  recording.checkShadow();
  recording.checkpointAndTrim();
  recording.append(6);
  await recording.host.idle();
  await recording.install();
  recording.append(2);
  await recording.host.idle();
  recording.checkShadow();
  await disk.close();
  rmSync(directory, { recursive: true });
  return recording.images;
}

async function openImage({ image, bounds }: Recorded, kind: IndexKind): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "cairn-crash-"));
  for (const [file, bytes] of image) writeFileSync(join(directory, file), bytes);
  const digests: string[] = [];
  for (const time of ["once", "twice"]) {
    const disk = new FileDisk({ directory, index: chooseIndex(kind).maps });
    const host = new LogHost(disk);
    const opened = await host.open();
    const what = inadmissible({ opened, entries: await host.allEntries() }, bounds);
    assert(what === null, `opened ${time}: ${what}`);
    await disk.close();
    digests.push(digestOf(directoryImage(directory)));
  }
  rmSync(directory, { recursive: true });
  expect(digests[1]).toBe(digests[0]);
}

describe.each(INDEX_KINDS)("a log on files with its index by %s", (kind) => {
  test("opens to what was acknowledged on every image that its calls may leave", async () => {
    const recorded = await record(kind);
    const distinct = [...new Map(recorded.map((each) => [digestOf(each.image), each])).values()];
    expect(distinct.length).toBeGreaterThan(IMAGES_MAX);
    const images = new Prng("which").shuffled(distinct).slice(0, IMAGES_MAX);
    for (const image of images) await openImage(image, kind);
    process.stdout.write(`crash images on files, index by ${kind}: ${images.length} tried\n`);
  }, 120_000);
});
