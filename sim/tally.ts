// What happened in a run, counted: for its last line, for saying "unknown" when nothing did, and
// for the gates of a batch. An observer like any other; it judges nothing.

import type { DiskOperation, DiskResult } from "../src/base/disk.ts";
import type { NodeId, Term } from "../src/base/ids.ts";
import type { RaftStatus } from "../src/raft/protocol.ts";
import type { Call, History, RecordId } from "./history.ts";
import type { Computer, CrashKind, CrashLoss, Observer, Stage } from "./observer.ts";
import { AUDITOR_BASE } from "./workload.ts";

/** Plain data: a batch collects these from child processes. */
export interface Counts {
  /** Terms in which somebody led. */
  readonly leaders: number;
  readonly crashes: number;
  readonly powerLosses: number;
  /** Power losses that took bytes which no sync had covered. */
  readonly lossyCrashes: number;
  readonly tornWrites: number;
  readonly lostNames: number;
  readonly stops: number;
  readonly pauses: number;
  /** Crashes that waited for a moment, and met it. */
  readonly moments: number;
  /** Disk operations that a mishap refused. */
  readonly diskErrors: number;
  readonly diskHangs: number;
  readonly rottenBits: number;
  /** Operations that a disk acknowledged and did not do. */
  readonly writesLost: number;
  /** Disks that were emptied, or set back. */
  readonly disksReplaced: number;
  /** Nodes that were started on a disk that had forgotten something, and did not notice. */
  readonly disksForgot: number;
  /** Nodes that are excused from all that must be well in the end: they found damage. */
  readonly disksLost: number;
  /** Nodes that failed for ever when the others were healed. */
  readonly outside: number;
  /** Nodes that would have, if disks had not been lost before. */
  readonly spared: number;
  /** 1 when nothing had to be well in the end: what was left was no quorum. */
  readonly excused: number;
  /** Both ways. */
  readonly partitions: number;
  readonly oneWayCuts: number;
  /** Appends by outcome. */
  readonly acked: number;
  readonly failed: number;
  readonly unknown: number;
  /** Acknowledged appends that had been in the log before that request. */
  readonly duplicates: number;
  readonly retried: number;
  readonly reads: number;
  readonly tails: number;
  readonly truncations: number;
  /** Acknowledged records that some node does not have in the end. */
  readonly lost: number;
}

export class Tally implements Observer {
  readonly #termsLed = new Set<Term>();
  readonly #lastIndexes = new Map<Computer, number>();
  readonly #counts: { -readonly [Key in keyof Counts]: Counts[Key] } = {
    leaders: 0,
    crashes: 0,
    powerLosses: 0,
    lossyCrashes: 0,
    tornWrites: 0,
    lostNames: 0,
    stops: 0,
    pauses: 0,
    moments: 0,
    diskErrors: 0,
    diskHangs: 0,
    rottenBits: 0,
    writesLost: 0,
    disksReplaced: 0,
    disksForgot: 0,
    disksLost: 0,
    outside: 0,
    spared: 0,
    excused: 0,
    partitions: 0,
    oneWayCuts: 0,
    acked: 0,
    failed: 0,
    unknown: 0,
    duplicates: 0,
    retried: 0,
    reads: 0,
    tails: 0,
    truncations: 0,
    lost: 0,
  };
  #stage: Stage | null = null;
  readonly #lostAuditors = new Set<number>();

  get counts(): Counts {
    return { ...this.#counts, leaders: this.#termsLed.size };
  }

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  nodeCrashed(node: Computer, kind: CrashKind, loss: CrashLoss): void {
    this.#lastIndexes.delete(node);
    this.#counts.crashes++;
    this.#counts.tornWrites += loss.tornWrites;
    this.#counts.lostNames += loss.lostNames;
    if (kind !== "power") return;
    this.#counts.powerLosses++;
    if (loss.lostBytes > 0) this.#counts.lossyCrashes++;
  }

  nodeStopped(): void {
    this.#counts.stops++;
  }

  diskHung(): void {
    this.#counts.diskHangs++;
  }

  bitsRotted(_node: Computer, bits: number): void {
    this.#counts.rottenBits += bits;
  }

  writeLost(): void {
    this.#counts.writesLost++;
  }

  diskReplaced(): void {
    this.#counts.disksReplaced++;
  }

  diskForgot(): void {
    this.#counts.disksForgot++;
  }

  diskLost({ place }: Computer): void {
    this.#counts.disksLost++;
    this.#lostAuditors.add(AUDITOR_BASE + place);
  }

  nodeLeftOutside(): void {
    this.#counts.outside++;
  }

  nodeSpared(): void {
    this.#counts.spared++;
  }

  excused(): void {
    this.#counts.excused = 1;
  }

  operationCompleted(_node: Computer, _operation: DiskOperation, result: DiskResult): void {
    if (result.kind === "failed" && result.code !== "EOTHER") this.#counts.diskErrors++;
  }

  nodePaused(): void {
    this.#counts.pauses++;
  }

  momentStruck(): void {
    this.#counts.moments++;
  }

  raftChanged(node: Computer, raft: RaftStatus): void {
    if (raft.role === "leader") this.#termsLed.add(raft.term);
    if (raft.lastIndex < (this.#lastIndexes.get(node) ?? 0)) this.#counts.truncations++;
    this.#lastIndexes.set(node, raft.lastIndex);
  }

  pathsCut(_from: readonly NodeId[], _to: readonly NodeId[], isBothWays: boolean): void {
    if (isBothWays) this.#counts.partitions++;
    else this.#counts.oneWayCuts++;
  }

  returned(call: Call): void {
    const { question, outcome, facts } = call;
    if (call.client >= AUDITOR_BASE && question.kind === "append") return;
    if (question.kind === "read" && outcome === "ok") this.#counts.reads++;
    if (question.kind === "check-tail" && outcome === "ok") this.#counts.tails++;
    if (question.kind !== "append") return;
    if (call.attempts > 1) this.#counts.retried++;
    if (outcome === "fail") this.#counts.failed++;
    if (outcome === "unknown") this.#counts.unknown++;
    if (outcome !== "ok") return;
    this.#counts.acked++;
    if (facts?.kind === "appended" && facts.duplicate) this.#counts.duplicates++;
  }

  atEnd(): void {
    if (this.#stage === null) return;
    const { history, nodes } = this.#stage;
    // Before it, records may be trimmed: where each node begins is the checkers' to compare.
    const start = Math.max(...nodes.map(({ host }) => host?.status().startOffset ?? 0));
    this.#counts.lost = countLost(history, start, this.#lostAuditors);
  }
}

/**
 * Acknowledged records from `start` on that an auditor did not find on its node; those count for
 * nothing whose node found damage, perhaps while it was read.
 */
function countLost(history: History, start: number, excused: ReadonlySet<number>): number {
  const found = new Map<RecordId, number>();
  const auditors = new Set<number>();
  for (const { client, facts } of history.calls) {
    if (client < AUDITOR_BASE || excused.has(client) || facts?.kind !== "read") continue;
    auditors.add(client);
    for (const { record } of facts.records) found.set(record, (found.get(record) ?? 0) + 1);
  }
  let lost = 0;
  for (const { question, outcome, facts } of history.calls) {
    if (question.kind !== "append" || outcome !== "ok" || facts?.kind !== "appended") continue;
    for (const [nth, record] of question.records.entries())
      if (facts.offset + nth >= start && (found.get(record) ?? 0) < auditors.size) lost++;
  }
  return lost;
}
