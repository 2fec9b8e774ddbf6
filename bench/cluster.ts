// `npm run bench -- cluster`: three real agents with mTLS, fsync before every acknowledgement,
// measured from outside by one client process on the same machine; what etcd also does is measured
// on three members of etcd in turn in the same run. Owns the cases; the bed is cluster-bed.ts, the
// load load.ts.

import { randomBytes } from "node:crypto";
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import path from "node:path";

import type { Client } from "@grpc/grpc-js";

import { Progress } from "../src/cli/terminal.ts";
import { decodeReadResponse, encodeReadRequest } from "../src/proto/cairn-read.ts";
import { decodeAppendResponse, encodeAppendRequest } from "../src/proto/cairn-v1.ts";
import { Malformed } from "../src/proto/fields.ts";
import { encodeConsumeRequest, encodeProduceRequest } from "../src/proto/log-v1.ts";
import {
  type Bed,
  cpuMsOf,
  onBed,
  PRODUCE,
  produceOnce,
  residentMiB,
  type Strike,
  type Struck,
} from "./cluster-bed.ts";
import { quantile } from "./elections.ts";
import { EtcdCluster, encodePut, encodeRange, PUT, putOnce, RANGE } from "./etcd.ts";
import {
  ask,
  call,
  closedLoop,
  type Load,
  type Loop,
  openChannel,
  outageOf,
  readLoop,
  streamLoop,
} from "./load.ts";
import type { Size } from "./main.ts";
import { type Row, row } from "./row.ts";
import { measureWatchers } from "./watchers.ts";

const CONCURRENCIES = [1, 16, 64, 256] as const;
const VALUE_BYTES = 256;
const LARGE_BYTES = 1024;
const BATCH_RECORDS = 256;
const BATCHES_IN_FLIGHT = 16;
const READS_IN_FLIGHT = 4;
const STREAMS = 64;
const STEADY_MS = 600_000;
const ETCD = "etcd";
/**
 * The log of the book with mutual TLS and without any fsync, by the same generator, as it was
 * measured on a quiet machine of two cores on 2026-11-20.
 */
const BOOK = "book";

/** What a run has: how long, how often, and where it shows that it goes on. */
interface Run {
  readonly bed: Bed;
  readonly loop: (inFlight: number) => Loop;
  readonly rounds: number;
  /** Of each kind of load, before anything is measured. */
  readonly warmUpMs: number;
  readonly failovers: number;
  readonly idleMs: number;
  readonly step: (note: string) => void;
}

interface Part {
  /** Steps of the progress, about as long as each other. */
  readonly steps: (run: Omit<Run, "bed" | "step">) => number;
  readonly measure: (run: Run) => Promise<Row[]>;
}

/** In the order of the table, by the names that `--only` takes. */
const PARTS = {
  unary: { steps: ({ rounds }) => 2 * rounds * (CONCURRENCIES.length + 1), measure: unary },
  stream: { steps: () => 2, measure: produceStreams },
  append: { steps: () => 2, measure: appendBatches },
  consume: { steps: ({ rounds }) => 2 * rounds + 3, measure: consume },
  read: { steps: () => 1, measure: readBatches },
  watchers: { steps: () => 1, measure: async () => measureWatchers() },
  idle: { steps: () => 4, measure: idle },
  failover: { steps: ({ failovers }) => 3 * failovers, measure: failover },
  // Only by name, or with --long.
  steady: { steps: () => STEADY_MS / 2000, measure: steady },
} satisfies Record<string, Part>;

export const CLUSTER_PARTS: readonly string[] = Object.keys(PARTS);
const USUAL_PARTS = CLUSTER_PARTS.filter((name) => name !== "steady");

export async function runClusterBench(size: Size, only: readonly string[] | null): Promise<Row[]> {
  const names = only ?? (size === "long" ? ["steady"] : USUAL_PARTS);
  const parts = Object.entries(PARTS).filter(([name]) => names.includes(name));
  const isQuick = size === "quick";
  const sizes = {
    loop: (inFlight: number) => {
      return { inFlight, warmUpMs: 500, measuredMs: isQuick ? 700 : 2000 };
    },
    rounds: isQuick ? 1 : 5,
    warmUpMs: isQuick ? 2_000 : 6_000,
    failovers: isQuick ? 2 : 20,
    idleMs: isQuick ? 3_000 : 10_000,
  };
  const total = parts.reduce((sum, [, { steps }]) => sum + steps(sizes), 0);
  const progress = new Progress("cluster", total, 0);
  let done = 0;
  const hasEtcd = ["unary", "consume", "failover"].some((name) => names.includes(name));
  try {
    return await onBed(hasEtcd, async (bed) => {
      const step = (note: string) => progress.update(++done, note);
      const run: Run = { ...sizes, bed, step };
      await warmUp(run);
      const rows: Row[] = [rawSyncs(run)];
      for (const [, { measure }] of parts) rows.push(...(await measure(run)));
      progress.stop();
      if (hasEtcd) sayEtcd(bed);
      return rows;
    });
  } finally {
    progress.stop();
  }
}

function sayEtcd({ etcd, etcdVersion }: Bed): void {
  const what =
    etcd instanceof EtcdCluster
      ? `etcd ${etcdVersion}, mutual TLS, in turn with each case that has it`
      : `without etcd: ${etcd.why}`;
  process.stderr.write(`beside it: ${what}\n`);
}

/** Load on each, so that nobody is measured while it still compiles or allocates. */
async function warmUp({ bed, warmUpMs }: Run): Promise<void> {
  for (const inFlight of [64, 1]) {
    const loop: Loop = { inFlight, warmUpMs: 0, measuredMs: warmUpMs };
    await onLeader(bed, (client) => produceLoop(client, loop, VALUE_BYTES));
    await onEtcd(bed, (client) => putLoop(client, loop, VALUE_BYTES));
  }
}

/** What the disk gives to whoever writes one block and waits for it. */
function rawSyncs({ bed, loop }: Run): Row {
  const { measuredMs } = loop(1);
  const fd = openSync(path.join(bed.folder, "raw"), "w");
  const block = randomBytes(4096);
  for (let at = 0; at < 4096; at++) writeSync(fd, block, 0, block.length, at * block.length);
  fdatasyncSync(fd);
  const until = performance.now() + measuredMs;
  let count = 0;
  while (performance.now() < until) {
    writeSync(fd, block, 0, block.length, (count % 4096) * block.length);
    fdatasyncSync(fd);
    count++;
  }
  closeSync(fd);
  return row("cluster", "the disk: 4 KiB write + fdatasync", (count * 1000) / measuredMs, "1/s");
}

// ---- one call, one record ----

async function unary(run: Run): Promise<Row[]> {
  const rows: Row[] = [];
  for (const inFlight of CONCURRENCIES) rows.push(...(await unaryAt(run, inFlight, VALUE_BYTES)));
  rows.push(...(await unaryAt(run, 64, LARGE_BYTES)));
  return rows;
}

/** A load on each in turn, as often as there are rounds; the medians. */
async function unaryAt(run: Run, inFlight: number, bytes: number): Promise<Row[]> {
  const loop = run.loop(inFlight);
  const ours: Sample[] = [];
  const theirs: Sample[] = [];
  const size = bytes === VALUE_BYTES ? "" : `, ${bytes} B`;
  const what = `Produce, ${inFlight} in flight${size}`;
  for (let round = 0; round < run.rounds; round++) {
    const { bed, step } = run;
    const produced = await onLeader(bed, (client) => produceLoop(client, loop, bytes));
    ours.push(checked(what, produced));
    step(what);
    const put = await onEtcd(bed, (client) => putLoop(client, loop, bytes));
    if (put !== null) theirs.push(checked("etcd's Put", put));
    step(`${what}: etcd`);
  }
  const beside = theirs.length === 0 ? null : ETCD;
  const of = (name: string, unit: string, value: (sample: Sample) => number) =>
    row("cluster", name, medianOf(ours, value), unit, beside, medianOf(theirs, value));
  return [
    of(what, "1/s", ({ perSecond }) => perSecond),
    of(`${what}, p50`, "ms", ({ p50 }) => p50),
    of(`${what}, p99`, "ms", ({ p99 }) => p99),
    of(`${what}, CPU of 3`, "us/call", ({ cpuMicros }) => cpuMicros),
  ];
}

interface Sample extends Load {
  /** Of all servers together, for one call of the whole loop, its warm-up too. */
  readonly cpuMicros: number;
}

function produceLoop(client: Client, loop: Loop, bytes: number): Promise<Load> {
  const request = encodeProduceRequest(randomBytes(bytes));
  return closedLoop(loop, (done) => ask(client, PRODUCE, request, done));
}

function putLoop(client: Client, loop: Loop, bytes: number): Promise<Load> {
  const value = randomBytes(bytes);
  return closedLoop(loop, (done) => ask(client, PUT, encodePut(value), done));
}

/** A figure of calls that failed is none. */
function checked<L extends Load>(what: string, load: L): L {
  if (load.errors === 0) return load;
  throw new Error(`${what}: ${load.errors} calls failed, the first with: ${load.firstError}`);
}

async function onLeader(
  { cairn, pems }: Bed,
  measure: (client: Client) => Promise<Load>,
): Promise<Sample> {
  const { address } = await cairn.leader();
  return sampled(openChannel(address, pems), cairn.pids, measure);
}

async function onEtcd(
  { etcd, pems }: Bed,
  measure: (client: Client) => Promise<Load>,
): Promise<Sample | null> {
  if (!(etcd instanceof EtcdCluster)) return null;
  const { address } = await etcd.leader();
  return sampled(openChannel(address, pems), etcd.pids, measure);
}

async function sampled(
  client: Client,
  pids: readonly number[],
  measure: (client: Client) => Promise<Load>,
): Promise<Sample> {
  const before = cpuMsOf(pids);
  const begun = performance.now();
  const load = await measure(client);
  const calls = (load.perSecond * (performance.now() - begun)) / 1000;
  client.close();
  return { ...load, cpuMicros: ((cpuMsOf(pids) - before) * 1000) / Math.max(1, calls) };
}

function medianOf<Sample>(samples: readonly Sample[], value: (sample: Sample) => number): number {
  return quantile(
    samples.map(value).sort((a, b) => a - b),
    0.5,
  );
}

// ---- streams and batches ----

async function produceStreams({ bed, loop, step }: Run): Promise<Row[]> {
  const request = encodeProduceRequest(randomBytes(VALUE_BYTES));
  const measured = async (streams: number, inFlight: number) => {
    const what = `ProduceStream, ${streams} x ${inFlight} in flight`;
    step(what);
    const path = "/log.v1.Log/ProduceStream";
    const load = await onLeader(bed, (client) =>
      streamLoop(client, path, request, streams, loop(inFlight)),
    );
    return { what, perSecond: checked(what, load).perSecond };
  };
  const many = await measured(STREAMS, 1);
  const one = await measured(1, STREAMS);
  return [
    row("cluster", many.what, many.perSecond, "records/s", BOOK, 23_364),
    row("cluster", one.what, one.perSecond, "records/s", BOOK, 6_476),
  ];
}

async function appendBatches({ bed, loop, step }: Run): Promise<Row[]> {
  const rows: Row[] = [];
  for (const bytes of [VALUE_BYTES, LARGE_BYTES]) {
    const what = `Append, ${BATCH_RECORDS} records of ${bytes} B`;
    step(what);
    const request = encodeAppendRequest({
      records: Array.from({ length: BATCH_RECORDS }, () => ({ value: randomBytes(bytes) })),
      producerId: 0,
      epoch: 0,
      sequence: 0,
      expectedEndOffset: null,
      fencingToken: null,
      gzip: null,
    });
    const load = await onLeader(bed, (client) =>
      closedLoop(
        loop(BATCHES_IN_FLIGHT),
        (done) => ask(client, "/cairn.v1.Log/Append", request, done),
        () => BATCH_RECORDS,
      ),
    );
    rows.push(row("cluster", what, checked(what, load).perSecond, "records/s"));
  }
  return rows;
}

const FIRST_OFFSETS = 2000;

async function consume(run: Run): Promise<Row[]> {
  const { bed, step, loop } = run;
  const consumed = async (inFlight: number) => {
    let offset = 0;
    return onLeader(bed, (client) =>
      closedLoop(loop(inFlight), (done) =>
        ask(client, "/log.v1.Log/Consume", encodeConsumeRequest(offset++ % FIRST_OFFSETS), done),
      ),
    );
  };
  const rows: Row[] = [];
  for (const [inFlight, published] of [[1, 2_769] as const, [16, 8_948] as const]) {
    const what = `Consume, ${inFlight} in flight`;
    step(what);
    const { perSecond } = checked(what, await consumed(inFlight));
    rows.push(row("cluster", what, perSecond, "1/s", BOOK, published));
  }
  rows.push(await consumeBesideEtcd(run, consumed));
  step("ConsumeStream");
  const request = encodeConsumeRequest(0);
  const streamed = await onLeader(bed, (client) =>
    readLoop(client, "/log.v1.Log/ConsumeStream", request, loop(1), () => 1),
  );
  const what = "ConsumeStream, one stream";
  rows.push(row("cluster", what, streamed.perSecond, "records/s", BOOK, 112_041));
  return rows;
}

async function consumeBesideEtcd(
  { bed, rounds, loop, step }: Run,
  consumed: (inFlight: number) => Promise<Load>,
): Promise<Row> {
  const what = "Consume, 64 in flight";
  const [ours, theirs]: [Load[], Load[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    ours.push(checked(what, await consumed(64)));
    step(what);
    let key = 0;
    const got = await onEtcd(bed, (client) =>
      closedLoop(loop(64), (done) =>
        ask(client, RANGE, encodeRange(key++ % FIRST_OFFSETS, true), done),
      ),
    );
    if (got !== null) theirs.push(checked("etcd's Range", got));
    step(`${what}: etcd`);
  }
  const perSecond = ({ perSecond }: Load) => perSecond;
  const beside = theirs.length === 0 ? null : ETCD;
  return row(
    "cluster",
    what,
    medianOf(ours, perSecond),
    "1/s",
    beside,
    medianOf(theirs, perSecond),
  );
}

/** Batches of BATCH_RECORDS as they were appended, 1 MiB of them an answer. */
async function readBatches({ bed, loop, step }: Run): Promise<Row[]> {
  const what = "Read, 1 MiB of batches";
  step(what);
  const { address } = await bed.cairn.leader();
  const client = openChannel(address, bed.pems);
  const begin = await appendForReading(client);
  client.close();
  const request = encodeReadRequest({
    from: { kind: "offset", offset: begin },
    bytesMax: 1024 * 1024,
    maxWaitMs: 0,
    consistency: "leader",
    endOffset: null,
  });
  const load = await onLeader(bed, (client) =>
    closedLoop(
      loop(READS_IN_FLIGHT),
      (done) => ask(client, "/cairn.v1.Log/Read", request, done),
      recordsIn,
    ),
  );
  return [row("cluster", what, checked(what, load).perSecond, "records/s")];
}

const READ_BATCHES = 64;

/** Returns the offset of the first. */
async function appendForReading(client: Client): Promise<number> {
  const records = Array.from({ length: BATCH_RECORDS }, () => ({
    value: randomBytes(VALUE_BYTES),
  }));
  const rest = { producerId: 0, epoch: 0, sequence: 0 };
  const conditions = { expectedEndOffset: null, fencingToken: null, gzip: null };
  const request = encodeAppendRequest({ records, ...rest, ...conditions });
  let first = 0;
  for (let batch = 0; batch < READ_BATCHES; batch++) {
    const answer = await call(client, "/cairn.v1.Log/Append", request);
    const appended = decodeAppendResponse(answer);
    if (appended instanceof Malformed) throw new Error(appended.what);
    if (batch === 0) first = appended.offset;
  }
  return first;
}

function recordsIn(answer: Buffer): number {
  const response = decodeReadResponse(answer);
  if (response instanceof Malformed) throw new Error(response.what);
  return response.batches.reduce((sum, { count }) => sum + count, 0);
}

// ---- what nobody asked for, and what nobody wants ----

async function idle({ bed, idleMs, step }: Run): Promise<Row[]> {
  await pause(2_000);
  const { pids } = bed.cairn;
  const before = cpuMsOf(pids);
  for (let part = 0; part < 4; part++) {
    await pause(idleMs / 4);
    step("idle");
  }
  const percent = ((cpuMsOf(pids) - before) * 100) / idleMs;
  return [
    row("cluster", "idle: CPU of all three", percent, "% of a core"),
    row("cluster", "idle: CPU of one node", percent / pids.length, "% of a core"),
  ];
}

async function failover(run: Run): Promise<Row[]> {
  const { bed, failovers } = run;
  const rows: Row[] = [];
  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    const ours = await outages(run, bed.cairn, failovers, signal, produceOnce);
    const { etcd } = bed;
    const theirs =
      etcd instanceof EtcdCluster
        ? await outages(run, etcd, Math.ceil(failovers / 4), signal, putOnce)
        : [];
    const beside = theirs.length === 0 ? null : ETCD;
    for (const [name, share] of [["median", 0.5] as const, ["worst", 1] as const]) {
      const what = `${signal} of the leader, ${name} of ${failovers}`;
      rows.push(row("cluster", what, quantile(ours, share), "ms", beside, quantile(theirs, share)));
    }
  }
  return rows;
}

/** How long nobody took an append each time that the leader was struck; ascending. */
async function outages(
  { bed, step }: Run,
  cluster: Struck,
  times: number,
  signal: Strike,
  attempt: (client: Client, timeoutMs: number) => Promise<void>,
): Promise<number[]> {
  const seen: number[] = [];
  for (let time = 0; time < times; time++) {
    const { name } = await cluster.leader();
    const survivors = cluster.addressesBut(name).map((each) => openChannel(each, bed.pems));
    for (const survivor of survivors) await attempt(survivor, 1000).catch(() => undefined);
    seen.push(await outageOf(survivors, attempt, () => cluster.strike(name, signal)));
    for (const survivor of survivors) survivor.close();
    await cluster.revive(name, signal);
    step(`${signal} ${time + 1} of ${times}`);
  }
  return seen.sort((a, b) => a - b);
}

/** Ten minutes of all that two cores give: who leads must go on leading. */
async function steady({ bed, step }: Run): Promise<Row[]> {
  const before = await bed.cairn.leader();
  const pid = bed.cairn.pidOf(before.name);
  const mib = residentMiB(pid);
  const noting = setInterval(() => step("ten minutes under full load"), 2000);
  const loop: Loop = { inFlight: 256, warmUpMs: 0, measuredMs: STEADY_MS };
  const load = await onLeader(bed, (client) => produceLoop(client, loop, VALUE_BYTES));
  clearInterval(noting);
  const { term } = await bed.cairn.leader();
  return [
    row("cluster", "elections in 10 min of full load", term - before.term, "elections"),
    row("cluster", "appends that failed meanwhile", load.errors, "calls"),
    row("cluster", "Produce, 256 in flight, 10 min", load.perSecond, "1/s"),
    row("cluster", "leader's memory, before", mib, "MiB"),
    row("cluster", "leader's memory, after", residentMiB(pid), "MiB"),
  ];
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
