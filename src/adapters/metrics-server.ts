// A small HTTP server for those who look after a node: /metrics for Prometheus, /livez and /readyz
// for probes. Plaintext and without access rules, so off by default and best on loopback or a
// private network; it tells figures and nothing of what is in the log. Owns no figure.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface MetricsServerOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** The text for Prometheus, brought up to date. */
  readonly metrics: () => Promise<string>;
  /** As grpc.health.v1 says it of "" and of "liveness". */
  readonly isReady: () => boolean;
  readonly isAlive: () => boolean;
}

const CONNECTIONS_MAX = 32;
const REQUEST_MS_MAX = 5_000;
const HEADER_BYTES_MAX = 8 * 1024;
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export class MetricsServer {
  readonly #options: MetricsServerOptions;
  readonly #server: Server;

  constructor(options: MetricsServerOptions) {
    this.#options = options;
    this.#server = createServer({
      headersTimeout: REQUEST_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      maxHeaderSize: HEADER_BYTES_MAX,
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
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

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== "GET" && request.method !== "HEAD") {
      answer(response, 405, "only GET is answered here\n");
      return;
    }
    const path = (request.url ?? "").split("?")[0];
    if (path === "/metrics") answer(response, 200, await this.#options.metrics(), METRICS_TYPE);
    else if (path === "/readyz") this.#probe(response, this.#options.isReady(), "ready");
    else if (path === "/livez") this.#probe(response, this.#options.isAlive(), "alive");
    else answer(response, 404, "there are /metrics, /readyz and /livez\n");
  }

  #probe(response: ServerResponse, isSo: boolean, what: string): void {
    answer(response, isSo ? 200 : 503, isSo ? `${what}\n` : `not ${what}\n`);
  }
}

function answer(response: ServerResponse, status: number, text: string, type = "text/plain"): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) });
  response.end(text);
}
