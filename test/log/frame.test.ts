// The frame's bytes: one golden image, the round trip, and what happens to damaged ones.
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { InvariantViolation } from "../../src/base/assert.ts";
import { concat, putU64, viewOf } from "../../src/base/bytes.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import {
  decodeFrame,
  decodeHead,
  FRAME_HEADER_BYTES,
  FRAME_LIMITS,
  KIND_CODES,
  paddedLength,
  sealFrame,
} from "../../src/log/frame.ts";
import { fromHex, toHex } from "./hex.ts";

const BODY = new Uint8Array([0xca, 0x1f, 0x00, 0x2a, 0x07]);

const HEAD = {
  kind: "records",
  codec: 0,
  critical: true,
  index: 0x0102030405,
  term: 7,
  prevTerm: 6,
  offset: 0x0a0b0c0d0e,
  count: 3,
  timestamp: 1_763_674_741_000,
  bodyLength: BODY.length,
  bodyCrc: crc32c(BODY),
  rawLength: BODY.length,
  producerId: 0x1122334455,
  epoch: 9,
  sequence: 0x66778899,
} as EntryHead;

const GOLDEN = [
  "01028060" + "00000005" + "7618d926" + "bef403a0",
  "0000000102030405" + "0000000000000007" + "0000000000000006" + "0000000a0b0c0d0e",
  "0000019aa334d908" + "00000003" + "00000005",
  "0000001122334455" + "00000009" + "00000000" + "0000000066778899" + "0000000000000000",
  "ca1f002a07",
].join("");

function roomFor(body: Uint8Array): Uint8Array {
  return concat([new Uint8Array(FRAME_HEADER_BYTES), body]);
}

const whole = fc.maxSafeNat();
const unsigned32 = fc.integer({ min: 0, max: 0xffff_ffff });
const kinds = fc.constantFrom(
  // Bodies that are decoded where frames are read have rules of their own: test/base.
  ...(Object.keys(KIND_CODES) as Exclude<EntryHead["kind"], "unknown">[]).filter(
    (kind) => !["membership", "trim", "cursor", "fence", "digest"].includes(kind),
  ),
);
const sealed = fc
  .record({
    kind: kinds,
    codec: fc.constantFrom(0, 1),
    critical: fc.boolean(),
    index: whole,
    term: whole,
    prevTerm: whole,
    offset: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 0xffff_ffff }),
    count: unsigned32,
    timestamp: whole,
    producerId: whole,
    epoch: unsigned32,
    sequence: whole,
    rawLength: unsigned32,
    body: fc.uint8Array({ maxLength: 200 }),
  })
  .map(({ body, rawLength, ...numbers }) => {
    const head = {
      ...numbers,
      bodyLength: body.length,
      bodyCrc: crc32c(body),
      rawLength: numbers.codec === 0 ? body.length : rawLength,
    } as EntryHead;
    return { head, frame: sealFrame(head, roomFor(body)) };
  });

describe("a sealed frame", () => {
  test("has exactly the documented bytes", () => {
    expect(toHex(sealFrame(HEAD, roomFor(BODY)))).toBe(GOLDEN);
  });

  test("is sealed in place, so that the body is never copied", () => {
    const bytes = roomFor(BODY);
    expect(sealFrame(HEAD, bytes)).toBe(bytes);
  });

  test("without a body is allocated when no room was handed in", () => {
    const head = { ...HEAD, kind: "noop", bodyLength: 0, bodyCrc: 0, rawLength: 0 } as EntryHead;
    const frame = sealFrame(head, new Uint8Array(0));
    expect(frame.length).toBe(FRAME_HEADER_BYTES);
    expect(decodeFrame(frame, 0, FRAME_LIMITS)).toMatchObject({ kind: "entry", entry: head });
  });

  test("is refused as a bug when its head does not fit its body", () => {
    const wrong: Partial<EntryHead>[] = [
      { bodyLength: 4 },
      { rawLength: 6 },
      { count: -1 },
      { epoch: 2 ** 32 },
      { sequence: 0.5 },
      { codec: 2 },
      { kind: "unknown" },
    ];
    for (const change of wrong) {
      expect(() => sealFrame({ ...HEAD, ...change }, roomFor(BODY))).toThrow(InvariantViolation);
    }
  });
});

describe("decodeFrame", () => {
  test("reads back every head and body that can be sealed, anywhere in a buffer", () => {
    fc.assert(
      fc.property(
        sealed,
        fc.nat({ max: 40 }),
        fc.nat({ max: 40 }),
        ({ head, frame }, before, behind) => {
          const bytes = concat([new Uint8Array(before), frame, new Uint8Array(behind)]);
          const decoded = decodeFrame(bytes, before, FRAME_LIMITS);
          expect(decoded).toEqual({
            kind: "entry",
            entry: { ...head, frame },
            length: frame.length,
          });
        },
      ),
    );
  });

  test("asks for more while the frame is not whole, and never for less than it needs", () => {
    fc.assert(
      fc.property(sealed, fc.nat(), ({ frame }, cut) => {
        const held = cut % frame.length;
        const decoded = decodeFrame(frame.subarray(0, held), 0, FRAME_LIMITS);
        const needs = held < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : frame.length;
        expect(decoded).toEqual({ kind: "incomplete", needs });
      }),
    );
  });

  test("never takes a frame with any one byte changed for a whole one", () => {
    fc.assert(
      fc.property(
        sealed,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        ({ frame }, place, change) => {
          const bytes = frame.slice();
          const at = place % bytes.length;
          bytes[at] = (bytes[at] as number) ^ change;
          expect(decodeFrame(bytes, 0, FRAME_LIMITS).kind).toBe("malformed");
        },
      ),
    );
  });

  test("takes no arbitrary bytes for a frame, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 300 }), (bytes, at) => {
        expect(["incomplete", "malformed"]).toContain(decodeFrame(bytes, at, FRAME_LIMITS).kind);
      }),
    );
  });

  test("takes zeros for no frame", () => {
    expect(decodeFrame(new Uint8Array(200), 0, FRAME_LIMITS).kind).toBe("malformed");
  });

  test("refuses a body over the caller's limit before asking for its bytes", () => {
    const frame = sealFrame(HEAD, roomFor(BODY));
    const decoded = decodeFrame(frame.subarray(0, FRAME_HEADER_BYTES), 0, { bodyBytesMax: 4 });
    expect(decoded).toEqual({ kind: "malformed", what: "body of 5 bytes, 4 at most" });
  });
});

/**
 * GOLDEN with header bytes changed and its checksum made right again: what a newer node may write.
 */
function resealed(change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = fromHex(GOLDEN);
  change(bytes);
  const crc = crc32c(bytes, crc32c(bytes, 0, 0, 8), 12, FRAME_HEADER_BYTES);
  viewOf(bytes).setUint32(8, crc);
  return bytes;
}

describe("a frame of a newer version", () => {
  test("of an unknown critical kind is reported as unsupported, not as damage", () => {
    const bytes = resealed((frame) => {
      frame[1] = 77;
    });
    expect(decodeFrame(bytes, 0, FRAME_LIMITS)).toEqual({
      kind: "unsupported",
      what: "critical kind 77",
    });
  });

  test("of an unknown kind that is not critical is kept as it is", () => {
    const bytes = resealed((frame) => {
      frame[1] = 77;
      frame[2] = 0x05; // codec 5
    });
    const decoded = decodeFrame(bytes, 0, FRAME_LIMITS);
    expect(decoded).toMatchObject({ kind: "entry", entry: { kind: "unknown", codec: 5 } });
    if (decoded.kind === "entry") expect(decoded.entry.frame).toEqual(bytes);
  });

  test("with an unknown codec or a compacted batch is unsupported", () => {
    const codec = resealed((frame) => {
      frame[2] = 0x82;
    });
    const compacted = resealed((frame) => {
      frame[2] = 0xc0;
    });
    expect(decodeHead(codec, 0, FRAME_LIMITS)).toMatchObject({ what: "codec 2" });
    expect(decodeHead(compacted, 0, FRAME_LIMITS)).toMatchObject({ what: "compacted batch" });
  });

  test("with a number or a reserved bit out of range is malformed, whole as it is", () => {
    const cases: [string, (bytes: Uint8Array) => void][] = [
      ["index", (bytes) => bytes.fill(0xff, 16, 24)],
      ["offset", (bytes) => putU64(viewOf(bytes), 40, Number.MAX_SAFE_INTEGER)],
      ["timestamp", (bytes) => bytes.fill(0xff, 48, 56)],
      ["producer", (bytes) => bytes.fill(0xff, 64, 72)],
      ["reserved", (bytes) => bytes.fill(1, 76, 80)],
      ["reserved", (bytes) => bytes.fill(1, 88, 96)],
      ["raw length", (bytes) => bytes.fill(1, 60, 64)],
    ];
    for (const [word, change] of cases) {
      const decoded = decodeFrame(resealed(change), 0, FRAME_LIMITS);
      expect(decoded.kind).toBe("malformed");
      expect(decoded.kind === "malformed" && decoded.what).toContain(word);
    }
  });
});

test("padding brings every length to the next multiple of eight", () => {
  expect([0, 1, 8, 96, 97, 104].map(paddedLength)).toEqual([0, 8, 8, 96, 104, 104]);
});
