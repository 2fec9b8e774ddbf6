// A server as people and tools see it, in one plain object. Reads everything, decides nothing.

import type { RaftStatus } from "./protocol.ts";
import type { ServerRole } from "./requests.ts";
import type { Server } from "./server.ts";

/** A fresh object each time. */
export function statusOf(
  server: Server,
  role: ServerRole,
): Omit<RaftStatus, "dropped" | "lastDropped"> {
  const { self, term, votedFor, tail, journal, commitIndex, configuration, transfers } = server;
  const isLeader = role.kind === "leader";
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
    transferTo: isLeader ? (transfers.current?.to ?? null) : null,
    peers: isLeader ? role.status() : [],
  };
}
