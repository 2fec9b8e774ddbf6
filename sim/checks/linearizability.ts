// The exact order check: appends and reads of the end are linearizable, or two calls are named that
// contradict one another. O(n log n) and no search, because the final log forces the order. Owns
// real time against log order; what is in the log, and how often, is history.ts.
//
// Why no search is needed: an append that took effect is at its offset, and a read of the end lies
// between the appends before the end it saw and those after. So every call has a key, and a history
// is linearizable exactly when no call was over before a call with a smaller key began:
//  - such a pair stands one way round in the log and the other way round in time: no order exists;
//  - without such a pair, take the calls by key, each at the latest start so far: that is an order.

import type { Call, Facts } from "../history.ts";
import { ackedOffset, type ClientLog, describeCall, offsetsByRecord } from "./client-log.ts";
import type { Finding } from "./violation.ts";

/** One call with its forced place in the order. */
export interface Placed {
  /** 2 * offset for an append, 2 * end - 1 for a read of the end; or the index of the entry. */
  readonly key: number;
  readonly start: number;
  /** Infinity without an acknowledgement: it may take effect at any later time. */
  readonly end: number;
  readonly call: Call;
}

/** The first contradiction between real time and the order of the log, or null. */
export function checkLinearizable(calls: readonly Call[], log: ClientLog): Finding | null {
  const offsets = offsetsByRecord(log);
  const ends = new Set<number>([0, ...log.batchEnds]);
  const placed: Placed[] = [];
  for (const call of calls) {
    const { question, facts } = call;
    if (question.kind === "append") {
      const first = question.records[0];
      const offset = first === undefined ? undefined : offsets.get(first);
      const wrong = checkPlace(call, offset, question.expectedEndOffset);
      if (wrong !== null) return wrong;
      if (offset === undefined || call.outcome === "fail") continue;
      const end = call.outcome === "ok" ? call.end : Number.POSITIVE_INFINITY;
      placed.push({ key: 2 * offset, start: call.start, end, call });
    } else if (call.outcome === "ok" && isOfTheEnd(call, facts)) {
      if (!ends.has(facts.endOffset)) {
        const lasts = `the final log has ${log.records.length} records and no batch that ends there`;
        return { property: "linearizability", facts: [describeCall(call), lasts], node: null };
      }
      placed.push({ key: 2 * facts.endOffset - 1, start: call.start, end: call.end, call });
    }
  }
  return firstContradiction(placed);
}

/** A linearizable read of records is one of the end, too, and so is a backup. */
function isOfTheEnd(
  { question }: Call,
  facts: Facts | null,
): facts is Extract<Facts, { kind: "tail" | "read" | "backup" }> {
  if (facts?.kind === "tail" || facts?.kind === "backup") return true;
  const isAsked = question.kind === "seek" && question.consistency === "linearizable";
  return isAsked && facts?.kind === "read";
}

/**
 * An acknowledgement says where the batch is; a guard says where the log ended when it took effect.
 */
function checkPlace(
  call: Call,
  offset: number | undefined,
  expectedEndOffset: number | null,
): Finding | null {
  const acked = ackedOffset(call);
  if (acked !== null && acked !== offset) {
    const where = offset === undefined ? "does not have it" : `has it at offset ${offset}`;
    const facts = [describeCall(call), `the final log ${where}`] as const;
    return { property: "linearizability", facts, node: null };
  }
  const isGuarded = expectedEndOffset !== null && call.outcome !== "fail";
  if (isGuarded && offset !== undefined && expectedEndOffset !== offset) {
    const facts = [describeCall(call), `the log ended at ${offset} when it took effect`] as const;
    return { property: "linearizability", facts, node: null };
  }
  return null;
}

/** A pair with key(x) < key(y) and end(y) < start(x): by ascending key, the latest start so far. */
export function firstContradiction(placed: readonly Placed[]): Finding | null {
  const ordered = placed.slice().sort((a, b) => a.key - b.key);
  let latest: Placed | null = null;
  for (let at = 0; at < ordered.length; ) {
    // Calls of one key (reads that saw the same end) do not order one another: look, then take all.
    let next = at;
    for (; next < ordered.length && ordered[next]?.key === ordered[at]?.key; next++) {
      const higher = ordered[next];
      if (higher !== undefined && latest !== null && higher.end < latest.start) {
        return {
          property: "linearizability",
          facts: [
            `first in time: ${describeCall(higher.call)}`,
            `begun afterwards, but before it in the log: ${describeCall(latest.call)}`,
          ],
          node: null,
        };
      }
    }
    for (; at < next; at++) {
      const taken = ordered[at];
      if (taken !== undefined && (latest === null || taken.start > latest.start)) latest = taken;
    }
  }
  return null;
}
