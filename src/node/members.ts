// The members as a node knows them, for status, hints and dialing. Reads what Raft, the state and
// the links say; decides nothing.

import type { MemberInfo } from "../base/client.ts";
import type { MemberId } from "../base/ids.ts";
import { instanceOf, type Member, type Membership, nameOf } from "../base/membership.ts";
import type { PeerStatus, RaftStatus } from "../raft/protocol.ts";
import { isOtherInstance } from "./change-plan.ts";
import type { Greeting } from "./links.ts";
import type { MemberAddress } from "./protocol.ts";

export function addressesOf({ members }: Membership): MemberAddress[] {
  return members.map(({ id, address }) => ({ id: nameOf(id), address }));
}

/** Before the cluster is founded: those that this node was told of. */
export function unfoundedMembers(members: readonly MemberAddress[]): MemberInfo[] {
  return members.map(({ id, address }) => {
    return {
      id,
      address,
      isLeader: false,
      instance: "",
      standing: "none",
      lag: null,
      replication: null,
      isUp: false,
      answersAs: null,
    };
  });
}

export function membersOf(
  membership: Membership,
  raft: RaftStatus | null,
  greetings: readonly Greeting[],
  own: Member | null,
): MemberInfo[] {
  return membership.members.map(({ id, address: written }) => {
    const address = addressNow({ id, address: written }, greetings, own);
    const peer = raft?.peers.find((each) => each.peer === id);
    const leads = raft?.role === "leader";
    const lag = raft?.self === id && leads ? 0 : null;
    return {
      id: nameOf(id),
      address,
      isLeader: raft?.leader === id,
      instance: instanceOf(id),
      standing: standingOf(membership, id),
      lag: peer === undefined || raft === null ? lag : raft.lastIndex - peer.matchIndex,
      replication: replicationTo(peer),
      isUp: raft?.self === id || greetings.some(({ member }) => member === id),
      answersAs: answersAs(id, greetings),
    };
  });
}

/**
 * Where a member listens now: a node that was moved says so in its greeting, and of itself this
 * node knows best. The membership has where it listened when it was written.
 */
export function addressNow(
  { id, address }: Member,
  greetings: readonly Greeting[],
  own: Member | null,
): string {
  if (own?.id === id) return own.address;
  const said = greetings.find(({ member }) => member === id)?.address ?? "";
  return said === "" ? address : said;
}

function replicationTo(peer: PeerStatus | undefined): MemberInfo["replication"] {
  if (peer === undefined) return null;
  return peer.mode === "replicate" ? "pipeline" : peer.mode;
}

function standingOf(membership: Membership, id: MemberId): MemberInfo["standing"] {
  if (membership.voters.includes(id)) return "voter";
  return membership.outgoing.includes(id) ? "outgoing" : "learner";
}

function answersAs(id: MemberId, greetings: readonly Greeting[]): string | null {
  if (greetings.some(({ member }) => member === id)) return null;
  const other = greetings.find(({ member }) => isOtherInstance(member, id));
  return other === undefined ? null : instanceOf(other.member);
}
