// The host of one gossip machine: the mailbox in front of it, its alarm, and the performing of its
// outputs on the ports. Production and simulation both come through here. Owns the order of a turn
// and the bounds of waiting mail; every decision is the machine's (src/gossip/gossip.ts).

import { type Address, describeAddress } from "../base/address.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import {
  after,
  earlier,
  type Instant,
  type Micros,
  NEVER,
  type NodeId,
  type StreamId,
} from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import type { Coordinate } from "../gossip/coordinate.ts";
import { DropLedger } from "../gossip/drops.ts";
import { Gossip } from "../gossip/gossip.ts";
import type { Incarnation } from "../gossip/messages.ts";
import type {
  DropReason,
  GossipAnswer,
  GossipEvent,
  GossipOptions,
  GossipOutput,
  GossipStatus,
  Happening,
  Heard,
} from "../gossip/protocol.ts";
import type { Clock, ClockInbox } from "../ports/clock.ts";
import type { GossipInbox, GossipNetwork } from "../ports/gossip.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { type GossipEncryption, GossipSealing } from "./gossip-sealing.ts";

export interface GossipPorts {
  readonly clock: Clock;
  readonly network: GossipNetwork;
  readonly telemetry: Telemetry;
  readonly prng: Prng;
  /** Absent: everything is plain, and what is sealed is dropped. */
  readonly encryption?: GossipEncryption;
}

/** Hears what the machine has to say to its owner; called after everything else of a turn. */
export interface GossipListener {
  happened(happening: Happening): void;
  answered(answer: GossipAnswer): void;
  /** What members said beside membership; after the answer to the request it belongs to. */
  heard?(heard: Heard): void;
  /** Somebody came, went or changed, or this member raised its incarnation or left. */
  changed?(): void;
}

export type GossipRequest = Extract<GossipEvent, { requestId: unknown }>;

/** Events a turn takes before it lets time pass. */
const TURN_EVENTS_MAX = 256;
/** Packets that wait for a turn; more are dropped. */
export const PACKETS_WAITING_MAX = 1024;
/** Bytes of streams that wait for a turn; a stream that has more is closed. */
export const STREAM_BYTES_WAITING_MAX = 16 << 20;
/** Requests that wait for a turn; more are refused. */
const REQUESTS_WAITING_MAX = 256;

interface Chore {
  readonly at: Instant;
  readonly run: () => void;
}

export class GossipHost implements ClockInbox, GossipInbox {
  readonly #ports: GossipPorts;
  readonly #listener: GossipListener;
  readonly #gossip: Gossip;
  readonly #sealing: GossipSealing;
  readonly #drops = new DropLedger();
  /** Who is at the other end of what is open. */
  readonly #peers = new Map<StreamId, Address>();
  #mail: GossipEvent[] = [];
  #packetsWaiting = 0;
  #streamBytesWaiting = 0;
  #requestsWaiting = 0;
  #chores: Chore[] = [];
  /** Even: the machine counts what it dials in odd numbers. */
  #nextAccepted = 2;
  #isHalted = false;
  #incarnation: Incarnation;

  /** Begins at once. `options` without what the ports give. */
  constructor(options: Omit<GossipOptions, "prng">, ports: GossipPorts, listener: GossipListener) {
    this.#ports = ports;
    this.#listener = listener;
    this.#gossip = new Gossip({ ...options, prng: ports.prng }, ports.clock.now());
    this.#incarnation = this.#gossip.incarnation;
    this.#sealing = new GossipSealing(ports.encryption ?? null);
    ports.clock.attach(this);
    ports.network.attach(this);
    ports.clock.wakeSoon();
  }

  /** False when too many wait: nothing was taken, and no answer comes. */
  offer(request: GossipRequest): boolean {
    if (this.#isHalted || this.#requestsWaiting >= REQUESTS_WAITING_MAX) return false;
    this.#requestsWaiting++;
    this.#receive(request);
    return true;
  }

  /** Runs `run` once, in the turn after `span` has passed. */
  later(span: Micros, run: () => void): void {
    const at = after(this.#ports.clock.now(), span);
    this.#chores.push({ at, run });
    this.#ports.clock.wakeSoon();
  }

  status(): GossipStatus {
    const status = this.#gossip.status();
    const dropped: Partial<Record<DropReason, number>> = { ...status.dropped };
    for (const [reason, count] of Object.entries(this.#drops.counts)) {
      const key = reason as DropReason;
      dropped[key] = (dropped[key] ?? 0) + count;
    }
    return { ...status, dropped };
  }

  /** Where `node` is, as far as it is known here. */
  coordinateOf(node: NodeId): Coordinate | null {
    return this.#gossip.coordinateOf(node);
  }

  /** The estimated round trip between two members; null where one's place is unknown. */
  roundTrip(from: NodeId, to: NodeId): Micros | null {
    return this.#gossip.roundTrip(from, to);
  }

  /** Hears and says nothing more; the ports are their owner's to close. */
  halt(): void {
    this.#isHalted = true;
    this.#mail = [];
    this.#chores = [];
  }

  /** One turn: a batch of mail, one look at the clock, then time passes. */
  alarm(): void {
    if (this.#isHalted) return;
    const { clock } = this.#ports;
    const batch = this.#takeBatch();
    const now = clock.now();
    for (const event of batch) this.#gossip.step(now, event);
    const isCaughtUp = this.#mail.length === 0;
    if (isCaughtUp && this.#gossip.deadline <= now) this.#gossip.step(now, { kind: "deadline" });
    const output = this.#gossip.takeOutput();
    if (output !== null) this.#perform(output);
    this.#runChores(now);
    if (this.#mail.length > 0) clock.wakeSoon();
    else clock.wakeAt(this.#deadline());
  }

  nextStreamId(): StreamId {
    const streamId = this.#nextAccepted as StreamId;
    this.#nextAccepted += 2;
    return streamId;
  }

  packet(from: Address, bytes: FrozenBytes): void {
    if (this.#packetsWaiting >= PACKETS_WAITING_MAX) {
      this.overflowed(from, "queue-full");
      return;
    }
    const plain = this.#sealing.openPacket(bytes);
    if (typeof plain === "string") {
      this.#drop(from, plain);
      return;
    }
    this.#packetsWaiting++;
    this.#receive({ kind: "packet", from, bytes: plain });
  }

  streamOpened(streamId: StreamId, peer: Address, dialed: boolean): void {
    this.#peers.set(streamId, peer);
    this.#receive({ kind: "stream-opened", streamId, peer, dialed });
  }

  streamBytes(streamId: StreamId, bytes: FrozenBytes): boolean {
    if (this.#streamBytesWaiting + bytes.length > STREAM_BYTES_WAITING_MAX) {
      this.streamClosed(streamId, "too much waits to be read");
      return false;
    }
    const plain = this.#sealing.takeStream(streamId, bytes);
    if (plain === null) return true;
    if (typeof plain === "string") {
      const peer = this.#peers.get(streamId);
      if (peer !== undefined) this.#drop(peer, plain);
      this.streamClosed(streamId, plain);
      return false;
    }
    this.#streamBytesWaiting += plain.length;
    this.#receive({ kind: "stream-bytes", streamId, bytes: plain });
    return true;
  }

  streamClosed(streamId: StreamId, why: string): void {
    this.#forget(streamId);
    this.#receive({ kind: "stream-closed", streamId, why });
  }

  overflowed(peer: Address, what: "queue-full" | "too-many-streams"): void {
    this.#drop(peer, what);
  }

  #drop(from: Address, reason: DropReason): void {
    const notice = this.#drops.note(this.#ports.clock.now(), describeAddress(from), reason);
    if (notice !== null) this.#ports.telemetry.notice(notice);
  }

  #forget(streamId: StreamId): void {
    this.#peers.delete(streamId);
    this.#sealing.forget(streamId);
  }

  #receive(event: GossipEvent): void {
    if (this.#isHalted) return;
    this.#mail.push(event);
    this.#ports.clock.wakeSoon();
  }

  #takeBatch(): readonly GossipEvent[] {
    const batch = this.#mail.splice(0, TURN_EVENTS_MAX);
    for (const event of batch) {
      if (event.kind === "packet") this.#packetsWaiting--;
      else if (event.kind === "stream-bytes") this.#streamBytesWaiting -= event.bytes.length;
      else if ("requestId" in event) this.#requestsWaiting--;
    }
    return batch;
  }

  /** Listeners come last and may ask for more, or halt the host, while they are told. */
  #perform(output: GossipOutput): void {
    const { network, telemetry } = this.#ports;
    for (const { to, bytes } of output.packets) {
      network.sendPacket(to, this.#sealing.sealPacket(bytes));
    }
    for (const { streamId, to } of output.dials) network.dial(streamId, to);
    for (const { streamId, bytes } of output.streamWrites) {
      network.write(streamId, this.#sealing.sealStream(streamId, bytes));
    }
    for (const { streamId } of output.streamCloses) {
      network.closeStream(streamId);
      this.#forget(streamId);
    }
    for (const notice of output.notices) telemetry.notice(notice);
    for (const happening of output.happenings) {
      if (!this.#isHalted) this.#listener.happened(happening);
    }
    for (const answer of output.answers) {
      if (!this.#isHalted) this.#listener.answered(answer);
    }
    for (const heard of output.heard) {
      if (!this.#isHalted) this.#listener.heard?.(heard);
    }
    const hasRaised = this.#gossip.incarnation !== this.#incarnation;
    this.#incarnation = this.#gossip.incarnation;
    const hasChanged = hasRaised || output.happenings.length > 0 || output.answers.length > 0;
    if (hasChanged && !this.#isHalted) this.#listener.changed?.();
  }

  #runChores(now: Instant): void {
    const due = this.#chores.filter(({ at }) => at <= now);
    if (due.length === 0) return;
    this.#chores = this.#chores.filter(({ at }) => at > now);
    for (const { run } of due) run();
  }

  #deadline(): Instant {
    const chores = this.#chores.reduce((first, { at }) => earlier(first, at), NEVER);
    return earlier(this.#gossip.deadline, chores);
  }
}
