// What clients of an agent meet: the gRPC server behind the one port, and the REST server on a port
// of its own where there is one. Owns their making, their certificates and their common end; what
// they serve is the service's.

import type { Socket } from "node:net";

import { GrpcServer } from "../adapters/grpc-server.ts";
import type { CallWatcher } from "../adapters/grpc-watch.ts";
import { RestServer } from "../adapters/rest-server.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { LogService } from "../service/log-service.ts";
import type { CertificateUser } from "./agent-security.ts";
import type { AgentConfig } from "./config.ts";
import { CommandError, describeError } from "./exit.ts";
import { grpcBoundsOf, restBoundsOf } from "./node-options.ts";
import type { TlsPems } from "./tls-files.ts";

export interface FrontParts {
  readonly tls: TlsPems | null;
  readonly telemetry: Telemetry;
  /** Who watches gRPC calls. */
  readonly watchers: readonly CallWatcher[];
}

export class ClientFronts implements CertificateUser {
  readonly #config: AgentConfig;
  readonly #telemetry: Telemetry;
  readonly #grpc: GrpcServer;
  readonly #rest: RestServer | null;

  constructor(config: AgentConfig, service: LogService, parts: FrontParts) {
    const { tls, telemetry } = parts;
    this.#config = config;
    this.#telemetry = telemetry;
    const { forLoghouse } = config;
    this.#grpc = new GrpcServer(service, { ...grpcBoundsOf(config), ...parts, forLoghouse });
    const { rest } = config;
    this.#rest =
      rest === null
        ? null
        : new RestServer(service, { ...restBoundsOf(config), ...rest, tls, telemetry });
  }

  get connections(): number {
    return this.#grpc.connections;
  }

  get unreadBytes(): number {
    return this.#grpc.unreadBytes;
  }

  /** Takes a connection of the one port that is not a peer's. */
  inject(socket: Socket): void {
    this.#grpc.inject(socket);
  }

  /** Listens where there is REST; throws CommandError when it cannot. */
  async listen(): Promise<void> {
    const { rest } = this.#config;
    if (this.#rest === null || rest === null) return;
    try {
      await this.#rest.listen();
    } catch (error) {
      throw new CommandError(`rest-addr: ${describeError(error)}`);
    }
    const facts = { address: `${rest.host}:${rest.port}` };
    this.#telemetry.notice({ level: "info", what: "listening-for-rest", facts });
  }

  replaceCertificates(pems: TlsPems): void {
    this.#grpc.replaceCertificates(pems);
    this.#rest?.replaceCertificates(pems);
  }

  /** Refuses what is new, lets calls under way finish for up to `graceMs`, ends what is left. */
  async close(graceMs: number): Promise<void> {
    await Promise.all([this.#grpc.close(graceMs), this.#rest?.close(graceMs)]);
  }
}
