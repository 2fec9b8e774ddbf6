// What makes a message absurd by itself, before any state is looked at: numbers that are none,
// terms that cannot be, entries that do not follow one another. A peer's mistake is dropped, never
// asserted.

import { brokenLink, type Entry, type LogPoint } from "../base/entry.ts";
import { isCount } from "../base/ids.ts";
import { brokenMembership, type Membership } from "../base/membership.ts";
import type { Conflict, RaftEvent, RaftMessage } from "./protocol.ts";

type SnapshotReceived = Extract<RaftEvent, { kind: "snapshot-received" }>;

/**
 * No cluster gets here: at a thousand elections a second it takes 8900 years. A larger term is an
 * error, and adopting it would leave no terms for later elections.
 */
export const TERM_MAX = 0x1_0000_0000_0000;

/** What is wrong with `message`, or null when a correct peer could have sent it. */
export function malformedMessage(message: RaftMessage): string | null {
  if (!isCount(message.term) || message.term > TERM_MAX) return "term is absurd";
  switch (message.kind) {
    case "vote-request":
      return malformedVoteRequest(message);
    case "vote-reply":
      return null;
    case "append-request":
      return malformedAppendRequest(message);
    case "append-reply":
      return malformedAppendReply(message);
    case "timeout-now":
      return isCount(message.lastIndex) ? null : "lastIndex is absurd";
    case "read-request":
      return isCount(message.sequence) ? null : "sequence is absurd";
    case "read-reply":
      return malformedReadReply(message);
    default:
      return "kind is unknown";
  }
}

function malformedVoteRequest(
  request: Extract<RaftMessage, { kind: "vote-request" }>,
): string | null {
  const { term, lastIndex, lastTerm } = request;
  if (!isCount(lastIndex) || !isCount(lastTerm)) return "last entry is absurd";
  if ((lastIndex === 0) !== (lastTerm === 0)) return "index and term disagree about an empty log";
  // Entries of a term exist only once it has a leader, who no longer asks.
  return lastTerm < term ? null : "a log as new as the term it asks for";
}

function malformedAppendRequest(
  request: Extract<RaftMessage, { kind: "append-request" }>,
): string | null {
  const { term, prevIndex, prevTerm, commitIndex, round, entries, mend } = request;
  if (!isCount(prevIndex) || !isCount(prevTerm) || prevTerm > term) return "prev is absurd";
  if ((prevIndex === 0) !== (prevTerm === 0)) return "index and term disagree about an empty log";
  if (term === 0) return "nobody leads term 0";
  if (!isCount(commitIndex) || !isCount(round)) return "commitIndex or round is absurd";
  if (!isCount(prevIndex + entries.length)) return "entries beyond all numbers";
  if (mend !== undefined && !(isCount(mend.loss) && isCount(mend.index))) return "mend is absurd";
  const first = entries[0];
  return first === undefined ? null : malformedEntries(request, first);
}

/** Walks the chain once, with one point that is moved along. */
function malformedEntries(
  { term, prevIndex, prevTerm, entries }: Extract<RaftMessage, { kind: "append-request" }>,
  first: Entry,
): string | null {
  // Where the entry before `first` ends is not in the message; the follower compares it with its
  // log.
  const before: { -readonly [Key in keyof LogPoint]: LogPoint[Key] } = {
    index: prevIndex,
    term: prevTerm,
    endOffset: first.offset,
    timestamp: first.timestamp,
  };
  for (const entry of entries) {
    if (!isCount(entry.term) || !isCount(entry.offset) || !isCount(entry.count)) {
      return "an entry's numbers are absurd";
    }
    if (!isCount(entry.timestamp) || !isCount(entry.bodyLength)) {
      return "an entry's numbers are absurd";
    }
    const broken = brokenLink(before, entry);
    if (broken !== null) return broken;
    if (entry.term > term) return "an entry newer than its leader";
    if (entry.term === 0) return "an entry of term 0";
    if (entry.kind === "marker") return "a marker is never in the log";
    if (entry.kind === "membership") {
      const broken = malformedMembership(entry.control);
      if (broken !== null) return broken;
    }
    before.index = entry.index;
    before.term = entry.term;
    before.endOffset = (entry.offset + entry.count) as LogPoint["endOffset"];
    before.timestamp = entry.timestamp;
  }
  return isCount(before.endOffset) ? null : "offsets beyond all numbers";
}

function malformedAppendReply(
  reply: Extract<RaftMessage, { kind: "append-reply" }>,
): string | null {
  if (!isCount(reply.round) || !isCount(reply.matchIndex)) return "round or matchIndex is absurd";
  if (!isCount(reply.loss ?? 0)) return "loss is absurd";
  return reply.conflict === null ? null : malformedConflict(reply.conflict);
}

function malformedConflict({ prevIndex, hintIndex, hintTerm }: Conflict): string | null {
  if (!isCount(prevIndex) || !isCount(hintIndex) || !isCount(hintTerm)) return "hint is absurd";
  return hintIndex <= prevIndex ? null : "a hint beyond what was refused";
}

function malformedReadReply(reply: Extract<RaftMessage, { kind: "read-reply" }>): string | null {
  if (!isCount(reply.sequence)) return "sequence is absurd";
  return reply.readIndex === null || isCount(reply.readIndex) ? null : "readIndex is absurd";
}

function malformedMembership(control: Entry["control"]): string | null {
  if (control?.kind !== "membership") return "a membership entry that names no members";
  return uselessMembership(control.membership);
}

function uselessMembership(membership: Membership): string | null {
  if (membership.voters.length === 0) return "a membership without voters";
  return brokenMembership(membership);
}

/** What is wrong with a snapshot, or null when a correct leader could have sent it. */
export function malformedSnapshot({ term, round, snapshot }: SnapshotReceived): string | null {
  if (!isCount(term) || term > TERM_MAX) return "term is absurd";
  const { at, membership } = snapshot;
  if (!isCount(round) || !isCount(at.index) || !isCount(at.term)) return "a place is absurd";
  if (!isCount(at.endOffset) || !isCount(at.timestamp)) return "a place is absurd";
  if (at.index === 0 || at.term === 0) return "a snapshot of nothing";
  return at.term > term ? "a snapshot newer than its leader" : uselessMembership(membership);
}
