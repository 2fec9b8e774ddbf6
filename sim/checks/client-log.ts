// The committed log as clients may know it: record ids by offset, and where batches end. Also the
// words in which checkers speak of calls. Owns no rule.

import type { Call, RecordId } from "../history.ts";

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
  if (question.kind === "check-tail") return "a check-tail";
  if (question.kind === "read") return `a read of ${question.node} from offset ${question.from}`;
  const guard =
    question.expectedEndOffset === null
      ? ""
      : ` expecting the end at ${question.expectedEndOffset}`;
  return `an append of ${describeRecords(question.records)}${guard}`;
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
  if (facts?.kind === "appended") {
    return `acknowledged at offset ${facts.offset}${facts.duplicate ? " as a duplicate" : ""}`;
  }
  if (facts?.kind === "tail") return `the log ends at ${facts.endOffset}`;
  if (facts?.kind === "read") {
    return `${facts.records.length} records, the log of ${facts.node} ends at ${facts.endOffset}`;
  }
  const verdict = call.outcome === "fail" ? "definitely refused" : "outcome unknown";
  return facts === null ? verdict : `${verdict} (${facts.code})`;
}
