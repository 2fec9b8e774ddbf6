// The records of a run: each unlike any other, each able to say whether it was altered. Owns the
// bytes of a value: its id, filler made of it, and a checksum over both.

import { getU64, putU64, viewOf } from "../src/base/bytes.ts";
import { crc32c } from "../src/base/crc32c.ts";
import type { RecordId } from "./history.ts";

const ID_BYTES = 8;
const CRC_BYTES = 4;
const VALUE_BYTES_MIN = 16;

/** The value of a record; at least 16 bytes. */
function encodeValue(record: RecordId, bytes: number): Uint8Array {
  const value = new Uint8Array(Math.max(bytes, VALUE_BYTES_MIN)).fill(record & 0xff);
  const view = viewOf(value);
  putU64(view, 0, record);
  const end = value.length - CRC_BYTES;
  view.setUint32(end, crc32c(value, 0, 0, end));
  return value;
}

/** The id in a value; null when these are not the bytes of any record. */
function decodeValue(value: Uint8Array): RecordId | null {
  if (value.length < VALUE_BYTES_MIN) return null;
  const view = viewOf(value);
  const end = value.length - CRC_BYTES;
  if (view.getUint32(end) !== crc32c(value, 0, 0, end)) return null;
  for (let at = ID_BYTES; at < end; at++) if (value[at] !== value[ID_BYTES - 1]) return null;
  return getU64(view, 0);
}

/** What the clients of a run write: a value for each record, from which its id can be told. */
export interface RecordValues {
  /** Equal records give equal bytes; `bytes` is what the plan asks for, and may be ignored. */
  encode(record: RecordId, bytes: number): Uint8Array;
  /** Null for bytes that are no record's. */
  decode(value: Uint8Array): RecordId | null;
}

/** Values that mean nothing. */
export const PLAIN_VALUES: RecordValues = { encode: encodeValue, decode: decodeValue };
