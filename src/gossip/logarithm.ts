// Logarithms as exact whole numbers: a decision must come out the same on every machine, and the
// last bit of Math.log need not. Owns the arithmetic; what it is for is in formulas.ts.

import { assert } from "../base/assert.ts";

/** The least e with 10^e >= count; 0 for count <= 1. */
export function ceilLog10(count: number): number {
  let exponent = 0;
  for (let power = 1; power < count; power *= 10) exponent += 1;
  return exponent;
}

/** The least e with 2^e >= count; 0 for count <= 1. */
export function ceilLog2(count: number): number {
  let exponent = 0;
  for (let power = 1; power < count; power *= 2) exponent += 1;
  return exponent;
}

/**
 * 1000 x log10(count), rounded down; count >= 1. The thousandth power of a number has one digit
 * more than its logarithm says.
 */
export function thousandLog10(count: number): number {
  assert(Number.isSafeInteger(count) && count >= 1, "a logarithm of a count from 1", count);
  return power(BigInt(count), 1000).toString().length - 1;
}

/**
 * span x ln(part) / ln(whole), rounded up; 1 <= part <= whole, whole >= 2, span >= 0. Where both
 * are powers of one number the quotient is a fraction. Elsewhere it is irrational, so that bounds
 * from above and below agree on the rounding once they are near enough.
 */
export function ceilShareOfLog(span: bigint, part: number, whole: number): bigint {
  assert(part >= 1 && whole >= 2 && part <= whole, "a share is at most one", part, whole);
  if (part === 1) return 0n;
  const a = rootOf(part);
  const b = rootOf(whole);
  if (a.root === b.root) return ceilQuotient(span * BigInt(a.exponent), BigInt(b.exponent));
  for (let bits = 64; ; bits *= 2) {
    const above = floorLog2(whole, bits);
    const below = floorLog2(part, bits);
    const least = ceilQuotient(span * below, above + 1n);
    const most = ceilQuotient(span * (below + 1n), above);
    if (least === most) return least;
  }
}

function ceilQuotient(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}

function power(base: bigint, exponent: number): bigint {
  let result = 1n;
  for (let bit = base, rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= bit;
    bit *= bit;
  }
  return result;
}

/** `count` as a power of the least number it is a power of; count >= 2. */
function rootOf(count: number): { readonly root: number; readonly exponent: number } {
  for (let root = 2; root * root <= count; root++) {
    let exponent = 1;
    let value = root;
    for (; value < count; value *= root) exponent += 1;
    if (value === count) return { root, exponent };
  }
  return { root: count, exponent: 1 };
}

/**
 * 2^bits x log2(count), rounded down; count >= 2. Bit after bit: the square of a number between
 * one and two has twice its logarithm. Each squaring doubles what rounding has lost so far, which
 * therefore begins 2 x bits below the last bit that decides.
 */
function floorLog2(count: number, bits: number): bigint {
  const whole = BigInt(count.toString(2).length - 1);
  const scale = BigInt(3 * bits);
  const two = 2n << scale;
  let mantissa = (BigInt(count) << scale) >> whole;
  let logarithm = whole;
  for (let bit = 0; bit < bits; bit++) {
    mantissa = (mantissa * mantissa) >> scale;
    logarithm <<= 1n;
    if (mantissa < two) continue;
    mantissa >>= 1n;
    logarithm += 1n;
  }
  return logarithm;
}
