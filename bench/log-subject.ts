// What `npm run bench -- log` measures, and what stands beside it: the log engine on real files
// with the production disk adapter, without network and consensus; and a file written by the same
// thread pool as plainly as Node can. Owns driving both; what is done with them is log-*.ts.

import { constants } from "node:fs";
import { open } from "node:fs/promises";
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
import { FRAME_HEADER_BYTES, sealFrame } from "../src/log/frame.ts";
import { Log } from "../src/log/log.ts";
import type { LogEvent, LogOpened, LogOptions, LogRead } from "../src/log/protocol.ts";
import type { Disk } from "../src/ports/disk.ts";

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

const NOW = 0 as Instant;

/** As an agent has them by default, but for what a bench says otherwise. */
export function optionsWith(changes: Partial<LogOptions> = {}): LogOptions {
  return {
    identity: {
      clusterId: "be".repeat(16),
      nodeName: "bench" as NodeId,
      instanceId: "ac".repeat(16),
    },
    segmentBytesMax: 64 * MIB,
    indexEntriesMax: 64 * KIB,
    preallocateBytes: MIB,
    cacheBytesMax: 0,
    ...changes,
  };
}

/** The bytes of one entry, and the checksum of its body: made before the clock runs. */
export interface Made {
  /** Room for the header, then the body. */
  readonly bytes: Uint8Array;
  readonly bodyCrc: number;
  readonly records: number;
}

/** One entry of so many records of so many bytes. */
export function made(records: number, recordBytes: number): Made {
  const body = new Uint8Array(records * recordBytes);
  for (let at = 0; at < body.length; at++) body[at] = at % 251;
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  bytes.set(body, FRAME_HEADER_BYTES);
  return { bytes, bodyCrc: crc32c(body), records };
}

/** One entry of one record of zeros, as large as wanted. */
export function zeroEntry(bodyBytes: number): Made {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + bodyBytes);
  return { bytes, bodyCrc: crc32c(bytes, 0, FRAME_HEADER_BYTES), records: 1 };
}

/** Of the same body, in bytes of its own. */
export function copyOf({ bytes, ...same }: Made): Made {
  return { bytes: bytes.slice(), ...same };
}

type ClosableDisk = Disk & { close(): Promise<void> };

/** A log on a directory of its own, as a node would drive it, with promises for what it answers. */
export class BenchLog {
  readonly #log: Log;
  readonly #disk: ClosableDisk;
  #end: LogPoint = LOG_START;
  #writeId = 0;
  #readId = 0;
  readonly #writes: { readonly writeId: number; readonly done: () => void }[] = [];
  readonly #reads = new Map<number, (read: LogRead) => void>();
  #opened: (opened: LogOpened) => void = () => {};
  #closed: () => void = () => {};

  constructor(directory: string, options: LogOptions, disk: ClosableDisk = diskOn(directory)) {
    this.#log = new Log(options);
    this.#disk = disk;
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

  get end(): LogPoint {
    return this.#end;
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

  /**
   * Seals these as the next entries, and resolves when they are durable. Until then, or while the
   * log may keep them in memory, the bytes are the log's.
   */
  append(entries: readonly Made[]): Promise<void> {
    const sealed = entries.map((one) => {
      const entry = entryAfter(this.#end, one);
      this.#end = pointAfter(entry);
      return entry;
    });
    return this.#write(null, sealed);
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

export function diskOn(directory: string): FileDisk {
  return new FileDisk({ directory, index: chooseIndex("auto").maps });
}

function entryAfter(before: LogPoint, { bytes, bodyCrc, records }: Made): Entry {
  const bodyLength = bytes.length - FRAME_HEADER_BYTES;
  const head: EntryHead = {
    kind: "records",
    codec: 0,
    critical: true,
    index: (before.index + 1) as LogIndex,
    term: 1 as Term,
    prevTerm: before.term,
    offset: before.endOffset as Offset,
    count: records,
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

/** Where a write may be durable when it returns, as the log's are; 0 elsewhere than on Linux. */
const DURABLE_WRITES = process.platform === "linux" ? constants.O_DSYNC : 0;

/**
 * A file of our own, written durably as plainly as Node can, off the main thread: one call for a
 * write and its sync where the system has that, as the log's disk does, else two.
 */
export class RawFile {
  readonly #file: Awaited<ReturnType<typeof open>>;
  #position = 0;

  private constructor(file: Awaited<ReturnType<typeof open>>) {
    this.#file = file;
  }

  static async make(name: string): Promise<RawFile> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | DURABLE_WRITES;
    return new RawFile(await open(name, flags));
  }

  /** Writes so many zeros for what is appended later. */
  async preallocate(bytes: number): Promise<void> {
    const chunk = new Uint8Array(64 * KIB);
    for (let at = 0; at < bytes; ) {
      const parts = Array.from({ length: 64 }, () => chunk);
      at += (await this.#file.writev(parts, at)).bytesWritten;
    }
    await this.#file.datasync();
  }

  async append(parts: readonly Uint8Array[]): Promise<void> {
    const { bytesWritten } = await this.#file.writev(parts, this.#position);
    this.#position += bytesWritten;
    if (DURABLE_WRITES === 0) await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Runs `once` for `ms`, or `most` times if that is sooner; how often a second. */
export async function rate(
  ms: number,
  once: () => Promise<void>,
  most = Number.MAX_SAFE_INTEGER,
): Promise<number> {
  const started = performance.now();
  let times = 0;
  let now = started;
  for (; now - started < ms && times < most; times++) {
    await once();
    now = performance.now();
  }
  return (times * 1000) / (now - started);
}
