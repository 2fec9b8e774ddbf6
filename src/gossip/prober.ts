// Failure detection: one member after the other is asked whether it is there, first directly, then
// through others and by a stream at the same time (SWIM, section 4.1; Lifeguard, section IV). Owns
// the probe that runs. Who answers others' probes is responder.ts.

import type { FrozenBytes } from "../base/bytes.ts";
import { after, earlier, type Instant, type Micros, millis, NEVER } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import type { Awareness } from "./awareness.ts";
import type { Disseminator } from "./disseminator.ts";
import type { LocalMember } from "./local-member.ts";
import type { Membership } from "./membership.ts";
import { encodeMessage } from "./message-codec.ts";
import { PACKET_BYTES_TARGET, type Ping } from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import type { GossipProfile } from "./protocol.ts";
import { Recurring } from "./recurring.ts";
import type { Member, Roster } from "./roster.ts";
import type { Sequence } from "./sequence.ts";

/** Peers that say they speak these protocols answer a ping on a stream, or say when they fail. */
const STREAM_PING_PROTOCOL = 3;
const NACK_PROTOCOL = 4;

/** Lost packets are told of at most this often. */
const QUIET_SPAN = millis(60_000);

interface Probe {
  readonly target: Member;
  readonly sequence: number;
  readonly askedAt: Instant;
  /** When others are asked to try; null once they have been. */
  indirectAt: Instant | null;
  readonly deadline: Instant;
  nacksExpected: number;
  nacks: number;
  answeredByStream: boolean;
}

/** A ping that the host's stream shall carry, because packets brought no answer. */
export interface StreamPing {
  readonly target: Member;
  readonly ping: Ping;
}

export interface ProbeAnswer {
  readonly target: Member;
  /** Null when it may not have come straight. */
  readonly roundTrip: Micros | null;
}

export class Prober {
  readonly #profile: GossipProfile;
  readonly #self: LocalMember;
  readonly #roster: Roster;
  readonly #membership: Membership;
  readonly #awareness: Awareness;
  readonly #disseminator: Disseminator;
  readonly #outbox: Outbox;
  readonly #sequence: Sequence;
  readonly #round: Recurring;
  #probe: Probe | null = null;
  #hasStopped = false;
  /** Nobody is told again before this that packets to a member seem to be lost. */
  #quietUntil: Instant = 0 as Instant;

  constructor(
    parts: {
      readonly profile: GossipProfile;
      readonly self: LocalMember;
      readonly roster: Roster;
      readonly membership: Membership;
      readonly awareness: Awareness;
      readonly disseminator: Disseminator;
      readonly outbox: Outbox;
      readonly sequence: Sequence;
    },
    prng: Prng,
    now: Instant,
  ) {
    this.#profile = parts.profile;
    this.#self = parts.self;
    this.#roster = parts.roster;
    this.#membership = parts.membership;
    this.#awareness = parts.awareness;
    this.#disseminator = parts.disseminator;
    this.#outbox = parts.outbox;
    this.#sequence = parts.sequence;
    const stagger = prng.fork("gossip.stagger.probe");
    this.#round = new Recurring(now, parts.profile.probeInterval, stagger);
  }

  get deadline(): Instant {
    if (this.#hasStopped) return NEVER;
    if (this.#probe !== null) {
      return earlier(this.#probe.indirectAt ?? NEVER, this.#probe.deadline);
    }
    return this.#roster.presentCount > 0 ? this.#round.at : NEVER;
  }

  /** While nobody is there, rounds pass unused. */
  waited(now: Instant): void {
    if (this.deadline === NEVER) this.#round.moveBeyond(now, this.#profile.probeInterval);
  }

  /** Ends a probe without answer, begins the next; a stream ping goes to the caller. */
  timePassed(now: Instant): StreamPing | null {
    if (this.#hasStopped) return null;
    // Whoever wakes so late would hear the answers as late.
    if (now >= after(this.deadline, this.#profile.probeInterval)) this.#awareness.wokeLate();
    const probe = this.#probe;
    if (probe !== null && now >= probe.deadline) this.#end(now, probe);
    else if (probe !== null && probe.indirectAt !== null && now >= probe.indirectAt) {
      return this.#askOthers(now, probe);
    }
    if (this.#probe === null && this.#round.isDue(now)) this.#begin(now);
    return null;
  }

  /** Null when nobody was asked with that number. */
  maybeAcked(now: Instant, sequence: number): ProbeAnswer | null {
    const probe = this.#probe;
    if (probe === null || probe.sequence !== sequence) return null;
    this.#probe = null;
    this.#awareness.probeSucceeded();
    const { target, askedAt } = probe;
    // Once others were asked, it may have come by one of them.
    const isDirect = probe.indirectAt !== null;
    return { target, roundTrip: isDirect ? ((now - askedAt) as Micros) : null };
  }

  maybeNacked(sequence: number): boolean {
    const probe = this.#probe;
    if (probe === null || probe.sequence !== sequence) return false;
    probe.nacks = Math.min(probe.nacks + 1, probe.nacksExpected);
    return true;
  }

  /** A stream brought the answer that packets did not; a packet may still do. */
  ackedByStream(sequence: number): void {
    if (this.#probe?.sequence === sequence) this.#probe.answeredByStream = true;
  }

  /** Whoever is about to go passes no more judgement on others. */
  stop(): void {
    this.#hasStopped = true;
    this.#probe = null;
  }

  #begin(now: Instant): void {
    const { probeInterval, probeTimeout } = this.#profile;
    this.#round.moveBeyond(now, probeInterval);
    const target = this.#roster.nextToProbe();
    if (target === null) return;
    const sequence = this.#sequence.take();
    this.#probe = {
      target,
      sequence,
      askedAt: now,
      indirectAt: after(now, this.#awareness.scale(probeTimeout)),
      deadline: after(now, this.#awareness.scale(probeInterval)),
      nacksExpected: 0,
      nacks: 0,
      answeredByStream: false,
    };
    this.#ping(now, target, this.#pingOf(target, sequence));
  }

  /** A suspect is told so with the ping: it may be the first it hears of it (Lifeguard IV-C). */
  #ping(now: Instant, target: Member, ping: Ping): void {
    const { tellsSuspects } = this.#profile;
    const accusation = tellsSuspects ? this.#membership.accusationOf(target.node) : null;
    const packed = encodeMessage(ping);
    if (accusation !== null) {
      this.#disseminator.sendTo(target, [packed, encodeMessage(accusation)]);
      return;
    }
    this.#disseminator.send(now, target.announcement.address, [packed], PACKET_BYTES_TARGET);
  }

  #pingOf({ node }: Member, sequence: number): Ping {
    const { node: sourceNode, address: source } = this.#self;
    return { kind: "ping", sequence, node, source, sourceNode };
  }

  #askOthers(now: Instant, probe: Probe): StreamPing | null {
    const { target, sequence } = probe;
    probe.indirectAt = null;
    const isWanted = (member: Member) => member.state === "alive" && member !== target;
    for (const peer of this.#roster.pick(this.#profile.indirectChecks, isWanted)) {
      const nack = peer.announcement.versions.protocolMax >= NACK_PROTOCOL;
      if (nack) probe.nacksExpected += 1;
      const asked = this.#indirectPing(probe, nack);
      this.#disseminator.send(now, peer.announcement.address, [asked], PACKET_BYTES_TARGET);
    }
    const takesStreams = target.announcement.versions.protocolMax >= STREAM_PING_PROTOCOL;
    return takesStreams ? { target, ping: this.#pingOf(target, sequence) } : null;
  }

  #indirectPing({ target, sequence }: Probe, nack: boolean): FrozenBytes {
    const { node: sourceNode, address: source } = this.#self;
    return encodeMessage({
      kind: "indirect-ping",
      sequence,
      node: target.node,
      target: target.announcement.address,
      nack,
      source,
      sourceNode,
    });
  }

  #end(now: Instant, probe: Probe): void {
    this.#probe = null;
    // Erased or departed meanwhile: nothing to say about it.
    const isThere = probe.target.isPresent && this.#roster.get(probe.target.node) === probe.target;
    if (!isThere) return;
    if (probe.answeredByStream) {
      this.#tellOfLostPackets(now, probe.target);
      return;
    }
    this.#awareness.probeFailed(probe.nacksExpected, probe.nacks);
    this.#membership.suspect(now, probe.target);
  }

  #tellOfLostPackets(now: Instant, { node }: Member): void {
    if (now < this.#quietUntil) return;
    this.#quietUntil = after(now, QUIET_SPAN);
    const facts = { member: node };
    this.#outbox.notice({ level: "warn", what: "gossip-reached-only-by-stream", facts });
  }
}
