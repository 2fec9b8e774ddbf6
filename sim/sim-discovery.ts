// Gossip and discovery beside one node of a simulated cluster, in one life: the gossip machine of
// production on simulated packets, and the discovery of production between it and the node. Owns
// how the two are plugged together here; src/service/membership.ts and discovery-loop.ts do the
// same with promises. What the nodes share, and what a computer keeps between lives, is here, too.

import { type Address, describeAddress } from "../src/base/address.ts";
import { freeze } from "../src/base/bytes.ts";
import type { Answer } from "../src/base/client.ts";
import type { Micros, NodeId, RequestId } from "../src/base/ids.ts";
import { millis } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import type { Incarnation } from "../src/gossip/messages.ts";
import type { GossipAnswer, GossipRequestId, GossipStatus } from "../src/gossip/protocol.ts";
import { Discovery, type DiscoveryOptions, ownTags } from "../src/node/discovery.ts";
import type { NodeHost } from "../src/node/ports.ts";
import type { Telemetry } from "../src/ports/telemetry.ts";
import { GossipHost } from "../src/service/gossip-host.ts";
import { profileOf } from "../src/service/membership.ts";
import type { Digest } from "./digest.ts";
import type { Plan } from "./plan.ts";
import type { SimClock } from "./sim-clock.ts";
import { SimGossipNetwork } from "./sim-gossip-network.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { Timeline } from "./timeline.ts";

type PlannedDiscovery = NonNullable<Plan["discovery"]>;

const GOSSIP_PORT = 7946;
const LOOK_EVERY: Micros = millis(250);
const JOIN_AGAIN: Micros = millis(1000);
/** Far above what simulated clients and operators count. */
const FIRST_REQUEST = 2 ** 40;

/** The datagrams of a run: cut where its nodes are cut off from each other. */
export function makeGossipNetwork(
  planned: PlannedDiscovery,
  parts: {
    readonly timeline: Timeline;
    readonly network: SimNetwork;
    readonly digest: Digest;
    readonly prng: Prng;
    readonly names: readonly NodeId[];
    readonly sent: (name: NodeId) => void;
  },
): SimGossipNetwork {
  const nameAt = new Map(parts.names.map((name, at) => [describeAddress(gossipAddress(at)), name]));
  const network = new SimGossipNetwork(parts.timeline, planned, parts.prng, (from, _to, bytes) => {
    parts.digest.mixBytes(bytes);
    const name = nameAt.get(describeAddress(from));
    if (name !== undefined) parts.sent(name);
  });
  network.isCutElsewhere = (from, to) => {
    const [one, other] = [from, to].map((address) => nameAt.get(describeAddress(address)));
    return one !== undefined && other !== undefined && parts.network.path(one, other).cuts > 0;
  };
  return network;
}

/** Whether a node is none of the founders: it comes when they have met, or before. */
export function isLate({ expect }: PlannedDiscovery, place: number): boolean {
  return place >= expect;
}

function gossipAddress(place: number): Address {
  return { ip: freeze(Uint8Array.of(10, 0, 0, place + 1)), port: GOSSIP_PORT };
}

/** What a computer's disk keeps of its gossip: only a wipe takes it. */
export interface KeptGossip {
  incarnation: number;
}

export interface DiscoveryLife {
  readonly name: NodeId;
  readonly place: number;
  /** Where others reach the node. */
  readonly address: string;
  readonly plan: Plan;
  readonly planned: PlannedDiscovery;
  readonly host: NodeHost;
  readonly clock: SimClock;
  readonly network: SimGossipNetwork;
  readonly prng: Prng;
  readonly telemetry: Telemetry;
  readonly kept: KeptGossip;
}

export class SimDiscovery {
  readonly #life: DiscoveryLife;
  readonly #gossip: GossipHost;
  readonly #discovery: Discovery;
  readonly #endpoint: ReturnType<SimGossipNetwork["plug"]>;
  #nextRequest = FIRST_REQUEST;
  #join: number | null = null;
  #tags: number | null = null;
  #change: number | null = null;

  /** The node serves already. */
  constructor(life: DiscoveryLife) {
    const { name, place, plan, planned, host, clock, network, prng, telemetry, kept } = life;
    this.#life = life;
    const options: DiscoveryOptions = {
      address: life.address,
      bootstrap: false,
      expect: isLate(planned, place) ? null : planned.expect,
      hasContacts: true,
      replacesWiped: plan.options.autoReplaceWiped,
      tags: {},
      cleanupGrace: null,
    };
    const tags = ownTags(options, { status: host.status(), raft: host.raft() });
    this.#discovery = new Discovery(options, tags);
    const address = gossipAddress(place);
    this.#endpoint = network.plug(address);
    kept.incarnation += 1;
    this.#gossip = new GossipHost(
      {
        self: name,
        address,
        tags: new Map(Object.entries(tags)),
        incarnation: kept.incarnation as Incarnation,
        profile: profileOf("local"),
        compress: true,
        coordinates: true,
        membersMax: 64,
        rumorsMax: 256,
        streamsMax: 32,
      },
      { clock, network: this.#endpoint, telemetry, prng },
      {
        happened: ({ kind, member }) => {
          if (kind === "fail") host.hear({ kind: "peer-failed", name: member.node });
        },
        answered: (answer) => this.#gossipAnswered(answer),
        changed: () => {
          kept.incarnation = this.#gossip.status().incarnation;
        },
      },
    );
    this.#joinContacts();
    this.#gossip.later(LOOK_EVERY, () => this.#look());
  }

  /** What gossip knows, for checkers. */
  status(): GossipStatus {
    return this.#gossip.status();
  }

  /** True when the answer was to a change that discovery asked for. */
  maybeAnswered(answer: Answer): boolean {
    if (answer.requestId !== this.#change) return false;
    this.#change = null;
    const fault = answer.kind === "fault" ? answer.fault : null;
    const notice = this.#discovery.changed(this.#life.clock.now(), fault);
    if (notice !== null) this.#life.telemetry.notice(notice);
    return true;
  }

  pause(): void {
    this.#endpoint.pause();
    this.#life.clock.pause();
  }

  resume(): void {
    this.#endpoint.resume();
    this.#life.clock.resume();
  }

  /** The process is gone. */
  halt(): void {
    this.#gossip.halt();
    this.#life.clock.halt();
    this.#life.network.unplug(this.#endpoint);
  }

  #look(): void {
    const { host, clock, telemetry } = this.#life;
    const gossip = this.#gossip.status().members.map(({ node, status, tags }) => {
      return { name: node, status, tags: Object.fromEntries(tags) };
    });
    const view = { status: host.status(), raft: host.raft(), gossip };
    const { tags, news, change, notices } = this.#discovery.look(clock.now(), view);
    for (const notice of notices) telemetry.notice(notice);
    for (const one of news) host.hear(one);
    if (tags !== null) {
      this.#tags = this.#ask({ kind: "set-tags", tags: new Map(Object.entries(tags)) });
    }
    if (change !== null) {
      this.#change = this.#nextRequest++;
      const requestId = this.#change as RequestId;
      if (!host.offer({ kind: "change-membership", requestId, change })) {
        const fault = { code: "overloaded", what: "too much mail", retryAfterMs: 0 } as const;
        this.maybeAnswered({ kind: "fault", requestId, fault });
      }
    }
    this.#gossip.later(LOOK_EVERY, () => this.#look());
  }

  #joinContacts(): void {
    const { place, planned } = this.#life;
    const others = planned.contacts.filter((contact) => contact !== place);
    this.#join = this.#ask({ kind: "join", addresses: others.map(gossipAddress) });
  }

  #gossipAnswered({ requestId, ...answer }: GossipAnswer): void {
    if (requestId === this.#join && answer.kind === "joined" && answer.reached === 0) {
      this.#gossip.later(JOIN_AGAIN, () => this.#joinContacts());
    }
    if (requestId === this.#tags && answer.kind === "refused") this.#discovery.untold();
  }

  #ask(
    request:
      | { readonly kind: "join"; readonly addresses: readonly Address[] }
      | { readonly kind: "set-tags"; readonly tags: ReadonlyMap<string, string> },
  ): number {
    const requestId = this.#nextRequest++;
    this.#gossip.offer({ ...request, requestId: requestId as GossipRequestId });
    return requestId;
  }
}
