// TLS for clients' connections: every one shows a certificate of the cluster's authority, or is
// dropped. Done here and not by grpc-js, for two reasons: a bare TLSSocket would accept any
// authority's certificate, only tls.Server verifies; and grpc-js parses the peer's certificate anew
// at every call, which costs 20 us of its 100, so that it is parsed once a connection here.

import { constants } from "node:crypto";
import type { Duplex } from "node:stream";
import {
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from "node:tls";

/** Contents of PEM files. */
export interface ServerTls {
  readonly cert: Buffer | string;
  readonly key: Buffer | string;
  /** Who may sign clients' certificates. */
  readonly ca: Buffer | string;
}

export interface TlsDoorOptions {
  readonly tls: ServerTls;
  /** A connection that has not shown its certificate after so long is dropped. */
  readonly handshakeMsMax: number;
  /** Gets each verified connection. */
  readonly opened: (socket: TLSSocket) => void;
  /** Hears why another one was dropped. */
  readonly refused: (why: string, remote: string | null) => void;
}

export class TlsDoor {
  readonly #server: Server;

  /** Throws an Error when the certificates are not PEM or do not belong together. */
  constructor({ tls, handshakeMsMax, opened, refused }: TlsDoorOptions) {
    this.#server = createServer({
      ...contextOptions(tls),
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: ["h2"],
      handshakeTimeout: handshakeMsMax,
    });
    this.#server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      const certificate = socket.getPeerCertificate();
      socket.getPeerCertificate = (() => certificate) as TLSSocket["getPeerCertificate"];
      opened(socket);
    });
    this.#server.on("tlsClientError", (error, socket) => {
      refused(`TLS handshake failed: ${whyRefused(error, socket)}`, socket.remoteAddress ?? null);
      socket.destroy();
    });
  }

  /**
   * For connections from now on; those that are open, and handshakes under way, go on as they
   * began. Throws as the constructor does, and then nothing has changed.
   */
  replace(tls: ServerTls): void {
    const options = contextOptions(tls);
    createSecureContext(options);
    this.#server.setSecureContext(options);
  }

  /** Takes a connection that nothing was read from, or that what was read was put back to. */
  take(socket: Duplex): void {
    this.#server.emit("connection", socket);
  }
}

/** What was wrong with the certificate, where that was it: the error only says "hang up". */
export function whyRefused(error: Error, socket: TLSSocket): string {
  // A code such as CERT_HAS_EXPIRED, whatever the types say.
  const verdict: unknown = socket.authorizationError;
  return typeof verdict === "string" && verdict !== "" ? verdict : error.message;
}

/**
 * Without tickets: a resumed session would be a connection whose certificate nobody looked at since
 * it expired or its authority was dropped.
 */
export function contextOptions({ ca, cert, key }: ServerTls): SecureContextOptions {
  const secureOptions = constants.SSL_OP_NO_TICKET;
  return { ca, cert, key, minVersion: "TLSv1.2", secureOptions };
}
