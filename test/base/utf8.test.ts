// UTF-8 without TextEncoder, against TextEncoder.

import fc from "fast-check";
import { expect, test } from "vitest";

import { decodeUtf8, encodeUtf8 } from "../../src/base/utf8.ts";

test("any string encodes as TextEncoder does, and comes back", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(encodeUtf8(text)).toEqual(new TextEncoder().encode(text));
      expect(decodeUtf8(encodeUtf8(text))).toBe(text);
    }),
  );
});

test("bytes are a string exactly when TextDecoder says so", () => {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const decodeStrictly = (bytes: Uint8Array): string | null => {
    try {
      return strict.decode(bytes);
    } catch {
      return null;
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6 }), (bytes) => {
      expect(decodeUtf8(bytes)).toBe(decodeStrictly(bytes));
    }),
    { numRuns: 3000 },
  );
});
