// An independent search for a linearization, after Wing and Gong (1993) with Lowe's memoisation
// (2017) as in Porcupine: for small histories only, to be set against the order check of
// linearizability.ts, with which it shares no rule. The model is S2's: the end of the log and a
// chained hash of its batches.

import type { Call, RecordId } from "../history.ts";
import type { ClientLog } from "./client-log.ts";
import type { Finding } from "./violation.ts";

/** A sequential specification: what an operation may do to a state. */
export interface Model<State, Operation> {
  readonly initial: State;
  /** The state after `operation`; null when it cannot come here. */
  step(state: State, operation: Operation): State | null;
  /** Equal strings for equal states. */
  key(state: State): string;
}

export interface Timed<Operation> {
  readonly operation: Operation;
  readonly start: number;
  /** Infinity when the operation never returned. */
  readonly end: number;
}

export type SearchResult = "linearizable" | "not-linearizable" | "gave-up";

/** One end of an operation in a doubly linked list of calls and returns, ordered by time. */
interface Endpoint {
  readonly operation: number;
  /** The other end; null for a return. */
  readonly answer: Endpoint | null;
  before: Endpoint | null;
  next: Endpoint | null;
}

/**
 * Is there an order of the operations, each between its start and its end, that `model` allows?
 * Gives up after `stepsMax` tried places.
 */
export function searchLinearization<State, Operation>(
  model: Model<State, Operation>,
  history: readonly Timed<Operation>[],
  stepsMax: number,
): SearchResult {
  const head = linkEndpoints(history);
  const seen = new Set<string>();
  const taken = new Uint16Array(Math.ceil(history.length / 16));
  const stack: { call: Endpoint; state: State }[] = [];
  let state = model.initial;
  let at = head.next;
  for (let steps = 0; head.next !== null; steps++) {
    if (steps >= stepsMax) return "gave-up";
    if (at === null || at.answer === null) {
      // A return whose call has no place yet: undo the last choice and try the one after it.
      const undone = stack.pop();
      if (undone === undefined) return "not-linearizable";
      flip(taken, undone.call.operation);
      putBack(undone.call);
      state = undone.state;
      at = undone.call.next;
      continue;
    }
    const timed = history[at.operation] as Timed<Operation>;
    const after = model.step(state, timed.operation);
    if (after === null || !isNew(seen, taken, at.operation, model.key(after))) {
      at = at.next;
      continue;
    }
    stack.push({ call: at, state });
    state = after;
    liftOut(at);
    at = head.next;
  }
  return "linearizable";
}

/** Takes `operation`, unless the same operations have led to the same state before. */
function isNew(seen: Set<string>, taken: Uint16Array, operation: number, state: string): boolean {
  flip(taken, operation);
  // PERF: sixteen operations a character.
  const configuration = String.fromCharCode(...taken) + state;
  if (seen.has(configuration)) {
    flip(taken, operation);
    return false;
  }
  seen.add(configuration);
  return true;
}

function flip(taken: Uint16Array, operation: number): void {
  const word = operation >> 4;
  taken[word] = (taken[word] as number) ^ (1 << (operation & 15));
}

/** Calls before returns of the same instant: operations that touch are concurrent. */
function linkEndpoints<Operation>(history: readonly Timed<Operation>[]): Endpoint {
  const points: { at: number; isReturn: number; endpoint: Endpoint }[] = [];
  history.forEach((timed, operation) => {
    const answer: Endpoint = { operation, answer: null, before: null, next: null };
    const call: Endpoint = { operation, answer, before: null, next: null };
    points.push({ at: timed.start, isReturn: 0, endpoint: call });
    points.push({ at: timed.end, isReturn: 1, endpoint: answer });
  });
  // Infinity - Infinity is NaN, so compare, do not subtract.
  points.sort((a, b) => (a.at === b.at ? a.isReturn - b.isReturn : a.at < b.at ? -1 : 1));
  const head: Endpoint = { operation: -1, answer: null, before: null, next: null };
  let last = head;
  for (const { endpoint } of points) {
    last.next = endpoint;
    endpoint.before = last;
    last = endpoint;
  }
  return head;
}

function liftOut(call: Endpoint): void {
  for (const end of [call, call.answer as Endpoint]) {
    if (end.before !== null) end.before.next = end.next;
    if (end.next !== null) end.next.before = end.before;
  }
}

function putBack(call: Endpoint): void {
  for (const end of [call.answer as Endpoint, call]) {
    if (end.before !== null) end.before.next = end;
    if (end.next !== null) end.next.before = end;
  }
}

/** What S2's model keeps: constant size however long the log is. */
export interface LogState {
  readonly endOffset: number;
  readonly hash: Hash;
}

/** Two 32-bit lanes over the earlier hash and each record: enough for the histories of a test. */
interface Hash {
  readonly low: number;
  readonly high: number;
}

export type LogOperation =
  | {
      readonly kind: "append";
      readonly records: readonly RecordId[];
      readonly expectedEndOffset: number | null;
      /** Where it was acknowledged; null while that is unknown. */
      readonly offset: number | null;
    }
  | { readonly kind: "tail"; readonly endOffset: number }
  /** A read of everything. */
  | { readonly kind: "read"; readonly endOffset: number; readonly hash: Hash };

const EMPTY_HASH: Hash = { low: 2166136261, high: 461845907 };

function chain(hash: Hash, records: readonly RecordId[]): Hash {
  let { low, high } = hash;
  for (const record of records) {
    low = Math.imul(low ^ (record + 1), 0x01000193) >>> 0;
    low = (low ^ (low >>> 15)) >>> 0;
    high = (Math.imul(high ^ (record + 0x9e37), 0x85ebca6b) + low) >>> 0;
  }
  return { low, high };
}

export const LOG_MODEL: Model<LogState, LogOperation> = {
  initial: { endOffset: 0, hash: EMPTY_HASH },
  step(state, operation) {
    if (operation.kind === "tail") return operation.endOffset === state.endOffset ? state : null;
    if (operation.kind === "read") {
      const { endOffset, hash } = operation;
      const { low, high } = state.hash;
      const isAll = endOffset === state.endOffset && hash.low === low && hash.high === high;
      return isAll ? state : null;
    }
    const { records, offset, expectedEndOffset } = operation;
    const isAllowed = expectedEndOffset === null || expectedEndOffset === state.endOffset;
    // Nobody knows what became of it: where it is not allowed, it did nothing. One that was allowed
    // and did nothing all the same, or was never heard of, has its place after the last read.
    if (!isAllowed) return offset === null ? state : null;
    if (offset !== null && offset !== state.endOffset) return null;
    return { endOffset: state.endOffset + records.length, hash: chain(state.hash, records) };
  },
  key: ({ endOffset, hash }) => `${endOffset}#${hash.low}:${hash.high}`,
};

/** `calls` as operations of LOG_MODEL, closed by a read of all of `log` after everything else. */
export function operationsOf(calls: readonly Call[], log: ClientLog): Timed<LogOperation>[] {
  const timed: Timed<LogOperation>[] = [];
  let last = 0;
  for (const call of calls) {
    const { question, outcome, facts, start } = call;
    last = Math.max(last, start, outcome === "pending" ? 0 : call.end);
    if (outcome === "fail") continue;
    const end = outcome === "ok" ? call.end : Number.POSITIVE_INFINITY;
    if (question.kind === "append") {
      const { records, expectedEndOffset } = question;
      const offset = facts?.kind === "appended" ? facts.offset : null;
      timed.push({
        operation: { kind: "append", records, expectedEndOffset, offset },
        start,
        end,
      });
    } else if (facts?.kind === "tail" && outcome === "ok") {
      timed.push({ operation: { kind: "tail", endOffset: facts.endOffset }, start, end });
    }
  }
  const endOffset = log.records.length;
  const read: LogOperation = { kind: "read", endOffset, hash: chain(EMPTY_HASH, log.records) };
  timed.push({ operation: read, start: last + 1, end: last + 2 });
  return timed;
}

/** More operations than this are left to the order check alone. */
const OPERATIONS_MAX = 150;
const STEPS_MAX = 50_000;

/** A finding when the history is small enough to search, and no order of it explains the log. */
export function checkBySearch(calls: readonly Call[], log: ClientLog): Finding | null {
  const operations = operationsOf(calls, log);
  if (operations.length > OPERATIONS_MAX) return null;
  if (searchLinearization(LOG_MODEL, operations, STEPS_MAX) !== "not-linearizable") return null;
  return {
    property: "linearizability",
    facts: [
      `clients made ${operations.length - 1} appends and reads of the end`,
      `no order of them, each between its start and its end, leads to the ${log.records.length} records of the final log`,
    ],
    node: null,
  };
}
