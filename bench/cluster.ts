// Three real agents on loopback, mTLS, fsync before every acknowledgement, measured from outside by
// one client process on the same machine. Owns its processes and its folder: both are gone at the
// end. References come from the same run: a raw write and fdatasync on the disk that the agents
// use.

import { randomBytes } from "node:crypto";
import {
  closeSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { certificateFolder, LocalCluster } from "../src/cli/local-cluster.ts";
import { Channel, type ClientCredentials } from "../src/client/channel.ts";
import { connect } from "../src/client/client.ts";
import {
  decodeConsumeResponse,
  decodeProduceResponse,
  encodeConsumeRequest,
  encodeProduceRequest,
} from "../src/proto/log-v1.ts";
import { type Row, row } from "./row.ts";

const MAIN_FILE = fileURLToPath(new URL("../src/main.js", import.meta.url));
const VALUE_BYTES = 256;
const BATCH_RECORDS = 256;
const CALL_TIMEOUT_MS = 10_000;
const ELECTION_TIMEOUT_MS = 300;

interface Bed {
  readonly cluster: LocalCluster;
  readonly credentials: ClientCredentials;
  readonly leader: Channel;
  readonly leaderName: string;
  readonly seconds: number;
}

/** All cases, in order; `quick` makes each a third as long. */
export async function runClusterBench(quick: boolean): Promise<Row[]> {
  const folder = mkdtempSync(path.join(tmpdir(), "cairn-bench-"));
  const died = (_: string, line: string) => process.stderr.write(`${line}\n`);
  const cluster = await LocalCluster.create({
    folder,
    mainFile: MAIN_FILE,
    clusterId: randomBytes(16).toString("hex"),
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    died,
  });
  process.once("exit", () => cluster.killAll());
  try {
    await cluster.startAll();
    const bed = await makeBed(cluster, folder, quick ? 1 : 3);
    const rows = await measure(bed, folder);
    bed.leader.close();
    return rows;
  } finally {
    cluster.killAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function makeBed(cluster: LocalCluster, folder: string, seconds: number): Promise<Bed> {
  const certs = certificateFolder(folder);
  const pem = (name: string) => readFileSync(path.join(certs, name));
  const credentials = {
    ca: pem("ca.pem"),
    cert: pem("root-client.pem"),
    key: pem("root-client-key.pem"),
  };
  const addresses = cluster.names.map((name) => cluster.addressOf(name));
  const client = connect({ addresses, credentials });
  await client.append([{ value: "first" }]);
  const servers = await client.servers();
  client.close();
  const found = servers.find(({ isLeader }) => isLeader) ?? servers[0];
  if (found === undefined) throw new Error("no server says who leads");
  return {
    cluster,
    credentials,
    leader: new Channel(found.address, credentials),
    leaderName: found.id,
    seconds,
  };
}

async function measure(bed: Bed, folder: string): Promise<Row[]> {
  const syncs = rawSyncsPerSecond(folder, bed.seconds);
  const rows: Row[] = [row("cluster", "raw 4 KiB write + fdatasync", syncs, "1/s")];
  const raw = "raw syncs";
  for (const inFlight of [1, 16, 64]) {
    const perSecond = await produceUnary(bed, inFlight);
    const what = `Produce, unary, ${VALUE_BYTES} B, ${inFlight} in flight`;
    rows.push(row("cluster", what, perSecond, "1/s", raw, syncs));
  }
  const appended = await appendBatches(bed);
  const batch = `Append, ${BATCH_RECORDS} records of ${VALUE_BYTES} B a batch`;
  rows.push(row("cluster", batch, appended, "records/s", raw, syncs));
  rows.push(row("cluster", "Consume, unary, 16 in flight", await consumeUnary(bed), "1/s"));
  rows.push(row("cluster", "ConsumeStream, one stream", await consumeStream(bed), "records/s"));
  rows.push(row("cluster", "kill -9 of the leader to the next ack", await failover(bed), "ms"));
  return rows;
}

/** What the disk gives to whoever writes one block and waits for it. */
function rawSyncsPerSecond(folder: string, seconds: number): number {
  const fd = openSync(path.join(folder, "raw"), "w");
  const block = randomBytes(4096);
  for (let at = 0; at < 4096; at++) writeSync(fd, block, 0, block.length, at * block.length);
  fdatasyncSync(fd);
  const until = performance.now() + seconds * 1000;
  let count = 0;
  while (performance.now() < until) {
    writeSync(fd, block, 0, block.length, (count % 4096) * block.length);
    fdatasyncSync(fd);
    count++;
  }
  closeSync(fd);
  return count / seconds;
}

/**
 * Calls `operation` from `inFlight` callers for the bed's time, after a warm-up; how many a second.
 */
async function closedLoop(
  bed: Bed,
  inFlight: number,
  operation: () => Promise<number>,
): Promise<number> {
  const begin = performance.now() + 500;
  const end = begin + bed.seconds * 1000;
  let done = 0;
  const caller = async () => {
    for (let now = performance.now(); now < end; now = performance.now()) {
      const count = await operation();
      if (now >= begin) done += count;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return done / ((performance.now() - begin) / 1000);
}

function produceUnary(bed: Bed, inFlight: number): Promise<number> {
  const request = encodeProduceRequest(randomBytes(VALUE_BYTES));
  return closedLoop(bed, inFlight, async () => {
    await bed.leader.call("/log.v1.Log/Produce", request, decodeProduceResponse, CALL_TIMEOUT_MS);
    return 1;
  });
}

async function appendBatches(bed: Bed): Promise<number> {
  const client = connect({ addresses: [bed.leader.address], credentials: bed.credentials });
  const records = Array.from({ length: BATCH_RECORDS }, () => ({
    value: randomBytes(VALUE_BYTES),
  }));
  const perSecond = await closedLoop(bed, 16, async () => {
    await client.append(records);
    return records.length;
  });
  client.close();
  return perSecond;
}

function consumeUnary(bed: Bed): Promise<number> {
  let offset = 0;
  return closedLoop(bed, 16, async () => {
    const request = encodeConsumeRequest(offset++ % 1000);
    await bed.leader.call("/log.v1.Log/Consume", request, decodeConsumeResponse, CALL_TIMEOUT_MS);
    return 1;
  });
}

async function consumeStream(bed: Bed): Promise<number> {
  const request = encodeConsumeRequest(0);
  const stream = await bed.leader.stream("/log.v1.Log/ConsumeStream", request, CALL_TIMEOUT_MS);
  stream.on("error", () => undefined); // The cancellation below.
  const begin = performance.now();
  const until = begin + bed.seconds * 1000;
  let count = 0;
  let last = begin;
  for await (const _ of stream) {
    count++;
    last = performance.now();
    if (last >= until) break;
  }
  stream.cancel();
  return count / ((last - begin) / 1000);
}

/**
 * From the signal to the first append that is acknowledged after it, through the client library.
 */
async function failover(bed: Bed): Promise<number> {
  const { cluster, credentials, leaderName } = bed;
  const survivors = cluster.names.filter((name) => name !== leaderName);
  const addresses = survivors.map((name) => cluster.addressOf(name));
  const client = connect({ addresses, credentials, attemptTimeoutMs: 200 });
  await client.append([{ value: "before" }]);
  const begin = performance.now();
  await cluster.end(leaderName, "SIGKILL");
  await client.append([{ value: "after" }]);
  const gap = performance.now() - begin;
  client.close();
  return gap;
}
