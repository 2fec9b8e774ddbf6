// Reads in batches: where a read begins, how fresh it must be, how long it waits, and the stream
// made of reads. Owns no access, no request ids and no encoding: log-service.ts gives it the two
// questions it asks of the node.

import type { Answer, NodeStatus } from "../base/client.ts";
import { bodyOf, type Entry } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { Instant, WallMs } from "../base/ids.ts";
import type { Caller } from "./caller.ts";

/** Where a read begins; what each means is in proto/cairn/v1/log.proto. */
export type ReadFrom =
  | { readonly kind: "offset"; readonly offset: number }
  /** The first record whose batch has this log time or a later one. */
  | { readonly kind: "timestamp"; readonly timestampMs: number }
  | { readonly kind: "earliest" }
  | { readonly kind: "latest" }
  | { readonly kind: "last"; readonly count: number };

export interface ReadRequest {
  readonly from: ReadFrom;
  /** 0: the server's choice. */
  readonly bytesMax: number;
  readonly maxWaitMs: number;
  readonly consistency: "local" | "leader" | "linearizable";
  readonly endOffset: number | null;
}

/** An entry with records as a reader gets it; `body` is a view of the entry's frame. */
export interface Batch {
  readonly offset: number;
  readonly count: number;
  readonly timestampMs: number;
  readonly codec: number;
  readonly body: Uint8Array;
}

export interface Batches {
  readonly kind: "batches";
  readonly batches: readonly Batch[];
  readonly startOffset: number;
  readonly endOffset: number;
}

/** Where the batches of a stream go. */
export interface BatchSink {
  /** Null when they were taken at once; else resolves when they are, or the caller is gone. */
  write(batches: Batches): Promise<void> | null;
}

export interface BatchReadsOptions {
  /** Bytes of frames in one answer when the caller does not say. */
  readonly fetchBytesMax: number;
  /** What a caller may ask for at most. */
  readonly readBytesMax: number;
  readonly maxWaitMsMax: number;
}

/** What a read asks of the node; each answers once. */
export interface ReadQuestions {
  status(): NodeStatus | null;
  fetch(
    caller: Caller,
    offset: number,
    bytesMax: number,
    wait: boolean,
    deadline: Instant | null,
    notBefore?: WallMs,
  ): Promise<Answer>;
  checkTail(caller: Caller): Promise<{ readonly kind: "tail" } | Faulted>;
  /** The instant so many milliseconds from now. */
  inMs(ms: number): Instant;
}

type Faulted = { readonly kind: "fault"; readonly fault: Fault };

export class BatchReads {
  readonly #options: BatchReadsOptions;
  readonly #node: ReadQuestions;

  constructor(options: BatchReadsOptions, node: ReadQuestions) {
    this.#options = options;
    this.#node = node;
  }

  /** One answer: batches, or none when the end was reached and nothing came in time. */
  async read(caller: Caller, request: ReadRequest): Promise<Batches | Faulted> {
    const begun = await this.#begin(caller, request);
    if (begun.kind === "fault") return begun;
    const { endOffset, maxWaitMs } = request;
    const from = begun.offset;
    if (endOffset !== null && from >= endOffset) return this.#nothing();
    const waitMs = Math.min(maxWaitMs, this.#options.maxWaitMsMax);
    const isByTime = request.from.kind === "timestamp";
    if (waitMs === 0 && !isByTime && from === this.#node.status()?.endOffset) {
      return this.#nothing();
    }
    const wait = waitMs > 0;
    const deadline = wait ? this.#node.inMs(waitMs) : null;
    const bytesMax = this.#bytesMax(request);
    const time = timeOf(request.from);
    const answer = await this.#node.fetch(caller, from, bytesMax, wait, deadline, time);
    if (answer.kind === "fetched") return this.#batches(answer.entries, answer.endOffset);
    const fault = faultOf(answer);
    // Nothing is as late as that: not beyond the end, at it.
    const isAtEnd = time !== undefined && fault.code === "offset-out-of-range";
    const isNothing = isAtEnd || (wait && fault.code === "deadline-exceeded");
    return isNothing ? this.#nothing() : { kind: "fault", fault };
  }

  /**
   * Everything from a place on, up to `endOffset` if there is one; then null, else the fault that
   * ended it. One answer is under way or being written at a time.
   */
  async stream(caller: Caller, request: ReadRequest, sink: BatchSink): Promise<Fault | null> {
    const begun = await this.#begin(caller, request);
    if (begun.kind === "fault") return begun.fault;
    const { endOffset } = request;
    const bytesMax = this.#bytesMax(request);
    let from = begun.offset;
    let time = timeOf(request.from);
    while (!caller.isGone) {
      if (endOffset !== null && from >= endOffset) return null;
      const answer = await this.#node.fetch(caller, from, bytesMax, true, null, time);
      if (answer.kind !== "fetched") return faultOf(answer);
      time = undefined;
      const last = answer.entries.at(-1);
      if (last !== undefined) from = last.offset + last.count;
      const stalled = sink.write(this.#batches(answer.entries, answer.endOffset));
      if (stalled !== null) await stalled;
    }
    return { code: "cancelled" };
  }

  /** The offset to begin at, once this member is as fresh as the caller wants it. */
  async #begin(
    caller: Caller,
    { from, consistency }: ReadRequest,
  ): Promise<{ readonly kind: "begun"; readonly offset: number } | Faulted> {
    const fault = await this.freshen(caller, consistency);
    if (fault !== null) return { kind: "fault", fault };
    const status = this.#node.status();
    if (status === null) return { kind: "fault", fault: OPENING };
    return { kind: "begun", offset: placeOf(from, status) };
  }

  /** Null once this member is as fresh as that; else why it is not. */
  async freshen(caller: Caller, consistency: ReadRequest["consistency"]): Promise<Fault | null> {
    if (consistency === "linearizable") {
      const tail = await this.#node.checkTail(caller);
      if (tail.kind === "fault") return tail.fault;
    }
    const status = this.#node.status();
    if (status === null || status.state === "opening") return OPENING;
    if (consistency === "leader" && status.leader !== status.name) return notLeaderOf(status);
    return null;
  }

  #bytesMax({ bytesMax }: ReadRequest): number {
    const { fetchBytesMax, readBytesMax } = this.#options;
    return bytesMax === 0 ? fetchBytesMax : Math.min(bytesMax, readBytesMax);
  }

  #batches(entries: readonly Entry[], endOffset: number): Batches {
    const startOffset = this.#node.status()?.startOffset ?? 0;
    return { kind: "batches", batches: entries.map(batchOf), startOffset, endOffset };
  }

  #nothing(): Batches {
    return this.#batches([], this.#node.status()?.endOffset ?? 0);
  }
}

function timeOf(from: ReadFrom): WallMs | undefined {
  return from.kind === "timestamp" ? (from.timestampMs as WallMs) : undefined;
}

const OPENING: Fault = { code: "not-serving", state: "opening" };

/** The offset of a place, as this member's log is now. */
export function placeOf(from: ReadFrom, { startOffset, endOffset }: NodeStatus): number {
  switch (from.kind) {
    case "offset":
      return from.offset;
    case "earliest":
    case "timestamp":
      return startOffset;
    case "latest":
      return endOffset;
    case "last":
      return Math.max(startOffset, endOffset - from.count);
  }
}

function batchOf(entry: Entry): Batch {
  const { offset, count, timestamp, codec } = entry;
  return { offset, count, timestampMs: timestamp, codec, body: bodyOf(entry) };
}

/** Why a member that does not lead refuses what only a leader answers. */
export function notLeaderOf({ name, leader, members }: NodeStatus): Fault {
  const known = leader === name ? null : leader;
  const address = members.find(({ id }) => id === known)?.address ?? null;
  return { code: "not-leader", leader: known, address };
}

function faultOf(answer: Answer): Fault {
  return answer.kind === "fault" ? answer.fault : { code: "not-serving", state: "stopping" };
}
