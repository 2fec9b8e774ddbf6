// The network between all nodes of a run: links that delay, lose, evict, repeat and reorder
// frames, and paths that are cut. The contract is src/ports/network.ts. Owns the fate of frames;
// the chances of one path are sim/sim-path.ts, what is cut when is sim/mishaps.ts. The first frame
// of each direction (the hello) is part of connecting: it is never lost by chance, and where it
// cannot pass, the connection fails.

import { assert } from "../src/base/assert.ts";
import { type FrozenBytes, freeze } from "../src/base/bytes.ts";
import type { LinkId, NodeId } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import { peerIdentity } from "../src/node/identity.ts";
import type { Lane, Network, NetworkInbox } from "../src/ports/network.ts";
import type { RaftMessage } from "../src/raft/protocol.ts";
import { FrameRules, type FrameVerdict } from "./frame-rules.ts";
import { FrameCorrupter } from "./network-corrupter.ts";
import type { CrashKind } from "./observer.ts";
import { type CarryAgain, OldAnswers } from "./old-answers.ts";
import type { NetworkProfile } from "./plan.ts";
import { type InTransit, Path } from "./sim-path.ts";
import { joined } from "./slab.ts";
import type { Timeline } from "./timeline.ts";

/** Hears every frame as it leaves, before its fate is drawn; may say what it reads in it. */
export type FrameWitness = (
  from: NodeId,
  to: NodeId,
  lane: Lane,
  frame: FrozenBytes,
) => RaftMessage | null | undefined;

/** Hears of every frame that a node takes into its mailbox, by what was read in it. */
export type FrameTaken = (by: NodeId, from: NodeId, message: RaftMessage | null) => void;

/** Hears of a frame that a full path has thrown away. */
export type FrameEvicted = (from: NodeId, to: NodeId) => void;

const CONNECT_TIMEOUT_MICROS = 400_000;
/** A full inbox is offered the frame again about a turn later. */
const OFFER_AGAIN_MICROS = 200;

/** A frame on its way, with what its witness read in it: nothing once it has changed. */
interface Parcel {
  readonly frame: FrozenBytes;
  readonly message: RaftMessage | null;
}

/** One end of a link; frames sent here arrive at `other`. */
class LinkEnd {
  readonly owner: SimEndpoint;
  readonly id: LinkId;
  readonly lane: Lane;
  /** From the owner to the other end. */
  readonly path: Path;
  other: LinkEnd | null = null;
  isOpen = true;
  hasSpoken = false;
  /** Frames sent from here that the other end has not taken. */
  inFlight = 0;
  /** Nothing arrives before the link is open there, nor before the hello. */
  earliestArrival = 0;
  /** No later frame arrives before this instant, unless it is drawn to overtake. */
  lastArrival = 0;
  /** Those of them that an overflow may take, oldest first; kept where paths overflow at all. */
  readonly transit: InTransit[] = [];
  /** Frames for the owner that its inbox had no room for. */
  refused: Parcel[] = [];

  constructor(owner: SimEndpoint, id: LinkId, lane: Lane, path: Path) {
    this.owner = owner;
    this.id = id;
    this.lane = lane;
    this.path = path;
  }
}

export class SimNetwork {
  readonly timeline: Timeline;
  profile: NetworkProfile;
  readonly #witness: FrameWitness;
  taken: FrameTaken = () => undefined;
  evicted: FrameEvicted = () => undefined;
  readonly rules = new FrameRules();
  readonly #prng: Prng;
  readonly #paths = new Map<string, Path>();
  readonly #endpoints = new Map<NodeId, SimEndpoint>();
  readonly #oldAnswers: OldAnswers;
  readonly #corrupter: FrameCorrupter;
  readonly #mutes = new Map<NodeId, number>();
  readonly #unanswered = new Map<NodeId, number>();
  #storm = { dropPerMille: 0, delayTimes: 1 };

  constructor(timeline: Timeline, profile: NetworkProfile, prng: Prng, witness: FrameWitness) {
    this.timeline = timeline;
    this.profile = profile;
    this.#witness = witness;
    this.#prng = prng;
    this.#oldAnswers = new OldAnswers(prng.fork("old answers"));
    this.#corrupter = new FrameCorrupter(prng.fork("corruption"));
  }

  /** The network card of a node that starts; one of its former life must have been unplugged. */
  plug(name: NodeId): SimEndpoint {
    assert(!this.#endpoints.has(name), "one life at a time", name);
    const endpoint = new SimEndpoint(this, name);
    this.#endpoints.set(name, endpoint);
    return endpoint;
  }

  /** The node is gone. Its peers hear of it soon, or after a long silence when the power went. */
  unplug(name: NodeId, kind: CrashKind): void {
    const endpoint = this.#endpoints.get(name);
    if (endpoint === undefined) return;
    this.#endpoints.delete(name);
    endpoint.vanish(kind === "power");
  }

  at(name: NodeId): SimEndpoint | null {
    return this.#endpoints.get(name) ?? null;
  }

  /** Nothing passes from `from` to `to` until as many `mend`s as `cut`s. */
  cut(from: NodeId, to: NodeId): void {
    this.path(from, to).cuts++;
  }

  mend(from: NodeId, to: NodeId): void {
    this.path(from, to).cuts--;
  }

  /** Holds what goes from `from` to `to` until as many `unclog`s as `clog`s. */
  clog(from: NodeId, to: NodeId): void {
    this.path(from, to).clogs++;
  }

  unclog(from: NodeId, to: NodeId): void {
    this.path(from, to).unclog();
  }

  /** Hellos of `name` are swallowed until as many -1 as 1. */
  mute(name: NodeId, by: 1 | -1): void {
    this.#mutes.set(name, (this.#mutes.get(name) ?? 0) + by);
  }

  isMute(name: NodeId): boolean {
    return (this.#mutes.get(name) ?? 0) > 0;
  }

  /** Dials by or of `name` are neither answered nor refused until as many -1 as 1. */
  leaveUnanswered(name: NodeId, by: 1 | -1): void {
    this.#unanswered.set(name, (this.#unanswered.get(name) ?? 0) + by);
  }

  isAnswered(dialer: NodeId, peer: NodeId): boolean {
    return [dialer, peer].every((name) => (this.#unanswered.get(name) ?? 0) === 0);
  }

  /** Of a thousand frames, those that change on their way, until the next call. */
  setCorruption(flipPerMille: number): void {
    this.#corrupter.perMille = flipPerMille;
  }

  /** A frame leaves. */
  sent(from: NodeId, to: NodeId, lane: Lane, frame: FrozenBytes): Parcel {
    return { frame, message: this.#witness(from, to, lane, frame) ?? null };
  }

  /** The frame as it arrives. */
  delivered(parcel: Parcel): Parcel {
    const frame = this.#corrupter.passed(parcel.frame);
    return frame === parcel.frame ? parcel : { frame, message: null };
  }

  /** Worsens all paths until the next call; (0, 1) ends it. */
  setStorm(dropPerMille: number, delayTimes: number): void {
    this.#storm = { dropPerMille, delayTimes };
    for (const path of this.#paths.values()) this.#expose(path);
  }

  /** From now on frames are only delayed: never lost, evicted, repeated or overtaken. */
  calm(): void {
    this.profile = {
      ...this.profile,
      dropPerMille: 0,
      duplicatePerMille: 0,
      reorderPerMille: 0,
      transitFramesMax: 0,
    };
  }

  /** A frame passes, and may draw an old answer after it, where the profile has copies at all. */
  passed(from: NodeId, to: NodeId, frame: FrozenBytes, carryAgain: CarryAgain): void {
    if (this.profile.duplicatePerMille > 0) this.#oldAnswers.passed(from, to, frame, carryAgain);
  }

  path(from: NodeId, to: NodeId): Path {
    const name = `${from}>${to}`;
    let path = this.#paths.get(name);
    if (path === undefined) {
      path = new Path(this, this.#prng.fork(name));
      this.#expose(path);
      this.#paths.set(name, path);
    }
    return path;
  }

  #expose(path: Path): void {
    path.stormDropPerMille = this.#storm.dropPerMille;
    path.stormDelayTimes = this.#storm.delayTimes;
  }
}

/** What one life of a node sees of the network. */
export class SimEndpoint implements Network {
  readonly name: NodeId;
  readonly #network: SimNetwork;
  readonly #ends = new Map<LinkId, LinkEnd>();
  #inbox: NetworkInbox | null = null;
  #isPaused = false;

  constructor(network: SimNetwork, name: NodeId) {
    this.#network = network;
    this.name = name;
  }

  attach(inbox: NetworkInbox): void {
    this.#inbox = inbox;
  }

  dial(link: LinkId, peer: NodeId, _address: string, lane: Lane): void {
    const end = this.#addEnd(link, peer, lane);
    if (!this.#network.isAnswered(this.name, peer)) return;
    if (end.path.cuts > 0) this.#hearClosed(end, CONNECT_TIMEOUT_MICROS, "timed out");
    else this.#network.timeline.after(end.path.drawDelay(), () => this.#knock(end, peer));
  }

  send(link: LinkId, parts: readonly Uint8Array[]): boolean {
    const end = this.#ends.get(link);
    if (end === undefined || !end.isOpen || end.other === null) return false;
    if (end.inFlight >= this.#network.profile.linkFramesMax) return false;
    // One frame of its own; nobody writes to the parts any more.
    const frame = freeze(parts.length === 1 ? (parts[0] as Uint8Array) : joined(parts));
    const parcel = this.#network.sent(this.name, end.other.owner.name, end.lane, frame);
    if (end.hasSpoken) this.#transmit(end, end.other, parcel);
    else this.#transmitHello(end, end.other, parcel);
    return true;
  }

  close(link: LinkId, why: string): void {
    const end = this.#ends.get(link);
    if (end === undefined) return;
    this.#ends.delete(link);
    end.isOpen = false;
    if (end.other !== null) end.other.owner.hearClosedBy(end, why);
  }

  /** The other end is gone; word of it comes after what it sent before. */
  hearClosedBy(end: LinkEnd, why: string): void {
    if (end.other === null) return;
    const { timeline } = this.#network;
    const arrival = Math.max(end.lastArrival, timeline.now + end.path.drawDelay());
    const delay = end.path.cuts > 0 ? CONNECT_TIMEOUT_MICROS : arrival - timeline.now;
    this.#hearClosed(end.other, delay, why);
  }

  /** The node is gone: all its links die, and nothing reaches it any more. */
  vanish(isSilent: boolean): void {
    const ends = [...this.#ends.values()];
    this.#ends.clear();
    this.#inbox = null;
    for (const end of ends) {
      end.isOpen = false;
      const { other } = end;
      if (other === null) continue;
      if (isSilent) other.owner.#hearClosed(other, end.path.drawSilence(), "timed out");
      else other.owner.hearClosedBy(end, "reset by peer");
    }
  }

  /** All links end here, and their other ends learn of it when the returned function is called. */
  halfClose(why: string): () => void {
    const ends = [...this.#ends.values()];
    for (const end of ends) this.#hearClosed(end, 0, why);
    return () => {
      for (const { other } of ends) if (other !== null) other.owner.#hearClosed(other, 0, why);
    };
  }

  /** Sent from here and not taken yet; and come to here, where the inbox had no room. */
  get frames(): { readonly sent: number; readonly refused: number } {
    const ends = [...this.#ends.values()];
    return {
      sent: ends.reduce((sum, { inFlight }) => sum + inFlight, 0),
      refused: ends.reduce((sum, { refused }) => sum + refused.length, 0),
    };
  }

  /** The process reads nothing: what comes fills its sockets. */
  pause(): void {
    this.#isPaused = true;
  }

  /** The process reads what its sockets hold, as far as its mailbox has room. */
  resume(): void {
    this.#isPaused = false;
    for (const end of [...this.#ends.values()]) if (end.refused.length > 0) this.#offerRefused(end);
  }

  /** The dial has come to where `peer` should be. */
  #knock(end: LinkEnd, peer: NodeId): void {
    if (!end.isOpen) return;
    const acceptor = this.#network.at(peer);
    const back = this.#network.path(peer, this.name);
    if (back.cuts > 0) this.#hearClosed(end, CONNECT_TIMEOUT_MICROS, "timed out");
    else if (acceptor === null) this.#hearClosed(end, back.drawDelay(), "refused");
    else this.#open(end, acceptor.#accept(end), back.drawDelay());
  }

  #open(end: LinkEnd, accepted: LinkEnd, delay: number): void {
    accepted.earliestArrival = this.#network.timeline.now + delay;
    this.#network.timeline.after(delay, () => {
      if (end.isOpen)
        this.#listening().linkOpened(end.id, true, [peerIdentity(accepted.owner.name)]);
    });
  }

  #accept(dialed: LinkEnd): LinkEnd {
    const inbox = this.#listening();
    const accepted = this.#addEnd(inbox.nextLinkId(), dialed.owner.name, dialed.lane);
    accepted.other = dialed;
    dialed.other = accepted;
    inbox.linkOpened(accepted.id, false, [peerIdentity(dialed.owner.name)]);
    return accepted;
  }

  #transmitHello(end: LinkEnd, to: LinkEnd, parcel: Parcel): void {
    end.hasSpoken = true;
    if (this.#network.isMute(this.name)) return;
    const verdict = this.#ruling(to, parcel.frame);
    if (verdict?.kind === "drop") return;
    if (end.path.cuts === 0) {
      const delay = delayOf(verdict) ?? end.path.drawDelay();
      end.earliestArrival = this.#deliver(end, to, parcel, delay);
      return;
    }
    this.#hearClosed(end, CONNECT_TIMEOUT_MICROS, "timed out");
    to.owner.#hearClosed(to, CONNECT_TIMEOUT_MICROS, "timed out");
  }

  #transmit(end: LinkEnd, to: LinkEnd, parcel: Parcel): void {
    const { path } = end;
    if (path.cuts > 0) return;
    const verdict = this.#ruling(to, parcel.frame);
    if (verdict !== null) {
      if (verdict.kind !== "drop")
        this.#deliver(end, to, parcel, delayOf(verdict) ?? path.drawDelay());
      return;
    }
    this.#network.passed(this.name, to.owner.name, parcel.frame, () => {
      if (end.isOpen && path.cuts === 0) this.#carry(end, to, parcel, path.drawDelay());
    });
    if (path.drawsDrop()) return;
    const overtakes = path.drawsReorder();
    const delivered = this.#network.delivered(parcel);
    const notBefore = overtakes ? 0 : end.lastArrival;
    const arrival = this.#carry(end, to, delivered, path.drawDelay(), notBefore);
    if (!overtakes) end.lastArrival = arrival;
    const copyDelay = path.drawCopyDelay();
    if (copyDelay !== null) this.#carry(end, to, parcel, copyDelay);
  }

  /** The one place where rules decide. */
  #ruling(to: LinkEnd, frame: FrozenBytes): FrameVerdict | null {
    const { rules, timeline } = this.#network;
    return rules.decide(timeline.now, this.name, to.owner.name, frame);
  }

  /** Takes a frame to the other end, unless the path overflows; returns when it will be there. */
  #carry(end: LinkEnd, to: LinkEnd, parcel: Parcel, delay: number, notBefore = 0): number {
    if (!end.path.isBounded) return this.#deliver(end, to, parcel, delay, notBefore);
    const entering: InTransit = { isEvicted: false };
    const evicted = end.path.overflow(end.transit, entering);
    if (evicted !== null) {
      evicted.isEvicted = true;
      this.#network.evicted(this.name, to.owner.name);
      if (evicted === entering) return end.lastArrival;
      end.transit.splice(end.transit.indexOf(evicted), 1);
    }
    end.transit.push(entering);
    return this.#deliver(end, to, parcel, delay, notBefore, entering);
  }

  /** Not before `notBefore`, and not at all once it is evicted. */
  #deliver(
    end: LinkEnd,
    to: LinkEnd,
    parcel: Parcel,
    delay: number,
    notBefore = 0,
    transit: InTransit | null = null,
  ): number {
    const { timeline } = this.#network;
    const arrival = Math.max(timeline.now + delay, end.earliestArrival, notBefore);
    end.inFlight++;
    const arrive = () => {
      end.inFlight--;
      if (transit?.isEvicted === true) return;
      if (transit !== null) end.transit.splice(end.transit.indexOf(transit), 1);
      if (to.isOpen) to.owner.#take(to, parcel);
    };
    timeline.at(arrival, () => end.path.pass(arrive));
    return arrival;
  }

  /** Offers a frame to the node, behind those it had no room for. */
  #take(end: LinkEnd, parcel: Parcel): void {
    if (end.refused.length === 0 && this.#offers(end, parcel)) return;
    if (end.refused.length >= this.#network.profile.linkFramesMax) return;
    end.refused.push(parcel);
    if (end.refused.length === 1) this.#offerAgain(end);
  }

  #offers(end: LinkEnd, { frame, message }: Parcel): boolean {
    if (this.#isPaused || !this.#listening().linkFrame(end.id, frame)) return false;
    if (end.other !== null) this.#network.taken(this.name, end.other.owner.name, message);
    return true;
  }

  #offerAgain(end: LinkEnd): void {
    this.#network.timeline.after(OFFER_AGAIN_MICROS, () => {
      if (end.isOpen && !this.#isPaused) this.#offerRefused(end);
    });
  }

  #offerRefused(end: LinkEnd): void {
    while (end.refused.length > 0) {
      if (!this.#offers(end, end.refused[0] as Parcel)) break;
      end.refused.shift();
    }
    if (end.refused.length > 0) this.#offerAgain(end);
  }

  #hearClosed(end: LinkEnd, delay: number, why: string): void {
    this.#network.timeline.after(delay, () => {
      if (!end.isOpen) return;
      end.isOpen = false;
      this.#ends.delete(end.id);
      this.#listening().linkClosed(end.id, why);
    });
  }

  #addEnd(link: LinkId, peer: NodeId, lane: Lane): LinkEnd {
    assert(!this.#ends.has(link), "a link id is used once", link);
    const end = new LinkEnd(this, link, lane, this.#network.path(this.name, peer));
    this.#ends.set(link, end);
    return end;
  }

  #listening(): NetworkInbox {
    assert(
      this.#inbox !== null,
      "a network delivers to somebody: attach an inbox first",
      this.name,
    );
    return this.#inbox;
  }
}

/** Microseconds that a rule wants; null where chance is left to draw them. */
function delayOf(verdict: FrameVerdict | null): number | null {
  return verdict?.kind === "deliver-after" ? verdict.micros : null;
}
