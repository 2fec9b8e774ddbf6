// Discovery at work on one node: says in gossip what this node is, hears who is there, founds when
// that is due, and while it leads makes one change of the members at a time, so that what a lost
// leader missed is made up for by the next. Owns patience and what is under way; what is to be done
// is decided in discovery.ts, when to look in the composition root.

import type { MembershipChange, NodeStatus } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import { after, type Instant, type Micros, millis, type NodeId } from "../base/ids.ts";
import { instanceOf } from "../base/membership.ts";
import type { NodeHost } from "../node/ports.ts";
import type { Clock } from "../ports/clock.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import {
  type Candidate,
  candidateOf,
  Dismissals,
  planChange,
  planFounding,
  tagsOf,
} from "./discovery.ts";
import type { Member, Membership } from "./membership.ts";

/** A change that was refused is asked for again after so long. */
const POSTPONED_FOR: Micros = millis(5000);
/** From the first answer of a contact until a cluster that there is would be known. */
const ASKING_TIME: Micros = millis(1000);

export interface DiscoveryOptions {
  /** host:port where members and clients reach this node. */
  readonly address: string;
  readonly bootstrap: boolean;
  readonly expect: number | null;
  /** Somebody else is to be joined: nothing is founded before somebody was met. */
  readonly hasContacts: boolean;
  readonly replacesWiped: boolean;
  /** Null: failed members stay members until somebody removes them. */
  readonly cleanupGrace: Micros | null;
}

export interface DiscoveryPorts {
  readonly host: Pick<NodeHost, "status" | "look" | "hear">;
  readonly membership: Pick<Membership, "members" | "setTags">;
  readonly clock: Pick<Clock, "now">;
  readonly telemetry: Telemetry;
  /** Null once the whole change is committed. */
  readonly change: (change: MembershipChange) => Promise<Fault | null>;
}

/** The tags a node begins with, before its discovery does. */
export function ownTags(
  { address, expect }: Pick<DiscoveryOptions, "address" | "expect">,
  host: Pick<NodeHost, "status" | "look">,
): Record<string, string> {
  const status = host.status();
  return tagsOf(status.clusterId, ownCandidate({ address, expect }, status, host));
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #ports: DiscoveryPorts;
  readonly #failedSince = new Map<string, Instant>();
  readonly #postponed = new Map<string, Instant>();
  #metSince: Instant | null = null;
  #tags = "";
  readonly #dismissals = new Dismissals();
  #isChanging = false;
  #hasFounders = false;

  constructor(options: DiscoveryOptions, ports: DiscoveryPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#tags = JSON.stringify(ownTags(options, ports.host));
  }

  /** Gossip takes a member for failed. */
  failed({ name }: Member): void {
    this.#ports.host.hear({ kind: "peer-failed", name: name as NodeId });
  }

  /** Looks at everything and does what is due; to be called twice a second or so. */
  look(): void {
    const status = this.#ports.host.status();
    if (status.state !== "serving") return;
    const now = this.#ports.clock.now();
    const gossip = this.#ports.membership.members();
    const self = this.#self(status);
    this.#tell(self).catch(() => undefined); // It is stopping, or told at the next look.
    this.#watch(now, gossip, status.name);
    const others = gossip.filter(({ name }) => name !== status.name);
    const found = others.map((member) => candidateOf(status.clusterId, member));
    const candidates = [self, ...found.filter((candidate) => candidate !== null)];
    this.#dismissals.follow(status.members, candidates);
    this.#found(now, self, candidates);
    if (status.role === "leader" && !this.#isChanging) this.#lead(now, status, gossip, candidates);
  }

  #self(status: NodeStatus): Candidate {
    return ownCandidate(this.#options, status, this.#ports.host);
  }

  async #tell(self: Candidate): Promise<void> {
    const tags = tagsOf(this.#ports.host.status().clusterId, self);
    const told = JSON.stringify(tags);
    if (told === this.#tags) return;
    this.#tags = told;
    await this.#ports.membership.setTags(tags).catch((error: unknown) => {
      this.#tags = "";
      throw error;
    });
  }

  #watch(now: Instant, gossip: readonly Member[], self: NodeId): void {
    const met = gossip.some(({ name, status }) => name !== self && status === "alive");
    if (met) this.#metSince ??= now;
    const failed = gossip.filter(({ status }) => status === "failed").map(({ name }) => name);
    for (const name of this.#failedSince.keys()) {
      if (!failed.includes(name)) this.#failedSince.delete(name);
    }
    for (const name of failed) {
      if (!this.#failedSince.has(name)) this.#failedSince.set(name, now);
    }
    for (const [name, until] of this.#postponed) {
      if (until <= now) this.#postponed.delete(name);
    }
  }

  #found(now: Instant, self: Candidate, candidates: readonly Candidate[]): void {
    if (this.#hasFounders) return;
    const { bootstrap, hasContacts } = this.#options;
    const hasMet = this.#metSince !== null && after(this.#metSince, ASKING_TIME) <= now;
    const hasAsked = !hasContacts || hasMet;
    const founders = planFounding({ self, candidates, bootstrap, hasAsked });
    if (founders === null) return;
    this.#hasFounders = true;
    const list = founders.map(({ id, address }) => `${id}=${address}`).join(",");
    this.#ports.telemetry.notice({ level: "info", what: "founders-known", facts: { list } });
    this.#ports.host.hear({ kind: "founders", members: founders });
  }

  #lead(
    now: Instant,
    status: NodeStatus,
    gossip: readonly Member[],
    candidates: readonly Candidate[],
  ): void {
    const { replacesWiped, cleanupGrace } = this.#options;
    const overdue = [...this.#failedSince].filter(([, since]) => {
      return cleanupGrace !== null && after(since, cleanupGrace) <= now;
    });
    const failedTooLong = new Set(overdue.map(([name]) => name));
    const postponed = new Set(this.#postponed.keys());
    const { names: dismissed } = this.#dismissals;
    const change = planChange({
      ...{ status, gossip, candidates, replacesWiped, failedTooLong, dismissed, postponed },
    });
    if (change === null || !("name" in change)) return;
    this.#isChanging = true;
    void this.#make(change);
  }

  async #make(change: Extract<MembershipChange, { name: NodeId }>): Promise<void> {
    const { kind, name } = change;
    const { telemetry, clock } = this.#ports;
    const fault = await this.#ports.change(change);
    this.#isChanging = false;
    if (fault === null) {
      telemetry.notice({ level: "info", what: "discovery-change", facts: { kind, member: name } });
      return;
    }
    this.#postponed.set(name, after(clock.now(), POSTPONED_FOR));
    const why = fault.code === "change-refused" ? fault.what : fault.code;
    const facts = { kind, member: name, why };
    telemetry.notice({ level: "warn", what: "discovery-change-refused", facts });
  }
}

function ownCandidate(
  { address, expect }: Pick<DiscoveryOptions, "address" | "expect">,
  { name, lastIndex }: NodeStatus,
  host: Pick<NodeHost, "look">,
): Candidate {
  const self = host.look().raft?.self;
  const instance = self === undefined ? "" : instanceOf(self);
  const stage = lastIndex > 0 ? "member" : "empty";
  return { name, address, stage, instance, expect };
}
