// The client library: connect to a cluster by any of its addresses, append without doubling, read
// without gaps. Follows the leader, retries what is safe to retry. The public surface is this file.

import { setTimeout as sleep } from "node:timers/promises";
import type { NewRecord, RecordHeader } from "../base/record-batch.ts";
import type {
  AdminChange as MembershipChange,
  AdminStatus as ServerStatus,
} from "../proto/cairn-admin.ts";
import type { Cursor } from "../proto/cairn-cursors.ts";
import { decodeReadResponse, encodeReadRequest } from "../proto/cairn-read.ts";
import type { AdminHeard, AdminQueryNews } from "../proto/cairn-talk.ts";
import { decodeCheckTailResponse } from "../proto/cairn-v1.ts";
import { EMPTY_MESSAGE } from "../proto/log-v1.ts";

import {
  changeCall,
  forceLeaveCall,
  gossipKeysCall,
  leaveCall,
  roundTripCall,
  statusCall,
  transferCall,
  trimCall,
} from "./admin.ts";
import { appendAsCall, type ProducerPosition } from "./append-as.ts";
import { type BackupEvent, readBackup } from "./backup.ts";
import { type Call, inDoubt } from "./call.ts";
import type { Channel, CredentialsSource } from "./channel.ts";
import {
  type CommitCursorOptions,
  commitCursorCall,
  deleteCursorCall,
  fenceCall,
  fetchCursorCall,
  listCursorsCall,
  type ReadCursorOptions,
} from "./cursors.ts";
import { CairnError, remedyOf } from "./errors.ts";
import {
  type AppendOptions,
  type AppendResult,
  type ClientTime,
  Producer,
  type ProducerCounts,
} from "./producer.ts";
import { type ReadRecord, readRecords } from "./reader.ts";
import { type Route, Routes } from "./routes.ts";
import { type GossipEvent, type GossipQuery, heardTalk, queryNews, sendEventCall } from "./talk.ts";

export type {
  AdminChange as MembershipChange,
  AdminStatus as ServerStatus,
} from "../proto/cairn-admin.ts";
export type { Cursor } from "../proto/cairn-cursors.ts";
export type { AdminHeard as HeardTalk, AdminQueryNews as QueryNews } from "../proto/cairn-talk.ts";
export type { ProducerPosition } from "./append-as.ts";
export type { BackupEvent, BackupHead } from "./backup.ts";
export type { ClientCredentials, CredentialsSource } from "./channel.ts";
export type { CommitCursorOptions, ReadCursorOptions } from "./cursors.ts";
export { CairnError, type CairnErrorCode } from "./errors.ts";
export type { AppendOptions, AppendResult, ProducerCounts } from "./producer.ts";
export type { ReadRecord } from "./reader.ts";
export type { GossipEvent, GossipQuery } from "./talk.ts";

export interface ConnectOptions {
  /** host:port of some servers; the others are learnt from them. */
  readonly addresses: readonly string[];
  /** Absent: without TLS. A function is asked for each new connection. */
  readonly credentials?: CredentialsSource;
  /** How long an operation is tried again and again; 30 s. */
  readonly timeoutMs?: number;
  /** How long one attempt may take before another server is tried; 2 s. */
  readonly attemptTimeoutMs?: number;
  /** Appends that wait are sent together up to so many bytes; 1 MiB. */
  readonly batchBytesMax?: number;
  /** ... and so many records; 10,000. */
  readonly batchRecordsMax?: number;
  /** A batch that is not full waits so long for more appends to join it; 0. */
  readonly lingerMs?: number;
  /** Bytes of appends that may wait before more are refused as "overloaded"; 64 MiB. */
  readonly queueBytesMax?: number;
  /** "gzip" packs batches where that makes them smaller; "none". */
  readonly compression?: "none" | "gzip";
}

/** A record to append; text is sent as UTF-8. */
export interface RecordToAppend {
  readonly value: Uint8Array | string;
  readonly key?: Uint8Array | string;
  readonly headers?: readonly { readonly name: string; readonly value: Uint8Array | string }[];
}

export interface ReadOptions {
  /** The first offset; 0. */
  readonly from?: number;
  /** Instead: the first batch with this time or a later one, by the log's clock. */
  readonly fromTime?: Date;
  /** Wait for more at the end of the log, for ever; else stop at the end as it is now. */
  readonly follow?: boolean;
  /** At most so many records. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

export interface ServerInfo {
  readonly id: string;
  readonly address: string;
  readonly isLeader: boolean;
}

const REAL_TIME: ClientTime = { now: () => performance.now(), pause: (ms) => sleep(ms) };

const CHECK_TAIL_PATH = "/cairn.v1.Log/CheckTail";
const READ_PATH = "/cairn.v1.Log/Read";
const DEFAULTS = {
  timeoutMs: 30_000,
  attemptTimeoutMs: 2_000,
  batchBytesMax: 1024 * 1024,
  batchRecordsMax: 10_000,
  lingerMs: 0,
  queueBytesMax: 64 * 1024 * 1024,
  compression: "none" as "none" | "gzip",
};

/** Connects lazily: nothing is sent before the first operation. */
export function connect(options: ConnectOptions, time: ClientTime = REAL_TIME): CairnClient {
  return new CairnClient(options, time);
}

export class CairnClient {
  readonly #options: typeof DEFAULTS;
  readonly #time: ClientTime;
  readonly #routes: Routes;
  readonly #producer: Producer;

  constructor(options: ConnectOptions, time: ClientTime) {
    const { addresses, credentials, ...given } = options;
    if (addresses.length === 0) throw new CairnError("malformed", "connect: no addresses");
    this.#options = { ...DEFAULTS, ...given };
    this.#time = time;
    this.#routes = new Routes(addresses, credentials ?? null, time.pause);
    this.#producer = new Producer(this.#routes, this.#options, time);
  }

  /** The address of the server believed to lead, or null. */
  get leader(): string | null {
    return this.#routes.leader;
  }

  get counts(): ProducerCounts {
    return { ...this.#producer.counts };
  }

  /**
   * Appends records at consecutive offsets, all or none, after everything this client appended
   * before. Resolves once a majority has them on disk. Bytes must not change until then. Rejects
   * with a CairnError; its `isOutcomeUnknown` says whether the records may be in the log all the
   * same.
   */
  append(records: readonly RecordToAppend[], options: AppendOptions = {}): Promise<AppendResult> {
    return this.#producer.append(records.map(newRecordOf), options);
  }

  /**
   * The same as a producer of the caller's own, with a place that the caller keeps: sent again at
   * the same place, the records are in the log once. Rejects with "sequence-gap", whose fact
   * `expected` is the sequence that is wanted, where records would be left out.
   */
  appendAs(
    producer: ProducerPosition,
    records: readonly RecordToAppend[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<AppendResult> {
    return this.#call(appendAsCall(producer, records.map(newRecordOf), options.signal));
  }

  /**
   * Records in order, each offset once, from any server: those that were acknowledged before the
   * call at least, and with `follow` all that come. Break off by leaving the loop, or with the
   * signal.
   */
  async *read(options: ReadOptions = {}): AsyncGenerator<ReadRecord, void, undefined> {
    const { follow = false, limit = Number.POSITIVE_INFINITY, signal = null } = options;
    let left = limit;
    if (left <= 0) return;
    const from = options.fromTime === undefined ? (options.from ?? 0) : await this.#first(options);
    const end = follow ? null : await this.checkTail(signal === null ? {} : { signal });
    const { timeoutMs, attemptTimeoutMs } = this.#options;
    const reader = { timeoutMs, stallMs: attemptTimeoutMs };
    for await (const record of readRecords(this.#routes, reader, from, end, signal)) {
      yield record;
      left--;
      if (left <= 0) return;
    }
  }

  /** The offset of the first batch that is late enough; the end when none is. */
  async #first({ fromTime, signal }: ReadOptions): Promise<number> {
    const request = encodeReadRequest({
      from: { kind: "timestamp", timestampMs: fromTime?.getTime() ?? 0 },
      bytesMax: 1,
      maxWaitMs: 0,
      consistency: "linearizable",
      endOffset: null,
    });
    const { batches, endOffset } = await this.#retry(
      this.#routes.toLeader(),
      signal,
      (channel, timeoutMs) => channel.call(READ_PATH, request, decodeReadResponse, timeoutMs),
    );
    return batches[0]?.offset ?? endOffset;
  }

  /** The end of the log, linearizable: the offset that the next record will have. */
  checkTail(options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    const { signal } = options;
    return this.#retry(this.#routes.toLeader(), signal, async (channel, timeoutMs) => {
      const path = CHECK_TAIL_PATH;
      const end = await channel.call(path, EMPTY_MESSAGE, decodeCheckTailResponse, timeoutMs);
      this.#routes.succeeded(channel);
      return end;
    });
  }

  /** Says how far the consumer `name` has come: `offset` is what it wants next. */
  commitCursor(name: string, offset: number, options: CommitCursorOptions = {}): Promise<void> {
    return this.#call(commitCursorCall(name, offset, options));
  }

  /** Where the consumer `name` is; rejects with "cursor-not-found". */
  fetchCursor(name: string, options: ReadCursorOptions = {}): Promise<Cursor> {
    return this.#call(fetchCursorCall(name, options));
  }

  /** All cursors whose names begin with `prefix`, by name. */
  listCursors(prefix = "", options: ReadCursorOptions = {}): Promise<readonly Cursor[]> {
    return this.#call(listCursorsCall(prefix, options));
  }

  /** Forgets a cursor; with `expected` only when it is there. */
  deleteCursor(
    name: string,
    options: { readonly expected?: number; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    return this.#call(deleteCursorCall(name, options));
  }

  /**
   * From now on appends that name another `fencingToken` are refused; an empty token takes the
   * fence away. With `expected` only when that is the token now.
   */
  fence(
    token: string,
    options: { readonly expected?: string; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    return this.#call(fenceCall(token, options));
  }

  /**
   * Takes all records before `before` away from every reader; answers the offset of the first one
   * that is left. Needs the action `admin`.
   */
  trim(before: number, options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    return this.#call(trimCall(before, options.signal));
  }

  /**
   * Changes who the members are; resolves once the whole change is committed, which for an addition
   * is when the new member has caught up. Rejects with "change-refused" and the reason. Needs the
   * action `admin`.
   */
  changeMembership(
    change: MembershipChange,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    return this.#call(changeCall(change, options.signal));
  }

  /** Makes another voter lead, the most caught up when `to` is absent. */
  transferLeadership(
    options: { readonly to?: string; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    return this.#call(transferCall(options.to ?? null, options.signal));
  }

  /**
   * Makes the server `name`, which must be this client's only address, say good-bye by gossip and
   * stop. Remove it from the membership first.
   */
  leave(name: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#call(leaveCall(name, options.signal));
  }

  /** Declares a failed member gone; the leader then removes it. With `prune` it is forgotten. */
  forceLeave(
    name: string,
    options: { readonly prune?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    return this.#call(forceLeaveCall({ name, prune: options.prune ?? false }, options.signal));
  }

  /**
   * The keys by which one of the servers encrypts its gossip, after what was asked; of the given
   * one, when the client has one address only. The first key is in use.
   */
  gossipKeys(
    act: "list" | "install" | "use" | "remove",
    key = "",
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<readonly string[]> {
    return this.#call(gossipKeysCall({ act, key }, options.signal));
  }

  /**
   * The round trip between two members as one of the servers estimates it from their network
   * coordinates; `from` empty is the server that is asked. Rejects with "change-refused" when it
   * does not gossip, or does not know where one of them is.
   */
  roundTrip(
    from: string,
    to: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly from: string; readonly to: string; readonly micros: number }> {
    return this.#call(roundTripCall({ from, to }, options.signal));
  }

  /**
   * Tells all that gossip, by one of the servers, that something happened. Rejects with
   * "change-refused" and the reason. Needs the action `admin`.
   */
  sendEvent(event: GossipEvent, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#call(sendEventCall(event, options.signal));
  }

  /**
   * Asks all that gossip and match, by one of the servers; what comes of it as it comes, from
   * "begun" to "ended". Throws "change-refused" with the reason. Needs the action `admin`.
   */
  query(
    query: GossipQuery,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<AdminQueryNews, void> {
    return queryNews(this.#routes, query, options.signal ?? null);
  }

  /** Events and queries as one of the servers hears them by gossip from now on. */
  watchEvents(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<AdminHeard, void> {
    return heardTalk(this.#routes, options.signal ?? null);
  }

  /**
   * A copy of the log of one of the servers, file by file, up to an end that all lies before that
   * was acknowledged before the call; ends only once nothing is missing. Rejects with
   * "backup-ended" where the server had to give it up. Needs the action `admin`.
   */
  async *backup(
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<BackupEvent, void, undefined> {
    const { signal } = options;
    // Until it has begun, any other server may do it; from then on it is this one's.
    const begun = await this.#retry(this.#routes.toAny(), signal, async (channel, timeoutMs) => {
      const events = readBackup(channel, timeoutMs, signal);
      return { first: await events.next(), events };
    });
    if (begun.first.done !== true) yield begun.first.value;
    yield* begun.events;
  }

  /** The state of one of the servers: of the given one, when the client has one address only. */
  status(options: { readonly signal?: AbortSignal } = {}): Promise<ServerStatus> {
    return this.#call(statusCall(options.signal));
  }

  /** The servers as one of them knows them. */
  async servers(): Promise<readonly ServerInfo[]> {
    const list = await this.#retry(this.#routes.toAny(), undefined, (channel, timeoutMs) =>
      this.#routes.serversOf(channel, timeoutMs),
    );
    this.#routes.remember(list);
    return list.map(({ id, rpcAddr, isLeader }) => ({ id, address: rpcAddr, isLeader }));
  }

  /** Refuses what waits, gives up what is in flight, and closes the connections. */
  close(): void {
    const closed = new CairnError("closed", "the client was closed");
    this.#producer.close(closed);
    this.#routes.close();
  }

  #call<Result>({ leader, signal, isRepeatable, attempt }: Call<Result>): Promise<Result> {
    const route = leader ? this.#routes.toLeader() : this.#routes.toAny();
    const attemptThere = async (channel: Channel, timeoutMs: number) => {
      const result = await attempt(channel, timeoutMs);
      if (leader) this.#routes.succeeded(channel);
      return result;
    };
    return this.#retry(route, signal, attemptThere, isRepeatable);
  }

  /**
   * Tries again after any failure that may pass; for what must not be done twice only after those
   * that leave no doubt.
   */
  async #retry<Result>(
    route: Route,
    signal: AbortSignal | undefined,
    attempt: (channel: Channel, timeoutMs: number) => Promise<Result>,
    isRepeatable = true,
  ): Promise<Result> {
    const deadline = this.#time.now() + this.#options.timeoutMs;
    for (;;) {
      if (signal?.aborted === true) throw new CairnError("cancelled", "aborted");
      try {
        return await attempt(route.next(), this.#options.attemptTimeoutMs);
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
        const remedy = remedyOf(error);
        if (remedy === "retry-in-doubt" && !isRepeatable) throw inDoubt(error);
        if (remedy === "give-up" || this.#time.now() >= deadline) throw error;
        await route.failed(error);
      }
    }
  }
}

function newRecordOf(record: RecordToAppend): NewRecord {
  const { key, headers } = record;
  const value = bytesOf(record.value);
  if (key === undefined && headers === undefined) return { value };
  return {
    value,
    ...(key === undefined ? {} : { key: bytesOf(key) }),
    ...(headers === undefined ? {} : { headers: headers.map(headerOf) }),
  };
}

function headerOf(header: { name: string; value: Uint8Array | string }): RecordHeader {
  return { name: header.name, value: bytesOf(header.value) };
}

function bytesOf(value: Uint8Array | string): Uint8Array {
  return typeof value === "string" ? Buffer.from(value) : value;
}
