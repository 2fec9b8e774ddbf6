// Raft's messages, events and outputs as one short line each: for people, transcripts and failure
// reports. Says what is there in the order it stands; decides nothing.

import { unreachable } from "../base/assert.ts";
import type { LogPoint, LogWrite, Snapshot } from "../base/entry.ts";
import { isJoint, type Member, type Membership } from "../base/membership.ts";
import type {
  RaftEvent,
  RaftMessage,
  RaftOutput,
  RaftStatus,
  ReadVerdict,
  Send,
  TransferVerdict,
  Verdict,
} from "./protocol.ts";

/** Places are written index/term, terms t5, ranges first-last. */
export function describeMessage(message: RaftMessage): string {
  switch (message.kind) {
    case "vote-request": {
      const { term, lastIndex, lastTerm, preVote, transfer } = message;
      const what = `${preVote ? "pre-vote" : "vote"}-request t${term}`;
      return `${what} last ${lastIndex}/t${lastTerm}${transfer ? " by transfer" : ""}`;
    }
    case "vote-reply": {
      const { term, granted, preVote } = message;
      return `${preVote ? "pre-vote" : "vote"}-reply t${term} ${granted ? "granted" : "refused"}`;
    }
    case "append-request": {
      const { term, prevIndex, prevTerm, commitIndex, round, entries, mend } = message;
      const range = rangeOf(prevIndex + 1, prevIndex + entries.length);
      const rest = `commit ${commitIndex} round ${round}`;
      const end = mend === undefined ? "" : ` whole of loss ${mend.loss} with ${mend.index}`;
      return `append-request t${term} after ${prevIndex}/t${prevTerm} ${range} ${rest}${end}`;
    }
    case "append-reply": {
      const { term, round, matchIndex, conflict, loss } = message;
      const { prevIndex, hintIndex, hintTerm } = conflict ?? {};
      const refusal = `refused ${prevIndex} hint ${hintIndex}/t${hintTerm}`;
      const what = conflict === null ? `match ${matchIndex}` : refusal;
      const end = loss === undefined ? "" : ` mending loss ${loss}`;
      return `append-reply t${term} ${what} round ${round}${end}`;
    }
    case "timeout-now":
      return `timeout-now t${message.term} last ${message.lastIndex}`;
    case "read-request":
      return `read-request t${message.term} #${message.sequence}`;
    case "read-reply": {
      const { term, sequence, readIndex } = message;
      return `read-reply t${term} #${sequence} ${readIndex === null ? "refused" : `at ${readIndex}`}`;
    }
    default:
      return unreachable(message);
  }
}

export function describeEvent(event: RaftEvent): string {
  switch (event.kind) {
    case "deadline":
      return "deadline";
    case "received":
      return `received from ${event.from}: ${describeMessage(event.message)}`;
    case "proposed":
      return `proposed #${event.proposalId} ${event.draft.kind} count ${event.draft.count}`;
    case "membership-proposed": {
      const { voters, learners } = event.target;
      const sets = `voters ${idsOf(voters)}${learners.length > 0 ? ` learners ${idsOf(learners)}` : ""}`;
      return `membership-proposed #${event.proposalId} ${sets}`;
    }
    case "transfer-requested":
      return `transfer-requested #${event.transferId} to ${event.to ?? "the most caught up"}`;
    case "persisted":
      return `persisted w${event.writeId}`;
    case "read-requested": {
      const { readId, deadline } = event;
      return `read-requested #${readId}${deadline === undefined ? "" : " with a deadline"}`;
    }
    case "snapshot-received": {
      const { from, term, round, snapshot } = event;
      return `snapshot-received from ${from}: t${term} ${describeSnapshot(snapshot)} round ${round}`;
    }
    case "snapshot-ended":
      return `snapshot-ended to ${event.peer} ${event.ok ? "sent" : "given up"}`;
    case "trimmed":
      return `trimmed to ${pointOf(event.base)}`;
    case "disk-hung":
      return event.isHung ? "disk-hung" : "disk-hung no more";
    case "disk-full":
      return event.isFull ? "disk-full" : "disk-full no more";
    case "peer-unreachable":
      return `peer-unreachable ${event.peer}`;
    default:
      return unreachable(event);
  }
}

/** One line for each decision, in the order of the output; the commit index last. */
export function describeOutput(output: RaftOutput): string[] {
  return [
    ...(output.write === null ? [] : [describeWrite(output.write)]),
    ...output.sends.map(describeSend),
    ...output.verdicts.map(describeVerdict),
    ...output.reads.map(describeRead),
    ...output.transfers.map(describeTransfer),
    ...(output.membership === null ? [] : [describeMembership(output.membership)]),
    `commit ${output.commitIndex}`,
  ];
}

export function describeSend(send: Send): string {
  if (send.kind === "message") return `send to ${send.to}: ${describeMessage(send.message)}`;
  if (send.kind === "snapshot") {
    return `send to ${send.to}: snapshot t${send.term} at ${send.at} round ${send.round}`;
  }
  const { to, term, prevIndex, prevTerm, lastIndex, commitIndex, round } = send;
  const range = rangeOf(prevIndex + 1, lastIndex);
  const place = `t${term} after ${prevIndex}/t${prevTerm}`;
  return `send to ${to}: append-request ${place} ${range} commit ${commitIndex} round ${round}`;
}

export function describeStatus(status: RaftStatus): string {
  const { self, role, term, leader, lastIndex, lastTerm, commitIndex, durableIndex } = status;
  const log = `last ${lastIndex}/t${lastTerm} durable ${durableIndex} commit ${commitIndex}`;
  const mending = status.isMending ? " mending" : "";
  return `${self} ${role} t${term} leader ${leader ?? "-"} ${log}${mending}`;
}

/** "voters a b", with " outgoing a c" when it is joint, and its learners. */
export function describeMembership(membership: Membership): string {
  const { voters, outgoing, learners, learnersNext } = membership;
  const parts = [`membership voters ${voters.join(" ")}`];
  if (isJoint(membership)) parts.push(`outgoing ${outgoing.join(" ")}`);
  if (learners.length > 0) parts.push(`learners ${learners.join(" ")}`);
  if (learnersNext.length > 0) parts.push(`then learners ${learnersNext.join(" ")}`);
  return parts.join(" ");
}

function describeSnapshot({ at, membership }: Snapshot): string {
  return `snapshot ${pointOf(at)} ${describeMembership(membership)}`;
}

function pointOf({ index, term }: LogPoint): string {
  return `${index}/t${term}`;
}

function idsOf(members: readonly Member[]): string {
  return members.map(({ id }) => id).join(" ");
}

function describeWrite({ writeId, hardState, install, truncateFrom, entries }: LogWrite): string {
  const parts = [`write w${writeId}`];
  if (hardState !== null) {
    const { term, votedFor, loss } = hardState;
    const mending = loss === undefined ? "" : ` mending loss ${loss}`;
    parts.push(`t${term} vote ${votedFor ?? "-"}${mending}`);
  }
  if (install !== undefined) parts.push(`install ${describeSnapshot(install)}`);
  if (truncateFrom !== null) parts.push(`truncate from ${truncateFrom}`);
  const first = entries[0];
  const last = entries.at(-1);
  if (first !== undefined && last !== undefined) {
    parts.push(`${rangeOf(first.index, last.index)} t${last.term}`);
  }
  for (const { index, control } of entries) {
    if (control?.kind === "membership")
      parts.push(`(${index}: ${describeMembership(control.membership)})`);
  }
  return parts.join(" ");
}

function describeVerdict(verdict: Verdict): string {
  const { kind, proposalId } = verdict;
  if (kind === "committed") return `verdict #${proposalId} committed ${placeOf(verdict)}`;
  if (kind === "unknown") return `verdict #${proposalId} unknown`;
  const what = verdict.what === undefined ? "" : `: ${verdict.what}`;
  return `verdict #${proposalId} refused ${verdict.why}${what}`;
}

function placeOf({ index, term, offset }: Extract<Verdict, { kind: "committed" }>): string {
  return `${index}/t${term} offset ${offset}`;
}

function describeRead(read: ReadVerdict): string {
  const what = read.kind === "ready" ? `ready at ${read.readIndex}` : "refused";
  return `read #${read.readId} ${what}`;
}

function describeTransfer(transfer: TransferVerdict): string {
  const what = transfer.kind === "aborted" ? `aborted ${transfer.why}` : transfer.kind;
  return `transfer #${transfer.transferId} ${what}`;
}

function rangeOf(first: number, last: number): string {
  if (last < first) return "empty";
  return first === last ? `entry ${first}` : `entries ${first}-${last}`;
}
