// What must hold of a backup that was read to its end: it is the committed log, entry for entry, up
// to a place before which all lies that was acknowledged before it was asked for; its base means
// what the entries before it mean; and none is given up for a reason that is no reason. Judged
// against the committed entries; what a restored state means is meaning.ts.

import type { EntryHead, LogPoint } from "../../src/base/entry.ts";
import { LOG_START, pointAfter } from "../../src/base/entry.ts";
import type { FaultCode } from "../../src/base/faults.ts";
import type { LogIndex, NodeId } from "../../src/base/ids.ts";
import { State } from "../../src/state/state.ts";
import type { BackupFacts, Call } from "../history.ts";
import { ackedOffset, describeCall } from "./client-log.ts";
import { printOf } from "./lineage.ts";
import type { Finding } from "./violation.ts";

/** Nobody can help it, or somebody else has one. */
const REASONS: ReadonlySet<FaultCode> = new Set([
  "backup-ended",
  "cancelled",
  "damaged",
  "deadline-exceeded",
  "disk-failed",
  "disk-full",
  "not-leader",
  "not-serving",
  "overloaded",
]);

export interface BackupSurroundings {
  /** All entries in order. */
  readonly committed: readonly EntryHead[];
  readonly producersMax: number;
  /** Compares what a node has applied up to `index` with what the committed log means there. */
  applied(node: NodeId, index: LogIndex, state: ReturnType<State["encodeCommitted"]>): void;
}

/** The first broken property, or null. */
export function checkBackups(calls: readonly Call[], around: BackupSurroundings): Finding | null {
  for (const call of calls) {
    if (call.question.kind !== "backup") continue;
    const { facts } = call;
    if (facts?.kind === "fault" && !REASONS.has(facts.code)) {
      return found(call, "that is no reason to give a backup up: what it needs stays on the disk");
    }
    if (call.outcome !== "ok" || facts?.kind !== "backup") continue;
    const what = brokenCopy(facts, around.committed) ?? missing(call, facts, calls);
    if (what !== null) return found(call, what);
    restore(facts, around);
  }
  return null;
}

/** What is not as the committed log has it, or null. */
function brokenCopy(facts: BackupFacts, committed: readonly EntryHead[]): string | null {
  const { base, heads, cut, damage } = facts;
  if (damage !== null) return `its files cannot be read back: ${damage}`;
  const at = base?.at ?? LOG_START;
  const before = at.index === 0 ? LOG_START : pointOf(committed, at.index);
  if (!isSame(at, before)) return `its base is at ${describe(at)}, the log has ${describe(before)}`;
  const last = at.index + heads.length;
  if (last !== cut.index) return `it ends at index ${last}, and was to be cut at ${cut.index}`;
  for (const [nth, head] of heads.entries()) {
    const own = committed[at.index + nth];
    if (own === undefined) return `nothing is committed at index ${head.index}, which it has`;
    if (printOf(own) !== printOf(head) || own.bodyCrc !== head.bodyCrc) {
      return `it has ${printOf(head)}, the committed log ${printOf(own)}`;
    }
  }
  return null;
}

/** An append that was acknowledged before it was asked for, and lies behind its end. */
function missing(call: Call, { endOffset }: BackupFacts, calls: readonly Call[]): string | null {
  for (const other of calls) {
    const offset = ackedOffset(other);
    if (offset === null || other.question.kind !== "append" || other.end >= call.start) continue;
    if (offset + other.question.records.length > endOffset) {
      return `it ends at offset ${endOffset}; before it began: ${describeCall(other)}`;
    }
  }
  return null;
}

/** A state of it must be what the entries say. */
function restore({ node, base, heads, cut }: BackupFacts, around: BackupSurroundings): void {
  const { producersMax } = around;
  const state =
    base === null ? State.empty(producersMax) : State.restore(producersMax, base.at, base.state);
  if (state === null) return;
  for (const head of heads) state.append(head);
  state.commit(cut.index, () => undefined);
  around.applied(node, cut.index, state.encodeCommitted());
}

function pointOf(committed: readonly EntryHead[], index: LogIndex): LogPoint | null {
  const head = committed[index - 1];
  return head === undefined ? null : pointAfter(head);
}

function isSame(a: LogPoint, b: LogPoint | null): boolean {
  return b !== null && describe(a) === describe(b);
}

function describe(point: LogPoint | null): string {
  if (point === null) return "nothing there";
  return `${point.index}@${point.term}, offset ${point.endOffset}, time ${point.timestamp}`;
}

function found(call: Call, second: string): Finding {
  const node = call.question.kind === "backup" ? call.question.node : null;
  return { property: "backup-whole", facts: [describeCall(call), second], node };
}
