// How a cluster begins, once in its life: who founds it, when, and the entry that does. Pure
// decisions; who greeted is told by links.ts, and the node writes what is decided here.
//
//   1. Every node is given the same list of founders. The lowest name founds. All others wait to be
//      spoken to, and their hellos tell the lowest that they are empty and wait for it.
//   2. The lowest, if its own directory is empty, waits until every other founder has told it so on
//      a link that is up. One that has data does not: then a cluster is there, this node was wiped
//      or comes late, and it waits to be admitted.
//   3. It writes all founders' names and instances as entry 1 of term 1, and speaks as their peer
//      only once that is durable. A used directory never founds.

import { controlDraft } from "../base/control.ts";
import { type Entry, headOf, LOG_START } from "../base/entry.ts";
import type { LogIndex, MemberId, NodeId, Term, WallMs } from "../base/ids.ts";
import { type Member, type Membership, membershipOf, nameOf } from "../base/membership.ts";
import { sealFrame } from "../log/frame.ts";
import type { Greeting } from "./links.ts";
import type { MemberAddress } from "./protocol.ts";

/** The term of the founding entry; every election comes after it. */
export const FOUNDING_TERM = 1 as Term;

/** Who of a list founds: its lowest name; nobody when the list is empty, as a joiner's is. */
export function founderOf(founders: readonly MemberAddress[]): NodeId | null {
  let lowest: NodeId | null = null;
  for (const { id } of founders) if (lowest === null || id < lowest) lowest = id;
  return lowest;
}

/**
 * The first membership, once it can be known; null while it cannot. To be asked only where the
 * directory is empty; `self` is this node's member.
 */
export function foundingMembership(
  self: MemberId,
  founders: readonly MemberAddress[],
  greetings: readonly Greeting[],
): Membership | null {
  if (founderOf(founders) !== nameOf(self)) return null;
  const voters: Member[] = [];
  for (const { id: name, address } of founders) {
    if (name === nameOf(self)) {
      voters.push({ id: self, address });
      continue;
    }
    const heard = greetings.filter(({ member }) => nameOf(member) === name);
    const [greeting] = heard;
    // Two that go by one name: whichever it is, the other would be left out without a word.
    if (greeting === undefined || heard.some(({ member }) => member !== greeting.member))
      return null;
    if (!heard.every(({ awaits }) => awaits)) return null;
    voters.push({ id: greeting.member, address });
  }
  return membershipOf(voters);
}

/** The first entry of a log. Its time is 0: no clock was asked, and time never runs backwards. */
export function foundingEntry(membership: Membership): Entry {
  const draft = controlDraft({ kind: "membership", membership }, 0 as WallMs);
  const head = headOf(draft, 1 as LogIndex, FOUNDING_TERM, LOG_START);
  return { ...head, frame: sealFrame(head, draft.bytes) };
}
