// How a simulated client reads: one fetch at one node, from an offset, a time or so many records
// from the end, as fresh as it wants the node to be. Where a read begins and what an empty answer
// means is the service's (src/service/batch-reads.ts), of which a simulated node has only the door.
// Owns no script.

import { type Entry, FRAME_HEADER_BYTES } from "../src/base/entry.ts";
import type { Fault } from "../src/base/faults.ts";
import type { Micros, Offset, RequestId, WallMs } from "../src/base/ids.ts";
import { decodeBatch } from "../src/base/record-batch.ts";
import { notLeaderOf, placeOf } from "../src/service/batch-reads.ts";
import type { Reply, RequestMaker } from "./client-path.ts";
import type { SimComputer } from "./computer.ts";
import type { Call, Consistency, Question, SeenRecord } from "./history.ts";
import type { PlannedOperation } from "./plan.ts";
import { ATTEMPT_MICROS, type Caller } from "./sim-caller.ts";

const STREAM_PATIENCE_MICROS = 2_500_000;
/** One entry at a time, a few, or many. */
const READ_BYTES_MAX: readonly number[] = [1, 1500, 16_384, 16_384];

type PlannedRead = Extract<PlannedOperation, { kind: "read" }>;
type PlannedSeek = Extract<PlannedOperation, { kind: "seek" }>;
type ReadQuestion = Extract<Question, { kind: "read" }>;
type SeekQuestion = Extract<Question, { kind: "seek" }>;

export class ClientReads {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  readOnce(planned: PlannedRead, then: () => void): void {
    const { room } = this.#caller;
    const from = Math.floor((room.knownEnd * planned.fromPerMille) / 1000) as Offset;
    this.read(room.target(planned.node), from, null, then);
  }

  /** One fetch; `then` hears where to go on. A stream's fetch waits at the end of the log. */
  read(
    computer: SimComputer,
    from: Offset,
    stream: number | null,
    then: (next: Offset) => void,
  ): void {
    const { room, prng, id } = this.#caller;
    const wait = stream !== null;
    const bytesMax = prng.pick(READ_BYTES_MAX);
    const question: ReadQuestion = { kind: "read", node: computer.name, from, wait, stream };
    const call = room.history.begin(id, question, room.timeline.now);
    call.attempts = 1;
    const make: RequestMaker = (requestId) => ({ kind: "fetch", requestId, from, bytesMax, wait });
    const patience = wait ? STREAM_PATIENCE_MICROS : ATTEMPT_MICROS;
    const requestId = this.#caller.ask(computer, make, patience, (reply) => {
      if (reply === null && wait) this.#cancel(computer, requestId);
      then(this.#returned(call, from, computer, reply));
    });
  }

  /** One fetch from a place that the node finds. */
  seek(planned: PlannedSeek, then: () => void): void {
    const { room, prng, id } = this.#caller;
    const computer = room.target(planned.node);
    const { consistency } = planned;
    const from = this.#placeFor(planned);
    const question: SeekQuestion = { kind: "seek", node: computer.name, from, consistency };
    const call = room.history.begin(id, question, room.timeline.now);
    call.attempts = 1;
    const bytesMax = prng.pick(READ_BYTES_MAX);
    const time = from.kind === "timestamp" ? { notBefore: from.timestampMs as WallMs } : {};
    const make: RequestMaker = (requestId, _wall, status) => {
      const now = status();
      if (consistency === "leader" && now.leader !== now.name)
        return { kind: "refused", fault: notLeaderOf(now) };
      const offset = placeOf(from, now) as Offset;
      return { kind: "fetch", requestId, from: offset, ...time, bytesMax, wait: false };
    };
    const done = (reply: Reply) => {
      this.#sought(call, computer, reply);
      then();
    };
    this.#caller.ask(computer, make, ATTEMPT_MICROS, done, freshnessOf(consistency));
  }

  #placeFor({ by, perMille, count }: PlannedSeek): SeekQuestion["from"] {
    if (by === "last") return { kind: "last", count };
    const { knownTimes, knownEnd } = this.#caller.room;
    if (by === "offset")
      return { kind: "offset", offset: Math.floor((knownEnd * perMille) / 1000) };
    // At 1000 it is later than all that anybody was told.
    const { first, last } = knownTimes ?? { first: 0, last: 0 };
    const timestampMs = first + Math.floor(((last + 1 - first) * perMille) / 1000);
    return { kind: "timestamp", timestampMs };
  }

  #sought(call: Call, computer: SimComputer, reply: Reply): void {
    const { from } = call.question as SeekQuestion;
    const fault = reply?.answer.kind === "fault" ? reply.answer.fault : null;
    if (reply !== null && fault !== null && isAtEnd(from, fault)) {
      const { name: node } = computer;
      const { life } = reply;
      const { endOffset } = fault;
      this.#caller.finish(call, "ok", { kind: "read", node, life, records: [], endOffset });
    } else this.#returned(call, 0 as Offset, computer, reply);
  }

  /** Returns the offset to go on from. */
  #returned(call: Call, from: Offset, computer: SimComputer, reply: Reply): Offset {
    const caller = this.#caller;
    if (reply?.answer.kind !== "fetched") {
      const fault = reply?.answer.kind === "fault" ? reply.answer.fault : null;
      if (fault === null) caller.finish(call, "unknown", null);
      else caller.finish(call, "fail", { kind: "fault", code: fault.code });
      return from;
    }
    const { entries, endOffset } = reply.answer;
    const records: SeenRecord[] = [];
    let next = from;
    for (const entry of entries) {
      if (!this.#see(entry, from, records)) caller.room.altered(entry, computer);
      next = (entry.offset + entry.count) as Offset;
    }
    caller.learnEnd(endOffset);
    caller.learnTimes(entries);
    const { name: node } = computer;
    caller.finish(call, "ok", { kind: "read", node, life: reply.life, records, endOffset });
    return next;
  }

  /** Adds the records of an entry from `from` on; false when they are not what was written. */
  #see(entry: Entry, from: Offset, seen: SeenRecord[]): boolean {
    const batch = decodeBatch(entry.frame.subarray(FRAME_HEADER_BYTES));
    if (batch === null || batch.length !== entry.count) return false;
    for (const { offsetDelta, value } of batch) {
      const record = this.#caller.room.values.decode(value);
      if (record === null) return false;
      const offset = (entry.offset + offsetDelta) as Offset;
      if (offset >= from) seen.push({ offset, record });
    }
    return true;
  }

  #cancel(computer: SimComputer, target: RequestId): void {
    const make: RequestMaker = () => ({ kind: "cancel", requestId: target });
    this.#caller.room.path.ask(computer, make, () => undefined);
  }
}

/** What a node is asked before a read, so that it is as fresh as that. */
export function freshnessOf(consistency: Consistency): RequestMaker | null {
  if (consistency !== "linearizable") return null;
  const within = ATTEMPT_MICROS as Micros;
  return (requestId) => ({ kind: "check-tail", requestId, within });
}

/** Nothing is there yet, rather than nothing any more. */
function isAtEnd(
  from: SeekQuestion["from"],
  fault: Fault,
): fault is Extract<Fault, { code: "offset-out-of-range" }> {
  if (fault.code !== "offset-out-of-range") return false;
  return from.kind === "timestamp" || fault.offset >= fault.endOffset;
}
