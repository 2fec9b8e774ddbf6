// The network between all nodes of a run: links that delay, lose, repeat and reorder frames, and
// paths that are cut. The contract is src/ports/network.ts. Owns the fate of frames; what is cut
// when is sim/mishaps.ts. The first frame of each direction (the hello) is part of connecting: it
// is never lost by chance, and where it cannot pass, the connection fails.

import { assert } from "../src/base/assert.ts";
import { concat, type FrozenBytes, freeze } from "../src/base/bytes.ts";
import type { LinkId, NodeId } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import { peerIdentity } from "../src/node/links.ts";
import type { Lane, Network, NetworkInbox } from "../src/ports/network.ts";
import { FrameCorrupter } from "./network-corrupter.ts";
import type { CrashKind } from "./observer.ts";
import { type CarryAgain, OldAnswers } from "./old-answers.ts";
import type { NetworkProfile } from "./plan.ts";
import { drawSpan } from "./spans.ts";
import type { Timeline } from "./timeline.ts";

/** Hears every frame as it leaves, before its fate is drawn. */
export type FrameWitness = (from: NodeId, to: NodeId, lane: Lane, frame: FrozenBytes) => void;

/** Hears every frame that a node takes into its mailbox. */
export type FrameTaken = (by: NodeId, from: NodeId, frame: FrozenBytes) => void;

const CONNECT_TIMEOUT_MICROS = 400_000;
/** A peer without power says no good-bye; its links time out some time after. */
const SILENCE_MEAN_MICROS = 400_000;
/** A full inbox is offered the frame again about a turn later. */
const OFFER_AGAIN_MICROS = 200;
/** Distances between machines, in times the usual delay. */
const PATH_LENGTHS: readonly number[] = [1, 1, 1, 1, 2, 2, 4];
const REPLAY_MIN_MICROS = 500_000;
const REPLAY_MEAN_MICROS = 4_000_000;

/** One way between two nodes. */
class Path {
  readonly #network: SimNetwork;
  readonly #prng: Prng;
  readonly #length: number;
  /** Mishaps that cut it now. */
  cuts = 0;
  /** Mishaps that hold what comes by now, and what they hold, oldest first. */
  clogs = 0;
  #held: (() => void)[] = [];
  /** A storm's: frames lost beyond the profile, and how many times longer all takes. */
  stormDropPerMille = 0;
  stormDelayTimes = 1;

  constructor(network: SimNetwork, prng: Prng) {
    this.#network = network;
    this.#prng = prng;
    this.#length = prng.pick(PATH_LENGTHS);
  }

  drawDelay(): number {
    const { delayMinMicros, delayMeanMicros } = this.#network.profile;
    const extra = drawSpan(this.#prng, delayMeanMicros);
    return (delayMinMicros + extra) * this.#length * this.stormDelayTimes;
  }

  /** Lets it arrive, unless a clog holds it. */
  pass(arrive: () => void): void {
    if (this.clogs > 0) this.#held.push(arrive);
    else arrive();
  }

  /** One clog less; what was held arrives when the last one is gone. */
  unclog(): void {
    this.clogs--;
    if (this.clogs > 0) return;
    for (const arrive of this.#held.splice(0)) this.#network.timeline.after(0, arrive);
  }

  drawsDrop(): boolean {
    return this.#draws(this.#network.profile.dropPerMille) || this.#draws(this.stormDropPerMille);
  }

  drawsReorder(): boolean {
    return this.#draws(this.#network.profile.reorderPerMille);
  }

  /** Microseconds until a second copy arrives; null for no copy. */
  drawCopyDelay(): number | null {
    if (!this.#draws(this.#network.profile.duplicatePerMille)) return null;
    if (!this.#draws(this.#network.profile.replayPerMille)) return 2 * this.drawDelay();
    return REPLAY_MIN_MICROS + drawSpan(this.#prng, REPLAY_MEAN_MICROS);
  }

  drawSilence(): number {
    return drawSpan(this.#prng, SILENCE_MEAN_MICROS);
  }

  #draws(perMille: number): boolean {
    return perMille > 0 && this.#prng.chance(perMille, 1000);
  }
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
  /** Frames for the owner that its inbox had no room for. */
  refused: FrozenBytes[] = [];

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
  readonly witness: FrameWitness;
  taken: FrameTaken = () => undefined;
  readonly #prng: Prng;
  readonly #paths = new Map<string, Path>();
  readonly #endpoints = new Map<NodeId, SimEndpoint>();
  readonly #oldAnswers: OldAnswers;
  readonly #corrupter: FrameCorrupter;
  readonly #mutes = new Map<NodeId, number>();
  #storm = { dropPerMille: 0, delayTimes: 1 };

  constructor(timeline: Timeline, profile: NetworkProfile, prng: Prng, witness: FrameWitness) {
    this.timeline = timeline;
    this.profile = profile;
    this.witness = witness;
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

  /** Of a thousand frames, those that change on their way, until the next call. */
  setCorruption(flipPerMille: number): void {
    this.#corrupter.perMille = flipPerMille;
  }

  /** The frame as it arrives. */
  delivered(frame: FrozenBytes): FrozenBytes {
    return this.#corrupter.passed(frame);
  }

  /** Worsens all paths until the next call; (0, 1) ends it. */
  setStorm(dropPerMille: number, delayTimes: number): void {
    this.#storm = { dropPerMille, delayTimes };
    for (const path of this.#paths.values()) this.#expose(path);
  }

  /** From now on frames are only delayed: never lost, repeated or overtaken. */
  calm(): void {
    this.profile = { ...this.profile, dropPerMille: 0, duplicatePerMille: 0, reorderPerMille: 0 };
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
    if (end.path.cuts > 0) this.#hearClosed(end, CONNECT_TIMEOUT_MICROS, "timed out");
    else this.#network.timeline.after(end.path.drawDelay(), () => this.#knock(end, peer));
  }

  send(link: LinkId, parts: readonly Uint8Array[]): boolean {
    const end = this.#ends.get(link);
    if (end === undefined || !end.isOpen || end.other === null) return false;
    if (end.inFlight >= this.#network.profile.linkFramesMax) return false;
    // One frame of its own: the sender may forget its parts.
    const frame = freeze(concat(parts));
    this.#network.witness(this.name, end.other.owner.name, end.lane, frame);
    if (end.hasSpoken) this.#transmit(end, end.other, frame);
    else this.#transmitHello(end, end.other, frame);
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

  #transmitHello(end: LinkEnd, to: LinkEnd, frame: FrozenBytes): void {
    end.hasSpoken = true;
    if (this.#network.isMute(this.name)) return;
    if (end.path.cuts === 0) {
      end.earliestArrival = this.#carry(end, to, frame, end.path.drawDelay());
      return;
    }
    this.#hearClosed(end, CONNECT_TIMEOUT_MICROS, "timed out");
    to.owner.#hearClosed(to, CONNECT_TIMEOUT_MICROS, "timed out");
  }

  #transmit(end: LinkEnd, to: LinkEnd, frame: FrozenBytes): void {
    const { path } = end;
    if (path.cuts > 0) return;
    this.#network.passed(this.name, to.owner.name, frame, () => {
      if (end.isOpen && path.cuts === 0) this.#carry(end, to, frame, path.drawDelay());
    });
    if (path.drawsDrop()) return;
    const overtakes = path.drawsReorder();
    const delivered = this.#network.delivered(frame);
    const notBefore = overtakes ? 0 : end.lastArrival;
    const arrival = this.#carry(end, to, delivered, path.drawDelay(), notBefore);
    if (!overtakes) end.lastArrival = arrival;
    const copyDelay = path.drawCopyDelay();
    if (copyDelay !== null) this.#carry(end, to, frame, copyDelay);
  }

  /** Takes a frame to the other end, not before `notBefore`; returns when it will be there. */
  #carry(end: LinkEnd, to: LinkEnd, frame: FrozenBytes, delay: number, notBefore = 0): number {
    const { timeline } = this.#network;
    const arrival = Math.max(timeline.now + delay, end.earliestArrival, notBefore);
    end.inFlight++;
    const arrive = () => {
      end.inFlight--;
      if (to.isOpen) to.owner.#take(to, frame);
    };
    timeline.at(arrival, () => end.path.pass(arrive));
    return arrival;
  }

  /** Offers a frame to the node, behind those it had no room for. */
  #take(end: LinkEnd, frame: FrozenBytes): void {
    if (end.refused.length === 0 && this.#offers(end, frame)) return;
    if (end.refused.length >= this.#network.profile.linkFramesMax) return;
    end.refused.push(frame);
    if (end.refused.length === 1) this.#offerAgain(end);
  }

  #offers(end: LinkEnd, frame: FrozenBytes): boolean {
    if (this.#isPaused || !this.#listening().linkFrame(end.id, frame)) return false;
    if (end.other !== null) this.#network.taken(this.name, end.other.owner.name, frame);
    return true;
  }

  #offerAgain(end: LinkEnd): void {
    this.#network.timeline.after(OFFER_AGAIN_MICROS, () => {
      if (end.isOpen && !this.#isPaused) this.#offerRefused(end);
    });
  }

  #offerRefused(end: LinkEnd): void {
    while (end.refused.length > 0) {
      if (!this.#offers(end, end.refused[0] as FrozenBytes)) break;
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
