// What must hold for reads from a place that the node finds: by time the first batch at or after
// it, of the last n no later than where n are left, linearizable ones with all that was
// acknowledged before. Judged against the committed entries; what a read brought is history.ts.

import type { EntryHead } from "../../src/base/entry.ts";
import type { Call, Facts, Question } from "../history.ts";
import { describeCall } from "./client-log.ts";
import type { Finding, Property } from "./violation.ts";

type SeekCall = Call & {
  readonly question: Extract<Question, { kind: "seek" }>;
  readonly facts: Extract<Facts, { kind: "read" }>;
};

/**
 * The first broken property, or null. `committed` are all entries in order; readers may have lost
 * those before `startOffset` while the run went on.
 */
export function checkSeeks(
  calls: readonly Call[],
  committed: readonly EntryHead[],
  startOffset: number,
): Finding | null {
  const batches = committed.filter(({ count }) => count > 0);
  const seeks = calls.filter((call): call is SeekCall => {
    return call.question.kind === "seek" && call.outcome === "ok" && call.facts?.kind === "read";
  });
  for (const call of seeks) {
    const { from } = call.question;
    const found =
      (from.kind === "timestamp"
        ? checkTime(call, from.timestampMs, batches, startOffset)
        : null) ?? (from.kind === "last" ? checkLast(call, from.count, startOffset) : null);
    if (found !== null) return found;
  }
  return checkFresh(seeks, calls);
}

function endOf({ offset, count }: EntryHead): number {
  return offset + count;
}

function checkTime(
  call: SeekCall,
  time: number,
  batches: readonly EntryHead[],
  startOffset: number,
): Finding | null {
  const { records, endOffset } = call.facts;
  const first = records[0];
  const began = first === undefined ? endOffset : first.offset;
  const missed = batches.find((batch) => {
    return batch.timestamp >= time && endOf(batch) <= began && batch.offset >= startOffset;
  });
  if (missed !== undefined) {
    const has = `the log has a batch of time ${missed.timestamp} at offset ${missed.offset}`;
    return found("read-by-time", call, has);
  }
  if (first === undefined) return null;
  const batch = batches.find(({ offset }) => offset === first.offset);
  if (batch !== undefined && batch.timestamp >= time) return null;
  const at = batch === undefined ? "no batch begins" : `the batch has time ${batch.timestamp}`;
  return found("read-by-time", call, `it began at offset ${first.offset}, where ${at}`);
}

/** The node's end was no later when it looked than when it answered; nor was its start. */
function checkLast(call: SeekCall, count: number, startOffset: number): Finding | null {
  const { records, endOffset } = call.facts;
  const first = records[0]?.offset ?? endOffset;
  const bound = Math.max(startOffset, endOffset - count);
  if (first <= bound || (records.length === 0 && endOffset === 0)) return null;
  return found("read-last", call, `it began at offset ${first}, and had to by ${bound}`);
}

/** Every append that was acknowledged before a linearizable read began is before the end it saw. */
function checkFresh(seeks: readonly SeekCall[], calls: readonly Call[]): Finding | null {
  const acked = calls
    .flatMap((call) => {
      const { question, outcome, facts, end } = call;
      const isAcked = question.kind === "append" && outcome === "ok" && facts?.kind === "appended";
      return isAcked ? [{ call, end, upTo: facts.offset + question.records.length }] : [];
    })
    .sort((a, b) => a.end - b.end);
  const fresh = seeks.filter(({ question }) => question.consistency === "linearizable");
  let highest = acked[0];
  let at = 0;
  for (const call of fresh.sort((a, b) => a.start - b.start)) {
    for (let next = acked[at]; next !== undefined && next.end < call.start; next = acked[++at])
      if (highest === undefined || next.upTo > highest.upTo || at === 0) highest = next;
    if (at === 0 || highest === undefined || highest.upTo <= call.facts.endOffset) continue;
    return found("stale-read", call, `before it began: ${describeCall(highest.call)}`);
  }
  return null;
}

function found(property: Property, call: SeekCall, second: string): Finding {
  return { property, facts: [describeCall(call), second], node: call.facts.node };
}
