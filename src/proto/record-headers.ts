// A record's headers as a field of our messages: name and value, in both APIs the same bytes.

import type { RecordHeader } from "../base/record-batch.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { bytesLength, type MessageReader, putBytes, putLength } from "./fields.ts";

const HEADER_NAME = 0x0a;
const HEADER_VALUE = 0x12;
const HEADER_FIELDS = [HEADER_NAME, HEADER_VALUE];
const NO_BYTES: Uint8Array = new Uint8Array(0);

/** Bytes of all headers as fields with a one-byte tag. */
export function headersLength(headers: readonly RecordHeader[]): number {
  let length = 0;
  for (const header of headers) length += bytesLength(headerLength(header));
  return length;
}

function headerLength(header: RecordHeader): number {
  return bytesLength(encodeUtf8(header.name).length) + bytesLength(header.value.length);
}

/** Writes each header as a field of its own; returns the place after them. */
export function putHeaders(
  into: Uint8Array,
  from: number,
  tag: number,
  headers: readonly RecordHeader[],
): number {
  let at = from;
  for (const header of headers) {
    at = putLength(into, at, tag, headerLength(header));
    at = putBytes(into, at, HEADER_NAME, encodeUtf8(header.name));
    at = putBytes(into, at, HEADER_VALUE, header.value);
  }
  return at;
}

/** The header in the field just come to; its value is a view. */
export function readHeader(reader: MessageReader): RecordHeader {
  const fields = reader.message("Header", HEADER_FIELDS);
  let name = "";
  let value = NO_BYTES;
  for (let tag = fields.next(); tag !== 0; tag = fields.next()) {
    if (tag === HEADER_NAME) name = fields.string();
    else value = fields.bytes();
  }
  reader.close(fields);
  return { name, value };
}
