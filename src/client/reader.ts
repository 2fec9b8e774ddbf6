// Reading the log: one stream at a time from any server, taken up at the next offset elsewhere when
// it breaks or stalls. Owns order and back-pressure; whoever iterates sees each offset once,
// ascending.

import { gunzipSync } from "node:zlib";
import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import type { RecordHeader } from "../base/record-batch.ts";
import {
  decodeReadResponse,
  encodeReadRequest,
  type ReadBatch,
  recordsOfBatch,
} from "../proto/cairn-read.ts";
import { Malformed } from "../proto/fields.ts";
import type { Channel } from "./channel.ts";
import { CairnError, remedyOf } from "./errors.ts";
import type { Routes } from "./routes.ts";

export interface ReaderOptions {
  /** Gives up when no server gave a record for this long while there must be some. */
  readonly timeoutMs: number;
  /** Goes to another server when this one gives nothing for so long while there must be some. */
  readonly stallMs: number;
}

/** A record as it is in the log. The bytes are views of the message it came in. */
export interface ReadRecord {
  readonly offset: number;
  /** Milliseconds since 1970, the log's time: never goes back from record to record of a batch. */
  readonly timestampMs: number;
  readonly value: Uint8Array;
  readonly key?: Uint8Array;
  readonly headers?: readonly RecordHeader[];
}

const READ_PATH = "/cairn.v1.Log/ReadStream";
/** What is taken from gRPC ahead of the iteration; it pauses above either. */
const AHEAD_RECORDS_MAX = 4096;
const AHEAD_BYTES_MAX = 1024 * 1024;

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
): AsyncGenerator<ReadRecord, void, undefined> {
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
): AsyncGenerator<ReadRecord, void, undefined> {
  const request = encodeReadRequest({
    from: { kind: "offset", offset: from },
    bytesMax: 0,
    maxWaitMs: 0,
    consistency: "local",
    endOffset: null,
  });
  const call = await channel.stream(READ_PATH, request, options.stallMs);
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

/** What a gzip stream from a server may unpack to: above any batch that a server takes. */
const UNPACKED_BYTES_MAX = 1024 * 1024 * 1024;

/** Its body is empty, and so malformed, when it is no gzip stream. */
function unpacked(batch: ReadBatch): ReadBatch {
  try {
    return {
      ...batch,
      codec: 0,
      body: gunzipSync(batch.body, { maxOutputLength: UNPACKED_BYTES_MAX }),
    };
  } catch {
    return { ...batch, codec: 0, body: new Uint8Array(0) };
  }
}

/** What came in from a stream, handed over in batches: one promise for many records. */
class Arrivals {
  readonly #call: ClientReadableStream<Buffer>;
  readonly #stallMs: number | null;
  #records: ReadRecord[] = [];
  #bytes = 0;
  #error: CairnError | null = null;
  #wake: (() => void) | null = null;
  #stall: NodeJS.Timeout | null = null;

  constructor(call: ClientReadableStream<Buffer>, channel: Channel, stallMs: number | null) {
    this.#call = call;
    this.#stallMs = stallMs;
    call.on("data", (bytes: Buffer) => {
      const malformed = this.#arrived(bytes);
      if (malformed !== null) {
        this.#end(new CairnError("unreachable", `${channel.address}: ${malformed.what}`));
        return;
      }
      this.#bytes += bytes.length;
      const isAhead = this.#records.length >= AHEAD_RECORDS_MAX || this.#bytes >= AHEAD_BYTES_MAX;
      if (isAhead) call.pause();
      this.#notify();
    });
    call.on("error", (error: ServiceError) => this.#end(channel.errorOf(error)));
    call.on("end", () => {
      this.#end(new CairnError("unreachable", `${channel.address}: the stream ended`));
    });
  }

  #arrived(bytes: Buffer): Malformed | null {
    const response = decodeReadResponse(bytes);
    if (response instanceof Malformed) return response;
    for (const batch of response.batches) {
      const views = recordsOfBatch(batch.codec === 0 ? batch : unpacked(batch));
      if (views instanceof Malformed) return views;
      for (const { offsetDelta, timestampDelta, value, key, headers } of views) {
        this.#records.push({
          offset: batch.offset + offsetDelta,
          timestampMs: batch.timestampMs + timestampDelta,
          value,
          ...(key === null ? {} : { key }),
          ...(headers.length === 0 ? {} : { headers }),
        });
      }
    }
    return null;
  }

  /** At least one record; throws how the stream ended once all were taken. */
  async take(): Promise<readonly ReadRecord[]> {
    while (this.#records.length === 0) {
      if (this.#error !== null) throw this.#error;
      await this.#arrival();
    }
    const records = this.#records;
    this.#records = [];
    this.#bytes = 0;
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
