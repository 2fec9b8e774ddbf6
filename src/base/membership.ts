// Who decides, and who only listens: the members of a cluster as Raft counts them, and the body of
// the entry that says so. A member is a name *and* an instance (the random id of a data directory):
// a wiped node under its old name is somebody else, whose votes and acknowledgements count for
// nothing until it is admitted. Owns the sets, their rules and their bytes; when a membership takes
// effect is Raft's.
//
//   body:  u8 version = 1, u16 members, then for each member, ascending by id:
//          u8 roles (1 voter, 2 outgoing voter, 4 learner, 8 learner once the joint one is left,
//          16 besides 4: owed a vote)
//          u16 length, id        u16 length, address           all UTF-8, integers big-endian

import { assert } from "./assert.ts";
import { type FrozenBytes, freeze, viewOf } from "./bytes.ts";
import type { MemberId, NodeId } from "./ids.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

/** A member with the address its one port is dialed at. */
export interface Member {
  readonly id: MemberId;
  /** host:port, or empty where nobody dials (a core driven by hand). */
  readonly address: string;
  /**
   * A learner that came in the place of a voter of its name, and is to be one as soon as it has
   * caught up, whoever leads by then. Absent for everybody else.
   */
  readonly isOwedVote?: true;
}

/**
 * One configuration (paper, section 6). Joint exactly when `outgoing` is not empty: then every
 * decision needs a majority of `voters` and one of `outgoing` (C-new and C-old). All lists ascend
 * by id and name nobody twice.
 */
export interface Membership {
  readonly voters: readonly MemberId[];
  /** The voters of the configuration that is being left; empty in a simple one. */
  readonly outgoing: readonly MemberId[];
  /** Receive the log and count for nothing; they still answer when asked for a vote. */
  readonly learners: readonly MemberId[];
  /** Outgoing voters that become learners when the joint configuration is left. */
  readonly learnersNext: readonly MemberId[];
  /** Everybody above, once. */
  readonly members: readonly Member[];
}

/** The membership of a server that has never heard of one: it decides nothing and asks nobody. */
export const NO_MEMBERS: Membership = {
  voters: [],
  outgoing: [],
  learners: [],
  learnersNext: [],
  members: [],
};

export const MEMBERSHIP_VERSION = 1;
/** Members of one cluster, learners included: a bound for the body and for every loop over them. */
export const MEMBERS_MAX = 1000;
/** A member's id in UTF-8; the hard state has room for that much. */
export const MEMBER_ID_BYTES_MAX = 255;
/** A node's name in UTF-8: an id is name, "/", 32 hex digits. */
export const NODE_NAME_BYTES_MAX = 128;
const ADDRESS_BYTES_MAX = 512;

const VOTER = 1;
const OUTGOING = 2;
const LEARNER = 4;
const LEARNER_NEXT = 8;
const OWED_VOTE = 16;

/** The member that `name` is with this data directory. `instance` is 32 lower-case hex digits. */
export function memberId(name: NodeId, instance: string): MemberId {
  return `${name}/${instance}` as MemberId;
}

/** The name in a member's id; the whole id when it has no instance (a core driven by hand). */
export function nameOf(id: MemberId): NodeId {
  const at = id.lastIndexOf("/");
  return (at < 0 ? id : id.slice(0, at)) as string as NodeId;
}

/** The instance in a member's id; empty when it has none. */
export function instanceOf(id: MemberId): string {
  const at = id.lastIndexOf("/");
  return at < 0 ? "" : id.slice(at + 1);
}

/** A simple configuration; sorts what it is given. Who votes is owed no vote any more. */
export function membershipOf(
  voters: readonly Member[],
  learners: readonly Member[] = [],
): Membership {
  return {
    voters: sortedIds(voters.map(({ id }) => id)),
    outgoing: [],
    learners: sortedIds(learners.map(({ id }) => id)),
    learnersNext: [],
    members: [...voters.map(asVoter), ...learners].sort((a, b) => compareIds(a.id, b.id)),
  };
}

function asVoter(member: Member): Member {
  return member.isOwedVote ? { id: member.id, address: member.address } : member;
}

/** Ids in the one order used everywhere: by code units, not by anybody's language. */
export function sortedIds(ids: readonly MemberId[]): MemberId[] {
  return ids.slice().sort(compareIds);
}

export function compareIds(a: MemberId, b: MemberId): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function isJoint(membership: Membership): boolean {
  return membership.outgoing.length > 0;
}

/** Whether `id` votes, in either half of a joint configuration. */
export function isVoterIn({ voters, outgoing }: Membership, id: MemberId): boolean {
  return voters.includes(id) || outgoing.includes(id);
}

/** What is wrong with a membership, or null when its rules hold. */
export function brokenMembership(membership: Membership): string | null {
  const { voters, outgoing, learners, learnersNext, members } = membership;
  if (members.length > MEMBERS_MAX) return `more than ${MEMBERS_MAX} members`;
  const broken = members.map(brokenMember).find((what) => what !== null);
  if (broken !== undefined) return broken;
  for (const ids of [voters, outgoing, learners, learnersNext, members.map(({ id }) => id)]) {
    for (let at = 1; at < ids.length; at++) {
      if ((ids[at - 1] as MemberId) >= (ids[at] as MemberId)) return "a member twice, or unsorted";
    }
  }
  const listed = new Set(members.map(({ id }) => id));
  const named = new Set([...voters, ...outgoing, ...learners, ...learnersNext]);
  if (listed.size !== named.size || [...named].some((id) => !listed.has(id))) {
    return "the members are not those of the sets";
  }
  if (outgoing.length > 0 && voters.length === 0) return "a joint membership without voters";
  if (learners.some((id) => isVoterIn(membership, id))) return "a member both voter and learner";
  if (members.some(({ id, isOwedVote }) => isOwedVote && !learners.includes(id))) {
    return "a vote owed to who is no learner";
  }
  if (learnersNext.some((id) => !outgoing.includes(id) || voters.includes(id))) {
    return "a learner to be that is no outgoing voter";
  }
  return null;
}

function brokenMember({ id, address }: Member): string | null {
  const length = encodeUtf8(id).length;
  if (length === 0 || length > MEMBER_ID_BYTES_MAX) {
    return `a member's id of ${length} bytes: it has 1 to ${MEMBER_ID_BYTES_MAX}`;
  }
  if (encodeUtf8(address).length <= ADDRESS_BYTES_MAX) return null;
  return `an address of more than ${ADDRESS_BYTES_MAX} bytes`;
}

/** The body of a membership entry; equal memberships give equal bytes. */
export function encodeMembership(membership: Membership): FrozenBytes {
  assert(brokenMembership(membership) === null, "a membership's rules hold when it is written");
  const parts = membership.members.map(({ id, address, isOwedVote }) => ({
    roles: rolesOf(membership, id) | (isOwedVote ? OWED_VOTE : 0),
    id: encodeUtf8(id),
    address: encodeUtf8(address),
  }));
  const length = parts.reduce((sum, { id, address }) => sum + 5 + id.length + address.length, 3);
  const bytes = new Uint8Array(length);
  const view = viewOf(bytes);
  view.setUint8(0, MEMBERSHIP_VERSION);
  view.setUint16(1, parts.length);
  let at = 3;
  for (const { roles, id, address } of parts) {
    view.setUint8(at, roles);
    view.setUint16(at + 1, id.length);
    bytes.set(id, at + 3);
    at += 3 + id.length;
    view.setUint16(at, address.length);
    bytes.set(address, at + 2);
    at += 2 + address.length;
  }
  return freeze(bytes);
}

function rolesOf({ voters, outgoing, learners, learnersNext }: Membership, id: MemberId): number {
  return (
    (voters.includes(id) ? VOTER : 0) |
    (outgoing.includes(id) ? OUTGOING : 0) |
    (learners.includes(id) ? LEARNER : 0) |
    (learnersNext.includes(id) ? LEARNER_NEXT : 0)
  );
}

/** The membership in a body; null when the bytes are not of this version, or break its rules. */
export function decodeMembership(bytes: Uint8Array): Membership | null {
  if (bytes.length < 3) return null;
  const view = viewOf(bytes);
  if (view.getUint8(0) !== MEMBERSHIP_VERSION) return null;
  const members: Member[] = [];
  const roles: number[] = [];
  let at = 3;
  for (let left = view.getUint16(1); left > 0; left--) {
    if (at + 3 > bytes.length) return null;
    const role = view.getUint8(at);
    roles.push(role);
    const id = textAt(bytes, view, at + 1, MEMBER_ID_BYTES_MAX);
    if (id === null || id.text === "") return null;
    const address = textAt(bytes, view, id.end, ADDRESS_BYTES_MAX);
    if (address === null) return null;
    const member = { id: id.text as MemberId, address: address.text };
    members.push((role & OWED_VOTE) === 0 ? member : { ...member, isOwedVote: true });
    at = address.end;
  }
  if (at !== bytes.length) return null;
  const having = (role: number): MemberId[] =>
    members.filter((_, place) => ((roles[place] as number) & role) !== 0).map(({ id }) => id);
  const membership: Membership = {
    voters: having(VOTER),
    outgoing: having(OUTGOING),
    learners: having(LEARNER),
    learnersNext: having(LEARNER_NEXT),
    members,
  };
  return brokenMembership(membership) === null ? membership : null;
}

function textAt(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  bytesMax: number,
): { readonly text: string; readonly end: number } | null {
  if (at + 2 > bytes.length) return null;
  const length = view.getUint16(at);
  const end = at + 2 + length;
  if (length > bytesMax || end > bytes.length) return null;
  const text = decodeUtf8(bytes.subarray(at + 2, end));
  return text === null ? null : { text, end };
}
