// Reads of committed records from this node's own log: each fetch is answered once, with entries,
// when there are any, or waits at the end without polling. Owns who waits; the log owns the
// reading.

import type { Answer } from "../base/client.ts";
import { type Entry, pointAfter } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { LogIndex, Offset, RequestId, WallMs } from "../base/ids.ts";
import { takeAll } from "../base/taking.ts";
import type { LogEvent, LogRead } from "../log/protocol.ts";

export interface Fetch {
  readonly requestId: RequestId;
  readonly from: Offset;
  /** Log time before which entries are left out; `from` then only says how far was looked. */
  readonly notBefore?: WallMs;
  readonly bytesMax: number;
  readonly wait: boolean;
}

/** A fetch under way in the log; `searchedTo` is the end of what is searched by time, if it is. */
interface Reading {
  readonly fetch: Fetch;
  readonly searchedTo: Offset | null;
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
  readonly #reading = new Map<number, Reading>();
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
    } else if (fetch.notBefore !== undefined) this.#search(fetch, fetch.notBefore, readable);
    else if (from >= readable.startOffset && from < readable.endOffset) {
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
    const reading = this.#reading.get(read.readId);
    if (reading === undefined) return false;
    const { fetch } = reading;
    this.#reading.delete(read.readId);
    if (read.kind === "failed") {
      this.#refuse(fetch.requestId, read.fault);
      return true;
    }
    const { startOffset, endOffset } = readable;
    const from = reading.searchedTo === null ? fetch.from : startOffset;
    const time = fetch.notBefore ?? (0 as WallMs);
    const entries = read.entries.filter((entry) => holdsRecords(entry, from, time));
    const next = nextOf(reading, read.entries);
    if (entries.length === 0 && fetch.notBefore !== undefined && next < endOffset) {
      // Controls, what was trimmed, or what was committed meanwhile: what is wanted lies behind.
      this.#read({ ...fetch, from: Math.max(next, startOffset) as Offset }, readable);
    } else if (entries.length > 0) {
      const { requestId } = fetch;
      this.#answers.push({ kind: "fetched", requestId, entries, endOffset: readable.endOffset });
    } else if (fetch.wait) this.#waiting.set(fetch.requestId, { ...fetch, from: next });
    else this.#refuse(fetch.requestId, outOfRange(next, readable));
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
    for (const { fetch } of this.#reading.values()) this.#refuse(fetch.requestId, fault);
    this.#waiting.clear();
    this.#reading.clear();
  }

  takeAnswers(): readonly Answer[] {
    return takeAll(this.#answers);
  }

  takeReads(): readonly LogEvent[] {
    return takeAll(this.#reads);
  }

  /** Finds the first entry that is late enough. */
  #search(fetch: Fetch, at: WallMs, { commitIndex, endOffset }: Readable): void {
    const { requestId: readId, bytesMax } = fetch;
    this.#reading.set(readId, { fetch, searchedTo: endOffset });
    const from = { kind: "timestamp", at } as const;
    this.#reads.push({ kind: "read", readId, from, lastIndex: commitIndex, bytesMax });
  }

  #read(fetch: Fetch, readable: Readable): void {
    // Positive for fetches, so that the node's own reads (negative) are told apart.
    this.#reading.set(fetch.requestId, { fetch, searchedTo: null });
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

/** Where a fetch that has found nothing goes on. */
function nextOf({ fetch, searchedTo }: Reading, entries: readonly Entry[]): Offset {
  if (fetch.notBefore === undefined) return fetch.from;
  const last = entries.at(-1);
  return last === undefined ? (searchedTo ?? fetch.from) : pointAfter(last).endOffset;
}

function holdsRecords(entry: Entry, from: Offset, time: WallMs): boolean {
  const isLate = entry.timestamp >= time;
  return isLate && entry.kind === "records" && entry.offset + entry.count > from;
}

function outOfRange(offset: number, readable: Readable): Fault {
  const { startOffset, endOffset } = readable;
  return { code: "offset-out-of-range", offset, startOffset, endOffset };
}
