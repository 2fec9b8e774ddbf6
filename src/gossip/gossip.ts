// Gossip: the pure machine. Who is there, found out by asking (SWIM), told on by rumors, kept
// honest by local health (Lifeguard), in the dialect of Serf 0.9.4. Events go in by `step`,
// decisions come out by `takeOutput`; nothing else happens. This file is the door: it makes the
// parts, sends each event to the one that owns it, and lets time pass.
//
//      packet, stream-*, deadline, join, leave, set-tags, user-event, query ...
//                                  |
//                              gossip.ts
//        +-----------+-------------+------------+------------+---------------+
//   prober.ts   responder.ts  exchanges.ts  departure.ts  talk.ts     disseminator.ts
//   who is      for others'   push/pull,    going in      events,     rumors on
//   there       probes        streams       good order    queries     their way
//        +-----------+-------------+------------+------------+---------------+
//                              membership.ts       what is believed (claims.ts)
//                             serf-members.ts      what operators see
//                     roster.ts, rumors.ts, outbox.ts

import { type Address, sameAddress } from "../base/address.ts";
import { assert, unreachable } from "../base/assert.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import { earlier, type Instant, type Micros, NEVER, type NodeId } from "../base/ids.ts";
import type { Machine } from "../base/machine.ts";
import { AntiEntropy } from "./anti-entropy.ts";
import { Awareness } from "./awareness.ts";
import type { Coordinate } from "./coordinate.ts";
import { Coordinates } from "./coordinates.ts";
import { Departure } from "./departure.ts";
import { Disseminator } from "./disseminator.ts";
import { Exchanges } from "./exchanges.ts";
import { LocalMember } from "./local-member.ts";
import { Membership } from "./membership.ts";
import { encodeMessage } from "./message-codec.ts";
import type { Ack, Alive, Incarnation, MemberState, SerfMessage } from "./messages.ts";
import { NameConflicts } from "./name-conflicts.ts";
import { Outbox } from "./outbox.ts";
import { type PacketPart, readPacket } from "./packet-codec.ts";
import { Prober } from "./prober.ts";
import type {
  DropReason,
  GossipEvent,
  GossipMember,
  GossipOptions,
  GossipOutput,
  GossipStatus,
} from "./protocol.ts";
import { ReplyBudget } from "./reply-budget.ts";
import { Responder } from "./responder.ts";
import { Roster } from "./roster.ts";
import { Rumors } from "./rumors.ts";
import { Sequence } from "./sequence.ts";
import { SerfMembers, showMember } from "./serf-members.ts";
import { Talk } from "./talk.ts";

type Request = Extract<GossipEvent, { requestId: unknown }>;

/**
 * One member's view of all. Its host gives it events, performs every output it takes, and comes
 * back at `deadline`. Throws InvariantViolation for a bug of its own or its host's, never for what
 * anybody says.
 */
export class Gossip implements Machine<GossipEvent, GossipOutput> {
  readonly #options: GossipOptions;
  readonly #self: LocalMember;
  readonly #outbox: Outbox;
  readonly #roster: Roster;
  readonly #rumors: Rumors;
  readonly #awareness: Awareness;
  readonly #serf: SerfMembers;
  readonly #membership: Membership;
  readonly #disseminator: Disseminator;
  readonly #sequence: Sequence;
  readonly #prober: Prober;
  readonly #responder: Responder;
  readonly #exchanges: Exchanges;
  readonly #antiEntropy: AntiEntropy;
  readonly #departure: Departure;
  readonly #coordinates: Coordinates;
  readonly #talk: Talk;
  readonly #nameConflicts: NameConflicts;
  #now: Instant;
  #isStepping = false;

  /** Begins alone; it keeps to itself until it joins somebody, or somebody joins it. */
  constructor(options: GossipOptions, now: Instant) {
    const { profile, prng, rumorsMax, membersMax, compress, streamsMax } = options;
    this.#options = options;
    this.#now = now;
    const self = new LocalMember(options);
    const outbox = new Outbox(compress);
    const roster = new Roster(membersMax, profile.gossipToTheDead, prng);
    const rumors = new Rumors(rumorsMax, profile.retransmitMult, roster);
    const awareness = new Awareness(profile.awarenessMax);
    const talk = new Talk({ profile, self, roster, rumors, outbox, prng });
    const serf = new SerfMembers(profile, self, roster, rumors, outbox, talk.clocks);
    const membership = new Membership(profile, self, roster, rumors, serf, awareness);
    const disseminator = new Disseminator(profile, roster, rumors, outbox, prng, now);
    const sequence = new Sequence();
    const shared = { profile, self, roster, rumors, outbox, awareness, serf, talk, membership };
    const prober = new Prober({ ...shared, disseminator, sequence }, prng, now);
    this.#self = self;
    this.#outbox = outbox;
    this.#roster = roster;
    this.#rumors = rumors;
    this.#awareness = awareness;
    this.#serf = serf;
    this.#membership = membership;
    this.#disseminator = disseminator;
    this.#sequence = sequence;
    this.#prober = prober;
    const coordinates = new Coordinates(options.coordinates, self, roster, prng);
    this.#coordinates = coordinates;
    this.#responder = new Responder(profile, self, membership, disseminator, sequence, coordinates);
    this.#exchanges = new Exchanges({ ...shared, prober, streamsMax, compress });
    this.#antiEntropy = new AntiEntropy(profile, roster, this.#exchanges, prng, now);
    this.#departure = new Departure(shared);
    this.#nameConflicts = new NameConflicts({ ...shared, sequence });
    membership.whenContested((at, theirs) => this.#nameConflicts.heard(at, theirs));
    this.#talk = talk;
    membership.announce();
  }

  get deadline(): Instant {
    if (this.#departure.state === "left") return NEVER;
    return [
      this.#prober.deadline,
      this.#responder.deadline,
      this.#disseminator.deadline,
      this.#membership.deadline,
      this.#serf.deadline,
      this.#exchanges.deadline,
      this.#antiEntropy.deadline,
      this.#talk.deadline,
      this.#nameConflicts.deadline,
      this.#departure.deadline,
    ].reduce(earlier);
  }

  /** What we say of ourselves now. */
  get incarnation(): Incarnation {
    return this.#self.incarnation;
  }

  step(now: Instant, event: GossipEvent): void {
    assert(!this.#isStepping, "a step ends before the next begins");
    assert(now >= this.#now, "time never goes back", now, this.#now);
    this.#isStepping = true;
    this.#now = now;
    this.#disseminator.waited(now);
    this.#prober.waited(now);
    this.#antiEntropy.waited(now);
    this.#dispatch(event);
    this.#maybeDepart();
    this.#isStepping = false;
  }

  takeOutput(): GossipOutput | null {
    assert(!this.#isStepping, "output is taken between steps");
    return this.#outbox.take();
  }

  status(): GossipStatus {
    return {
      self: this.#self.node,
      state: this.#departure.state,
      members: this.#members(),
      incarnation: this.incarnation,
      healthScore: this.#awareness.score,
      time: this.#serf.time,
      eventTime: this.#talk.eventTime,
      queryTime: this.#talk.queryTime,
      rumors: this.#rumors.size,
      rumorsEvicted: this.#rumors.evicted,
      streams: this.#exchanges.streamCount,
      dropped: this.#outbox.dropped,
      at: this.#now,
    };
  }

  /** Rumors that are still told. */
  get rumorCount(): number {
    return this.#rumors.size;
  }

  /** Where `node` is, as far as we were told; ourselves once we have measured. */
  coordinateOf(node: NodeId): Coordinate | null {
    return this.#coordinates.of(node);
  }

  /** The estimated round trip between two members; null where one's place is unknown. */
  roundTrip(from: NodeId, to: NodeId): Micros | null {
    return this.#coordinates.roundTrip(from, to);
  }

  #members(): readonly GossipMember[] {
    const { node, address, tags, incarnation, announcement } = this.#self;
    const { versions } = announcement;
    const { status } = this.#serf;
    const members: GossipMember[] = [{ node, address, tags, status, incarnation, versions }];
    for (const member of this.#roster.members) members.push(showMember(member));
    return members.sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  #dispatch(event: GossipEvent): void {
    switch (event.kind) {
      case "deadline":
        if (this.#departure.state !== "left") this.#timePassed();
        break;
      case "packet":
        if (this.#departure.state === "left") this.#drop(event.from, "after-leave");
        else this.#packetCame(event);
        break;
      case "stream-opened":
        this.#streamOpened(event);
        break;
      case "stream-bytes":
        this.#exchanges.received(this.#now, event.streamId, event.bytes);
        break;
      case "stream-closed":
        this.#exchanges.closed(event.streamId, event.why);
        break;
      case "join":
      case "leave":
      case "force-leave":
      case "set-tags":
      case "user-event":
      case "query":
      case "answer-query":
        this.#requested(event);
        break;
      default:
        unreachable(event);
    }
  }

  /** In this order: what others said is in already, so verdicts fall last of what is found out. */
  #timePassed(): void {
    const now = this.#now;
    const unanswered = this.#prober.timePassed(now);
    if (unanswered !== null) {
      const patience = this.#awareness.scale(this.#options.profile.probeInterval);
      this.#exchanges.ping(now, unanswered, patience);
    }
    this.#responder.timePassed(now);
    this.#exchanges.timePassed(now);
    this.#membership.timePassed(now);
    this.#serf.timePassed(now);
    this.#talk.timePassed(now);
    this.#nameConflicts.timePassed(now);
    this.#antiEntropy.timePassed(now);
    this.#disseminator.timePassed(now);
  }

  #packetCame({ from, bytes }: Extract<GossipEvent, { kind: "packet" }>): void {
    const { parts, drops } = readPacket(bytes);
    for (const reason of drops) this.#drop(from, reason);
    const budget = new ReplyBudget(bytes.length);
    // News before questions, so that the answers are up to date.
    const news = parts.filter((part) => !isQuestion(part));
    const questions = parts.filter(isQuestion);
    for (const part of [...news, ...questions]) {
      const reason = this.#heard(from, part, budget);
      if (reason !== null) this.#drop(from, reason);
    }
  }

  /** Says why, if no correct member would have sent the message, or none that means us. */
  #heard(from: Address, { message, bytes }: PacketPart, budget: ReplyBudget): DropReason | null {
    const now = this.#now;
    switch (message.kind) {
      case "ping":
        return this.#responder.pinged(now, message, from, budget);
      case "indirect-ping":
        return this.#responder.askedToPing(now, message, from, budget);
      case "ack":
        return this.#acked(message);
      case "nack": {
        const { sequence } = message;
        const isKnown = this.#prober.maybeNacked(sequence) || this.#sequence.isRecent(sequence);
        return isKnown ? null : "no-such-ping";
      }
      case "alive": {
        const reason = this.#membership.heard(now, message);
        this.#maybeTellSubject(from, message, budget);
        return reason;
      }
      case "suspect":
      case "dead":
        return this.#membership.heard(now, message);
      case "user":
        return this.#heardSerf(from, message.message, bytes, budget);
      default:
        return unreachable(message);
    }
  }

  /** One count for all pings: an answer is the probe's or a relay's. */
  #acked({ sequence, payload }: Ack): DropReason | null {
    const answer = this.#prober.maybeAcked(this.#now, sequence);
    if (answer !== null) {
      const { target, roundTrip } = answer;
      return roundTrip === null ? null : this.#coordinates.answered(target, roundTrip, payload);
    }
    const isKnown =
      this.#responder.maybeAcked(this.#now, sequence) ||
      this.#nameConflicts.maybeAcked(sequence) ||
      this.#sequence.isRecent(sequence);
    return isKnown ? null : "no-such-ping";
  }

  /**
   * Whoever says that he is there, himself, where we hold him for dead since that very incarnation
   * or a later one, is told so at once: he began anew and does not know that he must refute it.
   */
  #maybeTellSubject(from: Address, { node, address }: Alive, budget: ReplyBudget): void {
    if (!sameAddress(from, address)) return;
    const accusation = this.#membership.accusationOf(node);
    if (accusation === null) return;
    const packed = encodeMessage(accusation);
    if (budget.maybeSpend(packed.length)) this.#outbox.packet(from, [packed], false);
  }

  #heardSerf(
    from: Address,
    message: SerfMessage,
    bytes: FrozenBytes,
    budget: ReplyBudget,
  ): DropReason | null {
    switch (message.kind) {
      case "join-intent":
      case "leave-intent":
        return this.#serf.heard(this.#now, message);
      case "state":
        return "not-for-packets";
      default:
        return this.#talk.heard(this.#now, { from, message, bytes, budget });
    }
  }

  #streamOpened(event: Extract<GossipEvent, { kind: "stream-opened" }>): void {
    const { streamId, peer, dialed } = event;
    if (this.#departure.state !== "left") {
      this.#exchanges.opened(this.#now, streamId, peer, dialed);
      return;
    }
    this.#drop(peer, "after-leave");
    this.#outbox.close(streamId, "we left");
  }

  #requested(event: Request): void {
    const { requestId } = event;
    const { state } = this.#departure;
    if (event.kind === "leave") {
      this.#prober.stop();
      this.#departure.request(this.#now, requestId);
    } else if (state !== "running") this.#outbox.answer({ kind: "refused", requestId, why: state });
    else if (event.kind === "join") {
      this.#exchanges.join(this.#now, requestId, event.addresses, event.replay === true);
    } else if (event.kind === "set-tags") this.#setTags(event);
    else if (event.kind === "force-leave") this.#forceLeave(event);
    else this.#talk.requested(this.#now, event);
  }

  #setTags({ requestId, tags }: Extract<Request, { kind: "set-tags" }>): void {
    if (!this.#self.maybeSetTags(tags)) {
      this.#outbox.answer({ kind: "refused", requestId, why: "tags-too-large" });
      return;
    }
    this.#membership.announce();
    this.#outbox.answer({ kind: "done", requestId });
  }

  #forceLeave({ requestId, node, prune }: Extract<Request, { kind: "force-leave" }>): void {
    const member = this.#roster.get(node);
    if (member === null) {
      this.#outbox.answer({ kind: "refused", requestId, why: "unknown-member" });
      return;
    }
    this.#serf.forceLeave(this.#now, member, prune);
    this.#outbox.answer({ kind: "done", requestId });
  }

  #maybeDepart(): void {
    const { state } = this.#departure;
    const hasLostName = state !== "left" && this.#nameConflicts.hasLost;
    if (hasLostName) this.#departure.fallSilent();
    else if (state !== "leaving" || !this.#departure.maybeEnd(this.#now)) return;
    this.#prober.stop();
    this.#nameConflicts.stop();
    this.#responder.stop();
    this.#exchanges.stop();
    this.#talk.stop();
  }

  #drop(from: Address, reason: DropReason): void {
    this.#outbox.drop(this.#now, from, reason);
  }

  /** What we believe of another member's standing, for checks; null for the unknown. */
  stateOf(node: NodeId): MemberState | null {
    return this.#roster.get(node)?.state ?? null;
  }
}

function isQuestion({ message }: PacketPart): boolean {
  return message.kind === "ping" || message.kind === "indirect-ping";
}
