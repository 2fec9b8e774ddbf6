// Hand-made histories for the tests of the checkers: calls in a few words, and random histories
// that are linearizable by construction, with ways to break them.

import fc from "fast-check";
import type { ClientLog } from "../../sim/checks/client-log.ts";
import type { Call, Outcome, Question } from "../../sim/history.ts";
import {
  type Instant,
  type LogIndex,
  NEVER,
  type NodeId,
  type Offset,
  type Term,
} from "../../src/base/ids.ts";

let calls = 0;

function call(
  question: Question,
  start: number,
  end: number | null,
  outcome: Outcome,
  facts: Call["facts"],
): Call {
  calls += 1;
  return {
    id: calls,
    client: 1,
    question,
    start: start as Instant,
    end: end === null ? NEVER : (end as Instant),
    outcome,
    facts,
    attempts: 1,
  };
}

interface Sent {
  readonly records: readonly number[];
  readonly start: number;
  readonly end?: number;
  readonly expecting?: number;
  readonly producer?: { readonly id: number; readonly sequence: number };
}

function question(sent: Sent): Question {
  const { records, expecting, producer } = sent;
  return {
    kind: "append",
    records,
    producerId: producer?.id ?? 0,
    epoch: 0,
    sequence: producer?.sequence ?? 0,
    expectedEndOffset: expecting === undefined ? null : (expecting as Offset),
  };
}

/** An append that was acknowledged at `offset`. */
export function acked(sent: Sent & { readonly end: number; readonly offset: number }): Call {
  const facts = {
    kind: "appended",
    offset: sent.offset as Offset,
    index: 1 as LogIndex,
    term: 1 as Term,
    duplicate: false,
  } as const;
  return call(question(sent), sent.start, sent.end, "ok", facts);
}

/** An append without an outcome. */
export function unknown(sent: Sent): Call {
  return call(
    question(sent),
    sent.start,
    sent.end ?? null,
    sent.end === undefined ? "pending" : "unknown",
    null,
  );
}

/** An append that was definitely refused. */
export function refused(sent: Sent & { readonly end: number }): Call {
  const facts = { kind: "fault", code: "overloaded" } as const;
  return call(question(sent), sent.start, sent.end, "fail", facts);
}

export function tail(start: number, end: number, endOffset: number): Call {
  const facts = { kind: "tail", endOffset: endOffset as Offset } as const;
  return call({ kind: "check-tail" }, start, end, "ok", facts);
}

interface Brought {
  readonly from: number;
  /** [offset, record] pairs. */
  readonly records: readonly (readonly [number, number])[];
  readonly start?: number;
  readonly end?: number;
  readonly endOffset?: number;
  readonly stream?: number;
  readonly node?: string;
  readonly life?: number;
}

/** A read that brought records. */
export function brought(read: Brought): Call {
  const node = (read.node ?? "n1") as NodeId;
  const from = read.from as Offset;
  const asked = { kind: "read", node, from, wait: false, stream: read.stream ?? null } as const;
  const facts = {
    kind: "read",
    node,
    life: read.life ?? 1,
    records: read.records.map(([offset, record]) => ({ offset: offset as Offset, record })),
    endOffset: (read.endOffset ?? 100) as Offset,
  } as const;
  return call(asked, read.start ?? 10, read.end ?? 20, "ok", facts);
}

/** A log of these batches. */
export function logOf(...batches: readonly (readonly number[])[]): ClientLog {
  const records: number[] = [];
  const batchEnds: number[] = [];
  for (const batch of batches) {
    records.push(...batch);
    batchEnds.push(records.length);
  }
  return { records, batchEnds };
}

export interface Case {
  readonly calls: Call[];
  readonly log: ClientLog;
}

/**
 * One drawn operation: where it takes effect among the others, and how long it is open around that.
 */
const drawn = fc.record({
  kind: fc.constantFrom(
    "acked",
    "acked",
    "acked",
    "tail",
    "tail",
    "unknown",
    "lost",
    "refused",
    "guarded",
  ),
  point: fc.integer({ min: 10, max: 60 }),
  before: fc.integer({ min: 0, max: 9 }),
  after: fc.integer({ min: 0, max: 9 }),
  count: fc.integer({ min: 1, max: 2 }),
});

/** Histories of at most `size` calls that are linearizable, for they were made in an order. */
export function linearizableCases(size: number): fc.Arbitrary<Case> {
  return fc.array(drawn, { minLength: 1, maxLength: size }).map((operations) => {
    const ordered = operations.slice().sort((a, b) => a.point - b.point);
    const made: Call[] = [];
    const batches: number[][] = [];
    let endOffset = 0;
    let record = 0;
    for (const { kind, point, before, after, count } of ordered) {
      const start = point - before;
      const end = point + after;
      if (kind === "tail") {
        made.push(tail(start, end, endOffset));
        continue;
      }
      const records = Array.from({ length: count }, () => record++);
      if (kind === "refused") made.push(refused({ records, start, end }));
      else if (kind === "lost") made.push(unknown({ records, start }));
      else {
        if (kind === "unknown") made.push(unknown({ records, start, end }));
        else if (kind === "guarded")
          made.push(acked({ records, start, end, offset: endOffset, expecting: endOffset }));
        else made.push(acked({ records, start, end, offset: endOffset }));
        batches.push(records);
        endOffset += count;
      }
    }
    return { calls: made, log: logOf(...batches) };
  });
}

/**
 * The same, then with a few random changes, after which some are still linearizable and some not.
 */
export function perhapsBrokenCases(size: number): fc.Arbitrary<Case> {
  const change = fc.record({
    what: fc.constantFrom(
      "move",
      "move",
      "tail",
      "offset",
      "swap",
      "drop",
      "twice",
      "guard",
      "outcome",
    ),
    at: fc.nat(),
    by: fc.integer({ min: -30, max: 30 }),
  });
  return fc
    .tuple(linearizableCases(size), fc.array(change, { minLength: 1, maxLength: 2 }))
    .map(([whole, changes]) => changes.reduce(breakCase, whole));
}

interface Change {
  readonly what: string;
  readonly at: number;
  readonly by: number;
}

function breakCase(whole: Case, { what, at, by }: Change): Case {
  const { log } = whole;
  const chosen = whole.calls[at % whole.calls.length];
  if (chosen === undefined) return whole;
  const replaced = (changed: Call): Case => ({
    calls: whole.calls.map((other) => (other === chosen ? changed : other)),
    log,
  });
  const sliceLog = (edit: (batches: number[][]) => void): Case => {
    const batches: number[][] = [];
    let from = 0;
    for (const end of log.batchEnds) {
      batches.push(log.records.slice(from, end));
      from = end;
    }
    edit(batches);
    return { calls: whole.calls, log: logOf(...batches) };
  };
  const place = log.batchEnds.length === 0 ? 0 : at % log.batchEnds.length;
  switch (what) {
    case "move":
      return replaced({
        ...chosen,
        start: Math.max(0, chosen.start + by) as Instant,
        end: (chosen.outcome === "pending"
          ? chosen.end
          : Math.max(0, chosen.start + by) + (chosen.end - chosen.start)) as Instant,
      });
    case "tail":
    case "offset": {
      const { facts } = chosen;
      const step = by > 0 ? 1 : -1;
      if (facts?.kind === "tail") {
        return replaced({
          ...chosen,
          facts: { ...facts, endOffset: Math.max(0, facts.endOffset + step) as Offset },
        });
      }
      if (facts?.kind === "appended") {
        return replaced({
          ...chosen,
          facts: { ...facts, offset: Math.max(0, facts.offset + step) as Offset },
        });
      }
      return whole;
    }
    case "guard":
      if (chosen.question.kind !== "append") return whole;
      return replaced({
        ...chosen,
        question: { ...chosen.question, expectedEndOffset: Math.max(0, by) as Offset },
      });
    case "outcome":
      if (chosen.question.kind !== "append" || chosen.outcome !== "ok") return whole;
      return replaced({ ...chosen, outcome: by > 0 ? "fail" : "unknown", facts: null });
    case "swap":
      return sliceLog((batches) => {
        const first = batches[place];
        const second = batches[place + 1];
        if (first !== undefined && second !== undefined) batches.splice(place, 2, second, first);
      });
    case "drop":
      return sliceLog((batches) => batches.splice(place, 1));
    default:
      return sliceLog((batches) => {
        const again = batches[place];
        if (again !== undefined) batches.push(again);
      });
  }
}
