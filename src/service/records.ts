// From committed entries to the records a client sees, by offset. Owns no reading.

import { bodyOf, type Entry, GZIP_CODEC } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import { decodeBatch, type RecordHeader } from "../base/record-batch.ts";
import type { Packing } from "../ports/packing.ts";

/** All bytes are views of the entry's frame, or of what was unpacked from it. */
export interface ConsumedRecord {
  readonly offset: number;
  readonly value: Uint8Array;
  readonly key?: Uint8Array;
  readonly headers?: readonly RecordHeader[];
}

/** The records of `entry` at `from` and after, in order; a fault when its body cannot be read. */
export function recordsOf(entry: Entry, from: number, packing: Packing): ConsumedRecord[] | Fault {
  if (entry.codec > GZIP_CODEC) return unreadable(entry, `packed with codec ${entry.codec}`);
  const isPacked = entry.codec === GZIP_CODEC;
  const body = isPacked ? packing.unpack(bodyOf(entry), entry.rawLength) : bodyOf(entry);
  if (body === null) return unreadable(entry, "its body is not the gzip stream it is said to be");
  const views = decodeBatch(body);
  if (views === null) return unreadable(entry, "its body is not a record batch");
  const records: ConsumedRecord[] = [];
  for (const { offsetDelta, value, key, headers } of views) {
    const offset = entry.offset + offsetDelta;
    if (offset < from) continue;
    if (key === null && headers.length === 0) records.push({ offset, value });
    else records.push({ offset, value, ...(key === null ? {} : { key }), headers });
  }
  return records;
}

function unreadable(entry: Entry, what: string): Fault {
  return { code: "damaged", file: `entry ${entry.index}`, position: 0, what };
}
