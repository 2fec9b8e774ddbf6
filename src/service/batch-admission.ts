// From an append request to the draft of an entry, or to the fault that it meets: every bound on
// records, batches and producers that does not need the log. A packed batch is opened here once, to
// be checked, and stored as it came. Owns no access and no log.

import { crc32c } from "../base/crc32c.ts";
import { type Draft, FRAME_HEADER_BYTES, GZIP_CODEC } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import { isCount, type WallMs } from "../base/ids.ts";
import { decodeBatch, draftOf, type NewRecord, type RecordView } from "../base/record-batch.ts";
import type { Packing } from "../ports/packing.ts";

export interface AppendRequest {
  readonly records: readonly NewRecord[];
  /** A gzip stream of an encoded RecordBatch, instead of `records`; null without. */
  readonly gzip: Uint8Array | null;
  /** 0: not idempotent; epoch and sequence are 0 then. */
  readonly producerId: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly expectedEndOffset: number | null;
  /** Null: the writer names none, and is not fenced off. */
  readonly fencingToken: string | null;
}

export interface BatchBounds {
  /** One record: its value, key and headers together. */
  readonly recordBytesMax: number;
  /** The body of one batch, packed and unpacked. */
  readonly batchBytesMax: number;
}

/** 48 bits: what every client can draw at random without a 64-bit integer. */
const PRODUCER_ID_MAX = 2 ** 48 - 1;
const EPOCH_MAX = 0xffff_ffff;

export class BatchAdmission {
  readonly #bounds: BatchBounds;
  readonly #packing: Packing;

  constructor(bounds: BatchBounds, packing: Packing) {
    this.#bounds = bounds;
    this.#packing = packing;
  }

  /** The bytes are copied. `wall` is the clock of the moment. */
  draft(request: AppendRequest, wall: WallMs): Draft | Fault {
    if (request.gzip !== null) return this.#packedDraft(request, request.gzip, wall);
    const { records } = request;
    const misuse = this.#misuse(request, records.length) ?? this.#tooMuch(records);
    return misuse ?? draftOf(records, wall, request);
  }

  /** One record alone. */
  single(value: Uint8Array, wall: WallMs): Draft | Fault {
    const { recordBytesMax } = this.#bounds;
    if (value.length > recordBytesMax) return tooLarge(value.length, recordBytesMax);
    return draftOf([{ value }], wall);
  }

  #packedDraft(request: AppendRequest, gzip: Uint8Array, timestamp: WallMs): Draft | Fault {
    if (request.records.length > 0) return malformed("records and gzip: one of them, not both");
    const { batchBytesMax } = this.#bounds;
    const body = this.#packing.unpack(gzip, batchBytesMax);
    if (body === null) {
      return malformed(`gzip: not a gzip stream of at most ${batchBytesMax} bytes`);
    }
    const records = decodeBatch(body);
    if (records === null || !areConsecutive(records)) {
      return malformed("gzip: what it holds is not a RecordBatch with every offset_delta in turn");
    }
    const misuse = this.#misuse(request, records.length) ?? this.#tooMuch(records);
    if (misuse !== null) return misuse;
    const bytes = new Uint8Array(FRAME_HEADER_BYTES + gzip.length);
    bytes.set(gzip, FRAME_HEADER_BYTES);
    const { producerId, epoch, sequence } = request;
    return {
      kind: "records",
      codec: GZIP_CODEC,
      critical: true,
      count: records.length,
      timestamp,
      bodyCrc: crc32c(gzip),
      rawLength: body.length,
      producerId,
      epoch,
      sequence,
      bytes,
    };
  }

  #misuse({ producerId, epoch, sequence }: AppendRequest, count: number): Fault | null {
    if (count === 0) return malformed("records: at least one is needed");
    if (producerId === 0 && (epoch !== 0 || sequence !== 0)) {
      return malformed("epoch and sequence need a producer_id");
    }
    if (producerId > PRODUCER_ID_MAX) return malformed("producer_id: above 2^48-1");
    if (epoch > EPOCH_MAX) return malformed("epoch: above 2^32-1");
    if (!isCount(sequence + count)) return malformed("sequence: above 2^53-1");
    return null;
  }

  #tooMuch(records: readonly (NewRecord | RecordView)[]): Fault | null {
    const { recordBytesMax, batchBytesMax } = this.#bounds;
    let total = 0;
    for (const record of records) {
      const bytes = recordBytes(record);
      if (bytes > recordBytesMax) return tooLarge(bytes, recordBytesMax);
      total += bytes;
    }
    if (total > batchBytesMax)
      return malformed(`a batch of ${total} bytes, above ${batchBytesMax}`);
    return null;
  }
}

/** Offsets are the server's to give: a batch that comes packed has no gaps of its own. */
function areConsecutive(records: readonly RecordView[]): boolean {
  return records.every(({ offsetDelta }, ordinal) => offsetDelta === ordinal);
}

function recordBytes({ value, key, headers }: NewRecord | RecordView): number {
  let bytes = value.length + (key?.length ?? 0);
  for (const header of headers ?? []) bytes += header.name.length + header.value.length;
  return bytes;
}

function malformed(what: string): Fault {
  return { code: "malformed", what };
}

function tooLarge(bytes: number, bytesMax: number): Fault {
  return { code: "record-too-large", bytes, bytesMax };
}

/** Whether admission gave a draft. */
export function isDraft(admitted: Draft | Fault): admitted is Draft {
  return !("code" in admitted);
}
