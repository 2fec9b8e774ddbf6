// Membership as programs use it: who is in the cluster, told as it changes, and a way to leave. The
// same code on sockets and in the simulator: ports come in from outside. Owns the promises and the
// words of errors; the protocol is src/gossip.

import { type Address, describeAddress, sameAddress } from "../base/address.ts";
import { millis, type NodeId } from "../base/ids.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import type { Coordinate } from "../gossip/coordinate.ts";
import { asName } from "../gossip/fields.ts";
import { detectionTimeMax } from "../gossip/formulas.ts";
import { type Incarnation, META_BYTES_MAX } from "../gossip/messages.ts";
import { PROFILES, type ProfileName } from "../gossip/profiles.ts";
import type {
  GossipAnswer,
  GossipMember,
  GossipProfile,
  GossipRequestId,
  GossipStatus,
  Happening,
  Heard,
  MemberStatus,
  QueryTally,
  Tags,
} from "../gossip/protocol.ts";
import { encodeTags } from "../gossip/tags.ts";
import { GossipHost, type GossipPorts, type GossipRequest } from "./gossip-host.ts";
import type { GossipMemory } from "./gossip-memory.ts";
import { MembershipError, whyRefused } from "./membership-error.ts";
import {
  checkTalkName,
  type IncomingQuery,
  payloadOf,
  type QueryOptions,
  questionOf,
  RunningQuery,
  type UserEvent,
} from "./membership-talk.ts";

/** One member as this one knows it. */
export interface Member {
  readonly name: string;
  /** `host:port`. */
  readonly addr: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly status: MemberStatus;
}

/**
 * Told of every other member, in the order it became known. What a function throws is reported as a
 * notice and changes nothing.
 */
export interface MembershipHandler {
  /** It is there: for the first time, or again. */
  join?(member: Member): void;
  /** It said good-bye, or was declared gone. */
  leave?(member: Member): void;
  /** It is not there any more and said nothing. */
  fail?(member: Member): void;
  /** Its tags or its address changed. */
  update?(member: Member): void;
  /** It is forgotten: left or failed a day ago, or pruned. */
  reap?(member: Member): void;
  /** Somebody tells everybody that something happened; this member's own too. */
  event?(event: UserEvent): void;
  /** Somebody asks everybody, this member too; `respond` of it answers. */
  query?(query: IncomingQuery): void;
}

export interface MembershipOptions {
  /** Unique in the cluster: 1 to 255 bytes. */
  readonly nodeName: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** Some members, `host:port`; one that answers is enough. Port 7946 need not be said. */
  readonly startJoinAddrs?: readonly string[];
  /**
   * When none of startJoinAddrs answers: try again after so long, for ever. Absent: that is an
   * error.
   */
  readonly retryJoinMs?: number;
  readonly handler?: MembershipHandler;
  /** How patient members are: `lan`, the default, `wan` or `local`. */
  readonly profile?: ProfileName;
  /** Single values other than the profile's, for tests of time. */
  readonly timing?: Partial<GossipProfile>;
  /** Compress what is sent where that makes it shorter; true. */
  readonly compress?: boolean;
  /** Tell where this member is in the network, and keep where others are; true, as agents do. */
  readonly coordinates?: boolean;
}

export interface MembershipPorts extends GossipPorts {
  /** Where others reach this member. */
  readonly advertise: Address;
  /** All addresses a `host:port` stands for; rejects or gives none when it stands for nothing. */
  resolve(hostPort: string): Promise<readonly Address[]>;
  /** Gives the ports back. */
  shut(): Promise<void>;
  /** What this member keeps for its next life; absent: it begins anew each time. */
  readonly memory?: GossipMemory;
}

/** How patient members of that profile are, one value changed here and there. */
export function profileOf(name: ProfileName, timing: Partial<GossipProfile> = {}): GossipProfile {
  return { ...PROFILES[name], ...timing };
}

/**
 * The latest that all of so many members know of one that crashed, in milliseconds, however bad the
 * health of all of them is.
 */
export function crashKnownWithinMs(name: ProfileName, members: number): number {
  const profile = profileOf(name);
  return detectionTimeMax(profile, members, profile.awarenessMax - 1) / 1000;
}

/** Members in the table, whatever their status. */
const MEMBERS_MAX = 4096;
const RUMORS_MAX = 8192;
const STREAMS_MAX = 128;
/** Whom a member remembers is asked again after so long, where nobody said otherwise. */
const REJOIN_MS = 5000;

/**
 * A member on these ports. With startJoinAddrs it resolves when it has been taken in; when nobody
 * answers it rejects with "unreachable", or keeps trying where retryJoinMs says so. A member that
 * remembers others keeps trying those, too, and does not wait for them.
 */
export async function openMembership(
  options: MembershipOptions,
  ports: MembershipPorts,
): Promise<Membership> {
  const membership = new Membership(options, ports);
  const { startJoinAddrs = [], retryJoinMs } = options;
  const remembered = ports.memory?.remembered?.members.map(({ addr }) => addr) ?? [];
  const contacts = [...startJoinAddrs, ...remembered];
  if (contacts.length === 0) return membership;
  if (startJoinAddrs.length === 0) {
    membership.keepJoining(contacts, retryJoinMs ?? REJOIN_MS, 0);
    return membership;
  }
  try {
    await membership.join(startJoinAddrs);
  } catch (error) {
    const isUnreachable = error instanceof MembershipError && error.code === "unreachable";
    const mayWait = retryJoinMs !== undefined || remembered.length > 0;
    if (!isUnreachable || !mayWait) {
      await membership.stop();
      throw error;
    }
    membership.keepJoining(contacts, retryJoinMs ?? REJOIN_MS, 0);
  }
  return membership;
}

export class Membership {
  /** `host:port` under which others reach this member. */
  readonly localAddr: string;
  readonly #name: string;
  readonly #host: GossipHost;
  readonly #ports: MembershipPorts;
  readonly #handler: MembershipHandler;
  readonly #queries = new Map<GossipRequestId, RunningQuery>();
  readonly #waiting = new Map<GossipRequestId, (answer: GossipAnswer | null) => void>();
  #nextRequest = 1;
  #stopping: Promise<void> | null = null;

  /** Throws a MembershipError "bad-options" that says which and why. Use openMembership. */
  constructor(options: MembershipOptions, ports: MembershipPorts) {
    const { nodeName, profile = "lan", timing = {}, handler = {} } = options;
    const { compress = true, coordinates = true } = options;
    this.#name = nodeName;
    this.#ports = ports;
    this.#handler = handler;
    this.localAddr = describeAddress(ports.advertise);
    const gossip = {
      self: checkName(nodeName),
      address: ports.advertise,
      tags: checkTags(options.tags ?? {}, "bad-options"),
      // Above whatever was said of the life before: it is refuted with the first word of this one.
      incarnation: ((ports.memory?.remembered?.incarnation ?? 0) + 1) as Incarnation,
      profile: profileOf(profile, timing),
      compress,
      coordinates,
      membersMax: MEMBERS_MAX,
      rumorsMax: RUMORS_MAX,
      streamsMax: STREAMS_MAX,
    };
    this.#host = new GossipHost(gossip, ports, {
      happened: (happening) => this.#happened(happening),
      answered: (answer) => this.#answered(answer),
      heard: (heard) => this.#heard(heard),
      changed: () => this.#remember(),
    });
    this.#remember();
  }

  /** Everybody that is known, this member too, whatever their status; sorted by name. */
  members(): readonly Member[] {
    return this.#host.status().members.map(toldMember);
  }

  /** Counters and clocks, for people and for dashboards. */
  status(): GossipStatus {
    return this.#host.status();
  }

  /**
   * Where a member is in the network, this one where none is named; null as long as that is not
   * known: a member learns it of itself and of another by a ping that comes back.
   */
  coordinate(name = this.#name): Coordinate | null {
    return this.#host.coordinateOf(name as NodeId);
  }

  /**
   * The round trip between two members as their coordinates foretell it, in milliseconds; between
   * this one and another where one is named. Null as long as the place of one is not known.
   */
  rtt(name: string, other = this.#name): number | null {
    const roundTrip = this.#host.roundTrip(name as NodeId, other as NodeId);
    return roundTrip === null ? null : roundTrip / 1000;
  }

  /**
   * Joins the cluster of these members; resolves with how many of their addresses answered, rejects
   * with "unreachable" when none did. Its own address may be among them, and counts for nothing:
   * alone, it is a cluster of one. With `replay` it hears of the user events that they remember.
   */
  async join(addresses: readonly string[], { replay = false } = {}): Promise<number> {
    const troubles: string[] = [];
    const resolved: Address[] = [];
    for (const hostPort of addresses) {
      try {
        const found = await this.#ports.resolve(hostPort);
        if (found.length === 0) troubles.push(`${hostPort}: no address`);
        resolved.push(...found);
      } catch (error) {
        troubles.push(`${hostPort}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    const { advertise } = this.#ports;
    const others = resolved.filter((address) => !sameAddress(address, advertise));
    if (others.length === 0 && troubles.length === 0) return 0;
    if (others.length > 0) {
      const answer = await this.#ask({ kind: "join", addresses: others, replay });
      if (answer.kind !== "joined") throw whyRefused(answer);
      if (answer.reached > 0) return answer.reached;
      for (const { address, why } of answer.failures) {
        troubles.push(`${describeAddress(address)}: ${why}`);
      }
    }
    const remedy = "is one of them running, and is its port open for TCP and UDP?";
    const message = `no member to join answered (${troubles.join("; ")}): ${remedy}`;
    throw new MembershipError("unreachable", message);
  }

  /** Tries to join until somebody answers or the member is stopped. */
  keepJoining(addresses: readonly string[], everyMs: number, firstMs = everyMs): void {
    this.#host.later(millis(firstMs), () => {
      this.join(addresses).catch((error: unknown) => {
        if (this.#stopping !== null) return;
        this.#tell("gossip-join-failed", error);
        this.keepJoining(addresses, everyMs);
      });
    });
  }

  /**
   * Says good-bye: others list this member as left, not as failed. Resolves when it has been said;
   * then this member is silent, and remains to be stopped.
   */
  async leave(): Promise<void> {
    await this.#done({ kind: "leave" });
  }

  /** Declares a failed member gone, everywhere; with `prune` it is forgotten too. */
  async forceLeave(name: string, { prune = false } = {}): Promise<void> {
    await this.#done({ kind: "force-leave", node: name as NodeId, prune });
  }

  /** Replaces all tags of this member. */
  async setTags(tags: Readonly<Record<string, string>>): Promise<void> {
    await this.#done({ kind: "set-tags", tags: checkTags(tags, "tags-too-large") });
  }

  /**
   * Tells everybody, this member too, that something happened: about 500 bytes of name and payload.
   * Unless `coalesce` is false, of those of one name within a few seconds only the last is told.
   * Resolves when it is under way; rejects with "too-large".
   */
  async userEvent(
    name: string,
    payload: Uint8Array | string = "",
    { coalesce = true } = {},
  ): Promise<void> {
    checkTalkName("event", name);
    await this.#done({ kind: "user-event", name, payload: payloadOf(payload), coalesce });
  }

  /**
   * Asks everybody whom the filters match, this member too: about 1000 bytes of name, payload and
   * filters. Resolves when the question is under way; rejects with "too-large" or "bad-options".
   */
  async query(
    name: string,
    payload: Uint8Array | string = "",
    options: QueryOptions = {},
  ): Promise<RunningQuery> {
    const question = questionOf(name, payload, options);
    const running = new RunningQuery();
    // It may be answered before its promise is settled.
    const answer = await this.#ask({ kind: "query", question }, (requestId) => {
      this.#queries.set(requestId, running);
    });
    if (answer.kind !== "asked") {
      this.#queries.delete(answer.requestId);
      throw whyRefused(answer);
    }
    running.asked(answer.timeout);
    return running;
  }

  /** Ends without a word: to others it fails, unless it left before. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#host.halt();
    for (const settle of this.#waiting.values()) settle(null);
    this.#waiting.clear();
    for (const running of this.#queries.values()) running.close(NOTHING_CAME);
    this.#queries.clear();
    await this.#ports.shut();
  }

  async #done(request: Unnumbered<GossipRequest>): Promise<void> {
    const answer = await this.#ask(request);
    if (answer.kind === "refused") throw whyRefused(answer);
  }

  async #ask(
    request: Unnumbered<GossipRequest>,
    numbered: (requestId: GossipRequestId) => void = () => undefined,
  ): Promise<GossipAnswer> {
    const requestId = this.#nextRequest++ as GossipRequestId;
    numbered(requestId);
    const answer = await new Promise<GossipAnswer | null>((resolve) => {
      this.#waiting.set(requestId, resolve);
      if (this.#stopping === null && this.#host.offer({ ...request, requestId })) return;
      this.#waiting.delete(requestId);
      const why = "overloaded";
      resolve(this.#stopping === null ? { kind: "refused", requestId, why } : null);
    });
    if (answer === null) throw new MembershipError("stopped", "this member was stopped");
    return answer;
  }

  #answered(answer: GossipAnswer): void {
    const settle = this.#waiting.get(answer.requestId);
    this.#waiting.delete(answer.requestId);
    settle?.(answer);
  }

  /** Whoever left in good order begins anew: nobody is to be found again. */
  #remember(): void {
    const { memory } = this.#ports;
    if (memory === undefined) return;
    const { self, state, incarnation, members } = this.#host.status();
    const others = members.filter(({ node, status }) => node !== self && status !== "left");
    const told = others.map(({ node, address }) => {
      return { name: node, addr: describeAddress(address) };
    });
    // Before anybody was met, those of the life before are still whom to look for.
    const known = told.length > 0 ? told : (memory.remembered?.members ?? []);
    memory.keep({ incarnation, members: state === "running" ? known : [] });
  }

  #happened({ kind, member }: Happening): void {
    this.#call(() => this.#handler[kind]?.(toldMember(member)));
  }

  #heard(heard: Heard): void {
    if (heard.kind === "user-event") {
      const { name, payload, coalesce: coalesced, time } = heard;
      this.#call(() => this.#handler.event?.({ name, payload, coalesced, time }));
    } else if (heard.kind === "query") {
      const { queryId, name, payload, from } = heard;
      const respond = (answer: Uint8Array | string) =>
        this.#done({ kind: "answer-query", queryId, payload: payloadOf(answer) });
      this.#call(() => this.#handler.query?.({ name, payload, from, respond }));
    } else {
      this.#queries.get(heard.requestId)?.heard(heard);
      if (heard.kind === "query-ended") this.#queries.delete(heard.requestId);
    }
  }

  #call(handler: () => void): void {
    try {
      handler();
    } catch (error) {
      this.#tell("gossip-handler-threw", error);
    }
  }

  #tell(what: string, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#ports.telemetry.notice({ level: "warn", what, facts: { error: message } });
  }
}

const NOTHING_CAME: QueryTally = { acks: 0, answers: 0, duplicates: 0 };

type Unnumbered<Request> = Request extends unknown ? Omit<Request, "requestId"> : never;

function toldMember({ node, address, tags, status }: GossipMember): Member {
  return {
    name: node,
    addr: describeAddress(address),
    tags: Object.fromEntries(tags),
    status,
  };
}

function checkName(name: string): NodeId {
  const checked = asName(encodeUtf8(name));
  if (checked !== null) return checked;
  const rule = "1 to 255 bytes without control characters";
  throw new MembershipError("bad-options", `nodeName ${JSON.stringify(name)}: expected ${rule}`);
}

function checkTags(
  tags: Readonly<Record<string, string>>,
  code: "bad-options" | "tags-too-large",
): Tags {
  const checked = new Map(Object.entries(tags));
  const { length } = encodeTags(checked);
  if (length <= META_BYTES_MAX) return checked;
  const message = `tags take ${length} bytes, ${META_BYTES_MAX} at most: shorten or drop some`;
  throw new MembershipError(code, message);
}
