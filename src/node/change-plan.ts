// The next step of a change of membership, from the membership in force: a pure function, asked
// again after every step. Who is new becomes a learner first, and a voter in a step of its own once
// Raft finds it caught up. Owns no retry and no time.

import type { ClientRequest } from "../base/client.ts";
import type { MemberId, NodeId } from "../base/ids.ts";
import { instanceOf, isVoterIn, type Member, type Membership, nameOf } from "../base/membership.ts";
import type { MembershipTarget } from "../raft/protocol.ts";
import type { Greeting } from "./links.ts";

export type Change = Extract<ClientRequest, { kind: "change-membership" }>["change"];

export type ChangeStep =
  | { readonly kind: "done" }
  | { readonly kind: "propose"; readonly target: MembershipTarget }
  | { readonly kind: "waits"; readonly what: string }
  | { readonly kind: "refused"; readonly what: string };

interface View {
  readonly membership: Membership;
  readonly greetings: readonly Greeting[];
}

const DONE: ChangeStep = { kind: "done" };

/** The same name, on another data directory. */
export function isOtherInstance(one: MemberId, other: MemberId): boolean {
  return nameOf(one) === nameOf(other) && one !== other;
}

/** `isBegun`: a step of this change was proposed before. The membership is not joint. */
export function planChange(change: Change, view: View, isBegun: boolean): ChangeStep {
  switch (change.kind) {
    case "add":
      return planAdd(change, view);
    case "remove":
      return planRemove(change.name, view.membership, isBegun);
    case "promote":
      return planStanding(change.name, view.membership, true);
    case "demote":
      return planStanding(change.name, view.membership, false);
    case "replace":
      return planReplace(change, view, isBegun);
    case "set":
      return planSet(change, view);
  }
}

function planAdd(change: Extract<Change, { kind: "add" }>, view: View): ChangeStep {
  const { name, address, asVoter } = change;
  const id = whoAnswers(name, address, view.greetings);
  if (id === null) return { kind: "waits", what: `nobody named ${name} answers at ${address}` };
  const { membership } = view;
  const former = membership.members.find((member) => isOtherInstance(member.id, id));
  if (former !== undefined) {
    const what = `${name} is a member already, with the data directory ${instanceOf(former.id)}: replace it`;
    return { kind: "refused", what };
  }
  const known = membership.members.find((member) => member.id === id);
  const isVoter = isVoterIn(membership, id);
  if (known?.address === address && isVoter === (asVoter || isVoter)) return DONE;
  // First a learner; and whoever is known by another address gets this one.
  const joinsVoters = known?.address === address ? asVoter : isVoter;
  const entrant: Member = { ...known, id, address };
  return propose(membership, {
    drop: [id],
    voters: joinsVoters ? [entrant] : [],
    learners: joinsVoters ? [] : [entrant],
  });
}

function planRemove(name: NodeId, membership: Membership, isBegun: boolean): ChangeStep {
  const drop = namedIn(membership, name).map(({ id }) => id);
  if (drop.length > 0) return propose(membership, { drop, voters: [], learners: [] });
  return isBegun ? DONE : unknown(name);
}

function planStanding(name: NodeId, membership: Membership, asVoter: boolean): ChangeStep {
  const named = namedIn(membership, name);
  const member = named.find(({ id }) => isVoterIn(membership, id) !== asVoter);
  if (named.length === 0) return unknown(name);
  // Of a wiped member both instances can be there: one is what was asked for already.
  if (member === undefined) return DONE;
  const [voters, learners] = asVoter ? [[member], []] : [[], [member]];
  return propose(membership, { drop: [member.id], voters, learners });
}

function planReplace(
  change: Extract<Change, { kind: "replace" }>,
  { membership, greetings }: View,
  isBegun: boolean,
): ChangeStep {
  const { name, withName, withAddress: address } = change;
  const id = whoAnswers(withName, address, greetings);
  if (id === null) return { kind: "waits", what: `nobody named ${withName} answers at ${address}` };
  const former = namedIn(membership, name).filter((member) => member.id !== id);
  const entrant = { id, address };
  const known = membership.members.find((member) => member.id === id);
  const isKnown = known !== undefined;
  if (former.length === 0) {
    if (known?.isOwedVote) {
      return propose(membership, { drop: [id], voters: [entrant], learners: [] });
    }
    return isBegun || isKnown ? DONE : unknown(name);
  }
  const isVoter = former.some((member) => isVoterIn(membership, member.id));
  const isOwed = isVoter || former.some(({ isOwedVote }) => isOwedVote);
  const drop = [id, ...former.map((member) => member.id)];
  // Nobody is there twice: who was wiped leaves as a voter and comes back as a learner at once.
  if (name === withName) {
    const learner: Member = isOwed ? { ...entrant, isOwedVote: true } : entrant;
    return propose(membership, { drop, voters: [], learners: [learner] });
  }
  // Another node takes over when it has caught up, so that nothing rests on fewer meanwhile.
  if (isVoter && !isKnown) {
    return propose(membership, { drop: [], voters: [], learners: [entrant] });
  }
  const [voters, learners] = isVoter ? [[entrant], []] : [[], [entrant]];
  return propose(membership, { drop, voters, learners });
}

function planSet(change: Extract<Change, { kind: "set" }>, view: View): ChangeStep {
  const { membership, greetings } = view;
  const resolved = new Map<NodeId, Member>();
  for (const name of [...change.voters, ...change.learners]) {
    if (resolved.has(name)) return { kind: "refused", what: `${name} is named twice` };
    const greeting = greetings.find(({ member }) => nameOf(member) === name);
    const member = namedIn(membership, name)[0];
    if (member !== undefined) resolved.set(name, member);
    else if (greeting !== undefined) {
      resolved.set(name, { id: greeting.member, address: greeting.address });
    } else return { kind: "waits", what: `nobody named ${name} has greeted` };
  }
  const of = (names: readonly NodeId[]) => names.map((name) => resolved.get(name) as Member);
  const target = { voters: of(change.voters), learners: of(change.learners) };
  const isSame =
    sameIds(target.voters, membership.voters) && sameIds(target.learners, membership.learners);
  return isSame ? DONE : { kind: "propose", target };
}

function sameIds(members: readonly Member[], ids: readonly MemberId[]): boolean {
  return members.length === ids.length && members.every(({ id }) => ids.includes(id));
}

/** The membership without `drop`, and with these. */
function propose(
  membership: Membership,
  change: MembershipTarget & { readonly drop: readonly MemberId[] },
): ChangeStep {
  const kept = membership.members.filter(({ id }) => !change.drop.includes(id));
  const voters = kept.filter(({ id }) => membership.voters.includes(id));
  const learners = kept.filter(({ id }) => membership.learners.includes(id));
  const target = {
    voters: [...voters, ...change.voters],
    learners: [...learners, ...change.learners],
  };
  return { kind: "propose", target };
}

function namedIn({ members }: Membership, name: NodeId): Member[] {
  return members.filter(({ id }) => nameOf(id) === name);
}

function whoAnswers(
  name: NodeId,
  address: string,
  greetings: readonly Greeting[],
): MemberId | null {
  const greeting = greetings.find((each) => {
    return nameOf(each.member) === name && each.address === address;
  });
  return greeting?.member ?? null;
}

function unknown(name: NodeId): ChangeStep {
  return { kind: "refused", what: `no member is named ${name}` };
}
