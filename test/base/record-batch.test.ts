// The records body: what goes in comes out, it is the protobuf message that proto/ says, and bytes
// that are no batch are refused.

import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";

import { crc32c } from "../../src/base/crc32c.ts";
import { FRAME_HEADER_BYTES } from "../../src/base/entry.ts";
import type { WallMs } from "../../src/base/ids.ts";
import { decodeBatch, draftOf, encodeBatch } from "../../src/base/record-batch.ts";

const header = fc.record({ name: fc.string({ unit: "binary" }), value: fc.uint8Array() });
const newRecord = fc.record(
  {
    value: fc.uint8Array({ maxLength: 300 }),
    key: fc.uint8Array(),
    headers: fc.array(header, { maxLength: 3 }),
    timestampDelta: fc.nat(2 ** 40),
  },
  { requiredKeys: ["value"] },
);
const batch = fc.array(newRecord, { minLength: 1, maxLength: 8 });

describe("a record batch", () => {
  test("comes back as it went in, in order", () => {
    fc.assert(
      fc.property(batch, (records) => {
        const decoded = decodeBatch(encodeBatch(records));
        expect(decoded).toEqual(
          records.map((record, ordinal) => ({
            offsetDelta: ordinal,
            timestampDelta: record.timestampDelta ?? 0,
            key: record.key ?? null,
            headers: (record.headers ?? []).map(({ name, value }) => ({
              name: new TextDecoder().decode(new TextEncoder().encode(name)),
              value,
            })),
            value: record.value,
          })),
        );
      }),
    );
  });

  test("is what a stock protobuf library reads with the published .proto", async () => {
    const root = await protobuf.load(
      new URL("../../proto/cairn/v1/batch.proto", import.meta.url).pathname,
    );
    const type = root.lookupType("cairn.v1.RecordBatch");
    fc.assert(
      fc.property(batch, (records) => {
        const message = type.toObject(type.decode(encodeBatch(records)), {
          bytes: Array,
          longs: Number,
          defaults: true,
        }) as { values: number[]; records: { length: number; offsetDelta: number }[] };
        const values = records.flatMap((record) => [...record.value]);
        expect(message.values).toEqual(values);
        expect(message.records.map((row) => row.length)).toEqual(
          records.map((record) => record.value.length),
        );
        expect(message.records.map((row) => row.offsetDelta)).toEqual(records.map((_, at) => at));
      }),
      { numRuns: 50 },
    );
  });

  test("that lost, gained or changed a byte is refused or read without leaving its bytes", () => {
    fc.assert(
      fc.property(batch, fc.nat(), fc.nat(255), (records, at, byte) => {
        const bytes = encodeBatch(records);
        const changed = bytes.slice();
        changed[at % bytes.length] = byte;
        for (const view of decodeBatch(changed) ?? []) {
          expect(view.value.length).toBeLessThanOrEqual(changed.length);
        }
        const cut = bytes.subarray(0, at % bytes.length);
        const read = decodeBatch(cut);
        if (read !== null) expect(read.every(({ value }) => value.length === 0)).toBe(true);
      }),
    );
    expect(decodeBatch(new Uint8Array(0))).toBeNull();
  });

  test("as a draft carries its checksum, its count and room for the frame header", () => {
    const value = new TextEncoder().encode("hello");
    const draft = draftOf([{ value }, { value }], 7 as WallMs, {
      producerId: 9,
      epoch: 1,
      sequence: 4,
    });
    expect(draft.count).toBe(2);
    expect(draft.bodyCrc).toBe(crc32c(draft.bytes.subarray(FRAME_HEADER_BYTES)));
    expect(draft.rawLength).toBe(draft.bytes.length - FRAME_HEADER_BYTES);
    expect(draft.bytes.subarray(0, FRAME_HEADER_BYTES).every((byte) => byte === 0)).toBe(true);
    expect([draft.producerId, draft.epoch, draft.sequence]).toEqual([9, 1, 4]);
  });
});
