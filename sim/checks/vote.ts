// A term and the vote in it, as the checkers compare them: by the names of nodes, whatever
// directory they lived on.

import type { MemberId, NodeId, Term } from "../../src/base/ids.ts";
import { nameOf } from "../../src/base/membership.ts";

export interface Vote {
  readonly term: Term;
  readonly votedFor: NodeId | null;
}

/** The vote in a hard state, or in the status of Raft. */
export function voteOf(state: { readonly term: Term; readonly votedFor: MemberId | null }): Vote {
  const { term, votedFor } = state;
  return { term, votedFor: votedFor === null ? null : nameOf(votedFor) };
}
