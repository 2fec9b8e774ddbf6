// Links to the other members: dialing and redialing, the hello on each, and who may speak on which.
// One link a peer and lane is dialed to send on; what peers dialed is only listened to. Owns no
// bytes of Raft and no socket: it says dial, send, close, and is told opened, frame, closed.

import { assert } from "../base/assert.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import {
  after,
  earlier,
  type Instant,
  type LinkId,
  type Micros,
  millis,
  NEVER,
  type NodeId,
} from "../base/ids.ts";
import type { Notice } from "../base/notice.ts";
import type { Lane } from "../ports/network.ts";
import type { RaftMessage } from "../raft/protocol.ts";
import type { Dial, LinkClose, LinkSend, MemberAddress } from "./protocol.ts";
import {
  decodeMessage,
  encodeHello,
  type Hello,
  PROTOCOL_MAX,
  PROTOCOL_MIN,
  type Route,
  RouteBytes,
} from "./wire.ts";

/** A link whose hello has not come by then is closed. */
const GREETING_TIME: Micros = millis(5000);

const LANES: readonly Lane[] = ["control", "bulk"];

/**
 * The name a member's certificate carries as a DNS SAN, so that a client's certificate, or another
 * member's, can never open a peer link in its name.
 */
export function peerIdentity(name: NodeId): string {
  return `${name}.peer.cairn`;
}

export interface LinksOptions {
  readonly self: NodeId;
  readonly clusterId: string;
  readonly instanceId: string;
  readonly members: readonly MemberAddress[];
  readonly redialMin: Micros;
  readonly redialMax: Micros;
  readonly bodyBytesMax: number;
  readonly acceptedMax: number;
}

export interface LinksOutput {
  readonly dials: Dial[];
  readonly sends: LinkSend[];
  readonly closes: LinkClose[];
  readonly notices: Notice[];
}

export interface Heard {
  readonly from: NodeId;
  readonly message: RaftMessage;
}

/** One link we dial to one peer on one lane. */
interface Outgoing {
  readonly peer: MemberAddress;
  readonly lane: Lane;
  readonly route: RouteBytes;
  state: "waiting" | "dialing" | "greeting" | "up";
  link: LinkId | null;
  identity: readonly string[] | null;
  /** When to dial again (waiting), or to give up (dialing, greeting). */
  due: Instant;
  backoff: Micros;
}

/** One link somebody dialed to us. */
interface Incoming {
  readonly link: LinkId;
  readonly identity: readonly string[] | null;
  /** Null until its hello was accepted. */
  peer: NodeId | null;
  lane: Lane | null;
  greetBy: Instant;
}

export class Links {
  readonly #options: LinksOptions;
  readonly #outgoing: Outgoing[] = [];
  readonly #byLink = new Map<LinkId, Outgoing>();
  readonly #incoming = new Map<LinkId, Incoming>();
  #nextLink = 2;
  #output: LinksOutput = { dials: [], sends: [], closes: [], notices: [] };

  constructor(options: LinksOptions, now: Instant) {
    this.#options = options;
    for (const peer of options.members) {
      if (peer.id === options.self) continue;
      const { clusterId, self: from } = options;
      const route = new RouteBytes({ clusterId, from, to: peer.id });
      for (const lane of LANES) {
        this.#outgoing.push({
          peer,
          lane,
          route,
          state: "waiting",
          link: null,
          identity: null,
          due: now,
          backoff: options.redialMin,
        });
      }
    }
  }

  /** When a link is to be dialed again or given up. */
  get deadline(): Instant {
    let due = NEVER;
    for (const outgoing of this.#outgoing) {
      if (outgoing.state !== "up") due = earlier(due, outgoing.due);
    }
    for (const incoming of this.#incoming.values()) {
      if (incoming.peer === null) due = earlier(due, incoming.greetBy);
    }
    return due;
  }

  /** Dials what is due and closes what never greeted. */
  ring(now: Instant): void {
    for (const outgoing of this.#outgoing) {
      if (outgoing.state === "up" || outgoing.due > now) continue;
      if (outgoing.state === "waiting") this.#dial(now, outgoing);
      else this.#give(now, outgoing, "no hello in time");
    }
    for (const incoming of this.#incoming.values()) {
      if (incoming.peer === null && incoming.greetBy <= now) {
        this.#refuse(incoming, "no hello in time");
      }
    }
  }

  opened(now: Instant, link: LinkId, dialed: boolean, identity: readonly string[] | null): void {
    if (!dialed) {
      this.#accept(now, link, identity);
      return;
    }
    const outgoing = this.#byLink.get(link);
    if (outgoing === undefined || outgoing.state !== "dialing") return;
    outgoing.state = "greeting";
    outgoing.identity = identity;
    outgoing.due = after(now, GREETING_TIME);
    const parts = encodeHello(outgoing.route, this.#hello(outgoing.lane));
    this.#output.sends.push({ link, parts });
  }

  /** Says which peer is out of reach by this, if any. */
  closed(now: Instant, link: LinkId, why: string): NodeId | null {
    this.#incoming.delete(link);
    const outgoing = this.#byLink.get(link);
    if (outgoing === undefined) return null;
    const wasUp = outgoing.state === "up";
    if (wasUp) this.#tell("info", "peer-link-lost", outgoing, { why });
    this.#wait(now, outgoing);
    return wasUp ? outgoing.peer.id : null;
  }

  /** The Raft message in a frame, when whoever sent it may say it. */
  frame(now: Instant, link: LinkId, frame: FrozenBytes): Heard | null {
    const decoded = decodeMessage(frame, this.#options.bodyBytesMax);
    const outgoing = this.#byLink.get(link);
    if (outgoing !== undefined) {
      if (decoded.kind === "malformed") this.#give(now, outgoing, `malformed: ${decoded.what}`);
      else if (decoded.kind === "hello") this.#greeted(now, outgoing, decoded.route, decoded.hello);
      return null;
    }
    const incoming = this.#incoming.get(link);
    if (incoming === undefined) return null;
    if (decoded.kind === "malformed") {
      this.#refuse(incoming, `malformed: ${decoded.what}`);
      return null;
    }
    if (decoded.kind === "hello") {
      this.#meet(incoming, decoded.route, decoded.hello);
      return null;
    }
    if (incoming.peer === null) {
      this.#refuse(incoming, "a message came before the hello");
      return null;
    }
    const strange = this.#strangeRoute(decoded.route);
    if (strange !== null || decoded.route.from !== incoming.peer) {
      this.#refuse(incoming, strange ?? `${incoming.peer} spoke as ${decoded.route.from}`);
      return null;
    }
    return { from: incoming.peer, message: decoded.message };
  }

  /** The link and route to send to a peer on a lane, or null while there is none. */
  routeTo(to: NodeId, lane: Lane): { readonly link: LinkId; readonly route: RouteBytes } | null {
    for (const outgoing of this.#outgoing) {
      if (outgoing.peer.id !== to || outgoing.lane !== lane) continue;
      if (outgoing.state !== "up" || outgoing.link === null) return null;
      return { link: outgoing.link, route: outgoing.route };
    }
    return null;
  }

  send(link: LinkId, parts: readonly Uint8Array[]): void {
    this.#output.sends.push({ link, parts });
  }

  /** Closes everything; nothing is dialed again. */
  close(): void {
    for (const outgoing of this.#outgoing) {
      if (outgoing.link !== null)
        this.#output.closes.push({ link: outgoing.link, why: "stopping" });
      outgoing.state = "waiting";
      outgoing.link = null;
      outgoing.due = NEVER;
    }
    for (const link of this.#incoming.keys()) this.#output.closes.push({ link, why: "stopping" });
    this.#byLink.clear();
    this.#incoming.clear();
  }

  takeOutput(): LinksOutput | null {
    const { dials, sends, closes, notices } = this.#output;
    if (dials.length + sends.length + closes.length + notices.length === 0) return null;
    const output = this.#output;
    this.#output = { dials: [], sends: [], closes: [], notices: [] };
    return output;
  }

  #hello(lane: Lane): Hello {
    const { instanceId } = this.#options;
    return { protocolMin: PROTOCOL_MIN, protocolMax: PROTOCOL_MAX, instanceId, lane, features: 0 };
  }

  #dial(now: Instant, outgoing: Outgoing): void {
    // Even for dialed links, odd for accepted ones: the two counters never meet.
    const link = this.#nextLink as LinkId;
    this.#nextLink += 2;
    outgoing.state = "dialing";
    outgoing.link = link;
    outgoing.due = after(now, GREETING_TIME);
    this.#byLink.set(link, outgoing);
    const { id: peer, address } = outgoing.peer;
    this.#output.dials.push({ link, peer, address, lane: outgoing.lane });
  }

  /** Back to waiting, for longer each time until a hello is accepted. */
  #wait(now: Instant, outgoing: Outgoing): void {
    if (outgoing.link !== null) this.#byLink.delete(outgoing.link);
    outgoing.link = null;
    outgoing.identity = null;
    outgoing.state = "waiting";
    outgoing.due = after(now, outgoing.backoff);
    outgoing.backoff = Math.min(outgoing.backoff * 2, this.#options.redialMax) as Micros;
  }

  /** Gives a dialed link up, and says so. */
  #give(now: Instant, outgoing: Outgoing, why: string): void {
    if (outgoing.link !== null) this.#output.closes.push({ link: outgoing.link, why });
    this.#tell("warn", "peer-link-given-up", outgoing, { why });
    this.#wait(now, outgoing);
  }

  #greeted(now: Instant, outgoing: Outgoing, route: Route, hello: Hello): void {
    if (outgoing.state !== "greeting") return;
    const { peer, identity } = outgoing;
    const strange = this.#strangeRoute(route) ?? this.#strangeHello(hello);
    if (strange !== null) this.#give(now, outgoing, strange);
    else if (route.from !== peer.id) {
      this.#give(now, outgoing, `${peer.address} answers as ${route.from}, not as ${peer.id}`);
    } else if (!isBound(identity, peer.id)) {
      this.#give(now, outgoing, notBound(identity, peer.id));
    } else {
      outgoing.state = "up";
      outgoing.backoff = this.#options.redialMin;
      this.#tell("info", "peer-link-up", outgoing, { instance: hello.instanceId });
    }
  }

  #accept(now: Instant, link: LinkId, identity: readonly string[] | null): void {
    const incoming: Incoming = {
      link,
      identity,
      peer: null,
      lane: null,
      greetBy: after(now, GREETING_TIME),
    };
    if (this.#incoming.size >= this.#options.acceptedMax) {
      this.#output.closes.push({ link, why: "too many links" });
      return;
    }
    this.#incoming.set(link, incoming);
  }

  /** A dialer's hello: answered by ours when the dialer is who it says. */
  #meet(incoming: Incoming, route: Route, hello: Hello): void {
    const { identity, link } = incoming;
    const strange = this.#strangeRoute(route) ?? this.#strangeHello(hello);
    if (strange !== null) {
      this.#refuse(incoming, strange);
      return;
    }
    if (!isBound(identity, route.from)) {
      this.#refuse(incoming, notBound(identity, route.from));
      return;
    }
    for (const other of this.#incoming.values()) {
      const replaced = other !== incoming && other.peer === route.from && other.lane === hello.lane;
      if (!replaced) continue;
      this.#incoming.delete(other.link);
      this.#output.closes.push({ link: other.link, why: "replaced by a newer link" });
    }
    incoming.peer = route.from;
    incoming.lane = hello.lane;
    const back = this.#outgoing.find((outgoing) => outgoing.peer.id === route.from);
    assert(back !== undefined, "a member has a route");
    this.#output.sends.push({ link, parts: encodeHello(back.route, this.#hello(hello.lane)) });
  }

  #refuse(incoming: Incoming, why: string): void {
    this.#incoming.delete(incoming.link);
    this.#output.closes.push({ link: incoming.link, why });
    const facts = { from: incoming.peer, why };
    this.#output.notices.push({ level: "warn", what: "peer-link-refused", facts });
  }

  /** What is wrong with who speaks to whom, or null. */
  #strangeRoute(route: Route): string | null {
    const { clusterId, self, members } = this.#options;
    if (route.clusterId !== clusterId) {
      return `${route.from} is of cluster ${route.clusterId}, this is ${clusterId}`;
    }
    if (route.to !== self) return `${route.from} looks for ${route.to}, this is ${self}`;
    if (route.from === self || !members.some((member) => member.id === route.from)) {
      return `${route.from} is not a member`;
    }
    return null;
  }

  #strangeHello(hello: Hello): string | null {
    if (hello.protocolMin <= PROTOCOL_MAX && hello.protocolMax >= PROTOCOL_MIN) return null;
    const theirs = `${hello.protocolMin} to ${hello.protocolMax}`;
    return `peer protocol ${theirs} is not spoken here (${PROTOCOL_MIN} to ${PROTOCOL_MAX})`;
  }

  #tell(
    level: Notice["level"],
    what: string,
    outgoing: Outgoing,
    facts: Record<string, string>,
  ): void {
    const peer = { peer: outgoing.peer.id, address: outgoing.peer.address, lane: outgoing.lane };
    this.#output.notices.push({ level, what, facts: { ...peer, ...facts } });
  }
}

/** True when the certificate was issued for this member, or the transport knows no certificates. */
function isBound(identity: readonly string[] | null, name: NodeId): boolean {
  return identity === null || identity.includes(peerIdentity(name));
}

function notBound(identity: readonly string[] | null, name: NodeId): string {
  return `the certificate of ${(identity ?? []).join(", ")} does not speak for ${peerIdentity(name)}`;
}
