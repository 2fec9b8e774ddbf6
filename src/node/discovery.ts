// Discovery at work on one node: what this node says of itself in gossip, who is there, when that
// founds a cluster, and while it leads one change of the members at a time, so that what a lost
// leader missed is made up for by the next. Looks and says, asks nobody: who tells gossip, the node
// and the log is src/service/discovery-loop.ts, and the simulator. Owns patience and what is under
// way; what is to be done is decided in nomination.ts.

import type { MembershipChange, NodeStatus } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import { after, type Instant, type Micros, millis, type NodeId } from "../base/ids.ts";
import { instanceOf, nameOf } from "../base/membership.ts";
import type { Notice } from "../base/notice.ts";
import type { RaftStatus } from "../raft/protocol.ts";
import {
  type Candidate,
  candidateOf,
  Dismissals,
  planChange,
  planFounding,
  type Seen,
  tagsOf,
} from "./nomination.ts";
import type { MemberAddress, News } from "./protocol.ts";

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
  /** Shown beside the node's own, and read by nobody here. */
  readonly tags: Readonly<Record<string, string>>;
  /** Null: failed members stay members until somebody removes them. */
  readonly cleanupGrace: Micros | null;
}

/** What one look at a node and its gossip begins with. */
export interface DiscoveryView {
  readonly status: NodeStatus;
  /** Null while the node has no log yet. */
  readonly raft: Pick<RaftStatus, "self" | "membership"> | null;
  /** Everybody in gossip, this node too or not. */
  readonly gossip: readonly Seen[];
}

export interface DiscoveryOutput {
  /** To be this node's tags from now on; null when they are. */
  readonly tags: Readonly<Record<string, string>> | null;
  /** For the node. */
  readonly news: readonly News[];
  /** To be asked of this node, the leader; `changed` is to be called with how that ended. */
  readonly change: NamedChange | null;
  readonly notices: readonly Notice[];
}

type NamedChange = Extract<MembershipChange, { name: NodeId }>;

/** The tags a node begins with, before its discovery does. */
export function ownTags(
  options: DiscoveryOptions,
  view: Pick<DiscoveryView, "status" | "raft">,
): Record<string, string> {
  return { ...options.tags, ...tagsOf(view.status.clusterId, ownCandidate(options, view)) };
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #failedSince = new Map<string, Instant>();
  readonly #postponed = new Map<string, Instant>();
  readonly #dismissals = new Dismissals();
  #metSince: Instant | null = null;
  /** Null: to be told again. */
  #told: string | null;
  #hinted = "[]";
  #change: NamedChange | null = null;
  #hasFounders = false;

  /** `tags` are those that gossip began with. */
  constructor(options: DiscoveryOptions, tags: Readonly<Record<string, string>>) {
    this.#options = options;
    this.#told = JSON.stringify(tags);
  }

  /** Looks at everything and says what is due; to be called a few times a second. */
  look(now: Instant, view: DiscoveryView): DiscoveryOutput {
    const { status, gossip } = view;
    if (status.state !== "serving") return { tags: null, news: [], change: null, notices: [] };
    const self = ownCandidate(this.#options, view);
    this.#watch(now, gossip, status.name);
    const others = gossip.filter(({ name }) => name !== status.name);
    const found = others.map((member) => candidateOf(status.clusterId, member));
    const candidates = [self, ...found.filter((candidate) => candidate !== null)];
    this.#dismissals.follow(status.members, candidates);
    const founders = this.#found(now, self, candidates);
    const hints = this.#hint(view, candidates);
    const change = this.#plan(now, view, candidates);
    const news: News[] = [];
    if (founders !== null) news.push({ kind: "founders", members: founders });
    if (hints !== null) news.push({ kind: "addresses", members: hints });
    const notices = founders === null ? [] : [foundersNotice(founders)];
    return { tags: this.#tell(status, self), news, change, notices };
  }

  /** The tags that were to be told were not: they are again, at the next look. */
  untold(): void {
    this.#told = null;
  }

  /** How the change that was asked for ended; a word on it for operators. */
  changed(now: Instant, fault: Fault | null): Notice | null {
    const change = this.#change;
    if (change === null) return null;
    this.#change = null;
    const facts = { kind: change.kind, member: change.name };
    if (fault === null) return { level: "info", what: "discovery-change", facts };
    this.#postponed.set(change.name, after(now, POSTPONED_FOR));
    const why = fault.code === "change-refused" ? fault.what : fault.code;
    return { level: "warn", what: "discovery-change-refused", facts: { ...facts, why } };
  }

  #tell(status: NodeStatus, self: Candidate): Record<string, string> | null {
    const tags = { ...this.#options.tags, ...tagsOf(status.clusterId, self) };
    const told = JSON.stringify(tags);
    if (told === this.#told) return null;
    this.#told = told;
    return tags;
  }

  #watch(now: Instant, gossip: readonly Seen[], self: NodeId): void {
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

  #found(
    now: Instant,
    self: Candidate,
    candidates: readonly Candidate[],
  ): readonly MemberAddress[] | null {
    if (this.#hasFounders) return null;
    const { bootstrap, hasContacts } = this.#options;
    const hasMet = this.#metSince !== null && after(this.#metSince, ASKING_TIME) <= now;
    const hasAsked = !hasContacts || hasMet;
    const founders = planFounding({ self, candidates, bootstrap, hasAsked });
    this.#hasFounders = founders !== null;
    return founders;
  }

  /**
   * Members that are not where the log says. Without this word, members that all moved at once
   * would never meet, and no leader could write down where they are.
   */
  #hint(view: DiscoveryView, candidates: readonly Candidate[]): readonly MemberAddress[] | null {
    const written = addressesIn(view);
    const hints: MemberAddress[] = [];
    for (const { name: id, address } of candidates) {
      const known = written.get(id);
      if (known !== undefined && known !== address) hints.push({ id, address });
    }
    const hinted = JSON.stringify(hints);
    if (hinted === this.#hinted) return null;
    this.#hinted = hinted;
    return hints;
  }

  #plan(now: Instant, view: DiscoveryView, candidates: readonly Candidate[]): NamedChange | null {
    const { status } = view;
    if (status.role !== "leader" || this.#change !== null) return null;
    const { replacesWiped, cleanupGrace } = this.#options;
    const overdue = [...this.#failedSince].filter(([, since]) => {
      return cleanupGrace !== null && after(since, cleanupGrace) <= now;
    });
    // Status has where members are now, and what is to be mended is where the log says.
    const written = addressesIn(view);
    const members = status.members.map((member) => {
      return { ...member, address: written.get(member.id) ?? member.address };
    });
    const change = planChange({
      status: { name: status.name, members },
      candidates,
      replacesWiped,
      failedTooLong: new Set(overdue.map(([name]) => name)),
      dismissed: this.#dismissals.names,
      postponed: new Set(this.#postponed.keys()),
    });
    if (change === null || !("name" in change)) return null;
    this.#change = change;
    return change;
  }
}

function addressesIn({ raft }: DiscoveryView): ReadonlyMap<NodeId, string> {
  const members = raft?.membership.members ?? [];
  return new Map(members.map(({ id, address }) => [nameOf(id), address]));
}

function ownCandidate(
  { address, expect }: Pick<DiscoveryOptions, "address" | "expect">,
  { status, raft }: Pick<DiscoveryView, "status" | "raft">,
): Candidate {
  const instance = raft === null ? "" : instanceOf(raft.self);
  const stage = status.lastIndex > 0 ? "member" : "empty";
  return { name: status.name, address, stage, instance, expect };
}

function foundersNotice(founders: readonly MemberAddress[]): Notice {
  const list = founders.map(({ id, address }) => `${id}=${address}`).join(",");
  return { level: "info", what: "founders-known", facts: { list } };
}
