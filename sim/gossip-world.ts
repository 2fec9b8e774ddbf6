// A world of gossip members only: many hosts on one virtual network and timeline, driven by one
// seed, with crashes, pauses, partitions and slow members on request. Owns who is up; what members
// decide is src/gossip, through the same host as in production.

import { type Address, parseIp, splitHostPort } from "../src/base/address.ts";
import { assert } from "../src/base/assert.ts";
import { freeze } from "../src/base/bytes.ts";
import type { Micros } from "../src/base/ids.ts";
import type { Notice } from "../src/base/notice.ts";
import { Prng } from "../src/base/prng.ts";
import type { MembershipPorts } from "../src/service/membership.ts";
import { SimClock, SimWall } from "./sim-clock.ts";
import {
  type GossipNetworkProfile,
  type PacketWitness,
  type SimGossipEndpoint,
  SimGossipNetwork,
} from "./sim-gossip-network.ts";
import { Timeline } from "./timeline.ts";

/** Of a gossip world: everything that a run is made of. */
export interface GossipWorldOptions {
  readonly seed: string;
  readonly network: GossipNetworkProfile;
  /** Clocks run up to so many parts per million too fast or too slow. */
  readonly driftPpmMax: number;
  readonly witness?: PacketWitness;
}

/** A network of one data centre that loses and doubles a little. */
export const USUAL_NETWORK: GossipNetworkProfile = {
  delayMinMicros: 200,
  delayMeanMicros: 800,
  dropPerMille: 5,
  duplicatePerMille: 5,
  dialFailPerMille: 0,
};

/** One life of one member. */
export interface GossipSeat {
  readonly name: string;
  readonly address: Address;
  /** What the member is made on. */
  readonly ports: MembershipPorts;
  readonly notices: readonly Notice[];
}

const USUAL_PORT = 7946;

interface Place {
  readonly seat: GossipSeat;
  readonly clock: SimClock;
  readonly endpoint: SimGossipEndpoint;
}

/** Members that gossip in virtual time, without a log: for tests of membership alone. */
export class GossipWorld {
  readonly timeline = new Timeline();
  readonly network: SimGossipNetwork;
  readonly #options: GossipWorldOptions;
  readonly #prng: Prng;
  readonly #places = new Map<string, Place>();
  /** A name keeps its address through all its lives. */
  readonly #addresses = new Map<string, Address>();
  readonly #lives = new Map<string, number>();

  constructor(options: GossipWorldOptions) {
    this.#options = options;
    this.#prng = new Prng(options.seed);
    const prng = this.#prng.fork("gossip.network");
    this.network = new SimGossipNetwork(this.timeline, options.network, prng, options.witness);
  }

  /** Ports for a member of this name, at its address; a name has one life at a time. */
  seat(name: string): GossipSeat {
    assert(!this.#places.has(name), "a member is up once", name);
    const life = (this.#lives.get(name) ?? 0) + 1;
    this.#lives.set(name, life);
    const prng = this.#prng.fork(`gossip.member/${name}/${life}`);
    const address = this.addressOf(name);
    const endpoint = this.network.plug(address);
    const clock = this.#makeClock(prng);
    const notices: Notice[] = [];
    const ports: MembershipPorts = {
      clock,
      network: endpoint,
      telemetry: { notice: (notice) => void notices.push(notice) },
      prng: prng.fork("gossip"),
      advertise: address,
      resolve: async (wanted) => [this.#resolve(wanted)],
      shut: async () => this.crash(name),
    };
    const seat: GossipSeat = { name, address, ports, notices };
    this.#places.set(name, { seat, clock, endpoint });
    return seat;
  }

  /** Where a name is or will be: 10.x.y.z, in the order of first mention. */
  addressOf(name: string): Address {
    const known = this.#addresses.get(name);
    if (known !== undefined) return known;
    const host = this.#addresses.size + 1;
    const ip = Uint8Array.of(10, host >> 16, (host >> 8) & 0xff, host & 0xff);
    const address = { ip: freeze(ip), port: USUAL_PORT };
    this.#addresses.set(name, address);
    return address;
  }

  /** The process is gone from one instant to the next; its name may be seated again. */
  crash(name: string): void {
    const place = this.#places.get(name);
    if (place === undefined) return;
    this.#places.delete(name);
    place.clock.halt();
    this.network.unplug(place.endpoint);
  }

  /** The process stands still: packets wait in its socket, alarms ring when it goes on. */
  pause(name: string): void {
    const { clock, endpoint } = this.#placeOf(name);
    clock.pause();
    endpoint.pause();
  }

  resume(name: string): void {
    const { clock, endpoint } = this.#placeOf(name);
    endpoint.resume();
    clock.resume();
  }

  /** Members of different groups cannot reach each other; those in none make up one more. */
  partition(...groups: readonly (readonly string[])[]): void {
    this.network.partition(groups.map((group) => group.map((name) => this.addressOf(name))));
  }

  heal(): void {
    this.network.heal();
  }

  /** Lets a span pass. */
  run(span: Micros): void {
    this.timeline.advanceTo(this.timeline.now + span);
  }

  /** A member's name, or an address as `localAddr` shows it. */
  #resolve(wanted: string): Address {
    const parts = splitHostPort(wanted, USUAL_PORT);
    const ip = parts === null ? null : parseIp(parts.host);
    return parts === null || ip === null ? this.addressOf(wanted) : { ip, port: parts.port };
  }

  #placeOf(name: string): Place {
    const place = this.#places.get(name);
    assert(place !== undefined, "this member is not up", name);
    return place;
  }

  #makeClock(prng: Prng): SimClock {
    const drift = this.#options.driftPpmMax;
    const clockPrng = prng.fork("clock");
    return new SimClock(this.timeline, {
      origin: clockPrng.below(1_000_000_000),
      driftPpm: clockPrng.between(0, 2 * drift) - drift,
      wall: new SimWall(this.timeline, 0),
      prng: clockPrng,
      rings: () => undefined,
      rang: () => undefined,
    });
  }
}
