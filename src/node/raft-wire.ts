// Raft's messages as bytes: the fields behind the head (wire-head.ts), and for appends the entries'
// frames as they are on disk, each with its checksums. Owns their layout (docs/formats.md).

import { type FrozenBytes, getU64, putU64 } from "../base/bytes.ts";
import type { Entry } from "../base/entry.ts";
import { isCount, type LogIndex, type Term } from "../base/ids.ts";
import { decodeFrame } from "../log/frame.ts";
import type { Mend } from "../raft/mending.ts";
import type { Conflict, RaftMessage } from "../raft/protocol.ts";
import { beginHead, type RouteBytes, sealHead } from "./wire-head.ts";

const VOTE_REQUEST = 2;
const VOTE_REPLY = 3;
const APPEND_REQUEST = 4;
const APPEND_REPLY = 5;
const TIMEOUT_NOW = 6;
const READ_REQUEST = 7;
const READ_REPLY = 8;

/** Fields of an append-request, and of one that says what makes its receiver whole. */
const APPEND_BYTES = 44;
const APPEND_MEND_BYTES = APPEND_BYTES + 16;
/** The same of a reply, and of one that names the loss its sender mends. */
const REPLY_BYTES = 49;
const REPLY_LOSS_BYTES = REPLY_BYTES + 8;

/** A Raft message as the parts of one frame; the entries' frames are passed on, not copied. */
export function encodeRaft(
  route: RouteBytes,
  message: RaftMessage,
  entries: readonly Entry[] = message.kind === "append-request" ? message.entries : [],
): Uint8Array[] {
  switch (message.kind) {
    case "vote-request": {
      const { head, view, at } = beginHead(route, VOTE_REQUEST, 25);
      putU64(view, at, message.term);
      putU64(view, at + 8, message.lastIndex);
      putU64(view, at + 16, message.lastTerm);
      view.setUint8(at + 24, (message.preVote ? 1 : 0) | (message.transfer ? 2 : 0));
      return [sealHead(head, view)];
    }
    case "vote-reply": {
      const { head, view, at } = beginHead(route, VOTE_REPLY, 9);
      putU64(view, at, message.term);
      view.setUint8(at + 8, (message.preVote ? 1 : 0) | (message.granted ? 2 : 0));
      return [sealHead(head, view)];
    }
    case "append-request": {
      const { mend } = message;
      const bytes = mend === undefined ? APPEND_BYTES : APPEND_MEND_BYTES;
      const { head, view, at } = beginHead(route, APPEND_REQUEST, bytes);
      putU64(view, at, message.term);
      putU64(view, at + 8, message.prevIndex);
      putU64(view, at + 16, message.prevTerm);
      putU64(view, at + 24, message.commitIndex);
      putU64(view, at + 32, message.round);
      view.setUint32(at + 40, entries.length);
      if (mend !== undefined) {
        putU64(view, at + 44, mend.loss);
        putU64(view, at + 52, mend.index);
      }
      const parts = [sealHead(head, view)];
      for (const entry of entries) parts.push(entry.frame);
      return parts;
    }
    case "append-reply": {
      const { loss } = message;
      const bytes = loss === undefined ? REPLY_BYTES : REPLY_LOSS_BYTES;
      const { head, view, at } = beginHead(route, APPEND_REPLY, bytes);
      putU64(view, at, message.term);
      putU64(view, at + 8, message.round);
      putU64(view, at + 16, message.matchIndex);
      view.setUint8(at + 24, message.conflict === null ? 0 : 1);
      putU64(view, at + 25, message.conflict?.prevIndex ?? 0);
      putU64(view, at + 33, message.conflict?.hintIndex ?? 0);
      putU64(view, at + 41, message.conflict?.hintTerm ?? 0);
      if (loss !== undefined) putU64(view, at + 49, loss);
      return [sealHead(head, view)];
    }
    case "timeout-now":
      return [twoNumbers(route, TIMEOUT_NOW, message.term, message.lastIndex)];
    case "read-request":
      return [twoNumbers(route, READ_REQUEST, message.term, message.sequence)];
    case "read-reply": {
      const { head, view, at } = beginHead(route, READ_REPLY, 25);
      putU64(view, at, message.term);
      putU64(view, at + 8, message.sequence);
      view.setUint8(at + 16, message.readIndex === null ? 0 : 1);
      putU64(view, at + 17, message.readIndex ?? 0);
      return [sealHead(head, view)];
    }
  }
}

function twoNumbers(route: RouteBytes, type: number, one: number, other: number): FrozenBytes {
  const { head, view, at } = beginHead(route, type, 16);
  putU64(view, at, one);
  putU64(view, at + 8, other);
  return sealHead(head, view);
}

/** The message, or what is wrong with it. */
export function decodeRaft(
  type: number,
  fields: DataView,
  frame: FrozenBytes,
  headLength: number,
  bodyBytesMax: number,
): RaftMessage | string {
  const isAppend = type === APPEND_REQUEST;
  if (!isAppend && headLength !== frame.length) return "bytes after the message";
  if (type === VOTE_REQUEST) return decodeVoteRequest(fields) ?? "vote-request";
  if (type === VOTE_REPLY) return decodeVoteReply(fields) ?? "vote-reply";
  if (type === APPEND_REPLY) return decodeAppendReply(fields) ?? "append-reply";
  if (type === TIMEOUT_NOW) return decodeTimeoutNow(fields) ?? "timeout-now";
  if (type === READ_REQUEST) return decodeReadRequest(fields) ?? "read-request";
  if (type === READ_REPLY) return decodeReadReply(fields) ?? "read-reply";
  if (!isAppend) return `message type ${type}`;
  return decodeAppendRequest(fields, frame, headLength, bodyBytesMax);
}

function decodeVoteRequest(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 25) return null;
  const term = getU64(fields, 0) as Term;
  const lastIndex = getU64(fields, 8) as LogIndex;
  const lastTerm = getU64(fields, 16) as Term;
  if (!isCount(term) || !isCount(lastIndex) || !isCount(lastTerm)) return null;
  const flags = fields.getUint8(24);
  const preVote = (flags & 1) !== 0;
  return { kind: "vote-request", term, lastIndex, lastTerm, preVote, transfer: (flags & 2) !== 0 };
}

function decodeVoteReply(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 9) return null;
  const term = getU64(fields, 0) as Term;
  const flags = fields.getUint8(8);
  if (!isCount(term)) return null;
  return { kind: "vote-reply", term, preVote: (flags & 1) !== 0, granted: (flags & 2) !== 0 };
}

function decodeAppendReply(fields: DataView): RaftMessage | null {
  const hasLoss = fields.byteLength === REPLY_LOSS_BYTES;
  if (!hasLoss && fields.byteLength !== REPLY_BYTES) return null;
  const term = getU64(fields, 0) as Term;
  const round = getU64(fields, 8);
  const matchIndex = getU64(fields, 16) as LogIndex;
  if (!isCount(term) || !isCount(round) || !isCount(matchIndex)) return null;
  const loss = hasLoss ? getU64(fields, REPLY_BYTES) : 0;
  const conflict = fields.getUint8(24) === 0 ? null : decodeConflict(fields);
  if (!isCount(loss) || conflict === undefined) return null;
  // PERF: two literals, each of one shape; a spread costs more than all the rest.
  const kind = "append-reply";
  if (hasLoss) return { kind, term, round, matchIndex, conflict, loss };
  return { kind, term, round, matchIndex, conflict };
}

function decodeConflict(fields: DataView): Conflict | undefined {
  const prevIndex = getU64(fields, 25) as LogIndex;
  const hintIndex = getU64(fields, 33) as LogIndex;
  const hintTerm = getU64(fields, 41) as Term;
  if (!isCount(prevIndex) || !isCount(hintIndex) || !isCount(hintTerm)) return undefined;
  return { prevIndex, hintIndex, hintTerm };
}

function decodeTimeoutNow(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 16) return null;
  const term = getU64(fields, 0) as Term;
  const lastIndex = getU64(fields, 8) as LogIndex;
  return isCount(term) && isCount(lastIndex) ? { kind: "timeout-now", term, lastIndex } : null;
}

function decodeReadRequest(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 16) return null;
  const term = getU64(fields, 0) as Term;
  const sequence = getU64(fields, 8);
  return isCount(term) && isCount(sequence) ? { kind: "read-request", term, sequence } : null;
}

function decodeReadReply(fields: DataView): RaftMessage | null {
  if (fields.byteLength !== 25) return null;
  const term = getU64(fields, 0) as Term;
  const sequence = getU64(fields, 8);
  const index = getU64(fields, 17) as LogIndex;
  if (!isCount(term) || !isCount(sequence) || !isCount(index)) return null;
  const readIndex = fields.getUint8(16) === 0 ? null : index;
  return { kind: "read-reply", term, sequence, readIndex };
}

function decodeAppendRequest(
  fields: DataView,
  frame: FrozenBytes,
  headLength: number,
  bodyBytesMax: number,
): RaftMessage | string {
  const hasMend = fields.byteLength === APPEND_MEND_BYTES;
  if (!hasMend && fields.byteLength !== APPEND_BYTES) return "append-request";
  const term = getU64(fields, 0) as Term;
  const prevIndex = getU64(fields, 8) as LogIndex;
  const prevTerm = getU64(fields, 16) as Term;
  const commitIndex = getU64(fields, 24) as LogIndex;
  const round = getU64(fields, 32);
  if (!isCount(term) || !isCount(prevIndex) || !isCount(prevTerm)) return "append-request";
  if (!isCount(commitIndex) || !isCount(round)) return "append-request";
  const mend = hasMend ? decodeMend(fields) : undefined;
  if (mend === null) return "append-request";
  const entries: Entry[] = [];
  let at = headLength;
  for (let left = fields.getUint32(40); left > 0; left--) {
    const decoded = decodeFrame(frame, at, { bodyBytesMax });
    if (decoded.kind !== "entry") return `entry ${entries.length}: ${decoded.kind}`;
    entries.push(decoded.entry);
    at += decoded.entry.frame.length;
  }
  if (at !== frame.length) return "bytes after the entries";
  const kind = "append-request";
  const request = { kind, term, prevIndex, prevTerm, commitIndex, round, entries } as const;
  return mend === undefined ? request : { ...request, mend };
}

function decodeMend(fields: DataView): Mend | null {
  const loss = getU64(fields, APPEND_BYTES);
  const index = getU64(fields, APPEND_BYTES + 8) as LogIndex;
  return isCount(loss) && isCount(index) ? { loss, index } : null;
}
