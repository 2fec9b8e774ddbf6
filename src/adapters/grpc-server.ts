// The gRPC server: connections in, one service behind them. It never listens: the one port hands it
// each connection that is not a peer's. Owns connections, bounds and draining; methods are
// elsewhere.

import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type ConnectionInjector, Server, ServerCredentials } from "@grpc/grpc-js";
import { assert } from "../base/assert.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { LogService } from "../service/log-service.ts";
import { guardOf, serveMethods } from "./grpc-gate.ts";
import { adminV1Methods, cairnV1Methods, logV1Methods } from "./grpc-methods.ts";
import { STANDARD_PATHS, StandardServices } from "./grpc-standard.ts";
import { type CallWatcher, watchCalls } from "./grpc-watch.ts";
import { Refusals } from "./refusals.ts";
import { type ServerTls, TlsDoor } from "./tls-door.ts";
import { UnreadAnswers } from "./unread-answers.ts";

export interface GrpcServerOptions {
  /** Null: plaintext, for development; the service decides whom it serves then. */
  readonly tls: ServerTls | null;
  /** One request message; larger ones are refused with RESOURCE_EXHAUSTED before they are read. */
  readonly messageBytesMax: number;
  readonly connectionsMax: number;
  /** Calls under way on one connection. */
  readonly callsMax: number;
  /** Answers of one connection that it has not read; further ones are refused. */
  readonly unreadBytesMax: number;
  /** A connection that has not shown its certificate after so long is dropped. */
  readonly handshakeMsMax: number;
  /** A connection without a call is told to go away after so long. */
  readonly idleMsMax: number;
  /**
   * A connection is told to go away when it is so old, so that its certificate is looked at again;
   * its streams get a moment more. 0: never.
   */
  readonly ageMsMax: number;
  /** A connection that is silent for so long is pinged; none for the standard. */
  readonly keepaliveMs?: number;
  /** And closed when the answer takes longer; none for the standard. */
  readonly keepaliveAnswerMs?: number;
  /** Hears of connections that were dropped before any call. */
  readonly telemetry: Telemetry;
  /** Consumed records in field 1, too, where Loghouse's clients look for them; false. */
  readonly forLoghouse?: boolean;
  /** Who watches calls; nobody when absent. */
  readonly watchers?: readonly CallWatcher[];
}

/** Every streaming consumer is silent for as long as nobody appends: pings find the dead ones. */
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_ANSWER_MS = 10_000;
/** What calls under way get once their connection is too old. */
const AGE_GRACE_MS = 5_000;
const EXPIRE_EVERY_MS = 100;
/** No call for so many looks in a row: every answer had time to leave. */
const QUIET_LOOKS = 6;
const LOOK_EVERY_MS = 50;

export class GrpcServer {
  /** Every path that is served. */
  readonly methods: readonly string[];
  readonly #service: LogService;
  readonly #options: GrpcServerOptions;
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  readonly #door: TlsDoor | null;
  readonly #refusals: Refusals;
  readonly #standard: StandardServices;
  readonly #unread: UnreadAnswers;
  readonly #connections = new Set<Duplex>();
  readonly #expiring: NodeJS.Timeout;
  #isClosed = false;

  constructor(service: LogService, options: GrpcServerOptions) {
    this.#service = service;
    this.#options = options;
    this.#server = new Server({
      "grpc.max_receive_message_length": options.messageBytesMax,
      "grpc.max_send_message_length": -1,
      "grpc.max_concurrent_streams": options.callsMax,
      "grpc.keepalive_time_ms": options.keepaliveMs ?? KEEPALIVE_MS,
      "grpc.keepalive_timeout_ms": options.keepaliveAnswerMs ?? KEEPALIVE_ANSWER_MS,
      "grpc.max_connection_idle_ms": options.idleMsMax,
      ...(options.ageMsMax === 0
        ? {}
        : {
            "grpc.max_connection_age_ms": options.ageMsMax,
            "grpc.max_connection_age_grace_ms": AGE_GRACE_MS,
          }),
      "grpc.enable_channelz": 0,
      interceptors: [watchCalls(options.watchers ?? [], guardOf(service, STANDARD_PATHS))],
    });
    this.#unread = new UnreadAnswers(options.unreadBytesMax);
    const methods = {
      ...logV1Methods(service, this.#unread, options.forLoghouse ?? false),
      ...cairnV1Methods(service, this.#unread),
      ...adminV1Methods(service),
    };
    serveMethods(this.#server, service, methods);
    this.#standard = new StandardServices(this.#server, () => service.status());
    this.methods = [...Object.keys(methods), ...STANDARD_PATHS];
    // "Insecure" to grpc-js: the door has done TLS, and getAuthContext sees its sockets all the
    // same.
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    const { tls, handshakeMsMax } = options;
    const opened = (socket: Duplex) => this.#injector.injectConnection(socket);
    const refused = (why: string, remote: string | null) => this.#refuse(why, remote);
    this.#refusals = new Refusals(options.telemetry);
    this.#door = tls === null ? null : new TlsDoor({ tls, handshakeMsMax, opened, refused });
    this.#expiring = setInterval(() => service.expire(), EXPIRE_EVERY_MS);
    this.#expiring.unref();
  }

  /** Connections that are open, those still shaking hands among them. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Bytes of unary answers that have not left, of all connections. */
  get unreadBytes(): number {
    return this.#unread.bytes;
  }

  /** For connections from now on. Throws an Error, and keeps the old ones, when they do not fit. */
  replaceCertificates(tls: ServerTls): void {
    assert(this.#door !== null, "a plaintext server has no certificates to replace");
    this.#door.replace(tls);
  }

  /** Takes a connection; what was read from it to look at must have been put back (`unshift`). */
  inject(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    const { connectionsMax } = this.#options;
    if (this.#isClosed || this.#connections.size >= connectionsMax) {
      const why = `more than ${connectionsMax} connections of clients`;
      if (!this.#isClosed) this.#refuse(why, socket.remoteAddress ?? null);
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    socket.once("close", () => this.#connections.delete(socket));
    if (this.#door === null) this.#injector.injectConnection(socket);
    else this.#door.take(socket);
  }

  #refuse(why: string, remote: string | null): void {
    this.#refusals.tell("client-connection-refused", { remote, why });
  }

  /**
   * Refuses new connections and requests, ends the consume streams, lets calls under way finish for
   * up to `graceMs`, then destroys what is left. A connection that lingers without a call is not
   * waited for: a client that went away without a word would cost the whole grace.
   */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    this.#service.close();
    await new Promise<void>((resolve) => {
      let quietLooks = 0;
      const looking = setInterval(() => {
        quietLooks = this.#service.inFlight === 0 ? quietLooks + 1 : 0;
        if (quietLooks >= QUIET_LOOKS) done();
      }, LOOK_EVERY_MS);
      const patience = setTimeout(() => done(), graceMs);
      const done = () => {
        clearInterval(looking);
        clearTimeout(patience);
        resolve();
      };
      this.#server.tryShutdown(done);
    });
    clearInterval(this.#expiring);
    this.#standard.close();
    this.#server.forceShutdown();
    for (const socket of this.#connections) socket.destroy();
  }
}
