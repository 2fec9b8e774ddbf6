// Network coordinates as members tell each other of them, in the payload of direct acks: ours, kept
// by vivaldi.ts from what our own probes measure, and the last one heard of each other. Owns what
// is told, taken and shown; in memory only. Nothing is decided by it.

import { EMPTY_BYTES, type FrozenBytes } from "../base/bytes.ts";
import type { Micros, NodeId } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import { type Coordinate, decodeCoordinate, encodeCoordinate } from "./coordinate.ts";
import type { LocalMember } from "./local-member.ts";
import type { DropReason } from "./protocol.ts";
import type { Member, Roster } from "./roster.ts";
import { filtered, ROUND_TRIP_MAX, roundTripBetween, Vivaldi } from "./vivaldi.ts";

export class Coordinates {
  readonly #isOn: boolean;
  readonly #self: LocalMember;
  readonly #roster: Roster;
  readonly #vivaldi: Vivaldi;
  /** Of our coordinate as it is; null after it has moved. */
  #payload: FrozenBytes | null = null;

  /** Where they are off, nothing is told, taken or shown. */
  constructor(isOn: boolean, self: LocalMember, roster: Roster, prng: Prng) {
    this.#isOn = isOn;
    this.#self = self;
    this.#roster = roster;
    this.#vivaldi = new Vivaldi(prng.fork("gossip.coordinates"));
  }

  /** What a direct ack carries; empty where coordinates are off. */
  get payload(): FrozenBytes {
    if (!this.#isOn) return EMPTY_BYTES;
    this.#payload ??= encodeCoordinate(this.#vivaldi.own);
    return this.#payload;
  }

  /**
   * `member` answered our ping directly, after `roundTrip`. Says why, if a correct member would not
   * have told such a coordinate; one that tells none is no worse for it.
   */
  answered(member: Member, roundTrip: Micros, payload: FrozenBytes): DropReason | null {
    if (!this.#isOn || payload.length === 0) return null;
    const told = decodeCoordinate(payload);
    if (told === null) return "bad-coordinate";
    if (roundTrip > ROUND_TRIP_MAX) return null;
    this.#vivaldi.observe(told, filtered(member.latencies, roundTrip));
    this.#payload = null;
    member.coordinate = told;
    return null;
  }

  /** Ours once it has been measured, another's once it was told; null otherwise. */
  of(node: NodeId): Coordinate | null {
    if (node !== this.#self.node) return this.#roster.get(node)?.coordinate ?? null;
    return this.#vivaldi.hasMoved ? this.#vivaldi.own : null;
  }

  /** The estimated round trip; null where one of the two is in an unknown place. */
  roundTrip(from: NodeId, to: NodeId): Micros | null {
    const [a, b] = [this.of(from), this.of(to)];
    return a === null || b === null ? null : roundTripBetween(a, b);
  }
}
