// How long things take: whole numbers of the right mean and shape.

import { expect, test } from "vitest";

import { drawSpan } from "../../sim/spans.ts";
import { Prng } from "../../src/base/prng.ts";

test("drawn spans are whole, have the mean that was asked for, and a long tail", () => {
  const prng = new Prng("spans");
  const spans = Array.from({ length: 20_000 }, () => drawSpan(prng, 10_000));
  expect(spans.every((span) => Number.isInteger(span) && span >= 0)).toBe(true);
  const mean = spans.reduce((sum, span) => sum + span, 0) / spans.length;
  expect(Math.abs(mean - 10_000)).toBeLessThan(300);
  // Of an exponential distribution: half below 0.69 of the mean, one in 50 above 3.9 of it.
  const below = spans.filter((span) => span < 6_931).length / spans.length;
  expect(Math.abs(below - 0.5)).toBeLessThan(0.02);
  expect(Math.max(...spans)).toBeGreaterThan(50_000);
});

test("a drawn span of nothing is nothing", () => {
  expect(drawSpan(new Prng("spans"), 0)).toBe(0);
});
