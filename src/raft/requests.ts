// What only a leader fulfils, at whichever server it is asked: proposals, memberships, transfers
// and reads. A leader is given it; any other server refuses with the leader's name, or keeps a
// reader who has time. Decides nothing more about them: leader.ts does.

import { type Instant, type MemberId, NEVER } from "../base/ids.ts";
import type { Candidate, PreCandidate } from "./candidate.ts";
import type { Follower } from "./follower.ts";
import type { Leader } from "./leader.ts";
import type { RaftEvent, RaftMessage } from "./protocol.ts";
import type { Server } from "./server.ts";

/** What a server is at present; made anew at every change of role or term. */
export type ServerRole = Follower | PreCandidate | Candidate | Leader;

export type Request = Extract<
  RaftEvent,
  { kind: "proposed" | "membership-proposed" | "transfer-requested" | "read-requested" }
>;

/** The host asks something of whoever leads. */
export function requested(server: Server, role: ServerRole, now: Instant, request: Request): void {
  if (role.kind !== "leader") {
    refuse(server, role.leader, request);
    return;
  }
  switch (request.kind) {
    case "proposed":
      role.propose(request.proposalId, request.draft);
      break;
    case "membership-proposed":
      role.proposeMembership(now, request.proposalId, request.target);
      break;
    case "transfer-requested":
      role.requestTransfer(now, request.transferId, request.to);
      break;
    case "read-requested": {
      const { readId, deadline = NEVER } = request;
      if (role.requestRead({ kind: "here", readId, deadline })) break;
      server.outbox.readVerdict({ kind: "refused", readId, leader: role.leader });
    }
  }
}

function refuse({ outbox, reads }: Server, leader: MemberId | null, request: Request): void {
  switch (request.kind) {
    case "proposed":
    case "membership-proposed": {
      const { proposalId } = request;
      outbox.verdict({ kind: "refused", proposalId, why: "not-leader", leader });
      break;
    }
    case "transfer-requested": {
      const { transferId } = request;
      outbox.transferVerdict({ kind: "aborted", transferId, why: "not-leader" });
      break;
    }
    case "read-requested": {
      const { readId, deadline } = request;
      if (deadline !== undefined && reads.maybeAdd({ readId, deadline })) break;
      outbox.readVerdict({ kind: "refused", readId, leader });
    }
  }
}

/** Another server asks for its readers; who does not lead that term, or has too many, says so. */
export function readAsked(
  server: Server,
  role: ServerRole,
  from: MemberId,
  { term, sequence }: Extract<RaftMessage, { kind: "read-request" }>,
): null {
  const leader = role.kind === "leader" && term === server.term ? role : null;
  if (leader?.requestRead({ kind: "peer", peer: from, sequence }) === true) return null;
  const reply = { kind: "read-reply", term: server.term, sequence, readIndex: null } as const;
  server.sendWhenDurable(from, reply);
  return null;
}

/** The leader has answered our readers; in another term it is not our leader any more. */
export function readReplied(
  { term, reads, outbox }: Server,
  reply: Extract<RaftMessage, { kind: "read-reply" }>,
): null {
  if (reply.term !== term) return null;
  const { sequence, readIndex } = reply;
  for (const verdict of reads.answered(term, sequence, readIndex)) outbox.readVerdict(verdict);
  return null;
}

/** Leadership ends: readers who have time wait for the next leader, as many as fit. */
export function keepReaders(server: Server, leader: Leader, successor: MemberId | null): void {
  const { reads, outbox } = server;
  for (const read of leader.resign(successor)) {
    if (reads.maybeAdd(read)) continue;
    outbox.readVerdict({ kind: "refused", readId: read.readId, leader: successor });
  }
}
