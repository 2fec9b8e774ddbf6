// Whole numbers as bytes, with a view and without one.
import fc from "fast-check";
import { expect, test } from "vitest";
import { getU64, putU64, viewOf, writeU32, writeU64 } from "../../src/base/bytes.ts";

test("a number written without a view is the bytes that a view writes", () => {
  const property = fc.property(fc.maxSafeNat(), fc.nat(5), (number, at) => {
    const [plain, viewed] = [new Uint8Array(16), new Uint8Array(16)];
    writeU64(plain, at, number);
    putU64(viewOf(viewed), at, number);
    expect(plain).toEqual(viewed);
    expect(getU64(viewOf(plain), at)).toBe(number);
    writeU32(plain, at, number % 2 ** 32);
    viewOf(viewed).setUint32(at, number % 2 ** 32);
    expect(plain).toEqual(viewed);
  });
  fc.assert(property, { seed: 1 });
});
