// Whether anybody can still be elected: a node wins when a quorum of the voters that it knows of is
// left, each with a log no more up to date than its own (paper, section 5.4.1). Where no node can,
// because those who failed for ever are still voters, nothing can be asked of the cluster. Owns the
// proof; when it is asked for is sim/world.ts.

import type { MemberId } from "../../src/base/ids.ts";
import type { RaftStatus } from "../../src/raft/protocol.ts";
import type { Computer } from "../observer.ts";

/**
 * Why none of these nodes can be elected by them; null when one can, leads, or is not up. One that
 * has lost entries votes for nobody, itself included.
 */
export function proveUnelectable(left: readonly Computer[]): string | null {
  const up = left.flatMap(({ raft }) => raft ?? []);
  if (up.length < left.length || up.some(({ role }) => role === "leader")) return null;
  if (up.some((candidate) => canWin(candidate, up))) return null;
  const views = up.map(({ self, lastIndex, lastTerm, membership, isMending }) => {
    const mends = isMending ? " (mending)" : "";
    return `${shortOf(self)}${mends} at ${lastIndex}@${lastTerm} of ${membership.voters.map(shortOf).join(" ")}`;
  });
  return `nobody that is left has a log and voters to win by: ${views.join(", ")}`;
}

function canWin(candidate: RaftStatus, up: readonly RaftStatus[]): boolean {
  const { voters, outgoing } = candidate.membership;
  const grants = (voter: MemberId) =>
    up.some((other) => other.self === voter && !other.isMending && !isBehind(candidate, other));
  const isMajority = (of: readonly MemberId[]) => of.filter(grants).length * 2 > of.length;
  return isMajority(voters) && (outgoing.length === 0 || isMajority(outgoing));
}

function isBehind(candidate: RaftStatus, voter: RaftStatus): boolean {
  if (candidate.lastTerm !== voter.lastTerm) return candidate.lastTerm < voter.lastTerm;
  return candidate.lastIndex < voter.lastIndex;
}

/** A member without its instance. */
function shortOf(id: MemberId): string {
  return id.split("/")[0] ?? id;
}
