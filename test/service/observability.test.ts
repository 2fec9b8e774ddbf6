// What a server shows of its calls: figures, spans, a line each, and the answers of the standard
// services (health, reflection) over real sockets.

import type { Client } from "@grpc/grpc-js";
import { context, propagation, type Span, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { service as Health } from "grpc-health-check";
import pino from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { LogWatcher, MetricsWatcher, TraceWatcher } from "../../src/adapters/call-watchers.ts";
import { isAlive, isReady } from "../../src/adapters/grpc-standard.ts";
import { Metrics } from "../../src/adapters/metrics.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { connect } from "../../src/client/client.ts";
import { SecuredServers } from "./secured-servers.ts";
import { base64, failureOf, until } from "./stock-client.ts";

const servers = new SecuredServers();
const PRODUCE = "/log.v1.Log/Produce";
const record = { record: { value: base64("x") } };

/** The samples of a metric as Prometheus would read them, by their labels. */
async function samples(metrics: Metrics, name: string): Promise<Record<string, number>> {
  const lines = (await metrics.text()).split("\n");
  const found = lines.flatMap((line) => {
    const match = /^(\w+)(?:\{(.*)\})? ([\d.e+-]+)$/.exec(line);
    return match?.[1] === name ? [[match[2] ?? "", Number(match[3])] as const] : [];
  });
  return Object.fromEntries(found);
}

describe("the figures of a call", () => {
  test("are its traffic, its end, its time and its messages", async () => {
    const metrics = new Metrics("1.2.3");
    const server = await servers.start({ grpc: { watchers: [new MetricsWatcher(metrics)] } });
    const client = servers.clientOf(server);
    await client.call(PRODUCE, record);
    await failureOf(client.call("/log.v1.Log/Consume", { offset: 99 }));
    expect(await samples(metrics, "cairn_rpc_handled_total")).toEqual({
      'method="log.v1.Log/Produce",code="OK"': 1,
      'method="log.v1.Log/Consume",code="404"': 1,
    });
    expect(await samples(metrics, "cairn_rpc_duration_seconds_count")).toEqual({
      'method="log.v1.Log/Produce"': 1,
      'method="log.v1.Log/Consume"': 1,
    });
    expect(await samples(metrics, "cairn_rpc_in_flight")).toEqual({
      'method="log.v1.Log/Produce"': 0,
      'method="log.v1.Log/Consume"': 0,
    });
    expect(await samples(metrics, "cairn_rpc_messages_total")).toMatchObject({
      'method="log.v1.Log/Produce",direction="received"': 1,
      'method="log.v1.Log/Produce",direction="sent"': 1,
    });
  });

  test("count who is refused, and a stream that is cut", async () => {
    const metrics = new Metrics("1.2.3");
    const server = await servers.start({ grpc: { watchers: [new MetricsWatcher(metrics)] } });
    const nobody = servers.clientOf(server, await servers.certificates.client("stranger"));
    await failureOf(nobody.call(PRODUCE, record));
    const client = servers.clientOf(server);
    await client.call(PRODUCE, record);
    const stream = client.consumeStream(0);
    stream.on("error", () => undefined);
    await new Promise((resolve) => stream.once("data", resolve));
    stream.cancel();
    const handled = () => samples(metrics, "cairn_rpc_handled_total");
    const cut = 'method="log.v1.Log/ConsumeStream",code="CANCELLED"';
    while ((await handled())[cut] === undefined) await new Promise((go) => setTimeout(go, 5));
    expect(await handled()).toMatchObject({
      'method="log.v1.Log/Produce",code="PERMISSION_DENIED"': 1,
      [cut]: 1,
    });
  });

  test("have no row for a method that somebody made up", async () => {
    const metrics = new Metrics("1.2.3");
    const server = await servers.start({ grpc: { watchers: [new MetricsWatcher(metrics)] } });
    const { client } = servers.clientOf(server);
    const asIs = (bytes: Buffer) => bytes;
    const error = await new Promise<{ code?: number } | null>((resolve) => {
      client.makeUnaryRequest("/made.Up/Name", asIs, asIs, Buffer.alloc(0), resolve);
    });
    expect(error?.code).toBe(12);
    expect(await samples(metrics, "cairn_rpc_started_total")).toEqual({});
  });
});

describe("the spans of a call", () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  beforeAll(() => {
    trace.setGlobalTracerProvider(provider);
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  });
  afterAll(() => {
    trace.disable();
    context.disable();
    propagation.disable();
  });
  beforeEach(() => exporter.reset());

  const spanOf = (name: string, kind: number): ReadableSpan | undefined =>
    exporter.getFinishedSpans().find((span) => span.name === name && span.kind === kind);
  const SERVER = 1;
  const CLIENT = 2;

  test("are the client's under the program's and the leader's under the client's", async () => {
    const watchers = [new TraceWatcher("1.2.3")];
    const server = await servers.start({ grpc: { watchers } });
    const client = connect({ addresses: [server.address], credentials: servers.rootPems });
    let program: Span | null = null;
    await trace.getTracer("program").startActiveSpan("checkout", async (span) => {
      program = span;
      await client.append([{ value: "paid" }]);
      span.end();
    });
    client.close();
    const name = "cairn.v1.Log/Append";
    await until(() => spanOf(name, SERVER) !== undefined);
    const [ours, theirs] = [spanOf(name, CLIENT), spanOf(name, SERVER)];
    const outermost = (program as unknown as ReadableSpan).spanContext();
    expect(ours?.parentSpanContext?.spanId).toBe(outermost.spanId);
    expect(theirs?.parentSpanContext?.spanId).toBe(ours?.spanContext().spanId);
    expect(theirs?.spanContext().traceId).toBe(outermost.traceId);
    expect(theirs?.attributes).toEqual({
      "rpc.system": "grpc",
      "rpc.service": "cairn.v1.Log",
      "rpc.method": "Append",
      "rpc.grpc.status_code": 0,
    });
    expect(theirs?.events.map((event) => event.name)).toEqual(["sync", "replicate"]);
  });

  test("say how it failed", async () => {
    const server = await servers.start({ grpc: { watchers: [new TraceWatcher("1.2.3")] } });
    const nobody = await servers.certificates.client("nobody-to-trace");
    await failureOf(servers.clientOf(server, nobody).call(PRODUCE, record));
    await until(() => spanOf("log.v1.Log/Produce", SERVER) !== undefined);
    expect(spanOf("log.v1.Log/Produce", SERVER)?.status).toEqual({
      code: 2,
      message: "PERMISSION_DENIED",
    });
  });
});

describe("the log of calls", () => {
  const linesAt = async (level: string) => {
    const lines: Record<string, unknown>[] = [];
    const logger = pino({ level }, { write: (line: string) => lines.push(JSON.parse(line)) });
    const server = await servers.start({ grpc: { watchers: [new LogWatcher(logger)] } });
    await servers.clientOf(server).call(PRODUCE, record);
    return { lines, server };
  };

  test("has who, what, where from, how it ended, and the call's id, at debug", async () => {
    const { lines } = await linesAt("debug");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ msg: "call", method: PRODUCE, subject: "root", code: "OK" });
    expect(lines[0]?.["peer"]).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(lines[0]?.["requestId"]).toMatch(/^[\w-]+$/);
    expect(lines[0]?.["ms"]).toBeGreaterThan(0);
  });

  test("names a denied call as the audit does", async () => {
    const { lines, server } = await linesAt("debug");
    const nobody = await servers.certificates.client("nobody-to-log");
    await failureOf(servers.clientOf(server, nobody).call(PRODUCE, record));
    const audit = server.notices.find(({ what }) => what === "denied");
    expect(lines[1]).toMatchObject({ subject: "nobody-to-log", code: "PERMISSION_DENIED" });
    expect(audit?.facts["requestId"]).toBe(lines[1]?.["requestId"]);
  });

  test("has nothing at info", async () => {
    expect((await linesAt("info")).lines).toEqual([]);
  });
});

describe("health", () => {
  const clients: Client[] = [];
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  function check(server: { address: string }, service: string): Promise<string> {
    const { client } = servers.clientOf(server as never);
    const { path, requestSerialize, responseDeserialize } = Health["Check"] as never as {
      path: string;
      requestSerialize: (request: object) => Buffer;
      responseDeserialize: (bytes: Buffer) => { status: string };
    };
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { service },
        (error, answer) =>
          error === null ? resolve(answer?.status ?? "") : reject(new Error(error.details)),
      );
    });
  }

  test("is SERVING while the node serves and knows who leads", async () => {
    const server = await servers.start();
    for (const service of ["", "log.v1.Log", "cairn.v1.Log", "cairn.v1.Admin", "liveness"]) {
      await expect.poll(() => check(server, service)).toBe("SERVING");
    }
    await expect(check(server, "nonsense")).rejects.toThrow("nonsense");
  });

  test("is NOT_SERVING without a leader, and alive all the same", async () => {
    const server = await servers.start();
    servers.cluster.leader = null;
    await expect.poll(() => check(server, "")).toBe("NOT_SERVING");
    expect(await check(server, "liveness")).toBe("SERVING");
    servers.cluster.leader = "n1" as NodeId;
    await expect.poll(() => check(server, "")).toBe("SERVING");
  });

  test.each([
    ["opening", null, false, true],
    ["serving", null, false, true],
    ["serving", "n1", true, true],
    ["stopping", "n1", false, true],
    ["poisoned", "n1", false, false],
    ["refused", null, false, false],
    ["stopped", "n1", false, false],
  ] as const)("of a node that is %s under %s: ready %s, alive %s", (state, leader, ...said) => {
    const status = { state, leader: leader as NodeId | null };
    expect([isReady(status), isAlive(status)]).toEqual(said);
  });
});

describe("reflection", () => {
  test("lists the services to whoever may see the cluster", async () => {
    const server = await servers.start();
    const { client } = servers.clientOf(server);
    const asIs = (bytes: Buffer) => bytes;
    const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(path, asIs, asIs);
    const answer = await new Promise<Buffer>((resolve, reject) => {
      call.on("data", resolve);
      call.on("error", reject);
      call.write(Buffer.of(0x3a, 0));
      call.end();
    });
    for (const name of ["log.v1.Log", "cairn.v1.Log", "cairn.v1.Admin"]) {
      expect(answer.includes(name), name).toBe(true);
    }
  });
});
