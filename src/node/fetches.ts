// Reads of committed records from this node's own log: each fetch is answered once, with entries,
// when there are any, or waits at the end without polling. Owns who waits; the log owns the
// reading.

import type { Answer } from "../base/client.ts";
import type { Entry } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { LogIndex, Offset, RequestId } from "../base/ids.ts";
import type { LogEvent, LogRead } from "../log/protocol.ts";

export interface Fetch {
  readonly requestId: RequestId;
  readonly from: Offset;
  readonly bytesMax: number;
  readonly wait: boolean;
}

/** What is committed and readable here. */
export interface Readable {
  readonly commitIndex: LogIndex;
  readonly startOffset: Offset;
  readonly endOffset: Offset;
}

export class Fetches {
  readonly #waitingMax: number;
  /** At the end of the log, in order of arrival. */
  readonly #waiting = new Map<RequestId, Fetch>();
  /** Under way in the log. */
  readonly #reading = new Map<number, Fetch>();
  readonly #answers: Answer[] = [];
  readonly #reads: LogEvent[] = [];

  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax;
  }

  get size(): number {
    return this.#waiting.size + this.#reading.size;
  }

  request(fetch: Fetch, readable: Readable): void {
    const { from, requestId } = fetch;
    if (this.size >= this.#waitingMax) {
      this.#refuse(requestId, { code: "overloaded", what: "fetches", retryAfterMs: 100 });
    } else if (from >= readable.startOffset && from < readable.endOffset) {
      this.#read(fetch, readable);
    } else if (from === readable.endOffset && fetch.wait) this.#waiting.set(requestId, fetch);
    else if (from > readable.endOffset && fetch.wait) this.#waiting.set(requestId, fetch);
    else this.#refuse(requestId, outOfRange(from, readable));
  }

  /** More is committed: whoever waited for it is served. */
  advanced(readable: Readable): void {
    for (const fetch of this.#waiting.values()) {
      if (fetch.from >= readable.endOffset) continue;
      this.#waiting.delete(fetch.requestId);
      this.#read(fetch, readable);
    }
  }

  /** True when the read was asked for here. */
  maybeFinish(read: LogRead, readable: Readable): boolean {
    const fetch = this.#reading.get(read.readId);
    if (fetch === undefined) return false;
    this.#reading.delete(read.readId);
    if (read.kind === "failed") {
      this.#refuse(fetch.requestId, read.fault);
      return true;
    }
    const entries = read.entries.filter((entry) => holdsRecords(entry, fetch.from));
    if (entries.length > 0) {
      const { requestId } = fetch;
      this.#answers.push({ kind: "fetched", requestId, entries, endOffset: readable.endOffset });
    } else if (fetch.wait) this.#waiting.set(fetch.requestId, fetch);
    else this.#refuse(fetch.requestId, outOfRange(fetch.from, readable));
    return true;
  }

  /** True when the request was waiting here; it is answered as cancelled. */
  maybeCancel(requestId: RequestId): boolean {
    if (!this.#waiting.delete(requestId)) return false;
    this.#refuse(requestId, { code: "cancelled" });
    return true;
  }

  /** Nothing more will be read: everybody is told. */
  refuseAll(fault: Fault): void {
    for (const requestId of this.#waiting.keys()) this.#refuse(requestId, fault);
    for (const fetch of this.#reading.values()) this.#refuse(fetch.requestId, fault);
    this.#waiting.clear();
    this.#reading.clear();
  }

  takeAnswers(): Answer[] {
    return this.#answers.splice(0);
  }

  takeReads(): LogEvent[] {
    return this.#reads.splice(0);
  }

  #read(fetch: Fetch, readable: Readable): void {
    // Positive for fetches, so that the node's own reads (negative) are told apart.
    this.#reading.set(fetch.requestId, fetch);
    this.#reads.push({
      kind: "read",
      readId: fetch.requestId,
      from: { kind: "offset", offset: fetch.from },
      lastIndex: readable.commitIndex,
      bytesMax: fetch.bytesMax,
    });
  }

  #refuse(requestId: RequestId, fault: Fault): void {
    this.#answers.push({ kind: "fault", requestId, fault });
  }
}

function holdsRecords(entry: Entry, from: Offset): boolean {
  return entry.kind === "records" && entry.offset + entry.count > from;
}

function outOfRange(offset: number, readable: Readable): Fault {
  const { startOffset, endOffset } = readable;
  return { code: "offset-out-of-range", offset, startOffset, endOffset };
}
