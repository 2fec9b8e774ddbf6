// What must hold for those who may write: no append is in the log that names another token than the
// fence before it, no fence whose guard expected another, and no producer's epoch after a later
// one. And what was over before another call began stands before it, whatever kind of entry either
// made. Judged against the committed entries.

import type { EntryHead } from "../../src/base/entry.ts";
import type { Call, Question } from "../history.ts";
import { type ClientLog, describeCall, offsetsByRecord } from "./client-log.ts";
import { printOf } from "./lineage.ts";
import { firstContradiction, type Placed } from "./linearizability.ts";
import type { Finding, Property } from "./violation.ts";

type FenceCall = Call & { readonly question: Extract<Question, { kind: "fence" }> };

/** The first broken property of fences and epochs in a finished run, or null. */
export function checkFences(
  calls: readonly Call[],
  log: readonly EntryHead[],
  records: ClientLog,
): Finding | null {
  const entries = entriesOf(calls, log, records);
  return (
    checkAcknowledged(calls, log) ??
    checkTokens(calls, log, entries) ??
    checkEpochs(log) ??
    checkRealTime(entries)
  );
}

/** The index of the entry that each call made, for the calls that made one. */
function entriesOf(
  calls: readonly Call[],
  log: readonly EntryHead[],
  records: ClientLog,
): ReadonlyMap<Call, number> {
  const offsets = offsetsByRecord(records);
  const indexes = new Map<number, number>();
  const controls = new Map<string, number>();
  for (const { index, offset, count, control } of log) {
    if (count > 0) indexes.set(offset, index);
    const name = control === undefined ? null : nameOfControl(control);
    // A repeated one may be there twice: the first is the one that nothing came before.
    if (name !== null && !controls.has(name)) controls.set(name, index);
  }
  const entries = new Map<Call, number>();
  for (const call of calls) {
    const { question, outcome, facts } = call;
    const isAcked = outcome === "ok" && facts?.kind === "appended";
    if (question.kind === "append") {
      const offset = offsets.get(question.records[0] ?? -1);
      const index = offset === undefined ? undefined : indexes.get(offset);
      if (index !== undefined) entries.set(call, index);
      continue;
    }
    const name =
      question.kind === "fence"
        ? `fence ${question.token}`
        : question.kind === "commit-cursor"
          ? `cursor ${question.ttlMs}`
          : null;
    const index = isAcked ? facts.index : name === null ? undefined : controls.get(name);
    if (index !== undefined) entries.set(call, index);
  }
  return entries;
}

function nameOfControl(control: NonNullable<EntryHead["control"]>): string | null {
  if (control.kind === "fence") return `fence ${control.token}`;
  return control.kind === "cursor" ? `cursor ${control.ttlMs}` : null;
}

function checkAcknowledged(calls: readonly Call[], log: readonly EntryHead[]): Finding | null {
  for (const call of calls) {
    const { question, outcome, facts } = call;
    if (question.kind !== "fence" || outcome !== "ok" || facts?.kind !== "appended") continue;
    const head = log[facts.index - 1];
    const { control } = head ?? {};
    if (control?.kind === "fence" && control.token === question.token) continue;
    const has = head === undefined ? `nothing: it has ${log.length} entries` : printOf(head);
    return found("fence-holds", describeCall(call), `there the log has ${has}`);
  }
  return null;
}

function checkTokens(
  calls: readonly Call[],
  log: readonly EntryHead[],
  entries: ReadonlyMap<Call, number>,
): Finding | null {
  const fences = log.filter(({ control }) => control?.kind === "fence");
  for (const call of calls) {
    const { question, outcome } = call;
    const named =
      question.kind === "append"
        ? question.fencingToken
        : question.kind === "fence"
          ? question.expected
          : undefined;
    const index = entries.get(call);
    if (named === undefined || index === undefined) continue;
    if (outcome === "fail") {
      const stands = `entry ${index} of the log is that ${question.kind}`;
      return found("fence-holds", describeCall(call), stands);
    }
    const fence = fences.findLast((head) => head.index < index);
    const token = fence?.control?.kind === "fence" ? fence.control.token : "";
    if (token === named) continue;
    const by = fence === undefined ? "by nobody" : `by ${printOf(fence)}`;
    const second = `it is entry ${index}, and the log was fenced with "${token}" ${by}`;
    return found("fence-holds", describeCall(call), second);
  }
  return checkFencesAsked(calls, fences);
}

/** Nobody but who asked for it fences the log, and not when that was refused. */
function checkFencesAsked(calls: readonly Call[], fences: readonly EntryHead[]): Finding | null {
  const isFence = (call: Call): call is FenceCall => call.question.kind === "fence";
  const asked = new Map(calls.filter(isFence).map((call) => [call.question.token, call]));
  for (const head of fences) {
    const token = head.control?.kind === "fence" ? head.control.token : "";
    const call = asked.get(token);
    const stands = `the log has it: ${printOf(head)}`;
    if (call === undefined)
      return found("fence-holds", `nobody asked for a fence with "${token}"`, stands);
    if (call.outcome === "fail") return found("fence-holds", describeCall(call), stands);
  }
  return null;
}

function checkEpochs(log: readonly EntryHead[]): Finding | null {
  const latest = new Map<number, EntryHead>();
  for (const head of log) {
    if (head.producerId === 0) continue;
    const before = latest.get(head.producerId);
    if (before !== undefined && before.epoch > head.epoch) {
      const first = `producer ${head.producerId} has epoch ${before.epoch} in ${printOf(before)}`;
      const second = `after it stands epoch ${head.epoch}, in ${printOf(head)}`;
      return found("epoch-monotonic", first, second);
    }
    latest.set(head.producerId, head);
  }
  return null;
}

function checkRealTime(entries: ReadonlyMap<Call, number>): Finding | null {
  const placed: Placed[] = [];
  for (const [call, key] of entries) {
    const end = call.outcome === "ok" ? call.end : Number.POSITIVE_INFINITY;
    placed.push({ key, start: call.start, end, call });
  }
  return firstContradiction(placed);
}

function found(property: Property, first: string, second: string): Finding {
  return { property, facts: [first, second], node: null };
}
