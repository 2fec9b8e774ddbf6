// Raft's safety properties, watched after every turn of every node by somebody who sees all of them
// and all their disks: elections, leaders' logs, commits, restarts. Incremental: a turn costs what
// it changed. Owns no disk (durability.ts) and no message (promises.ts).

import type { EntryHead, LogPoint } from "../../src/base/entry.ts";
import type { LogIndex, MemberId, NodeId, Offset, Term } from "../../src/base/ids.ts";
import { type Membership, NO_MEMBERS, nameOf } from "../../src/base/membership.ts";
import type { RaftStatus } from "../../src/raft/protocol.ts";
import { CommittedLog } from "./committed-log.ts";
import { type Act, Lineage, printOf } from "./lineage.ts";
import { describeMembership, Memberships } from "./memberships.ts";
import type { Property, Report } from "./violation.ts";
import { type Vote, voteOf } from "./vote.ts";

/** What the disks would still have after a power loss now. */
export interface Durability {
  /** True when `node` would keep this entry and everything before it. */
  holds(node: NodeId, index: LogIndex, term: Term): boolean;
  /** The term of the entry at `index` that `node` would keep; null when it would keep none. */
  termAt(node: NodeId, index: LogIndex): Term | null;
  hardState(node: NodeId): Vote;
}

/** One node as it was seen last. */
interface Watched {
  /** Of the present life; null until its log is open. */
  last: RaftStatus | null;
  /** What `last` was held against. */
  lastFloor: Vote | null;
  /** The greatest hard state that was ever durable or promised, over all lives. */
  floor: Vote;
  floorWhy: string;
  /** What a restart must bring back: durable when the node went down. */
  mustHave: { readonly index: LogIndex; readonly term: Term } | null;
}

/** Raft's words for a message of whom it does not count by (src/raft/raft.ts). */
const NOT_A_MEMBER = "the sender is not a member";

interface Leadership {
  readonly node: NodeId;
  readonly life: number;
}

/** Where a candidate's log ended when it stood for a term. */
interface Candidacy {
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
}

export class Safety {
  readonly lineage: Lineage;
  readonly committed: CommittedLog;
  readonly memberships: Memberships;
  /** Who each name is by now: no votes or copies of another instance count. Null: nobody yet. */
  readonly #instances = new Map<NodeId, MemberId | null>();
  /** Under which the last commit was made. */
  #electorate: Membership = NO_MEMBERS;
  readonly #durability: Durability;
  readonly #report: Report;
  readonly #watched = new Map<NodeId, Watched>();
  readonly #leaders = new Map<Term, Leadership>();
  readonly #candidacies = new Map<string, Candidacy>();
  /** Granted votes that left their voter: by term, voter (an instance) and candidate. */
  readonly #grants = new Map<Term, Map<string, NodeId>>();
  /** Elections whose leader's log is not known yet: what it must hold. */
  readonly #elections = new Map<Term, { readonly node: NodeId; readonly index: LogIndex }>();

  constructor(nodes: readonly NodeId[], durability: Durability, report: Report) {
    this.#durability = durability;
    this.#report = report;
    this.lineage = new Lineage(report);
    this.committed = new CommittedLog(report);
    this.memberships = new Memberships(this.lineage, this.committed, report);
    for (const node of nodes) {
      const floor = { term: 0 as Term, votedFor: null };
      const fresh = { last: null, lastFloor: null, floorWhy: "began", mustHave: null };
      this.#watched.set(node, { ...fresh, floor });
    }
  }

  /** What the node's Raft said last in this life; null before it said anything. */
  lastSeen(node: NodeId): RaftStatus | null {
    return this.#of(node).last;
  }

  /** Who led or leads this term. */
  leaderOf(term: Term): NodeId | null {
    return this.#leaders.get(term)?.node ?? null;
  }

  // ---- what happens to a node ----

  /** The node is gone; `durable` is the end of what its disk still has for certain. */
  crashed(node: NodeId, durable: { readonly index: LogIndex; readonly term: Term } | null): void {
    const watched = this.#of(node);
    watched.last = null;
    watched.mustHave = durable;
    this.memberships.wentDown(node);
  }

  /** The node is down, and its disk is another one: what it had promised is no longer its own. */
  replaced(node: NodeId): void {
    const watched = this.#of(node);
    watched.floor = { term: 0 as Term, votedFor: null };
    watched.floorWhy = "began";
    watched.mustHave = null;
    // On an older image it is who it was, on an empty disk somebody else.
    this.#instances.set(node, null);
  }

  /** A hard state is durable, or was promised to somebody: no later life may have a lesser one. */
  raiseFloor(node: NodeId, hardState: Vote, why: string): void {
    const watched = this.#of(node);
    const { floor } = watched;
    if (hardState === floor || hardState.term < floor.term) return;
    if (hardState.term === floor.term && hardState.votedFor === null) return;
    if (hardState.term === floor.term && floor.votedFor === hardState.votedFor) return;
    if (hardState.term === floor.term && floor.votedFor !== null) {
      const first = `in term ${floor.term} ${node} ${watched.floorWhy} a vote for ${floor.votedFor}`;
      const facts = [first, `in the same term it ${why} a vote for ${hardState.votedFor}`] as const;
      this.#report({ property: "one-vote-a-term", facts, node });
    }
    watched.floor = hardState;
    watched.floorWhy = why;
  }

  /** A granted vote leaves its voter. */
  granted(voter: NodeId, term: Term, candidate: NodeId): void {
    let votes = this.#grants.get(term);
    if (votes === undefined) {
      votes = new Map();
      this.#grants.set(term, votes);
    }
    const id = this.#instances.get(voter) ?? voter;
    const before = votes.get(id);
    if (before !== undefined && before !== candidate) {
      const first = `${voter} sent ${before} its vote for term ${term}`;
      const facts = [first, `it sends ${candidate} its vote for the same term`] as const;
      this.#report({ property: "one-vote-a-term", facts, node: voter });
    }
    votes.set(id, candidate);
  }

  /** An entry reached a node's disk. */
  wrote(node: NodeId, head: EntryHead): void {
    this.#see(head, node, "wrote to its disk");
    const { last } = this.#of(node);
    const term = this.committed.at(head.index)?.term ?? null;
    // What a slow disk was told before: others have committed the entry that took its place, whose
    // own write is behind it, so that this node does not count its log as durable there yet.
    const isQueued = term !== null && head.term < term && (last?.durableIndex ?? 0) < head.index;
    if (head.index <= (last?.commitIndex ?? 0) && term !== head.term && !isQueued) {
      const first = `${node} took for committed ${this.committed.describe(head.index)}`;
      this.#found("committed-immutable", node, first, `it overwrites it with ${printOf(head)}`);
    }
    this.#judgeElections();
  }

  /** A truncation is said to be done, and this is what it has left. */
  truncated(node: NodeId, leftover: string): void {
    const first = `${node} notes on its disk that a truncation is done`;
    this.#found("truncation-final", node, first, leftover);
  }

  /** A file of entries before `base` is gone from a disk that still has a checkpoint there. */
  trimmed(node: NodeId, base: LogPoint, startOffset: Offset): void {
    if (base.endOffset <= startOffset) return;
    const first = `all that is committed lets go of the records before offset ${startOffset}`;
    const second = `${node} removes records up to offset ${base.endOffset}`;
    this.#found("trim-agreed", node, first, second);
  }

  /** A file is gone with entries that were certain, and nothing there stands for them. */
  vanished(node: NodeId, file: string, last: EntryHead): void {
    const first = `${file} was on the disk of ${node}, and held all up to ${printOf(last)}`;
    const second = "it is gone, and no checkpoint that is durable there stands for that entry";
    this.#found("trim-covered", node, first, second);
  }

  /** A snapshot is about to replace a log that has `standing` in its place and begins at `base`. */
  installs(node: NodeId, at: LogPoint, standing: EntryHead | null, base: LogPoint | null): void {
    const says = `${node} replaces its log by a snapshot of it up to ${at.index}@${at.term}`;
    if (standing?.term === at.term)
      this.#found("snapshot-forward", node, says, `its log has ${printOf(standing)}`);
    else if (base !== null && base.index >= at.index)
      this.#found("snapshot-forward", node, says, `its log begins at ${base.index}@${base.term}`);
  }

  /** An entry leaves a leader. */
  sent(node: NodeId, head: EntryHead): void {
    this.#see(head, node, "sent");
    this.#judgeElections();
  }

  #see(head: EntryHead, node: NodeId, act: Act): void {
    const isNew = head.kind === "membership" && this.lineage.find(head.index, head.term) === null;
    this.lineage.see(head, node, act);
    if (!isNew) return;
    const { last } = this.#of(node);
    const isLeader = last?.role === "leader" && last.term === head.term;
    this.memberships.saw(head, node, isLeader ? last : null);
  }

  // ---- what a node's Raft says after a turn ----

  observe(node: NodeId, life: number, now: RaftStatus): void {
    const watched = this.#of(node);
    const before = watched.last;
    // PERF: the same object says the same; only what it must not fall short of may have grown.
    if (now === before && watched.floor === watched.lastFloor) return;
    this.#checkHardState(node, watched, now);
    watched.lastFloor = watched.floor;
    if (now === before) return;
    this.#instances.set(node, now.self);
    this.memberships.observe(node, now);
    if (before === null) this.#checkRecovered(node, watched, now);
    else this.#checkSteps(node, before, now);
    watched.last = now;
    if (now.role === "candidate") this.#stand(node, before, now);
    this.#checkVote(node, before, now);
    if (now.role === "leader") this.#checkLeader(node, life, before, now);
    this.#checkCommit(node, before, now);
    this.#judgeElections();
  }

  #checkHardState(node: NodeId, watched: Watched, now: RaftStatus): void {
    const { floor, floorWhy } = watched;
    if (now.term > floor.term) return;
    const { votedFor } = voteOf(now);
    const isOther = floor.votedFor !== null && votedFor !== floor.votedFor;
    if (now.term === floor.term && !isOther) return;
    const said = `${node} is in term ${now.term}, vote ${votedFor ?? "none"}`;
    const kept = `${node} ${floorWhy} term ${floor.term}, vote ${floor.votedFor ?? "none"}`;
    this.#found("hard-state-monotonic", node, kept, said);
  }

  #checkRecovered(node: NodeId, watched: Watched, now: RaftStatus): void {
    const { mustHave } = watched;
    if (now.lastTerm > now.term) {
      const first = `${node} starts in term ${now.term}`;
      this.#found("hard-state-monotonic", node, first, `its log ends in term ${now.lastTerm}`);
    }
    // What it has lost is owed: losses.ts.
    if (mustHave === null || mustHave.index === 0 || now.isMending) return;
    const { index, term } = mustHave;
    if (now.lastIndex >= index && this.lineage.termAt(index, now.lastTerm) === term) return;
    const first = `entry ${index}@${term} was durable on the disk of ${node} when it went down`;
    const second = `${node} starts with a log that ends at ${now.lastIndex}@${now.lastTerm}`;
    this.#found("recovered-log", node, first, second);
  }

  /** Between two turns of one life. */
  #checkSteps(node: NodeId, before: RaftStatus, now: RaftStatus): void {
    if (now.term < before.term) {
      const first = `${node} was in term ${before.term}`;
      this.#found("hard-state-monotonic", node, first, `it is in term ${now.term}`);
    }
    if (now.term === before.term && before.votedFor !== null && now.votedFor !== before.votedFor) {
      const first = `in term ${now.term} ${node} had voted for ${before.votedFor}`;
      this.#found("one-vote-a-term", node, first, `its vote is now ${now.votedFor ?? "none"}`);
    }
    // Who was removed may not know it yet.
    const isOfFormer = now.lastDropped === NOT_A_MEMBER && this.memberships.haveChanged;
    if (now.dropped > before.dropped && !isOfFormer) {
      const first = `${node} got a message that no correct peer sends: ${now.lastDropped}`;
      this.#found(
        "peers-make-sense",
        node,
        first,
        "all its peers run the same code, and no byte was changed",
      );
    }
    if (now.commitIndex < before.commitIndex) {
      const first = `${node} had commitIndex ${before.commitIndex}`;
      this.#found("commit-monotonic", node, first, `it has commitIndex ${now.commitIndex}`);
    }
    if (now.lastIndex < before.commitIndex) {
      const first = `${node} had taken for committed all up to index ${before.commitIndex}`;
      this.#found("committed-immutable", node, first, `its log ends at index ${now.lastIndex}`);
    }
    const stillLeads =
      before.role === "leader" && now.role === "leader" && now.term === before.term;
    if (stillLeads && now.lastIndex < before.lastIndex) {
      const first = `as leader of term ${now.term} ${node} had a log up to index ${before.lastIndex}`;
      this.#found("leader-append-only", node, first, `its log ends at index ${now.lastIndex}`);
    }
  }

  // ---- elections ----

  #stand(node: NodeId, before: RaftStatus | null, now: RaftStatus): void {
    const { term, lastIndex, lastTerm } = now;
    if (before?.role === "candidate" && before.term === term) return;
    // A candidacy that a crash took back before it was durable may come again with a longer log.
    this.#candidacies.set(`${term}/${node}`, { lastIndex, lastTerm });
  }

  /** A vote that was just given: the candidate's log must be at least as up to date. */
  #checkVote(node: NodeId, before: RaftStatus | null, now: RaftStatus): void {
    // With a leader in the same turn the voter's log may have grown after the vote.
    if (before === null || now.votedFor === null || now.leader !== null) return;
    if (before.term === now.term && before.votedFor === now.votedFor) return;
    const { votedFor, term } = voteOf(now);
    if (votedFor === node) return;
    if (before.term === term && voteOf(before).votedFor === votedFor) return;
    const candidate = this.#candidacies.get(`${term}/${votedFor}`);
    if (candidate === undefined) return;
    const { lastTerm, lastIndex } = candidate;
    const isBehind =
      lastTerm < now.lastTerm || (lastTerm === now.lastTerm && lastIndex < now.lastIndex);
    if (!isBehind) return;
    const first = `${node}, whose log ends at ${now.lastIndex}@${now.lastTerm}, votes in term ${term} for ${votedFor}`;
    const second = `the log of ${votedFor} ended at ${lastIndex}@${lastTerm} when it stood`;
    this.#found("vote-restriction", node, first, second);
  }

  #checkLeader(node: NodeId, life: number, before: RaftStatus | null, now: RaftStatus): void {
    const known = this.#leaders.get(now.term);
    if (known === undefined) {
      this.#leaders.set(now.term, { node, life });
      this.#checkVotes(node, now);
      this.memberships.elected(node, now);
      const index = this.committed.lastIndexBefore(now.term);
      if (now.lastTerm < now.term) this.#checkCompleteness(node, now.term, index, now);
      else this.#elections.set(now.term, { node, index });
      return;
    }
    if (known.node !== node || known.life !== life) {
      const first = `${known.node}, in its life ${known.life}, led term ${now.term}`;
      this.#found(
        "election-safety",
        node,
        first,
        `${node}, in its life ${life}, leads the same term`,
      );
    }
    if (before?.role === "leader" && before.term === now.term) return;
    if (known.node === node && known.life === life) {
      const first = `${node} led term ${now.term} and gave it up`;
      this.#found("election-safety", node, first, `${node} leads term ${now.term} again`);
    }
  }

  #checkVotes(node: NodeId, now: RaftStatus): void {
    const own = this.#durability.hardState(node);
    const grants = this.#grants.get(now.term);
    const gave = (id: MemberId) => {
      if (id === now.self) return own.term === now.term && own.votedFor === node;
      return (grants?.get(id) ?? grants?.get(nameOf(id))) === node;
    };
    const few = fewest(now.membership, gave);
    if (few === null) return;
    const first = `${node} leads term ${now.term} of ${describeMembership(now.membership)}`;
    this.#found("elected-by-quorum", node, first, `its votes are ${few}`);
  }

  /** New leaders whose first own entry has been seen since. */
  #judgeElections(): void {
    if (this.#elections.size === 0) return;
    for (const [term, { node, index }] of this.#elections) {
      const firstIndex = this.lineage.firstIndexOf(term);
      if (firstIndex === null) continue;
      this.#elections.delete(term);
      const lastIndex = (firstIndex - 1) as LogIndex;
      this.#checkCompleteness(node, term, index, { lastIndex, lastTerm: term });
    }
  }

  #checkCompleteness(node: NodeId, term: Term, index: LogIndex, log: Candidacy): void {
    if (index === 0) return;
    const own = log.lastIndex < index ? null : this.lineage.termAt(index, log.lastTerm);
    if (own === this.committed.at(index)?.term) return;
    const second =
      own === null
        ? `${node} leads term ${term} with a log that ended at index ${log.lastIndex}`
        : `${node} leads term ${term} with an entry of term ${own} at index ${index}`;
    this.#found("leader-completeness", node, this.committed.describe(index), second);
  }

  // ---- commits ----

  #checkCommit(node: NodeId, before: RaftStatus | null, now: RaftStatus): void {
    const from = before?.commitIndex ?? 0;
    const known = this.committed.lastIndex;
    for (let index = from + 1; index <= Math.min(now.commitIndex, known); index++) {
      const term = this.lineage.termAt(index as LogIndex, now.lastTerm);
      if (term !== null) this.committed.compare(index as LogIndex, term, node);
    }
    if (now.commitIndex <= known) return;
    // A leader may commit and be deposed in one turn.
    const inTerm =
      now.role === "leader" ? now.term : before?.role === "leader" ? before.term : null;
    const last = `${node} takes for committed all up to index ${now.commitIndex}`;
    if (inTerm === null) {
      const first = `no leader has committed anything after index ${known}`;
      this.#found("committed-immutable", node, first, last);
      return;
    }
    this.#checkCommitRule(node, inTerm, before, now);
    for (let index = known + 1; index <= now.commitIndex; index++) {
      const head = this.#entryOf(index as LogIndex, now.lastTerm);
      if (head === null) {
        this.#found(
          "commit-durable-quorum",
          node,
          last,
          `nobody has written or sent index ${index}`,
        );
        return;
      }
      this.committed.extend(head, node, inTerm);
    }
  }

  #checkCommitRule(
    node: NodeId,
    inTerm: Term,
    before: RaftStatus | null,
    { commitIndex, lastTerm, membership }: RaftStatus,
  ): void {
    const term = this.lineage.termAt(commitIndex, lastTerm);
    if (term === null) return;
    const commits = () => `leading term ${inTerm}, ${node} commits up to ${commitIndex}@${term}`;
    if (term !== inTerm) {
      this.#found("commit-own-term", node, commits(), `that entry is of term ${term}`);
    }
    const few = this.#tooFew(membership, commitIndex, term);
    // It may have gone on to another membership in the same turn.
    const former = before?.membership ?? membership;
    const wasEnough = few === null || this.#tooFew(former, commitIndex, term) === null;
    this.#electorate = few === null ? membership : former;
    if (wasEnough) return;
    const has = `after a power loss now only ${few} would have that entry`;
    const whose = `the members are ${describeMembership(membership)}`;
    this.#found("commit-durable-quorum", node, commits(), `${has}; ${whose}`);
  }

  /**
   * Whose disks would keep the entry, a committed one, when that is less than a quorum; else null.
   */
  tooFewHolders(index: LogIndex, term: Term): string | null {
    return this.#tooFew(this.#electorate, index, term);
  }

  #tooFew(membership: Membership, index: LogIndex, term: Term): string | null {
    return fewest(membership, (id) => {
      const name = nameOf(id);
      const instance = this.#instances.get(name);
      // Before a node said who it is, it is whom the members mean.
      if (instance !== undefined && instance !== id) return false;
      return this.#durability.holds(name, index, term);
    });
  }

  /** Something was cut from a disk, or a node went down: is all that was committed still safe? */
  auditCommitted(): void {
    const index = this.committed.lastIndex;
    const term = this.committed.at(index)?.term;
    if (term === undefined) return;
    const few = this.tooFewHolders(index, term);
    if (few === null) return;
    const has = `after a power loss now only ${few} would have it`;
    this.#found("commit-durable-quorum", null, this.committed.describe(index), has);
  }

  #entryOf(index: LogIndex, lastTerm: Term): EntryHead | null {
    const term = this.lineage.termAt(index, lastTerm);
    return term === null ? null : this.lineage.find(index, term);
  }

  #of(node: NodeId): Watched {
    const watched = this.#watched.get(node);
    if (watched === undefined) throw new Error(`${node} is not one of the voters`);
    return watched;
  }

  #found(property: Property, node: NodeId | null, first: string, second: string): void {
    this.#report({ property, facts: [first, second], node });
  }
}

/** Those of a half of the membership for whom it holds, when they are no majority of it. */
function fewest({ voters, outgoing }: Membership, holds: (id: MemberId) => boolean): string | null {
  for (const half of outgoing.length === 0 ? [voters] : [voters, outgoing]) {
    let count = 0;
    for (const id of half) if (holds(id)) count++;
    if (count * 2 > half.length || half.length === 0) continue;
    return half.filter(holds).map(nameOf).join(", ") || "nobody";
  }
  return null;
}
