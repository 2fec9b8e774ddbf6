// What the tests of the codecs share: arbitrary contents, and messages as protobufjs reads and
// writes them.

import fc from "fast-check";
import type { NewRecord } from "../../src/base/record-batch.ts";
import { messageType } from "./reference-proto.ts";

/** What protobufjs makes of `bytes`, with numbers for uint64, and absent fields left out. */
export function theirReading(type: string, bytes: Uint8Array): Record<string, unknown> {
  const message = messageType(type);
  return message.toObject(message.decode(bytes), { longs: Number, defaults: false });
}

export function theirBytes(type: string, fields: Record<string, unknown>): Uint8Array {
  const message = messageType(type);
  return message.encode(message.fromObject(fields)).finish();
}

export const offsets = fc.oneof(fc.nat(300), fc.maxSafeNat());
export const blobs = fc.uint8Array({ maxLength: 300 });
export const texts = fc.string({ unit: "grapheme", maxLength: 20 });
export const headers = fc.record({ name: texts, value: blobs });
export const newRecords: fc.Arbitrary<NewRecord> = fc.record(
  { value: blobs, key: blobs, headers: fc.array(headers, { minLength: 1, maxLength: 3 }) },
  { requiredKeys: ["value"] },
);
export const appendRequests = fc.record({
  records: fc.array(newRecords, { minLength: 1, maxLength: 5 }),
  gzip: fc.option(blobs, { nil: null }),
  producerId: offsets,
  epoch: fc.nat(0xffff),
  sequence: offsets,
  expectedEndOffset: fc.option(offsets, { nil: null }),
  fencingToken: fc.option(texts, { nil: null }),
});
export const servers = fc.record({ id: texts, rpcAddr: texts, isLeader: fc.boolean() });

export function plain(bytes: Uint8Array): number[] {
  return Array.from(bytes);
}

export function plainRecord(record: NewRecord): unknown {
  return {
    value: plain(record.value),
    key: record.key === undefined ? null : plain(record.key),
    headers: (record.headers ?? []).map(({ name, value }) => ({ name, value: plain(value) })),
  };
}

/** A record as protobufjs shows it, in the shape of plainRecord. */
export function theirRecord(record: Record<string, unknown>): unknown {
  const rows = (record["headers"] ?? []) as { name?: string; value?: Uint8Array }[];
  return {
    value: plain((record["value"] as Uint8Array | undefined) ?? new Uint8Array(0)),
    key: record["key"] === undefined ? null : plain(record["key"] as Uint8Array),
    headers: rows.map((row) => ({
      name: row.name ?? "",
      value: plain(row.value ?? new Uint8Array(0)),
    })),
  };
}
