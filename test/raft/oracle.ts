// The judge of a cluster of pure Rafts: the safety properties of the paper's Figure 3, that nothing
// is said before what it promises is durable, and the rules of membership changes, each stated
// again without any of the code under test. Looks at disks, logs and messages; moves nothing.

import type { Entry, HardState, LogWrite, Snapshot } from "../../src/base/entry.ts";
import type { MemberId, Term } from "../../src/base/ids.ts";
import type { Membership } from "../../src/base/membership.ts";
import { describeMessage } from "../../src/raft/describe.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";
import type { Raft } from "../../src/raft/raft.ts";
import type { HostLog } from "./host-log.ts";

export class SafetyViolation extends Error {}

/** What the judge may look at of a node. */
export interface Judged {
  readonly name: MemberId;
  readonly raft: Raft;
  readonly disk: { readonly hardState: HardState; readonly log: HostLog };
  readonly cached: HostLog;
  readonly commitIndex: number;
  /** What the disk had before each loss that is not mended yet. */
  readonly lost: readonly HostLog[];
}

/** More than half of each half. */
export function isQuorum(
  { voters, outgoing }: Membership,
  has: (id: MemberId) => boolean,
): boolean {
  return [voters, outgoing].every((half, place) => {
    const count = half.filter(has).length;
    return place === 1 && half.length === 0 ? true : count * 2 > half.length;
  });
}

export class Oracle {
  readonly committed: Entry[] = [];
  readonly #describe: () => string;
  readonly #leaders = new Map<Term, MemberId>();
  readonly #entries = new Map<string, Entry>();
  /** Votes that have ever been durable, by candidate and term. */
  readonly #votes = new Map<string, Set<MemberId>>();
  readonly #refused = new Set<number>();
  leadersSeen = 0;

  constructor(describe: () => string) {
    this.#describe = describe;
  }

  demand(holds: boolean, what: string): void {
    if (!holds) throw new SafetyViolation(`${what}\n${this.#describe()}`);
  }

  refused(proposalId: number): void {
    this.#refused.add(proposalId);
  }

  hardStateIsDurable(voter: MemberId, { term, votedFor }: HardState): void {
    if (votedFor === null) return;
    const key = `${votedFor} t${term}`;
    const votes = this.#votes.get(key) ?? new Set();
    this.#votes.set(key, votes.add(voter));
  }

  /** Election safety, election by a quorum, leader completeness (paper, 5.2, 5.4 and 6). */
  checkRole({ name, raft, cached }: Judged): void {
    if (raft.role !== "leader") return;
    const { term } = raft;
    const known = this.#leaders.get(term);
    this.demand(known === undefined || known === name, `one leader in term ${term}`);
    if (known !== undefined) return;
    this.#leaders.set(term, name);
    this.leadersSeen += 1;
    const votes = this.#votes.get(`${name} t${term}`) ?? new Set();
    const isElected = isQuorum(cached.membershipAt(cached.lastIndex), (id) => votes.has(id));
    this.demand(isElected, `${name} leads term ${term} by durable votes of a quorum`);
    for (const { index, term: of } of this.committed) {
      if (index <= cached.start.index) continue;
      const has = raft.termAt(index) === of;
      this.demand(has, `the leader of term ${term} has committed entry ${index}`);
    }
  }

  /** Log matching (paper, 5.3): equal index and term mean equal entries, and equal before. */
  checkMatching(entry: Entry): void {
    const key = `${entry.index}/${entry.term}`;
    const known = this.#entries.get(key) ?? entry;
    this.#entries.set(key, known);
    const isSame =
      known.bodyCrc === entry.bodyCrc &&
      known.prevTerm === entry.prevTerm &&
      known.offset === entry.offset &&
      known.timestamp === entry.timestamp;
    this.demand(isSame, `entries ${key} are the same everywhere`);
    this.demand(!this.#refused.has(entry.bodyCrc), `a refused proposal is in no log: ${key}`);
  }

  /**
   * A snapshot says what is committed at its place, and is installed only where it goes forward and
   * the log does not have its place already.
   */
  checkInstall(node: Judged, { at, membership }: Snapshot): void {
    const what = `${node.name} installs ${at.index}/t${at.term}`;
    this.demand(this.committed[at.index - 1]?.term === at.term, `${what}: it is committed`);
    this.demand(at.index > node.commitIndex, `${what}: it goes forward`);
    this.demand(node.cached.termAt(at.index) !== at.term, `${what}: the log has it not`);
    const committed = this.#membershipAt(at.index);
    const isIt = committed === null || sameMembers(committed, membership);
    this.demand(isIt, `${what}: its membership is the one of its place`);
  }

  /**
   * Looks after each step of one who led `term` before it: what is committed first rests on durable
   * copies on a quorum of the membership that was `inForce`, and on an entry of its term.
   */
  checkLeaderCommit(node: Judged, term: Term, inForce: Membership, all: readonly Judged[]): void {
    const { name, raft, cached } = node;
    const before = this.committed.length;
    for (let index = before + 1; index <= raft.commitIndex; index++) {
      const entry = cached.entryAt(index);
      if (entry === undefined) throw new SafetyViolation(`${name} has no entry ${index}`);
      this.committed.push(entry);
    }
    const last = this.committed.at(-1);
    if (last === undefined || this.committed.length === before) return;
    this.demand(last.term === term, `${name} commits by an entry of its own term`);
    const hasIt = (id: MemberId): boolean => {
      const holder = all.find((each) => each.name === id);
      // What was acknowledged and is lost since may be counted: it is kept by who may not vote.
      return (holder === undefined ? [] : [holder.disk.log, ...holder.lost]).some(
        (log) => log.start.index > last.index || log.termAt(last.index) === last.term,
      );
    };
    const isHeld = isQuorum(inForce, hasIt);
    this.demand(isHeld, `committed entry ${last.index} is durable on a quorum`);
  }

  /** State machine safety. */
  checkCommit({ name, cached, commitIndex: before }: Judged, commitIndex: number): void {
    this.demand(commitIndex >= before, `${name} never takes back a commit`);
    for (let index = Math.max(before, cached.start.index) + 1; index <= commitIndex; index++) {
      const term = this.committed[index - 1]?.term;
      this.demand(term !== undefined, `${name} commits entry ${index}, which a leader did before`);
      this.demand(cached.termAt(index) === term, `entry ${index} is committed once`);
    }
  }

  /**
   * Membership rules (paper, section 6; thesis 4): memberships in a log follow one another as they
   * may; and a leader writes one only when the one before is committed, and something of its own
   * term is.
   */
  checkMembership(node: Judged, write: LogWrite): void {
    for (const { index, term, control } of write.entries) {
      if (control?.kind !== "membership") continue;
      const what = `${node.name} appends a membership at ${index}/t${term}`;
      const before = node.cached.membershipAt(index - 1);
      this.demand(mayFollow(before, control.membership), `${what}: it may follow the one before`);
      if (node.raft.role !== "leader" || term !== node.raft.term) continue;
      const own = node.cached.termAt(node.commitIndex);
      this.demand(own === term, `${what}: its leader has committed in its term`);
      const last = node.cached.entries
        .filter((entry) => entry.kind === "membership" && entry.index < index)
        .at(-1);
      const isCommitted = last === undefined || last.index <= node.commitIndex;
      this.demand(isCommitted, `${what}: the one before is committed`);
    }
  }

  /** Nothing is said before what it promises is durable (paper, Figure 2). */
  checkPromise({ name, disk, cached }: Judged, to: MemberId, message: RaftMessage): void {
    const { hardState, log } = disk;
    const what = `${name} to ${to}: ${describeMessage(message)}`;
    if (message.kind === "vote-reply" && message.granted && !message.preVote) {
      const isKept =
        hardState.term > message.term ||
        (hardState.term === message.term && hardState.votedFor === to);
      this.demand(isKept, `the vote is durable: ${what}`);
    } else if (message.kind === "vote-request" && !message.preVote) {
      const isKept = hardState.term === message.term && hardState.votedFor === name;
      this.demand(isKept, `the candidacy is durable: ${what}`);
    } else if (message.kind !== "vote-request" && message.kind !== "vote-reply") {
      this.demand(hardState.term >= message.term, `the term is durable: ${what}`);
    }
    this.#checkMending(hardState, message, what);
    if (message.kind !== "append-reply" || message.conflict !== null) return;
    this.demand(message.matchIndex <= log.lastIndex, `the entries are durable: ${what}`);
    for (let index = log.start.index + 1; index <= message.matchIndex; index++) {
      const isSame = index <= cached.start.index || log.termAt(index) === cached.termAt(index);
      this.demand(isSame, `the durable entries are the log's: ${what}`);
    }
  }

  /** Who has lost entries neither votes nor stands, and says so in its answers. */
  #checkMending({ loss }: HardState, message: RaftMessage, what: string): void {
    const isVote = message.kind === "vote-reply" && message.granted;
    if (isVote || message.kind === "vote-request") {
      this.demand(loss === undefined, `who mends its log stays out of elections: ${what}`);
    } else if (message.kind === "append-reply") {
      this.demand(message.loss === loss, `an answer names the loss: ${what}`);
    }
  }

  /** The last committed membership at or before `index`; null before the first entry of one. */
  #membershipAt(index: number): Membership | null {
    const entry = this.committed
      .slice(0, index)
      .filter(({ kind }) => kind === "membership")
      .at(-1);
    return entry?.control?.kind === "membership" ? entry.control.membership : null;
  }
}

/** Whether a log may go from one membership to the other by one entry. */
export function mayFollow(before: Membership, after: Membership): boolean {
  const same = (a: readonly MemberId[], b: readonly MemberId[]): boolean =>
    a.length === b.length && a.every((id) => b.includes(id));
  if (before.outgoing.length > 0) {
    return after.outgoing.length === 0 && same(before.voters, after.voters);
  }
  if (after.outgoing.length > 0) return same(after.outgoing, before.voters);
  if (before.voters.length === 0) return true;
  const either = new Set([...before.voters, ...after.voters]);
  const both = before.voters.filter((id) => after.voters.includes(id));
  return either.size - both.length <= 1;
}

function sameMembers(a: Membership, b: Membership): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
