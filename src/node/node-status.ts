// What a node says of itself: its status, its members, who leads instead of it, and why it does not
// serve. Reads what the replica, the links and the phase are at that moment; changes nothing.

import type { DiskStatus, MemberInfo, NodeStatus } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import { type Instant, NO_INDEX, NO_TERM } from "../base/ids.ts";
import { nameOf } from "../base/membership.ts";
import type { RaftStatus } from "../raft/protocol.ts";
import type { Links } from "./links.ts";
import { addressNow, membersOf, unfoundedMembers } from "./members.ts";
import type { NodeOptions } from "./protocol.ts";
import type { Replica } from "./replica.ts";
import type { Safekeeping } from "./safekeeping.ts";

export type Phase = "new" | "opening" | "serving" | "poisoned" | "stopping" | "stopped" | "refused";

/** The parts of a node that its status is read from. */
export interface StatusParts {
  readonly options: NodeOptions;
  readonly phase: Phase;
  readonly replica: Replica;
  readonly links: Links | null;
  readonly safekeeping: Safekeeping;
  /** Why the log was refused; null while it was not. */
  readonly damage: string | null;
}

export function nodeStatus(parts: StatusParts, now: Instant): NodeStatus {
  const { options, phase, replica } = parts;
  const raft = replica.raft?.status() ?? null;
  const { committed, startOffset, membershipIndex } = replica.state;
  return {
    name: options.name,
    clusterId: options.clusterId,
    state: phase === "new" ? "opening" : phase,
    role: raft?.role ?? "none",
    term: raft?.term ?? NO_TERM,
    leader: raft?.leader == null ? null : nameOf(raft.leader),
    commitIndex: committed.index,
    lastIndex: raft?.lastIndex ?? NO_INDEX,
    durableIndex: raft?.durableIndex ?? NO_INDEX,
    startOffset,
    endOffset: committed.endOffset,
    members: memberInfos(parts, raft),
    membershipIndex,
    disk: diskStatus(parts),
    at: now,
  };
}

function diskStatus({ replica, safekeeping, damage }: StatusParts): DiskStatus {
  const { room, segments, storeBytes, isReserved, scrub } = replica.logStatus();
  const digests = safekeeping.digestCounts;
  return { room, segments, storeBytes, isReserved, scrub, digests, damage };
}

/** Why the node answers nothing of its own accord; null while it serves. */
export function notServing(phase: Phase, poison: Fault | null): Fault | null {
  if (phase === "serving") return null;
  if (poison !== null) return poison;
  const opening = phase === "new" || phase === "opening";
  return {
    code: "not-serving",
    state: opening ? "opening" : phase === "stopping" ? "stopping" : "stopped",
  };
}

/** What is said where only the leader may answer: who leads, as far as this node knows. */
export function notLeader(replica: Replica, links: Links | null): Fault {
  const leader = replica.raft?.leader ?? null;
  if (leader === null || leader === replica.self) {
    return { code: "not-leader", leader: null, address: null };
  }
  const member = replica.state.membership.members.find(({ id }) => id === leader);
  const address = member === undefined ? null : addressNow(member, links?.greetings ?? [], null);
  return { code: "not-leader", leader: nameOf(leader), address };
}

function memberInfos(parts: StatusParts, raft: RaftStatus | null): readonly MemberInfo[] {
  const { options, replica, links } = parts;
  const { membership } = replica.state;
  if (membership.members.length > 0) {
    const { self } = replica;
    const own = self === null ? null : { id: self, address: options.address };
    return membersOf(membership, raft, links?.greetings ?? [], own);
  }
  const { members, name: id, address } = options;
  return unfoundedMembers(members.length > 0 ? members : [{ id, address }]);
}
