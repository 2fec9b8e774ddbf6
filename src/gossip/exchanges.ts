// What is said on streams: push/pulls, in which two members show each other all they know, and
// pings where packets do not come through. Owns the conversations and the join requests that wait
// for them; when one is begun is joining, anti-entropy.ts or the prober.

import { type Address, sameAddress } from "../base/address.ts";
import { EMPTY_BYTES, type FrozenBytes } from "../base/bytes.ts";
import type { Instant, Micros, StreamId } from "../base/ids.ts";
import { claimOf } from "./claims.ts";
import type { LocalMember } from "./local-member.ts";
import type { Membership } from "./membership.ts";
import type { MemberState, NodeRecord, PushPull, SerfState, StreamMessage } from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import type { Prober, StreamPing } from "./prober.ts";
import type { DropReason, GossipProfile, GossipRequestId } from "./protocol.ts";
import type { Member, Roster } from "./roster.ts";
import type { SerfMembers } from "./serf-members.ts";
import { encodeStream } from "./stream-codec.ts";
import { type Stream, Streams } from "./streams.ts";
import type { Talk } from "./talk.ts";

interface JoinRequest {
  readonly replay: boolean;
  waiting: number;
  reached: number;
  readonly failures: { readonly address: Address; readonly why: string }[];
}

export interface ExchangeParts {
  readonly profile: GossipProfile;
  readonly self: LocalMember;
  readonly roster: Roster;
  readonly membership: Membership;
  readonly serf: SerfMembers;
  readonly talk: Talk;
  readonly prober: Prober;
  readonly outbox: Outbox;
  readonly streamsMax: number;
  readonly compress: boolean;
}

export class Exchanges {
  readonly #profile: GossipProfile;
  readonly #self: LocalMember;
  readonly #roster: Roster;
  readonly #membership: Membership;
  readonly #serf: SerfMembers;
  readonly #talk: Talk;
  readonly #prober: Prober;
  readonly #outbox: Outbox;
  readonly #compress: boolean;
  readonly #streams: Streams;
  readonly #requests = new Map<GossipRequestId, JoinRequest>();

  constructor(parts: ExchangeParts) {
    this.#profile = parts.profile;
    this.#self = parts.self;
    this.#roster = parts.roster;
    this.#membership = parts.membership;
    this.#serf = parts.serf;
    this.#talk = parts.talk;
    this.#prober = parts.prober;
    this.#outbox = parts.outbox;
    this.#compress = parts.compress;
    this.#streams = new Streams(parts.streamsMax, parts.outbox);
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  get deadline(): Instant {
    return this.#streams.deadline;
  }

  /** A push/pull with each; answered when each has succeeded or failed. */
  join(
    now: Instant,
    requestId: GossipRequestId,
    addresses: readonly Address[],
    replay: boolean,
  ): void {
    const request: JoinRequest = { replay, waiting: 0, reached: 0, failures: [] };
    this.#requests.set(requestId, request);
    for (const address of addresses) {
      const why = this.#maybeDialToJoin(now, address, requestId);
      if (why === null) request.waiting += 1;
      else request.failures.push({ address, why });
    }
    this.#maybeAnswer(requestId, request);
  }

  /** Tries to get back together with a member that failed. */
  rejoin(now: Instant, { announcement }: Member): void {
    this.#maybeDialToJoin(now, announcement.address, null);
  }

  sync(now: Instant, { announcement }: Member): void {
    const { streamTimeout } = this.#profile;
    this.#streams.maybeDial(now, announcement.address, { kind: "sync" }, streamTimeout);
  }

  /** No longer than the probe could wait for it. */
  ping(now: Instant, { target, ping }: StreamPing, patience: Micros): void {
    const { address } = target.announcement;
    this.#streams.maybeDial(now, address, { kind: "ping", ping }, patience);
  }

  opened(now: Instant, id: StreamId, peer: Address, dialed: boolean): void {
    const stream = this.#streams.get(id);
    if (stream !== null && dialed) this.#say(stream, this.#openingOf(stream));
    else if (!dialed && !this.#streams.maybeAccept(now, id, peer, this.#profile.streamTimeout)) {
      this.#outbox.drop(now, peer, "too-many-streams");
      this.#outbox.close(id, "too many streams");
    }
  }

  received(now: Instant, id: StreamId, bytes: FrozenBytes): void {
    const stream = this.#streams.get(id);
    if (stream === null) return;
    const reading = stream.reader.take(bytes);
    if (reading.kind === "more") return;
    const why =
      reading.kind === "dropped"
        ? this.#drop(now, stream, reading.reason)
        : this.#heard(now, stream, reading.message);
    this.#streams.close(stream, why ?? "done");
    this.#ended(stream, why);
  }

  closed(id: StreamId, why: string): void {
    const stream = this.#streams.get(id);
    if (stream === null) return;
    this.#streams.forget(stream);
    this.#ended(stream, why);
  }

  timePassed(now: Instant): void {
    for (const stream of this.#streams.all) {
      if (now < stream.deadline) continue;
      if (stream.purpose.kind === "accepted") this.#drop(now, stream, "too-slow");
      this.#streams.close(stream, "timed out");
      this.#ended(stream, "timed out");
    }
  }

  /** Ends everything that is under way; who waits for it is told. */
  stop(): void {
    for (const stream of this.#streams.all) {
      this.#streams.close(stream, "we left");
      this.#ended(stream, "we left");
    }
  }

  #maybeDialToJoin(
    now: Instant,
    address: Address,
    requestId: GossipRequestId | null,
  ): string | null {
    if (sameAddress(address, this.#self.address)) return "this is our own address";
    const { streamTimeout } = this.#profile;
    const isDialed = this.#streams.maybeDial(
      now,
      address,
      { kind: "join", requestId },
      streamTimeout,
    );
    return isDialed ? null : "too many streams are open";
  }

  #openingOf({ purpose }: Stream): StreamMessage {
    if (purpose.kind === "ping") return purpose.ping;
    return this.#pushPull(purpose.kind === "join");
  }

  #say({ id }: Stream, message: StreamMessage): void {
    this.#outbox.write(id, encodeStream(message, { compress: this.#compress }));
  }

  #drop(now: Instant, { peer }: Stream, reason: DropReason): string {
    this.#outbox.drop(now, peer, reason);
    return reason;
  }

  /** Says why the other side's word did not do what the stream was for; null when it did. */
  #heard(now: Instant, stream: Stream, message: StreamMessage): string | null {
    const { purpose } = stream;
    switch (message.kind) {
      case "error":
        return `refused: ${message.text}`;
      case "ping":
        return purpose.kind === "accepted" ? this.#pinged(now, stream, message) : "not an answer";
      case "ack":
        if (purpose.kind !== "ping") return this.#drop(now, stream, "no-such-ping");
        if (message.sequence === purpose.ping.sequence) {
          this.#prober.ackedByStream(message.sequence);
        }
        return null;
      case "push-pull":
        if (purpose.kind === "ping") return "not an answer";
        // What the other side is shown is what we knew before.
        if (purpose.kind === "accepted") this.#say(stream, this.#pushPull(message.join));
        return this.#merge(now, stream, message);
    }
  }

  #pinged(
    now: Instant,
    stream: Stream,
    ping: Extract<StreamMessage, { kind: "ping" }>,
  ): string | null {
    if (ping.node !== null && ping.node !== this.#self.node) {
      return this.#drop(now, stream, "not-for-us");
    }
    this.#say(stream, { kind: "ack", sequence: ping.sequence, payload: EMPTY_BYTES });
    return null;
  }

  /** All we know; sorted, so that equal knowledge gives equal bytes. */
  #pushPull(join: boolean): PushPull {
    const nodes = [recordOfSelf(this.#self, this.#serf.status === "left")];
    for (const member of this.#roster.members) nodes.push(recordOf(member));
    nodes.sort((a, b) => (a.node < b.node ? -1 : 1));
    const serf = this.#serf.stateWith(this.#talk.slots);
    return { kind: "push-pull", join, nodes, nodesDropped: 0, serf };
  }

  /** The members first, so that Serf's layer knows of whom it is told. */
  #merge(now: Instant, stream: Stream, { nodes, nodesDropped, serf }: PushPull): string | null {
    if (nodesDropped > 0) this.#drop(now, stream, "malformed");
    let taken = 0;
    for (const node of nodes) {
      const reason = this.#membership.heard(now, claimOf(node, this.#self.node));
      if (reason === null) taken += 1;
      else this.#drop(now, stream, reason);
    }
    if (serf !== null) this.#mergeSerf(now, stream, serf);
    return taken > 0 ? null : "none of its members is one for us";
  }

  /** Whoever joins hears of no user event of before, unless he asked for them. */
  #mergeSerf(now: Instant, stream: Stream, serf: SerfState): void {
    const { purpose } = stream;
    const request = purpose.kind === "join" ? purpose.requestId : null;
    const replays = request === null || this.#requests.get(request)?.replay === true;
    const reason = this.#serf.merge(now, serf);
    const reasons = reason === null ? this.#talk.merge(now, serf, replays) : [reason];
    for (const each of reasons) this.#drop(now, stream, each);
  }

  /** What waited for the stream is told; `why` is null when it did what it was for. */
  #ended({ peer, purpose }: Stream, why: string | null): void {
    if (purpose.kind !== "join" || purpose.requestId === null) return;
    const request = this.#requests.get(purpose.requestId);
    if (request === undefined) return;
    request.waiting -= 1;
    if (why === null) request.reached += 1;
    else request.failures.push({ address: peer, why });
    this.#maybeAnswer(purpose.requestId, request);
  }

  #maybeAnswer(requestId: GossipRequestId, { waiting, reached, failures }: JoinRequest): void {
    if (waiting > 0) return;
    this.#requests.delete(requestId);
    if (reached > 0) this.#serf.announceJoin();
    this.#outbox.answer({ kind: "joined", requestId, reached, failures });
  }
}

function recordOf({ node, standing, announcement }: Member): NodeRecord {
  const { address, meta, versions } = announcement;
  return { node, address, meta, versions, ...standing };
}

function recordOfSelf({ alive }: LocalMember, hasLeft: boolean): NodeRecord {
  const { node, address, incarnation, meta, versions } = alive;
  const state: MemberState = hasLeft ? "left" : "alive";
  return { node, address, incarnation, meta, versions, state };
}
