// Packets and streams between all gossip members of a run: datagrams that are delayed, lost and
// doubled, connections that carry bytes in order, and members that cannot reach each other. The
// contract is src/ports/gossip.ts. Owns the fate of bytes; who is cut off when is decided by who
// runs the world.

import { type Address, describeAddress } from "../src/base/address.ts";
import { assert } from "../src/base/assert.ts";
import { type FrozenBytes, freeze } from "../src/base/bytes.ts";
import type { StreamId } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import type { GossipInbox, GossipNetwork } from "../src/ports/gossip.ts";
import { drawSpan } from "./spans.ts";
import type { Timeline } from "./timeline.ts";

export interface GossipNetworkProfile {
  /** Whole microseconds, each way. */
  readonly delayMinMicros: number;
  readonly delayMeanMicros: number;
  readonly dropPerMille: number;
  readonly duplicatePerMille: number;
  /** Dials that fail although the way is free. */
  readonly dialFailPerMille: number;
}

/** Hears every datagram as it leaves, before its fate is drawn. */
export type PacketWitness = (from: Address, to: Address, bytes: FrozenBytes) => void;

/** Nobody answers where the way is cut: the system gives up after this. */
const CONNECT_TIMEOUT_MICROS = 10_000_000;
/** While the way is cut, bytes of a stream are sent again this often, and so many times. */
const RESEND_MICROS = 500_000;
const RESENDS_MAX = 40;
/** What a write is cut into. */
const PIECE_BYTES_MIN = 500;
const PIECE_BYTES_MAX = 20_000;
/** What a paused process's socket holds before packets are lost. */
const SOCKET_BYTES_MAX = 212_992;
const EPHEMERAL_PORT_MIN = 32_768;

export interface SimEndpointOptions {
  readonly acceptedMax: number;
}

export class SimGossipNetwork {
  readonly timeline: Timeline;
  profile: GossipNetworkProfile;
  readonly witness: PacketWitness;
  readonly prng: Prng;
  /** Says of ways that somebody else cuts. */
  isCutElsewhere: (from: Address, to: Address) => boolean = () => false;
  readonly #endpoints = new Map<string, SimGossipEndpoint>();
  /** The side each cut-off address is on; all others are on side 0. */
  #sides = new Map<string, number>();
  #nextPort = EPHEMERAL_PORT_MIN;

  constructor(
    timeline: Timeline,
    profile: GossipNetworkProfile,
    prng: Prng,
    witness: PacketWitness = () => undefined,
  ) {
    this.timeline = timeline;
    this.profile = profile;
    this.prng = prng;
    this.witness = witness;
  }

  /** A fresh endpoint; it replaces one that was unplugged at this address. */
  plug(address: Address, options: SimEndpointOptions = { acceptedMax: 128 }): SimGossipEndpoint {
    const key = describeAddress(address);
    assert(!this.#endpoints.has(key), "an address is plugged in once", key);
    const endpoint = new SimGossipEndpoint(this, address, options.acceptedMax);
    this.#endpoints.set(key, endpoint);
    return endpoint;
  }

  /** Gone at once, as a process that is killed: nobody hears of it but by silence. */
  unplug(endpoint: SimGossipEndpoint): void {
    const key = describeAddress(endpoint.address);
    if (this.#endpoints.get(key) === endpoint) this.#endpoints.delete(key);
    endpoint.halt();
  }

  /** Cuts every way between addresses of different groups; those in none make up one more. */
  partition(groups: readonly (readonly Address[])[]): void {
    this.#sides = new Map();
    for (const [at, group] of groups.entries()) {
      for (const address of group) this.#sides.set(describeAddress(address), at + 1);
    }
  }

  heal(): void {
    this.#sides = new Map();
  }

  isCut(from: Address, to: Address): boolean {
    if (this.isCutElsewhere(from, to)) return true;
    if (this.#sides.size === 0) return false;
    const sideOf = (address: Address) => this.#sides.get(describeAddress(address)) ?? 0;
    return sideOf(from) !== sideOf(to);
  }

  /** From now on packets are only delayed. */
  calm(): void {
    this.profile = { ...this.profile, dropPerMille: 0, duplicatePerMille: 0, dialFailPerMille: 0 };
  }

  at(address: Address): SimGossipEndpoint | null {
    return this.#endpoints.get(describeAddress(address)) ?? null;
  }

  drawDelay(): number {
    const { delayMinMicros, delayMeanMicros } = this.profile;
    return delayMinMicros + drawSpan(this.prng, delayMeanMicros);
  }

  draws(perMille: number): boolean {
    return perMille > 0 && this.prng.chance(perMille, 1000);
  }

  nextPort(): number {
    this.#nextPort = this.#nextPort === 65_535 ? EPHEMERAL_PORT_MIN : this.#nextPort + 1;
    return this.#nextPort;
  }
}

/** One end of one connection. */
class StreamEnd {
  readonly owner: SimGossipEndpoint;
  /** Null before the connection is accepted. */
  id: StreamId | null;
  /** Null before the connection reached the other side. */
  other: StreamEnd | null = null;
  isOpen = false;
  /** The owner closed it, or was told of its end. */
  isDone = false;
  /** What is on its way to the other end, in order, and when it gets there at the earliest. */
  readonly underway: { readonly at: number; readonly arrive: (other: StreamEnd) => void }[] = [];
  resends = 0;

  constructor(owner: SimGossipEndpoint, id: StreamId | null) {
    this.owner = owner;
    this.id = id;
  }
}

export class SimGossipEndpoint implements GossipNetwork {
  readonly address: Address;
  readonly #network: SimGossipNetwork;
  readonly #acceptedMax: number;
  readonly #streams = new Map<StreamId, StreamEnd>();
  readonly #accepted = new Set<StreamEnd>();
  #inbox: GossipInbox | null = null;
  #isHalted = false;
  /** What arrived while the process stood still; null while it goes. */
  #waiting: (() => void)[] | null = null;
  #waitingBytes = 0;

  constructor(network: SimGossipNetwork, address: Address, acceptedMax: number) {
    this.#network = network;
    this.address = address;
    this.#acceptedMax = acceptedMax;
  }

  attach(inbox: GossipInbox): void {
    assert(this.#inbox === null, "gossip's network has one inbox");
    this.#inbox = inbox;
  }

  sendPacket(to: Address, bytes: FrozenBytes): void {
    if (this.#isHalted) return;
    const network = this.#network;
    network.witness(this.address, to, bytes);
    const { dropPerMille, duplicatePerMille } = network.profile;
    const isLost = network.draws(dropPerMille);
    const copies = network.draws(duplicatePerMille) ? 2 : 1;
    for (let copy = 0; copy < copies && !isLost; copy++) {
      network.timeline.after(network.drawDelay(), () => {
        if (!network.isCut(this.address, to)) network.at(to)?.packetArrived(this.address, bytes);
      });
    }
  }

  dial(streamId: StreamId, to: Address): void {
    assert(!this.#streams.has(streamId), "a stream id is used once", streamId);
    if (this.#isHalted) return;
    const end = new StreamEnd(this, streamId);
    this.#streams.set(streamId, end);
    const network = this.#network;
    network.timeline.after(network.drawDelay(), () => {
      const target = network.at(to);
      if (network.isCut(this.address, to)) {
        network.timeline.after(CONNECT_TIMEOUT_MICROS, () => this.end(end, "nobody answered"));
      } else if (target === null || network.draws(network.profile.dialFailPerMille)) {
        network.timeline.after(network.drawDelay(), () => this.end(end, "connection refused"));
      } else {
        target.dialArrived(end, to);
      }
    });
  }

  write(streamId: StreamId, bytes: FrozenBytes): void {
    const end = this.#streams.get(streamId);
    if (end === undefined || !end.isOpen) return;
    const { prng } = this.#network;
    for (let at = 0; at < bytes.length; ) {
      const next = at + prng.between(PIECE_BYTES_MIN, PIECE_BYTES_MAX);
      const piece = freeze(bytes.subarray(at, next));
      this.#toOther(end, (other) => other.owner.pieceArrived(other, piece));
      at = next;
    }
  }

  closeStream(streamId: StreamId): void {
    const end = this.#streams.get(streamId);
    if (end === undefined) return;
    this.#forget(end);
    this.#toOther(end, (other) => other.owner.end(other, "the other end has closed"));
  }

  /** The process is gone: nothing of it is heard, and it hears nothing. */
  halt(): void {
    this.#isHalted = true;
    this.#streams.clear();
    this.#accepted.clear();
    this.#waiting = null;
  }

  /** The process stands still: what arrives waits, as far as a socket holds it. */
  pause(): void {
    this.#waiting ??= [];
  }

  /** It goes on, and hears what waited before anything else happens. */
  resume(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    this.#waitingBytes = 0;
    for (const hear of waiting) hear();
  }

  packetArrived(from: Address, bytes: FrozenBytes): void {
    if (this.#waiting !== null) {
      if (this.#waitingBytes + bytes.length > SOCKET_BYTES_MAX) return;
      this.#waitingBytes += bytes.length;
    }
    this.#hear((inbox) => inbox.packet(from, bytes));
  }

  dialArrived(dialer: StreamEnd, to: Address): void {
    const network = this.#network;
    const end = new StreamEnd(this, null);
    end.other = dialer;
    dialer.other = end;
    const peer = { ip: dialer.owner.address.ip, port: network.nextPort() };
    const isFull = this.#accepted.size >= this.#acceptedMax;
    if (isFull) {
      end.isDone = true;
      this.#hear((inbox) => inbox.overflowed(peer, "too-many-streams"));
    } else {
      this.#accepted.add(end);
      this.#hear((inbox) => this.#accept(end, inbox, peer));
    }
    this.#toOther(end, (other) => {
      if (isFull) other.owner.end(other, "connection reset");
      else other.owner.connected(other, to);
    });
  }

  connected(end: StreamEnd, to: Address): void {
    // Taken back while it was connecting: the other side hears so.
    if (end.isDone) return;
    end.isOpen = true;
    this.#hear((inbox) => {
      if (!end.isDone && end.id !== null) inbox.streamOpened(end.id, to, true);
    });
  }

  pieceArrived(end: StreamEnd, bytes: FrozenBytes): void {
    this.#hear((inbox) => {
      if (end.isDone || end.id === null || inbox.streamBytes(end.id, bytes)) return;
      this.#forget(end);
      this.#toOther(end, (other) => other.owner.end(other, "connection reset"));
    });
  }

  /** The owner hears that nothing more comes, unless it closed the stream itself. */
  end(end: StreamEnd, why: string): void {
    this.#hear((inbox) => {
      this.#accepted.delete(end);
      if (end.isDone || end.id === null) return;
      end.isDone = true;
      inbox.streamClosed(end.id, why);
      // What is written in the turn that hears of it still leaves.
      const { id } = end;
      this.#network.timeline.after(RESEND_MICROS, () => this.#streams.delete(id));
    });
  }

  #accept(end: StreamEnd, inbox: GossipInbox, peer: Address): void {
    end.id = inbox.nextStreamId();
    end.isOpen = true;
    this.#streams.set(end.id, end);
    inbox.streamOpened(end.id, peer, false);
  }

  #forget(end: StreamEnd): void {
    end.isDone = true;
    this.#accepted.delete(end);
    if (end.id !== null) this.#streams.delete(end.id);
  }

  /** Lets something arrive at the other end, after all that was sent before it. */
  #toOther(end: StreamEnd, arrive: (other: StreamEnd) => void): void {
    const at = this.#network.timeline.now + this.#network.drawDelay();
    end.underway.push({ at, arrive });
    if (end.underway.length === 1) this.#carryAt(end, at);
  }

  #carryAt(end: StreamEnd, at: number): void {
    const { timeline } = this.#network;
    timeline.at(Math.max(at, timeline.now), () => this.#carry(end));
  }

  /** Over a way that is cut it is sent again and again, until this end gives up. */
  #carry(end: StreamEnd): void {
    const { other, underway } = end;
    if (this.#isHalted || other === null) return;
    if (!this.#network.isCut(this.address, other.owner.address)) {
      end.resends = 0;
      underway.shift()?.arrive(other);
      const next = underway[0];
      if (next !== undefined) this.#carryAt(end, next.at);
    } else if (end.resends < RESENDS_MAX) {
      end.resends++;
      this.#carryAt(end, this.#network.timeline.now + RESEND_MICROS);
    } else {
      underway.length = 0;
      this.end(end, "the other end fell silent");
    }
  }

  #hear(tell: (inbox: GossipInbox) => void): void {
    if (this.#isHalted) return;
    assert(this.#inbox !== null, "gossip's network speaks to its inbox: attach one first");
    const inbox = this.#inbox;
    if (this.#waiting === null) tell(inbox);
    else this.#waiting.push(() => tell(inbox));
  }
}
