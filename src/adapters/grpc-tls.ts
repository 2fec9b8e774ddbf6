// TLS for clients' connections: every one shows a certificate of the cluster's authority, or is
// dropped. Done here and not by grpc-js, for two reasons: a bare TLSSocket would accept any
// authority's certificate, only tls.Server verifies; and grpc-js parses the peer's certificate anew
// at every call, which costs 20 us of its 100, so that it is parsed once a connection here.

import type { Duplex } from "node:stream";
import { createServer, type Server, type TLSSocket } from "node:tls";

/** Contents of PEM files. */
export interface ServerTls {
  readonly cert: Buffer | string;
  readonly key: Buffer | string;
  /** Who may sign clients' certificates. */
  readonly ca: Buffer | string;
}

const HANDSHAKE_MS_MAX = 10_000;

export class TlsDoor {
  readonly #server: Server;

  /** `opened` gets each verified connection; `refused` hears why another was dropped. */
  constructor(tls: ServerTls, opened: (socket: TLSSocket) => void, refused: (why: string) => void) {
    this.#server = createServer({
      ...tls,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["h2"],
      handshakeTimeout: HANDSHAKE_MS_MAX,
    });
    this.#server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      const certificate = socket.getPeerCertificate();
      socket.getPeerCertificate = (() => certificate) as TLSSocket["getPeerCertificate"];
      opened(socket);
    });
    this.#server.on("tlsClientError", (error, socket) => {
      refused(`TLS handshake failed: ${error.message}`);
      socket.destroy();
    });
  }

  /** Takes a connection that nothing was read from, or that what was read was put back to. */
  take(socket: Duplex): void {
    this.#server.emit("connection", socket);
  }
}
