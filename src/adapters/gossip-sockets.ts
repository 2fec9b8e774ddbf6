// The GossipNetwork port over one UDP and one TCP socket on the same port. Owns sockets, their
// bounds and their last moments; what is said on them is src/gossip. The double is
// sim/sim-gossip-network.ts.

import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, type Server, type Socket } from "node:net";

import { type Address, describeAddress, describeIp, parseIp } from "../base/address.ts";
import { assert } from "../base/assert.ts";
import { type FrozenBytes, freeze } from "../base/bytes.ts";
import type { StreamId } from "../base/ids.ts";
import type { GossipInbox, GossipNetwork } from "../ports/gossip.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { Refusals } from "./refusals.ts";

export interface GossipSocketsOptions {
  /** Port 0 takes any that is free for both. */
  readonly bind: Address;
  readonly telemetry: Telemetry;
  /** Datagrams handed to the system that have not left; more are dropped. */
  readonly packetsUnsentMax?: number;
  /** Connections from others at once, until they are closed; more are turned away. */
  readonly acceptedMax?: number;
  /** Bytes that wait on one stream; a stream with more is closed. */
  readonly streamBytesUnsentMax?: number;
}

const DEFAULTS = {
  packetsUnsentMax: 1024,
  acceptedMax: 128,
  streamBytesUnsentMax: 16 << 20,
};

/** A burst of packets waits here while a turn runs; the system may grant less. */
const RECEIVE_BYTES = 2 << 20;
/** A stream that is closed here, or has ended, is kept while something moves, but not for ever. */
const LINGER_IDLE_MS = 5000;
const LINGER_MS_MAX = 30_000;
/** A free TCP port may be taken for UDP: so many others are tried. */
const FREE_PORT_TRIES = 20;

interface Stream {
  readonly socket: Socket;
  isOpen: boolean;
  /** The inbox has heard that nothing more comes. */
  isEnded: boolean;
  /** Told with the end. */
  why: string;
}

export class GossipSockets implements GossipNetwork {
  readonly address: Address;
  readonly #options: Required<GossipSocketsOptions>;
  readonly #server: Server;
  readonly #udp: UdpSocket;
  readonly #refusals: Refusals;
  readonly #streams = new Map<StreamId, Stream>();
  /** All TCP sockets that are not destroyed, in a stream or lingering. */
  readonly #sockets = new Set<Socket>();
  #accepted = 0;
  #packetsUnsent = 0;
  #inbox: GossipInbox | null = null;
  #isClosed = false;

  private constructor(options: Required<GossipSocketsOptions>, server: Server, udp: UdpSocket) {
    this.#options = options;
    this.#server = server;
    this.#udp = udp;
    this.#refusals = new Refusals(options.telemetry);
    this.address = { ip: options.bind.ip, port: udp.address().port };
    server.on("connection", (socket) => this.#accept(socket));
    server.on("error", (error) => this.#tellTrouble("tcp", error));
    udp.on("message", (bytes, from) => this.#packet(bytes, from));
    udp.on("error", (error) => this.#tellTrouble("udp", error));
  }

  /** Hears on the address when it resolves; rejects with what to do when it cannot. */
  static async open(options: GossipSocketsOptions): Promise<GossipSockets> {
    const { bind } = options;
    for (let tries = 1; ; tries++) {
      const server = createServer({ allowHalfOpen: true, noDelay: true });
      const udp = createSocket({ type: familyOf(bind), lookup: lookupNothing });
      try {
        const port = await listen(server, bind);
        await bindUdp(udp, { ip: bind.ip, port });
        udp.setRecvBufferSize(RECEIVE_BYTES);
        return new GossipSockets({ ...DEFAULTS, ...options }, server, udp);
      } catch (error) {
        server.close();
        udp.close();
        if (bind.port === 0 && tries < FREE_PORT_TRIES) continue;
        const what = error instanceof Error ? error.message : String(error);
        const remedy = "free that port for UDP and TCP, or choose another address";
        throw new Error(`gossip cannot hear on ${describeAddress(bind)} (${what}): ${remedy}`);
      }
    }
  }

  attach(inbox: GossipInbox): void {
    assert(this.#inbox === null, "gossip's network has one inbox");
    this.#inbox = inbox;
  }

  sendPacket(to: Address, bytes: FrozenBytes): void {
    if (this.#isClosed) return;
    if (this.#packetsUnsent >= this.#options.packetsUnsentMax) {
      this.#listening().overflowed(to, "queue-full");
      return;
    }
    this.#packetsUnsent++;
    this.#udp.send(bytes, to.port, this.#hostOf(to), (error) => {
      this.#packetsUnsent--;
      if (error === null || this.#isClosed) return;
      const facts = { to: describeAddress(to), bytes: bytes.length, error: error.message };
      this.#refusals.tell("gossip-packet-not-sent", facts);
    });
  }

  dial(streamId: StreamId, to: Address): void {
    if (this.#isClosed) return;
    const host = this.#hostOf(to);
    const socket = connect({ host, port: to.port, noDelay: true, allowHalfOpen: true });
    const stream = this.#adopt(streamId, socket, false);
    socket.once("connect", () => {
      if (!this.#isHeard(streamId, stream)) return;
      stream.isOpen = true;
      this.#listening().streamOpened(streamId, to, true);
    });
  }

  write(streamId: StreamId, bytes: FrozenBytes): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined || !stream.isOpen || bytes.length === 0) return;
    stream.socket.write(bytes);
    if (stream.socket.writableLength <= this.#options.streamBytesUnsentMax) return;
    stream.why = "too much waited to be sent";
    stream.socket.destroy();
  }

  closeStream(streamId: StreamId): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    this.#streams.delete(streamId);
    if (stream.isOpen) letGo(stream.socket);
    else stream.socket.destroy();
  }

  /** Hears and says nothing more; resolves when the port is free. */
  async shut(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#streams.clear();
    for (const socket of this.#sockets) socket.destroy();
    const server = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const udp = new Promise<void>((resolve) => this.#udp.close(() => resolve()));
    await Promise.all([server, udp]);
  }

  #packet(bytes: Buffer, from: RemoteInfo): void {
    const peer = addressOf(from.address, from.port);
    if (peer !== null && !this.#isClosed) this.#listening().packet(peer, plain(bytes));
  }

  #accept(socket: Socket): void {
    const peer = addressOf(socket.remoteAddress ?? "", socket.remotePort ?? 0);
    // Gone again before it was looked at.
    if (peer === null || this.#isClosed) {
      socket.destroy();
      return;
    }
    if (this.#accepted >= this.#options.acceptedMax) {
      socket.destroy();
      this.#listening().overflowed(peer, "too-many-streams");
      return;
    }
    this.#accepted++;
    socket.once("close", () => this.#accepted--);
    const streamId = this.#listening().nextStreamId();
    this.#adopt(streamId, socket, true);
    this.#listening().streamOpened(streamId, peer, false);
  }

  #adopt(streamId: StreamId, socket: Socket, isOpen: boolean): Stream {
    assert(!this.#streams.has(streamId), "a stream id is used once", streamId);
    const stream: Stream = { socket, isOpen, isEnded: false, why: "the other end has closed" };
    this.#streams.set(streamId, stream);
    this.#sockets.add(socket);
    socket.on("data", (bytes) => this.#heard(streamId, stream, plain(bytes)));
    socket.on("error", (error) => {
      stream.why = error.message;
    });
    socket.once("end", () => {
      this.#end(streamId, stream);
      linger(socket);
    });
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#end(streamId, stream);
      if (this.#streams.get(streamId) === stream) this.#streams.delete(streamId);
    });
    return stream;
  }

  #heard(streamId: StreamId, stream: Stream, bytes: FrozenBytes): void {
    if (!this.#isHeard(streamId, stream)) return;
    if (this.#listening().streamBytes(streamId, bytes)) return;
    this.#streams.delete(streamId);
    stream.socket.destroy();
  }

  #end(streamId: StreamId, stream: Stream): void {
    if (!this.#isHeard(streamId, stream)) return;
    stream.isEnded = true;
    this.#listening().streamClosed(streamId, stream.why);
  }

  /** Nobody here has closed it, and its end was not told. */
  #isHeard(streamId: StreamId, stream: Stream): boolean {
    return this.#streams.get(streamId) === stream && !stream.isEnded;
  }

  /** An IPv6 socket reaches IPv4 by its mapped form. */
  #hostOf({ ip }: Address): string {
    const isMapped = ip.length === 4 && familyOf(this.address) === "udp6";
    return isMapped ? `::ffff:${describeIp(ip)}` : describeIp(ip);
  }

  #listening(): GossipInbox {
    assert(this.#inbox !== null, "gossip's network speaks to its inbox: attach one first");
    return this.#inbox;
  }

  #tellTrouble(transport: string, error: Error): void {
    if (this.#isClosed) return;
    this.#refusals.tell("gossip-socket-error", { transport, error: error.message });
  }
}

/** The same memory as a plain array: a Buffer's `slice` is a view, where others' is a copy. */
function plain(bytes: Buffer): FrozenBytes {
  return freeze(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
}

/** Closes once all has left; what still comes is read over. */
function letGo(socket: Socket): void {
  socket.resume();
  socket.end();
  linger(socket);
}

function linger(socket: Socket): void {
  socket.setTimeout(LINGER_IDLE_MS, () => socket.destroy());
  const timer = setTimeout(() => socket.destroy(), LINGER_MS_MAX);
  socket.once("close", () => clearTimeout(timer));
}

function familyOf({ ip }: Address): "udp4" | "udp6" {
  return ip.length === 4 ? "udp4" : "udp6";
}

/** Addresses are numbers already: no resolver is asked. */
function lookupNothing(
  host: string,
  _options: object,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, host, host.includes(":") ? 6 : 4);
}

/** Null when the system names no address; a scope (`%eth0`) is left out. */
function addressOf(host: string, port: number): Address | null {
  const ip = parseIp(host.split("%")[0] ?? "");
  return ip === null ? null : { ip, port };
}

function listen(server: Server, { ip, port }: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: describeIp(ip), port, exclusive: true }, () => {
      server.off("error", reject);
      const bound = server.address();
      assert(bound !== null && typeof bound === "object", "a TCP server has an address");
      resolve(bound.port);
    });
  });
}

function bindUdp(udp: UdpSocket, { ip, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    udp.once("error", reject);
    udp.bind({ address: describeIp(ip), port, exclusive: true }, () => {
      udp.off("error", reject);
      resolve();
    });
  });
}
