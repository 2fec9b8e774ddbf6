// What must hold for everything clients were told, once all is over: every acknowledged append in
// the committed log once, at its offset; refused ones never; unknown ones at most once; reads of
// committed records only, each a run without gaps. Real-time order is linearizability.ts.

import type { NodeId } from "../../src/base/ids.ts";
import type { Call, Facts, Question, RecordId } from "../history.ts";
import {
  type AppendCall,
  ackedOffset,
  appendsOf,
  type ClientLog,
  describeCall,
  MISSING,
  offsetsByRecord,
} from "./client-log.ts";
import { checkLinearizable } from "./linearizability.ts";
import type { Finding, Property } from "./violation.ts";

/** The first broken property of a finished history, or null. */
export function checkHistory(calls: readonly Call[], log: ClientLog): Finding | null {
  return (
    checkOnce(calls, log) ??
    checkAppends(calls, log) ??
    checkProducers(calls, log) ??
    checkReads(calls, log) ??
    checkStreams(calls) ??
    checkNodes(calls) ??
    checkLinearizable(calls, log)
  );
}

/** Every record in the log was appended by a call, and none is there twice. */
function checkOnce(calls: readonly Call[], log: ClientLog): Finding | null {
  const owners = new Map<RecordId, Call>();
  for (const call of appendsOf(calls)) {
    for (const record of call.question.records) owners.set(record, call);
  }
  const first = new Map<RecordId, number>();
  for (const [offset, record] of log.records.entries()) {
    if (record === MISSING) continue;
    const owner = owners.get(record);
    if (owner === undefined) {
      return found(
        "phantom",
        `the log has record ${record} at offset ${offset}`,
        "no call appended it",
      );
    }
    const before = first.get(record);
    if (before !== undefined) {
      const twice = `the log has record ${record} at offset ${before} and again at ${offset}`;
      return found("duplicate", twice, describeCall(owner));
    }
    first.set(record, offset);
  }
  return null;
}

/** Acknowledged: there. Refused: not there. Unknown: whole or not at all. */
function checkAppends(calls: readonly Call[], log: ClientLog): Finding | null {
  const offsets = offsetsByRecord(log);
  for (const call of appendsOf(calls)) {
    const { records } = call.question;
    const at = records.map((record) => offsets.get(record));
    const offset = at[0];
    const present = at.filter((place) => place !== undefined).length;
    const acked = ackedOffset(call);
    if (acked !== null && offset !== acked) return lostWrite(call, acked, offset, log);
    if (call.outcome === "fail" && present > 0) {
      const there = `the log has ${present} of its ${records.length} records, one at offset ${at.find((place) => place !== undefined)}`;
      return found("aborted-append", describeCall(call), there);
    }
    const isWhole = offset !== undefined && at.every((place, nth) => place === offset + nth);
    if (present > 0 && !isWhole) {
      const places = at.map((place) => place ?? "nowhere").join(", ");
      return found("torn-batch", describeCall(call), `its records stand at offsets ${places}`);
    }
  }
  return null;
}

function lostWrite(call: Call, acked: number, offset: number | undefined, log: ClientLog): Finding {
  const other = log.records[acked];
  const instead =
    other === MISSING
      ? `nobody has what was committed at offset ${acked}`
      : other === undefined
        ? `the log ends at offset ${log.records.length}`
        : `the log has record ${other} at offset ${acked}`;
  const where = offset === undefined ? "" : `, and this append at offset ${offset}`;
  return found("lost-write", describeCall(call), instead + where);
}

/** Within one producer's epoch, sequences and offsets rise together. */
function checkProducers(calls: readonly Call[], log: ClientLog): Finding | null {
  const offsets = offsetsByRecord(log);
  const byProducer = new Map<string, { sequence: number; offset: number; call: AppendCall }[]>();
  for (const call of appendsOf(calls)) {
    const { producerId, epoch, sequence, records } = call.question;
    const offset = offsets.get(records[0] as RecordId);
    if (producerId === 0 || offset === undefined) continue;
    const key = `${producerId}/${epoch}`;
    const sent = byProducer.get(key) ?? [];
    sent.push({ sequence, offset, call });
    byProducer.set(key, sent);
  }
  for (const [key, sent] of byProducer) {
    sent.sort((a, b) => a.sequence - b.sequence);
    for (const [at, later] of sent.entries()) {
      const earlier = sent[at - 1];
      const expected =
        earlier === undefined ? 0 : earlier.sequence + earlier.call.question.records.length;
      if (later.sequence > expected) {
        const missing = `nothing of the log has sequence ${expected} of producer ${key}`;
        return found("sequence-gap", describeCall(later.call), missing);
      }
      if (earlier !== undefined && earlier.offset > later.offset) {
        return found(
          "nonmonotonic-send",
          `sequence ${earlier.sequence} is at offset ${earlier.offset}: ${describeCall(earlier.call)}`,
          `sequence ${later.sequence} is at offset ${later.offset}: ${describeCall(later.call)}`,
        );
      }
    }
  }
  return null;
}

type ReadCall = Call & {
  readonly question: Extract<Question, { kind: "read" | "seek" }>;
  readonly facts: Extract<Facts, { kind: "read" }>;
};

/** Reads that brought something, in the order in which they ended. */
function readsOf(calls: readonly Call[]): ReadCall[] {
  const isRead = (call: Call): call is ReadCall =>
    (call.question.kind === "read" || call.question.kind === "seek") &&
    call.facts?.kind === "read" &&
    call.outcome === "ok";
  return calls.filter(isRead).sort((a, b) => a.end - b.end);
}

/** What a read brought is what the log has, from the offset asked for on, without a gap. */
function checkReads(calls: readonly Call[], log: ClientLog): Finding | null {
  const offsets = offsetsByRecord(log);
  for (const call of readsOf(calls)) {
    // A batch is answered whole, so the first record may lie before the one asked for.
    const first = call.facts.records[0];
    const from = call.question.kind === "read" ? call.question.from : null;
    if (first !== undefined && from !== null && first.offset > from) {
      const began = `the first record it brought is at offset ${first.offset}`;
      return found("poll-skip", describeCall(call), began, call.facts.node);
    }
    for (const [nth, seen] of call.facts.records.entries()) {
      const expected = (first?.offset ?? 0) + nth;
      if (seen.offset !== expected) {
        const property = seen.offset > expected ? "poll-skip" : "nonmonotonic-poll";
        const step = `after offset ${expected - 1} it brought offset ${seen.offset}`;
        return found(property, describeCall(call), step, call.facts.node);
      }
      const recorded = log.records[seen.offset];
      if (recorded === seen.record) continue;
      const read = `it brought record ${seen.record} at offset ${seen.offset}, in ${describeCall(call)}`;
      if (!offsets.has(seen.record)) {
        return found(
          "aborted-read",
          read,
          "the final log does not have that record",
          call.facts.node,
        );
      }
      const has = `the final log has record ${recorded ?? "none"} there`;
      return found("inconsistent-offsets", read, has, call.facts.node);
    }
  }
  return null;
}

/** Each answer of a stream goes on where the one before ended. */
function checkStreams(calls: readonly Call[]): Finding | null {
  const streams = new Map<number, { call: ReadCall; next: number }>();
  for (const call of readsOf(calls)) {
    if (call.question.kind !== "read") continue;
    const { stream, from } = call.question;
    const last = call.facts.records.at(-1);
    if (stream === null || last === undefined) continue;
    const before = streams.get(stream);
    if (before !== undefined && from !== before.next) {
      const property = from > before.next ? "poll-skip" : "nonmonotonic-poll";
      return found(
        property,
        `a stream read up to ${before.next - 1}: ${describeCall(before.call)}`,
        `it went on in ${describeCall(call)}`,
      );
    }
    streams.set(stream, { call, next: last.offset + 1 });
  }
  return null;
}

/** The committed end that one life of a node reports never goes back from a call to a later one. */
function checkNodes(calls: readonly Call[]): Finding | null {
  const highest = new Map<string, ReadCall>();
  const reads = readsOf(calls);
  const ended = new Map<string, number>();
  for (const call of reads.slice().sort((a, b) => a.start - b.start)) {
    const { node, life, endOffset } = call.facts;
    const key = `${node}/${life}`;
    // Everything of this life that was over before this call began.
    for (let at = ended.get(key) ?? 0; at < reads.length; at++) {
      const over = reads[at] as ReadCall;
      if (over.end >= call.start) break;
      ended.set(key, at + 1);
      if (over.facts.node !== node || over.facts.life !== life) continue;
      const best = highest.get(key);
      if (best === undefined || over.facts.endOffset > best.facts.endOffset) highest.set(key, over);
    }
    const best = highest.get(key);
    if (best !== undefined && best.facts.endOffset > endOffset) {
      return found("nonmonotonic-poll", describeCall(best), `and then ${describeCall(call)}`, node);
    }
  }
  return null;
}

function found(
  property: Property,
  first: string,
  second: string,
  node: NodeId | null = null,
): Finding {
  return { property, facts: [first, second], node };
}
