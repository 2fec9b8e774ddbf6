// What a server gives away at most, over real sockets: connections that say nothing or stop
// speaking, calls, overload and its delay, and consumers that do not read.

import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { PortMux } from "../../src/adapters/port-mux.ts";
import type { Notice } from "../../src/base/notice.ts";
import { Malformed } from "../../src/proto/fields.ts";
import { decodeRpcStatus } from "../../src/proto/rpc-status.ts";
import { methodTypes } from "../proto/reference-proto.ts";
import { TestServer, type TestServerOptions } from "./grpc-harness.ts";
import { MemoryCluster } from "./memory-node.ts";
import { base64, failureOf, StockClient, until } from "./stock-client.ts";
import { type Pems, TestCertificates } from "./test-certificates.ts";

const produce = "/log.v1.Log/Produce";

let certificates: TestCertificates;
let serverPems: Pems;
let rootPems: Pems;
beforeAll(async () => {
  certificates = await TestCertificates.create();
  serverPems = await certificates.server();
  rootPems = await certificates.client("root");
});
afterAll(() => certificates.remove());

let servers: TestServer[];
let clients: StockClient[];
beforeEach(() => {
  servers = [];
  clients = [];
});
afterEach(async () => {
  for (const { client } of clients) client.close();
  await Promise.all(servers.map((server) => server.stop()));
});

async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const server = await TestServer.start("n1", new MemoryCluster(), {
    ...options,
    grpc: { tls: serverPems, ...options.grpc },
  });
  servers.push(server);
  return server;
}

function clientOf(server: TestServer): StockClient {
  const client = new StockClient(server.address, rootPems);
  clients.push(client);
  return client;
}

const portOf = (server: TestServer) => Number(server.address.split(":")[1]);

/** Bare HTTP/2: it reads only what it is told to read. */
function sessionTo(server: TestServer): ClientHttp2Session {
  const session = connectHttp2(`https://${server.address}`, { ...rootPems, servername: "" });
  session.on("error", () => {});
  return session;
}

function open(
  session: ClientHttp2Session,
  path: string,
  request: object,
  more: Record<string, string> = {},
) {
  const stream = session.request({
    ...more,
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => {});
  const [type] = methodTypes(path);
  const message = Buffer.from(type.encode(type.fromObject(request)).finish());
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([head, message]));
  return stream;
}

/** Turns of the event loop until a count has stood still for a thousand of them. */
async function settled(count: () => number): Promise<number> {
  let last = -1;
  for (let same = 0; same < 1000; ) {
    await new Promise((resolve) => setImmediate(resolve));
    same = last > 0 && count() === last ? same + 1 : 0;
    last = count();
  }
  return last;
}

/** Its end, whether it was reset or closed in order: `once` would reject for a reset. */
function closeOf(socket: { once(event: "close", listen: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

describe("a connection", () => {
  test("that never finishes its handshake is closed", async () => {
    const server = await startServer({ grpc: { handshakeMsMax: 50 } });
    const socket = connectTcp(portOf(server), "127.0.0.1");
    socket.on("error", () => {});
    // The beginning of a TLS record whose rest does not come.
    socket.write(Buffer.from([0x16, 0x03, 0x01, 0x01, 0x00, 0x01]));
    await closeOf(socket);
    await until(() => server.grpc.connections === 0);
    expect(server.refused).toEqual([expect.stringMatching(/^TLS handshake failed: /)]);
  });

  test("that says one byte at a time gets no more time for it", async () => {
    const server = await startServer({ grpc: { handshakeMsMax: 100 } });
    const socket = connectTcp(portOf(server), "127.0.0.1");
    socket.on("error", () => {});
    const hello = [0x16, 0x03, 0x01, 0x01, 0x00, ...Array<number>(250).fill(1)];
    const dripping = setInterval(() => {
      const byte = hello.shift();
      if (byte !== undefined && socket.writable) socket.write(Uint8Array.of(byte));
    }, 5);
    await closeOf(socket);
    clearInterval(dripping);
    expect(hello.length).toBeGreaterThan(0);
  });

  test("with a certificate that then says nothing at all is closed", async () => {
    const server = await startServer({ grpc: { keepaliveMs: 50, keepaliveAnswerMs: 50 } });
    const { ca, cert, key } = rootPems;
    const names = { servername: "", checkServerIdentity: () => undefined };
    const options = { ca, cert, key, ...names, ALPNProtocols: ["h2"] };
    const socket = connectTls({ host: "127.0.0.1", port: portOf(server), ...options });
    socket.on("error", () => {});
    socket.resume();
    await closeOf(socket);
    await until(() => server.grpc.connections === 0);
  });

  test("without a call is told to go away, one with a stream is not", async () => {
    const server = await startServer({ grpc: { idleMsMax: 1000 } });
    const busy = sessionTo(server);
    const stream = open(busy, "/log.v1.Log/ConsumeStream", { offset: 0 });
    await until(() => server.node.waiting === 1);
    const idle = sessionTo(server);
    await once(idle, "goaway");
    expect([stream.closed, busy.closed]).toEqual([false, false]);
    busy.destroy();
    idle.destroy();
  });

  test("that is too old is told to go away, and its calls may finish", async () => {
    const server = await startServer({ grpc: { ageMsMax: 100 } });
    const old = sessionTo(server);
    const stream = open(old, "/log.v1.Log/ConsumeStream", { offset: 0 });
    await once(old, "goaway");
    expect(stream.closed).toBe(false);
    const heard = once(stream, "data");
    await clientOf(server).call(produce, { record: { value: base64("late") } });
    await heard;
    old.destroy();
  });

  test("may have so many calls under way; further ones are refused on it", async () => {
    const server = await startServer({ grpc: { callsMax: 2 } });
    const session = sessionTo(server);
    await once(session, "remoteSettings");
    expect(session.remoteSettings.maxConcurrentStreams).toBe(2);
    const streams = [0, 1].map(() => open(session, "/log.v1.Log/ConsumeStream", { offset: 0 }));
    await until(() => server.node.waiting === 2);
    for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
    await until(() => server.node.waiting === 0);
    session.destroy();
  });

  test("that never says a byte is closed at the port, before it costs a handshake", async () => {
    const notices: Notice[] = [];
    const mux = new PortMux({
      host: "127.0.0.1",
      port: 0,
      onPeer: (socket) => socket.destroy(),
      onClient: (socket) => socket.destroy(),
      telemetry: { notice: (notice) => notices.push(notice) },
      firstByteMsMax: 50,
    });
    const socket = connectTcp(await mux.listen(), "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    await closeOf(socket);
    await until(() => mux.silentCount === 0);
    mux.destroy();
  });
});

describe("overload", () => {
  test("is RESOURCE_EXHAUSTED with a delay after which to try again", async () => {
    const server = await startServer({ service: { requestsMax: 1 } });
    const client = clientOf(server);
    server.node.mishaps.push("lose-request");
    const hanging = failureOf(client.call("/cairn.v1.Log/CheckTail", {}, Date.now() + 5000));
    await until(() => server.service.inFlight === 1);
    const error = await failureOf(client.call(produce, { record: { value: "" } }));
    expect(error.code).toBe(8);
    const [bytes] = error.metadata.get("grpc-status-details-bin");
    const status = decodeRpcStatus(bytes as Buffer);
    if (status instanceof Malformed) throw new Error(status.what);
    expect(status.details).toContainEqual({ kind: "retry-info", retryDelayMs: 50 });
    expect(status.details).toContainEqual(
      expect.objectContaining({ kind: "error-info", reason: "OVERLOADED" }),
    );
    await server.grpc.close(0);
    await hanging;
  });

  test("by bytes of appends refuses the next append and no read", async () => {
    const server = await startServer({ service: { appendBytesMax: 100_000 } });
    const client = clientOf(server);
    await client.call(produce, { record: { value: base64("first") } });
    server.node.mishaps.push("lose-request");
    const value = Buffer.alloc(90_000).toString("base64");
    const hanging = failureOf(client.call(produce, { record: { value } }));
    await until(() => server.service.inFlight === 1);
    expect((await failureOf(client.call(produce, { record: { value } }))).code).toBe(8);
    await client.call("/log.v1.Log/Consume", { offset: 0 });
    await server.grpc.close(0);
    await hanging;
  });

  test("of the node's mailbox is the same answer", async () => {
    const server = await startServer();
    server.node.hasRoom = false;
    const error = await failureOf(clientOf(server).call(produce, { record: { value: "" } }));
    expect([error.code, error.details]).toEqual([
      8,
      "overloaded: the node's mailbox; nothing happened, try again in 50 ms",
    ]);
  });
});

describe("a call whose deadline passes", () => {
  test.each<[string, object]>([
    [produce, { record: { value: "" } }],
    ["/cairn.v1.Log/Append", { records: [{}] }],
    ["/cairn.v1.Log/CheckTail", {}],
    ["/cairn.v1.Log/Read", { from: { offset: 0 }, maxWaitMs: 60_000 }],
    ["/log.v1.Log/ConsumeStream", { offset: 0 }],
    ["/cairn.v1.Log/ReadStream", { from: { offset: 0 } }],
  ])("is taken back from the node: %s", async (path, request) => {
    const server = await startServer();
    // Appends and checks are never answered; reads wait at the end of the empty log by themselves.
    server.node.mishaps.push("lose-request");
    const session = sessionTo(server);
    const stream = open(session, path, request, { "grpc-timeout": "100m" });
    const [headers] = await once(stream, "response");
    const code = headers["grpc-status"] ?? (await once(stream, "trailers"))[0]["grpc-status"];
    expect(code).toBe("4");
    await until(() => server.node.offered.some(({ kind }) => kind === "cancel"));
    await until(() => server.node.waiting === 0);
    session.destroy();
  });
});

describe("a consumer that does not read", () => {
  async function filled(options: TestServerOptions = {}): Promise<TestServer> {
    const server = await startServer(options);
    const client = clientOf(server);
    const value = Buffer.alloc(100_000, "x").toString("base64");
    for (let i = 0; i < 200; i++) await client.call(produce, { record: { value } });
    return server;
  }

  test.each(["/log.v1.Log/ConsumeStream", "/cairn.v1.Log/ReadStream"])(
    "of %s costs a read-ahead, and ten of them ten",
    async (path) => {
      const server = await filled();
      const sessions = Array.from({ length: 10 }, () => sessionTo(server));
      for (const session of sessions) open(session, path, {}).pause();
      const fetched = await settled(() => server.node.fetchedBytes);
      // 20 MB are in the log, ten times 20 would be read by who reads all.
      expect(fetched).toBeLessThan(10 * 3_000_000);
      const again = await settled(() => server.node.fetchedBytes);
      expect(again).toBe(fetched);
      for (const session of sessions) session.destroy();
      await until(() => server.service.inFlight === 0);
    },
  );

  test("of many answers gets no more than the bound on unread ones, and others get theirs", async () => {
    const server = await filled({ grpc: { unreadBytesMax: 2_000_000 } });
    const session = sessionTo(server);
    await once(session, "remoteSettings");
    const request = { from: { earliest: {} }, bytesMax: 1_000_000 };
    const statuses: string[] = [];
    for (let i = 0; i < 50; i++) {
      const stream = open(session, "/cairn.v1.Log/Read", request);
      stream.pause();
      // A refusal comes in the headers already, an answer's status after the answer.
      stream.on("response", (headers) => statuses.push(String(headers["grpc-status"] ?? "open")));
    }
    await until(() => statuses.length === 50);
    expect(statuses.filter((status) => status === "8").length).toBeGreaterThanOrEqual(48);
    expect(server.grpc.unreadBytes).toBeGreaterThan(0);
    expect(server.grpc.unreadBytes).toBeLessThanOrEqual(2_000_000);
    await clientOf(server).call("/cairn.v1.Log/Read", request);
    session.destroy();
    await until(() => server.grpc.unreadBytes === 0);
  });
});
