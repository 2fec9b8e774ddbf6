// The exact order check: appends and tail reads of a log with explicit offsets are linearizable, or
// two of them are named that contradict one another. O(n log n), no search, because the final log
// forces the order. Owns real time against log order; what is in the log is history.ts.
//
// Why no search is needed: an append that took effect is at its offset, a tail read lies between the
// appends before the end it saw and those after. So every operation has a key, and a history is
// linearizable exactly when no operation ended before one with a smaller key began:
// take x, y with key(x) < key(y) and end(y) < start(x): y must come after x by the log and before x by
// the clock. If there is no such pair, sorting by key, each at the latest start so far, is an order.

import {
  type AppendGroup,
  type ClientHistory,
  describeAttempt,
  describeTail,
  type FinalLog,
  groupAppends,
} from "./operations.ts";
import type { Violation } from "./violation.ts";

/** One operation with its forced place in the order. */
interface Placed {
  /** 2 * offset for an append, 2 * end - 1 for a tail read. */
  readonly key: number;
  readonly start: number;
  /** Infinity while the outcome is unknown: it may take effect at any later time. */
  readonly end: number;
  readonly said: () => string;
}

/**
 * The first contradiction between real time and the order of the log, or null. The first place of
 * every batch in `log` counts; that there is only one is for checkHistory to say.
 */
export function checkLinearizable(history: ClientHistory, log: FinalLog): Violation | null {
  const offsets = new Map<string, number>();
  const boundaries = new Set<number>([0]);
  for (const batch of log.batches) {
    if (!offsets.has(batch.content)) offsets.set(batch.content, batch.offset);
    boundaries.add(batch.offset + batch.count);
  }
  const placed: Placed[] = [];
  for (const group of groupAppends(history.appends)) {
    const offset = offsets.get(group.content);
    const wrong = checkAcked(group, offset);
    if (wrong !== null) return wrong;
    if (offset !== undefined) placed.push(placeAppend(group, offset));
  }
  for (const tail of history.tails) {
    if (!boundaries.has(tail.endOffset)) {
      return {
        property: "linearizability",
        sentence: "A tail read reported an end that the log never had.",
        facts: [describeTail(tail), `the final log ends at ${log.endOffset}, and no batch in it there`],
      };
    }
    const said = () => describeTail(tail);
    placed.push({ key: 2 * tail.endOffset - 1, start: tail.start, end: tail.end, said });
  }
  return firstContradiction(placed);
}

/** Acknowledged attempts say where their batch is, and a guarded one says where the log ended. */
function checkAcked(group: AppendGroup, offset: number | undefined): Violation | null {
  for (const attempt of group.attempts) {
    const { outcome } = attempt;
    if (outcome.kind !== "acked") continue;
    if (outcome.offset !== offset) {
      return {
        property: "linearizability",
        sentence: "An append was acknowledged at an offset where the log does not have it.",
        facts: [
          describeAttempt(attempt),
          offset === undefined
            ? "the final log does not have it at all"
            : `the final log has it at offset ${offset}`,
        ],
      };
    }
    const expected = attempt.expectedEndOffset;
    if (expected !== null && expected !== offset) {
      return {
        property: "linearizability",
        sentence: "A guarded append took effect although the log did not end where it expected.",
        facts: [`it expected the end at offset ${expected}`, describeAttempt(attempt)],
      };
    }
  }
  return null;
}

/**
 * The interval in which a batch must have taken effect: from the first attempt that was not refused
 * to the first acknowledgement. An attempt without an answer stays open for ever, so the union of the
 * attempts' intervals has no holes before that acknowledgement.
 */
function placeAppend(group: AppendGroup, offset: number): Placed {
  let start = Number.POSITIVE_INFINITY;
  let end = Number.POSITIVE_INFINITY;
  let first = group.attempts[0];
  for (const attempt of group.attempts) {
    if (attempt.outcome.kind === "refused") continue;
    start = Math.min(start, attempt.start);
    if (attempt.outcome.kind === "acked" && attempt.end !== null && attempt.end < end) {
      end = attempt.end;
      first = attempt;
    }
  }
  // Only refused attempts, yet in the log: history.ts reports it; here it constrains nothing.
  if (start === Number.POSITIVE_INFINITY) start = 0;
  const said = () => (first === undefined ? group.content : `${describeAttempt(first)}, in the log at ${offset}`);
  return { key: 2 * offset, start, end, said };
}

/** A pair with key(x) < key(y) and end(y) < start(x): by ascending key, the latest start so far. */
function firstContradiction(placed: readonly Placed[]): Violation | null {
  const ordered = placed.slice().sort((a, b) => a.key - b.key);
  let latest: Placed | null = null;
  let at = 0;
  while (at < ordered.length) {
    // Operations of one key (tail reads that saw the same end) do not order one another.
    const key = ordered[at]?.key;
    let next = at;
    for (; next < ordered.length && ordered[next]?.key === key; next++) {
      const later = ordered[next];
      if (later !== undefined && latest !== null && later.end < latest.start) {
        return {
          property: "linearizability",
          sentence: "An operation was over before another began, yet the log orders them the other way round.",
          facts: [`later in the log, but over first: ${later.said()}`, `earlier in the log, but begun afterwards: ${latest.said()}`],
        };
      }
    }
    for (; at < next; at++) {
      const now = ordered[at];
      if (now !== undefined && (latest === null || now.start > latest.start)) latest = now;
    }
  }
  return null;
}
