// The gRPC adapter over real sockets: the book's contract as its own client would see it (messages
// by protobufjs from the .proto files), back-pressure, bounds and draining. Connections and their
// certificates are grpc-connections.test.ts.

import { connect as connectHttp2 } from "node:http2";
import { status } from "@grpc/grpc-js";
import { beforeAll, describe, expect, test } from "vitest";
import type { Fault } from "../../src/base/faults.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { Malformed } from "../../src/proto/fields.ts";
import { decodeRpcStatus } from "../../src/proto/rpc-status.ts";
import type { TestServer } from "./grpc-harness.ts";
import { SecuredServers } from "./secured-servers.ts";
import { base64, type Fields, failureOf, failureOfStream, until } from "./stock-client.ts";
import type { Pems } from "./test-certificates.ts";

const recordOf = (text: string, offset: number) => {
  return { value: base64(text), offset, term: 0, type: 0, headers: [] };
};
/** An answer of Consume to whoever is no client of Loghouse. */
const consumed = (record: ReturnType<typeof recordOf>) => ({ loghouseRecord: null, record });
const produce = "/log.v1.Log/Produce";
const consume = "/log.v1.Log/Consume";

const servers = new SecuredServers();
const startServer: SecuredServers["start"] = (...args) => servers.start(...args);
const clientOf: SecuredServers["clientOf"] = (...args) => servers.clientOf(...args);

let nobodyPems: Pems;
beforeAll(async () => {
  nobodyPems = await servers.certificates.client("nobody");
});

describe("the book's client as root", () => {
  test("produces and consumes", async () => {
    const client = clientOf(await startServer());
    const value = base64("hello world");
    const sent = { record: { value, offset: 99, term: 7, type: 3 } };
    expect(await client.call(produce, sent)).toEqual({ offset: 0 });
    expect(await client.call(produce, { record: { value } })).toEqual({ offset: 1 });
    expect(await client.call(consume, { offset: 1 })).toEqual(consumed(recordOf("hello world", 1)));
  });

  test("produces and consumes over streams", async () => {
    const client = clientOf(await startServer());
    const records = ["first message", "second message"];
    const producing = client.produceStream();
    const offsets: unknown[] = [];
    for (const [at, text] of records.entries()) {
      producing.write({ record: { value: base64(text) } });
      await until(() => {
        const response: Fields | null = producing.read();
        if (response !== null) offsets.push(response["offset"]);
        return offsets.length > at;
      });
    }
    expect(offsets).toEqual([0, 1]);
    producing.on("error", () => {});
    producing.cancel();
    const consuming = client.consumeStream(0);
    consuming.on("error", () => {});
    const seen: unknown[] = [];
    consuming.on("data", (message) => seen.push(message));
    await until(() => seen.length === 2);
    expect(seen).toEqual(records.map((text, offset) => consumed(recordOf(text, offset))));
    const cancelled = failureOfStream(consuming);
    consuming.cancel();
    expect((await cancelled).code).toBe(1);
  });

  test("has its produce stream ended with OK when it closes its side", async () => {
    const client = clientOf(await startServer());
    const call = client.produceStream();
    const ended = new Promise<{ code: number }>((resolve) => call.on("status", resolve));
    const offsets: unknown[] = [];
    call.on("data", (message) => offsets.push(message["offset"]));
    for (const text of ["a", "b", "c"]) call.write({ record: { value: base64(text) } });
    call.end();
    expect((await ended).code).toBe(0);
    expect(offsets).toEqual([0, 1, 2]);
    expect(servers.cluster.texts).toEqual(["a", "b", "c"]);
  });

  test("gets 404 with a LocalizedMessage past the end of the log", async () => {
    const client = clientOf(await startServer());
    await client.call(produce, { record: { value: base64("x") } });
    const error = await failureOf(client.call(consume, { offset: 1 }));
    expect([error.code, error.details]).toEqual([404, "offset out of range: 1"]);
    const [bytes] = error.metadata.get("grpc-status-details-bin");
    const status = decodeRpcStatus(bytes as Buffer);
    if (status instanceof Malformed) throw new Error(status.what);
    expect(status).toMatchObject({ code: 404, message: "offset out of range: 1" });
    expect(status.details[0]).toEqual({
      kind: "localized-message",
      locale: "en-US",
      message: "The requested offset is outside of the log: 1",
    });
  });

  test("finds the servers under both names of the method", async () => {
    const server = await startServer();
    const client = clientOf(server);
    const want = { servers: [{ id: "n1", rpcAddr: server.address, isLeader: true }] };
    expect(await client.call("/log.v1.Log/GetServers", {})).toEqual(want);
    expect(await client.call("/log.v1.Log/GetServer", {})).toEqual(want);
  });

  test("is told by a follower who leads, in text, details and trailer", async () => {
    const leader = await startServer();
    const follower = clientOf(await startServer({}, "n2"));
    const error = await failureOf(follower.call(produce, { record: { value: "" } }));
    expect(error.code).toBe(9);
    expect(error.details).toBe(`node is not the leader: ask n1 at ${leader.address}`);
    expect(error.metadata.get("cairn-leader")).toEqual([leader.address]);
  });

  test("appends batches and checks the tail", async () => {
    const client = clientOf(await startServer());
    const request = {
      records: [{ value: base64("a"), key: base64("k") }, { value: base64("b") }],
      producerId: 77,
    };
    const appended = await client.call("/cairn.v1.Log/Append", request);
    expect(appended).toEqual({ offset: 0, term: 1, duplicate: false });
    const again = await client.call("/cairn.v1.Log/Append", request);
    expect(again).toEqual({ offset: 0, term: 1, duplicate: true });
    expect(await client.call("/cairn.v1.Log/CheckTail", {})).toEqual({ endOffset: 2 });
  });

  test("reads back in batches what it appended in batches, by the published messages", async () => {
    const client = clientOf(await startServer());
    for (const texts of [["a", "b"], ["c"]]) {
      await client.call("/cairn.v1.Log/Append", {
        records: texts.map((text) => ({ value: base64(text) })),
      });
    }
    const read = await client.call("/cairn.v1.Log/Read", { last: 2 });
    expect(read).toMatchObject({
      endOffset: 3,
      batches: [
        { offset: 0, count: 2, records: { values: base64("ab") } },
        { offset: 2, count: 1, records: { values: base64("c") } },
      ],
    });
    const late = await failureOf(client.call("/cairn.v1.Log/Read", { offset: 4 }));
    expect(late.code).toBe(404);
  });

  test("appends a stream of batches and is answered in order", async () => {
    const client = clientOf(await startServer());
    const call = client.bidi("/cairn.v1.Log/AppendStream");
    const answers: Fields[] = [];
    const ended = new Promise<void>((resolve, reject) => {
      call.on("data", (answer: Fields) => answers.push(answer));
      call.on("end", resolve);
      call.on("error", reject);
    });
    for (const texts of [["a", "b"], ["c"], ["d", "e", "f"]]) {
      call.write({ records: texts.map((text) => ({ value: base64(text) })) });
    }
    call.end();
    await ended;
    expect(answers.map(({ offset }) => offset)).toEqual([0, 2, 3]);
  });

  test("has its stream of batches ended by the first bad one, after the answers before", async () => {
    const client = clientOf(await startServer());
    const call = client.bidi("/cairn.v1.Log/AppendStream");
    const answers: Fields[] = [];
    call.on("data", (answer: Fields) => answers.push(answer));
    const failure = failureOfStream(call);
    call.write({ records: [{ value: base64("a") }] });
    call.write({ records: [] });
    call.write({ records: [{ value: base64("b") }] });
    expect((await failure).code).toBe(status.INVALID_ARGUMENT);
    expect(answers.map(({ offset }) => offset)).toEqual([0]);
  });

  test("follows the log by a stream of batches up to the end that it asked for", async () => {
    const client = clientOf(await startServer());
    const call = client.serverStream("/cairn.v1.Log/ReadStream", { offset: 0, endOffset: 3 });
    const offsets: unknown[] = [];
    const ended = new Promise<void>((resolve, reject) => {
      call.on("data", ({ batches }: { batches: Fields[] }) =>
        offsets.push(...batches.map(({ offset }) => offset)),
      );
      call.on("end", resolve);
      call.on("error", reject);
    });
    for (const texts of [["a", "b"], ["c"]]) {
      await client.call("/cairn.v1.Log/Append", {
        records: texts.map((text) => ({ value: base64(text) })),
      });
    }
    await ended;
    expect(offsets).toEqual([0, 2]);
  });

  test("meets UNIMPLEMENTED for a method that does not exist", async () => {
    const client = clientOf(await startServer());
    const error = await failureOf(client.raw("/log.v1.Log/Trim", Buffer.alloc(0)));
    expect(error.code).toBe(12);
  });

  test("gets INVALID_ARGUMENT with the place of the first bad byte", async () => {
    const client = clientOf(await startServer());
    const error = await failureOf(client.raw(produce, Buffer.from([0x0a, 0x05, 0x0a])));
    expect([error.code, error.details]).toEqual([
      3,
      "malformed request: ProduceRequest field 1, byte 2: the field is longer than the message",
    ]);
    const empty = await failureOf(client.raw(produce, Buffer.alloc(0)));
    expect(empty.details).toContain("field 1, the record, is missing");
  });
});

describe("a client of Loghouse", () => {
  test("finds its records in field 1 when the server was told so", async () => {
    const client = clientOf(await startServer({ grpc: { forLoghouse: true } }));
    await client.call(produce, { record: { value: base64("house") } });
    const record = recordOf("house", 0);
    const both = { loghouseRecord: record, record };
    expect(await client.call(consume, { offset: 0 })).toEqual(both);
    const stream = client.consumeStream(0);
    stream.on("error", () => undefined);
    expect(await new Promise((resolve) => stream.once("data", resolve))).toEqual(both);
    stream.cancel();
  });

  test("finds nothing there otherwise", async () => {
    const client = clientOf(await startServer());
    await client.call(produce, { record: { value: base64("house") } });
    const answer = await client.call(consume, { offset: 0 });
    expect(answer).toEqual(consumed(recordOf("house", 0)));
  });
});

describe("nobody", () => {
  test.each<[string, Fields, string]>([
    [produce, { record: { value: "" } }, "nobody not permitted to produce to *"],
    [consume, { offset: 0 }, "nobody not permitted to consume to *"],
    ["/log.v1.Log/GetServers", {}, "nobody not permitted to describe to *"],
    ["/log.v1.Log/GetServer", {}, "nobody not permitted to describe to *"],
    ["/cairn.v1.Log/Append", { records: [{}] }, "nobody not permitted to produce to *"],
    ["/cairn.v1.Log/CheckTail", {}, "nobody not permitted to describe to *"],
  ])("is denied %s", async (path, fields, details) => {
    const server = await startServer();
    const error = await failureOf(clientOf(server, nobodyPems).call(path, fields));
    expect([error.code, error.details]).toEqual([7, details]);
    expect(server.node.offered).toEqual([]);
  });

  test("is denied before its request is even decoded", async () => {
    const client = clientOf(await startServer(), nobodyPems);
    const rubbish = Buffer.from([0xff, 0xff]);
    for (const path of [produce, consume, "/cairn.v1.Log/Append", "/log.v1.Log/GetServers"]) {
      expect((await failureOf(client.raw(path, rubbish))).code).toBe(7);
    }
  });

  test("is denied both streams", async () => {
    const server = await startServer();
    const client = clientOf(server, nobodyPems);
    const consuming = client.consumeStream(0);
    consuming.on("data", () => {});
    const producing = client.produceStream();
    producing.on("data", () => {});
    const failures = [failureOfStream(consuming), failureOfStream(producing)];
    producing.write({ record: { value: "" } });
    const errors = await Promise.all(failures);
    expect(errors.map(({ code, details }) => [code, details])).toEqual([
      [7, "nobody not permitted to consume to *"],
      [7, "nobody not permitted to produce to *"],
    ]);
    expect(server.node.offered).toEqual([]);
  });
});

describe("a message", () => {
  test("larger than the bound is refused with RESOURCE_EXHAUSTED", async () => {
    const client = clientOf(await startServer({ grpc: { messageBytesMax: 100_000 } }));
    const value = Buffer.alloc(200_000).toString("base64");
    const error = await failureOf(client.call(produce, { record: { value } }));
    expect(error.code).toBe(8);
    expect(servers.cluster.entries).toEqual([]);
    expect(await client.call(produce, { record: { value: "" } })).toEqual({ offset: 0 });
  });

  test("with a record above the limit is refused, a record at the limit is taken", async () => {
    const client = clientOf(await startServer());
    const atLimit = { record: { value: Buffer.alloc(1024 * 1024).toString("base64") } };
    const above = { record: { value: Buffer.alloc(1024 * 1024 + 1).toString("base64") } };
    const error = await failureOf(client.call(produce, above));
    expect(error.code).toBe(3);
    expect(error.details).toBe("record of 1048577 bytes is too large, the most is 1048576");
    expect(await client.call(produce, atLimit)).toEqual({ offset: 0 });
  });
});

describe("a stream", () => {
  // Over bare HTTP/2: a grpc-js client reads ahead without bound until it was first asked to read.
  const stalledStream = (server: TestServer) => {
    const { ca, key, cert } = servers.rootPems;
    const session = connectHttp2(`https://${server.address}`, {
      ca,
      key,
      cert,
      servername: "",
    });
    const stream = session.request({
      ":method": "POST",
      ":path": "/log.v1.Log/ConsumeStream",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {});
    stream.end(Buffer.alloc(5)); // An empty message: from offset 0.
    return { session, stream };
  };

  test("whose consumer stalls costs a bounded read-ahead, and flows on when it reads", async () => {
    const server = await startServer();
    const client = clientOf(server);
    const value = Buffer.alloc(100_000, "x").toString("base64");
    for (let i = 0; i < 200; i++) await client.call(produce, { record: { value } });
    const { session, stream } = stalledStream(server);
    let fetched = -1;
    for (let same = 0; same < 1000; ) {
      await new Promise((resolve) => setImmediate(resolve));
      const unchanged = fetched > 0 && server.node.fetchedBytes === fetched;
      same = unchanged ? same + 1 : 0;
      fetched = server.node.fetchedBytes;
    }
    // 20 MB are in the log: one fetch, grpc-js's 16 messages and the windows hold a tenth of it.
    expect(fetched).toBeLessThan(3_000_000);
    let bytes = 0;
    stream.on("data", (part: Buffer) => {
      bytes += part.length;
    });
    await until(() => bytes > 20_000_000);
    session.destroy();
    await until(() => server.service.inFlight === 0);
  });

  test("whose consumer goes away while stalled lets go of everything", async () => {
    const server = await startServer();
    const client = clientOf(server);
    const value = Buffer.alloc(100_000, "x").toString("base64");
    for (let i = 0; i < 100; i++) await client.call(produce, { record: { value } });
    const { session } = stalledStream(server);
    await until(() => server.node.fetchedBytes > 0);
    session.destroy();
    await until(() => server.grpc.connections === 1);
    const { fetchedBytes } = server.node;
    await client.call(produce, { record: { value } });
    expect(server.service.inFlight).toBe(0);
    expect(server.node.fetchedBytes).toBe(fetchedBytes);
  });

  test("at the end of the log makes no request while nothing comes", async () => {
    const server = await startServer();
    const client = clientOf(server);
    const call = client.consumeStream(0);
    const seen: unknown[] = [];
    call.on("data", (message) => seen.push(message));
    call.on("error", () => {});
    await until(() => server.node.waiting === 1);
    const { length } = server.node.offered;
    for (let i = 0; i < 500; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(server.node.offered).toHaveLength(length);
    await client.call(produce, { record: { value: base64("late") } });
    await until(() => seen.length === 1);
    call.cancel();
    await until(() => server.node.waiting === 0);
  });

  test("of produce requests takes many in flight and answers them in order", async () => {
    const server = await startServer({ service: { produceWindowMax: 8 } });
    const call = clientOf(server).produceStream();
    const offsets: unknown[] = [];
    call.on("data", (message) => offsets.push(message["offset"]));
    const ended = new Promise<{ code: number }>((resolve) => call.on("status", resolve));
    for (let i = 0; i < 500; i++) call.write({ record: { value: base64(`${i}`) } });
    call.end();
    expect((await ended).code).toBe(0);
    expect(offsets).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(servers.cluster.texts).toEqual(offsets.map(String));
  });

  test("of produce requests ends with the first bad one, after the answers before it", async () => {
    const server = await startServer();
    const overloaded: Fault = { code: "overloaded", what: "appends", retryAfterMs: 50 };
    server.node.mishaps.push(null, { instead: overloaded });
    const call = clientOf(server).produceStream();
    const offsets: unknown[] = [];
    call.on("data", (message) => offsets.push(message["offset"]));
    const failed = failureOfStream(call);
    for (let i = 0; i < 3; i++) call.write({ record: { value: base64(`${i}`) } });
    expect((await failed).code).toBe(8);
    expect(offsets).toEqual([0]);
  });

  test("of produce requests is refused a request without a record", async () => {
    const call = clientOf(await startServer()).produceStream();
    call.on("data", () => {});
    const failed = failureOfStream(call);
    call.write({});
    expect((await failed).details).toContain("field 1, the record, is missing");
  });
});

describe("a deadline", () => {
  test("of the caller's ends the call and takes the request back", async () => {
    const server = await startServer();
    server.node.mishaps.push("lose-request");
    const client = clientOf(server);
    const call = client.call("/cairn.v1.Log/CheckTail", {}, Date.now() + 100);
    expect((await failureOf(call)).code).toBe(4);
    await until(() => server.node.offered.some(({ kind }) => kind === "cancel"));
  });

  test("of the caller's is how long the node seeks the end of the log", async () => {
    const server = await startServer({ service: { requestTimeout: 50_000 as never } });
    const client = clientOf(server);
    await client.call("/cairn.v1.Log/CheckTail", {}, Date.now() + 20_000);
    await client.call("/cairn.v1.Log/CheckTail", {}, Number.POSITIVE_INFINITY);
    const asked = server.node.offered.map((request) =>
      request.kind === "check-tail" ? (request.within ?? 0) : 0,
    );
    expect(asked[0]).toBeGreaterThan(50_000);
    expect(asked[0]).toBeLessThanOrEqual(20_000_000);
    expect(asked[1]).toBe(50_000);
  });

  test("of the service's own ends what the node never answers", async () => {
    const service = { requestTimeout: 50_000 as never };
    const server = await startServer({ service });
    server.node.mishaps.push("lose-request", "lose-answer");
    const client = clientOf(server);
    const forever = Number.POSITIVE_INFINITY;
    const check = await failureOf(client.call("/cairn.v1.Log/CheckTail", {}, forever));
    const append = await failureOf(client.call(produce, { record: { value: "" } }));
    expect([check.code, append.code]).toEqual([4, 2]);
  });
});

describe("a server that stops", () => {
  test("lets an append finish, ends the streams, and takes no more calls", async () => {
    const server = await startServer();
    const client = clientOf(server);
    await client.call(produce, { record: { value: base64("before") } });
    const consuming = client.consumeStream(1);
    consuming.on("data", () => {});
    const ended = failureOfStream(consuming);
    await until(() => server.node.waiting === 1);
    const inFlight = client.call(produce, { record: { value: base64("in flight") } });
    await until(() => servers.cluster.endOffset === 2);
    await server.stop();
    expect(await inFlight).toEqual({ offset: 1 });
    expect((await ended).code).toBe(14);
    expect((await failureOf(client.call(consume, { offset: 0 }))).code).toBe(14);
  });

  test("does not wait longer than its grace for a call that hangs", async () => {
    const server = await startServer();
    server.node.mishaps.push("lose-request");
    const client = clientOf(server);
    const hanging = failureOf(client.call("/cairn.v1.Log/CheckTail", {}));
    await until(() => server.service.inFlight === 1);
    await server.grpc.close(50);
    expect([1, 14]).toContain((await hanging).code);
    await until(() => server.grpc.connections === 0);
  });
});

describe("who leads", () => {
  test("is said by GetServers as it is at the time of the call", async () => {
    const client = clientOf(await startServer());
    await startServer({}, "n2");
    const leaders = async () => {
      const { servers: list } = await client.call("/log.v1.Log/GetServers", {});
      return (list as { isLeader: boolean }[]).map(({ isLeader }) => isLeader);
    };
    expect(await leaders()).toEqual([true, false]);
    servers.cluster.leader = "n2" as NodeId;
    expect(await leaders()).toEqual([false, true]);
    servers.cluster.leader = null;
    expect(await leaders()).toEqual([false, false]);
    const error = await failureOf(client.call(produce, { record: { value: "" } }));
    expect([error.code, error.details]).toEqual([
      14,
      "node is not the leader: no leader is known, try again",
    ]);
  });
});
