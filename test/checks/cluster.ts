// A cluster that exists on paper: statuses, entries and disks in a few words, for the tests of the
// safety checkers. The disks hold exactly what a test puts on them.

import { Meaning } from "../../sim/checks/meaning.ts";
import { Promises } from "../../sim/checks/promises.ts";
import { type Durability, Safety } from "../../sim/checks/safety.ts";
import type { Finding } from "../../sim/checks/violation.ts";
import { voteOf } from "../../sim/checks/vote.ts";
import { freeze } from "../../src/base/bytes.ts";
import type { Entry, HardState } from "../../src/base/entry.ts";
import type { LogIndex, MemberId, NodeId, Offset, Term, WallMs } from "../../src/base/ids.ts";
import { membershipOf } from "../../src/base/membership.ts";
import type { RaftStatus } from "../../src/raft/protocol.ts";

export const [N1, N2, N3] = ["n1", "n2", "n3"] as [NodeId, NodeId, NodeId];
const MEMBERSHIP = membershipOf([N1, N2, N3].map((name) => ({ id: memberOf(name), address: "" })));

/** The member that goes by this name; on paper nobody has a directory, so it has no instance. */
export function memberOf(name: NodeId): MemberId {
  return name as string as MemberId;
}

/** An entry; by default one record in the middle of its term's run. */
export function entry(index: number, term: number, with_: Partial<Entry> = {}): Entry {
  return {
    kind: "records",
    codec: 0,
    critical: true,
    index: index as LogIndex,
    term: term as Term,
    prevTerm: term as Term,
    offset: (index - 1) as Offset,
    count: 1,
    timestamp: 0 as WallMs,
    bodyLength: 10,
    bodyCrc: index * 1000 + term,
    rawLength: 10,
    producerId: 0,
    epoch: 0,
    sequence: 0,
    frame: freeze(new Uint8Array(0)),
    ...with_,
  };
}

/** The first entry of a term. */
export function first(index: number, term: number, prevTerm: number): Entry {
  return entry(index, term, { prevTerm: prevTerm as Term });
}

export function status(self: NodeId, with_: StatusWords): RaftStatus {
  const { role = "follower", term, vote = null, leader = null, last = [0, 0], commit = 0 } = with_;
  const lastDropped = with_.dropped ?? null;
  return {
    self: memberOf(self),
    role,
    term: term as Term,
    votedFor: vote === null ? null : memberOf(vote),
    leader: leader === null ? null : memberOf(leader),
    lastIndex: last[0] as LogIndex,
    lastTerm: last[1] as Term,
    endOffset: last[0] as Offset,
    commitIndex: commit as LogIndex,
    durableIndex: last[0] as LogIndex,
    membership: MEMBERSHIP,
    committedMembership: MEMBERSHIP,
    isMending: false,
    isVoter: true,
    transferTo: null,
    peers: [],
    dropped: lastDropped === null ? 0 : 1,
    lastDropped,
  };
}

interface StatusWords {
  readonly role?: RaftStatus["role"];
  readonly term: number;
  readonly vote?: NodeId | null;
  readonly leader?: NodeId | null;
  readonly last?: readonly [index: number, term: number];
  readonly commit?: number;
  /** What was wrong with a message that was dropped. */
  readonly dropped?: string;
}

const NO_VOTE: HardState = { term: 0 as Term, votedFor: null };

export class PaperCluster {
  readonly findings: Finding[] = [];
  readonly safety: Safety;
  readonly promises: Promises;
  readonly #logs = new Map<NodeId, Map<number, Term>>();
  readonly #hardStates = new Map<NodeId, HardState>();

  constructor() {
    const durability: Durability = {
      holds: (node, index, term) => this.#logs.get(node)?.get(index) === term,
      termAt: (node, index) => this.#logs.get(node)?.get(index) ?? null,
      hardState: (node) => voteOf(this.#hardStates.get(node) ?? NO_VOTE),
    };
    const report = (finding: Finding) => void this.findings.push(finding);
    const voters = [N1, N2, N3];
    this.safety = new Safety(voters, durability, report);
    const { safety } = this;
    const meaning = new Meaning(safety.committed, 16, report);
    this.promises = new Promises({ safety, meaning }, durability, report);
  }

  /** The first finding, in three lines; "" without any. */
  get found(): Finding | null {
    return this.findings[0] ?? null;
  }

  /** Puts entries on disks for certain. */
  store(entries: readonly Entry[], ...nodes: readonly NodeId[]): void {
    for (const node of nodes) {
      const log = this.#logs.get(node) ?? new Map<number, Term>();
      this.#logs.set(node, log);
      for (const stored of entries) {
        log.set(stored.index, stored.term);
        this.safety.wrote(node, stored);
      }
    }
  }

  lose(node: NodeId, index: number): void {
    this.#logs.get(node)?.delete(index);
  }

  storeVote(node: NodeId, term: number, votedFor: NodeId | null): void {
    const member = votedFor === null ? null : memberOf(votedFor);
    this.#hardStates.set(node, { term: term as Term, votedFor: member });
  }

  look(node: NodeId, words: StatusWords, life = 1): void {
    this.safety.observe(node, life, status(node, words));
  }

  /** n1 is elected for `term` by n2, all above board, with a log that ends at `last`. */
  elect(term: number, last: readonly [number, number], commit = 0): void {
    this.storeVote(N1, term, N1);
    this.storeVote(N2, term, N1);
    this.look(N1, { role: "candidate", term, vote: N1, last, commit });
    this.promises.sent(N2, N1, voteReply(term));
    this.look(N1, { role: "leader", term, vote: N1, last, leader: N1, commit });
  }
}

export function voteReply(term: number) {
  return { kind: "vote-reply", term: term as Term, granted: true, preVote: false } as const;
}

export function voteRequest(term: number) {
  const [lastIndex, lastTerm] = [0 as LogIndex, 0 as Term];
  return {
    kind: "vote-request",
    term: term as Term,
    lastIndex,
    lastTerm,
    preVote: false,
    transfer: false,
  } as const;
}

export function appendReply(term: number, matchIndex: number) {
  return {
    kind: "append-reply",
    term: term as Term,
    round: 0,
    matchIndex: matchIndex as LogIndex,
    conflict: null,
  } as const;
}

export function appendRequest(
  term: number,
  prev: readonly [number, number],
  entries: readonly Entry[],
  commit = 0,
) {
  return {
    kind: "append-request",
    term: term as Term,
    prevIndex: prev[0] as LogIndex,
    prevTerm: prev[1] as Term,
    commitIndex: commit as LogIndex,
    round: 0,
    entries,
  } as const;
}
