// The services that every gRPC server is expected to have, from the libraries that define them:
// health for probes and balancers, reflection for tools such as grpcurl. Owns when a node is ready
// and when it is alive; who may ask is in the access table.

import { fileURLToPath } from "node:url";
import type { Server } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";

import type { NodeStatus } from "../base/client.ts";

/** What a probe may name; "" is the whole server. */
const READY_SERVICES = ["", "log.v1.Log", "cairn.v1.Log", "cairn.v1.Admin"] as const;
export const LIVENESS_SERVICE = "liveness";

const LOOK_EVERY_MS = 250;
const PROTO_FILES = ["log/v1/log.proto", "cairn/v1/log.proto", "cairn/v1/admin.proto"];

/** What they serve; a row of the access table each. */
export const STANDARD_PATHS = [
  "/grpc.health.v1.Health/Check",
  "/grpc.health.v1.Health/Watch",
  "/grpc.health.v1.Health/List",
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
] as const;

type Condition = Pick<NodeStatus, "state" | "leader">;

/** Ready: it serves and knows who leads, so that a call here is answered or sent to the leader. */
export function isReady({ state, leader }: Condition): boolean {
  return state === "serving" && leader !== null;
}

/** Not alive: it will not serve again before it is started anew. */
export function isAlive({ state }: Pick<NodeStatus, "state">): boolean {
  return state !== "poisoned" && state !== "stopped" && state !== "refused";
}

export class StandardServices {
  readonly #health = new HealthImplementation();
  readonly #status: () => Condition | null;
  readonly #looking: NodeJS.Timeout;

  /** Adds them to the server. */
  constructor(server: Server, status: () => Condition | null) {
    this.#status = status;
    this.#health.addToServer(server);
    new ReflectionService(ourPackage()).addToServer(server);
    this.look();
    this.#looking = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.#looking.unref();
  }

  /** Tells watchers what has changed since the last look. */
  look(): void {
    const status = this.#status() ?? { state: "opening", leader: null };
    const ready = isReady(status) ? "SERVING" : "NOT_SERVING";
    for (const service of READY_SERVICES) this.#health.setStatus(service, ready);
    this.#health.setStatus(LIVENESS_SERVICE, isAlive(status) ? "SERVING" : "NOT_SERVING");
  }

  close(): void {
    clearInterval(this.#looking);
  }
}

/** The package's own .proto files: two folders up from the sources, three from what is built. */
function ourPackage(): ReturnType<typeof loadSync> {
  const includeDirs = ["../../proto/", "../../../proto/"].map((up) =>
    fileURLToPath(new URL(up, import.meta.url)),
  );
  return loadSync(PROTO_FILES, { includeDirs });
}
