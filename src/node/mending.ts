// Whether this node's log may be mended by its peers when it has lost its end: only where the
// others can decide without it, as far as what is left of the log tells. Else nobody could ever
// give it back, and the directory is kept as it is, for `cairn recover` and for people. Owns that
// one question.

import { memberId } from "../base/membership.ts";
import type { LeftOfLog } from "../log/protocol.ts";
import { majorityOf } from "../raft/quorum.ts";
import { State } from "../state/state.ts";

export function mayMend(producersMax: number, { identity, checkpoint, tail }: LeftOfLog): boolean {
  const state =
    checkpoint === null
      ? State.empty(producersMax)
      : State.restore(producersMax, checkpoint.at, checkpoint.state);
  if (state === null) return false;
  for (const head of tail) state.append(head);
  const self = memberId(identity.nodeName, identity.instanceId);
  const { voters, outgoing } = state.membership;
  const doWithout = (half: readonly string[]) =>
    half.filter((voter) => voter !== self).length >= majorityOf(half.length);
  return doWithout(voters) && (outgoing.length === 0 || doWithout(outgoing));
}
