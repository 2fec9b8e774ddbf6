// The messages of proto/cairn/v1/log.proto: their TypeScript shapes and their bytes, for both ends.
// The records of an append are views of the request; encoding copies them once.

import type { NewRecord, RecordHeader } from "../base/record-batch.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { putVarint, varintLength } from "../base/varint.ts";
import {
  bytesLength,
  type Malformed,
  MessageReader,
  putBytes,
  putLength,
  putUint,
  uintLength,
} from "./fields.ts";
import { headersLength, putHeaders, readHeader } from "./record-headers.ts";

export interface AppendRequest {
  readonly records: readonly NewRecord[];
  /** A gzip stream of an encoded RecordBatch, instead of records; null without. */
  readonly gzip: Uint8Array | null;
  readonly producerId: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly expectedEndOffset: number | null;
  /** Null: none is named. */
  readonly fencingToken: string | null;
}

export interface AppendResponse {
  readonly offset: number;
  readonly term: number;
  readonly duplicate: boolean;
}

const APPEND_RECORDS = 0x0a;
const APPEND_PRODUCER = 0x10;
const APPEND_EPOCH = 0x18;
const APPEND_SEQUENCE = 0x20;
const APPEND_EXPECTED = 0x28;
const APPEND_FENCE = 0x32;
const APPEND_GZIP = 0x3a;
const APPEND_FIELDS = [
  APPEND_RECORDS,
  APPEND_PRODUCER,
  APPEND_EPOCH,
  APPEND_SEQUENCE,
  APPEND_EXPECTED,
  APPEND_FENCE,
  APPEND_GZIP,
];
const RECORD_VALUE = 0x0a;
const RECORD_KEY = 0x12;
const RECORD_HEADERS = 0x1a;
const RECORD_FIELDS = [RECORD_VALUE, RECORD_KEY, RECORD_HEADERS];
const APPENDED_OFFSET = 0x08;
const APPENDED_TERM = 0x10;
const APPENDED_DUPLICATE = 0x18;
const APPENDED_FIELDS = [APPENDED_OFFSET, APPENDED_TERM, APPENDED_DUPLICATE];
const TAIL_END_OFFSET = 0x08;

/**
 * Two bytes of request make an object of a hundred: so many records, and so many headers, at most.
 */
export const APPEND_RECORDS_MAX = 65_536;

const NO_BYTES: Uint8Array = new Uint8Array(0);

export function encodeAppendRequest(request: AppendRequest): Buffer {
  const lengths = request.records.map(recordLength);
  const { expectedEndOffset: expected, gzip } = request;
  let total = uintLength(request.producerId) + uintLength(request.epoch);
  total += uintLength(request.sequence) + (expected === null ? 0 : 1 + varintLength(expected));
  for (const length of lengths) total += bytesLength(length);
  if (gzip !== null) total += bytesLength(gzip.length);
  const fence = request.fencingToken === null ? null : encodeUtf8(request.fencingToken);
  if (fence !== null) total += bytesLength(fence.length);
  const bytes = Buffer.allocUnsafe(total);
  let at = 0;
  for (const [ordinal, record] of request.records.entries()) {
    at = putLength(bytes, at, APPEND_RECORDS, lengths[ordinal] ?? 0);
    at = putRecord(bytes, at, record);
  }
  at = putUint(bytes, at, APPEND_PRODUCER, request.producerId);
  at = putUint(bytes, at, APPEND_EPOCH, request.epoch);
  at = putUint(bytes, at, APPEND_SEQUENCE, request.sequence);
  if (expected !== null) {
    bytes[at] = APPEND_EXPECTED;
    at = putVarint(bytes, at + 1, expected);
  }
  if (fence !== null) at = putBytes(bytes, at, APPEND_FENCE, fence);
  if (gzip !== null) putBytes(bytes, at, APPEND_GZIP, gzip);
  return bytes;
}

function recordLength(record: NewRecord): number {
  let length = record.value.length === 0 ? 0 : bytesLength(record.value.length);
  if (record.key !== undefined) length += bytesLength(record.key.length);
  return length + headersLength(record.headers ?? []);
}

function putRecord(bytes: Uint8Array, from: number, record: NewRecord): number {
  let at = from;
  if (record.value.length > 0) at = putBytes(bytes, at, RECORD_VALUE, record.value);
  if (record.key !== undefined) at = putBytes(bytes, at, RECORD_KEY, record.key);
  return putHeaders(bytes, at, RECORD_HEADERS, record.headers ?? []);
}

/** Views of `bytes`. Whether there is a record at all is for the service to say. */
export function decodeAppendRequest(bytes: Uint8Array): AppendRequest | Malformed {
  const reader = MessageReader.over("AppendRequest", bytes, APPEND_FIELDS);
  const records: NewRecord[] = [];
  let headers = 0;
  let producerId = 0;
  let epoch = 0;
  let sequence = 0;
  let expectedEndOffset: number | null = null;
  let gzip: Uint8Array | null = null;
  let fencingToken: string | null = null;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === APPEND_RECORDS) {
      const record = readRecord(reader);
      records.push(record);
      headers += record.headers?.length ?? 0;
      if (records.length > APPEND_RECORDS_MAX) reader.refuse(tooMany("records"));
      if (headers > APPEND_RECORDS_MAX) reader.refuse(tooMany("headers"));
    } else if (tag === APPEND_PRODUCER) producerId = reader.uint();
    else if (tag === APPEND_EPOCH) epoch = reader.uint32();
    else if (tag === APPEND_SEQUENCE) sequence = reader.uint();
    else if (tag === APPEND_GZIP) gzip = reader.bytes();
    else if (tag === APPEND_FENCE) fencingToken = reader.string();
    else expectedEndOffset = reader.uint();
  }
  const conditions = { expectedEndOffset, fencingToken };
  return reader.malformed ?? { records, gzip, producerId, epoch, sequence, ...conditions };
}

function tooMany(what: string): string {
  return `more than ${APPEND_RECORDS_MAX} ${what}`;
}

function readRecord(reader: MessageReader): NewRecord {
  const fields = reader.message("Record", RECORD_FIELDS);
  let value = NO_BYTES;
  let key: Uint8Array | null = null;
  let headers: RecordHeader[] | null = null;
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === RECORD_VALUE) value = fields.bytes();
    else if (tag === RECORD_KEY) key = fields.bytes();
    else {
      headers ??= [];
      headers.push(readHeader(fields));
      if (headers.length > APPEND_RECORDS_MAX) fields.refuse(tooMany("headers"));
    }
  }
  reader.close(fields);
  if (key === null && headers === null) return { value };
  return { value, ...(key === null ? {} : { key }), ...(headers === null ? {} : { headers }) };
}

export function encodeAppendResponse(response: AppendResponse): Buffer {
  const { offset, term } = response;
  const duplicate = response.duplicate ? 1 : 0;
  const bytes = Buffer.allocUnsafe(uintLength(offset) + uintLength(term) + uintLength(duplicate));
  let at = putUint(bytes, 0, APPENDED_OFFSET, offset);
  at = putUint(bytes, at, APPENDED_TERM, term);
  putUint(bytes, at, APPENDED_DUPLICATE, duplicate);
  return bytes;
}

export function decodeAppendResponse(bytes: Uint8Array): AppendResponse | Malformed {
  const reader = MessageReader.over("AppendResponse", bytes, APPENDED_FIELDS);
  let offset = 0;
  let term = 0;
  let duplicate = false;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === APPENDED_OFFSET) offset = reader.uint();
    else if (tag === APPENDED_TERM) term = reader.uint();
    else duplicate = reader.bool();
  }
  return reader.malformed ?? { offset, term, duplicate };
}

export function encodeCheckTailResponse(endOffset: number): Buffer {
  const bytes = Buffer.allocUnsafe(uintLength(endOffset));
  putUint(bytes, 0, TAIL_END_OFFSET, endOffset);
  return bytes;
}

export function decodeCheckTailResponse(bytes: Uint8Array): number | Malformed {
  const reader = MessageReader.over("CheckTailResponse", bytes, [TAIL_END_OFFSET]);
  let endOffset = 0;
  while (reader.next() !== 0) endOffset = reader.uint();
  return reader.malformed ?? endOffset;
}
