// From committed entries to the records a client sees, by offset. Owns no reading.

import { bodyOf, type Entry } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import { decodeBatch, type RecordHeader } from "../base/record-batch.ts";

/** All bytes are views of the entry's frame. */
export interface ConsumedRecord {
  readonly offset: number;
  readonly value: Uint8Array;
  readonly key?: Uint8Array;
  readonly headers?: readonly RecordHeader[];
}

/** The records of `entry` at `from` and after, in order; a fault when its body cannot be read. */
export function recordsOf(entry: Entry, from: number): ConsumedRecord[] | Fault {
  if (entry.codec !== 0) return unreadable(entry, `packed with codec ${entry.codec}`);
  const views = decodeBatch(bodyOf(entry));
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
