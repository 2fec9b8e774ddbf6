// Links to other nodes: dialing and redialing, the hello on each, and who may speak on which. A
// link is bound by its hello to a member, name and instance, at both ends; what is for a member
// leaves on a link to that very instance, and what comes is delivered as the instance that greeted.
// One link an address and lane is dialed to send on; what others dialed is only listened to. Whose
// word counts is Raft's business: whoever proves a name of this cluster may speak, in bounded
// number. Owns no bytes of Raft and no socket: it says dial, send, close, and is told opened,
// frame, closed.

import type { FrozenBytes } from "../base/bytes.ts";
import {
  after,
  earlier,
  type Instant,
  type LinkId,
  type MemberId,
  type Micros,
  millis,
  type NodeId,
} from "../base/ids.ts";
import { memberId, nameOf } from "../base/membership.ts";
import type { Notice } from "../base/notice.ts";
import type { Lane } from "../ports/network.ts";
import { Callers } from "./callers.ts";
import { greetingFault, isBound, notBound } from "./identity.ts";
import { PeerFaults } from "./peer-faults.ts";
import type { Dial, LinkClose, LinkSend, MemberAddress } from "./protocol.ts";
import {
  decodeMessage,
  encodeHello,
  type Hello,
  type PeerPayload,
  PROTOCOL_MAX,
  PROTOCOL_MIN,
} from "./wire.ts";
import { type Route, RouteBytes } from "./wire-head.ts";

/** A link whose hello has not come by then is closed. */
export const GREETING_TIME: Micros = millis(5000);

const LANES: readonly Lane[] = ["control", "bulk"];

export interface LinksOptions {
  readonly self: NodeId;
  readonly clusterId: string;
  readonly instanceId: string;
  /** host:port where this node listens, told in every hello. */
  readonly address: string;
  /** Dialed for as long as this node runs, whoever the members are. */
  readonly contacts: readonly MemberAddress[];
  readonly redialMin: Micros;
  readonly redialMax: Micros;
  readonly bodyBytesMax: number;
  /** Links that others dialed. */
  readonly acceptedMax: number;
  /** Addresses dialed only because somebody from there greeted us. */
  readonly strangersMax: number;
  /** Whether to say in a hello to that node that this one waits for it to found the cluster. */
  readonly awaits: (founder: NodeId) => boolean;
}

export interface LinksOutput {
  readonly dials: Dial[];
  readonly sends: LinkSend[];
  readonly closes: LinkClose[];
  readonly notices: Notice[];
}

export interface Heard {
  readonly from: MemberId;
  readonly payload: PeerPayload;
}

/** Who answered at an address this node dials, on a link that is up. */
export interface Greeting {
  readonly member: MemberId;
  readonly address: string;
  /** See Hello.awaits. */
  readonly awaits: boolean;
}

/** One link we dial to one address on one lane. */
interface Outgoing {
  readonly target: MemberAddress;
  readonly lane: Lane;
  readonly route: RouteBytes;
  state: "waiting" | "dialing" | "greeting" | "up";
  link: LinkId | null;
  identity: readonly string[] | null;
  /** Who answered last; on a link that is up, who hears what is sent on it. */
  peer: MemberId | null;
  awaits: boolean;
  /** When to dial again (waiting), or to give up (dialing, greeting). */
  due: Instant;
  backoff: Micros;
}

export class Links {
  readonly #options: LinksOptions;
  #outgoing: Outgoing[] = [];
  readonly #byLink = new Map<LinkId, Outgoing>();
  readonly #callers: Callers;
  readonly #faults = new PeerFaults();
  #contacts: readonly MemberAddress[];
  #members: readonly MemberAddress[] = [];
  #hints: readonly MemberAddress[] = [];
  #isClosed = false;
  #nextLink = 2;
  #changes = 0;
  #output: LinksOutput = { dials: [], sends: [], closes: [], notices: [] };

  constructor(options: LinksOptions, now: Instant) {
    this.#options = options;
    this.#contacts = options.contacts;
    this.#callers = new Callers(options.acceptedMax);
    this.#follow(now);
  }

  /** When a link is to be dialed again or given up. */
  get deadline(): Instant {
    let due = this.#callers.deadline;
    for (const outgoing of this.#outgoing) {
      if (outgoing.state !== "up") due = earlier(due, outgoing.due);
    }
    return due;
  }

  /** Grows whenever `greetings` may be another. */
  get changes(): number {
    return this.#changes;
  }

  /** Everybody who answers where this node dials, each once. */
  get greetings(): Greeting[] {
    const up = this.#outgoing.filter(({ state, lane }) => state === "up" && lane === "control");
    return up.map(({ peer, target, awaits }) => {
      return { member: peer as MemberId, address: target.address, awaits };
    });
  }

  /**
   * The addresses of a membership are dialed, too, from now on; those of the one before no more.
   */
  setMembers(now: Instant, members: readonly MemberAddress[]): void {
    this.#members = members;
    this.#follow(now);
  }

  /** Where members may be, besides: whoever answers there proves who it is. */
  setHints(now: Instant, hints: readonly MemberAddress[]): void {
    this.#hints = hints;
    this.#follow(now);
  }

  /**
   * Dialed from now on, in place of none. Whoever was greeted before is to be greeted again, for
   * the hello says another thing of whom this node awaits.
   */
  setContacts(now: Instant, contacts: readonly MemberAddress[]): void {
    this.#contacts = contacts;
    for (const link of this.#callers.forgetAll()) {
      this.#output.closes.push({ link, why: "the founders are known now" });
    }
    this.#follow(now);
  }

  /** Dials what is due and closes what never greeted. */
  ring(now: Instant): void {
    for (const outgoing of this.#outgoing) {
      if (outgoing.state === "up" || outgoing.due > now) continue;
      if (outgoing.state !== "waiting") this.#give(now, outgoing, "no hello in time");
      else if (this.#isElsewhere(outgoing)) outgoing.due = after(now, this.#options.redialMax);
      else this.#dial(now, outgoing);
    }
    for (const link of this.#callers.silent(now)) this.#refuse(now, link, "no hello in time");
  }

  opened(now: Instant, link: LinkId, dialed: boolean, identity: readonly string[] | null): void {
    if (!dialed) {
      const greetBy = after(now, GREETING_TIME);
      if (this.#callers.maybeAccept({ link, identity, greetBy })) return;
      this.#output.closes.push({ link, why: "too many links" });
      return;
    }
    const outgoing = this.#byLink.get(link);
    if (outgoing === undefined || outgoing.state !== "dialing") return;
    outgoing.state = "greeting";
    outgoing.identity = identity;
    outgoing.due = after(now, GREETING_TIME);
    const parts = encodeHello(outgoing.route, this.#hello(outgoing.target.id, outgoing.lane));
    this.#output.sends.push({ link, parts });
  }

  /** Says which peer is out of reach by this, if any. */
  closed(now: Instant, link: LinkId, why: string): MemberId | null {
    if (this.#callers.maybeForget(link)) this.#follow(now);
    const outgoing = this.#byLink.get(link);
    if (outgoing === undefined) return null;
    const wasUp = outgoing.state === "up";
    if (wasUp) this.#tell("info", "peer-link-lost", outgoing, { why });
    this.#wait(now, outgoing);
    return wasUp ? outgoing.peer : null;
  }

  /** What a frame says, when whoever sent it may say it. */
  frame(now: Instant, link: LinkId, frame: FrozenBytes): Heard | null {
    const known = this.#callers.routeOf(link);
    const decoded = decodeMessage(frame, this.#options.bodyBytesMax, known);
    const outgoing = this.#byLink.get(link);
    if (outgoing !== undefined) {
      if (decoded.kind === "malformed") this.#give(now, outgoing, `malformed: ${decoded.what}`);
      else if (decoded.kind === "hello") this.#greeted(now, outgoing, decoded.route, decoded.hello);
      return null;
    }
    if (!this.#callers.has(link)) return null;
    if (decoded.kind === "malformed") {
      this.#refuse(now, link, `malformed: ${decoded.what}`);
      return null;
    }
    if (decoded.kind === "hello") {
      this.#meet(now, link, decoded.route, decoded.hello);
      return null;
    }
    const from = this.#callers.peerOf(link);
    if (from === null) {
      this.#refuse(now, link, "a message came before the hello");
      return null;
    }
    // PERF: nothing is strange about the route that was greeted with.
    if (decoded.route === known?.route) return { from, payload: decoded };
    const strange = this.#strangeRoute(decoded.route);
    if (strange !== null || decoded.route.from !== nameOf(from)) {
      this.#refuse(now, link, strange ?? `${nameOf(from)} spoke as ${decoded.route.from}`);
      return null;
    }
    return { from, payload: decoded };
  }

  /** The link and route to send to a peer on a lane, or null while there is none. */
  routeTo(to: MemberId, lane: Lane): { readonly link: LinkId; readonly route: RouteBytes } | null {
    for (const { peer, lane: there, state, link, route } of this.#outgoing) {
      if (peer === to && there === lane && state === "up" && link !== null) return { link, route };
    }
    return null;
  }

  /** What that member said was dropped: no correct peer says it. */
  dropped(now: Instant, from: MemberId, why: string): void {
    this.#warn(now, "peer-message-dropped", from, { from, why });
  }

  send(link: LinkId, parts: readonly Uint8Array[]): void {
    this.#output.sends.push({ link, parts });
  }

  /** Closes everything; nothing is dialed again. */
  close(): void {
    this.#isClosed = true;
    for (const outgoing of this.#outgoing) this.#hangUp(outgoing, "stopping");
    for (const link of this.#callers.forgetAll()) {
      this.#output.closes.push({ link, why: "stopping" });
    }
    this.#outgoing = [];
  }

  takeOutput(): LinksOutput | null {
    const { dials, sends, closes, notices } = this.#output;
    if (dials.length + sends.length + closes.length + notices.length === 0) return null;
    const output = this.#output;
    this.#output = { dials: [], sends: [], closes: [], notices: [] };
    return output;
  }

  // ---- whom to dial ----

  /**
   * Dials whoever is a contact, a member, seen elsewhere, or greeted us and is still there; and
   * nobody else.
   */
  #follow(now: Instant): void {
    if (this.#isClosed) return;
    const { self, strangersMax } = this.#options;
    const known = [...this.#contacts, ...this.#members, ...this.#hints];
    const strangers = this.#callers.addresses.filter((caller) => !includes(known, caller));
    const wanted = [...known, ...strangers.slice(0, strangersMax)].filter(({ id, address }) => {
      return id !== self && address !== "";
    });
    this.#outgoing = this.#outgoing.filter((outgoing) => {
      if (includes(wanted, outgoing.target)) return true;
      this.#hangUp(outgoing, "no longer a member");
      return false;
    });
    const targets = this.#outgoing.map(({ target }) => target);
    for (const target of wanted) {
      if (includes(targets, target)) continue;
      targets.push(target);
      this.#outgoing.push(...this.#toward(target, now));
    }
  }

  #toward(target: MemberAddress, due: Instant): Outgoing[] {
    const { clusterId, self: from, redialMin } = this.#options;
    const route = new RouteBytes({ clusterId, from, to: target.id });
    return LANES.map((lane) => ({
      target,
      lane,
      route,
      state: "waiting",
      link: null,
      identity: null,
      peer: null,
      awaits: false,
      due,
      backoff: redialMin,
    }));
  }

  /** Whoever answered there last is linked at another address, where it has gone. */
  #isElsewhere({ peer, lane, target }: Outgoing): boolean {
    if (peer === null) return false;
    return this.#outgoing.some((other) => {
      const isUp = other.state === "up" && other.peer === peer && other.lane === lane;
      return isUp && other.target !== target;
    });
  }

  #hangUp(outgoing: Outgoing, why: string): void {
    if (outgoing.link === null) return;
    this.#byLink.delete(outgoing.link);
    this.#output.closes.push({ link: outgoing.link, why });
  }

  // ---- links we dialed ----

  #hello(to: NodeId, lane: Lane): Hello {
    const { instanceId, address } = this.#options;
    return {
      protocolMin: PROTOCOL_MIN,
      protocolMax: PROTOCOL_MAX,
      instanceId,
      lane,
      awaits: this.#options.awaits(to),
      address,
    };
  }

  #dial(now: Instant, outgoing: Outgoing): void {
    // Even for dialed links, odd for accepted ones: the two counters never meet.
    const link = this.#nextLink as LinkId;
    this.#nextLink += 2;
    outgoing.state = "dialing";
    outgoing.link = link;
    outgoing.due = after(now, GREETING_TIME);
    this.#byLink.set(link, outgoing);
    const { id: peer, address } = outgoing.target;
    this.#output.dials.push({ link, peer, address, lane: outgoing.lane });
  }

  /** Back to waiting, for longer each time until a hello is accepted. */
  #wait(now: Instant, outgoing: Outgoing): void {
    this.#changes++;
    if (outgoing.link !== null) this.#byLink.delete(outgoing.link);
    outgoing.link = null;
    outgoing.identity = null;
    outgoing.awaits = false;
    outgoing.state = "waiting";
    outgoing.due = after(now, outgoing.backoff);
    outgoing.backoff = Math.min(outgoing.backoff * 2, this.#options.redialMax) as Micros;
  }

  /** Gives a dialed link up, and says so. */
  #give(now: Instant, outgoing: Outgoing, why: string): void {
    if (outgoing.link !== null) this.#output.closes.push({ link: outgoing.link, why });
    const { target, lane } = outgoing;
    const facts = { peer: target.id, address: target.address, lane, why };
    this.#warn(now, "peer-link-given-up", `${target.id} at ${target.address}`, facts);
    this.#wait(now, outgoing);
  }

  #greeted(now: Instant, outgoing: Outgoing, route: Route, hello: Hello): void {
    if (outgoing.state !== "greeting") return;
    const { target, identity } = outgoing;
    const strange = this.#strangeRoute(route) ?? greetingFault(hello);
    if (strange !== null) this.#give(now, outgoing, strange);
    else if (route.from !== target.id) {
      this.#give(now, outgoing, `${target.address} answers as ${route.from}, not as ${target.id}`);
    } else if (!isBound(identity, target.id)) {
      this.#give(now, outgoing, notBound(identity, target.id));
    } else {
      const peer = memberId(target.id, hello.instanceId);
      if (outgoing.peer !== null && outgoing.peer !== peer) {
        this.#tell("warn", "peer-instance-changed", outgoing, { was: outgoing.peer, is: peer });
      }
      outgoing.state = "up";
      this.#changes++;
      outgoing.peer = peer;
      outgoing.awaits = hello.awaits;
      outgoing.backoff = this.#options.redialMin;
      this.#tell("info", "peer-link-up", outgoing, { instance: hello.instanceId });
    }
  }

  // ---- links that others dialed ----

  /** A dialer's hello: answered by ours when the dialer is who it says. */
  #meet(now: Instant, link: LinkId, route: Route, hello: Hello): void {
    const identity = this.#callers.identityOf(link);
    const strange = this.#strangeRoute(route) ?? greetingFault(hello);
    if (strange !== null) {
      this.#refuse(now, link, strange);
      return;
    }
    if (!isBound(identity, route.from)) {
      this.#refuse(now, link, notBound(identity, route.from));
      return;
    }
    const member = memberId(route.from, hello.instanceId);
    const greeted = new RouteBytes(route);
    const caller = { member, lane: hello.lane, address: hello.address, route: greeted };
    for (const closed of this.#callers.greeted(link, caller)) this.#output.closes.push(closed);
    this.#follow(now);
    const { clusterId, self: from } = this.#options;
    const back = new RouteBytes({ clusterId, from, to: route.from });
    const parts = encodeHello(back, this.#hello(route.from, hello.lane));
    this.#output.sends.push({ link, parts });
  }

  #refuse(now: Instant, link: LinkId, why: string): void {
    const from = this.#callers.peerOf(link);
    this.#callers.maybeForget(link);
    this.#follow(now);
    this.#output.closes.push({ link, why });
    this.#warn(now, "peer-link-refused", from ?? "nobody that is known", { from, why });
  }

  /** What is wrong with who speaks to whom, or null. */
  #strangeRoute(route: Route): string | null {
    const { clusterId, self } = this.#options;
    if (route.clusterId !== clusterId) {
      return `${route.from} is of cluster ${route.clusterId}, this is ${clusterId}`;
    }
    if (route.to !== self) return `${route.from} looks for ${route.to}, this is ${self}`;
    return route.from === self ? `another node is named ${self}, too` : null;
  }

  /** Once in a while for each `whose`; what was left out in between is counted. */
  #warn(now: Instant, what: string, whose: string, facts: Notice["facts"]): void {
    const tale = this.#faults.count(now, whose);
    if (tale === null) return;
    this.#output.notices.push({ level: "warn", what, facts: { ...facts, ...tale } });
  }

  #tell(
    level: Notice["level"],
    what: string,
    { target, lane }: Outgoing,
    facts: Record<string, string>,
  ): void {
    const peer = { peer: target.id, address: target.address, lane };
    this.#output.notices.push({ level, what, facts: { ...peer, ...facts } });
  }
}

function includes(list: readonly MemberAddress[], { id, address }: MemberAddress): boolean {
  return list.some((each) => each.id === id && each.address === address);
}
