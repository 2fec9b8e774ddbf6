// One real agent among callers who mean it harm: a thousand connections that only lie there, ends
// that go silent halfway, bytes that drip, floods of HTTP/2 frames. All the while a caller who
// means well, on a connection of its own and on new ones, is answered each time. Nothing leaves
// loopback, and every flood has an end of its own.

import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import path from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { certificateFiles, clientBase } from "../../src/cli/certificate-files.ts";
import { findFreePorts } from "../../src/cli/ports.ts";
import { Channel, type ClientCredentials } from "../../src/client/channel.ts";
import { decodeProduceResponse, encodeProduceRequest } from "../../src/proto/log-v1.ts";
import { END_HEADERS, END_STREAM, frame, headerBlock, PREFACE, refused } from "./http2-frames.ts";
import { cairn, type Running, start, useFolder, useProgram } from "./program.ts";

useProgram();
const folder = useFolder();
const certs = path.join(folder, "certs");

const IDLE_TLS = 700;
const IDLE_SILENT = 300;
const CLIENTS_MAX = 800;
/** What a node may grow by, whatever is done to it. */
const GROWTH_BYTES_MAX = 256 * 1024 * 1024;

let agent: Running;
let port = 0;
let restPort = 0;
let metricsPort = 0;
let pems: ClientCredentials;
let bytesBefore = 0;
let sockets: (Socket | TLSSocket)[] = [];
let wellMeaning: WellMeaning;

beforeAll(async () => {
  [port = 0, restPort = 0, metricsPort = 0] = await findFreePorts(3);
  for (const args of [["init"], ["node", "n1", "--host", "127.0.0.1"], ["client", "root"]]) {
    expect(await cairn(["certs", ...args, "--dir", certs])).toMatchObject({ code: 0 });
  }
  const files = certificateFiles(certs, clientBase("root"));
  pems = {
    ca: readFileSync(certificateFiles(certs, "ca").cert),
    cert: readFileSync(files.cert),
    key: readFileSync(files.key),
  };
  const limits = {
    connections: CLIENTS_MAX,
    "silent-connections": IDLE_SILENT,
    "first-byte-ms": 60_000,
    "handshake-ms": 3000,
    "idle-ms": 600_000,
    "rest-request-ms": 1000,
  };
  const pairs = Object.entries(limits).map(([name, number]) => `${name}=${number}`);
  agent = start([
    "agent",
    ...["--node-name", "n1", "--bootstrap", "--data-dir", path.join(folder, "data")],
    ...["--certs-dir", certs, "--bind-addr", "127.0.0.1", "--rpc-port", String(port)],
    ...["--rest-addr", `127.0.0.1:${restPort}`, "--limits", pairs.join(",")],
    ...["--election-timeout-ms", "200", "--metrics-addr", `127.0.0.1:${metricsPort}`],
  ]);
  await agent.says(/"became-leader"/);
  const warming = new WellMeaning();
  await warming.isServed(100);
  await warming.end();
  bytesBefore = await figureOf("process_resident_memory_bytes");
}, 120_000);

beforeEach(() => {
  wellMeaning = new WellMeaning();
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  await wellMeaning.isServed(10);
  await wellMeaning.end();
  const grown = (await figureOf("process_resident_memory_bytes")) - bytesBefore;
  expect(grown).toBeLessThan(GROWTH_BYTES_MAX);
  expect(agent.child.exitCode).toBeNull();
}, 60_000);

/** Appends without a pause, every tenth time on a connection of its own; never refused. */
class WellMeaning {
  readonly #channel = new Channel(`127.0.0.1:${port}`, pems);
  readonly #calling: Promise<void>;
  /** Whether it comes back on new connections, too. */
  opensNew = true;
  #served = 0;
  #isDone = false;
  #failure: unknown = null;

  constructor() {
    this.#calling = this.#call().catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** Resolves once so many more calls were answered; rejects when one was not. */
  async isServed(times: number): Promise<void> {
    const goal = this.#served + times;
    await until(async () => this.#failure !== null || this.#served >= goal);
    if (this.#failure !== null) throw this.#failure;
  }

  async end(): Promise<void> {
    this.#isDone = true;
    await this.#calling;
    this.#channel.close();
    if (this.#failure !== null) throw this.#failure;
  }

  async #call(): Promise<void> {
    for (let count = 0; !this.#isDone; count++) {
      if (count % 10 !== 0 || !this.opensNew) await append(this.#channel);
      else {
        const fresh = new Channel(`127.0.0.1:${port}`, pems);
        await append(fresh).finally(() => fresh.close());
      }
      this.#served++;
    }
  }
}

function append(channel: Channel): Promise<number> {
  const request = encodeProduceRequest(Buffer.from("well meant"));
  return channel.call("/log.v1.Log/Produce", request, decodeProduceResponse, 30_000);
}

/** Polls; the test's own time is the deadline. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function figureOf(name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
  const text = await response.text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
}

/** Until the node has let go of all connections but those of the caller who means well. */
function allGone(): Promise<void> {
  for (const socket of sockets) socket.destroy();
  return until(async () => (await figureOf("cairn_client_connections")) <= 2);
}

/** Every connection of a test is here, and ends with it. */
function kept<S extends Socket | TLSSocket>(socket: S): S {
  socket.on("error", () => undefined);
  sockets.push(socket);
  return socket;
}

function tcp(to = port): Socket {
  return kept(connectTcp(to, "127.0.0.1"));
}

function tls(): TLSSocket {
  const { ca, cert, key } = pems;
  const names = { servername: "", checkServerIdentity: () => undefined, ALPNProtocols: ["h2"] };
  return kept(connectTls({ host: "127.0.0.1", port, ca, cert, key, ...names }));
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve) => socket.once("secureConnect", () => resolve()));
}

/** Its end, however it came about. */
function closed(socket: Socket): Promise<void> {
  if (socket.closed) return Promise.resolve();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** As many at a time as a listening socket's queue takes. */
async function inBatches(count: number, open: () => Promise<void>): Promise<void> {
  for (let done = 0; done < count; done += 50) {
    await Promise.all(Array.from({ length: Math.min(50, count - done) }, open));
  }
}

const SETTINGS = frame("settings", 0, 0);

/** A connection with a certificate that has begun to speak HTTP/2 and reads nothing. */
async function speaking(): Promise<TLSSocket> {
  const socket = tls();
  await secured(socket);
  socket.write(Buffer.concat([PREFACE, SETTINGS]));
  return socket;
}

/** Writes pieces until there are no more, or the other end has closed. */
async function flood(socket: TLSSocket, pieces: Iterable<Buffer>): Promise<void> {
  let wake: () => void = () => undefined;
  socket.on("drain", () => wake());
  socket.once("close", () => wake());
  for (const piece of pieces) {
    if (socket.destroyed) return;
    if (socket.write(piece)) continue;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

function* repeated(times: number, make: (at: number) => Buffer): Generator<Buffer> {
  for (let at = 0; at < times; at += 100) {
    yield Buffer.concat(Array.from({ length: 100 }, (_, more) => make(at + more)));
  }
}

const STREAM_IDS = (at: number) => 2 * at + 1;

describe("an agent serves others while", { timeout: 120_000 }, () => {
  test("a thousand connections lie idle, with a certificate and without a byte", async () => {
    await inBatches(IDLE_TLS, () => secured(tls()));
    await inBatches(IDLE_SILENT, async () => void tcp());
    await wellMeaning.isServed(50);
    const connected = await figureOf("cairn_client_connections");
    expect(connected).toBeGreaterThanOrEqual(IDLE_TLS);
    expect(sockets.slice(0, IDLE_TLS).filter((socket) => socket.destroyed)).toEqual([]);
    await allGone();
  });

  test("more connect than may: those are closed, and the operator is told why", async () => {
    wellMeaning.opensNew = false;
    await wellMeaning.isServed(10);
    const settled: Promise<unknown>[] = [];
    await inBatches(CLIENTS_MAX + 100, async () => {
      const socket = tls();
      const either = Promise.race([secured(socket), closed(socket)]);
      settled.push(either);
      await either;
    });
    await Promise.all(settled);
    await agent.says(new RegExp(`more than ${CLIENTS_MAX} connections of clients`));
    expect(await figureOf("cairn_client_connections")).toBeLessThanOrEqual(CLIENTS_MAX);
    await wellMeaning.isServed(20);
    await allGone();
  });

  test("ends vanish in the middle of a handshake, and are closed for it", async () => {
    const halves = Array.from({ length: 200 }, () => {
      const socket = tcp();
      socket.write(Buffer.from([0x16, 0x03, 0x01, 0x01, 0x00, 0x01]));
      return socket;
    });
    await wellMeaning.isServed(20);
    await Promise.all(halves.map(closed));
  });

  test("ends vanish after it, with calls under way that nobody reads", async () => {
    const deaf = await Promise.all(Array.from({ length: 50 }, speaking));
    for (const socket of deaf) {
      socket.pause();
      socket.write(frame("headers", END_HEADERS, 1, headerBlock("/log.v1.Log/ConsumeStream")));
      // From the beginning on: an empty message.
      socket.write(frame("data", END_STREAM, 1, Buffer.alloc(5)));
    }
    await wellMeaning.isServed(200);
  });

  test("bytes drip into a handshake, an HTTP/2 preface and a REST header", async () => {
    const hello = Buffer.concat([
      Buffer.from([0x16, 0x03, 0x01, 0x01, 0x00]),
      Buffer.alloc(250, 1),
    ]);
    const shaking = Array.from({ length: 20 }, () => tcp());
    const prefaces = Array.from({ length: 20 }, () => tls());
    const { ca, cert, key } = pems;
    const rest = Array.from({ length: 20 }, () => {
      const names = { servername: "", checkServerIdentity: () => undefined };
      return kept(connectTls({ host: "127.0.0.1", port: restPort, ca, cert, key, ...names }));
    });
    for (const socket of rest) socket.resume();
    await Promise.all([...prefaces, ...rest].map(secured));
    let at = 0;
    const dripping = setInterval(() => {
      for (const socket of shaking) if (socket.writable) socket.write(hello.subarray(at, at + 1));
      for (const socket of prefaces) socket.write(PREFACE.subarray(at % 20, (at % 20) + 1));
      for (const socket of rest) if (socket.writable) socket.write("GET / HTTP/1.1\r\n"[at] ?? "x");
      at++;
    }, 100);
    await wellMeaning.isServed(50);
    await Promise.all([...shaking, ...rest].map(closed));
    clearInterval(dripping);
  });

  test("messages, metadata and frames are too long", async () => {
    const channel = new Channel(`127.0.0.1:${port}`, pems);
    const long = encodeProduceRequest(Buffer.alloc(20 * 1024 * 1024));
    const path = "/log.v1.Log/Produce";
    const answer = channel.call(path, long, decodeProduceResponse, 30_000);
    await expect(answer).rejects.toThrow(/larger than max/);
    channel.close();
    const promising = await speaking();
    promising.write(frame("headers", END_HEADERS, 1, headerBlock(path)));
    promising.write(frame("data", 0, 1, Buffer.from([0, 0xff, 0xff, 0xff, 0xff])));
    const framing = await speaking();
    const framed = refused(framing);
    framing.write(frame("data", 0, 1, Buffer.alloc(1024 * 1024)));
    await framed;
    const naming = await speaking();
    const named = refused(naming);
    const field = Buffer.concat([
      Buffer.from([0, 1, 0x61, 0x7f, 0xe1, 0x7f]),
      Buffer.alloc(16_352),
    ]);
    naming.write(frame("headers", 0, 1, headerBlock(path)));
    await flood(
      naming,
      repeated(2000, () => frame("continuation", 0, 1, field)),
    );
    await named;
    await wellMeaning.isServed(20);
  });

  test("streams are opened and reset at once, again and again", async () => {
    const reset = Buffer.from([0, 0, 0, 8]);
    const block = headerBlock("/log.v1.Log/ConsumeStream");
    const attackers = await Promise.all(Array.from({ length: 4 }, speaking));
    const refusals = attackers.map(refused);
    const opened = (at: number) =>
      Buffer.concat([
        frame("headers", END_HEADERS, STREAM_IDS(at), block),
        frame("reset", 0, STREAM_IDS(at), reset),
      ]);
    await Promise.all(attackers.map((socket) => flood(socket, repeated(20_000, opened))));
    await Promise.all(refusals);
    await wellMeaning.isServed(20);
  });

  test("pings and settings come in floods whose answers nobody reads", async () => {
    const ping = frame("ping", 0, 0, Buffer.alloc(8));
    const pinging = await speaking();
    pinging.pause();
    await flood(
      pinging,
      repeated(200_000, () => ping),
    );
    await wellMeaning.isServed(20);
    const setting = await speaking();
    const refusal = refused(setting);
    await flood(
      setting,
      repeated(200_000, () => SETTINGS),
    );
    await refusal;
    await wellMeaning.isServed(20);
  });
});
