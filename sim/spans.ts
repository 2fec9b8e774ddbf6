// How long things take: drawn from a table of whole numbers, because a logarithm may differ between
// machines and a float must not decide anything. Owns the shape of delays, not their scale.

import type { Prng } from "../src/base/prng.ts";

/**
 * 64 quantiles of the exponential distribution, in thousandths of its mean (their own mean is
 * 1000): most are short, one in 64 is about five times the mean.
 */
const QUANTILES: readonly number[] = [
  8, 24, 40, 56, 73, 90, 107, 125, 143, 161, 179, 198, 217, 237, 257, 277, 298, 319, 341, 363, 386,
  409, 433, 458, 483, 508, 535, 562, 589, 618, 647, 678, 709, 741, 774, 809, 845, 882, 920, 960,
  1002, 1045, 1091, 1138, 1188, 1241, 1297, 1356, 1418, 1485, 1556, 1633, 1717, 1808, 1908, 2019,
  2144, 2287, 2454, 2655, 2906, 3243, 3753, 5197,
];

/** A drawn span with this mean, in the same unit, whole. */
export function drawSpan(prng: Prng, mean: number): number {
  return Math.floor((mean * (QUANTILES[prng.below(64)] as number)) / 1000);
}
