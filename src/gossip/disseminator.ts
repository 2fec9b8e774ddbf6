// Rumors on their way out: a packet to a few members every gossip interval while there is anything
// to tell, and what room is left in every other packet. Owns when and to whom; what is told is
// rumors.ts.

import type { Address } from "../base/address.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import { type Instant, NEVER } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import { COMPOUND_PARTS_MAX, PACKET_BYTES_TARGET } from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import { COMPOUND_BYTES, COMPOUND_BYTES_PER_PART } from "./packet-codec.ts";
import type { GossipProfile } from "./protocol.ts";
import { Recurring } from "./recurring.ts";
import type { Member, Roster } from "./roster.ts";
import type { Rumors } from "./rumors.ts";

/** Peers that say they speak this protocol or a later one take a checksum. */
const CRC_PROTOCOL = 5;

export class Disseminator {
  readonly #profile: GossipProfile;
  readonly #roster: Roster;
  readonly #rumors: Rumors;
  readonly #outbox: Outbox;
  readonly #round: Recurring;

  constructor(
    profile: GossipProfile,
    roster: Roster,
    rumors: Rumors,
    outbox: Outbox,
    prng: Prng,
    now: Instant,
  ) {
    this.#profile = profile;
    this.#roster = roster;
    this.#rumors = rumors;
    this.#outbox = outbox;
    this.#round = new Recurring(now, profile.gossipInterval, prng.fork("gossip.stagger.gossip"));
  }

  /** Nobody to tell, or nothing, is nothing to wait for. */
  get deadline(): Instant {
    return this.#rumors.size > 0 && this.#roster.size > 0 ? this.#round.at : NEVER;
  }

  timePassed(now: Instant): void {
    if (now < this.deadline) return;
    this.#round.moveBeyond(now, this.#profile.gossipInterval);
    const targets = this.#roster.pick(this.#profile.gossipNodes, (member) =>
      this.#roster.isGossipTarget(now, member),
    );
    for (const target of targets) this.#tell(now, target);
  }

  /** The phase goes on while there was nothing to tell: no round is made up for. */
  waited(now: Instant): void {
    if (this.deadline === NEVER) this.#round.moveBeyond(now, this.#profile.gossipInterval);
  }

  /** A packet with `parts` and as many rumors as fit; returns its bytes on the wire. */
  send(now: Instant, to: Address, parts: readonly FrozenBytes[], bytesMax: number): number {
    const room = Math.min(bytesMax, PACKET_BYTES_TARGET) - compoundBytes(parts);
    const rumors = this.#rumors.take(now, room, COMPOUND_PARTS_MAX - parts.length);
    return this.#outbox.packet(to, [...parts, ...rumors], false);
  }

  /** A packet with `parts` alone, sealed as its reader takes it. */
  sendTo(member: Member, parts: readonly FrozenBytes[]): void {
    this.#outbox.packet(member.announcement.address, parts, takesCrc(member));
  }

  #tell(now: Instant, target: Member): void {
    const rumors = this.#rumors.take(now, PACKET_BYTES_TARGET - COMPOUND_BYTES, COMPOUND_PARTS_MAX);
    if (rumors.length > 0) this.sendTo(target, rumors);
  }
}

/** What parts cost in a compound that more parts may join. */
export function compoundBytes(parts: readonly FrozenBytes[]): number {
  return parts.reduce((sum, { length }) => sum + length + COMPOUND_BYTES_PER_PART, COMPOUND_BYTES);
}

function takesCrc({ announcement }: Member): boolean {
  return announcement.versions.protocolMax >= CRC_PROTOCOL;
}
