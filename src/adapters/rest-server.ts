// The REST endpoints of the book's first chapter over node:http, on a port of their own and off by
// default: TLS, access, limits and answers as on the gRPC port. Owns connections, bodies and their
// bounds, back-pressure and draining; texts are rest-requests.ts, decisions the service's.

import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer as createPlainServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { createSecureContext, type TLSSocket, Server as TlsServer } from "node:tls";
import { assert } from "../base/assert.ts";
import type { Fault } from "../base/faults.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { Caller, type CallOrigin } from "../service/caller.ts";
import { httpAnswerOf } from "../service/http-status.ts";
import type { ConsumeSink, LogService } from "../service/log-service.ts";
import type { ConsumedRecord } from "../service/records.ts";
import { requestIdOf } from "./grpc-gate.ts";
import { REQUEST_ID } from "./grpc-status.ts";
import { Refusals } from "./refusals.ts";
import {
  consumeBodyOf,
  jsonOfRecord,
  numberOf,
  produceBodyOf,
  type RestRequest,
  recordsQueryOf,
  routeOf,
} from "./rest-requests.ts";
import { subjectOf } from "./subject.ts";
import { contextOptions, type ServerTls, whyRefused } from "./tls-door.ts";

export interface RestServerOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** Null: plaintext; the service decides whom it serves then. */
  readonly tls: ServerTls | null;
  /** One request's body. */
  readonly bodyBytesMax: number;
  /** All bodies that are being read. */
  readonly bodiesBytesMax: number;
  readonly connectionsMax: number;
  readonly handshakeMsMax: number;
  /** A request, head and body, must have come after so long. */
  readonly requestMsMax: number;
  /** A connection is closed after the answer when it is so old; 0: never. */
  readonly ageMsMax: number;
  /** Hears of connections that were dropped before any request. */
  readonly telemetry: Telemetry;
}

/** A connection may wait so long for its next request. */
const KEEP_ALIVE_MS = 30_000;
const HEADER_BYTES_MAX = 16 * 1024;
const LOOK_EVERY_MS = 20;
const BUSY_RETRY_MS = 50;

export class RestServer {
  readonly #service: LogService;
  readonly #options: RestServerOptions;
  readonly #refusals: Refusals;
  readonly #server: Server;
  /** When each connection made its first request, by performance.now(). */
  readonly #begunMs = new WeakMap<Socket, number>();
  #bodyBytes = 0;
  #underWay = 0;
  #isClosing = false;

  constructor(service: LogService, options: RestServerOptions) {
    this.#service = service;
    this.#options = options;
    this.#refusals = new Refusals(options.telemetry);
    this.#server = this.#create();
    this.#server.maxConnections = options.connectionsMax;
    this.#server.on("drop", (data) => {
      const why = `more than ${options.connectionsMax} connections of REST clients`;
      this.#refuse(why, data?.remoteAddress ?? null);
    });
    this.#server.on("tlsClientError", (error: Error, socket: TLSSocket) => {
      this.#refuse(`TLS handshake failed: ${whyRefused(error, socket)}`, remoteOf(socket));
      socket.destroy();
    });
    this.#server.on("clientError", (_error, socket) => {
      // Not HTTP, too slow or too long a head: there is nobody to speak JSON to.
      if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
      else socket.destroy();
    });
    this.#server.on("request", (request, response) => void this.#serve(request, response));
  }

  /** Resolves with the port; rejects with an Error for the operator when it cannot listen. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => {
        reject(new Error(`cannot listen on ${host}:${port}: ${error.message}`, { cause: error }));
      });
      this.#server.listen({ host, port }, () => {
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** For connections from now on. Throws an Error, and keeps the old ones, when they do not fit. */
  replaceCertificates(tls: ServerTls): void {
    assert(this.#server instanceof TlsServer, "a plaintext server has no certificates to replace");
    const options = contextOptions(tls);
    createSecureContext(options);
    this.#server.setSecureContext(options);
  }

  /**
   * Takes no further connections, lets requests under way finish for up to `graceMs`, then ends
   * what is left. New requests are refused by the service, which closes first.
   */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    this.#server.close();
    this.#server.closeIdleConnections();
    const endMs = performance.now() + graceMs;
    while (this.#underWay > 0 && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    this.#server.closeAllConnections();
  }

  #create(): Server {
    const { tls, handshakeMsMax, requestMsMax } = this.#options;
    const http = {
      headersTimeout: requestMsMax,
      requestTimeout: requestMsMax,
      connectionsCheckingInterval: Math.max(100, Math.floor(requestMsMax / 4)),
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
      noDelay: true,
    };
    if (tls === null) return createPlainServer(http);
    const proof = { requestCert: true, rejectUnauthorized: true, handshakeTimeout: handshakeMsMax };
    return createTlsServer({ ...http, ...proof, ...contextOptions(tls) });
  }

  #isOld(socket: Socket): boolean {
    const { ageMsMax } = this.#options;
    const nowMs = performance.now();
    const begunMs = this.#begunMs.get(socket);
    if (begunMs === undefined) this.#begunMs.set(socket, nowMs);
    return ageMsMax > 0 && nowMs - (begunMs ?? nowMs) >= ageMsMax;
  }

  #refuse(why: string, remote: string | null): void {
    this.#refusals.tell("client-connection-refused", { remote, why });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#underWay++;
    response.once("close", () => this.#underWay--);
    // A broken pipe is followed by "close", where the caller is taken to have left.
    response.on("error", () => undefined);
    request.on("error", () => undefined);
    const requestId = requestIdOf(textOf(request.headers[REQUEST_ID]));
    response.setHeader(REQUEST_ID, requestId);
    if (this.#isClosing || this.#isOld(request.socket)) response.setHeader("connection", "close");
    const parsed = routeOf(request.method ?? "", request.url ?? "");
    if (parsed === null) {
      answerNothing(request, response);
      return;
    }
    const caller = callerOf(request, parsed.route, requestId);
    response.once("close", () => caller.leave());
    const fault =
      this.#service.refusal(caller, parsed.route) ??
      (await this.#perform(caller, parsed, request, response));
    if (fault !== null) answerFault(request, response, fault);
  }

  async #perform(
    caller: Caller,
    parsed: RestRequest,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<Fault | null> {
    switch (parsed.route) {
      case "POST /": {
        const value = await this.#read(request, produceBodyOf);
        if (isFault(value)) return value;
        const answer = await this.#service.produce(caller, value);
        if (answer.kind === "fault") return answer.fault;
        answerJson(response, `{"offset":${answer.offset}}`);
        return null;
      }
      case "GET /": {
        const offset = await this.#read(request, consumeBodyOf);
        return isFault(offset) ? offset : this.#consume(caller, offset, response);
      }
      case "GET /records/{offset}": {
        const offset = numberOf("offset", parsed.offset);
        return isFault(offset) ? offset : this.#consume(caller, offset, response);
      }
      case "GET /records": {
        const query = recordsQueryOf(parsed.query);
        if (isFault(query)) return query;
        const lines = new RecordLines(response);
        const { from, limit } = query;
        const fault = await this.#service.consumeSome(caller, from, limit, lines);
        if (fault === null) lines.end();
        return fault;
      }
    }
  }

  async #consume(caller: Caller, offset: number, response: ServerResponse): Promise<Fault | null> {
    const answer = await this.#service.consume(caller, offset);
    if (answer.kind === "fault") return answer.fault;
    answerJson(response, `{"record":${jsonOfRecord(answer.record)}}`);
    return null;
  }

  /** The body, within its bounds, as what it means. */
  async #read<Meaning>(
    request: IncomingMessage,
    meaningOf: (body: Buffer) => Meaning | Fault,
  ): Promise<Meaning | Fault> {
    const { bodyBytesMax, bodiesBytesMax } = this.#options;
    const parts: Buffer[] = [];
    let length = 0;
    try {
      // Not destroyed when this returns early: the answer goes out over the same socket.
      for await (const part of request.iterator({ destroyOnReturn: false })) {
        length += part.length;
        this.#bodyBytes += part.length;
        if (length > bodyBytesMax) {
          return { code: "record-too-large", bytes: length, bytesMax: bodyBytesMax };
        }
        if (this.#bodyBytes > bodiesBytesMax) {
          return { code: "overloaded", what: "bytes of bodies", retryAfterMs: BUSY_RETRY_MS };
        }
        parts.push(part);
      }
      return meaningOf(Buffer.concat(parts, length));
    } catch {
      return { code: "cancelled" };
    } finally {
      this.#bodyBytes -= length;
    }
  }
}

function isFault(value: unknown): value is Fault {
  return typeof value === "object" && value !== null && "code" in value;
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === "string" ? header : undefined;
}

function remoteOf(socket: Socket): string | null {
  return socket.remoteAddress ?? null;
}

/** Certificates by connection: Node parses one anew at each look. */
const certificates = new WeakMap<Socket, ReturnType<TLSSocket["getPeerCertificate"]>>();

function callerOf({ socket }: IncomingMessage, method: string, requestId: string): Caller {
  const isSecure = "getPeerCertificate" in socket;
  let certificate = certificates.get(socket);
  if (isSecure && certificate === undefined) {
    certificate = (socket as TLSSocket).getPeerCertificate();
    certificates.set(socket, certificate);
  }
  const peer = `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? "?"}`;
  const origin: CallOrigin = { method, peer, requestId, isSecure, span: null };
  return new Caller(subjectOf(certificate), origin);
}

function answerJson(response: ServerResponse, body: string): void {
  response.setHeader("content-type", "application/json");
  response.end(`${body}\n`);
}

function answerFault(request: IncomingMessage, response: ServerResponse, fault: Fault): void {
  if (response.destroyed) return;
  const { status, error } = httpAnswerOf(fault);
  const body = JSON.stringify({ error });
  if (response.headersSent) {
    // In the middle of the lines: the last one says why they end.
    response.end(`${body}\n`);
    return;
  }
  response.statusCode = status;
  if (error.retryAfterMs !== undefined) {
    response.setHeader("retry-after", Math.ceil(error.retryAfterMs / 1000));
  }
  discardBody(request, response);
  answerJson(response, body);
}

/** What was not read of a body would else be taken for the next request. */
function discardBody(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete) return;
  response.setHeader("connection", "close");
  request.resume();
}

function answerNothing(request: IncomingMessage, response: ServerResponse): void {
  const isKnown = routeOf("GET", request.url ?? "") !== null;
  response.statusCode = isKnown ? 405 : 404;
  if (isKnown) response.setHeader("allow", request.url === "/" ? "GET, POST" : "GET");
  discardBody(request, response);
  const message = isKnown ? "no such method here" : "no such path";
  answerJson(response, JSON.stringify({ error: { code: 12, reason: "UNIMPLEMENTED", message } }));
}

/** Records as lines of JSON, no faster than they are read. */
class RecordLines implements ConsumeSink {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  write(records: readonly ConsumedRecord[]): Promise<void> | null {
    this.#begin();
    const text = records.map((record) => `${jsonOfRecord(record)}\n`).join("");
    if (this.#response.write(text) || this.#response.destroyed) return null;
    return new Promise((resolve) => {
      const go = () => {
        this.#response.off("drain", go);
        this.#response.off("close", go);
        resolve();
      };
      this.#response.on("drain", go);
      this.#response.on("close", go);
    });
  }

  end(): void {
    this.#begin();
    this.#response.end();
  }

  #begin(): void {
    if (!this.#response.headersSent) {
      this.#response.setHeader("content-type", "application/x-ndjson");
    }
  }
}
