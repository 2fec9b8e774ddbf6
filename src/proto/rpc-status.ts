// google.rpc.Status and the details we use of google/rpc/error_details.proto, as they travel in the
// `grpc-status-details-bin` trailer. Owns their bytes; what a failure means is
// src/service/status.ts.

import { encodeUtf8 } from "../base/utf8.ts";
import {
  bytesLength,
  type Malformed,
  MessageReader,
  putBytes,
  putUint,
  uintLength,
} from "./fields.ts";

export type StatusDetail =
  | { readonly kind: "localized-message"; readonly locale: string; readonly message: string }
  | {
      readonly kind: "error-info";
      /** Stable, in upper case with underscores. */
      readonly reason: string;
      readonly domain: string;
      readonly metadata: Readonly<Record<string, string>>;
    }
  | { readonly kind: "retry-info"; readonly retryDelayMs: number };

export interface RpcStatus {
  readonly code: number;
  readonly message: string;
  /** Details of other types are left out. */
  readonly details: readonly StatusDetail[];
}

export const STATUS_DETAILS_TRAILER = "grpc-status-details-bin";

const TYPE_PREFIX = "type.googleapis.com/google.rpc.";
const STATUS_CODE = 0x08;
const STATUS_MESSAGE = 0x12;
const STATUS_DETAILS = 0x1a;
const ANY_TYPE = 0x0a;
const ANY_VALUE = 0x12;
const FIRST_TEXT = 0x0a;
const SECOND_TEXT = 0x12;
const INFO_METADATA = 0x1a;
const RETRY_DELAY = 0x0a;
const DURATION_SECONDS = 0x08;
const DURATION_NANOS = 0x10;

export function encodeRpcStatus(status: RpcStatus): Buffer {
  const parts = [uintField(STATUS_CODE, status.code), textField(STATUS_MESSAGE, status.message)];
  for (const detail of status.details) parts.push(field(STATUS_DETAILS, encodeAny(detail)));
  return Buffer.concat(parts);
}

function encodeAny(detail: StatusDetail): Buffer {
  if (detail.kind === "localized-message") {
    const value = [textField(FIRST_TEXT, detail.locale), textField(SECOND_TEXT, detail.message)];
    return anyOf("LocalizedMessage", value);
  }
  if (detail.kind === "error-info") {
    const value = [textField(FIRST_TEXT, detail.reason), textField(SECOND_TEXT, detail.domain)];
    for (const [name, text] of Object.entries(detail.metadata)) {
      const pair = [textField(FIRST_TEXT, name), textField(SECOND_TEXT, text)];
      value.push(field(INFO_METADATA, Buffer.concat(pair)));
    }
    return anyOf("ErrorInfo", value);
  }
  const seconds = Math.floor(detail.retryDelayMs / 1000);
  const nanos = Math.floor((detail.retryDelayMs % 1000) * 1e6);
  const duration = [uintField(DURATION_SECONDS, seconds), uintField(DURATION_NANOS, nanos)];
  return anyOf("RetryInfo", [field(RETRY_DELAY, Buffer.concat(duration))]);
}

function anyOf(type: string, value: readonly Buffer[]): Buffer {
  const typeField = textField(ANY_TYPE, TYPE_PREFIX + type);
  return Buffer.concat([typeField, field(ANY_VALUE, Buffer.concat(value))]);
}

function textField(tag: number, text: string): Buffer {
  return field(tag, encodeUtf8(text));
}

function field(tag: number, value: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(bytesLength(value.length));
  putBytes(bytes, 0, tag, value);
  return bytes;
}

function uintField(tag: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(uintLength(value));
  putUint(bytes, 0, tag, value);
  return bytes;
}

export function decodeRpcStatus(bytes: Uint8Array): RpcStatus | Malformed {
  const known = [STATUS_CODE, STATUS_MESSAGE, STATUS_DETAILS];
  const reader = MessageReader.over("google.rpc.Status", bytes, known);
  const details: StatusDetail[] = [];
  let code = 0;
  let message = "";
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === STATUS_CODE) code = reader.uint();
    else if (tag === STATUS_MESSAGE) message = reader.string();
    else {
      const detail = readAny(reader);
      if (detail !== null) details.push(detail);
    }
  }
  return reader.malformed ?? { code, message, details };
}

function readAny(reader: MessageReader): StatusDetail | null {
  const fields = reader.message("google.protobuf.Any", [ANY_TYPE, ANY_VALUE]);
  let type = "";
  let value: Uint8Array = new Uint8Array(0);
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === ANY_TYPE) type = fields.string();
    else value = fields.bytes();
  }
  const detail = readDetail(type, value, fields);
  reader.close(fields);
  return detail;
}

function readDetail(type: string, value: Uint8Array, outer: MessageReader): StatusDetail | null {
  if (type === `${TYPE_PREFIX}LocalizedMessage`) {
    const [locale, message] = readTexts(
      MessageReader.over(type, value, [FIRST_TEXT, SECOND_TEXT]),
      outer,
    );
    return { kind: "localized-message", locale, message };
  }
  if (type === `${TYPE_PREFIX}ErrorInfo`) return readErrorInfo(type, value, outer);
  if (type === `${TYPE_PREFIX}RetryInfo`) return readRetryInfo(type, value, outer);
  return null;
}

function readTexts(reader: MessageReader, outer: MessageReader): [string, string] {
  let first = "";
  let second = "";
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === FIRST_TEXT) first = reader.string();
    else second = reader.string();
  }
  outer.close(reader);
  return [first, second];
}

function readErrorInfo(type: string, value: Uint8Array, outer: MessageReader): StatusDetail {
  const fields = MessageReader.over(type, value, [FIRST_TEXT, SECOND_TEXT, INFO_METADATA]);
  let reason = "";
  let domain = "";
  const metadata: Record<string, string> = Object.create(null); // names are a stranger's
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === FIRST_TEXT) reason = fields.string();
    else if (tag === SECOND_TEXT) domain = fields.string();
    else {
      const pair = fields.message("metadata", [FIRST_TEXT, SECOND_TEXT]);
      const [name, text] = readTexts(pair, fields);
      metadata[name] = text;
    }
  }
  outer.close(fields);
  return { kind: "error-info", reason, domain, metadata };
}

function readRetryInfo(type: string, value: Uint8Array, outer: MessageReader): StatusDetail {
  const fields = MessageReader.over(type, value, [RETRY_DELAY]);
  let seconds = 0;
  let nanos = 0;
  while (fields.next() !== 0) {
    const duration = fields.message("Duration", [DURATION_SECONDS, DURATION_NANOS]);
    for (let tag = duration.next(); tag !== 0; tag = duration.next()) {
      if (tag === DURATION_SECONDS) seconds = duration.uint();
      else nanos = duration.uint32();
    }
    fields.close(duration);
  }
  outer.close(fields);
  return { kind: "retry-info", retryDelayMs: seconds * 1000 + Math.ceil(nanos / 1e6) };
}
