// Raft's messages, events and outputs as one short line each: for people, transcripts and failure
// reports. Says what is there in the order it stands; decides nothing.

import { unreachable } from "../base/assert.ts";
import type { LogWrite } from "../base/entry.ts";
import type {
  RaftEvent,
  RaftMessage,
  RaftOutput,
  RaftStatus,
  ReadVerdict,
  Send,
  Verdict,
} from "./protocol.ts";

/** Places are written index/term, terms t5, ranges first-last. */
export function describeMessage(message: RaftMessage): string {
  switch (message.kind) {
    case "vote-request": {
      const { term, lastIndex, lastTerm, preVote } = message;
      return `${preVote ? "pre-vote" : "vote"}-request t${term} last ${lastIndex}/t${lastTerm}`;
    }
    case "vote-reply": {
      const { term, granted, preVote } = message;
      return `${preVote ? "pre-vote" : "vote"}-reply t${term} ${granted ? "granted" : "refused"}`;
    }
    case "append-request": {
      const { term, prevIndex, prevTerm, commitIndex, round, entries } = message;
      const range = rangeOf(prevIndex + 1, prevIndex + entries.length);
      const rest = `commit ${commitIndex} round ${round}`;
      return `append-request t${term} after ${prevIndex}/t${prevTerm} ${range} ${rest}`;
    }
    case "append-reply": {
      const { term, round, matchIndex, conflict } = message;
      const { prevIndex, hintIndex, hintTerm } = conflict ?? {};
      const refusal = `refused ${prevIndex} hint ${hintIndex}/t${hintTerm}`;
      const what = conflict === null ? `match ${matchIndex}` : refusal;
      return `append-reply t${term} ${what} round ${round}`;
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
    case "persisted":
      return `persisted w${event.writeId}`;
    case "read-requested":
      return `read-requested #${event.readId}`;
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
    `commit ${output.commitIndex}`,
  ];
}

export function describeSend(send: Send): string {
  if (send.kind === "message") return `send to ${send.to}: ${describeMessage(send.message)}`;
  const { to, term, prevIndex, prevTerm, lastIndex, commitIndex, round } = send;
  const range = rangeOf(prevIndex + 1, lastIndex);
  const place = `t${term} after ${prevIndex}/t${prevTerm}`;
  return `send to ${to}: append-request ${place} ${range} commit ${commitIndex} round ${round}`;
}

export function describeStatus(status: RaftStatus): string {
  const { self, role, term, leader, lastIndex, lastTerm, commitIndex, durableIndex } = status;
  const log = `last ${lastIndex}/t${lastTerm} durable ${durableIndex} commit ${commitIndex}`;
  return `${self} ${role} t${term} leader ${leader ?? "-"} ${log}`;
}

function describeWrite({ writeId, hardState, truncateFrom, entries }: LogWrite): string {
  const parts = [`write w${writeId}`];
  if (hardState !== null) parts.push(`t${hardState.term} vote ${hardState.votedFor ?? "-"}`);
  if (truncateFrom !== null) parts.push(`truncate from ${truncateFrom}`);
  const first = entries[0];
  const last = entries.at(-1);
  if (first !== undefined && last !== undefined) {
    parts.push(`${rangeOf(first.index, last.index)} t${last.term}`);
  }
  return parts.join(" ");
}

function describeVerdict(verdict: Verdict): string {
  const { kind, proposalId } = verdict;
  if (kind === "committed") return `verdict #${proposalId} committed ${placeOf(verdict)}`;
  return `verdict #${proposalId} ${kind === "refused" ? `refused ${verdict.why}` : kind}`;
}

function placeOf({ index, term, offset }: Extract<Verdict, { kind: "committed" }>): string {
  return `${index}/t${term} offset ${offset}`;
}

function describeRead(read: ReadVerdict): string {
  const what = read.kind === "ready" ? `ready at ${read.readIndex}` : "refused";
  return `read #${read.readId} ${what}`;
}

function rangeOf(first: number, last: number): string {
  if (last < first) return "empty";
  return first === last ? `entry ${first}` : `entries ${first}-${last}`;
}
