// Majority arithmetic: tables, and properties against a slow version that counts instead of
// sorting.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { electionOutcome, majorityOf, reachedByMajority } from "../../src/raft/quorum.ts";

/** The largest value that more than half of the voters are at or above, by trying each. */
function reachedByCounting(values: readonly number[]): number {
  let best = 0;
  for (const candidate of values) {
    let voters = 0;
    for (const value of values) if (value >= candidate) voters += 1;
    if (voters * 2 > values.length && candidate > best) best = candidate;
  }
  return best;
}

describe("a majority", () => {
  test.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
    [6, 4],
    [7, 4],
  ])("of %i voters is %i", (voters, majority) => {
    expect(majorityOf(voters)).toBe(majority);
  });

  test.each<[number[], number]>([
    [[], 0],
    [[12], 12],
    [[12, 5], 5],
    [[12, 0], 0],
    [[101, 104, 103], 103],
    [[101, 104, 103, 103, 0], 103],
    [[5, 5, 5, 0, 0], 5],
    [[9, 8, 1, 1], 1],
    [[9, 8, 7, 1], 7],
    [[100, 0, 0], 0],
  ])("of %j has reached %i", (values, reached) => {
    expect(reachedByMajority(values)).toBe(reached);
  });

  test("reaches what counting says it reaches", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 11 }), (values) => {
        expect(reachedByMajority(values)).toBe(reachedByCounting(values));
      }),
      { seed: 1, numRuns: 1000 },
    );
  });

  test("leaves the given values in their order", () => {
    const values = [3, 1, 2];
    reachedByMajority(values);
    expect(values).toEqual([3, 1, 2]);
  });

  test("overlaps with every other majority of the same voters", () => {
    for (let voters = 1; voters <= 9; voters++) {
      expect(2 * majorityOf(voters)).toBeGreaterThan(voters);
      expect(2 * (majorityOf(voters) - 1)).toBeLessThanOrEqual(voters);
    }
  });
});

describe("an election", () => {
  test.each<[number, number, number, string]>([
    [1, 1, 0, "won"],
    [1, 0, 0, "pending"],
    [2, 1, 0, "pending"],
    [2, 1, 1, "lost"],
    [3, 2, 0, "won"],
    [3, 1, 1, "pending"],
    [3, 1, 2, "lost"],
    [4, 2, 1, "pending"],
    [4, 2, 2, "lost"],
    [4, 3, 0, "won"],
    [5, 2, 2, "pending"],
    [5, 2, 3, "lost"],
    [0, 0, 0, "lost"],
  ])("of %i voters with %i granted and %i refused is %s", (voters, granted, refused, outcome) => {
    expect(electionOutcome(voters, granted, refused)).toBe(outcome);
  });

  test("is won or lost exactly when no further answer can change it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.nat(9), fc.nat(9), (voters, a, b) => {
        const granted = Math.min(a, voters);
        const refused = Math.min(b, voters - granted);
        const best = granted + (voters - granted - refused);
        const wins = (votes: number) => votes * 2 > voters;
        const expected = wins(granted) ? "won" : wins(best) ? "pending" : "lost";
        expect(electionOutcome(voters, granted, refused)).toBe(expected);
      }),
      { seed: 2, numRuns: 1000 },
    );
  });
});
