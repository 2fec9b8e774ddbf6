// One TCP port for peers and clients: reads the first byte of each connection and hands it on. Owns
// the listening socket, and connections until their first byte is known; then they are whoever's
// they were handed to.

import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

import type { Telemetry } from "../ports/telemetry.ts";
import { PEER_BYTE } from "./peer-links.ts";
import { Refusals } from "./refusals.ts";

export interface PortMuxOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** Takes a connection that began with PEER_BYTE, which is gone from it. */
  readonly onPeer: (socket: Socket) => void;
  /** Takes any other connection, with all its bytes still to be read. */
  readonly onClient: (socket: Socket) => void;
  readonly telemetry: Telemetry;
  /** A connection that says nothing for so long is closed. */
  readonly firstByteMsMax?: number;
  /** Connections that have said nothing yet; one more, and the oldest of them is closed. */
  readonly silentMax?: number;
  /** All connections of the port; further ones are closed as they come. */
  readonly connectionsMax?: number;
}

const DEFAULTS = { firstByteMsMax: 5000, silentMax: 256, connectionsMax: 8192 };

export class PortMux {
  readonly #options: Required<PortMuxOptions>;
  readonly #refusals: Refusals;
  readonly #server: Server;
  /** Connections that have said nothing yet, oldest first, with what makes each give up. */
  readonly #silent = new Map<Socket, NodeJS.Timeout>();
  readonly #connections = new Set<Socket>();

  constructor(options: PortMuxOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#refusals = new Refusals(options.telemetry);
    this.#server = createServer({ noDelay: true }, (socket) => this.#admit(socket));
    this.#server.maxConnections = this.#options.connectionsMax;
    this.#server.on("drop", (data) => {
      const remote = `${data?.remoteAddress ?? "?"}:${data?.remotePort ?? "?"}`;
      const why = `more than ${this.#options.connectionsMax} connections`;
      this.#refusals.tell("connection-refused", { remote, why });
    });
  }

  /** Resolves with the port; rejects with an Error for the operator when it cannot listen. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      const refuse = (error: Error): void => {
        reject(new Error(`cannot listen on ${host}:${port}: ${error.message}`, { cause: error }));
      };
      this.#server.once("error", refuse);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", refuse);
        // Out of descriptors, say: this connection is lost, the port stays.
        this.#server.on("error", (error) => {
          this.#refusals.tell("connection-refused", { remote: null, why: error.message });
        });
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Connections that have said nothing yet. */
  get silentCount(): number {
    return this.#silent.size;
  }

  /** Takes no further connections and frees the port; those handed on stay open. */
  stopListening(): void {
    this.#server.close();
    for (const socket of [...this.#silent.keys()]) socket.destroy();
  }

  /** Stops listening and ends every connection of the port, whoever has it. */
  destroy(): void {
    this.stopListening();
    for (const socket of this.#connections) socket.destroy();
  }

  #admit(socket: Socket): void {
    this.#connections.add(socket);
    // An error is followed by `close`; without a listener it would end the process.
    socket.on("error", () => undefined);
    socket.once("close", () => {
      this.#connections.delete(socket);
      this.#forgetSilent(socket);
    });
    if (this.#silent.size >= this.#options.silentMax) this.#dropOldestSilent();
    const timer = setTimeout(() => socket.destroy(), this.#options.firstByteMsMax);
    this.#silent.set(socket, timer);
    const hear = (): void => {
      const first: Buffer | null = socket.read(1);
      // Null at the end of a connection that never spoke.
      if (first === null) return;
      socket.off("readable", hear);
      this.#forgetSilent(socket);
      this.#handOn(socket, first);
    };
    socket.on("readable", hear);
  }

  #handOn(socket: Socket, first: Buffer): void {
    if (first[0] === PEER_BYTE) {
      this.#options.onPeer(socket);
    } else {
      socket.unshift(first);
      this.#options.onClient(socket);
    }
  }

  /** The oldest had the longest time to speak: who comes in good faith speaks at once. */
  #dropOldestSilent(): void {
    const [oldest] = this.#silent.keys();
    if (oldest === undefined) return;
    this.#forgetSilent(oldest);
    oldest.destroy();
    const why = `more than ${this.#options.silentMax} connections that say nothing`;
    this.#refusals.tell("connection-refused", { remote: oldest.remoteAddress ?? null, why });
  }

  #forgetSilent(socket: Socket): void {
    clearTimeout(this.#silent.get(socket));
    this.#silent.delete(socket);
  }
}
