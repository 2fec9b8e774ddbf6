// From one membership to another (paper, section 6; thesis 4.1 and 4.3): whether a single entry is
// safe or a joint configuration must come between, and what is wrong with a target. Pure functions
// over sets; when an entry may be appended is the leader's to know.

import { assert } from "../base/assert.ts";
import type { MemberId } from "../base/ids.ts";
import {
  brokenMembership,
  compareIds,
  isJoint,
  type Member,
  type Membership,
  membershipOf,
  nameOf,
} from "../base/membership.ts";
import type { MembershipTarget } from "./protocol.ts";

export type Change =
  /** The next membership entry: final, or joint with the final one to follow. */
  | { readonly kind: "change"; readonly membership: Membership }
  | { readonly kind: "invalid"; readonly what: string };

/**
 * What leads from `current`, which is simple, to `target`. Electorates that differ by one voter at
 * most overlap in every two majorities, so one entry is enough (thesis 4.1); all others go through
 * a joint configuration, in which both decide.
 */
export function changeTo(current: Membership, target: MembershipTarget): Change {
  assert(!isJoint(current), "a change begins in a simple configuration");
  const what = invalidTarget(target);
  if (what !== null) return { kind: "invalid", what };
  const final = membershipOf(target.voters, target.learners);
  const isSimple = votersApart(current.voters, final.voters) <= 1;
  const membership = isSimple ? final : enterJoint(current, final);
  const broken = brokenMembership(membership);
  return broken === null ? { kind: "change", membership } : { kind: "invalid", what: broken };
}

/** The membership in which a joint one ends: the outgoing voters that nobody keeps are gone. */
export function leaveJoint(joint: Membership): Membership {
  assert(isJoint(joint), "only a joint configuration is left");
  const { voters, learners, learnersNext, members } = joint;
  const kept = (ids: readonly MemberId[]): Member[] => members.filter(({ id }) => ids.includes(id));
  return membershipOf(kept(voters), kept([...learners, ...learnersNext]));
}

function enterJoint(current: Membership, final: Membership): Membership {
  const isOutgoing = (id: MemberId): boolean => current.voters.includes(id);
  const leaving = current.members.filter(
    ({ id }) => isOutgoing(id) && !final.members.some((member) => member.id === id),
  );
  return {
    voters: final.voters,
    outgoing: current.voters,
    learners: final.learners.filter((id) => !isOutgoing(id)),
    learnersNext: final.learners.filter(isOutgoing),
    members: [...final.members, ...leaving].sort((a, b) => compareIds(a.id, b.id)),
  };
}

/** How many members vote in one of the two and not in the other. */
function votersApart(before: readonly MemberId[], after: readonly MemberId[]): number {
  const added = after.filter((id) => !before.includes(id));
  const removed = before.filter((id) => !after.includes(id));
  return added.length + removed.length;
}

/** Two instances of one name cannot both be alive, so a target has one of them at most. */
function invalidTarget({ voters, learners }: MembershipTarget): string | null {
  if (voters.length === 0) return "it leaves no voter";
  const names = [...voters, ...learners].map(({ id }) => nameOf(id)).sort();
  const twice = names.find((name, at) => name === names[at + 1]);
  return twice === undefined ? null : `it names ${twice} twice`;
}
