// Network coordinates: the arithmetic by its formulas, who may move us, and that estimates come
// close to the round trips of a network that they were learnt from.

import fc from "fast-check";
import { expect, test } from "vitest";

import { freeze } from "../../src/base/bytes.ts";
import { type Micros, millis } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import {
  type Coordinate,
  decodeCoordinate,
  encodeCoordinate,
} from "../../src/gossip/coordinate.ts";
import { filtered, ORIGIN, roundTripBetween, Vivaldi } from "../../src/gossip/vivaldi.ts";
import { Fleet, seconds } from "./fleet.ts";

const fresh = (seed = "v") => new Vivaldi(new Prng(seed));
const at = (first: number, more: Partial<Coordinate> = {}): Coordinate => {
  return { ...ORIGIN, vector: [first, 0, 0, 0, 0, 0, 0, 0], ...more };
};
const micros = (count: number) => count as Micros;

test("a member that has measured nothing is at the origin, and not sure of it", () => {
  const { own, hasMoved } = fresh();
  expect(own).toEqual({
    adjustment: 0,
    error: 1.5,
    height: 1e-5,
    vector: [0, 0, 0, 0, 0, 0, 0, 0],
  });
  expect(hasMoved).toBe(false);
});

test("a distance is the way between both places, up one height and down the other", () => {
  const [a, b] = [at(0.1, { height: 0.02 }), at(0.4, { height: 0.03 })];
  expect(roundTripBetween(a, b)).toBe(350_000);
  const adjusted = { ...a, adjustment: -0.1 };
  expect(roundTripBetween(adjusted, b)).toBe(250_000);
  // What would be below nothing is not adjusted at all.
  expect(roundTripBetween({ ...a, adjustment: -0.4 }, b)).toBe(350_000);
});

test("a first round trip moves a member by the formula", () => {
  const vivaldi = fresh();
  // 100 ms away from where the other says it is: 0.20001 s of distance, and 0.3 s were measured.
  const other = at(0.2, { height: 0 });
  vivaldi.observe(other, millis(300));
  const { own } = vivaldi;
  const [apart, weight] = [0.20001, 0.5];
  const wrongness = (0.3 - apart) / 0.3;
  expect(own.error).toBeCloseTo(0.25 * weight * wrongness + 1.5 * (1 - 0.25 * weight), 12);
  const force = 0.25 * weight * (0.3 - apart);
  const height = (1e-5 * force) / 0.2 + 1e-5;
  const raw = 0.2 + force + height;
  const adjustment = (0.3 - raw) / 40;
  expect(own.adjustment).toBeCloseTo(adjustment, 12);
  // Gravity takes back a millionth of it.
  const pull = ((force + height + 1e-5 + adjustment) / 150) ** 2;
  expect(own.vector[0]).toBeCloseTo(-force + pull, 12);
  expect(own.vector.slice(1)).toEqual(Array(7).fill(0));
  expect(own.height).toBeCloseTo(Math.max(1e-5, height), 10);
});

test("an error neither grows beyond its bound, nor does a height fall below its own", () => {
  const vivaldi = fresh();
  vivaldi.observe(at(9, { error: 0 }), micros(1));
  expect(vivaldi.own.error).toBe(1.5);
  expect(vivaldi.own.height).toBeGreaterThanOrEqual(1e-5);
});

test("two in one place part in a direction that their stream draws", () => {
  const [one, again, other] = [fresh("a"), fresh("a"), fresh("b")];
  for (const vivaldi of [one, again, other]) vivaldi.observe(ORIGIN, millis(40));
  expect(one.own.vector).toEqual(again.own.vector);
  expect(one.own.vector).not.toEqual(other.own.vector);
  const length = Math.hypot(...one.own.vector);
  expect(length).toBeCloseTo(0.125 * (0.04 - 2e-5), 8);
});

test("of the last three round trips with a member the middle one counts", () => {
  const kept: number[] = [];
  const heard = [10, 900, 30, 20, 800, 700].map((latest) => filtered(kept, micros(latest)));
  expect(heard).toEqual([10, 900, 30, 30, 30, 700]);
  expect(kept).toEqual([20, 800, 700]);
});

test("the adjustment is half the mean of the last twenty errors of the space", () => {
  const vivaldi = fresh();
  const other = at(0.1, { error: 0 });
  const errors: number[] = [];
  for (let round = 0; round < 50; round++) {
    vivaldi.observe(other, millis(130));
    errors.push(vivaldi.own.adjustment);
  }
  // Once the space is right there is nothing left to adjust.
  const { own } = vivaldi;
  expect(roundTripBetween(own, other)).toBeGreaterThan(128_000);
  expect(roundTripBetween(own, other)).toBeLessThan(132_000);
  expect(Math.abs(errors.at(-1) ?? 1)).toBeLessThan(Math.abs(errors[5] ?? 0));
});

test("whatever others claim, a coordinate stays one that others take", () => {
  const place = fc.double({ min: -1000, max: 1000, noNaN: true });
  const claims = fc.record({
    adjustment: place,
    error: fc.double({ min: 0, max: 1.5, noNaN: true }),
    height: fc.double({ min: 0, max: 1000, noNaN: true }),
    vector: fc.array(place, { minLength: 8, maxLength: 8 }),
  });
  const observed = fc.array(fc.tuple(claims, fc.nat(10_000_000)), { maxLength: 40 });
  fc.assert(
    fc.property(observed, (rounds) => {
      const vivaldi = fresh();
      for (const [claim, span] of rounds) {
        vivaldi.observe(claim, micros(span));
        const { vector, adjustment, height, error } = vivaldi.own;
        expect([...vector, adjustment, height, error].every(Number.isFinite)).toBe(true);
      }
    }),
  );
});

test("what no measurements lead to is refused", () => {
  const good = at(0.5);
  const bad: Coordinate[] = [
    { ...good, error: -0.1 },
    { ...good, error: 1.6 },
    { ...good, height: -1e-5 },
    { ...good, adjustment: Number.NaN },
    { ...good, vector: [1e6, 0, 0, 0, 0, 0, 0, 0] },
    { ...good, vector: [Number.POSITIVE_INFINITY, 0, 0, 0, 0, 0, 0, 0] },
    { ...good, vector: [0, 0, 0] },
  ];
  expect(decodeCoordinate(encodeCoordinate(good))).toEqual(good);
  for (const coordinate of bad) expect(decodeCoordinate(encodeCoordinate(coordinate))).toBeNull();
  const other = encodeCoordinate(good).slice();
  other[0] = 2;
  expect(decodeCoordinate(freeze(other))).toBeNull();
});

/** Two sites of four members each: 2 ms within one, 82 ms between them. */
function twoSites(coordinates: boolean): Fleet {
  const fleet = new Fleet("sites");
  fleet.latencyMax = millis(2);
  for (let count = 1; count <= 8; count++) fleet.start(`n${count}`, { coordinates });
  const isFar = (from: string, to: string) => Number(from[1]) <= 4 !== Number(to[1]) <= 4;
  fleet.distance = (from, to) => (isFar(from, to) ? millis(40) : micros(0));
  for (const node of fleet.nodes.slice(1)) fleet.join(node, fleet.node("n1"));
  fleet.run(seconds(300));
  expect(fleet.isWhole()).toBe(true);
  return fleet;
}

test("members of two sites estimate the round trips within and between them", () => {
  const fleet = twoSites(true);
  for (const { name, gossip } of fleet.nodes) {
    for (const { name: other, options } of fleet.nodes) {
      if (other === name) continue;
      const between = gossip.roundTrip(fleet.node(name).options.self, options.self);
      const isFar = Number(name[1]) <= 4 !== Number(other[1]) <= 4;
      const [least, most] = isFar ? [70_000, 95_000] : [0, 15_000];
      expect(between, `${name} ${other}`).toBeGreaterThan(least);
      expect(between, `${name} ${other}`).toBeLessThan(most);
    }
  }
  // Between two others, as the one that is asked was told by each.
  const [a, b] = [fleet.node("n2"), fleet.node("n7")];
  const foretold = fleet.node("n1").gossip.roundTrip(a.options.self, b.options.self);
  expect(foretold).toBeGreaterThan(70_000);
  expect(foretold).toBeLessThan(95_000);
});

test("members whose coordinates are off tell none and know none", () => {
  const fleet = twoSites(false);
  const [one, two] = [fleet.node("n1"), fleet.node("n2")];
  expect(one.gossip.coordinateOf(one.options.self)).toBeNull();
  expect(one.gossip.roundTrip(one.options.self, two.options.self)).toBeNull();
});
