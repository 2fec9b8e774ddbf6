// What must hold for cursors: an acknowledged commit is in the log, a cursor moves only as somebody
// asked and from where its guard expected it, and whoever reads it gets what the log says at some
// moment that is late enough. Judged against the committed entries with a model of its own, which
// shares nothing with src/state.

import type { CursorInfo } from "../../src/base/client.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import type { Call, Facts, Question } from "../history.ts";
import { describeCall, placeOf } from "./client-log.ts";
import { printOf } from "./lineage.ts";
import type { Finding, Property } from "./violation.ts";

type CommitCall = Call & { readonly question: Extract<Question, { kind: "commit-cursor" }> };
type FetchCall = Call & {
  readonly question: Extract<Question, { kind: "fetch-cursors" }>;
  readonly facts: Extract<Facts, { kind: "cursors" }>;
};

/** One commit in the log. */
interface Move {
  readonly index: number;
  readonly timestamp: number;
  readonly offset: number | null;
  readonly ttlMs: number;
}

/** The first broken property of the cursors of a finished run, or null. */
export function checkCursors(calls: readonly Call[], log: readonly EntryHead[]): Finding | null {
  const model = new CursorModel(log);
  return (
    checkAcknowledged(calls, log) ?? checkMoves(calls, log, model) ?? checkReads(calls, log, model)
  );
}

/** The cursors as the log has them after each of its entries. */
class CursorModel {
  readonly #log: readonly EntryHead[];
  /** By name, in the log's order. */
  readonly moves = new Map<string, Move[]>();

  constructor(log: readonly EntryHead[]) {
    this.#log = log;
    for (const { index, timestamp, control } of log) {
      if (control?.kind !== "cursor") continue;
      const { name, offset, ttlMs } = control;
      const moves = this.moves.get(name) ?? [];
      this.moves.set(name, moves);
      moves.push({ index, timestamp, offset, ttlMs });
    }
  }

  /** The commit that says where it is after entry `index`, at log time `now`; null for nowhere. */
  at(name: string, index: number, now = this.#log[index - 1]?.timestamp ?? 0): Move | null {
    const last = this.moves.get(name)?.findLast((move) => move.index <= index);
    if (last === undefined || last.offset === null) return null;
    return last.timestamp + last.ttlMs <= now ? null : last;
  }
}

/** Each commit's time to live is its name in the log. */
function commitsById(calls: readonly Call[]): ReadonlyMap<number, CommitCall> {
  const isCommit = (call: Call): call is CommitCall => call.question.kind === "commit-cursor";
  return new Map(calls.filter(isCommit).map((call) => [call.question.ttlMs, call]));
}

function checkAcknowledged(calls: readonly Call[], log: readonly EntryHead[]): Finding | null {
  for (const call of commitsById(calls).values()) {
    if (call.outcome !== "ok" || call.facts?.kind !== "appended") continue;
    const head = log[call.facts.index - 1];
    const { control } = head ?? {};
    const isThere =
      control?.kind === "cursor" &&
      control.name === call.question.name &&
      control.offset === call.question.offset &&
      control.ttlMs === call.question.ttlMs;
    if (isThere) continue;
    const has = head === undefined ? `nothing: it has ${log.length} entries` : printOf(head);
    return found("cursor-lost", describeCall(call), `there the log has ${has}`);
  }
  return null;
}

function checkMoves(
  calls: readonly Call[],
  log: readonly EntryHead[],
  model: CursorModel,
): Finding | null {
  const asked = commitsById(calls);
  for (const head of log) {
    const { control } = head;
    if (control?.kind !== "cursor") continue;
    const call = asked.get(control.ttlMs);
    const moved = `${control.name} moved ${placeOf(control.offset)} by ${printOf(head)}`;
    if (call === undefined) return found("cursor-moved", moved, "no call asked for it");
    if (call.outcome === "fail") return found("cursor-moved", describeCall(call), moved);
    const { expected, name, offset } = call.question;
    if (name !== control.name || offset !== control.offset)
      return found("cursor-moved", describeCall(call), moved);
    const before = model.at(name, head.index - 1, head.timestamp)?.offset ?? null;
    const isExpected = expected === undefined ? offset !== null || before !== null : null;
    if (isExpected ?? before === expected) continue;
    const was = `${moved}, and was ${placeOf(before)} just before`;
    return found("cursor-moved", describeCall(call), was);
  }
  return null;
}

function checkReads(
  calls: readonly Call[],
  log: readonly EntryHead[],
  model: CursorModel,
): Finding | null {
  const reads = calls.filter((call): call is FetchCall => {
    const isRead = call.question.kind === "fetch-cursors" && call.facts?.kind === "cursors";
    return isRead && call.outcome === "ok";
  });
  for (const call of reads) {
    const isFresh = call.question.consistency === "linearizable";
    const first = isFresh ? lastAcknowledged(calls, call.start) : 0;
    const names = call.question.names ?? [...model.moves.keys()];
    if (isSomewhere(call, names, first, log.length, model)) continue;
    const says = names.map((name) => {
      return `${name} ${placeOf(model.at(name, first)?.offset ?? null)}`;
    });
    const since = `from entry ${first} on, where it has ${says.join(", ")}, the log is never so`;
    return found("cursor-read", describeCall(call), since);
  }
  return null;
}

/** The highest entry that anybody knew to be committed when `start` came. */
function lastAcknowledged(calls: readonly Call[], start: number): number {
  let last = 0;
  for (const { outcome, facts, end } of calls)
    if (outcome === "ok" && facts?.kind === "appended" && end < start && facts.index > last)
      last = facts.index;
  return last;
}

/** Whether the log is as `call` was told after any of these entries. */
function isSomewhere(
  { facts }: FetchCall,
  names: readonly string[],
  first: number,
  last: number,
  model: CursorModel,
): boolean {
  const told = new Map(facts.cursors.map((cursor) => [cursor.name, cursor]));
  if ([...told.keys()].some((name) => !names.includes(name))) return false;
  for (let index = first; index <= last; index++) {
    if (names.every((name) => isSame(told.get(name), model.at(name, index)))) return true;
  }
  return false;
}

function isSame(told: CursorInfo | undefined, move: Move | null): boolean {
  if (told === undefined || move === null) return told === undefined && move === null;
  const { offset, ttlMs, timestamp } = told;
  return offset === move.offset && ttlMs === move.ttlMs && timestamp === move.timestamp;
}

function found(property: Property, first: string, second: string): Finding {
  return { property, facts: [first, second], node: null };
}
