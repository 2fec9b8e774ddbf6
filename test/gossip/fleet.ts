// A fleet of pure gossip machines: no clock, no sockets. A test decides who is cut off, slow or
// killed and how many packets are lost; latencies are drawn from the fleet's own seed. After every
// turn it is checked that nobody but its owner has raised an incarnation.

import { type Address, describeAddress } from "../../src/base/address.ts";
import { type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import {
  type Instant,
  type Micros,
  millis,
  NEVER,
  type NodeId,
  type StreamId,
} from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { describeEvent, describeOutput } from "../../src/gossip/describe.ts";
import { Gossip } from "../../src/gossip/gossip.ts";
import type { Incarnation, NodeRecord, PacketMessage } from "../../src/gossip/messages.ts";
import { readPacket } from "../../src/gossip/packet-codec.ts";
import { LAN_PROFILE } from "../../src/gossip/profiles.ts";
import type {
  GossipAnswer,
  GossipEvent,
  GossipOptions,
  GossipOutput,
  GossipRequestId,
  Happening,
  Heard,
  MemberStatus,
} from "../../src/gossip/protocol.ts";
import { StreamReader } from "../../src/gossip/stream-codec.ts";

export const id = (name: string) => name as NodeId;
export const seconds = (count: number) => millis(count * 1000);

export function addressOf(host: number, port = 7946): Address {
  return { ip: freeze(Uint8Array.of(10, 0, host >> 8, host & 0xff)), port };
}

export function optionsOf(name: string, host: number, more: Partial<GossipOptions> = {}) {
  return {
    self: id(name),
    address: addressOf(host),
    tags: new Map<string, string>(),
    incarnation: 1 as Incarnation,
    profile: LAN_PROFILE,
    compress: false,
    coordinates: true,
    membersMax: 1024,
    rumorsMax: 1024,
    streamsMax: 128,
    prng: new Prng(`gossip/${name}`),
    ...more,
  };
}

interface Due {
  readonly at: Instant;
  readonly order: number;
  readonly node: string;
  /** Which start of the node it is for. */
  readonly life: number;
  readonly event: GossipEvent;
}

/** One end of a stream. */
interface End {
  /** The key of the member that holds it. */
  readonly node: string;
  readonly life: number;
  readonly id: StreamId;
}

export interface Turn {
  readonly at: Instant;
  readonly event: GossipEvent;
  readonly output: GossipOutput | null;
}

export class FleetNode {
  readonly name: string;
  /** Its address: what tells two of one name apart. */
  readonly key: string;
  readonly options: GossipOptions;
  gossip: Gossip;
  life = 1;
  isUp = true;
  /** Takes no event before then: it is paused. */
  pausedUntil = 0 as Instant;
  /** When its machine wants to be woken, as of its last step. */
  deadline: Instant;
  readonly waiting: GossipEvent[] = [];
  /** How long it takes to hear what has reached it: it is overloaded. */
  lag = 0 as Micros;
  readonly happenings: Happening[] = [];
  /** User events and queries, and what became of its own. */
  readonly heard: Heard[] = [];
  readonly answers = new Map<GossipRequestId, GossipAnswer>();
  /** Set to a list, it takes down what the machine was told and what it decided. */
  turns: Turn[] | null = null;
  packetsSent = 0;
  bytesSent = 0;
  /** The next even number for a stream it accepts. */
  nextAccepted = 2;

  constructor(options: GossipOptions, now: Instant) {
    this.name = options.self;
    this.key = describeAddress(options.address);
    this.options = options;
    this.gossip = new Gossip(options, now);
    this.deadline = this.gossip.deadline;
  }

  /** What it says of `name`; null when it knows nobody of that name. */
  statusOf(name: string): MemberStatus | null {
    return this.gossip.status().members.find(({ node }) => node === name)?.status ?? null;
  }

  story(): string[] {
    return this.happenings.map(({ kind, member }) => `${kind} ${member.node}`);
  }
}

export class Fleet {
  readonly nodes: FleetNode[] = [];
  now = 0 as Instant;
  /** Of a hundred packets, how many are lost. */
  lossPercent = 0;
  /** True where a packet or a stream from one host to another gets through. */
  isOpen: (from: string, to: string) => boolean = () => true;
  latencyMax: Micros = millis(2);
  /** How long the way from one member to another takes besides. */
  distance: (from: string, to: string) => Micros = () => 0 as Micros;
  /** Set to a list, it takes down every event and every decision, a line each. */
  tale: string[] | null = null;
  readonly #prng: Prng;
  #due: Due[] = [];
  readonly #ends = new Map<string, End>();
  #order = 0;
  #requests = 0;

  constructor(seed: string) {
    this.#prng = new Prng(seed);
  }

  start(name: string, more: Partial<GossipOptions> = {}): FleetNode {
    const options = optionsOf(name, this.nodes.length + 1, {
      prng: this.#prng.fork(`node/${name}`),
      ...more,
    });
    const node = new FleetNode(options, this.now);
    this.nodes.push(node);
    return node;
  }

  /** As many as `count`, the first of which all others join. */
  startAll(count: number, more: Partial<GossipOptions> = {}): FleetNode[] {
    const nodes = Array.from({ length: count }, (_, at) => this.start(`n${at + 1}`, more));
    for (const node of nodes.slice(1)) this.join(node, nodes[0] as FleetNode);
    return nodes;
  }

  node(name: string): FleetNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  get up(): FleetNode[] {
    return this.nodes.filter(({ isUp }) => isUp);
  }

  join(node: FleetNode, ...seeds: readonly FleetNode[]): GossipRequestId {
    const addresses = seeds.map(({ options }) => options.address);
    return this.ask(node, (requestId) => ({ kind: "join", requestId, addresses }));
  }

  ask(node: FleetNode, make: (requestId: GossipRequestId) => GossipEvent): GossipRequestId {
    this.#requests += 1;
    const requestId = this.#requests as GossipRequestId;
    this.turn(node, make(requestId));
    return requestId;
  }

  /** Gone without a word. Its streams break. */
  kill(node: FleetNode): void {
    node.isUp = false;
    node.waiting.length = 0;
    for (const [key, end] of [...this.#ends]) {
      if (!key.startsWith(`${node.key}/`)) continue;
      this.#ends.delete(key);
      this.#later(end, { kind: "stream-closed", streamId: end.id, why: "reset" });
    }
  }

  /** Begins anew, as after a crash: nothing is remembered but what `more` says. */
  restart(node: FleetNode, more: Partial<GossipOptions> = {}): void {
    if (node.isUp) this.kill(node);
    node.isUp = true;
    node.life += 1;
    node.pausedUntil = this.now;
    const prng = this.#prng.fork(`node/${node.name}/${node.life}`);
    node.gossip = new Gossip({ ...node.options, prng, ...more }, this.now);
    node.deadline = node.gossip.deadline;
  }

  pause(node: FleetNode, span: Micros): void {
    node.pausedUntil = (this.now + span) as Instant;
  }

  /** Lets `span` of time pass. */
  run(span: Micros): void {
    const end = (this.now + span) as Instant;
    while (this.#runOne(end));
    this.now = end;
  }

  /** True when it came true before `patience` ran out; time stops when it does. */
  runUntil(isTrue: () => boolean, patience: Micros): boolean {
    const end = (this.now + patience) as Instant;
    if (isTrue()) return true;
    while (this.#runOne(end)) if (isTrue()) return true;
    return false;
  }

  turn(node: FleetNode, event: GossipEvent): void {
    if (!node.isUp) return;
    if (this.now < node.pausedUntil) {
      if (event.kind !== "deadline") node.waiting.push(event);
      return;
    }
    const told = this.tale === null ? "" : `${node.name} < ${describeEvent(event)}`;
    node.gossip.step(this.now, event);
    node.deadline = node.gossip.deadline;
    this.#take(node, event, told);
  }

  /** True when all who are up say of each other that they are alive. */
  isWhole(): boolean {
    const { up } = this;
    return up.every((node) => {
      const status = new Map(node.gossip.status().members.map((each) => [each.node, each.status]));
      return up.every(({ name }) => status.get(id(name)) === "alive");
    });
  }

  /** True when all others that are up say that of `name`. */
  allSay(name: string, status: MemberStatus | null): boolean {
    const others = this.up.filter((node) => node.name !== name);
    return others.every((node) => node.statusOf(name) === status);
  }

  #take(node: FleetNode, event: GossipEvent, told: string): void {
    const output = node.gossip.takeOutput();
    node.turns?.push({ at: this.now, event, output });
    if (this.tale !== null && (output !== null || !told.endsWith("deadline"))) {
      this.tale.push(told);
      for (const line of output === null ? [] : describeOutput(output)) {
        this.tale.push(`${node.name}   > ${line}`);
      }
    }
    if (output !== null) this.#perform(node, output);
  }

  #perform(node: FleetNode, output: GossipOutput): void {
    for (const { to, bytes } of output.packets) this.#send(node, to, bytes);
    for (const { streamId, to } of output.dials) this.#dial(node, streamId, to);
    for (const { streamId, bytes } of output.streamWrites) {
      const reading = new StreamReader().take(bytes);
      if (reading.kind === "message" && reading.message.kind === "push-pull") {
        for (const record of reading.message.nodes) this.#checkIncarnation(record);
      }
      const end = this.#ends.get(`${node.key}/${streamId}`);
      if (end === undefined) continue;
      // In two pieces, as streams may come.
      const cut = this.#prng.below(bytes.length + 1);
      for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
        const event = { kind: "stream-bytes", streamId: end.id, bytes: freeze(piece) } as const;
        if (piece.length > 0) this.#laterInOrder(end, event);
      }
    }
    for (const { streamId, why } of output.streamCloses) {
      const key = `${node.key}/${streamId}`;
      const end = this.#ends.get(key);
      if (end === undefined) continue;
      this.#ends.delete(key);
      this.#ends.delete(`${end.node}/${end.id}`);
      this.#laterInOrder(end, { kind: "stream-closed", streamId: end.id, why });
    }
    node.happenings.push(...output.happenings);
    node.heard.push(...output.heard);
    for (const answer of output.answers) {
      if (node.answers.has(answer.requestId)) throw new Error("one answer for each request");
      node.answers.set(answer.requestId, answer);
    }
  }

  #send(node: FleetNode, to: Address, bytes: FrozenBytes): void {
    node.packetsSent += 1;
    node.bytesSent += bytes.length;
    const { parts, drops } = readPacket(bytes);
    if (drops.length > 0) throw new Error(`${node.name} sends what is ${drops.join()}`);
    for (const { message } of parts) if (isClaim(message)) this.#checkIncarnation(message);
    const target = this.#at(to);
    if (target === null || !this.isOpen(node.name, target.name)) return;
    if (this.#prng.below(100) < this.lossPercent) return;
    const from = node.options.address;
    const way = this.distance(node.name, target.name);
    this.#later(target, { kind: "packet", from, bytes }, way);
  }

  #dial(node: FleetNode, streamId: StreamId, to: Address): void {
    const mine: End = { node: node.key, life: node.life, id: streamId };
    const target = this.#at(to);
    if (target === null || !this.isOpen(node.name, target.name)) {
      this.#later(mine, { kind: "stream-closed", streamId, why: "connection refused" });
      return;
    }
    const theirs: End = {
      node: target.key,
      life: target.life,
      id: target.nextAccepted as StreamId,
    };
    target.nextAccepted += 2;
    this.#ends.set(`${node.key}/${streamId}`, theirs);
    this.#ends.set(`${target.key}/${theirs.id}`, mine);
    const peer = node.options.address;
    const opened = { kind: "stream-opened", streamId: theirs.id, peer, dialed: false } as const;
    this.#laterInOrder(theirs, opened);
    this.#laterInOrder(mine, { kind: "stream-opened", streamId, peer: to, dialed: true });
  }

  #at(address: Address): FleetNode | null {
    const wanted = describeAddress(address);
    return this.nodes.find(({ isUp, key }) => isUp && key === wanted) ?? null;
  }

  #later(to: FleetNode | End, event: GossipEvent, more = 0): void {
    const latency = this.#prng.between(100, this.latencyMax) + more;
    this.#put(to, event, latency as Micros);
  }

  /** What belongs to a stream comes in the order in which it was sent. */
  #laterInOrder(to: End, event: GossipEvent): void {
    this.#put(to, event, this.latencyMax);
  }

  #put(to: FleetNode | End, event: GossipEvent, latency: Micros): void {
    const key = to instanceof FleetNode ? to.key : to.node;
    const lag = this.nodes.find((node) => node.key === key)?.lag ?? 0;
    this.#order += 1;
    const due: Due = {
      at: (this.now + latency + lag) as Instant,
      order: this.#order,
      node: key,
      life: to.life,
      event,
    };
    let at = this.#due.length;
    while (at > 0 && isAfter(this.#due[at - 1] as Due, due)) at -= 1;
    this.#due.splice(at, 0, due);
  }

  /** Whatever comes next, if it comes by `end`. */
  #runOne(end: Instant): boolean {
    const next = this.#due[0];
    let at = next?.at ?? NEVER;
    let woken: FleetNode | null = null;
    for (const node of this.nodes) {
      if (!node.isUp) continue;
      const { deadline } = node;
      const isBusy = node.waiting.length > 0;
      const wakesAt = Math.max(isBusy ? this.now : deadline, node.pausedUntil, this.now);
      if (wakesAt >= at || (deadline === NEVER && !isBusy)) continue;
      at = wakesAt as Instant;
      woken = node;
    }
    if (at > end) return false;
    this.now = at;
    if (woken !== null) this.#wake(woken);
    else if (next !== undefined) {
      this.#due.shift();
      const node = this.nodes.find(({ key }) => key === next.node);
      if (node !== undefined && node.life === next.life) this.turn(node, next.event);
    }
    return true;
  }

  /** The mail first, then time: whoever was paused hears what came meanwhile. */
  #wake(node: FleetNode): void {
    for (const event of node.waiting.splice(0)) this.turn(node, event);
    if (this.now >= node.deadline) this.turn(node, { kind: "deadline" });
  }

  /** Nobody speaks of an incarnation that its owner has not begun. */
  #checkIncarnation({ node, incarnation }: Claimed): void {
    for (const { name, gossip } of this.nodes) {
      this.#highest.set(name, Math.max(this.#highest.get(name) ?? 0, gossip.incarnation));
    }
    const highest = this.#highest.get(node);
    if (highest === undefined || incarnation <= highest) return;
    throw new Error(`somebody raised the incarnation of ${node}`);
  }

  readonly #highest = new Map<string, number>();
}

type Claimed = Pick<NodeRecord, "node" | "incarnation">;

function isClaim(message: PacketMessage): message is Extract<PacketMessage, Claimed> {
  return message.kind === "alive" || message.kind === "suspect" || message.kind === "dead";
}

function isAfter(a: Due, b: Due): boolean {
  return a.at > b.at || (a.at === b.at && a.order > b.order);
}
