// What gossip and the log together ask for: who founds a cluster, and the one change of its members
// that is due next. Gossip only nominates: whoever is admitted proves its name and its cluster on a
// link of its own (change-plan.ts), nobody is removed because gossip says so unless an operator
// gave a grace time, and consensus commits every step. Owns the tags by which members know each
// other; patience and what is under way are discovery.ts.

import type { MemberInfo, MembershipChange, NodeStatus } from "../base/client.ts";
import type { NodeId } from "../base/ids.ts";
import type { MemberStatus } from "../gossip/protocol.ts";
import type { MemberAddress } from "./protocol.ts";

/** A member as gossip shows it. */
export interface Seen {
  readonly name: string;
  readonly status: MemberStatus;
  readonly tags: Readonly<Record<string, string>>;
}

/** Whether its log is in use. */
export type Stage = "empty" | "member";

/** A gossip member that says it is a node of our cluster. */
export interface Candidate {
  readonly name: NodeId;
  readonly address: string;
  readonly stage: Stage;
  /** Of its data directory. */
  readonly instance: string;
  /** How many founders it waits for; null when it founds nothing. */
  readonly expect: number | null;
}

/** A cluster that lost this many of its voters is not made any smaller: nothing could fail then. */
const VOTERS_KEPT = 3;

/** The tags that discovery reads and writes. */
export const OWN_TAGS: readonly string[] = ["rpc_addr", "cluster", "stage", "instance", "expect"];

export function tagsOf(clusterId: string, candidate: Candidate): Record<string, string> {
  const { address, stage, instance, expect } = candidate;
  const tags = { rpc_addr: address, cluster: clusterId, stage, instance };
  return expect === null ? tags : { ...tags, expect: String(expect) };
}

/** Null for whoever is not there, or is no node of this cluster: it is never admitted. */
export function candidateOf(clusterId: string, member: Seen): Candidate | null {
  const { rpc_addr: address, cluster, stage, instance, expect } = member.tags;
  if (member.status !== "alive" || cluster !== clusterId) return null;
  if (address === undefined || !/^[^\s,=]+:\d{1,5}$/.test(address)) return null;
  if (instance === undefined || !/^[0-9a-f]{32}$/.test(instance)) return null;
  if (stage !== "empty" && stage !== "member") return null;
  const founders = expect !== undefined && /^\d{1,3}$/.test(expect) ? Number(expect) : null;
  return { name: member.name as NodeId, address, stage, instance, expect: founders };
}

export interface FoundingView {
  readonly self: Candidate;
  /** Everybody who is there, this node too. */
  readonly candidates: readonly Candidate[];
  /** It may found alone. */
  readonly bootstrap: boolean;
  /** There was time to hear of a cluster from those who were to be joined, if any. */
  readonly hasAsked: boolean;
}

/**
 * The founders, once they are known: this node among them; null while they are not. Wherever a
 * cluster is known, it is joined instead.
 */
export function planFounding(view: FoundingView): readonly MemberAddress[] | null {
  const { self, candidates, bootstrap, hasAsked } = view;
  if (self.stage !== "empty" || !hasAsked) return null;
  if (candidates.some(({ stage }) => stage === "member")) return null;
  if (bootstrap) return [{ id: self.name, address: self.address }];
  if (self.expect === null) return null;
  const waiting = candidates.filter(({ stage, expect }) => {
    return stage === "empty" && expect === self.expect;
  });
  // More than were expected: which of them are meant, only an operator can say.
  if (waiting.length !== self.expect) return null;
  const founders = waiting.map(({ name: id, address }) => ({ id, address }));
  return founders.toSorted((one, other) => (one.id < other.id ? -1 : 1));
}

/**
 * Members that somebody removed or demoted while they were there: discovery does not undo that as
 * long as they stay. Every node watches, so that the next leader knows, too.
 */
export class Dismissals {
  readonly #names = new Set<string>();
  #before: readonly MemberInfo[] = [];

  get names(): ReadonlySet<string> {
    return this.#names;
  }

  follow(members: readonly MemberInfo[], candidates: readonly Candidate[]): void {
    for (const { id, instance, standing } of this.#before) {
      const now = members.find((member) => member.id === id);
      const isDemoted =
        now?.instance === instance && now.standing === "learner" && standing !== "learner";
      if (now === undefined || isDemoted) this.#names.add(id);
    }
    for (const name of this.#names) {
      const isThere = candidates.some((candidate) => candidate.name === name);
      const votes = members.some(({ id, standing }) => id === name && standing === "voter");
      if (!isThere || votes) this.#names.delete(name);
    }
    this.#before = members;
  }
}

export interface ChangeView {
  readonly status: Pick<NodeStatus, "name" | "members">;
  readonly candidates: readonly Candidate[];
  readonly replacesWiped: boolean;
  /** Whoever was failed for as long as an operator allows; nobody unless that was said. */
  readonly failedTooLong: ReadonlySet<string>;
  /** See Dismissals. */
  readonly dismissed: ReadonlySet<string>;
  /** A change of theirs was refused a moment ago. */
  readonly postponed: ReadonlySet<string>;
}

/** The change that this node, the leader, is to make next; null when all is as it should be. */
export function planChange(view: ChangeView): MembershipChange | null {
  const { status, candidates, postponed } = view;
  const others = status.members.filter(({ id }) => id !== status.name && !postponed.has(id));
  return (
    first(candidates, (candidate) => {
      const isTold = candidate.name === status.name || postponed.has(candidate.name);
      return isTold ? null : planAdmission(view, candidate);
    }) ?? first(others, (member) => planCleanup(view, member))
  );
}

function planAdmission(view: ChangeView, candidate: Candidate): MembershipChange | null {
  const { name, address, instance } = candidate;
  if (view.dismissed.has(name)) return null;
  const admit = { kind: "add", name, address, asVoter: true } as const;
  const known = view.status.members.find(({ id }) => id === name);
  if (known === undefined) return admit;
  const hasMoved = known.address !== address;
  if (known.instance === instance) {
    return hasMoved || known.standing === "learner" ? admit : null;
  }
  // At its old address the node swaps a wiped member by itself (autoReplaceWiped).
  if (!hasMoved || !view.replacesWiped) return null;
  return { kind: "replace", name, withName: name, withAddress: address };
}

/** One member at a time, while most voters are there, and only as long as enough remain. */
function planCleanup(view: ChangeView, member: MemberInfo): MembershipChange | null {
  const { id: name, isUp, standing, answersAs } = member;
  if (isUp || answersAs !== null || !view.failedTooLong.has(name)) return null;
  if (standing === "voter") {
    const voters = view.status.members.filter((each) => each.standing === "voter");
    const upCount = voters.filter((each) => each.isUp).length;
    if (upCount * 2 <= voters.length || voters.length <= VOTERS_KEPT) return null;
  }
  return { kind: "remove", name };
}

function first<Item, Found>(items: readonly Item[], look: (item: Item) => Found | null) {
  for (const item of items) {
    const found = look(item);
    if (found !== null) return found;
  }
  return null;
}
