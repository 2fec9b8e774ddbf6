// Streams of chance: equal seeds, equal streams; forks that shift nobody; no bias.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Prng } from "../../src/base/prng.ts";

const draws = (prng: Prng, count: number) => Array.from({ length: count }, () => prng.uint32());

describe("a stream of chance", () => {
  test("is the same for the same seed, today and in a year", () => {
    expect(draws(new Prng("42"), 5)).toEqual(draws(new Prng("42"), 5));
    expect(draws(new Prng("42"), 5)).not.toEqual(draws(new Prng("43"), 5));
    expect(draws(new Prng("golden"), 4)).toEqual([1095689102, 782979631, 1935827774, 100210424]);
  });

  test("is not moved by a fork, nor by what a fork draws", () => {
    const alone = new Prng("s");
    const parent = new Prng("s");
    const child = parent.fork("child");
    draws(child, 10);
    expect(draws(parent, 5)).toEqual(draws(alone, 5));
    expect(draws(new Prng("s").fork("child"), 5)).toEqual(draws(new Prng("s/child"), 5));
  });

  test("draws whole numbers inside its bounds, each about equally often", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 50 }), (seed, bound) => {
        const prng = new Prng(seed);
        for (let at = 0; at < 20; at++) {
          const drawn = prng.below(bound);
          expect(Number.isInteger(drawn) && drawn >= 0 && drawn < bound).toBe(true);
        }
      }),
    );
    const counts = [0, 0, 0, 0, 0, 0];
    const prng = new Prng("dice");
    for (let at = 0; at < 6000; at++) {
      const face = prng.below(6);
      counts[face] = (counts[face] ?? 0) + 1;
    }
    for (const count of counts) expect(count).toBeGreaterThan(800);
  });

  test("shuffles into a permutation of the same items", () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.integer()), (seed, items) => {
        const shuffled = new Prng(seed).shuffled(items);
        expect(shuffled.slice().sort()).toEqual(items.slice().sort());
      }),
    );
  });
});
