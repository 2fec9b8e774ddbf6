// Rare situations that a batch of runs must have come through at least sometimes, seen from
// outside: a simulator that never gets there finds no bug that lives there. An observer like any
// other; the bar for a batch is sim/checks/non-vacuity.ts.

import type { Answer, ClientRequest } from "../src/base/client.ts";
import type { DiskOperation } from "../src/base/disk.ts";
import type { MemberId, NodeId, RequestId, Term } from "../src/base/ids.ts";
import { isJoint, isVoterIn, nameOf } from "../src/base/membership.ts";
import type { RaftStatus } from "../src/raft/protocol.ts";
import type { Call, History, RecordId } from "./history.ts";
import type { Moment } from "./moments.ts";
import type { Computer, CrashKind, CrashLoss, Observer, Stage } from "./observer.ts";

/** In the order in which a batch prints them. */
export const MARKS = {
  "competing-candidates": "two candidates of one term",
  "tail-cut": "an uncommitted suffix is dropped",
  "commit-one-way": "a commit under a one-way cut",
  "commit-ahead-of-disk": "a leader commits what its own disk does not have yet",
  "torn-recovery": "recovery of a torn tail",
  "unknown-committed": "an append of unknown outcome is found in the log",
  "duplicate-answered": "a repeated append gets the offset of the first",
  "deposed-read": "a deposed leader refuses a read that it took",
  "deposed-asleep": "a paused leader wakes up in a later term of another",
  "crash-in-roll": "a crash during a segment roll",
  "crash-after-vote": "a crash after a vote is durable and before it is told",
  "crash-at-first-commit": "a crash at the first commit of a term",
  "crash-at-election": "a crash when an election is won, and nothing of it is said",
  "crash-in-cut": "a crash while a tail is cut on the disk",
  "crash-in-install": "a crash while a snapshot is installed",
  "crash-in-checkpoint": "a crash while a checkpoint is written",
  "crash-in-trim": "a crash while entries are trimmed",
  "snapshot-installed": "a snapshot replaces a log",
  "log-trimmed": "a log loses its beginning",
  "joint-committed": "a joint membership is committed",
  "learner-promoted": "a learner becomes a voter",
  "wiped-votes": "a node that was wiped is a voter again, as another instance",
  "leader-removed": "a leader commits its own removal",
  "change-undone": "a membership that was in force is cut off the log",
  "transfer-completed": "leadership goes to whom it was handed over",
  "transfer-given-up": "a leader keeps what it wanted to hand over",
  "transfer-in-joint": "leadership is handed over in a joint membership",
  mended: "a node that lost durable entries has them again, and counts",
  blackout: "all nodes are down at once",
  eviction: "a full path throws a frame away",
  "cursor-guarded": "a commit of a cursor is refused, since another one moved it",
  "cursor-forgotten": "a cursor is forgotten by log time, and a reader told so",
  "fenced-off": "a writer is refused, since another one has fenced the log",
  "fresh-follower": "a follower answers a linearizable read of records",
  "leader-only": "a node refuses a read that only a leader answers",
  "backup-taken": "a backup is read to its end",
  "backup-of-trimmed": "a backup has records that were trimmed while it was read",
  "core-recovers": "a quorum recovers while the rest has failed for ever",
  "core-elects": "such a quorum has to elect a leader of its own first",
} as const;

export type Mark = keyof typeof MARKS;
export type MarkCounts = Readonly<Record<Mark, number>>;

const MOMENT_MARKS: Readonly<Record<Moment, Mark | null>> = {
  "vote-durable": "crash-after-vote",
  "first-commit": "crash-at-first-commit",
  truncation: "crash-in-cut",
  "segment-roll": null,
  "election-won": "crash-at-election",
  install: "crash-in-install",
  checkpoint: "crash-in-checkpoint",
  trim: "crash-in-trim",
};

const STORE_SUFFIX = ".store";
const INSTALL_SUFFIX = ".install";

export class Marks implements Observer {
  readonly #counts = Object.fromEntries(Object.keys(MARKS).map((mark) => [mark, 0])) as Record<
    Mark,
    number
  >;
  /** A node as it was after its last turn in this life. */
  readonly #last = new Map<Computer, RaftStatus>();
  /** The latest instance of each name that voted. */
  readonly #voters = new Map<NodeId, MemberId>();
  /** To whom the leader of a term wanted to hand over. */
  readonly #handedOver = new Map<Term, MemberId>();
  readonly #candidates = new Map<Term, Set<NodeId>>();
  readonly #torn = new Set<Computer>();
  readonly #rolling = new Set<Computer>();
  /** Reads that a leader took, by node. */
  readonly #tookAsLeader = new Map<NodeId, Set<RequestId>>();
  /** Cursors whose last commit was acknowledged, and no deletion. */
  readonly #kept = new Set<string>();
  #oneWayCuts = 0;
  #outside = 0;
  #leaderIsOutside = false;
  #stage: Stage | null = null;

  get counts(): MarkCounts {
    return { ...this.#counts };
  }

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  nodeCrashed(node: Computer, _kind: CrashKind, loss: CrashLoss): void {
    this.#last.delete(node);
    this.#tookAsLeader.delete(node.name);
    if (loss.tornWrites > 0) this.#torn.add(node);
    if (this.#rolling.delete(node)) this.#reach("crash-in-roll");
    if (this.#stage?.nodes.every(({ host }) => host === null)) this.#reach("blackout");
  }

  momentStruck(_node: Computer, moment: Moment): void {
    const mark = MOMENT_MARKS[moment];
    if (mark !== null) this.#reach(mark);
  }

  nodeResumed({ raft }: Computer): void {
    if (raft?.role !== "leader") return;
    const hasNewer = this.#stage?.nodes.some(
      (other) => other.raft?.role === "leader" && other.raft.term > raft.term,
    );
    if (hasNewer === true) this.#reach("deposed-asleep");
  }

  raftChanged(node: Computer, raft: RaftStatus): void {
    if (this.#torn.delete(node)) this.#reach("torn-recovery");
    const { role, term, lastIndex, commitIndex } = raft;
    const last = this.#last.get(node);
    if (last !== undefined && lastIndex < last.lastIndex) this.#reach("tail-cut");
    if (role === "candidate") this.#stands(node.name, term);
    if (role === "leader" && last !== undefined && commitIndex > last.commitIndex) {
      if (this.#oneWayCuts > 0) this.#reach("commit-one-way");
      if (commitIndex > raft.durableIndex) this.#reach("commit-ahead-of-disk");
    }
    if (last?.isMending === true && !raft.isMending) this.#reach("mended");
    this.#lookAtMembers(raft, last);
    this.#lookAtTransfer(raft, last);
    this.#last.set(node, raft);
  }

  #lookAtMembers(raft: RaftStatus, last: RaftStatus | undefined): void {
    const { self, role, membership, committedMembership } = raft;
    if (last === undefined || committedMembership !== last.committedMembership)
      for (const id of committedMembership.voters) {
        const former = this.#voters.get(nameOf(id)) ?? id;
        if (former !== id) this.#reach("wiped-votes");
        this.#voters.set(nameOf(id), id);
      }
    if (last === undefined) return;
    if (committedMembership !== last.committedMembership) {
      if (isJoint(committedMembership)) this.#reach("joint-committed");
      const isRemoved =
        committedMembership.voters.length > 0 && !isVoterIn(committedMembership, self);
      if (isRemoved && role === "leader" && isVoterIn(last.committedMembership, self))
        this.#reach("leader-removed");
    }
    if (membership === last.membership) return;
    // It was not committed, and is not now: it was cut off the log.
    const wasUncommitted = last.membership !== last.committedMembership;
    if (wasUncommitted && committedMembership !== last.membership) this.#reach("change-undone");
    if (last.membership.learners.some((id) => isVoterIn(membership, id)))
      this.#reach("learner-promoted");
  }

  #lookAtTransfer(raft: RaftStatus, last: RaftStatus | undefined): void {
    const { role, term, self, transferTo, membership } = raft;
    if (transferTo !== null) {
      this.#handedOver.set(term, transferTo);
      if (isJoint(membership)) this.#reach("transfer-in-joint");
    } else if (last?.transferTo != null && role === "leader" && last.term === term)
      this.#reach("transfer-given-up");
    const isNew = role === "leader" && (last?.role !== "leader" || last.term !== term);
    if (isNew && this.#handedOver.get((term - 1) as Term) === self)
      this.#reach("transfer-completed");
  }

  pathsCut(_from: readonly NodeId[], _to: readonly NodeId[], isBothWays: boolean): void {
    if (!isBothWays) this.#oneWayCuts++;
  }

  pathsMended(_from: readonly NodeId[], _to: readonly NodeId[], isBothWays: boolean): void {
    if (!isBothWays) this.#oneWayCuts--;
  }

  nodeLeftOutside({ raft }: Computer): void {
    this.#outside++;
    if (raft?.role === "leader") this.#leaderIsOutside = true;
  }

  recovered(): void {
    if (this.#outside > 0) this.#reach("core-recovers");
    if (this.#leaderIsOutside) this.#reach("core-elects");
  }

  frameEvicted(): void {
    this.#reach("eviction");
  }

  operationCompleted(node: Computer, operation: DiskOperation): void {
    if (operation.kind === "sync-dir") this.#rolling.delete(node);
    const isRoll = operation.kind === "create" && operation.file.endsWith(STORE_SUFFIX);
    if (isRoll) this.#rolling.add(node);
    if (operation.kind === "rename" && operation.from.endsWith(INSTALL_SUFFIX))
      this.#reach("snapshot-installed");
    if (operation.kind === "unlink" && operation.file.endsWith(STORE_SUFFIX))
      this.#reach("log-trimmed");
  }

  offered(node: Computer, request: ClientRequest): void {
    if (request.kind !== "check-tail" || node.raft?.role !== "leader") return;
    const took = this.#tookAsLeader.get(node.name) ?? new Set();
    this.#tookAsLeader.set(node.name, took.add(request.requestId));
  }

  answered(node: Computer, answer: Answer): void {
    if (this.#tookAsLeader.get(node.name)?.delete(answer.requestId) !== true) return;
    if (answer.kind === "fault" && answer.fault.code === "not-leader") this.#reach("deposed-read");
  }

  returned(call: Call): void {
    this.#readerReturned(call);
    const { question, outcome, facts } = call;
    const isAppended = question.kind === "append" && outcome === "ok" && facts?.kind === "appended";
    if (isAppended && facts.duplicate) this.#reach("duplicate-answered");
  }

  /** Of consumers, rivals and readers that say how fresh. */
  #readerReturned({ question, outcome, facts }: Call): void {
    const code = facts?.kind === "fault" ? facts.code : null;
    if (code === "fenced-off" && outcome === "fail") this.#reach("fenced-off");
    switch (question.kind) {
      case "commit-cursor":
        if (code === "cursor-mismatch" && outcome === "fail") this.#reach("cursor-guarded");
        if (outcome !== "fail") this.#kept.delete(question.name);
        if (outcome === "ok" && question.offset !== null) this.#kept.add(question.name);
        return;
      case "fetch-cursors": {
        if (facts?.kind !== "cursors" || question.consistency !== "linearizable") return;
        const told = facts.cursors.map(({ name }) => name);
        const isGone = (name: string) => this.#kept.has(name) && !told.includes(name);
        if (question.names?.some(isGone) === true) this.#reach("cursor-forgotten");
        return;
      }
      case "backup": {
        if (facts?.kind !== "backup") return;
        this.#reach("backup-taken");
        const start = this.#stage?.nodes.find(({ name }) => name === facts.node)?.host?.status();
        if ((start?.startOffset ?? 0) > facts.startOffset) this.#reach("backup-of-trimmed");
        return;
      }
      case "seek": {
        if (code === "not-leader" && question.consistency === "leader") this.#reach("leader-only");
        const node = this.#stage?.nodes.find(({ name }) => name === question.node);
        const isFollower = node?.raft?.role === "follower";
        const isFresh = question.consistency === "linearizable" && outcome === "ok";
        if (isFresh && isFollower) this.#reach("fresh-follower");
      }
    }
  }

  atEnd(): void {
    if (this.#stage === null) return;
    const seen = recordsRead(this.#stage.history);
    for (const { question, outcome } of this.#stage.history.calls) {
      if (question.kind !== "append" || outcome !== "unknown") continue;
      if (question.records.some((record) => seen.has(record))) this.#reach("unknown-committed");
    }
  }

  #stands(name: NodeId, term: Term): void {
    const standing = this.#candidates.get(term) ?? new Set();
    this.#candidates.set(term, standing);
    if (standing.has(name)) return;
    standing.add(name);
    if (standing.size === 2) this.#reach("competing-candidates");
  }

  #reach(mark: Mark): void {
    this.#counts[mark]++;
  }
}

function recordsRead(history: History): ReadonlySet<RecordId> {
  const seen = new Set<RecordId>();
  for (const { facts } of history.calls)
    if (facts?.kind === "read") for (const { record } of facts.records) seen.add(record);
  return seen;
}
