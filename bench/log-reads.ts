// Reads of a log that is on the disk, from the page cache: entry after entry and anywhere, with the
// checksums of bodies verified and, for measuring only, without; beside plain reads of the same
// bytes in the same pieces. And what reading it all back costs after a crash.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import path from "node:path";
import { Prng } from "../src/base/prng.ts";
import { FRAME_HEADER_BYTES } from "../src/log/frame.ts";
import { BenchLog, KIB, MIB, made, median, optionsWith, rate } from "./log-subject.ts";
import { type Row, row } from "./row.ts";

const ROUNDS = 7;
const FIRST_STORE = "00000000000000000001.store";
const WHOLE = 48 * MIB;

type Bodies = "verified" | "unverified";
const WORD: Readonly<Record<Bodies, string>> = { verified: "verified", unverified: "unchecked" };

export async function benchReads(folder: string, mebibytes: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const records of [1024, 1]) rows.push(...(await benchSize(folder, records, mebibytes)));
  return rows;
}

function optionsFor(bodies: Bodies) {
  return optionsWith({ areBodiesUnverified: bodies === "unverified" });
}

/** A log of so many MiB, its sealed segments covered by a checkpoint as those of a node are. */
async function filled(directory: string, records: number, mebibytes: number): Promise<void> {
  const log = new BenchLog(directory, optionsWith());
  await log.open();
  const one = made(records, KIB);
  const entriesPerMiB = 1024 / records;
  for (let n = 0; n < mebibytes; n++) {
    await log.append(
      Array.from({ length: entriesPerMiB }, () => ({ ...one, bytes: one.bytes.slice() })),
    );
  }
  log.checkpoint();
  await log.close();
}

async function benchSize(folder: string, records: number, mebibytes: number): Promise<Row[]> {
  const directory = mkdtempSync(path.join(folder, "reads-"));
  await filled(directory, records, mebibytes);
  const speeds: Record<Bodies, number[]> = { verified: [], unverified: [] };
  const raws: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const bodies of ["verified", "unverified"] as const) {
      const log = new BenchLog(directory, optionsFor(bodies));
      await log.open();
      raws.push(await plainSpeed(directory, mebibytes));
      const started = performance.now();
      await readAll(log);
      speeds[bodies].push((1000 * mebibytes) / (performance.now() - started));
      await log.close();
    }
  }
  const what = `read ${records} KiB entries`;
  const rows = (["verified", "unverified"] as const).map((bodies) =>
    row("log", `${what}, ${WORD[bodies]}`, median(speeds[bodies]), "MiB/s", "raw", median(raws)),
  );
  if (records === 1) {
    rows.push(await benchRandom(directory, 1024 * mebibytes));
    rows.push(await benchRecovery(directory, mebibytes, median(raws)));
  }
  rmSync(directory, { recursive: true });
  return rows;
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

/** MiB a second of as many bytes of the first store, a MiB at a time. */
async function plainSpeed(directory: string, mebibytes: number): Promise<number> {
  const file = await open(path.join(directory, FIRST_STORE), "r");
  const started = performance.now();
  for (let n = 0; n < mebibytes; n++) await plainRead(file, MIB, (n * MIB) % WHOLE);
  const seconds = (performance.now() - started) / 1000;
  await file.close();
  return mebibytes / seconds;
}

/** Into memory of its own, as whoever keeps what was read needs it. */
async function plainRead(file: FileHandle, bytes: number, position: number): Promise<void> {
  await file.read(Buffer.allocUnsafeSlow(bytes), 0, bytes, position);
}

/** Entries anywhere, one at a time, and as many bytes anywhere in the file. */
async function benchRandom(directory: string, entries: number): Promise<Row> {
  const random = new Prng("bench log");
  const log = new BenchLog(directory, optionsFor("verified"));
  await log.open();
  const file = await open(path.join(directory, FIRST_STORE), "r");
  const bytes = KIB + FRAME_HEADER_BYTES;
  const logs: number[] = [];
  const raws: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const one = async () => void (await log.read(1 + random.below(entries), 1));
    logs.push(await rate(100, one));
    raws.push(await rate(100, () => plainRead(file, bytes, random.below(WHOLE))));
  }
  await file.close();
  await log.close();
  const what = "random reads, 1 KiB entries";
  return row("log", what, median(logs), "1/s", "raw", median(raws));
}

/** As after a crash: nothing says what any segment holds, and every byte is read again. */
async function benchRecovery(directory: string, mebibytes: number, raw: number): Promise<Row> {
  const speeds: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (const file of readdirSync(directory)) {
      if (file.endsWith(".seal")) rmSync(path.join(directory, file));
    }
    const log = new BenchLog(directory, optionsWith());
    const started = performance.now();
    await log.open();
    speeds.push((1000 * mebibytes) / (performance.now() - started));
    await log.close();
  }
  return row("log", "recovery without seals", median(speeds), "MiB/s", "raw", raw);
}
