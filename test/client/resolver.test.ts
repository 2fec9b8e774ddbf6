// The `cairn:` resolver and picker against servers on loopback, driven by a stock grpc-js client:
// the contract of the one file that stands on grpc-js's experimental API.

import { readFileSync } from "node:fs";
import { ChannelCredentials, Client, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { NodeId } from "../../src/base/ids.ts";
import {
  LEADERS_METHODS,
  READS,
  registerCairnResolver,
  resolverOptions,
} from "../../src/client/resolver.ts";
import {
  decodeProduceResponse,
  encodeConsumeRequest,
  encodeProduceRequest,
} from "../../src/proto/log-v1.ts";
import { TestServer } from "../service/grpc-harness.ts";
import { MemoryCluster } from "../service/memory-node.ts";
import { CHANNEL_OPTIONS } from "../service/stock-client.ts";
import { type Pems, TestCertificates } from "../service/test-certificates.ts";

const asIs = (bytes: Buffer) => bytes;
const PRODUCE = "/log.v1.Log/Produce";
const CONSUME = "/log.v1.Log/Consume";

let cluster: MemoryCluster;
let servers: TestServer[];
let clients: Client[];

beforeAll(() => registerCairnResolver());
beforeEach(() => {
  cluster = new MemoryCluster();
  servers = [];
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.close();
  await Promise.all(servers.map((server) => server.stop()));
});

async function startServers(...names: string[]): Promise<void> {
  for (const name of names) servers.push(await TestServer.start(name, cluster));
}

function server(name: string): TestServer {
  const found = servers.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no server ${name}`);
  return found;
}

function clientOf(...addresses: string[]): Client {
  const target = `cairn:///${addresses.join(",")}`;
  const client = new Client(target, ChannelCredentials.createInsecure(), resolverOptions(null));
  clients.push(client);
  return client;
}

function call(client: Client, path: string, request: Buffer): Promise<Buffer> {
  const deadline = Date.now() + 15_000;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, asIs, asIs, request, { deadline }, (error, answer) =>
      error === null ? resolve(answer ?? Buffer.alloc(0)) : reject(error),
    );
  });
}

const produce = (client: Client, text: string) =>
  call(client, PRODUCE, encodeProduceRequest(Buffer.from(text)));

async function failureOf(promise: Promise<unknown>): Promise<ServiceError> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: ServiceError) => error,
  );
}

/** How many requests of a kind each node was asked. */
const asked = (kind: string) =>
  Object.fromEntries(
    servers.map(({ name, node }) => [name, node.offered.filter((one) => one.kind === kind).length]),
  );

/** Until every server has been connected to: a picker knows only those. */
async function untilSpread(client: Client): Promise<void> {
  for (;;) {
    for (let round = 0; round < 6; round++) await call(client, CONSUME, encodeConsumeRequest(0));
    const followers = servers.filter(({ name }) => name !== cluster.leader);
    const isSpread = followers.every(({ name }) => (asked("fetch")[name] ?? 0) > 0);
    for (const { node } of servers) node.offered.length = 0;
    if (isSpread) return;
  }
}

describe("a stock client of a cairn: target", () => {
  test("produces to the leader, though only a follower was named", async () => {
    await startServers("n1", "n2", "n3");
    cluster.leader = "n2" as NodeId;
    const client = clientOf(server("n3").address);
    for (let at = 0; at < 5; at++) {
      expect(decodeProduceResponse(await produce(client, `r${at}`))).toBe(at);
    }
    expect(asked("append")).toEqual({ n1: 0, n2: 5, n3: 0 });
  });

  test("consumes from the followers in turn, and never from the leader", async () => {
    await startServers("n1", "n2", "n3");
    const client = clientOf(server("n1").address);
    await produce(client, "only");
    await untilSpread(client);
    for (let at = 0; at < 6; at++) await call(client, CONSUME, encodeConsumeRequest(0));
    expect(asked("fetch")).toEqual({ n1: 0, n2: 3, n3: 3 });
  });

  test("consumes from the leader when it is alone", async () => {
    await startServers("n1");
    const client = clientOf(server("n1").address);
    await produce(client, "only");
    await call(client, CONSUME, encodeConsumeRequest(0));
    expect(asked("fetch")).toEqual({ n1: 1 });
  });

  test("asks any server for what is neither a write nor a read", async () => {
    await startServers("n1", "n2", "n3");
    const client = clientOf(server("n1").address);
    for (let at = 0; at < 3; at++) await call(client, "/log.v1.Log/GetServers", Buffer.alloc(0));
  });

  test("follows a new leader after one refusal", async () => {
    await startServers("n1", "n2", "n3");
    const client = clientOf(server("n1").address);
    await produce(client, "by n1");
    cluster.leader = "n3" as NodeId;
    const refusal = await failureOf(produce(client, "refused"));
    expect(refusal.code).toBe(status.FAILED_PRECONDITION);
    let offset: unknown = null;
    while (offset === null) {
      offset = await produce(client, "by n3").then(decodeProduceResponse, () => null);
    }
    expect([offset, cluster.texts]).toEqual([1, ["by n1", "by n3"]]);
  });

  test("waits while nobody leads, and goes on when somebody does", async () => {
    await startServers("n1", "n2");
    cluster.leader = null;
    const client = clientOf(server("n1").address);
    const waiting = produce(client, "patient");
    await call(client, "/log.v1.Log/GetServers", Buffer.alloc(0));
    expect(asked("append")).toEqual({ n1: 0, n2: 0 });
    cluster.leader = "n2" as NodeId;
    expect(decodeProduceResponse(await waiting)).toBe(0);
  });

  test("survives the death of the one server that was named", async () => {
    await startServers("n1", "n2", "n3");
    const client = clientOf(server("n1").address);
    await produce(client, "before");
    await server("n1").kill();
    servers = servers.filter(({ name }) => name !== "n1");
    cluster.leader = "n2" as NodeId;
    let offset: unknown = null;
    while (offset === null) {
      offset = await produce(client, "after").then(decodeProduceResponse, () => null);
    }
    expect(offset).toBe(1);
  });

  test("is told that no server answers", async () => {
    const error = await failureOf(produce(clientOf("127.0.0.1:1"), "nobody hears"));
    expect(error.code).toBe(status.UNAVAILABLE);
    expect(error.details).toContain("no server of the cluster answers");
  });
});

describe("a stock client of a cairn: target with certificates", () => {
  let certificates: TestCertificates;
  let pems: Pems;
  let tls: Pems;
  beforeAll(async () => {
    certificates = await TestCertificates.create();
    tls = await certificates.server();
    pems = await certificates.client("root");
  });
  afterAll(() => certificates.remove());

  test("gives the resolver its own credentials and produces", async () => {
    servers.push(await TestServer.start("n1", cluster, { grpc: { tls } }));
    const credentials = ChannelCredentials.createSsl(pems.ca, pems.key, pems.cert);
    const client = new Client(`cairn:///${server("n1").address}`, credentials, {
      ...CHANNEL_OPTIONS,
      ...resolverOptions(pems),
    });
    clients.push(client);
    expect(decodeProduceResponse(await produce(client, "secret"))).toBe(0);
  });

  test("takes renewed credentials into use with the next question", async () => {
    servers.push(await TestServer.start("n1", cluster, { grpc: { tls } }));
    let reads = 0;
    const source = () => {
      reads++;
      if (reads === 1) return { ...pems, cert: "half of a renewal" };
      return pems;
    };
    const credentials = ChannelCredentials.createSsl(pems.ca, pems.key, pems.cert);
    const options = { ...CHANNEL_OPTIONS, ...resolverOptions(source) };
    const client = new Client(`cairn:///${server("n1").address}`, credentials, options);
    clients.push(client);
    const error = await failureOf(produce(client, "too early"));
    expect(error.details).toContain("credentials:");
    for (;;) {
      const done = await produce(client, "secret").catch(() => null);
      if (done !== null) break;
    }
    expect(reads).toBeGreaterThan(1);
  });
});

describe("which server a stock client's call goes to", () => {
  const proto = (name: string) => readFileSync(`proto/${name}`, "utf8");
  const methodsIn = (file: string) =>
    [...proto(file).matchAll(/^ {2}rpc (\w+)/gm)].map(([, method]) => method ?? "");

  test("is said for every method of the log and of its administration", () => {
    const methods = ["log/v1/log.proto", "cairn/v1/log.proto", "cairn/v1/admin.proto"];
    const streams = ["SendEvent", "Query", "WatchEvents", "Backup"];
    const anybody = ["GetServers", "Status", "Leave", "GossipKeys", "RoundTrip", ...streams];
    const known = [...LEADERS_METHODS, ...READS, ...anybody].sort();
    expect([...new Set(methods.flatMap(methodsIn))].sort()).toEqual(known);
  });
});
