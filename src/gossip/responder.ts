// What we do for others' failure detection: answer their pings, and ping on their behalf whom they
// cannot reach. Bounded twice: in the pings that are under way, and in what one packet may make us
// send.

import type { Address } from "../base/address.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import { EMPTY_BYTES } from "../base/bytes.ts";
import { after, type Instant, NEVER } from "../base/ids.ts";
import type { Coordinates } from "./coordinates.ts";
import { compoundBytes, type Disseminator } from "./disseminator.ts";
import { nackTimeout } from "./formulas.ts";
import type { LocalMember } from "./local-member.ts";
import type { Membership } from "./membership.ts";
import { encodeMessage } from "./message-codec.ts";
import type { Ack, IndirectPing, Nack, Ping } from "./messages.ts";
import type { DropReason, GossipProfile } from "./protocol.ts";
import type { ReplyBudget } from "./reply-budget.ts";
import type { Sequence } from "./sequence.ts";

/** Pings on others' behalf that are under way at once. */
export const RELAYS_MAX = 256;

interface Relay {
  /** The number and the place of who asked. */
  readonly sequence: number;
  readonly asker: Address;
  /** When he is told that there is no answer; null when he did not ask for that, or was told. */
  nackAt: Instant | null;
  /** A late answer is still passed on until then. */
  readonly endsAt: Instant;
}

export class Responder {
  readonly #profile: GossipProfile;
  readonly #self: LocalMember;
  readonly #membership: Membership;
  readonly #disseminator: Disseminator;
  readonly #sequence: Sequence;
  readonly #coordinates: Coordinates;
  /** By the number of our ping; in the order of endsAt. */
  readonly #relays = new Map<number, Relay>();

  constructor(
    profile: GossipProfile,
    self: LocalMember,
    membership: Membership,
    disseminator: Disseminator,
    sequence: Sequence,
    coordinates: Coordinates,
  ) {
    this.#profile = profile;
    this.#self = self;
    this.#membership = membership;
    this.#disseminator = disseminator;
    this.#sequence = sequence;
    this.#coordinates = coordinates;
  }

  get deadline(): Instant {
    let deadline = NEVER;
    for (const { nackAt, endsAt } of this.#relays.values()) {
      const next = nackAt ?? endsAt;
      if (next < deadline) deadline = next;
    }
    return deadline;
  }

  /**
   * Says that we are here. Whoever asks while we hold him for suspect or dead is told so: he may
   * not have heard.
   */
  pinged(now: Instant, ping: Ping, from: Address, budget: ReplyBudget): DropReason | null {
    if (ping.node !== null && ping.node !== this.#self.node) return "not-for-us";
    const accusation =
      ping.sourceNode === null ? null : this.#membership.accusationOf(ping.sourceNode);
    const told = accusation === null ? [] : [encodeMessage(accusation)];
    const { payload } = this.#coordinates;
    const to = ping.source ?? from;
    // What does not fit is left out: first our coordinate, then the accusation.
    const acks = payload.length > 0 ? [payload, EMPTY_BYTES] : [EMPTY_BYTES];
    for (const rest of told.length > 0 ? [told, []] : [told]) {
      for (const carried of acks) {
        const ack = encodeMessage(ackOf(ping.sequence, carried));
        if (this.#maybeReply(now, to, [ack, ...rest], budget)) return null;
      }
    }
    return "answer-too-large";
  }

  /** Pings on behalf of another; both his answers, should they come, are in the budget. */
  askedToPing(
    now: Instant,
    asked: IndirectPing,
    from: Address,
    budget: ReplyBudget,
  ): DropReason | null {
    if (this.#relays.size >= RELAYS_MAX) return "queue-full";
    const { node: sourceNode, address: source } = this.#self;
    const sequence = this.#sequence.take();
    const { node, target } = asked;
    const ping = encodeMessage({ kind: "ping", sequence, node, source, sourceNode });
    const answers = [ackOf(asked.sequence), nackOf(asked.sequence)].map((each) =>
      encodeMessage(each),
    );
    if (!budget.maybeSpend(lengthOf(answers))) return "answer-too-large";
    if (!this.#maybeReply(now, target, [ping], budget)) return "answer-too-large";
    const { probeTimeout, probeInterval } = this.#profile;
    this.#relays.set(sequence, {
      sequence: asked.sequence,
      asker: asked.source ?? from,
      nackAt: asked.nack ? after(now, nackTimeout(probeTimeout)) : null,
      endsAt: after(now, probeInterval),
    });
    return null;
  }

  /** Passes an answer on to who had asked; false when nobody had. */
  maybeAcked(now: Instant, sequence: number): boolean {
    const relay = this.#relays.get(sequence);
    if (relay === undefined) return false;
    this.#relays.delete(sequence);
    this.#answer(now, relay, ackOf(relay.sequence));
    return true;
  }

  timePassed(now: Instant): void {
    for (const [sequence, relay] of this.#relays) {
      if (relay.nackAt !== null && now >= relay.nackAt) {
        relay.nackAt = null;
        this.#answer(now, relay, nackOf(relay.sequence));
      }
      if (now >= relay.endsAt) this.#relays.delete(sequence);
    }
  }

  stop(): void {
    this.#relays.clear();
  }

  /** Within what asking has paid for, so without rumors. */
  #answer(now: Instant, { asker }: Relay, answer: Ack | Nack): void {
    this.#disseminator.send(now, asker, [encodeMessage(answer)], 0);
  }

  #maybeReply(
    now: Instant,
    to: Address,
    parts: readonly FrozenBytes[],
    budget: ReplyBudget,
  ): boolean {
    const least = parts.length === 1 ? lengthOf(parts) : compoundBytes(parts);
    if (least > budget.left) return false;
    budget.maybeSpend(this.#disseminator.send(now, to, parts, budget.left));
    return true;
  }
}

function ackOf(sequence: number, payload: FrozenBytes = EMPTY_BYTES): Ack {
  return { kind: "ack", sequence, payload };
}

function nackOf(sequence: number): Nack {
  return { kind: "nack", sequence };
}

function lengthOf(parts: readonly FrozenBytes[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}
