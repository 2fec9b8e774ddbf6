// Messages that no correct peer sends, made of ones that were sent: the numbers of a real one, one
// of them changed to what cannot be. Owns the changes; that they have no effect is the test's.

import type { Entry } from "../../src/base/entry.ts";
import type { MemberId } from "../../src/base/ids.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";

type Change = (message: RaftMessage) => RaftMessage | null;

export interface BadMessage {
  readonly from: MemberId;
  readonly message: RaftMessage;
  /** What was done to it. */
  readonly what: string;
  /** False: it is only stale where its addressee has moved on, and news of a term where not yet. */
  readonly isCounted: boolean;
}

const ABSURD = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2 ** 60];

/** Numbers in a message that are none, or that leave no room for others. */
const changed =
  (key: string, value: number): Change =>
  (message) =>
    key in message ? ({ ...message, [key]: value } as RaftMessage) : null;

const inEntry =
  (at: number, make: (entry: Entry) => Partial<Entry>): Change =>
  (message) => {
    if (message.kind !== "append-request") return null;
    const entry = message.entries[at];
    if (entry === undefined) return null;
    const entries = [...message.entries];
    entries[at] = { ...entry, ...make(entry) };
    return { ...message, entries };
  };

const CHANGES: readonly (readonly [what: string, change: Change, isCounted?: boolean])[] = [
  ["a term beyond all terms", changed("term", 2 ** 48 + 1)],
  ["a prevTerm newer than its leader", changed("prevTerm", 2 ** 48)],
  ["entries beyond all numbers", beyondAllNumbers],
  ["a log as new as the term it asks for", changed("lastTerm", 2 ** 48)],
  ["an entry out of its place", inEntry(0, ({ index }) => ({ index: (index + 1) as never }))],
  ["an entry newer than its leader", inEntry(0, () => ({ term: (2 ** 47) as never }))],
  ["an entry of term 0", inEntry(0, () => ({ term: 0 as never }))],
  ["a count that does not add up", notAddingUp],
  ["a prevTerm that is not", inEntry(1, ({ prevTerm }) => ({ prevTerm: (prevTerm + 1) as never }))],
  ["an offset that is not", inEntry(1, ({ offset }) => ({ offset: (offset + 3) as never }))],
  ["a time that goes back", inEntry(1, () => ({ timestamp: -1 as never }))],
  ["a marker", inEntry(0, () => ({ kind: "marker" }))],
  ["an acknowledgement beyond any log", beyondAnyLog, false],
  ["a round that never began", beyondAnyRound, false],
  ["a hint above what was refused", hintAbove],
  ["a loss that is none", absurdLoss],
  ["a mend of nothing", absurdMend],
  ...["term", "prevIndex", "commitIndex", "lastIndex", "matchIndex", "sequence"].flatMap((key) =>
    ABSURD.map((value) => [`${key} ${value}`, changed(key, value)] as const),
  ),
];

/** Without entries it is a place that the follower has not come to yet. */
function beyondAllNumbers(message: RaftMessage): RaftMessage | null {
  if (message.kind !== "append-request" || message.entries.length === 0) return null;
  return { ...message, prevIndex: (2 ** 53 - 1) as typeof message.prevIndex };
}

/** The last entry's count is bound by its checksum alone, which is looked at on the wire. */
function notAddingUp(message: RaftMessage): RaftMessage | null {
  const isJoined = message.kind === "append-request" && message.entries.length > 1;
  return isJoined ? inEntry(0, ({ count }) => ({ count: count + 1 }))(message) : null;
}

function beyondAnyLog(message: RaftMessage): RaftMessage | null {
  if (message.kind !== "append-reply" || message.conflict !== null) return null;
  return { ...message, matchIndex: (2 ** 40) as typeof message.matchIndex };
}

function absurdLoss(message: RaftMessage): RaftMessage | null {
  return message.kind === "append-reply" ? { ...message, loss: -1 } : null;
}

function absurdMend(message: RaftMessage): RaftMessage | null {
  if (message.kind !== "append-request") return null;
  return { ...message, mend: { loss: 0.5, index: message.prevIndex } };
}

function beyondAnyRound(message: RaftMessage): RaftMessage | null {
  return message.kind === "append-reply" ? { ...message, round: 2 ** 40 } : null;
}

function hintAbove(message: RaftMessage): RaftMessage | null {
  if (message.kind !== "append-reply") return null;
  const { matchIndex: index, term } = message;
  const hintIndex = (index + 1) as typeof index;
  return { ...message, conflict: { prevIndex: index, hintIndex, hintTerm: term } };
}

/** One of all that can be made of `message`, by `pick`. */
export function badMessage(
  message: RaftMessage,
  from: MemberId,
  to: MemberId,
  pick: number,
): BadMessage {
  const made: BadMessage[] = [];
  for (const [what, change, isCounted = true] of CHANGES) {
    const bad = change(message);
    if (bad !== null) made.push({ from, message: bad, what, isCounted });
  }
  made.push({ from: to, message, what: "its own name", isCounted: true });
  if (message.kind.endsWith("-reply")) {
    made.push({ from: "stranger" as MemberId, message, what: "a stranger", isCounted: true });
  }
  return made[pick % made.length] as BadMessage;
}
