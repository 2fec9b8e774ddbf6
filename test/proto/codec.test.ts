// The hand-written codec against protobufjs, which reads the same .proto files: whatever one writes
// the other reads, and no bytes at all make the decoders throw.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AppendRequest,
  decodeAppendRequest,
  decodeAppendResponse,
  decodeCheckTailResponse,
  encodeAppendRequest,
  encodeAppendResponse,
  encodeCheckTailResponse,
} from "../../src/proto/cairn-v1.ts";
import { Malformed } from "../../src/proto/fields.ts";
import {
  decodeConsumeRequest,
  decodeConsumeResponse,
  decodeEmptyRequest,
  decodeGetServersResponse,
  decodeProduceRequest,
  decodeProduceResponse,
  encodeConsumeRequest,
  encodeConsumeResponse,
  encodeGetServersResponse,
  encodeProduceRequest,
  encodeProduceResponse,
} from "../../src/proto/log-v1.ts";
import { decodeRpcStatus, encodeRpcStatus, type StatusDetail } from "../../src/proto/rpc-status.ts";
import {
  appendRequests,
  blobs,
  newRecords,
  offsets,
  plain,
  plainRecord,
  servers,
  texts,
  theirBytes,
  theirReading,
  theirRecord,
} from "./both-sides.ts";

describe("log.v1", () => {
  test("a produce request reads the same on both sides, whatever else the client set", () => {
    fc.assert(
      fc.property(blobs, offsets, offsets, fc.nat(), (value, offset, term, type) => {
        const ours = theirReading("log.v1.ProduceRequest", encodeProduceRequest(value));
        const record = ours["record"] as { value?: Uint8Array };
        expect(plain(record.value ?? new Uint8Array(0))).toEqual(plain(value));
        const theirs = theirBytes("log.v1.ProduceRequest", {
          record: { value, offset, term, type },
        });
        expect(plain(decodeProduceRequest(theirs) as Uint8Array)).toEqual(plain(value));
      }),
    );
  });

  test("offsets up to 2^53-1 read the same in all messages that hold one", () => {
    fc.assert(
      fc.property(offsets, (offset) => {
        for (const [type, encode, decode] of [
          ["log.v1.ProduceResponse", encodeProduceResponse, decodeProduceResponse],
          ["log.v1.ConsumeRequest", encodeConsumeRequest, decodeConsumeRequest],
        ] as const) {
          expect(theirReading(type, encode(offset))["offset"] ?? 0).toBe(offset);
          expect(decode(theirBytes(type, { offset }))).toBe(offset);
        }
        const tail = theirReading("cairn.v1.CheckTailResponse", encodeCheckTailResponse(offset));
        expect(tail["endOffset"] ?? 0).toBe(offset);
        const theirs = theirBytes("cairn.v1.CheckTailResponse", { endOffset: offset });
        expect(decodeCheckTailResponse(theirs)).toBe(offset);
      }),
    );
  });

  test("a consumed record travels in field 2 and shows neither term nor type", () => {
    fc.assert(
      fc.property(blobs, offsets, (value, offset) => {
        const bytes = encodeConsumeResponse({ value, offset });
        expect(bytes[0]).toBe((2 << 3) | 2);
        const record = theirReading("log.v1.ConsumeResponse", bytes)["record"] as {
          [field: string]: unknown;
        };
        expect(plain((record["value"] as Uint8Array) ?? [])).toEqual(plain(value));
        expect(record["offset"] ?? 0).toBe(offset);
        expect(record).not.toHaveProperty("term");
        expect(record).not.toHaveProperty("type");
        const theirs = theirBytes("log.v1.ConsumeResponse", { record: { value, offset } });
        const read = decodeConsumeResponse(theirs);
        if (read instanceof Malformed) throw new Error(read.what);
        expect({ value: plain(read.value), offset: read.offset }).toEqual({
          value: plain(value),
          offset,
        });
      }),
    );
  });

  test("a consumed record carries the key and the headers that it was appended with", () => {
    fc.assert(
      fc.property(newRecords, offsets, (record, offset) => {
        const bytes = encodeConsumeResponse({ ...record, offset });
        const theirs = theirReading("log.v1.ConsumeResponse", bytes)["record"] as {
          [field: string]: unknown;
        };
        expect("key" in theirs).toBe(record.key !== undefined);
        const theirHeaders = (theirs["headers"] ?? []) as { name?: string; value?: Uint8Array }[];
        expect(
          theirHeaders.map(({ name = "", value = new Uint8Array(0) }) => ({
            name,
            value: plain(value),
          })),
        ).toEqual((record.headers ?? []).map(({ name, value }) => ({ name, value: plain(value) })));
        const sent = { record: { ...record, offset } };
        const read = decodeConsumeResponse(theirBytes("log.v1.ConsumeResponse", sent));
        if (read instanceof Malformed) throw new Error(read.what);
        expect(read.key === undefined ? null : plain(read.key)).toEqual(
          record.key === undefined ? null : plain(record.key),
        );
        expect(
          (read.headers ?? []).map(({ name, value }) => ({ name, value: plain(value) })),
        ).toEqual((record.headers ?? []).map(({ name, value }) => ({ name, value: plain(value) })));
      }),
    );
  });

  test("the list of servers reads the same on both sides", () => {
    fc.assert(
      fc.property(fc.array(servers, { maxLength: 5 }), (list) => {
        const read = theirReading("log.v1.GetServersResponse", encodeGetServersResponse(list));
        const rows = (read["servers"] ?? []) as Record<string, unknown>[];
        const shown = rows.map((row) => ({ id: "", rpcAddr: "", isLeader: false, ...row }));
        expect(shown).toEqual(list);
        const theirs = theirBytes("log.v1.GetServersResponse", { servers: list });
        expect(decodeGetServersResponse(theirs)).toEqual(list);
      }),
    );
  });
});

describe("cairn.v1", () => {
  test("an append request reads the same on both sides", () => {
    fc.assert(
      fc.property(appendRequests, (request) => {
        const want = request.records.map(plainRecord);
        const read = theirReading("cairn.v1.AppendRequest", encodeAppendRequest(request));
        expect((read["records"] as Record<string, unknown>[]).map(theirRecord)).toEqual(want);
        expect(read["producerId"] ?? 0).toBe(request.producerId);
        expect(read["epoch"] ?? 0).toBe(request.epoch);
        expect(read["sequence"] ?? 0).toBe(request.sequence);
        expect(read["expectedEndOffset"] ?? null).toBe(request.expectedEndOffset);
        expect(read["fencingToken"] ?? null).toBe(request.fencingToken);
        const { expectedEndOffset, gzip, fencingToken, ...rest } = request;
        expect("gzip" in read ? plain(read["gzip"] as Uint8Array) : null).toEqual(
          gzip === null ? null : plain(gzip),
        );
        const theirs = theirBytes("cairn.v1.AppendRequest", {
          ...rest,
          ...(gzip === null ? {} : { gzip }),
          ...(fencingToken === null ? {} : { fencingToken }),
          ...(expectedEndOffset === null ? {} : { expectedEndOffset }),
        });
        const decoded = decodeAppendRequest(theirs);
        if (decoded instanceof Malformed) throw new Error(decoded.what);
        expect(decoded.records.map(plainRecord)).toEqual(want);
        const numbers = (of: AppendRequest) => {
          return { ...of, records: [], gzip: of.gzip === null ? null : plain(of.gzip) };
        };
        expect(numbers({ ...decoded, records: [] })).toEqual(numbers(request));
      }),
    );
  });

  test("an append response reads the same on both sides", () => {
    fc.assert(
      fc.property(offsets, offsets, fc.boolean(), (offset, term, duplicate) => {
        const response = { offset, term, duplicate };
        const read = theirReading("cairn.v1.AppendResponse", encodeAppendResponse(response));
        expect({ offset: 0, term: 0, duplicate: false, ...read }).toEqual(response);
        const theirs = theirBytes("cairn.v1.AppendResponse", response);
        expect(decodeAppendResponse(theirs)).toEqual(response);
      }),
    );
  });
});

describe("google.rpc.Status", () => {
  const names = fc.string({ minLength: 1, maxLength: 10 });
  const details: fc.Arbitrary<StatusDetail> = fc.oneof(
    fc.record({ kind: fc.constant("localized-message" as const), locale: names, message: texts }),
    fc.record({
      kind: fc.constant("error-info" as const),
      reason: names,
      domain: names,
      metadata: fc.dictionary(names, texts),
    }),
    fc.record({ kind: fc.constant("retry-info" as const), retryDelayMs: fc.nat(10_000_000) }),
  );

  test("a status with its details comes back as it was", () => {
    fc.assert(
      fc.property(
        fc.nat(1000),
        texts,
        fc.array(details, { maxLength: 4 }),
        (code, message, list) => {
          const read = decodeRpcStatus(encodeRpcStatus({ code, message, details: list }));
          if (read instanceof Malformed) throw new Error(read.what);
          expect(read.code).toBe(code);
          expect(read.message).toBe(message);
          expect(JSON.stringify(read.details)).toBe(JSON.stringify(list));
        },
      ),
    );
  });

  test("its bytes are those that Go's status package writes for the book's error", () => {
    const message = "The requested offset is outside of the log: 1";
    const status = encodeRpcStatus({
      code: 404,
      message: "offset out of range: 1",
      details: [{ kind: "localized-message", locale: "en-US", message }],
    });
    const any = "type.googleapis.com/google.rpc.LocalizedMessage";
    const detail = `\x0a\x05en-US\x12\x2d${message}`;
    const head = "\x08\u0094\x03\x12\x16offset out of range: 1\x1a\x69";
    const want = `${head}\x0a\x2f${any}\x12\x36${detail}`;
    expect(status.toString("latin1")).toBe(want);
  });
});

const decoders: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  decodeProduceRequest,
  decodeProduceResponse,
  decodeConsumeRequest,
  decodeConsumeResponse,
  decodeGetServersResponse,
  decodeEmptyRequest: (bytes) => decodeEmptyRequest("GetServersRequest", bytes),
  decodeAppendRequest,
  decodeAppendResponse,
  decodeCheckTailResponse,
  decodeRpcStatus,
};

describe("bytes from a stranger", () => {
  test.each(Object.entries(decoders))("never make %s throw", (_name, decode) => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void decode(bytes)));
  });

  test("a message with any one byte changed is read or refused, never thrown", () => {
    fc.assert(
      fc.property(appendRequests, fc.nat(), fc.nat(255), (request, at, byte) => {
        const bytes = encodeAppendRequest(request);
        bytes[at % bytes.length] = byte;
        decodeAppendRequest(bytes);
      }),
    );
  });

  test("a cut message is refused with its field and byte", () => {
    const whole = encodeProduceRequest(new Uint8Array(10));
    const cut = decodeProduceRequest(whole.subarray(0, 8));
    expect(cut).toEqual(
      new Malformed("ProduceRequest field 1, byte 2: the field is longer than the message"),
    );
  });

  test.each([
    ["a number above 2^53-1", [0x08, ...Array(9).fill(0xff), 0x01], "above 9007199254740991"],
    ["a field numbered 0", [0x02, 0x00], "a field number cannot be read"],
    ["a wire type that does not exist", [0x0f], "no known wire type"],
    ["an unknown field that is cut off", [0x7a, 0x05, 0x00], "cut off"],
  ])("%s is refused with a reason", (_what, bytes, reason) => {
    const read = decodeConsumeRequest(Uint8Array.from(bytes));
    if (!(read instanceof Malformed)) throw new Error("it was read");
    expect(read.what).toContain(reason);
    expect(read.what).toContain("ConsumeRequest");
  });

  test("unknown fields of every wire type are passed over", () => {
    const unknown = [0x78, 0x96, 0x01, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 1, 9, 0x7d, 1, 2, 3, 4];
    const known = [...encodeConsumeRequest(77)];
    expect(decodeConsumeRequest(Uint8Array.from([...unknown, ...known, ...unknown]))).toBe(77);
  });

  test("a produce request without a record is refused", () => {
    const read = decodeProduceRequest(new Uint8Array(0));
    expect(read).toEqual(new Malformed("ProduceRequest, byte 0: field 1, the record, is missing"));
  });

  test("an append beyond the bound of records or headers is refused", () => {
    const records = (count: number) =>
      new Uint8Array(count * 2).map((_, at) => (at % 2 ? 0 : 0x0a));
    const headers = (count: number) => {
      const length = [
        ((count * 2) & 127) | 128,
        (((count * 2) >> 7) & 127) | 128,
        (count * 2) >> 14,
      ];
      const fields = Array.from({ length: count }, () => [0x1a, 0]).flat();
      return Uint8Array.from([0x0a, ...length, ...fields]);
    };
    const reasonFor = (bytes: Uint8Array) => {
      const read = decodeAppendRequest(bytes);
      return read instanceof Malformed ? read.what : null;
    };
    expect(reasonFor(records(65_536))).toBeNull();
    expect(reasonFor(records(65_537))).toMatch(/^AppendRequest .*more than 65536 records$/);
    expect(reasonFor(headers(65_536))).toBeNull();
    expect(reasonFor(headers(65_537))).toMatch(/more than 65536 headers$/);
    const twice = headers(40_000);
    expect(reasonFor(Uint8Array.from([...twice, ...twice]))).toMatch(/more than 65536 headers$/);
  });

  test("a header name that is not UTF-8 is refused", () => {
    const bytes = Uint8Array.from([0x0a, 5, 0x1a, 3, 0x0a, 1, 0xff]);
    const read = decodeAppendRequest(bytes);
    if (!(read instanceof Malformed)) throw new Error("it was read");
    expect(read.what).toBe("Header field 1, byte 7: the text is not UTF-8");
  });
});
