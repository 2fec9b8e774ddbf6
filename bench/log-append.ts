// Appends to the log, each waited for until it is durable, beside a plain file that takes the same
// bytes a sync; the two take turns. First into zeros that both have written ahead before the clock
// runs, which shows what the engine costs above the disk; then in a log that grows for good, zeros
// and rolls counted, which shows what one gets.

import { mkdtempSync, rmSync } from "node:fs";
import path from "node:path";

import type { LogOptions } from "../src/log/protocol.ts";
import {
  BenchLog,
  copyOf,
  KIB,
  type Made,
  MIB,
  made,
  median,
  optionsWith,
  RawFile,
  rate,
} from "./log-subject.ts";
import { type Row, row } from "./row.ts";

/** Short ones, and many: whatever else the machine does meets both sides. */
const ROUNDS = 24;
/** Entries whose bytes are made before: the log may still hold one while the next one is sealed. */
const KEPT = 4;
/** More zeros than this are not written ahead of one case: fewer batches are measured then. */
const AHEAD_BYTES_MAX = 512 * MIB;
/** More than any disk here gets done. */
const SYNCS_PER_MS = 20;

interface Batch {
  readonly records: number;
  readonly recordBytes: number;
}

const BATCHES: readonly Batch[] = [1, 64, 1024].flatMap((records) =>
  [256, 1024].map((recordBytes) => ({ records, recordBytes })),
);

export async function benchAppends(folder: string, ms: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const batch of BATCHES) rows.push(await benchBatch(batch, folder, ms));
  for (const writers of [16, 256]) rows.push(await benchWriters(writers, folder, ms));
  for (const records of [1, 64, 1024]) {
    rows.push(await benchGrowth({ records, recordBytes: KIB }, folder, ms));
  }
  return rows;
}

/** The entries of both sides, over and over. */
function inTurn({ records, recordBytes }: Batch): () => Made {
  const entries = Array.from({ length: KEPT }, () => made(records, recordBytes));
  let at = 0;
  return () => entries[at++ % KEPT] ?? made(records, recordBytes);
}

interface Rates {
  readonly log: number;
  readonly raw: number;
}

interface Setting {
  readonly folder: string;
  readonly options: LogOptions;
  /** Zeros in the plain file before the clock runs. */
  readonly aheadBytes: number;
  /** One round of each, as a rate. */
  readonly appendLog: (log: BenchLog) => Promise<number>;
  readonly appendRaw: (raw: RawFile) => Promise<number>;
}

/** The median rates of a new log and a new plain file, in turn. */
async function inRounds(setting: Setting): Promise<Rates> {
  const { folder, options, aheadBytes, appendLog, appendRaw } = setting;
  const directory = mkdtempSync(path.join(folder, "append-"));
  const log = new BenchLog(directory, options);
  await log.open();
  const raw = await RawFile.make(path.join(folder, "raw"));
  if (aheadBytes > 0) await raw.preallocate(aheadBytes);
  const logs: number[] = [];
  const raws: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    logs.push(await appendLog(log));
    raws.push(await appendRaw(raw));
  }
  await raw.close();
  await log.close();
  rmSync(directory, { recursive: true });
  return { log: median(logs), raw: median(raws) };
}

/** One batch after another, each an entry, into zeros that were written before. */
async function benchBatch(batch: Batch, folder: string, ms: number): Promise<Row> {
  const { records, recordBytes } = batch;
  const take = inTurn(batch);
  const { bytes } = take();
  const most = Math.floor(Math.min(ms * SYNCS_PER_MS, AHEAD_BYTES_MAX / ROUNDS / bytes.length));
  const roomFor = ROUNDS * most * (bytes.length + 128);
  const rates = await inRounds({
    folder,
    options: optionsWith({ segmentBytesMax: roomFor + MIB, preallocateBytes: roomFor }),
    aheadBytes: roomFor,
    appendLog: (log) => rate(ms, () => log.append([take()]), most),
    appendRaw: (raw) => rate(ms, () => raw.append([take().bytes]), most),
  });
  return batchRow(batch, `append ${records} x ${recordBytes} B a sync`, rates);
}

/** As an agent has it, in segments of 64 MiB, beside a file that just grows. */
async function benchGrowth(batch: Batch, folder: string, ms: number): Promise<Row> {
  const { records, recordBytes } = batch;
  const take = inTurn(batch);
  const { bytes } = take();
  const options = optionsWith();
  const most = Math.floor(options.segmentBytesMax / bytes.length);
  const rates = await inRounds({
    folder,
    options,
    aheadBytes: 0,
    appendLog: (log) => rate(ms, () => log.append([take()]), most),
    appendRaw: (raw) => rate(ms, () => raw.append([take().bytes]), most),
  });
  return batchRow(batch, `append ${records} x ${recordBytes} B, growing`, rates);
}

function batchRow({ records }: Batch, name: string, rates: Rates): Row {
  return row("log", name, records * rates.log, "records/s", "raw", records * rates.raw);
}

/** Many writers of one entry each: the log merges what waits while it syncs. */
async function benchWriters(writers: number, folder: string, ms: number): Promise<Row> {
  const one = made(1, 256);
  const rates = await inRounds({
    folder,
    options: optionsWith({ preallocateBytes: 32 * MIB }),
    aheadBytes: 32 * MIB,
    appendLog: (log) => rateOfWriters(writers, ms, () => log.append([copyOf(one)])),
    appendRaw: (raw) => rate(ms, () => raw.append([one.bytes])),
  });
  const name = `append 256 B, ${writers} writers`;
  return row("log", name, rates.log, "entries/s", "one each", rates.raw);
}

async function rateOfWriters(
  writers: number,
  ms: number,
  append: () => Promise<void>,
): Promise<number> {
  const started = performance.now();
  let appended = 0;
  const writer = async () => {
    for (; performance.now() - started < ms; appended++) await append();
  };
  await Promise.all(Array.from({ length: writers }, writer));
  return (appended * 1000) / (performance.now() - started);
}
