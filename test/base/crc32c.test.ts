// The checksum of every format, against published vectors and a bit-by-bit slow version.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { crc32c } from "../../src/base/crc32c.ts";

function slowCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** Short ones, and ones that are long enough for sixteen bytes at a time, at any alignment. */
const anyBytes = fc
  .tuple(
    fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ minLength: 500, maxLength: 1200 })),
    fc.nat(15),
  )
  .map(([bytes, skipped]) => bytes.subarray(Math.min(skipped, bytes.length)));

describe("crc32c", () => {
  test("gives the vectors of RFC 3720 B.4", () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, at) => at))).toBe(0x46dd794e);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, at) => 31 - at))).toBe(0x113fdb5c);
  });

  test("agrees with the bit-by-bit version on any bytes, whole or in parts", () => {
    fc.assert(
      fc.property(anyBytes, fc.nat(1200), (bytes, cut) => {
        const at = Math.min(cut, bytes.length);
        expect(crc32c(bytes)).toBe(slowCrc32c(bytes));
        expect(crc32c(bytes.subarray(at), crc32c(bytes.subarray(0, at)))).toBe(crc32c(bytes));
        expect(crc32c(bytes, 0, at)).toBe(crc32c(bytes.subarray(at)));
      }),
    );
  });
});
