// Appends that are neither doubled nor reordered: one batch in flight, numbered, tried again until
// its fate is known. Appends that wait meanwhile become the next batch. Owns sequences and epochs;
// where an attempt goes is the routes' business.
//
// How doubt ends. An attempt without an answer may have happened: it is repeated with the same
// sequence, and the server answers a repetition with the first offset. When time is up and there
// was any doubt, the caller is told that the outcome is unknown, and the next batch begins a new
// epoch: once that is in the log, the doubtful batch can no longer come in behind it.

import { randomInt } from "node:crypto";
import { gzipSync } from "node:zlib";
import { encodeBatch, type NewRecord } from "../base/record-batch.ts";
import {
  type AppendResponse,
  decodeAppendResponse,
  encodeAppendRequest,
} from "../proto/cairn-v1.ts";
import { CairnError, remedyOf } from "./errors.ts";
import type { Pause, Routes } from "./routes.ts";

/** Time as the client uses it between attempts; tests own it. */
export interface ClientTime {
  now(): number;
  readonly pause: Pause;
}

export interface ProducerOptions {
  /** A batch is sent again and again for this long; the last attempt has its own time. */
  readonly timeoutMs: number;
  /** One attempt is given up after this long. */
  readonly attemptTimeoutMs: number;
  /** Appends that wait are joined up to these bounds; a larger single append goes alone. */
  readonly batchBytesMax: number;
  readonly batchRecordsMax: number;
  /** A batch that is not full waits so long for more; 0 not at all. */
  readonly lingerMs: number;
  /** Bytes of appends that wait before more are refused. */
  readonly queueBytesMax: number;
  readonly compression: "none" | "gzip";
}

export interface AppendOptions {
  /** Appends only when the log ends exactly here. Such an append is never joined with others. */
  readonly expectedEndOffset?: number;
  /** Appends only while the log is not fenced with another token. Goes alone likewise. */
  readonly fencingToken?: string;
  /** Stops waiting. What was sent already may be in the log: see `isOutcomeUnknown`. */
  readonly signal?: AbortSignal;
}

export interface AppendResult {
  /** Of the first record; the others follow without a gap. */
  readonly offset: number;
  readonly count: number;
  readonly term: number;
}

/** What happened so far, in numbers. */
export interface ProducerCounts {
  /** Attempts whose outcome was not known when they ended. */
  readonly unknownOutcomes: number;
  /** Attempts after the first, of any batch. */
  readonly retries: number;
  /** Batches found in the log by a retry: each would have been doubled without its sequence. */
  readonly duplicates: number;
  readonly batches: number;
  readonly records: number;
}

/** What an append asks of the log; one that asks for something is never joined with others. */
interface Conditions {
  readonly expectedEndOffset: number | null;
  readonly fencingToken: string | null;
}

const NO_CONDITIONS: Conditions = { expectedEndOffset: null, fencingToken: null };

function isConditional({ conditions }: Waiting): boolean {
  return conditions.expectedEndOffset !== null || conditions.fencingToken !== null;
}

/** One append on its way; settles once. */
class Waiting {
  readonly records: readonly NewRecord[];
  readonly bytes: number;
  readonly conditions: Conditions;
  readonly promise: Promise<AppendResult>;
  #resolve: (result: AppendResult) => void = () => {};
  #reject: (error: CairnError) => void = () => {};

  constructor(records: readonly NewRecord[], conditions: Conditions) {
    this.records = records;
    this.bytes = records.reduce((sum, record) => sum + bytesOf(record), 0);
    this.conditions = conditions;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Called when nobody listens to the signal any more. */
  settled: () => void = () => {};

  resolve(result: AppendResult): void {
    this.settled();
    this.#resolve(result);
  }

  reject(error: CairnError): void {
    this.settled();
    this.#reject(error);
  }
}

const PRODUCER_ID_END = 2 ** 48 - 1;
const APPEND_PATH = "/cairn.v1.Log/Append";

export class Producer {
  readonly #routes: Routes;
  readonly #options: ProducerOptions;
  readonly #time: ClientTime;
  #id = randomInt(1, PRODUCER_ID_END);
  #epoch = 0;
  #sequence = 0;
  #queue: Waiting[] = [];
  #queueBytes = 0;
  #queueRecords = 0;
  /** When the first of those that wait came. */
  #oldestMs = 0;
  #stopLingering: () => void = () => undefined;
  #running = false;
  #inFlight: readonly Waiting[] = [];
  #closed: CairnError | null = null;
  readonly counts = { unknownOutcomes: 0, retries: 0, duplicates: 0, batches: 0, records: 0 };

  constructor(routes: Routes, options: ProducerOptions, time: ClientTime) {
    this.#routes = routes;
    this.#options = options;
    this.#time = time;
  }

  /** The bytes of the records must not change until the promise settles. */
  append(records: readonly NewRecord[], options: AppendOptions): Promise<AppendResult> {
    const { expectedEndOffset = null, fencingToken = null } = options;
    const waiting = new Waiting(records, { expectedEndOffset, fencingToken });
    const { signal } = options;
    const refusal = this.#refusal(waiting, signal);
    if (refusal !== null) return Promise.reject(refusal);
    if (signal !== undefined) {
      const abort = () => this.#abandon(waiting);
      signal.addEventListener("abort", abort, { once: true });
      waiting.settled = () => signal.removeEventListener("abort", abort);
    }
    if (this.#queue.length === 0) this.#oldestMs = this.#time.now();
    this.#queue.push(waiting);
    this.#queueBytes += waiting.bytes;
    this.#queueRecords += records.length;
    if (this.#isWorthSending) this.#stopLingering();
    if (!this.#running) void this.#run();
    return waiting.promise;
  }

  close(error: CairnError): void {
    this.#closed = error;
    this.#stopLingering();
    for (const waiting of this.#takeAll()) waiting.reject(error);
    for (const waiting of this.#inFlight) waiting.reject(inDoubt(error));
  }

  #refusal({ records, bytes }: Waiting, signal: AbortSignal | undefined): CairnError | null {
    if (this.#closed !== null) return this.#closed;
    if (records.length === 0) return new CairnError("malformed", "append: at least one record");
    if (signal?.aborted === true) return new CairnError("cancelled", "append: aborted, not sent");
    if (this.#queueBytes > 0 && this.#queueBytes + bytes > this.#options.queueBytesMax) {
      const what = `${this.#queueBytes} bytes of appends are waiting: await some first`;
      return new CairnError("overloaded", what);
    }
    return null;
  }

  #abandon(waiting: Waiting): void {
    const at = this.#queue.indexOf(waiting);
    if (at < 0) {
      waiting.reject(inDoubt(new CairnError("cancelled", "append: aborted, sent already")));
      return;
    }
    this.#queue.splice(at, 1);
    this.#taken(waiting);
    waiting.reject(new CairnError("cancelled", "append: aborted, not sent"));
  }

  async #run(): Promise<void> {
    this.#running = true;
    try {
      // One turn of the event loop's microtasks: appends made together become one batch.
      await Promise.resolve();
      while (this.#queue.length > 0) {
        await this.#linger();
        if (this.#queue.length > 0) await this.#deliver(this.#takeBatch());
      }
    } finally {
      this.#running = false;
    }
  }

  /** Until the first of those that wait has waited long enough, or they are worth sending. */
  async #linger(): Promise<void> {
    const leftMs = this.#oldestMs + this.#options.lingerMs - this.#time.now();
    if (leftMs <= 0 || this.#isWorthSending) return;
    const stopped = new Promise<void>((resolve) => {
      this.#stopLingering = resolve;
    });
    await Promise.race([this.#time.pause(leftMs), stopped]);
    this.#stopLingering = () => undefined;
  }

  /** A full batch, or one that others cannot join. */
  get #isWorthSending(): boolean {
    const { batchBytesMax, batchRecordsMax } = this.#options;
    const isFull = this.#queueBytes >= batchBytesMax || this.#queueRecords >= batchRecordsMax;
    return isFull || this.#queue.some(isConditional);
  }

  #taken({ bytes, records }: Waiting): void {
    this.#queueBytes -= bytes;
    this.#queueRecords -= records.length;
  }

  #takeAll(): Waiting[] {
    this.#queueBytes = 0;
    this.#queueRecords = 0;
    return this.#queue.splice(0);
  }

  /** At least one append; more while they fit and none has a condition. */
  #takeBatch(): Waiting[] {
    const { batchBytesMax, batchRecordsMax } = this.#options;
    let bytes = 0;
    let records = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      bytes += waiting.bytes;
      records += waiting.records.length;
      const fits = bytes <= batchBytesMax && records <= batchRecordsMax;
      if (count > 0 && (!fits || isConditional(waiting))) break;
      count++;
      if (isConditional(waiting)) break;
    }
    const batch = this.#queue.splice(0, count);
    for (const waiting of batch) this.#taken(waiting);
    return batch;
  }

  async #deliver(batch: readonly Waiting[]): Promise<void> {
    this.#inFlight = batch;
    try {
      this.#delivered(batch, await this.#send(batch));
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      // One bad append must not take the others with it: each is tried alone, in order.
      if (batch.length > 1 && !error.isOutcomeUnknown && isAboutRecords(error)) {
        for (const waiting of batch) await this.#deliver([waiting]);
      } else for (const waiting of batch) waiting.reject(error);
    } finally {
      this.#inFlight = [];
    }
  }

  #delivered(batch: readonly Waiting[], response: AppendResponse): void {
    const { term } = response;
    let { offset } = response;
    this.counts.batches++;
    if (response.duplicate) this.counts.duplicates++;
    for (const waiting of batch) {
      const count = waiting.records.length;
      this.counts.records += count;
      this.#sequence += count;
      waiting.resolve({ offset, count, term });
      offset += count;
    }
  }

  /** Tries until the batch is answered for good, or time is up. */
  async #send(batch: readonly Waiting[]): Promise<AppendResponse> {
    const records = batch.flatMap((waiting) => waiting.records);
    const conditions = batch[0]?.conditions ?? NO_CONDITIONS;
    const deadline = this.#time.now() + this.#options.timeoutMs;
    const route = this.#routes.toLeader();
    let isDoubtful = false;
    let request = this.#encode(records, conditions);
    for (let attempt = 0; ; attempt++) {
      if (attempt > 0) this.counts.retries++;
      const outcome = await this.#attempt(route, request);
      if (!(outcome instanceof CairnError)) return outcome;
      if (outcome.code === "sequence-gap" && !isDoubtful && this.#sequence > 0) {
        // Forgotten after a long silence, and nothing of this batch was ever in doubt.
        this.#renew();
        request = this.#encode(records, conditions);
        continue;
      }
      const remedy = remedyOf(outcome);
      if (remedy === "retry-in-doubt") {
        isDoubtful = true;
        this.counts.unknownOutcomes++;
      }
      const isOver = remedy === "give-up" || this.#closed !== null || this.#time.now() >= deadline;
      if (isOver) throw isDoubtful ? this.#endInDoubt(outcome) : outcome;
      await route.failed(outcome);
    }
  }

  async #attempt(
    route: ReturnType<Routes["toLeader"]>,
    request: Buffer,
  ): Promise<AppendResponse | CairnError> {
    try {
      const channel = route.next();
      const timeoutMs = this.#options.attemptTimeoutMs;
      const response = await channel.call(APPEND_PATH, request, decodeAppendResponse, timeoutMs);
      this.#routes.succeeded(channel);
      return response;
    } catch (error) {
      if (error instanceof CairnError) return error;
      throw error;
    }
  }

  #encode(records: readonly NewRecord[], conditions: Conditions): Buffer {
    const [producerId, epoch, sequence] = [this.#id, this.#epoch, this.#sequence];
    const gzip = this.#options.compression === "gzip" ? packed(records) : null;
    const request = { producerId, epoch, sequence, ...conditions };
    if (gzip === null) return encodeAppendRequest({ records, gzip, ...request });
    return encodeAppendRequest({ records: [], gzip, ...request });
  }

  #endInDoubt(error: CairnError): CairnError {
    this.#epoch++;
    this.#sequence = 0;
    return inDoubt(error);
  }

  #renew(): void {
    this.#id = randomInt(1, PRODUCER_ID_END);
    this.#epoch = 0;
    this.#sequence = 0;
  }
}

/** Refusals for something in the records: other appends in the same batch may be fine. */
function isAboutRecords(error: CairnError): boolean {
  return error.code === "record-too-large" || error.code === "malformed";
}

/** Below this a gzip header costs more than it saves. */
const PACKED_BYTES_MIN = 256;

/** A gzip stream of the batch; null when the batch is smaller as it is. */
function packed(records: readonly NewRecord[]): Uint8Array | null {
  const plain = encodeBatch(records);
  if (plain.length < PACKED_BYTES_MIN) return null;
  const gzip = gzipSync(plain, { level: 1 });
  return gzip.length < plain.length ? gzip : null;
}

function inDoubt(error: CairnError): CairnError {
  const message = `outcome unknown, the records may be in the log: ${error.message}`;
  const { facts, code } = error;
  const said = code === "closed" || code === "cancelled" ? code : "outcome-unknown";
  return new CairnError(said, message, { facts, isOutcomeUnknown: true, cause: error });
}

function bytesOf(record: NewRecord): number {
  let bytes = record.value.length + (record.key?.length ?? 0) + 16;
  for (const { name, value } of record.headers ?? []) bytes += name.length + value.length;
  return bytes;
}
