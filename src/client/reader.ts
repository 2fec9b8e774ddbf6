// Reading the log: one stream at a time from any server, taken up at the next offset elsewhere when
// it breaks or stalls. Owns order and back-pressure; whoever iterates sees each offset once,
// ascending.

import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { Malformed } from "../proto/fields.ts";
import { decodeConsumeResponse, encodeConsumeRequest, type LogRecord } from "../proto/log-v1.ts";
import type { Channel } from "./channel.ts";
import { CairnError, remedyOf } from "./errors.ts";
import type { Routes } from "./routes.ts";

export interface ReaderOptions {
  /** Gives up when no server gave a record for this long while there must be some. */
  readonly timeoutMs: number;
  /** Goes to another server when this one gives nothing for so long while there must be some. */
  readonly stallMs: number;
}

const CONSUME_PATH = "/log.v1.Log/ConsumeStream";
/** Records taken from gRPC ahead of the iteration; it pauses above. */
const AHEAD_MAX = 512;

/**
 * Records from `from` up to `end` (exclusive), or for ever when `end` is null. Ends early only by
 * throwing; `signal` ends it with a "cancelled" error.
 */
export async function* readRecords(
  routes: Routes,
  options: ReaderOptions,
  from: number,
  end: number | null,
  signal: AbortSignal | null,
): AsyncGenerator<LogRecord, void, undefined> {
  let next = from;
  let route = routes.toAny();
  let lastProgress = Date.now();
  while (end === null || next < end) {
    if (isAborted(signal)) throw aborted();
    try {
      const channel = route.next();
      const stallMs = end === null ? null : options.stallMs;
      for await (const record of streamFrom(channel, options, next, stallMs, signal)) {
        // A server may begin at the start of a batch, and a repeated record must not show.
        if (record.offset < next) continue;
        lastProgress = Date.now();
        route = routes.toAny();
        next = record.offset + 1;
        yield record;
        if (end !== null && next >= end) return;
      }
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      if (isAborted(signal)) throw aborted(error);
      const isLate = end !== null && Date.now() - lastProgress >= options.timeoutMs;
      if (routes.isClosed || remedyOf(error) === "give-up" || isLate) throw error;
      await route.failed(error);
    }
  }
}

function isAborted(signal: AbortSignal | null): boolean {
  return signal?.aborted === true;
}

function aborted(cause?: CairnError): CairnError {
  return new CairnError("cancelled", "read: aborted", { cause });
}

/** One stream; ends by throwing a CairnError, or when the iteration is left. */
async function* streamFrom(
  channel: Channel,
  options: ReaderOptions,
  from: number,
  stallMs: number | null,
  signal: AbortSignal | null,
): AsyncGenerator<LogRecord, void, undefined> {
  const call = await channel.stream(CONSUME_PATH, encodeConsumeRequest(from), options.stallMs);
  const arrivals = new Arrivals(call, channel, stallMs);
  const abort = () => call.cancel();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    for (;;) {
      const records = await arrivals.take();
      for (const record of records) yield record;
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    arrivals.stop();
    call.cancel();
  }
}

/** What came in from a stream, handed over in batches: one promise for many records. */
class Arrivals {
  readonly #call: ClientReadableStream<Buffer>;
  readonly #stallMs: number | null;
  #records: LogRecord[] = [];
  #error: CairnError | null = null;
  #wake: (() => void) | null = null;
  #stall: NodeJS.Timeout | null = null;

  constructor(call: ClientReadableStream<Buffer>, channel: Channel, stallMs: number | null) {
    this.#call = call;
    this.#stallMs = stallMs;
    call.on("data", (bytes: Buffer) => {
      const record = decodeConsumeResponse(bytes);
      if (record instanceof Malformed) {
        this.#end(new CairnError("unreachable", `${channel.address}: ${record.what}`));
        return;
      }
      this.#records.push(record);
      if (this.#records.length >= AHEAD_MAX) call.pause();
      this.#notify();
    });
    call.on("error", (error: ServiceError) => this.#end(channel.errorOf(error)));
    call.on("end", () => {
      this.#end(new CairnError("unreachable", `${channel.address}: the stream ended`));
    });
  }

  /** At least one record; throws how the stream ended once all were taken. */
  async take(): Promise<readonly LogRecord[]> {
    while (this.#records.length === 0) {
      if (this.#error !== null) throw this.#error;
      await this.#arrival();
    }
    const records = this.#records;
    this.#records = [];
    if (this.#call.isPaused()) this.#call.resume();
    return records;
  }

  stop(): void {
    if (this.#stall !== null) clearTimeout(this.#stall);
    this.#end(new CairnError("cancelled", "the stream was left"));
  }

  #arrival(): Promise<void> {
    if (this.#stallMs !== null) {
      const stalled = new CairnError("deadline-exceeded", "the server gives no records");
      this.#stall = setTimeout(() => this.#end(stalled), this.#stallMs);
    }
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #end(error: CairnError): void {
    this.#error ??= error;
    this.#notify();
  }

  #notify(): void {
    if (this.#stall !== null) clearTimeout(this.#stall);
    this.#stall = null;
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
