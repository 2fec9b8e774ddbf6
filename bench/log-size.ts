// What a large log costs: how long until one that was stopped cleanly can be used, and how much
// memory reading all of it takes. The logs are sparse files (sparse-disk.ts) of real frames whose
// bodies are zeros, so that they fit on any disk; the readers notice nothing.

import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { setImmediate } from "node:timers/promises";

import { BenchLog, diskOn, GIB, MIB, median, optionsWith, zeroEntry } from "./log-subject.ts";
import { type Row, row } from "./row.ts";
import { SparseDisk } from "./sparse-disk.ts";

const OPENINGS = 3;
const READS_IN_FLIGHT = 8;

export async function benchSizes(folder: string, quick: boolean): Promise<Row[]> {
  const rows: Row[] = [];
  for (const gibibytes of quick ? [1, 4] : [1, 10, 100]) {
    rows.push(await benchOpening(folder, gibibytes));
  }
  rows.push(...(await benchMemory(folder, quick ? 2 : 20)));
  return rows;
}

/** A log with a checkpoint at its end, cleanly stopped. */
async function filled(directory: string, bytes: number, bodyBytes: number): Promise<void> {
  mkdirSync(directory);
  const options = optionsWith({ preallocateBytes: 0 });
  const log = new BenchLog(directory, options, new SparseDisk(diskOn(directory)));
  await log.open();
  const entries = [zeroEntry(bodyBytes), zeroEntry(bodyBytes)];
  const count = Math.floor(bytes / bodyBytes);
  for (let n = 0; n < count; n++) {
    const entry = entries[n % 2];
    if (entry !== undefined) await log.append([entry]);
  }
  log.checkpoint();
  await log.close();
}

async function benchOpening(folder: string, gibibytes: number): Promise<Row> {
  const directory = path.join(folder, `opening-${gibibytes}`);
  await filled(directory, gibibytes * GIB, 8 * MIB);
  const openings: number[] = [];
  for (let round = 0; round < OPENINGS; round++) {
    const log = new BenchLog(directory, optionsWith());
    const started = performance.now();
    await log.open();
    openings.push(performance.now() - started);
    await log.close();
  }
  rmSync(directory, { recursive: true });
  return row("log", `open ${gibibytes} GiB after a clean stop`, median(openings), "ms");
}

/** Resident memory, after everything was opened and after everything was read. */
async function benchMemory(folder: string, gibibytes: number): Promise<Row[]> {
  const directory = path.join(folder, "memory");
  await filled(directory, gibibytes * GIB, MIB);
  const before = await settledMiB();
  const log = new BenchLog(directory, optionsWith());
  await log.open();
  const opened = await settledMiB();
  const most = await readAll(log, gibibytes);
  const after = await settledMiB();
  await log.close();
  rmSync(directory, { recursive: true });
  const what = `memory, ${gibibytes} GiB`;
  return [
    row("log", `${what} open`, opened, "MiB", "without", before),
    row("log", `${what}, most while read`, most, "MiB", "without", before),
    row("log", `${what}, all was read`, after, "MiB", "without", before),
  ];
}

/** Several readers one behind the other, a MiB at a time; the most MiB seen on the way. */
async function readAll(log: BenchLog, gibibytes: number): Promise<number> {
  const share = Math.ceil(log.end.index / READS_IN_FLIGHT);
  let most = 0;
  const readers = Array.from({ length: READS_IN_FLIGHT }, async (_, n) => {
    for (let index = n * share + 1; index <= Math.min(log.end.index, (n + 1) * share); ) {
      const read = await log.read(index, MIB);
      if (read.kind !== "entries") throw new Error(`a read failed: ${JSON.stringify(read.fault)}`);
      index += read.entries.length;
      if (index % 64 === 0) most = Math.max(most, process.memoryUsage.rss() / MIB);
    }
  });
  await Promise.all(readers);
  if (most === 0) throw new Error(`nothing was read of ${gibibytes} GiB`);
  return most;
}

/** Once what nobody holds is gone, as far as a program may ask for that. */
async function settledMiB(): Promise<number> {
  for (let n = 0; n < 3; n++) {
    globalThis.gc?.();
    await setImmediate();
  }
  return process.memoryUsage.rss() / MIB;
}
