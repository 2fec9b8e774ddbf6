// The records of a run: each unlike any other, each able to say whether it was altered. Owns the
// bytes of a value: its id, filler made of it, and a checksum over both.

import { getU64, putU64, viewOf } from "../src/base/bytes.ts";
import { crc32c } from "../src/base/crc32c.ts";
import type { RecordId } from "./history.ts";

const ID_BYTES = 8;
const CRC_BYTES = 4;
const VALUE_BYTES_MIN = 16;

/** The value of a record; at least 16 bytes. */
export function encodeValue(record: RecordId, bytes: number): Uint8Array {
  const value = new Uint8Array(Math.max(bytes, VALUE_BYTES_MIN)).fill(record & 0xff);
  const view = viewOf(value);
  putU64(view, 0, record);
  const end = value.length - CRC_BYTES;
  view.setUint32(end, crc32c(value, 0, 0, end));
  return value;
}

/** The id in a value; null when these are not the bytes of any record. */
export function decodeValue(value: Uint8Array): RecordId | null {
  if (value.length < VALUE_BYTES_MIN) return null;
  const view = viewOf(value);
  const end = value.length - CRC_BYTES;
  if (view.getUint32(end) !== crc32c(value, 0, 0, end)) return null;
  for (let at = ID_BYTES; at < end; at++) if (value[at] !== value[ID_BYTES - 1]) return null;
  return getU64(view, 0);
}
