// The Network port over TCP, with TLS where certificates are given: dialing and accepting peer
// links. Owns connections until they are links (peer-link.ts), their time-outs and bounds, and the
// sign of life. Whom to dial, and whether an identity may speak for a member, is decided in
// src/node/links.ts.
//
// A connection begins with the byte 0x01, before TLS, by which port-mux.ts tells it from gRPC. Both
// ends must show a certificate of the configured authority. On the accepting side that is verified
// by a tls.Server that never listens: a bare TLSSocket would take a certificate of any authority.

import { connect, type Socket } from "node:net";
import {
  connect as connectTls,
  createSecureContext,
  createServer,
  type SecureContext,
  type Server,
  type TLSSocket,
} from "node:tls";

import { splitHostPort } from "../base/address.ts";
import { assert } from "../base/assert.ts";
import type { LinkId, NodeId } from "../base/ids.ts";
import type { Lane, Network, NetworkInbox } from "../ports/network.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { identityOf } from "./peer-identity.ts";
import { type LinkLimits, PeerLink } from "./peer-link.ts";
import { Refusals } from "./refusals.ts";
import { contextOptions, whyRefused } from "./tls-door.ts";

/** The first byte of a peer's connection. gRPC begins with 0x16 (TLS) or "P" (HTTP/2). */
export const PEER_BYTE = 0x01;

/** PEM texts: the authority for both directions, and what this node shows. */
export interface PeerCertificates {
  readonly ca: string | Buffer;
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

export interface PeerLinksOptions extends LinkLimits {
  /** Null: plaintext, and every identity is null. */
  readonly certificates: PeerCertificates | null;
  readonly telemetry: Telemetry;
  /** For TCP and TLS together. */
  readonly dialMsMax?: number;
  /** For the TLS of an accepted connection. */
  readonly handshakeMsMax?: number;
  /** Accepted connections, counted from their first byte on. */
  readonly acceptedMax?: number;
  /** A dialed link gives a sign of life this often. */
  readonly signOfLifeMs?: number;
  /** A link that heard nothing for so long is closed. */
  readonly silenceMsMax?: number;
}

const DEFAULTS = {
  dialMsMax: 4000,
  handshakeMsMax: 5000,
  acceptedMax: 256,
  signOfLifeMs: 1000,
  silenceMsMax: 5000,
};

/** TCP's own probes, for links that are held back and so give no sign of life. */
const KEEP_ALIVE_MS = 15_000;

interface Dialing {
  readonly link: LinkId;
  readonly socket: Socket;
  readonly timer: NodeJS.Timeout;
}

interface Handshake {
  readonly socket: Socket;
  /** What is told when it ends here. */
  why: string;
}

export class PeerLinks implements Network {
  readonly #options: Required<PeerLinksOptions>;
  readonly #refusals: Refusals;
  readonly #dialing = new Map<LinkId, Dialing>();
  readonly #links = new Map<LinkId, PeerLink>();
  /** Sockets handed in, until they close. */
  readonly #accepted = new Set<Socket>();
  /** Connections whose TLS is not done, by their remote end, oldest first. */
  readonly #handshakes = new Map<string, Handshake>();
  readonly #tlsServer: Server | null;
  #dialContext: SecureContext | null = null;
  readonly #pulse: NodeJS.Timeout;
  #pulseMs: number;
  #inbox: NetworkInbox | null = null;
  #isClosed = false;

  /** Throws an Error when the certificates are not PEM or do not belong together. */
  constructor(options: PeerLinksOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#refusals = new Refusals(options.telemetry);
    this.#tlsServer = options.certificates === null ? null : this.#serveTls(options.certificates);
    this.#pulseMs = performance.now();
    this.#pulse = setInterval(() => this.#beat(), this.#options.signOfLifeMs);
    this.#pulse.unref();
  }

  attach(inbox: NetworkInbox): void {
    assert(this.#inbox === null, "a network has one inbox");
    this.#inbox = inbox;
  }

  /** For connections from now on; open links stay as they are. Throws as the constructor does. */
  replaceCertificates(certificates: PeerCertificates): void {
    assert(this.#tlsServer !== null, "plaintext links have no certificates to replace");
    const context = contextOptions(certificates);
    this.#dialContext = createSecureContext(context);
    this.#tlsServer.setSecureContext(context);
  }

  dial(link: LinkId, _peer: NodeId, address: string, _lane: Lane): void {
    assert(!this.#dialing.has(link) && !this.#links.has(link), "a link id is used once", link);
    if (this.#isClosed) return;
    const target = parseAddress(address);
    if (target === null) {
      const why = `${address} is no address: expected host:port`;
      setImmediate(() => this.#listening().linkClosed(link, why));
      return;
    }
    const socket = connect({
      ...target,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    const { dialMsMax } = this.#options;
    const slow = `no connection to ${address} within ${dialMsMax} ms`;
    const timer = setTimeout(() => this.#giveUp(dialing, slow), dialMsMax);
    const dialing: Dialing = { link, socket, timer };
    this.#dialing.set(link, dialing);
    socket.on("error", (error) => this.#giveUp(dialing, error.message));
    socket.on("close", () => this.#giveUp(dialing, `${address} closed the connection`));
    socket.once("connect", () => this.#greet(dialing, address));
  }

  send(link: LinkId, parts: readonly Uint8Array[]): boolean {
    return this.#links.get(link)?.send(parts) ?? false;
  }

  /** Bytes that wait to leave on a link. */
  unsentBytes(link: LinkId): number {
    return this.#links.get(link)?.unsentBytes ?? 0;
  }

  close(link: LinkId, _why: string): void {
    const dialing = this.#dialing.get(link);
    if (dialing !== undefined) {
      this.#forgetDialing(dialing);
      dialing.socket.destroy();
    }
    const open = this.#links.get(link);
    if (open !== undefined) {
      this.#links.delete(link);
      open.close();
    }
  }

  /** Takes over a connection whose first byte, PEER_BYTE, was read. */
  accept(socket: Socket): void {
    // A TLS socket over it reports the errors that matter; without a listener this one would throw.
    socket.on("error", () => undefined);
    const remote = remoteOf(socket);
    if (this.#isClosed || !this.#makeRoom()) {
      socket.destroy();
      const why = `more than ${this.#options.acceptedMax} peer connections`;
      if (!this.#isClosed) this.#refusals.tell("peer-connection-refused", { remote, why });
      return;
    }
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#accepted.add(socket);
    socket.on("close", () => this.#accepted.delete(socket));
    if (this.#tlsServer === null) {
      this.#open(this.#listening().nextLinkId(), socket, false, null);
    } else {
      const why = "the connection ended before its certificate was accepted";
      this.#handshakes.set(remote, { socket, why });
      socket.on("close", () => this.#tellUnlessSecured(remote));
      this.#tlsServer.emit("connection", socket);
    }
  }

  /** Ends all connections at once; nobody hears of it. */
  closeAll(): void {
    this.#isClosed = true;
    clearInterval(this.#pulse);
    for (const dialing of [...this.#dialing.values()]) {
      this.#forgetDialing(dialing);
      dialing.socket.destroy();
    }
    for (const link of this.#links.values()) link.destroy();
    this.#links.clear();
    for (const socket of this.#accepted) socket.destroy();
  }

  /** A member shows its certificate at once, so the oldest without one goes when all is full. */
  #makeRoom(): boolean {
    if (this.#accepted.size < this.#options.acceptedMax) return true;
    const [first] = this.#handshakes;
    if (first === undefined) return false;
    const [remote, oldest] = first;
    oldest.why = `more than ${this.#options.acceptedMax} peer connections`;
    this.#tellUnlessSecured(remote);
    this.#accepted.delete(oldest.socket);
    oldest.socket.destroy();
    return true;
  }

  #serveTls(certificates: PeerCertificates): Server {
    const context = contextOptions(certificates);
    this.#dialContext = createSecureContext(context);
    const handshakeTimeout = this.#options.handshakeMsMax;
    const proof = { requestCert: true, rejectUnauthorized: true, handshakeTimeout };
    const server = createServer({ ...context, ...proof });
    server.on("secureConnection", (socket) => this.#secured(socket));
    server.on("tlsClientError", (error, socket) => {
      const handshake = this.#handshakes.get(remoteOf(socket));
      if (handshake !== undefined) handshake.why = whyRefused(error, socket);
      socket.destroy();
    });
    return server;
  }

  #secured(socket: TLSSocket): void {
    assert(socket.authorized, "a tls.Server with rejectUnauthorized let a stranger in");
    this.#handshakes.delete(remoteOf(socket));
    if (this.#isClosed) socket.destroy();
    else this.#open(this.#listening().nextLinkId(), socket, false, identityOf(socket));
  }

  #tellUnlessSecured(remote: string): void {
    const handshake = this.#handshakes.get(remote);
    this.#handshakes.delete(remote);
    if (handshake === undefined || this.#isClosed) return;
    this.#refusals.tell("peer-connection-refused", { remote, why: handshake.why });
  }

  /** Says what follows, then secures it. */
  #greet(dialing: Dialing, address: string): void {
    dialing.socket.write(Uint8Array.of(PEER_BYTE));
    if (this.#dialContext === null) {
      this.#dialed(dialing, dialing.socket, null);
      return;
    }
    const secure = connectTls({
      socket: dialing.socket,
      secureContext: this.#dialContext,
      rejectUnauthorized: true,
      // The authority is checked here; which member the certificate is bound to, in
      // src/node/links.ts.
      checkServerIdentity: () => undefined,
    });
    secure.on("error", (error) => this.#giveUp(dialing, `${address}: ${error.message}`));
    secure.on("close", () => this.#giveUp(dialing, `${address} closed the connection`));
    secure.once("secureConnect", () => this.#dialed(dialing, secure, identityOf(secure)));
  }

  #dialed(dialing: Dialing, socket: Socket, identity: readonly string[] | null): void {
    if (this.#dialing.get(dialing.link) !== dialing) return;
    this.#forgetDialing(dialing);
    this.#open(dialing.link, socket, true, identity);
  }

  #giveUp(dialing: Dialing, why: string): void {
    if (this.#dialing.get(dialing.link) !== dialing) return;
    this.#forgetDialing(dialing);
    dialing.socket.destroy();
    this.#listening().linkClosed(dialing.link, why);
  }

  #forgetDialing(dialing: Dialing): void {
    clearTimeout(dialing.timer);
    this.#dialing.delete(dialing.link);
  }

  #open(id: LinkId, socket: Socket, isDialed: boolean, identity: readonly string[] | null): void {
    const inbox = this.#listening();
    const link = new PeerLink(socket, isDialed, this.#options, {
      frame: (frame) => inbox.linkFrame(id, frame),
      closed: (why) => {
        this.#links.delete(id);
        inbox.linkClosed(id, why);
      },
    });
    this.#links.set(id, link);
    inbox.linkOpened(id, isDialed, identity);
    link.listen();
  }

  #beat(): void {
    const { signOfLifeMs, silenceMsMax } = this.#options;
    const nowMs = performance.now();
    // Late itself, this process was paused: what its peers said meanwhile still waits in the
    // sockets.
    const wasPaused = nowMs - this.#pulseMs > 2 * signOfLifeMs;
    this.#pulseMs = nowMs;
    for (const link of this.#links.values()) {
      if (wasPaused) link.heardMs = nowMs;
      const silentMs = Math.floor(nowMs - link.heardMs);
      if (silentMs > silenceMsMax && !link.isHeldBack) {
        link.fail(`nothing heard from the peer for ${silentMs} ms`);
      } else if (link.isDialed || link.isHeldBack) {
        // A link that is held back cannot send back what it does not read, so it speaks up itself.
        link.sendSignOfLife();
      }
    }
  }

  #listening(): NetworkInbox {
    assert(this.#inbox !== null, "a network delivers to its inbox: attach one first");
    return this.#inbox;
  }
}

/** `host:port`, or `[address]:port` for IPv6; null for anything else. */
export function parseAddress(text: string): { host: string; port: number } | null {
  const parts = splitHostPort(text, 0);
  return parts === null || parts.port === 0 ? null : parts;
}

function remoteOf(socket: Socket): string {
  return `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? "?"}`;
}
