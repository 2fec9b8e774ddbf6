// Many gossip machines in virtual time, for measurements: packets that take a moment, streams, a
// member that crashes and comes back, one whose messages are held up. Owns the network and who is
// up; no sockets, no hosts, nothing lost. What is measured is gossip-trials.ts.

import { Timeline } from "../sim/timeline.ts";
import { type Address, describeAddress } from "../src/base/address.ts";
import { type FrozenBytes, freeze } from "../src/base/bytes.ts";
import type { Instant, Micros, NodeId, StreamId } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import { Gossip } from "../src/gossip/gossip.ts";
import type { Incarnation } from "../src/gossip/messages.ts";
import type {
  GossipEvent,
  GossipOutput,
  GossipProfile,
  GossipRequestId,
  Happening,
} from "../src/gossip/protocol.ts";

/** One way, drawn for each packet: a network of one data centre. */
const ONE_WAY_MIN = 200;
const ONE_WAY_MAX = 1000;
const PORT = 7946;

export interface FleetOptions {
  readonly size: number;
  readonly profile: GossipProfile;
  /** Of each member: what is to be told beyond it is told less often than it should. */
  readonly rumorsMax: number;
  readonly prng: Prng;
  /** Hears what each member comes to know. */
  readonly happened?: (observer: FleetMember, happening: Happening) => void;
}

/** The other end of a stream that is open. */
interface End {
  readonly member: FleetMember;
  readonly life: number;
  readonly id: StreamId;
}

export class FleetMember {
  readonly name: NodeId;
  readonly address: Address;
  gossip: Gossip;
  /** Counts its starts: what is on its way to an earlier one does not arrive. */
  life = 0;
  isUp = true;
  /** What it says and hears is held up until then; its clock goes on. */
  heldUntil = 0 as Instant;
  /** When it will be woken; older alarms are void. */
  wakeAt = Number.POSITIVE_INFINITY;
  readonly streams = new Map<StreamId, End>();
  nextAccepted = 2;
  packetsSent = 0;
  /** Of packets and streams. */
  bytesSent = 0;

  constructor(name: NodeId, address: Address, gossip: Gossip) {
    this.name = name;
    this.address = address;
    this.gossip = gossip;
  }
}

export class GossipFleet {
  readonly timeline = new Timeline();
  readonly members: readonly FleetMember[];
  readonly #options: FleetOptions;
  readonly #byAddress = new Map<string, FleetMember>();
  readonly #ways: Prng;
  #requests = 0;

  /** Nobody knows anybody yet. */
  constructor(options: FleetOptions) {
    this.#options = options;
    this.#ways = options.prng.fork("ways");
    this.members = Array.from({ length: options.size }, (_, place) => {
      const name = `m${place}` as NodeId;
      const ip = freeze(Uint8Array.of(10, 0, place >> 8, place & 0xff));
      const address = { ip, port: PORT };
      const member = new FleetMember(name, address, this.#born(name, address, 1, 0));
      this.#byAddress.set(describeAddress(address), member);
      return member;
    });
  }

  get now(): Instant {
    return this.timeline.now;
  }

  run(span: Micros): void {
    this.timeline.advanceTo(this.now + span);
  }

  /** False when it was not so within `patience`; time stops at the event that made it so. */
  runUntil(isSo: () => boolean, patience: Micros): boolean {
    const end = this.now + patience;
    while (!isSo()) {
      if (this.timeline.next > end) return false;
      this.timeline.advance();
    }
    return true;
  }

  join(member: FleetMember, contact: FleetMember): void {
    const addresses = [contact.address];
    this.#turn(member, { kind: "join", requestId: this.#nextRequest(), addresses });
  }

  setTag(member: FleetMember, value: string): void {
    const tags = new Map([["round", value]]);
    this.#turn(member, { kind: "set-tags", requestId: this.#nextRequest(), tags });
  }

  /** Gone without a word. */
  crash(member: FleetMember): void {
    member.isUp = false;
    for (const end of member.streams.values()) {
      this.#arrive(end, { kind: "stream-closed", streamId: end.id, why: "reset" }, ONE_WAY_MAX);
    }
    member.streams.clear();
  }

  /** Comes back as from a restart, and remembers its incarnation. */
  revive(member: FleetMember, contact: FleetMember): void {
    const incarnation = member.gossip.incarnation + 1;
    member.life += 1;
    member.isUp = true;
    member.wakeAt = Number.POSITIVE_INFINITY;
    member.gossip = this.#born(member.name, member.address, incarnation, member.life);
    this.join(member, contact);
  }

  #born(self: NodeId, address: Address, incarnation: number, life: number): Gossip {
    const { profile, prng, size, rumorsMax } = this.#options;
    const options = {
      self,
      address,
      tags: new Map<string, string>(),
      incarnation: incarnation as Incarnation,
      profile,
      compress: true,
      coordinates: true,
      membersMax: 2 * size,
      rumorsMax,
      // All may join one at the same time.
      streamsMax: 128 + 4 * size,
      prng: prng.fork(`${self}/${life}`),
    };
    return new Gossip(options, this.now);
  }

  #nextRequest(): GossipRequestId {
    this.#requests += 1;
    return this.#requests as GossipRequestId;
  }

  #turn(member: FleetMember, event: GossipEvent): void {
    const { gossip } = member;
    const now = this.now;
    gossip.step(now, event);
    if (event.kind !== "deadline" && gossip.deadline <= now) gossip.step(now, { kind: "deadline" });
    const output = gossip.takeOutput();
    if (output !== null) this.#perform(member, output);
    this.#setAlarm(member);
  }

  #setAlarm(member: FleetMember): void {
    const at = Math.max(this.now, member.gossip.deadline);
    if (at === member.wakeAt || at >= Number.MAX_SAFE_INTEGER) return;
    member.wakeAt = at;
    const { life } = member;
    this.timeline.at(at, () => {
      if (!member.isUp || member.life !== life || member.wakeAt !== at) return;
      member.wakeAt = Number.POSITIVE_INFINITY;
      this.#turn(member, { kind: "deadline" });
    });
  }

  #perform(member: FleetMember, output: GossipOutput): void {
    for (const { to, bytes } of output.packets) this.#send(member, to, bytes);
    for (const { streamId, to } of output.dials) this.#dial(member, streamId, to);
    for (const { streamId, bytes } of output.streamWrites) {
      member.bytesSent += bytes.length;
      this.#toOther(member, streamId, (id) => ({ kind: "stream-bytes", streamId: id, bytes }));
    }
    for (const { streamId, why } of output.streamCloses) {
      this.#toOther(member, streamId, (id) => ({ kind: "stream-closed", streamId: id, why }));
      const end = member.streams.get(streamId);
      member.streams.delete(streamId);
      end?.member.streams.delete(end.id);
    }
    const { happened } = this.#options;
    if (happened !== undefined) for (const each of output.happenings) happened(member, each);
  }

  #send(member: FleetMember, to: Address, bytes: FrozenBytes): void {
    member.packetsSent += 1;
    member.bytesSent += bytes.length;
    const target = this.#byAddress.get(describeAddress(to));
    if (target === undefined) return;
    const end = { member: target, life: target.life, id: 0 as StreamId };
    const way = this.#ways.between(ONE_WAY_MIN, ONE_WAY_MAX);
    this.#leave(member, end, { kind: "packet", from: member.address, bytes }, way);
  }

  #dial(member: FleetMember, streamId: StreamId, to: Address): void {
    const target = this.#byAddress.get(describeAddress(to));
    const mine: End = { member, life: member.life, id: streamId };
    if (target === undefined || !target.isUp) {
      const why = "connection refused";
      this.#arrive(mine, { kind: "stream-closed", streamId, why }, 2 * ONE_WAY_MAX);
      return;
    }
    const id = target.nextAccepted as StreamId;
    target.nextAccepted += 2;
    const theirs: End = { member: target, life: target.life, id };
    member.streams.set(streamId, theirs);
    target.streams.set(id, mine);
    const { address: peer } = member;
    const opened: GossipEvent = { kind: "stream-opened", streamId: id, peer, dialed: false };
    this.#leave(member, theirs, opened, ONE_WAY_MAX);
    const dialed: GossipEvent = { kind: "stream-opened", streamId, peer: to, dialed: true };
    this.#leave(member, mine, dialed, 2 * ONE_WAY_MAX);
  }

  /** In order: what belongs to a stream always takes the longest way. */
  #toOther(member: FleetMember, streamId: StreamId, tell: (id: StreamId) => GossipEvent): void {
    const end = member.streams.get(streamId);
    if (end !== undefined) this.#leave(member, end, tell(end.id), ONE_WAY_MAX);
  }

  /** Whoever is held up says it when that is over. */
  #leave(from: FleetMember, to: End, event: GossipEvent, way: number): void {
    this.#arrive(to, event, Math.max(0, from.heldUntil - this.now) + way);
  }

  #arrive(to: End, event: GossipEvent, span: number): void {
    this.timeline.after(span, () => {
      const { member, life } = to;
      if (!member.isUp || member.life !== life) return;
      const held = member.heldUntil - this.now;
      if (held > 0) this.#arrive(to, event, held);
      else this.#turn(member, event);
    });
  }
}
