// The body of a "records" entry: a protobuf RecordBatch (proto/cairn/v1/batch.proto) with a table
// of what each record is, and one block with all values, so that a table can be read without its
// values. Owns the codec; what an entry is belongs to entry.ts. Control bodies are decoded once, at
// the edge.

import { assert } from "./assert.ts";
import { concat } from "./bytes.ts";
import { crc32c } from "./crc32c.ts";
import { type Draft, FRAME_HEADER_BYTES } from "./entry.ts";
import type { WallMs } from "./ids.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";
import { FieldReader, putVarint, varintLength } from "./varint.ts";

export interface RecordHeader {
  readonly name: string;
  readonly value: Uint8Array;
}

/** A record as a client hands it in. The bytes are copied into the batch. */
export interface NewRecord {
  readonly value: Uint8Array;
  readonly key?: Uint8Array;
  readonly headers?: readonly RecordHeader[];
  /** Milliseconds after the entry's timestamp; 0 when absent. */
  readonly timestampDelta?: number;
}

/** A record inside a batch. The bytes are views of the body. */
export interface RecordView {
  /** Added to the entry's offset. */
  readonly offsetDelta: number;
  readonly timestampDelta: number;
  readonly key: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
  readonly value: Uint8Array;
}

export interface ProducerStamp {
  readonly producerId: number;
  readonly epoch: number;
  readonly sequence: number;
}

const NO_PRODUCER: ProducerStamp = { producerId: 0, epoch: 0, sequence: 0 };

const TABLE_FIELD = 0x0a; // RecordBatch.records = 1, length-delimited
const VALUES_FIELD = 0x12; // RecordBatch.values = 2
const OFFSET_DELTA_FIELD = 0x08; // RecordEntry.offset_delta = 1
const TIMESTAMP_DELTA_FIELD = 0x10; // RecordEntry.timestamp_delta = 2
const KEY_FIELD = 0x1a; // RecordEntry.key = 3
const LENGTH_FIELD = 0x20; // RecordEntry.length = 4
const HEADERS_FIELD = 0x32; // RecordEntry.headers = 6
const HEADER_NAME_FIELD = 0x0a;
const HEADER_VALUE_FIELD = 0x12;

/**
 * A draft of one entry with these records, ready to be proposed: room for the frame header, then
 * the body. Throws when there are no records: an empty batch is refused before it comes here.
 */
export function draftOf(
  records: readonly NewRecord[],
  timestamp: WallMs,
  producer: ProducerStamp = NO_PRODUCER,
): Draft {
  assert(records.length > 0, "a batch holds at least one record");
  const bytes = encodeBatch(records, FRAME_HEADER_BYTES);
  return {
    kind: "records",
    codec: 0,
    critical: true,
    count: records.length,
    timestamp,
    bodyCrc: crc32c(bytes, 0, FRAME_HEADER_BYTES),
    rawLength: bytes.length - FRAME_HEADER_BYTES,
    producerId: producer.producerId,
    epoch: producer.epoch,
    sequence: producer.sequence,
    bytes,
  };
}

/** Encodes a batch behind `room` bytes of zeros, in one allocation. */
export function encodeBatch(records: readonly NewRecord[], room = 0): Uint8Array {
  let valuesLength = 0;
  let tableLength = 0;
  const rowLengths = new Array<number>(records.length);
  for (const [ordinal, record] of records.entries()) {
    valuesLength += record.value.length;
    const length = rowLength(record, ordinal);
    rowLengths[ordinal] = length;
    tableLength += 1 + varintLength(length) + length;
  }
  const total = room + tableLength + 1 + varintLength(valuesLength) + valuesLength;
  const bytes = new Uint8Array(total);
  let at = room;
  for (const [ordinal, record] of records.entries()) {
    bytes[at++] = TABLE_FIELD;
    at = putVarint(bytes, at, rowLengths[ordinal] as number);
    at = putRow(bytes, at, record, ordinal);
  }
  bytes[at++] = VALUES_FIELD;
  at = putVarint(bytes, at, valuesLength);
  for (const record of records) {
    bytes.set(record.value, at);
    at += record.value.length;
  }
  assert(at === total, "a batch must fill its bytes", at, total);
  return bytes;
}

function rowLength(record: NewRecord, ordinal: number): number {
  let length = 0;
  if (ordinal > 0) length += 1 + varintLength(ordinal);
  const delta = record.timestampDelta ?? 0;
  if (delta > 0) length += 1 + varintLength(delta);
  if (record.key !== undefined) {
    length += 1 + varintLength(record.key.length) + record.key.length;
  }
  if (record.value.length > 0) length += 1 + varintLength(record.value.length);
  for (const header of record.headers ?? []) {
    const inner = headerLength(header);
    length += 1 + varintLength(inner) + inner;
  }
  return length;
}

function putRow(bytes: Uint8Array, from: number, record: NewRecord, ordinal: number): number {
  let at = from;
  if (ordinal > 0) {
    bytes[at++] = OFFSET_DELTA_FIELD;
    at = putVarint(bytes, at, ordinal);
  }
  const delta = record.timestampDelta ?? 0;
  if (delta > 0) {
    bytes[at++] = TIMESTAMP_DELTA_FIELD;
    at = putVarint(bytes, at, delta);
  }
  if (record.key !== undefined) at = putBytes(bytes, at, KEY_FIELD, record.key);
  if (record.value.length > 0) {
    bytes[at++] = LENGTH_FIELD;
    at = putVarint(bytes, at, record.value.length);
  }
  for (const header of record.headers ?? []) {
    bytes[at++] = HEADERS_FIELD;
    at = putVarint(bytes, at, headerLength(header));
    at = putBytes(bytes, at, HEADER_NAME_FIELD, encodeUtf8(header.name));
    at = putBytes(bytes, at, HEADER_VALUE_FIELD, header.value);
  }
  return at;
}

function headerLength(header: RecordHeader): number {
  const name = encodeUtf8(header.name).length;
  const value = header.value.length;
  return 1 + varintLength(name) + name + 1 + varintLength(value) + value;
}

function putBytes(bytes: Uint8Array, from: number, tag: number, part: Uint8Array): number {
  let at = from;
  bytes[at++] = tag;
  at = putVarint(bytes, at, part.length);
  bytes.set(part, at);
  return at + part.length;
}

/**
 * The records of a batch in order, or null when the bytes are not a batch: a table whose lengths do
 * not add up to the values, deltas that do not grow, or anything that is cut off.
 */
export function decodeBatch(body: Uint8Array): RecordView[] | null {
  const rows: Row[] = [];
  const blocks: Uint8Array[] = [];
  const reader = new FieldReader(body);
  while (!reader.done) {
    const tag = reader.varint();
    if (tag === TABLE_FIELD) {
      const row = readRow(reader.nested());
      if (row === null) return null;
      rows.push(row);
    } else if (tag === VALUES_FIELD) blocks.push(reader.view());
    else reader.skip(tag & 7);
  }
  if (!reader.ok || rows.length === 0) return null;
  const values = blocks.length === 1 ? (blocks[0] as Uint8Array) : concat(blocks);
  return joinValues(rows, values);
}

interface Row {
  readonly offsetDelta: number;
  readonly timestampDelta: number;
  readonly key: Uint8Array | null;
  readonly length: number;
  readonly headers: readonly RecordHeader[];
}

const NO_HEADERS: readonly RecordHeader[] = [];

function readRow(reader: FieldReader): Row | null {
  let offsetDelta = 0;
  let timestampDelta = 0;
  let key: Uint8Array | null = null;
  let length = 0;
  let headers: RecordHeader[] | null = null;
  while (!reader.done) {
    const tag = reader.varint();
    if (tag === OFFSET_DELTA_FIELD) offsetDelta = reader.varint();
    else if (tag === TIMESTAMP_DELTA_FIELD) timestampDelta = reader.varint();
    else if (tag === KEY_FIELD) key = reader.view();
    else if (tag === LENGTH_FIELD) length = reader.varint();
    else if (tag === HEADERS_FIELD) {
      const header = readHeader(reader.nested());
      if (header === null) return null;
      headers = headers ?? [];
      headers.push(header);
    } else reader.skip(tag & 7);
  }
  if (!reader.ok) return null;
  return { offsetDelta, timestampDelta, key, length, headers: headers ?? NO_HEADERS };
}

function readHeader(reader: FieldReader): RecordHeader | null {
  let name: string | null = "";
  let value = reader.bytes.subarray(0, 0);
  while (!reader.done) {
    const tag = reader.varint();
    if (tag === HEADER_NAME_FIELD) name = decodeUtf8(reader.view());
    else if (tag === HEADER_VALUE_FIELD) value = reader.view();
    else reader.skip(tag & 7);
  }
  return reader.ok && name !== null ? { name, value } : null;
}

function joinValues(rows: readonly Row[], values: Uint8Array): RecordView[] | null {
  const records: RecordView[] = [];
  let at = 0;
  let before = -1;
  for (const row of rows) {
    if (row.offsetDelta <= before || row.length > values.length - at) return null;
    before = row.offsetDelta;
    records.push({
      offsetDelta: row.offsetDelta,
      timestampDelta: row.timestampDelta,
      key: row.key,
      headers: row.headers,
      value: values.subarray(at, at + row.length),
    });
    at += row.length;
  }
  return at === values.length ? records : null;
}
