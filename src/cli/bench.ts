// `cairn bench`: how fast a running cluster takes records and gives them back, seen from here. Owns
// the load, its bounds and the table; benchmarks of the code itself are `npm run bench`.

import { randomBytes } from "node:crypto";
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";

import { type CairnClient, CairnError } from "../client/client.ts";
import {
  type ClusterFlags,
  connectTo,
  describeCairnError,
  findTarget,
  type Target,
  withClient,
} from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { grouped, Output, Progress, paint, Rate } from "./terminal.ts";

export interface BenchFlags extends ClusterFlags {
  readonly seconds: string;
  readonly clients: string;
  readonly json?: boolean;
}

export interface BenchAppendFlags extends BenchFlags {
  readonly size: string;
  readonly batch: string;
  readonly yes?: boolean;
}

const SECONDS_MAX = 3_600;
const CLIENTS_MAX = 1_000;
const SIZE_MAX = 1024 * 1024;
const BATCH_MAX = 10_000;
/** What one append may have at most, so that any cluster takes it. */
const APPEND_BYTES_MAX = 1024 * 1024;
const PROGRESS_EVERY_MS = 200;

/** What was done, and how long each piece of it took. */
interface Load {
  records: number;
  bytes: number;
  readonly micros: RecordableHistogram;
}

/** Over once the time is up, or somebody wants it over. */
interface Span {
  readonly seconds: number;
  readonly signal: AbortSignal;
}

export async function runBenchAppend(flags: BenchAppendFlags): Promise<void> {
  const size = bounded("--size", flags.size, 1, SIZE_MAX);
  const batch = bounded("--batch", flags.batch, 1, BATCH_MAX);
  if (size * batch > APPEND_BYTES_MAX) {
    const most = `an append has ${grouped(APPEND_BYTES_MAX)} bytes at most`;
    throw new CommandError(`--size, --batch: ${batch} x ${size} bytes: ${most}`, EXIT.usage);
  }
  await run("append", flags, async (target, clients, span) => {
    await checkMayAppend(target, flags.yes === true);
    // The same bytes each time: what a value holds is nothing to a log that does not pack it.
    const records = Array.from({ length: batch }, () => ({ value: randomBytes(size) }));
    return underLoad(clients, span, async (client, load) => {
      const begun = performance.now();
      await client.append(records);
      load.micros.record(microsSince(begun));
      load.records += batch;
      load.bytes += batch * size;
    });
  });
}

/**
 * Each client reads the whole log again and again; what is timed is the way to its first record.
 */
export async function runBenchRead(flags: BenchFlags): Promise<void> {
  await run("read", flags, async (target, clients, span) => {
    const { startOffset: from, endOffset } = await withClient(target, {}, (one) => one.status());
    if (from === endOffset) throw new CommandError("the log is empty: there is nothing to read");
    return underLoad(clients, span, async (client, load, signal) => {
      let begun: number | null = performance.now();
      for await (const { value } of client.read({ from, signal })) {
        if (begun !== null) load.micros.record(microsSince(begun));
        begun = null;
        load.records++;
        load.bytes += value.length;
      }
    });
  });
}

type Bench = (target: Target, clients: readonly CairnClient[], span: Span) => Promise<Load>;

async function run(what: "append" | "read", flags: BenchFlags, bench: Bench): Promise<void> {
  const seconds = bounded("--seconds", flags.seconds, 1, SECONDS_MAX);
  const count = bounded("--clients", flags.clients, 1, CLIENTS_MAX);
  const target = findTarget(flags);
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  const clients = Array.from({ length: count }, () => connectTo(target));
  try {
    // Connections are made and the leader is found before the clock runs.
    const { signal } = interrupted;
    await Promise.all(clients.map((client) => client.checkTail({ signal })));
    const rate = new Rate();
    const load = await bench(target, clients, { seconds, signal });
    await tell(what, factsOf(what, load, rate.seconds, clients), flags.json === true);
  } catch (error) {
    if (interrupted.signal.aborted) throw new CommandError("interrupted", EXIT.interrupted);
    throw error instanceof CairnError ? describeCairnError(error, target) : error;
  } finally {
    for (const client of clients) client.close();
  }
  if (interrupted.signal.aborted) process.exitCode = EXIT.interrupted;
}

/** A log that holds records is somebody's: what is appended to it stays there. */
async function checkMayAppend(target: Target, isAgreed: boolean): Promise<void> {
  const end = await withClient(target, {}, (client) => client.checkTail());
  if (end === 0 || isAgreed) return;
  const holds = `the log holds ${grouped(end)} records, and what this appends stays in it`;
  throw new CommandError(`${holds}: say --yes if that is well`, EXIT.usage);
}

/** Has every client do `step` over and over until the time is up; the first failure ends it. */
async function underLoad(
  clients: readonly CairnClient[],
  { seconds, signal: interrupted }: Span,
  step: (client: CairnClient, load: Load, signal: AbortSignal) => Promise<void>,
): Promise<Load> {
  const signal = AbortSignal.any([interrupted, AbortSignal.timeout(seconds * 1000)]);
  const load: Load = { records: 0, bytes: 0, micros: createHistogram() };
  const progress = new Progress("bench", seconds);
  const rate = new Rate();
  let failure: unknown = null;
  const showing = setInterval(() => {
    const note = `${grouped(load.records)} records, ${grouped(rate.of(load.records))}/s`;
    progress.update(Math.min(seconds, rate.seconds), note);
  }, PROGRESS_EVERY_MS);
  const caller = async (client: CairnClient) => {
    while (failure === null && !signal.aborted) {
      try {
        await step(client, load, signal);
      } catch (error) {
        if (!signal.aborted) failure ??= error;
      }
    }
  };
  try {
    await Promise.all(clients.map(caller));
  } finally {
    clearInterval(showing);
    progress.stop();
  }
  if (failure !== null) throw failure;
  return load;
}

const PERCENTILES = [50, 90, 99, 99.9] as const;

function factsOf(
  what: "append" | "read",
  { records, bytes, micros }: Load,
  seconds: number,
  clients: readonly CairnClient[],
) {
  const msAt = (percentile: number) => Math.round(micros.percentile(percentile)) / 1000;
  const hasAny = micros.count > 0;
  return {
    bench: what,
    clients: clients.length,
    seconds: Math.round(seconds * 1000) / 1000,
    operations: micros.count,
    records,
    bytes,
    recordsPerSecond: Math.round(records / seconds),
    bytesPerSecond: Math.round(bytes / seconds),
    latencyMs: {
      ...Object.fromEntries(PERCENTILES.map((at) => [`p${at}`, hasAny ? msAt(at) : null])),
      max: hasAny ? micros.max / 1000 : null,
    },
    retries: clients.reduce((sum, client) => sum + client.counts.retries, 0),
    unknownOutcomes: clients.reduce((sum, client) => sum + client.counts.unknownOutcomes, 0),
  };
}

async function tell(
  what: "append" | "read",
  facts: ReturnType<typeof factsOf>,
  asJson: boolean,
): Promise<void> {
  const output = new Output();
  if (asJson) {
    await output.line(JSON.stringify(facts));
    await output.flush();
    return;
  }
  const { clients, seconds, operations, records, latencyMs, retries, unknownOutcomes } = facts;
  const megabytes = (facts.bytesPerSecond / 1e6).toFixed(1);
  const timed = what === "append" ? "append" : "first record";
  const latencies = Object.entries(latencyMs).map(([at, ms]) => `${at} ${ms ?? "-"}`);
  const rows: [string, string][] = [
    ["records", `${grouped(records)} in ${seconds.toFixed(1)} s by ${clients} clients`],
    ["speed", `${grouped(facts.recordsPerSecond)} records/s, ${megabytes} MB/s`],
    [what === "append" ? "appends" : "rounds", grouped(operations)],
    [`${timed}, ms`, latencies.join("   ")],
    ["retries", `${retries}, of which ${unknownOutcomes} with an unknown outcome`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) {
    await output.line(`${paint("bold", name.padEnd(width), process.stdout)}  ${value}`);
  }
  await output.flush();
}

function microsSince(begunMs: number): number {
  return Math.max(1, Math.round((performance.now() - begunMs) * 1000));
}

function bounded(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const wanted = `a whole number from ${grouped(least)} to ${grouped(most)}`;
  throw new CommandError(`${flag}: expected ${wanted}, got "${text}"`, EXIT.usage);
}
