// Reading in batches, of proto/cairn/v1/log.proto: the shapes of ReadRequest and ReadResponse and
// their bytes, for both ends. A batch's body travels as it lies in the log: it is copied once, into
// the message, and read in place by the client.

import { decodeBatch, type RecordView } from "../base/record-batch.ts";
import { putVarint, varintLength } from "../base/varint.ts";
import { type Consistency, consistencyNumber, readConsistency } from "./consistency.ts";
import {
  bytesLength,
  Malformed,
  MessageReader,
  putBytes,
  putLength,
  putUint,
  uintLength,
} from "./fields.ts";

/** Where a read begins. */
export type ReadFrom =
  | { readonly kind: "offset"; readonly offset: number }
  /** The first record whose batch has this time or a later one; milliseconds since 1970. */
  | { readonly kind: "timestamp"; readonly timestampMs: number }
  | { readonly kind: "earliest" }
  /** After all that is committed: only what comes later. */
  | { readonly kind: "latest" }
  /** The last `count` records, or all when there are fewer. */
  | { readonly kind: "last"; readonly count: number };

export interface ReadRequest {
  readonly from: ReadFrom;
  /** Bytes of batches in one answer, 0 for the server's choice; one larger batch comes alone. */
  readonly bytesMax: number;
  /** How long to wait at the end for more, 0 not at all. */
  readonly maxWaitMs: number;
  readonly consistency: Consistency;
  /** Nothing at or after this offset is asked for; null without such an end. */
  readonly endOffset: number | null;
}

/** One entry of the log with records. `body` is the encoded RecordBatch, or packed, by `codec`. */
export interface ReadBatch {
  /** Of the first record in it, which may be before what was asked for. */
  readonly offset: number;
  readonly count: number;
  readonly timestampMs: number;
  /** 0: `body` is a RecordBatch as it is; 1: gzip of one. */
  readonly codec: number;
  readonly body: Uint8Array;
}

export interface ReadResponse {
  readonly batches: readonly ReadBatch[];
  readonly startOffset: number;
  readonly endOffset: number;
}

const FROM_OFFSET = 0x08;
const FROM_TIMESTAMP = 0x10;
const FROM_EARLIEST = 0x18;
const FROM_LATEST = 0x20;
const FROM_LAST = 0x28;
const BYTES_MAX = 0x30;
const MAX_WAIT = 0x38;
const CONSISTENCY = 0x40;
const END_OFFSET = 0x48;
const READ_FIELDS = [
  FROM_OFFSET,
  FROM_TIMESTAMP,
  FROM_EARLIEST,
  FROM_LATEST,
  FROM_LAST,
  BYTES_MAX,
  MAX_WAIT,
  CONSISTENCY,
  END_OFFSET,
];
const BATCHES = 0x0a;
const START_OFFSET = 0x10;
const RESPONSE_END_OFFSET = 0x18;
const RESPONSE_FIELDS = [BATCHES, START_OFFSET, RESPONSE_END_OFFSET];
const BATCH_OFFSET = 0x08;
const BATCH_COUNT = 0x10;
const BATCH_TIMESTAMP = 0x18;
const BATCH_RECORDS = 0x22;
const BATCH_GZIP = 0x2a;
const BATCH_FIELDS = [BATCH_OFFSET, BATCH_COUNT, BATCH_TIMESTAMP, BATCH_RECORDS, BATCH_GZIP];
const NO_BYTES: Uint8Array = new Uint8Array(0);

function fromField(from: ReadFrom): readonly [tag: number, value: number] {
  switch (from.kind) {
    case "offset":
      return [FROM_OFFSET, from.offset];
    case "timestamp":
      return [FROM_TIMESTAMP, from.timestampMs];
    case "earliest":
      return [FROM_EARLIEST, 1];
    case "latest":
      return [FROM_LATEST, 1];
    case "last":
      return [FROM_LAST, from.count];
  }
}

export function encodeReadRequest(request: ReadRequest): Buffer {
  const [tag, value] = fromField(request.from);
  const consistency = consistencyNumber(request.consistency);
  const { bytesMax, maxWaitMs, endOffset } = request;
  let length = 1 + varintLength(value) + uintLength(bytesMax) + uintLength(maxWaitMs);
  length += uintLength(consistency) + (endOffset === null ? 0 : 1 + varintLength(endOffset));
  const bytes = Buffer.allocUnsafe(length);
  // A place of a oneof is written even when it is 0.
  bytes[0] = tag;
  let at = putVarint(bytes, 1, value);
  at = putUint(bytes, at, BYTES_MAX, bytesMax);
  at = putUint(bytes, at, MAX_WAIT, maxWaitMs);
  at = putUint(bytes, at, CONSISTENCY, consistency);
  if (endOffset !== null) {
    bytes[at] = END_OFFSET;
    putVarint(bytes, at + 1, endOffset);
  }
  return bytes;
}

export function decodeReadRequest(bytes: Uint8Array): ReadRequest | Malformed {
  const reader = MessageReader.over("ReadRequest", bytes, READ_FIELDS);
  let from: ReadFrom = { kind: "earliest" };
  let bytesMax = 0;
  let maxWaitMs = 0;
  let consistency: Consistency = "local";
  let endOffset: number | null = null;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === FROM_OFFSET) from = { kind: "offset", offset: reader.uint() };
    else if (tag === FROM_TIMESTAMP) from = { kind: "timestamp", timestampMs: reader.uint() };
    else if (tag === FROM_EARLIEST) from = readFlag(reader, "earliest");
    else if (tag === FROM_LATEST) from = readFlag(reader, "latest");
    else if (tag === FROM_LAST) from = { kind: "last", count: reader.uint() };
    else if (tag === BYTES_MAX) bytesMax = reader.uint32();
    else if (tag === MAX_WAIT) maxWaitMs = reader.uint32();
    else if (tag === CONSISTENCY) consistency = readConsistency(reader);
    else endOffset = reader.uint();
  }
  return reader.malformed ?? { from, bytesMax, maxWaitMs, consistency, endOffset };
}

function readFlag(reader: MessageReader, kind: "earliest" | "latest"): ReadFrom {
  if (!reader.bool()) reader.refuse(`${kind} is true or left out`);
  return { kind };
}

export function encodeReadResponse(response: ReadResponse): Buffer {
  const { batches, startOffset, endOffset } = response;
  const lengths = batches.map(batchLength);
  let length = uintLength(startOffset) + uintLength(endOffset);
  for (const inner of lengths) length += bytesLength(inner);
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for (const [ordinal, batch] of batches.entries()) {
    at = putLength(bytes, at, BATCHES, lengths[ordinal] ?? 0);
    at = putUint(bytes, at, BATCH_OFFSET, batch.offset);
    at = putUint(bytes, at, BATCH_COUNT, batch.count);
    at = putUint(bytes, at, BATCH_TIMESTAMP, batch.timestampMs);
    at = putBytes(bytes, at, batch.codec === 0 ? BATCH_RECORDS : BATCH_GZIP, batch.body);
  }
  at = putUint(bytes, at, START_OFFSET, startOffset);
  putUint(bytes, at, RESPONSE_END_OFFSET, endOffset);
  return bytes;
}

function batchLength({ offset, count, timestampMs, body }: ReadBatch): number {
  const numbers = uintLength(offset) + uintLength(count) + uintLength(timestampMs);
  return numbers + bytesLength(body.length);
}

/** The bodies are views of `bytes`. */
export function decodeReadResponse(bytes: Uint8Array): ReadResponse | Malformed {
  const reader = MessageReader.over("ReadResponse", bytes, RESPONSE_FIELDS);
  const batches: ReadBatch[] = [];
  let startOffset = 0;
  let endOffset = 0;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === BATCHES) batches.push(readBatch(reader));
    else if (tag === START_OFFSET) startOffset = reader.uint();
    else endOffset = reader.uint();
  }
  return reader.malformed ?? { batches, startOffset, endOffset };
}

function readBatch(reader: MessageReader): ReadBatch {
  const fields = reader.message("Batch", BATCH_FIELDS);
  let [offset, count, timestampMs, codec] = [0, 0, 0, 0];
  let body = NO_BYTES;
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === BATCH_OFFSET) offset = fields.uint();
    else if (tag === BATCH_COUNT) count = fields.uint32();
    else if (tag === BATCH_TIMESTAMP) timestampMs = fields.uint();
    else {
      codec = tag === BATCH_GZIP ? 1 : 0;
      body = fields.bytes();
    }
  }
  reader.close(fields);
  return { offset, count, timestampMs, codec, body };
}

/** The records of a batch whose body is unpacked; views of it. */
export function recordsOfBatch({ offset, count, body }: ReadBatch): RecordView[] | Malformed {
  const records = decodeBatch(body);
  if (records === null || records.length !== count) {
    return new Malformed(`the batch at offset ${offset} is not one of ${count} records`);
  }
  return records;
}
