// The checkers as one observer of a run: it keeps a watch on every disk, hands each turn, message
// and answer to the properties that are about it, and judges the whole history at the end. Owns the
// order in which they hear; the properties are next door.

import type { FrozenBytes } from "../../src/base/bytes.ts";
import type { Answer, ClientRequest } from "../../src/base/client.ts";
import type { DiskOperation, DiskResult } from "../../src/base/disk.ts";
import type { EntryHead, HardState } from "../../src/base/entry.ts";
import { type LogIndex, NO_INDEX, NO_TERM, type NodeId, type Term } from "../../src/base/ids.ts";
import type { Checkpoint } from "../../src/log/checkpoint.ts";
import { HARD_STATE_FILE } from "../../src/log/file-names.ts";
import type { Lane } from "../../src/ports/network.ts";
import type { RaftMessage, RaftStatus } from "../../src/raft/protocol.ts";
import type { Computer, Observer, Stage } from "../observer.ts";
import { PLAIN_VALUES, type RecordValues } from "../sim-record.ts";
import { Archive } from "./archive.ts";
import { type BackupSurroundings, checkBackups } from "./backups.ts";
import { Bounds } from "./bounds.ts";
import { checkCursors } from "./cursors.ts";
import { DiskWatch } from "./disk-watch.ts";
import { Elections } from "./elections.ts";
import { checkFences } from "./fences.ts";
import { checkHistory } from "./history.ts";
import { Losses } from "./losses.ts";
import { Meaning } from "./meaning.ts";
import { Patience } from "./patience.ts";
import { checkBySearch } from "./porcupine.ts";
import { Promises } from "./promises.ts";
import { Rest } from "./rest.ts";
import { type Durability, Safety } from "./safety.ts";
import { checkSeeks } from "./seeks.ts";
import { Silence } from "./silence.ts";
import { Tenure } from "./tenure.ts";
import type { Finding } from "./violation.ts";
import { type Vote, voteOf } from "./vote.ts";

/** A disk with its hard state as it was asked for last, and the vote in that. */
interface WatchedDisk {
  readonly watch: DiskWatch;
  hardState: HardState | null;
  vote: Vote;
}

const NO_VOTE: Vote = { term: NO_TERM, votedFor: null };

export class Watch implements Observer {
  readonly #values: RecordValues;
  readonly #disks = new Map<NodeId, WatchedDisk>();
  /** Nodes whose Raft was looked at in the turn that is being performed. */
  readonly #looked = new Set<NodeId>();
  readonly #down = new Set<NodeId>();
  #stage: Stage | null = null;
  #safety: Safety | null = null;
  #promises: Promises | null = null;
  #silence: Silence | null = null;
  #patience: Patience | null = null;
  #elections: Elections | null = null;
  #bounds: Bounds | null = null;
  #rest: Rest | null = null;
  #tenure: Tenure | null = null;
  #meaning: Meaning | null = null;
  #archive: Archive | null = null;
  /** Where each node must say that its log begins, as far as it was asked. */
  readonly #starts = new Map<NodeId, number>();
  #losses: Losses | null = null;
  #isExcused = false;

  /** `values` tells what the run's clients wrote. */
  constructor(values = PLAIN_VALUES) {
    this.#values = values;
  }

  attach(stage: Stage): void {
    const voters = stage.nodes.map(({ name }) => name);
    const report = (finding: Finding) => stage.report({ ...finding, at: stage.now });
    const termBefore = (index: LogIndex, lastTerm: Term) => safety.lineage.termAt(index, lastTerm);
    const durability: Durability = {
      holds: (node, index, term) =>
        this.#disk(node).certainTermAt(index, termBefore) === term ||
        this.#losses?.owedTermAt(node, index) === term,
      termAt: (node, index) => this.#disk(node).certainTermAt(index, termBefore),
      hardState: (node) => this.#voteOn(node),
    };
    const safety = new Safety(voters, durability, report);
    this.#losses = new Losses(safety.committed, report);
    const meaning = new Meaning(safety.committed, stage.plan.options.producersMax, report);
    const archive = new Archive(safety.committed, this.#values);
    this.#stage = stage;
    this.#safety = safety;
    this.#meaning = meaning;
    this.#archive = archive;
    this.#patience = new Patience(stage.plan.options, report);
    this.#elections = new Elections(stage.plan, report);
    this.#bounds = new Bounds(stage.plan, report);
    this.#rest = new Rest(stage, report);
    this.#tenure = new Tenure(stage.plan, report);
    this.#promises = new Promises({ safety, meaning }, durability, report);
    this.#silence = new Silence(report);
    for (const { name, disk } of stage.nodes) {
      const watch: DiskWatch = new DiskWatch(disk, {
        wrote: (head) => safety.wrote(name, head),
        checkpointed: (checkpoint, isInstall) => {
          if (isInstall) this.#installs(name, checkpoint);
          else meaning.checkpointed(name, checkpoint);
        },
        leaves: (head, frame) => archive.leaves(head, frame),
        trimmed: (base) => safety.trimmed(name, base, meaning.startOffset),
        vanished: (file, last) => safety.vanished(name, file, last),
      });
      this.#disks.set(name, { watch, hardState: null, vote: NO_VOTE });
    }
  }

  #installs(name: NodeId, checkpoint: Checkpoint): void {
    const { safety } = this.#parts();
    this.#meaning?.checkpointed(name, checkpoint);
    const standing = this.#disk(name).find(checkpoint.at.index)?.head ?? null;
    safety.installs(name, checkpoint.at, standing, this.#disk(name).base);
    // What is before it is on this disk no more.
    safety.trimmed(name, checkpoint.at, this.#meaning?.startOffset ?? checkpoint.at.endOffset);
  }

  nodeStarted(node: Computer): void {
    // After a clean stop nobody said that the node is gone.
    if (node.life > 1 && !this.#down.has(node.name)) this.#wentDown(node);
    this.#down.delete(node.name);
  }

  nodeCrashed(node: Computer): void {
    this.#wentDown(node);
    this.#parts().safety.auditCommitted();
  }

  #wentDown(node: Computer): void {
    const { safety, promises } = this.#parts();
    this.#looked.delete(node.name);
    this.#down.add(node.name);
    this.#patience?.wentDown(node.name);
    this.#elections?.wentDown(node.name);
    this.#tenure?.wentDown(node.name);
    // Its commitIndex went with its memory: a power loss may give the disk back a tail that was
    // truncated since, with other entries at indexes that the node already knew to be committed.
    safety.crashed(node.name, null);
    safety.crashed(node.name, this.#disk(node.name).reload());
    promises.crashed(node.name);
    this.#starts.delete(node.name);
  }

  diskReplaced(node: Computer): void {
    this.#parts().safety.replaced(node.name);
    this.#losses?.replaced(node.name);
  }

  afterTurn(node: Computer): void {
    this.#look(node);
    this.#silence?.afterTurn(node);
    this.#patience?.afterTurn(node, this.#voteOn(node.name));
    this.#elections?.afterTurn(node, this.#parts().stage.now);
    this.#bounds?.afterTurn(node);
    this.#rest?.afterTurn(node);
    this.#tenure?.afterTurn(node, this.#parts().stage.now);
    this.#looked.delete(node.name);
  }

  nodeResumed(node: Computer): void {
    this.#elections?.resumed(node.name, this.#parts().stage.now);
    this.#tenure?.resumed(node.name, this.#parts().stage.now);
  }

  operationSubmitted(node: Computer): void {
    this.#look(node);
  }

  operationCompleted(node: Computer, operation: DiskOperation, result: DiskResult): void {
    const { safety } = this.#parts();
    this.#silence?.completed(node, operation, result);
    // Of a write that failed some part may be there: that is read when the node is down.
    const disk = this.#disk(node.name);
    if (result.kind === "failed") {
      disk.failed();
      return;
    }
    const isLess = disk.completed(operation);
    if ("file" in operation && operation.file === HARD_STATE_FILE) this.#losses?.noted(node, disk);
    if (isLess) safety.auditCommitted();
    const leftover = disk.takeLeftover();
    if (leftover !== null) safety.truncated(node.name, leftover);
    if (operation.kind === "sync" && operation.file === HARD_STATE_FILE) {
      safety.raiseFloor(node.name, this.#voteOn(node.name), "stored");
    }
  }

  frameSent(
    from: Computer,
    to: NodeId,
    _lane: Lane,
    _frame: FrozenBytes,
    message: RaftMessage | null,
  ): void {
    this.#look(from);
    this.#rest?.sent(from);
    if (message === null) return;
    this.#silence?.sent(from, to, message);
    this.#patience?.sent(from, message, this.#parts().stage.now);
    this.#elections?.sent(from, to, message, this.#parts().stage.now);
    this.#losses?.sent(from.name, to, message);
    this.#parts().promises.sent(from.name, to, message);
  }

  frameTaken(node: Computer, from: NodeId, message: RaftMessage | null): void {
    this.#patience?.taken(node, from, message, this.#parts().stage.now);
    this.#elections?.taken(node, from, message, this.#parts().stage.now);
  }

  offered(node: Computer, request: ClientRequest): void {
    this.#parts().promises.asked(node.name, request);
  }

  answered(node: Computer, answer: Answer): void {
    this.#look(node);
    this.#silence?.answered(node, answer);
    this.#parts().promises.answered(node.name, answer);
  }

  /** The last entry that a power loss would leave on the node's disk for certain. */
  certainIndexOf(node: NodeId): LogIndex {
    return this.#disk(node).certainIndex;
  }

  excused(): void {
    this.#isExcused = true;
  }

  recovered(): void {
    this.#rest?.recovered();
  }

  atEnd(): void {
    const { stage, safety } = this.#parts();
    this.#rest?.atEnd();
    safety.auditCommitted();
    if (!this.#isExcused) this.#checkLogs();
    this.#checkStates();
    const log = this.#archive?.clientLog(this.#wholeDisks()) ?? { records: [], batchEnds: [] };
    const { calls } = stage.history;
    const { heads } = safety.committed;
    const finding =
      checkHistory(calls, log) ??
      checkSeeks(calls, heads, this.#meaning?.startOffset ?? 0) ??
      checkBackups(calls, this.#backupSurroundings(heads)) ??
      checkCursors(calls, heads) ??
      checkFences(calls, heads, log) ??
      checkBySearch(calls, log);
    if (finding !== null) stage.report({ ...finding, at: stage.now });
  }

  #backupSurroundings(committed: readonly EntryHead[]): BackupSurroundings {
    const { producersMax } = this.#parts().stage.plan.options;
    const applied = (...told: Parameters<Meaning["applied"]>) => this.#meaning?.applied(...told);
    return { committed, producersMax, applied };
  }

  /** Looks at a node's Raft once a turn, before anything of that turn's output is judged. */
  #look(node: Computer): void {
    if (this.#looked.has(node.name)) return;
    this.#looked.add(node.name);
    const raft = node.raft ?? this.#lastOfLeader(node);
    if (raft === null) return;
    this.#parts().safety.observe(node.name, node.life, raft);
    this.#checkStart(node, raft.commitIndex);
  }

  /** A node must say that its log begins where all that it has committed says so. */
  #checkStart({ name, host }: Computer, commitIndex: LogIndex): void {
    const { stage, safety } = this.#parts();
    if (commitIndex > safety.committed.lastIndex || host === null) return;
    const expected = this.#meaning?.startOffsetAt(commitIndex) ?? 0;
    if ((this.#starts.get(name) ?? 0) === expected) return;
    const { startOffset, commitIndex: applied } = host.status();
    if (applied !== commitIndex) return;
    this.#starts.set(name, expected);
    if (startOffset === expected) return;
    const first = `all up to index ${commitIndex} says that the log begins at offset ${expected}`;
    const facts = [first, `${name}, which has applied that, says at ${startOffset}`];
    stage.report({ property: "state-agrees", facts, node: name, at: stage.now });
  }

  /**
   * A leader that commits and then stops, all in one turn, has no Raft left to look at when what it
   * says in that turn is judged. Only the leader itself can know of a commit that is news to all.
   */
  #lastOfLeader(node: Computer): RaftStatus | null {
    const { safety } = this.#parts();
    const last = safety.lastSeen(node.name);
    const commitIndex = node.host?.status().commitIndex ?? NO_INDEX;
    if (last?.role !== "leader" || commitIndex <= safety.committed.lastIndex) return null;
    return { ...last, commitIndex };
  }

  /**
   * Every member that is up has every committed entry on its disk, or a base that stands for it.
   */
  #checkLogs(): void {
    const { stage, safety } = this.#parts();
    const { committed, memberships } = safety;
    const members = memberships.committed?.members ?? null;
    for (const { name, host, raft, isOutside } of stage.nodes) {
      const isMember = members === null || members.some(({ id }) => id === raft?.self);
      if (host === null || isOutside || !isMember) continue;
      const disk = this.#disk(name);
      for (let index = committed.lastIndex; index >= 1; index--) {
        const term = disk.certainTermAt(index, (at, last) => safety.lineage.termAt(at, last));
        if (term === committed.at(index)?.term) continue;
        const has = `its disk has for certain ${term ?? "no entry"} there`;
        const facts = [committed.describe(index), `${name} is up and healed, but ${has}`] as const;
        stage.report({ property: "divergence", facts, node: name, at: stage.now });
        return;
      }
    }
  }

  /** What each node makes of the log is what its entries say. */
  #checkStates(): void {
    for (const { name, host } of this.#parts().stage.nodes) {
      const state = host?.committedState() ?? null;
      if (state !== null) this.#meaning?.applied(name, state.index, state.bytes);
    }
  }

  /** The disks that have all that is committed, each from where it begins. */
  #wholeDisks(): DiskWatch[] {
    const { committed } = this.#parts().safety;
    const last = committed.at(committed.lastIndex);
    if (last === null) return [];
    const watches = [...this.#disks.values()].map(({ watch }) => watch);
    return watches.filter((watch) => watch.certainTermAt(last.index) === last.term);
  }

  #disk(node: NodeId): DiskWatch {
    return this.#watched(node).watch;
  }

  /** The vote that a power loss now would leave; the same object as long as it is the same. */
  #voteOn(node: NodeId): Vote {
    const watched = this.#watched(node);
    const { hardState } = watched.watch;
    if (hardState !== watched.hardState) {
      watched.hardState = hardState;
      watched.vote = voteOf(hardState);
    }
    return watched.vote;
  }

  #watched(node: NodeId): WatchedDisk {
    const watched = this.#disks.get(node);
    if (watched === undefined) throw new Error(`${node} is not in the plan`);
    return watched;
  }

  #parts(): { stage: Stage; safety: Safety; promises: Promises } {
    const [stage, safety, promises] = [this.#stage, this.#safety, this.#promises];
    if (stage === null || safety === null || promises === null)
      throw new Error("attach comes first");
    return { stage, safety, promises };
  }
}
