// One Raft under test with everything around it played by the test: its clock, its disk, its peers.
// Owns makers of logs, entries and drafts; judges nothing.

import type { FrozenBytes } from "../../src/base/bytes.ts";
import { controlDraft } from "../../src/base/control.ts";
import {
  type Draft,
  type Entry,
  type EntryHead,
  FRAME_HEADER_BYTES,
  LOG_START,
  type LogPoint,
  pointAfter,
} from "../../src/base/entry.ts";
import type {
  Instant,
  LogIndex,
  MemberId,
  Micros,
  Offset,
  Term,
  WallMs,
  WriteId,
} from "../../src/base/ids.ts";
import { type Member, type Membership, membershipOf } from "../../src/base/membership.ts";
import { Prng } from "../../src/base/prng.ts";
import type {
  RaftEvent,
  RaftMessage,
  RaftOptions,
  RaftOutput,
  RaftRestored,
  ReadVerdict,
  Send,
  TransferVerdict,
  Verdict,
} from "../../src/raft/protocol.ts";
import { Raft } from "../../src/raft/raft.ts";

export const ms = (count: number): Micros => (count * 1000) as Micros;
export const id = (name: string): MemberId => name as MemberId;
export const memberOf = (name: string): Member => ({ id: id(name), address: "" });
export const at = (index: number): LogIndex => index as LogIndex;
export const term = (number: number): Term => number as Term;

/** As the log's sealFrame, without writing the header: nobody here reads it. */
export function seal(head: EntryHead, bytes: Uint8Array): FrozenBytes {
  const isBare = bytes.length < FRAME_HEADER_BYTES;
  const frame = isBare ? new Uint8Array(FRAME_HEADER_BYTES) : bytes;
  if (frame.length !== FRAME_HEADER_BYTES + head.bodyLength) throw new Error("bodyLength is wrong");
  return frame as FrozenBytes;
}

export function optionsOf(self: string, changes: Partial<RaftOptions> = {}): RaftOptions {
  return {
    self: id(self),
    electionTimeoutMin: ms(150),
    electionTimeoutMax: ms(300),
    heartbeatInterval: ms(50),
    appendBytesMax: 64 * 1024,
    appendsInFlightMax: 8,
    uncommittedBytesMax: 1024 * 1024,
    readsWaitingMax: 100,
    prng: new Prng(`test/${self}`),
    seal,
    ...changes,
  };
}

/** A draft of `bodyLength` bytes; `mark` tells it apart from others. */
export function draftOf(mark: number, bodyLength = 8, count = 1): Draft {
  return {
    kind: "records",
    codec: 0,
    critical: true,
    count,
    timestamp: 1000 as WallMs,
    bodyCrc: mark,
    rawLength: bodyLength,
    producerId: 0,
    epoch: 0,
    sequence: 0,
    bytes: new Uint8Array(FRAME_HEADER_BYTES + bodyLength),
  };
}

/** Entries of these terms right after `before`, one record each. */
export function entriesAfter(before: LogPoint, terms: readonly number[]): Entry[] {
  const made: Entry[] = [];
  let point = before;
  for (const each of terms) {
    const head: EntryHead = {
      ...draftHead(),
      index: (point.index + 1) as LogIndex,
      term: term(each),
      prevTerm: point.term,
      offset: point.endOffset,
      timestamp: Math.max(point.timestamp, 1000) as WallMs,
    };
    const entry = { ...head, frame: new Uint8Array(FRAME_HEADER_BYTES + 8) as FrozenBytes };
    made.push(entry);
    point = pointAfter(entry);
  }
  return made;
}

function draftHead(): Omit<EntryHead, "index" | "term" | "prevTerm" | "offset" | "timestamp"> {
  const { bytes, ...draft } = draftOf(0);
  return { ...draft, bodyLength: bytes.length - FRAME_HEADER_BYTES };
}

/** The log whose n-th entry has the n-th of these terms. */
export function logOf(terms: readonly number[]): Entry[] {
  return entriesAfter(LOG_START, terms);
}

export interface Situation {
  readonly voters?: readonly string[];
  readonly learners?: readonly string[];
  /** In place of the two above: the membership as of the base. */
  readonly membership?: Membership;
  readonly term?: number;
  readonly votedFor?: string;
  /** Terms of the log's entries, from index 1. */
  readonly log?: readonly number[];
  /** The log itself, in place of `log`. */
  readonly entries?: readonly Entry[];
  /** Entries before and with this index are committed for certain: the checkpoint's place. */
  readonly base?: number;
  /** First index that is still retained. */
  readonly trimmedTo?: number;
  /** The place the retained log begins after. */
  readonly start?: LogPoint;
  readonly options?: Partial<RaftOptions>;
}

export function restoredOf(situation: Situation): RaftRestored {
  const { voters = ["a", "b", "c"], learners = [], log = [], base = 0 } = situation;
  const all = situation.entries ?? logOf(log);
  const runs: { term: Term; firstIndex: LogIndex }[] = [];
  for (const { index, term: each } of all.slice((situation.trimmedTo ?? 1) - 1, base)) {
    if (runs.at(-1)?.term !== each) runs.push({ term: each, firstIndex: index });
  }
  const last = all[base - 1];
  return {
    hardState: {
      term: term(situation.term ?? all.at(-1)?.term ?? 0),
      votedFor: situation.votedFor === undefined ? null : id(situation.votedFor),
    },
    membership: situation.membership ?? simple(voters, learners),
    base: last === undefined ? LOG_START : pointAfter(last),
    termRuns: runs,
    ...(situation.start === undefined ? {} : { start: situation.start }),
    tail: all.slice(base),
  };
}

/** A simple membership of these names. */
export function simple(voters: readonly string[], learners: readonly string[] = []): Membership {
  return membershipOf(voters.map(memberOf), learners.map(memberOf));
}

/** A membership as an entry right after `before`. */
export function membershipEntry(before: LogPoint, of: number, membership: Membership): Entry {
  const { bytes, ...draft } = controlDraft({ kind: "membership", membership }, 1000 as WallMs);
  const bodyLength = bytes.length - FRAME_HEADER_BYTES;
  const [bare] = entriesAfter(before, [of]);
  const { index, term: own, prevTerm, offset: at } = bare as Entry;
  const frame = bytes as FrozenBytes;
  return { ...draft, index, term: own, prevTerm, offset: at, bodyLength, frame };
}

/** The first entry of a new cluster's log, as its founder writes it. */
export function foundingEntry(membership: Membership): Entry {
  return membershipEntry(LOG_START, 1, membership);
}

/** Messages by kind, for reading fields without casts. */
export type Of<Kind extends RaftMessage["kind"]> = Extract<RaftMessage, { kind: Kind }>;

export class Subject {
  readonly raft: Raft;
  readonly self: MemberId;
  now: Instant = 0 as Instant;
  /** All that left since `forget`. */
  sends: Send[] = [];
  verdicts: Verdict[] = [];
  reads: ReadVerdict[] = [];
  transfers: TransferVerdict[] = [];
  memberships: Membership[] = [];
  writes: NonNullable<RaftOutput["write"]>[] = [];
  /** False: the test says when a write is durable. */
  autoPersist = true;

  constructor(self = "a", situation: Situation = {}) {
    this.self = id(self);
    this.raft = new Raft(optionsOf(self, situation.options), restoredOf(situation), this.now);
  }

  get status() {
    return this.raft.status();
  }

  /** One event and one take; with autoPersist the disk is instant. */
  step(event: RaftEvent): this {
    this.raft.step(this.now, event);
    return this.take();
  }

  take(): this {
    const output = this.raft.takeOutput();
    if (output === null) return this;
    this.sends.push(...output.sends);
    this.verdicts.push(...output.verdicts);
    this.reads.push(...output.reads);
    this.transfers.push(...output.transfers);
    if (output.membership !== null) this.memberships.push(output.membership);
    if (output.write === null) return this;
    this.writes.push(output.write);
    if (this.autoPersist) this.persist();
    return this;
  }

  /** The disk has done everything up to `writeId`, or up to the last write. */
  persist(writeId = this.writes.at(-1)?.writeId ?? 0): this {
    return this.step({ kind: "persisted", writeId: writeId as WriteId });
  }

  receive(from: string, message: RaftMessage): this {
    return this.step({ kind: "received", from: id(from), message });
  }

  propose(proposalId: number, bodyLength = 8): this {
    return this.step({ kind: "proposed", proposalId, draft: draftOf(proposalId, bodyLength) });
  }

  change(proposalId: number, voters: readonly string[], learners: readonly string[] = []): this {
    const target = { voters: voters.map(memberOf), learners: learners.map(memberOf) };
    return this.step({ kind: "membership-proposed", proposalId, target });
  }

  transfer(transferId: number, to: string | null): this {
    return this.step({ kind: "transfer-requested", transferId, to: to === null ? null : id(to) });
  }

  /** Time passes, and is looked at once, at its end. */
  elapse(span: Micros): this {
    this.now = (this.now + span) as Instant;
    return this.step({ kind: "deadline" });
  }

  /** Time passes up to the deadline. */
  untilDeadline(): this {
    return this.elapse((this.raft.deadline - this.now) as Micros);
  }

  /** Deadline after deadline, nobody answering, until the leader gives up. */
  untilItStepsDown(): this {
    for (let rounds = 0; rounds < 50 && this.raft.role === "leader"; rounds++) this.untilDeadline();
    if (this.raft.role === "leader") throw new Error(`${this.self} leads without a quorum`);
    return this;
  }

  forget(): this {
    this.sends = [];
    this.verdicts = [];
    this.reads = [];
    this.transfers = [];
    this.memberships = [];
    this.writes = [];
    return this;
  }

  /** Messages of one kind that left, each with its addressee. */
  sent<Kind extends RaftMessage["kind"]>(kind: Kind): (Of<Kind> & { to: string })[] {
    const found: (Of<Kind> & { to: string })[] = [];
    for (const send of this.sends) {
      if (send.kind === "message" && send.message.kind === kind) {
        found.push({ ...(send.message as Of<Kind>), to: send.to });
      }
    }
    return found;
  }

  appends(): Extract<Send, { kind: "entries" }>[] {
    return this.sends.filter((send) => send.kind === "entries");
  }

  /** An election won with the votes of `supporters`. */
  lead(...supporters: string[]): this {
    this.untilDeadline();
    for (const from of supporters) this.grant(from, true);
    for (const from of supporters) this.grant(from, false);
    if (this.raft.role !== "leader") throw new Error(`${this.self} is ${this.raft.role}`);
    return this;
  }

  grant(from: string, preVote: boolean): this {
    const asked = preVote ? this.raft.term + 1 : this.raft.term;
    return this.receive(from, { kind: "vote-reply", term: term(asked), granted: true, preVote });
  }

  /** An acknowledgement of the present term, in the latest round that was sent. */
  ack(from: string, matchIndex: number, round = this.round): this {
    return this.receive(from, {
      kind: "append-reply",
      term: this.raft.term,
      round,
      matchIndex: at(matchIndex),
      conflict: null,
    });
  }

  refuse(from: string, prevIndex: number, hintIndex: number, hintTerm: number): this {
    return this.receive(from, {
      kind: "append-reply",
      term: this.raft.term,
      round: this.round,
      matchIndex: at(0),
      conflict: { prevIndex: at(prevIndex), hintIndex: at(hintIndex), hintTerm: term(hintTerm) },
    });
  }

  /** The newest round in anything sent since `forget`; 1 before. */
  get round(): number {
    let newest = 1;
    for (const send of this.sends) {
      if (send.kind === "entries") newest = Math.max(newest, send.round);
      else if (send.kind === "message" && send.message.kind === "append-request")
        newest = Math.max(newest, send.message.round);
    }
    return newest;
  }

  peer(name: string) {
    const found = this.status.peers.find(({ peer }) => peer === name);
    if (found === undefined) throw new Error(`no peer ${name}`);
    return found;
  }
}

/** What a leader of `leaderTerm` sends after the entry at `prevIndex` of `log`. */
export function appendRequest(
  leaderTerm: number,
  log: readonly Entry[],
  prevIndex: number,
  changes: Partial<Of<"append-request">> = {},
): Of<"append-request"> {
  return {
    kind: "append-request",
    term: term(leaderTerm),
    prevIndex: at(prevIndex),
    prevTerm: log[prevIndex - 1]?.term ?? term(0),
    commitIndex: at(0),
    round: 1,
    entries: log.slice(prevIndex),
    ...changes,
  };
}

export function voteRequest(
  asked: number,
  lastIndex: number,
  lastTerm: number,
  preVote = false,
  transfer = false,
): Of<"vote-request"> {
  return {
    kind: "vote-request",
    term: term(asked),
    lastIndex: at(lastIndex),
    lastTerm: term(lastTerm),
    preVote,
    transfer,
  };
}

export const offset = (number: number): Offset => number as Offset;
