// A server as people and tools see it, in one plain object. Reads everything, decides nothing.

import type { RaftStatus } from "./protocol.ts";
import type { ServerRole } from "./requests.ts";
import type { Server } from "./server.ts";

/** How many messages had no effect, and what was wrong with the last of them. */
export interface Dropped {
  readonly dropped: number;
  readonly lastDropped: string | null;
}

/**
 * The status; `before` itself where that is still right, so that whoever looks after every turn
 * makes no garbage, and sees at once that nothing has changed.
 */
export function statusOf(
  server: Server,
  role: ServerRole,
  { dropped, lastDropped }: Dropped,
  before: RaftStatus | null,
): RaftStatus {
  const { self, term, votedFor, tail, journal, commitIndex, configuration, transfers } = server;
  const isMending = server.loss !== 0;
  const isLeader = role.kind === "leader";
  const peers = isLeader ? role.status(before?.peers ?? NONE) : NONE;
  const transferTo = isLeader ? (transfers.current?.to ?? null) : null;
  if (
    before !== null &&
    before.lastIndex === tail.lastIndex &&
    before.commitIndex === commitIndex &&
    before.durableIndex === journal.durableIndex &&
    before.role === role.kind &&
    before.term === term &&
    before.votedFor === votedFor &&
    before.leader === role.leader &&
    before.lastTerm === tail.lastTerm &&
    before.endOffset === tail.endOffset &&
    before.membership === configuration.effective &&
    before.committedMembership === configuration.committed &&
    before.isVoter === configuration.isVoter &&
    before.isMending === isMending &&
    before.transferTo === transferTo &&
    before.peers === peers &&
    before.dropped === dropped &&
    before.lastDropped === lastDropped
  )
    return before;
  return {
    self,
    role: role.kind,
    term,
    votedFor,
    leader: role.leader,
    lastIndex: tail.lastIndex,
    lastTerm: tail.lastTerm,
    endOffset: tail.endOffset,
    commitIndex,
    durableIndex: journal.durableIndex,
    membership: configuration.effective,
    committedMembership: configuration.committed,
    isVoter: configuration.isVoter,
    isMending,
    transferTo,
    peers,
    dropped,
    lastDropped,
  };
}

const NONE: readonly never[] = [];
