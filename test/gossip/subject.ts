// One gossip machine with nobody around it: a test says what it hears and sees what it says, packet
// by packet, in decoded form.
import type { Address } from "../../src/base/address.ts";
import { freeze } from "../../src/base/bytes.ts";
import type { Instant, Micros, NodeId, StreamId } from "../../src/base/ids.ts";
import { Gossip } from "../../src/gossip/gossip.ts";
import { encodeMessage } from "../../src/gossip/message-codec.ts";
import {
  type Alive,
  type Dead,
  type Incarnation,
  type LamportTime,
  type NodeRecord,
  OUR_VERSIONS,
  type PacketMessage,
  type Ping,
  type PushPull,
  type SerfMessage,
  type SerfState,
  type StreamMessage,
  type Suspect,
} from "../../src/gossip/messages.ts";
import { readPacket, sealPacket } from "../../src/gossip/packet-codec.ts";
import type {
  DropReason,
  GossipEvent,
  GossipOptions,
  GossipOutput,
} from "../../src/gossip/protocol.ts";
import { encodeStream, StreamReader } from "../../src/gossip/stream-codec.ts";
import { addressOf, id, optionsOf } from "./fleet.ts";

const NOTHING: GossipOutput = {
  packets: [],
  dials: [],
  streamWrites: [],
  streamCloses: [],
  happenings: [],
  heard: [],
  answers: [],
  notices: [],
};

export interface Said {
  readonly to: Address;
  readonly messages: readonly PacketMessage[];
  readonly bytes: number;
}

/** The machine is `n0` at host 100; others are `n1` at host 1, and so on. */
export class Subject {
  readonly gossip: Gossip;
  now = 1_000_000_000 as Instant;
  output: GossipOutput = NOTHING;

  constructor(more: Partial<GossipOptions> = {}) {
    this.gossip = new Gossip(optionsOf("n0", 100, more), this.now);
  }

  step(event: GossipEvent): GossipOutput {
    this.gossip.step(this.now, event);
    this.output = this.gossip.takeOutput() ?? NOTHING;
    return this.output;
  }

  /** What it answers to one packet. */
  hear(host: number, ...messages: readonly PacketMessage[]): Said[] {
    const bytes = sealPacket(messages.map(encodeMessage), { crc: false, compress: false });
    return said(this.step({ kind: "packet", from: addressOf(host), bytes }));
  }

  hearSerf(host: number, message: SerfMessage): Said[] {
    return this.hear(host, { kind: "user", message });
  }

  /** Lets time pass; everything it says meanwhile. */
  pass(span: Micros): Said[] {
    const end = (this.now + span) as Instant;
    const all: Said[] = [];
    while (this.gossip.deadline <= end) {
      this.now = Math.max(this.now, this.gossip.deadline) as Instant;
      all.push(...said(this.step({ kind: "deadline" })));
    }
    this.now = end;
    return all;
  }

  /** Goes to the next instant at which time matters. */
  wake(): Said[] {
    this.now = Math.max(this.now, this.gossip.deadline) as Instant;
    return said(this.step({ kind: "deadline" }));
  }

  /** Opens a stream of somebody's and says one thing on it. */
  hearStream(streamId: number, host: number, message: StreamMessage): StreamMessage[] {
    const id = streamId as StreamId;
    this.step({ kind: "stream-opened", streamId: id, peer: addressOf(host), dialed: false });
    const bytes = encodeStream(message, { compress: false });
    return written(this.step({ kind: "stream-bytes", streamId: id, bytes }));
  }

  stateOf(host: number) {
    return this.gossip.stateOf(id(`n${host}`));
  }

  member(host: number) {
    return this.gossip.status().members.find(({ node }) => node === `n${host}`);
  }

  get dropped(): Readonly<Partial<Record<DropReason, number>>> {
    return this.gossip.status().dropped;
  }

  get incarnation(): number {
    return this.gossip.status().incarnation;
  }
}

/** A machine that has met n1 .. n`count`, with whom all is quiet. */
export function acquainted(count: number, more: Partial<GossipOptions> = {}): Subject {
  const subject = new Subject(more);
  for (let host = 1; host <= count; host++) subject.hear(host, alive(host, 1));
  return subject;
}

export const said = (output: GossipOutput): Said[] =>
  output.packets.map(({ to, bytes }) => {
    const messages = readPacket(bytes).parts.map(({ message }) => message);
    return { to, messages, bytes: bytes.length };
  });

export const written = (output: GossipOutput): StreamMessage[] =>
  output.streamWrites.flatMap(({ bytes }) => {
    const reading = new StreamReader().take(bytes);
    return reading.kind === "message" ? [reading.message] : [];
  });

export function alive(host: number, incarnation: number, more: Partial<Alive> = {}): Alive {
  return {
    kind: "alive",
    node: id(`n${host}`),
    incarnation: incarnation as Incarnation,
    address: addressOf(host),
    meta: freeze(new Uint8Array(0)),
    versions: OUR_VERSIONS,
    ...more,
  };
}

export function suspect(host: number, incarnation: number, from: number): Suspect {
  const node = id(`n${host}`);
  return { kind: "suspect", node, incarnation: incarnation as Incarnation, from: id(`n${from}`) };
}

export function dead(host: number, incarnation: number, from: number): Dead {
  const node = id(`n${host}`);
  return { kind: "dead", node, incarnation: incarnation as Incarnation, from: id(`n${from}`) };
}

export const time = (count: number) => count as LamportTime;

export function joinIntent(host: number, at: number): SerfMessage {
  return { kind: "join-intent", node: id(`n${host}`), time: time(at) };
}

export function leaveIntent(host: number, at: number, prune = false): SerfMessage {
  return { kind: "leave-intent", node: id(`n${host}`), time: time(at), prune };
}

export function record(
  host: number,
  incarnation: number,
  state: NodeRecord["state"] = "alive",
): NodeRecord {
  const { node, address, meta, versions } = alive(host, incarnation);
  return { node, address, meta, versions, incarnation: incarnation as Incarnation, state };
}

export function serfState(times: Readonly<Record<string, number>>, left: string[] = []): SerfState {
  return {
    kind: "state",
    time: time(1),
    statusTimes: new Map(
      Object.entries(times).map(([name, at]) => [name as NodeId, time(at)] as const),
    ),
    left: left.map(id),
    eventTime: time(1),
    events: [],
    queryTime: time(1),
  };
}

export function pushPull(
  nodes: readonly NodeRecord[],
  serf: SerfState | null = null,
  join = false,
): PushPull {
  return { kind: "push-pull", join, nodes, nodesDropped: 0, serf };
}

/** The messages of one kind, in the order said. */
export const ofKind = <Kind extends PacketMessage["kind"]>(said: readonly Said[], kind: Kind) =>
  said.flatMap(({ messages }) =>
    messages.filter(
      (message): message is Extract<PacketMessage, { kind: Kind }> => message.kind === kind,
    ),
  );

/** What was said about the standing of one member. */
export const claimsOf = (said: readonly Said[], host: number) => {
  const claims = [...ofKind(said, "alive"), ...ofKind(said, "suspect"), ...ofKind(said, "dead")];
  return claims.filter(({ node }) => node === `n${host}`);
};

/** A ping from one member to another. */
export function ping(sequence: number, host: number, node: string | null = "n0"): Ping {
  return {
    kind: "ping",
    sequence,
    node: node === null ? null : id(node),
    source: addressOf(host),
    sourceNode: id(`n${host}`),
  };
}
