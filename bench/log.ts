// `npm run bench -- log`: the log engine on real files, beside raw writes and syncs of the same
// bytes. Both sides of a ratio take turns in one run on one directory. The engine runs with the
// production disk adapter, without network and consensus: what it costs above the disk, and what it
// saves.

import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { FileDisk } from "../src/adapters/file-disk.ts";
import { chooseIndex } from "../src/adapters/index-maps.ts";
import { freeze } from "../src/base/bytes.ts";
import { crc32c } from "../src/base/crc32c.ts";
import {
  type Entry,
  type EntryHead,
  LOG_START,
  type LogPoint,
  pointAfter,
} from "../src/base/entry.ts";
import type { Instant, LogIndex, NodeId, Offset, Term, WallMs, WriteId } from "../src/base/ids.ts";
import { Prng } from "../src/base/prng.ts";
import { FRAME_HEADER_BYTES, sealFrame } from "../src/log/frame.ts";
import { Log } from "../src/log/log.ts";
import type { LogEvent, LogOpened, LogOptions, LogRead } from "../src/log/protocol.ts";
import { type Row, row } from "./row.ts";

const MIB = 1024 * 1024;
const NOW = 0 as Instant;
const ROUNDS = 5;
/** Zeros ahead of the end, for the log and the raw file alike. */
const AHEAD_BYTES = 16 * MIB;

function optionsWith(preallocateBytes: number): LogOptions {
  return {
    identity: {
      clusterId: "be".repeat(16),
      nodeName: "bench" as NodeId,
      instanceId: "ac".repeat(16),
    },
    segmentBytesMax: 64 * MIB,
    indexEntriesMax: 256 * 1024,
    preallocateBytes,
    cacheBytesMax: 0,
  };
}

/** A log on a directory of its own, as a node would drive it, with promises for what it answers. */
class BenchLog {
  readonly directory: string;
  readonly #log: Log;
  readonly #disk: FileDisk;
  #end: LogPoint = LOG_START;
  #writeId = 0;
  #readId = 0;
  readonly #writes: { readonly writeId: number; readonly done: () => void }[] = [];
  readonly #reads = new Map<number, (read: LogRead) => void>();
  #opened: (opened: LogOpened) => void = () => {};
  #closed: () => void = () => {};

  constructor(directory: string, preallocateBytes: number) {
    this.directory = directory;
    this.#log = new Log(optionsWith(preallocateBytes));
    this.#disk = new FileDisk({ directory, index: chooseIndex("auto").maps });
    this.#disk.attach({
      diskDone: (opId, result) => this.#step({ kind: "disk-done", opId, result }),
    });
  }

  #step(event: LogEvent): void {
    this.#log.step(NOW, event);
    const output = this.#log.takeOutput();
    if (output === null) return;
    for (const operation of output.operations) this.#disk.submit(operation);
    if (output.refused !== null || output.poisoned !== null) {
      throw new Error(`the log failed: ${JSON.stringify(output.refused ?? output.poisoned)}`);
    }
    if (output.opened !== null) this.#opened(output.opened);
    if (output.closed) this.#closed();
    for (const read of output.reads) this.#reads.get(read.readId)?.(read);
    const persisted = output.persisted ?? 0;
    while ((this.#writes[0]?.writeId ?? Number.MAX_SAFE_INTEGER) <= persisted) {
      this.#writes.shift()?.done();
    }
  }

  async open(): Promise<LogOpened> {
    const opened = await new Promise<LogOpened>((resolve) => {
      this.#opened = resolve;
      this.#step({ kind: "open" });
    });
    this.#end = opened.end;
    if (opened.hardState.term === 0) {
      await this.#write({ term: 1 as Term, votedFor: null }, []);
    }
    return opened;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#closed = resolve;
      this.#step({ kind: "close" });
    });
    await this.#disk.close();
  }

  #write(hardState: LogOpened["hardState"] | null, entries: readonly Entry[]): Promise<void> {
    const writeId = ++this.#writeId as WriteId;
    return new Promise((done) => {
      this.#writes.push({ writeId, done });
      const write = { writeId, hardState, truncateFrom: null, entries };
      this.#step({ kind: "write", write });
    });
  }

  /** Seals the bodies as the next entries, and resolves when they are durable. */
  append(bodies: readonly Uint8Array[], bodyCrc: number): Promise<void> {
    const entries = bodies.map((bytes) => {
      const entry = entryAfter(this.#end, bytes, bodyCrc);
      this.#end = pointAfter(entry);
      return entry;
    });
    return this.#write(null, entries);
  }

  /** As of the end; nothing is told of it, and a close waits for it. */
  checkpoint(): void {
    this.#step({ kind: "checkpoint", at: this.#end, state: freeze(new Uint8Array(64)) });
  }

  read(index: number, bytesMax: number): Promise<LogRead> {
    const readId = ++this.#readId;
    return new Promise((resolve) => {
      this.#reads.set(readId, (read) => {
        this.#reads.delete(readId);
        resolve(read);
      });
      const from = { kind: "index", index: index as LogIndex } as const;
      this.#step({ kind: "read", readId, from, lastIndex: this.#end.index, bytesMax });
    });
  }
}

/** `bytes` has room for the header in front of the body. */
function entryAfter(before: LogPoint, bytes: Uint8Array, bodyCrc: number): Entry {
  const bodyLength = bytes.length - FRAME_HEADER_BYTES;
  const head: EntryHead = {
    kind: "records",
    codec: 0,
    critical: true,
    index: (before.index + 1) as LogIndex,
    term: 1 as Term,
    prevTerm: before.term,
    offset: before.endOffset as Offset,
    count: 1,
    timestamp: before.timestamp as WallMs,
    bodyLength,
    bodyCrc,
    rawLength: bodyLength,
    producerId: 0,
    epoch: 0,
    sequence: 0,
  };
  return { ...head, frame: sealFrame(head, bytes) };
}

/** A file of our own, written and synced as plainly as Node can, off the main thread. */
class RawFile {
  readonly #file: Awaited<ReturnType<typeof open>>;
  readonly #bytes: number;
  #position = 0;

  private constructor(file: Awaited<ReturnType<typeof open>>, bytes: number) {
    this.#file = file;
    this.#bytes = bytes;
  }

  static async make(name: string, preallocateBytes: number): Promise<RawFile> {
    const file = await open(name, "w+");
    for (let at = 0; at < preallocateBytes; at += MIB)
      await file.write(new Uint8Array(MIB), 0, MIB, at);
    await file.datasync();
    return new RawFile(file, preallocateBytes);
  }

  /** Over and over what was written ahead, so that no sync has to grow the file. */
  async append(parts: readonly Uint8Array[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (this.#position + bytes > this.#bytes) this.#position = 0;
    const { bytesWritten } = await this.#file.writev(parts, this.#position);
    this.#position += bytesWritten;
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Runs `once` for `ms` and returns how often a second, and the median of one run in ms. */
async function rate(
  ms: number,
  once: () => Promise<void>,
): Promise<{ perSecond: number; p50: number }> {
  const started = performance.now();
  const each: number[] = [];
  let now = started;
  while (now - started < ms) {
    await once();
    const then = now;
    now = performance.now();
    each.push(now - then);
  }
  return { perSecond: (each.length * 1000) / (now - started), p50: median(each) };
}

interface Batch {
  readonly records: number;
  readonly recordBytes: number;
}

const BATCHES: readonly Batch[] = [1, 64, 1024].flatMap((records) =>
  [256, 1024].map((recordBytes) => ({ records, recordBytes })),
);

/** One batch after another, each an entry and waited for: the log and the raw file take turns. */
async function benchBatch(batch: Batch, folder: string, ms: number): Promise<Row> {
  const { records, recordBytes } = batch;
  const directory = mkdtempSync(path.join(folder, "batch-"));
  const log = new BenchLog(directory, AHEAD_BYTES);
  await log.open();
  const raw = await RawFile.make(path.join(folder, "raw"), 4 * AHEAD_BYTES);
  const body = new Uint8Array(records * recordBytes).fill(7);
  const bodyCrc = crc32c(body);
  const logs: number[] = [];
  const raws: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    logs.push((await rate(ms, () => log.append([withRoom(body)], bodyCrc))).perSecond);
    raws.push((await rate(ms, () => raw.append([withRoom(body)]))).perSecond);
  }
  await raw.close();
  await log.close();
  rmSync(directory, { recursive: true });
  const perSecond = (rates: readonly number[]) => records * median(rates);
  const name = `append ${records} x ${recordBytes} B a sync`;
  return row("log", name, perSecond(logs), "records/s", "raw", perSecond(raws));
}

function withRoom(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  bytes.set(body, FRAME_HEADER_BYTES);
  return bytes;
}

/** Many writers of one entry each: the log merges what waits while it syncs. */
async function benchWriters(writers: number, folder: string, ms: number): Promise<Row> {
  const directory = mkdtempSync(path.join(folder, "writers-"));
  const log = new BenchLog(directory, 16 * MIB);
  await log.open();
  const raw = await RawFile.make(path.join(folder, "raw"), 16 * MIB);
  const body = new Uint8Array(256).fill(7);
  const bodyCrc = crc32c(body);
  const logs: number[] = [];
  const raws: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const until = performance.now() + ms;
    let appended = 0;
    const writer = async () => {
      for (; performance.now() < until; appended++) await log.append([withRoom(body)], bodyCrc);
    };
    await Promise.all(Array.from({ length: writers }, writer));
    logs.push((appended * 1000) / ms);
    raws.push((await rate(ms, () => raw.append([withRoom(body)]))).perSecond);
  }
  await raw.close();
  await log.close();
  rmSync(directory, { recursive: true });
  const name = `append 256 B, ${writers} writers`;
  return row("log", name, median(logs), "entries/s", "a sync for each", median(raws));
}

/** Sequential verified reads and recovery, beside plain reads of the same file. */
async function benchReads(folder: string, mebibytes: number): Promise<Row[]> {
  const directory = mkdtempSync(path.join(folder, "reads-"));
  const log = new BenchLog(directory, 0);
  await log.open();
  const body = new Uint8Array(1024).fill(7);
  const bodyCrc = crc32c(body);
  for (let n = 0; n < mebibytes; n++) {
    await log.append(
      Array.from({ length: 1024 }, () => withRoom(body)),
      bodyCrc,
    );
  }
  const reads: number[] = [];
  const recoveries: number[] = [];
  const raws: number[] = [];
  let current = log;
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    await readAll(current);
    reads.push((1000 * mebibytes) / (performance.now() - started));
    await current.close();
    raws.push(mebibytes / (await readPlainly(directory, mebibytes)));
    current = new BenchLog(directory, 0);
    const before = performance.now();
    await current.open();
    recoveries.push((1000 * mebibytes) / (performance.now() - before));
  }
  const randomReads = await benchRandom(current, directory, 1024 * mebibytes);
  await current.close();
  rmSync(directory, { recursive: true });
  return [
    randomReads,
    row("log", "read 1 KiB entries, verified", median(reads), "MiB/s", "plain read", median(raws)),
    row(
      "log",
      "recovery, every frame verified",
      median(recoveries),
      "MiB/s",
      "plain read",
      median(raws),
    ),
  ];
}

/** After a clean stop, with a checkpoint at its end: how long until the log can be used. */
async function benchOpening(folder: string, mebibytes: number): Promise<Row> {
  const directory = mkdtempSync(path.join(folder, "opening-"));
  const log = new BenchLog(directory, AHEAD_BYTES);
  await log.open();
  const body = new Uint8Array(MIB - FRAME_HEADER_BYTES).fill(7);
  const bodyCrc = crc32c(body);
  for (let n = 0; n < mebibytes; n++) await log.append([withRoom(body)], bodyCrc);
  log.checkpoint();
  await log.close();
  const openings: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const again = new BenchLog(directory, AHEAD_BYTES);
    const started = performance.now();
    await again.open();
    openings.push(performance.now() - started);
    await again.close();
  }
  rmSync(directory, { recursive: true });
  return row("log", `open ${mebibytes} MiB`, median(openings), "ms");
}

/** Entries anywhere, one at a time, and as many bytes anywhere in the file. */
async function benchRandom(log: BenchLog, directory: string, entries: number): Promise<Row> {
  const random = new Prng("bench log");
  const file = await open(path.join(directory, "00000000000000000001.store"), "r");
  const bytes = 1024 + FRAME_HEADER_BYTES;
  const logs: number[] = [];
  const raws: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const one = async () => void (await log.read(1 + random.below(entries), 1));
    logs.push((await rate(200, one)).perSecond);
    const plain = async () =>
      void (await file.read(new Uint8Array(bytes), 0, bytes, random.below(48 * MIB)));
    raws.push((await rate(200, plain)).perSecond);
  }
  await file.close();
  const name = "random reads of 1 KiB entries, verified";
  return row("log", name, median(logs), "1/s", "plain reads", median(raws));
}

async function readAll(log: BenchLog): Promise<void> {
  for (let index = 1; ; ) {
    const read = await log.read(index, MIB);
    if (read.kind !== "entries") throw new Error(`a read failed: ${JSON.stringify(read.fault)}`);
    const last = read.entries.at(-1);
    if (last === undefined) return;
    index = last.index + 1;
  }
}

/** Seconds to read as many bytes of the first store in the same pieces. */
async function readPlainly(directory: string, mebibytes: number): Promise<number> {
  const file = await open(path.join(directory, "00000000000000000001.store"), "r");
  const started = performance.now();
  for (let n = 0; n < mebibytes; n++) {
    await file.read(new Uint8Array(MIB), 0, MIB, (n % 48) * MIB);
  }
  const seconds = (performance.now() - started) / 1000;
  await file.close();
  return seconds;
}

/** Runs everything in a new folder of the temporary directory, which should be a real disk. */
export async function runLogBench(quick: boolean): Promise<readonly Row[]> {
  const folder = mkdtempSync(path.join(tmpdir(), "cairn-bench-log-"));
  const ms = quick ? 60 : 400;
  try {
    const rows: Row[] = [];
    for (const batch of BATCHES) rows.push(await benchBatch(batch, folder, ms));
    for (const writers of [16, 256]) rows.push(await benchWriters(writers, folder, ms));
    rows.push(...(await benchReads(folder, quick ? 64 : 256)));
    for (const mebibytes of quick ? [64, 128] : [64, 256, 1024]) {
      rows.push(await benchOpening(folder, mebibytes));
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
