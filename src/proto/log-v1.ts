// The messages of proto/log/v1/log.proto: their TypeScript shapes and their bytes, for both ends.
// Encoders return a Buffer of its own for each message: gRPC keeps what it is handed.

import type { RecordHeader } from "../base/record-batch.ts";
import { encodeUtf8 } from "../base/utf8.ts";
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

/** A record as log.v1 shows it; its term and type belong to the book's Raft log and stay 0. */
export interface LogRecord {
  readonly offset: number;
  readonly value: Uint8Array;
  readonly key?: Uint8Array;
  readonly headers?: readonly RecordHeader[];
}

/** A member as GetServers shows it. */
export interface Server {
  readonly id: string;
  readonly rpcAddr: string;
  readonly isLeader: boolean;
}

const RECORD_VALUE = 0x0a;
const RECORD_OFFSET = 0x10;
const RECORD_KEY = 0x2a; // field 5
const RECORD_HEADERS = 0x3a; // field 7
const RECORD_FIELDS = [RECORD_VALUE, RECORD_OFFSET, RECORD_KEY, RECORD_HEADERS];
const PRODUCE_RECORD = 0x0a;
const OFFSET = 0x08; // field 1 of ProduceResponse and of ConsumeRequest
const CONSUMED_RECORD = 0x12; // field 2: 1 is not used
const LOGHOUSE_RECORD = 0x0a;
const SERVERS = 0x0a;
const SERVER_ID = 0x0a;
const SERVER_ADDRESS = 0x12;
const SERVER_IS_LEADER = 0x18;
const SERVER_FIELDS = [SERVER_ID, SERVER_ADDRESS, SERVER_IS_LEADER];

export const EMPTY_MESSAGE: Buffer = Buffer.alloc(0);

export function encodeProduceRequest(value: Uint8Array): Buffer {
  const length = value.length === 0 ? 0 : bytesLength(value.length);
  const bytes = Buffer.allocUnsafe(bytesLength(length));
  const at = putLength(bytes, 0, PRODUCE_RECORD, length);
  if (length > 0) putBytes(bytes, at, RECORD_VALUE, value);
  return bytes;
}

/** The value of the record, a view; whatever else a client may have set is ignored. */
export function decodeProduceRequest(bytes: Uint8Array): Uint8Array | Malformed {
  const reader = MessageReader.over("ProduceRequest", bytes, [PRODUCE_RECORD]);
  let value: Uint8Array | null = null;
  while (reader.next() !== 0) {
    const fields = reader.message("Record", [RECORD_VALUE]);
    value = EMPTY_MESSAGE;
    while (fields.next() !== 0) value = fields.bytes();
    reader.close(fields);
  }
  if (value === null) reader.refuse("field 1, the record, is missing");
  return reader.malformed ?? value ?? bytes.subarray(0, 0);
}

export function encodeProduceResponse(offset: number): Buffer {
  return encodeOffset(offset);
}

export function decodeProduceResponse(bytes: Uint8Array): number | Malformed {
  return decodeOffset("ProduceResponse", bytes);
}

export function encodeConsumeRequest(offset: number): Buffer {
  return encodeOffset(offset);
}

export function decodeConsumeRequest(bytes: Uint8Array): number | Malformed {
  return decodeOffset("ConsumeRequest", bytes);
}

function encodeOffset(offset: number): Buffer {
  const bytes = Buffer.allocUnsafe(uintLength(offset));
  putUint(bytes, 0, OFFSET, offset);
  return bytes;
}

function decodeOffset(name: string, bytes: Uint8Array): number | Malformed {
  const reader = MessageReader.over(name, bytes, [OFFSET]);
  let offset = 0;
  while (reader.next() !== 0) offset = reader.uint();
  return reader.malformed ?? offset;
}

/** `forLoghouse`: in field 1 as well, where that seed's clients look for it. */
export function encodeConsumeResponse(record: LogRecord, forLoghouse = false): Buffer {
  const length = recordLength(record);
  const once = bytesLength(length);
  const bytes = Buffer.allocUnsafe(forLoghouse ? 2 * once : once);
  if (forLoghouse) putRecord(bytes, putLength(bytes, 0, LOGHOUSE_RECORD, length), record);
  const at = putLength(bytes, bytes.length - once, CONSUMED_RECORD, length);
  putRecord(bytes, at, record);
  return bytes;
}

function recordLength({ value, offset, key, headers = [] }: LogRecord): number {
  const length = (value.length === 0 ? 0 : bytesLength(value.length)) + uintLength(offset);
  return length + (key === undefined ? 0 : bytesLength(key.length)) + headersLength(headers);
}

function putRecord(bytes: Buffer, begin: number, record: LogRecord): void {
  const { value, offset, key, headers = [] } = record;
  let at = begin;
  if (value.length > 0) at = putBytes(bytes, at, RECORD_VALUE, value);
  at = putUint(bytes, at, RECORD_OFFSET, offset);
  if (key !== undefined) at = putBytes(bytes, at, RECORD_KEY, key);
  putHeaders(bytes, at, RECORD_HEADERS, headers);
}

/** The value, key and headers are views of `bytes`. */
export function decodeConsumeResponse(bytes: Uint8Array): LogRecord | Malformed {
  const reader = MessageReader.over("ConsumeResponse", bytes, [CONSUMED_RECORD]);
  let record: LogRecord | null = null;
  while (reader.next() !== 0) record = readRecord(reader);
  if (record === null) reader.refuse("field 2, the record, is missing");
  return reader.malformed ?? record ?? { offset: 0, value: bytes.subarray(0, 0) };
}

function readRecord(reader: MessageReader): LogRecord {
  const fields = reader.message("Record", RECORD_FIELDS);
  let value: Uint8Array = EMPTY_MESSAGE;
  let offset = 0;
  let key: Uint8Array | null = null;
  let headers: RecordHeader[] | null = null;
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === RECORD_VALUE) value = fields.bytes();
    else if (tag === RECORD_OFFSET) offset = fields.uint();
    else if (tag === RECORD_KEY) key = fields.bytes();
    else {
      headers ??= [];
      headers.push(readHeader(fields));
    }
  }
  reader.close(fields);
  if (key === null && headers === null) return { offset, value };
  const some = { ...(key === null ? {} : { key }), ...(headers === null ? {} : { headers }) };
  return { offset, value, ...some };
}

export function encodeGetServersResponse(servers: readonly Server[]): Buffer {
  const parts: Buffer[] = [];
  for (const server of servers) {
    const fields = encodeServer(server);
    const part = Buffer.allocUnsafe(bytesLength(fields.length));
    putBytes(part, 0, SERVERS, fields);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function encodeServer(server: Server): Buffer {
  const id = encodeUtf8(server.id);
  const address = encodeUtf8(server.rpcAddr);
  const bytes = Buffer.allocUnsafe(bytesLength(id.length) + bytesLength(address.length) + 2);
  let at = putBytes(bytes, 0, SERVER_ID, id);
  at = putBytes(bytes, at, SERVER_ADDRESS, address);
  at = putUint(bytes, at, SERVER_IS_LEADER, server.isLeader ? 1 : 0);
  return bytes.subarray(0, at);
}

export function decodeGetServersResponse(bytes: Uint8Array): readonly Server[] | Malformed {
  const reader = MessageReader.over("GetServersResponse", bytes, [SERVERS]);
  const servers: Server[] = [];
  while (reader.next() !== 0) {
    const fields = reader.message("Server", SERVER_FIELDS);
    let id = "";
    let rpcAddr = "";
    let isLeader = false;
    for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
      if (tag === SERVER_ID) id = fields.string();
      else if (tag === SERVER_ADDRESS) rpcAddr = fields.string();
      else isLeader = fields.bool();
    }
    reader.close(fields);
    servers.push({ id, rpcAddr, isLeader });
  }
  return reader.malformed ?? servers;
}

/** For requests without fields: null when the bytes are a message at all. */
export function decodeEmptyRequest(name: string, bytes: Uint8Array): Malformed | null {
  const reader = MessageReader.over(name, bytes, []);
  reader.next();
  return reader.malformed;
}
