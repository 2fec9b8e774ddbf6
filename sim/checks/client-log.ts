// The committed log as clients may know it: record ids by offset, and where batches end. Also the
// words in which checkers speak of calls. Owns no rule.

import type { ReadFrom } from "../../src/service/batch-reads.ts";
import type { Call, RecordId } from "../history.ts";

/** Stands where a record was committed that nobody has any more. */
export const MISSING: RecordId = -2;

/** Everything committed when all is over. */
export interface ClientLog {
  /** By offset. */
  readonly records: readonly RecordId[];
  /** The offset after each batch, ascending; the last one is the end of the log. */
  readonly batchEnds: readonly number[];
}

export type AppendCall = Call & { readonly question: { readonly kind: "append" } };

/** The appends of a history, in the order in which they began. */
export function appendsOf(calls: readonly Call[]): AppendCall[] {
  return calls.filter((call): call is AppendCall => call.question.kind === "append");
}

/** Where each record first stands. */
export function offsetsByRecord(log: ClientLog): Map<RecordId, number> {
  const offsets = new Map<RecordId, number>();
  log.records.forEach((record, offset) => {
    if (!offsets.has(record)) offsets.set(record, offset);
  });
  return offsets;
}

/** Where an append that was acknowledged said it is; null for every other. */
export function ackedOffset(call: Call): number | null {
  return call.outcome === "ok" && call.facts?.kind === "appended" ? call.facts.offset : null;
}

/**
 * For facts: `call 12 of client 3, an append of records 40..42, [120, 450] us: acknowledged at
 * offset 7`.
 */
export function describeCall(call: Call): string {
  const span =
    call.outcome === "pending" ? `since ${call.start} us` : `from ${call.start} to ${call.end} us`;
  return `call ${call.id} of client ${call.client}, ${describeQuestion(call)}, ${span}: ${describeOutcome(call)}`;
}

function describeQuestion({ question }: Call): string {
  switch (question.kind) {
    case "check-tail":
      return "a check-tail";
    case "backup":
      return `a backup of ${question.node}`;
    case "read":
      return `a read of ${question.node} from offset ${question.from}`;
    case "seek": {
      const { node, from, consistency } = question;
      return `a ${consistency} read of ${node} ${describeFrom(from)}`;
    }
    case "commit-cursor": {
      const { name, offset, expected } = question;
      const what = offset === null ? `a deletion of ${name}` : `a commit of ${name} at ${offset}`;
      return expected === undefined ? what : `${what} expecting it ${placeOf(expected)}`;
    }
    case "fetch-cursors": {
      const { node, names, consistency } = question;
      return `a ${consistency} read of ${names?.join(", ") ?? "all cursors"} of ${node}`;
    }
    case "fence": {
      const { token, expected } = question;
      const guard = expected === undefined ? "" : ` expecting "${expected}"`;
      return `a fence with "${token}"${guard}`;
    }
    case "append": {
      const { records, expectedEndOffset, fencingToken } = question;
      const guard = expectedEndOffset === null ? "" : ` expecting the end at ${expectedEndOffset}`;
      const token = fencingToken === undefined ? "" : ` naming the token "${fencingToken}"`;
      return `an append of ${describeRecords(records)}${guard}${token}`;
    }
  }
}

function describeFrom(from: ReadFrom): string {
  switch (from.kind) {
    case "offset":
      return `from offset ${from.offset}`;
    case "timestamp":
      return `from log time ${from.timestampMs}`;
    case "last":
      return `of the last ${from.count}`;
    default:
      return `from the ${from.kind}`;
  }
}

/** Where a cursor is, for facts. */
export function placeOf(offset: number | null): string {
  return offset === null ? "nowhere" : `at ${offset}`;
}

/** `record 4` or `records 4..6` or `records 4, 6`. */
export function describeRecords(records: readonly RecordId[]): string {
  const first = records[0];
  if (first === undefined) return "no records";
  if (records.length === 1) return `record ${first}`;
  const isRun = records.every((record, at) => record === first + at);
  return isRun
    ? `records ${first}..${first + records.length - 1}`
    : `records ${records.join(", ")}`;
}

function describeOutcome(call: Call): string {
  const { facts } = call;
  if (call.outcome === "pending") return "no answer";
  if (facts?.kind === "appended" && call.question.kind !== "append") {
    return `acknowledged as entry ${facts.index}@${facts.term}`;
  }
  if (facts?.kind === "appended") {
    return `acknowledged at offset ${facts.offset}${facts.duplicate ? " as a duplicate" : ""}`;
  }
  if (facts?.kind === "tail") return `the log ends at ${facts.endOffset}`;
  if (facts?.kind === "backup") {
    const { base, cut, endOffset } = facts;
    return `entries ${(base?.at.index ?? 0) + 1} to ${cut.index}, the records end at ${endOffset}`;
  }
  if (facts?.kind === "read") {
    return `${facts.records.length} records, the log of ${facts.node} ends at ${facts.endOffset}`;
  }
  if (facts?.kind === "cursors") {
    const found = facts.cursors.map(({ name, offset }) => `${name} ${placeOf(offset)}`);
    return found.join(", ") || "no cursor";
  }
  const verdict = call.outcome === "fail" ? "definitely refused" : "outcome unknown";
  return facts === null ? verdict : `${verdict} (${facts.code})`;
}
