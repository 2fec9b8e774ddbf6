// Servers for tests: the real gRPC adapter behind a real socket on loopback, over a node in memory.

import { createServer, type Server, type Socket } from "node:net";
import { GrpcServer, type GrpcServerOptions } from "../../src/adapters/grpc-server.ts";
import { GZIP_PACKING } from "../../src/adapters/gzip-packing.ts";
import type { Instant, NodeId, WallMs } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";
import type { Authorizer } from "../../src/ports/authorizer.ts";
import {
  DEFAULT_LOG_SERVICE_OPTIONS,
  LogService,
  type LogServiceOptions,
} from "../../src/service/log-service.ts";
import { type MemoryCluster, MemoryNode } from "./memory-node.ts";

export interface TestServerOptions {
  readonly service?: Partial<LogServiceOptions>;
  readonly grpc?: Partial<GrpcServerOptions>;
  readonly authorizer?: Authorizer;
}

const EVERYBODY: Authorizer = { allows: () => true };

/** One server of a test. Without TLS everybody is "root" and may do everything. */
export class TestServer {
  readonly name: string;
  readonly node: MemoryNode;
  readonly service: LogService;
  readonly grpc: GrpcServer;
  /** All that was told, in order. */
  readonly notices: Notice[] = [];
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  readonly address: string;

  private constructor(
    name: string,
    cluster: MemoryCluster,
    options: TestServerOptions,
    listener: Server,
  ) {
    this.name = name;
    const clock = {
      now: () => Math.round(performance.now() * 1000) as Instant,
      wall: () => Date.now() as WallMs,
    };
    const serviceOptions = {
      ...DEFAULT_LOG_SERVICE_OPTIONS,
      anonymousSubject: "root",
      ...options.service,
    };
    const telemetry = { notice: (notice: Notice) => void this.notices.push(notice) };
    const authorizer = options.authorizer ?? EVERYBODY;
    const ports = { authorizer, clock, packing: GZIP_PACKING, telemetry };
    this.service = new LogService(serviceOptions, ports);
    this.node = new MemoryNode(cluster, name, this.service);
    this.service.attach(this.node);
    this.grpc = new GrpcServer(this.service, {
      tls: null,
      messageBytesMax: 8 * 1024 * 1024,
      connectionsMax: 100,
      callsMax: 1000,
      handshakeMsMax: 10_000,
      idleMsMax: 600_000,
      ageMsMax: 0,
      unreadBytesMax: 64 * 1024 * 1024,
      telemetry,
      ...options.grpc,
    });
    this.#listener = listener;
    listener.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      this.grpc.inject(socket);
    });
    const port = (listener.address() as { port: number }).port;
    this.address = `127.0.0.1:${port}`;
    cluster.members.push({ id: name as NodeId, address: this.address });
    cluster.leader ??= name as NodeId;
  }

  /** Why connections were dropped. */
  get refused(): unknown[] {
    return this.notices
      .filter(({ what }) => what === "client-connection-refused")
      .map(({ facts }) => facts["why"]);
  }

  /** The first server of a cluster leads. */
  static async start(
    name: string,
    cluster: MemoryCluster,
    options: TestServerOptions = {},
  ): Promise<TestServer> {
    const listener = createServer({ noDelay: true });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    return new TestServer(name, cluster, options, listener);
  }

  /** Breaks all connections as a crash would; new ones are taken. */
  breakConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Dies: no connection is taken any more. */
  async kill(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    this.breakConnections();
    await closed;
    await this.grpc.close(0);
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    await this.grpc.close(1000);
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
