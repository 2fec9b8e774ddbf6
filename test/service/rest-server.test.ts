// The REST endpoints over real sockets as curl would see them: the book's two, records by offset
// and as lines, who may, bounds, back-pressure and draining.

import { once } from "node:events";
import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DEFAULT_MODEL, openCasbinAuthorizer } from "../../src/adapters/casbin-authorizer.ts";
import { GZIP_PACKING } from "../../src/adapters/gzip-packing.ts";
import { RestServer, type RestServerOptions } from "../../src/adapters/rest-server.ts";
import type { Instant, NodeId, WallMs } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";
import type { Authorizer } from "../../src/ports/authorizer.ts";
import { Caller } from "../../src/service/caller.ts";
import {
  DEFAULT_LOG_SERVICE_OPTIONS,
  LogService,
  type LogServiceOptions,
} from "../../src/service/log-service.ts";
import { MemoryCluster, MemoryNode } from "./memory-node.ts";
import { base64, until } from "./stock-client.ts";
import { type Pems, TestCertificates } from "./test-certificates.ts";

const POLICY = `p, root, *, produce
p, root, *, consume
p, reader, *, consume
`;

let certificates: TestCertificates;
let serverPems: Pems;
const pems: Record<string, Pems> = {};
let authorizer: Authorizer;
beforeAll(async () => {
  certificates = await TestCertificates.create();
  serverPems = await certificates.server();
  for (const subject of ["root", "reader"]) pems[subject] = await certificates.client(subject);
  const policy = { file: "policy.csv", text: POLICY };
  authorizer = await openCasbinAuthorizer({ file: "model.conf", text: DEFAULT_MODEL }, policy);
});
afterAll(() => certificates.remove());

interface Desk {
  readonly port: number;
  readonly rest: RestServer;
  readonly service: LogService;
  readonly node: MemoryNode;
}

let cluster: MemoryCluster;
let notices: Notice[];
let desks: Desk[];
beforeEach(() => {
  cluster = new MemoryCluster();
  notices = [];
  desks = [];
});
afterEach(async () => {
  for (const { rest } of desks) await rest.close(0);
});

async function start(
  rest: Partial<RestServerOptions> = {},
  options: Partial<LogServiceOptions> = {},
): Promise<Desk> {
  const telemetry = { notice: (notice: Notice) => void notices.push(notice) };
  const clock = {
    now: () => Math.round(performance.now() * 1000) as Instant,
    wall: () => Date.now() as WallMs,
  };
  const service = new LogService(
    { ...DEFAULT_LOG_SERVICE_OPTIONS, ...options },
    { authorizer, clock, packing: GZIP_PACKING, telemetry },
  );
  const name = `n${desks.length + 1}`;
  const node = new MemoryNode(cluster, name, service);
  cluster.members.push({ id: name as NodeId, address: `10.0.0.${desks.length + 1}:8400` });
  cluster.leader ??= name as NodeId;
  service.attach(node);
  const server = new RestServer(service, {
    host: "127.0.0.1",
    port: 0,
    tls: serverPems,
    bodyBytesMax: 2_000_000,
    bodiesBytesMax: 8_000_000,
    connectionsMax: 20,
    handshakeMsMax: 5000,
    requestMsMax: 5000,
    ageMsMax: 0,
    telemetry,
    ...rest,
  });
  const desk = { port: await server.listen(), rest: server, service, node };
  desks.push(desk);
  return desk;
}

interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

function optionsFor({ port }: Desk, subject: string | null): RequestOptions & Partial<Pems> {
  const own = subject === null ? {} : pems[subject];
  const names = { servername: "", checkServerIdentity: () => undefined };
  return { host: "127.0.0.1", port, ...own, ...names, agent: false };
}

function ask(
  desk: Desk,
  method: string,
  path: string,
  {
    body,
    subject = "root",
    headers = {},
  }: {
    body?: string | Buffer;
    subject?: string | null;
    headers?: Record<string, string>;
  } = {},
): Promise<Got> {
  const request = subject === null ? httpRequest : httpsRequest;
  // As curl does; Node's client would send the body of a GET without saying how long it is.
  const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const call = request(
      { ...optionsFor(desk, subject), method, path, headers: { ...headers, ...length } },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(parts).toString();
          const isJson = response.headers["content-type"] === "application/json";
          const json = isJson ? JSON.parse(text) : {};
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
        });
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}

const produce = (desk: Desk, text: string) =>
  ask(desk, "POST", "/", { body: JSON.stringify({ record: { value: base64(text) } }) });
const linesOf = ({ text }: Got) =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

describe("the book's first chapter", () => {
  test("is served: POST / appends, GET / with a body reads", async () => {
    const desk = await start();
    expect((await produce(desk, "first")).json).toEqual({ offset: 0 });
    const second = await ask(desk, "POST", "/", {
      body: JSON.stringify({ record: { value: base64("second"), offset: 77 } }),
    });
    expect([second.status, second.json]).toEqual([200, { offset: 1 }]);
    const got = await ask(desk, "GET", "/", { body: '{"offset":1}' });
    expect([got.status, got.json]).toEqual([
      200,
      { record: { value: base64("second"), offset: 1 } },
    ]);
    expect(cluster.texts).toEqual(["first", "second"]);
  });

  test("answers 404 past the end and 400 to what is no JSON, with our codes", async () => {
    const desk = await start();
    const past = await ask(desk, "GET", "/", { body: '{"offset":5}' });
    expect([past.status, past.json]).toEqual([
      404,
      {
        error: {
          code: 404,
          reason: "OFFSET_OUT_OF_RANGE",
          message: "offset out of range: 5",
          facts: { offset: "5", startOffset: "0", endOffset: "0" },
        },
      },
    ]);
    const bad = await ask(desk, "POST", "/", { body: "{" });
    expect([bad.status, bad.json]).toMatchObject([
      400,
      { error: { code: 3, reason: "MALFORMED" } },
    ]);
  });

  test.each([
    ["POST", "/", "[]", "the body is no JSON object"],
    ["POST", "/", "{}", 'expected {"record"'],
    ["POST", "/", '{"record":{"value":7}}', "record.value: expected base64"],
    ["POST", "/", '{"record":{"value":"?"}}', "record.value: expected base64"],
    ["GET", "/", '{"offset":-1}', "offset: expected a whole number"],
    ["GET", "/", '{"offset":"1"}', "offset: expected a whole number"],
    ["GET", "/", '{"offset":1.5}', "offset: expected a whole number"],
    ["GET", "/", Buffer.from([0x22, 0xff, 0x22]), "the body is no JSON object"],
    ["GET", "/records/x", "", "offset: expected a whole number"],
    ["GET", "/records/99999999999999999", "", "offset: expected a whole number"],
    ["GET", "/records?from=-1", "", "from: expected a whole number"],
    ["GET", "/records?limit=1000001", "", "limit: expected a whole number from 0 to 1000000"],
    ["GET", "/records?form=1", "", "form: no such parameter"],
  ])("answers 400 to %s %s with %s", async (method, path, body, message) => {
    const got = await ask(await start(), method, path, { body });
    expect(got.status).toBe(400);
    expect(got.json).toMatchObject({ error: { message: expect.stringContaining(message) } });
  });

  test("is nowhere else, and says so", async () => {
    const desk = await start();
    const statuses = [];
    for (const [method, path] of [
      ["GET", "/nope"],
      ["GET", "/records/"],
      ["DELETE", "/"],
      ["POST", "/records"],
      ["GET", "//"],
    ] as const) {
      statuses.push((await ask(desk, method, path)).status);
    }
    expect(statuses).toEqual([404, 404, 405, 405, 404]);
  });
});

describe("records", () => {
  test("are read by offset, and as lines from one offset on", async () => {
    const desk = await start();
    for (const text of ["a", "b", "c"]) await produce(desk, text);
    expect((await ask(desk, "GET", "/records/2")).json).toEqual({
      record: { value: base64("c"), offset: 2 },
    });
    const all = await ask(desk, "GET", "/records?from=1");
    expect([all.status, all.headers["content-type"]]).toEqual([200, "application/x-ndjson"]);
    expect(linesOf(all)).toEqual([
      { value: base64("b"), offset: 1 },
      { value: base64("c"), offset: 2 },
    ]);
    expect(linesOf(await ask(desk, "GET", "/records?from=0&limit=2"))).toHaveLength(2);
    expect(linesOf(await ask(desk, "GET", "/records"))).toHaveLength(3);
    expect(linesOf(await ask(desk, "GET", "/records?limit=0"))).toEqual([]);
    expect(linesOf(await ask(desk, "GET", "/records?from=3"))).toEqual([]);
    expect((await ask(desk, "GET", "/records?from=4")).status).toBe(404);
  });

  test("come with their keys and headers, from the middle of a batch and cut inside one", async () => {
    const desk = await start();
    const bytes = (text: string) => new TextEncoder().encode(text);
    const headers = [{ name: "h", value: bytes("v") }];
    const records = ["a", "b", "c"].map((text) => ({
      value: bytes(text),
      key: bytes("k"),
      headers,
    }));
    const none = {
      producerId: 0,
      epoch: 0,
      sequence: 0,
      expectedEndOffset: null,
      gzip: null,
      fencingToken: null,
    };
    await desk.service.append(new Caller("root"), { records, ...none });
    expect(linesOf(await ask(desk, "GET", "/records?from=1&limit=1"))).toEqual([
      {
        value: base64("b"),
        offset: 1,
        key: base64("k"),
        headers: [{ name: "h", value: base64("v") }],
      },
    ]);
  });
});

describe("a REST client", () => {
  test("is who its certificate says, and is denied what it may not, with an audit line", async () => {
    const desk = await start();
    await produce(desk, "x");
    const denied = await ask(desk, "POST", "/", {
      body: "{",
      subject: "reader",
      headers: { "x-request-id": "mine-7" },
    });
    expect([denied.status, denied.json]).toMatchObject([
      403,
      { error: { code: 7, message: "reader not permitted to produce to *" } },
    ]);
    expect(denied.headers["x-request-id"]).toBe("mine-7");
    expect((await ask(desk, "GET", "/records/0", { subject: "reader" })).status).toBe(200);
    expect(notices).toEqual([
      {
        level: "warn",
        what: "denied",
        facts: {
          subject: "reader",
          method: "POST /",
          object: "*",
          action: "produce",
          peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
          requestId: "mine-7",
        },
      },
    ]);
  });

  test("of a server without TLS is nobody", async () => {
    const desk = await start({ tls: null });
    const got = await ask(desk, "GET", "/records/0", { subject: null });
    expect([got.status, got.json]).toMatchObject([401, { error: { code: 16 } }]);
  });

  test("is told by a follower who leads", async () => {
    await start();
    const got = await produce(await start(), "x");
    expect([got.status, got.json]).toMatchObject([
      421,
      { error: { code: 9, reason: "NOT_LEADER", leader: "10.0.0.1:8400" } },
    ]);
    cluster.leader = null;
    const none = await produce(desks[1] as Desk, "x");
    expect([none.status, none.headers["retry-after"]]).toEqual([503, "1"]);
  });

  test("meets new certificates on its next connection", async () => {
    const desk = await start();
    const next = await TestCertificates.create();
    const server = await next.server();
    pems["next"] = await next.client("root");
    next.remove();
    desk.rest.replaceCertificates(server);
    expect((await ask(desk, "GET", "/records", { subject: "next" })).status).toBe(200);
    await expect(ask(desk, "GET", "/records")).rejects.toThrow();
    expect(() => desk.rest.replaceCertificates({ ...server, key: serverPems.key })).toThrow(/key/);
    expect((await ask(desk, "GET", "/records", { subject: "next" })).status).toBe(200);
  });
});

describe("a bound", () => {
  test("on one body is answered with 413, on a record too", async () => {
    const desk = await start({ bodyBytesMax: 1000 }, { recordBytesMax: 100 });
    const body = JSON.stringify({ record: { value: base64("x".repeat(1000)) } });
    const long = await ask(desk, "POST", "/", { body });
    expect([long.status, long.json]).toMatchObject([
      413,
      { error: { reason: "RECORD_TOO_LARGE" } },
    ]);
    expect((await produce(desk, "x".repeat(101))).status).toBe(413);
    expect((await produce(desk, "x".repeat(100))).status).toBe(200);
  });

  test("on all bodies is answered with 429 and a delay", async () => {
    const desk = await start({ bodiesBytesMax: 1000 });
    const waiting = httpsRequest({ ...optionsFor(desk, "root"), method: "POST", path: "/" });
    waiting.on("error", () => {});
    waiting.write("x".repeat(900));
    const body = JSON.stringify({ record: { value: base64("y".repeat(600)) } });
    let got: Got;
    do got = await ask(desk, "POST", "/", { body });
    while (got.status === 200);
    expect([got.status, got.headers["retry-after"], got.json]).toMatchObject([
      429,
      "1",
      { error: { code: 8, reason: "OVERLOADED", retryAfterMs: 50 } },
    ]);
    waiting.destroy();
    do got = await ask(desk, "POST", "/", { body });
    while (got.status === 429);
    expect(got.status).toBe(200);
  });

  test("on requests in flight is the service's, with the same answer", async () => {
    const desk = await start({}, { requestsMax: 1 });
    desk.node.mishaps.push("lose-request");
    const hanging = produce(desk, "a").catch(() => null);
    await until(() => desk.service.inFlight === 1);
    const got = await produce(desk, "b");
    expect([got.status, got.json]).toMatchObject([429, { error: { reason: "OVERLOADED" } }]);
    await desk.rest.close(0);
    await hanging;
  });

  test("on connections drops the next one", async () => {
    const desk = await start({ connectionsMax: 1 });
    const first = connect(desk.port, "127.0.0.1");
    await once(first, "connect");
    await expect(ask(desk, "GET", "/records")).rejects.toThrow();
    await until(() => notices.length > 0);
    expect(notices[0]?.facts["why"]).toBe("more than 1 connections of REST clients");
    first.destroy();
  });

  test("on a connection's age closes it after the answer, a young one is kept", async () => {
    for (const [ageMsMax, expected] of [
      [0, ["keep-alive", "keep-alive"]],
      [1, ["keep-alive", "close"]],
    ] as const) {
      const desk = await start({ ageMsMax });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const seen: unknown[] = [];
      for (let i = 0; i < 2; i++) {
        const call = httpsRequest({ ...optionsFor(desk, "root"), path: "/records", agent });
        call.end();
        const [response] = await once(call, "response");
        seen.push(response.headers.connection);
        await once(response.resume(), "end");
        const answeredMs = performance.now();
        await until(() => performance.now() > answeredMs + 2);
      }
      expect(seen).toEqual(expected);
      agent.destroy();
    }
  });

  test("on time ends a request that comes too slowly", async () => {
    const desk = await start({ tls: null, requestMsMax: 100 });
    const slow = connect(desk.port, "127.0.0.1");
    slow.write("GET / HTTP/1.1\r\nHost: x\r\n");
    const [answer] = (await once(slow, "data")) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 (400|408) /);
    await once(slow, "close");
  });
});

describe("a reader of lines that stalls", () => {
  async function stalled(desk: Desk) {
    const value = "x".repeat(90_000);
    for (let i = 0; i < 200; i++) {
      await desk.service.produce(new Caller("root"), Buffer.from(value));
    }
    const call = httpsRequest({ ...optionsFor(desk, "root"), path: "/records?from=0" });
    call.on("error", () => {});
    call.end();
    const [response] = await once(call, "response");
    let fetched = -1;
    for (let same = 0; same < 1000; ) {
      await new Promise((resolve) => setImmediate(resolve));
      same = fetched > 0 && desk.node.fetchedBytes === fetched ? same + 1 : 0;
      fetched = desk.node.fetchedBytes;
    }
    return { call, response, fetched };
  }

  test("costs a bounded read-ahead, and gets the rest when it reads on", async () => {
    const desk = await start();
    const { response, fetched } = await stalled(desk);
    // 18 MB are in the log: one fetch and the buffers of sockets hold a small part of it.
    expect(fetched).toBeLessThan(9_000_000);
    let bytes = 0;
    response.on("data", (part: Buffer) => {
      bytes += part.length;
    });
    await once(response, "end");
    expect(bytes).toBeGreaterThan(200 * 120_000);
  });

  test("and goes away is let go of", async () => {
    const desk = await start();
    const { call, fetched } = await stalled(desk);
    call.destroy();
    await until(() => desk.service.inFlight === 0);
    await desk.rest.close(5000);
    expect(desk.node.fetchedBytes).toBe(fetched);
  });
});

describe("a REST server that stops", () => {
  test("lets a request under way finish and takes no further one", async () => {
    const desk = await start();
    desk.node.mishaps.push("lose-request");
    const waiting = produce(desk, "late");
    await until(() => desk.service.inFlight === 1);
    desk.service.close();
    const closing = desk.rest.close(5000);
    await expect(ask(desk, "GET", "/records")).rejects.toThrow();
    const { requestId } = desk.node.offered[0] ?? { requestId: 0 };
    desk.service.answer({
      kind: "fault",
      requestId: requestId as never,
      fault: { code: "disk-full" },
    });
    expect((await waiting).status).toBe(507);
    await closing;
  });

  test("does not wait longer than its grace", async () => {
    const desk = await start();
    desk.node.mishaps.push("lose-request");
    const hanging = produce(desk, "x");
    const failed = expect(hanging).rejects.toThrow();
    await until(() => desk.service.inFlight === 1);
    await desk.rest.close(50);
    await failed;
  });
});
