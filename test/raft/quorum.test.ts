// Majority arithmetic: tables, and properties against a slow version that counts instead of
// sorting.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MemberId } from "../../src/base/ids.ts";
import {
  type Electorates,
  electionOutcome,
  jointOutcome,
  majorityOf,
  reachedByMajority,
  reachedByQuorum,
} from "../../src/raft/quorum.ts";

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

/** Two electorates over the voters 1 to 6, and what each of those has reached or answered. */
const halves = fc.record({
  voters: fc.subarray(["1", "2", "3", "4", "5", "6"]),
  outgoing: fc.subarray(["1", "2", "3", "4", "5", "6"]),
}) as unknown as fc.Arbitrary<Electorates>;

const electorates = (voters: string[], outgoing: string[]): Electorates =>
  ({ voters, outgoing }) as unknown as Electorates;

describe("a joint quorum", () => {
  // As in etcd's joint_commit: what 1, 2, 3 ... have acknowledged.
  test.each<[string[], string[], Record<string, number>, number]>([
    [["1", "2", "3"], [], { 1: 100, 2: 101, 3: 99 }, 100],
    [["1", "2", "3"], ["4", "5", "6"], { 1: 100, 2: 101, 3: 99, 4: 100, 5: 99, 6: 98 }, 99],
    [["1", "2", "3"], ["4", "5", "6"], { 1: 100, 2: 101, 3: 99 }, 0],
    [["1", "2", "3"], ["1", "2", "3"], { 1: 50, 2: 20, 3: 10 }, 20],
    [["1", "2", "3"], ["1", "4", "5"], { 1: 50, 2: 20, 3: 10, 4: 30, 5: 0 }, 20],
    [["1"], ["2"], { 1: 7, 2: 3 }, 3],
    [["1", "2", "3"], ["1", "2", "3", "4"], { 1: 9, 2: 8, 3: 7, 4: 1 }, 7],
    [[], ["1"], { 1: 9 }, 0],
  ])("of %j and %j with %j has reached %i", (voters, outgoing, values, reached) => {
    const quorum = electorates(voters, outgoing);
    expect(reachedByQuorum(quorum, (id) => values[id] ?? 0)).toBe(reached);
  });

  test("has reached what each half by itself has, as counting says", () => {
    const property = fc.property(halves, fc.array(fc.nat(20), { minLength: 7 }), (half, values) => {
      const of = (ids: readonly MemberId[]): number =>
        reachedByCounting(ids.map((id) => values[Number(id)] ?? 0));
      const slow =
        half.outgoing.length === 0 ? of(half.voters) : Math.min(of(half.voters), of(half.outgoing));
      expect(reachedByQuorum(half, (id) => values[Number(id)] ?? 0)).toBe(slow);
    });
    fc.assert(property, { seed: 3, numRuns: 2000 });
  });

  // As in etcd's joint_vote.
  test.each<[string[], string[], Record<string, boolean>, string]>([
    [["1", "2", "3"], ["1", "2", "3"], { 1: true, 2: true }, "won"],
    [["1", "2", "3"], ["1", "2", "3"], { 1: true }, "pending"],
    [["1", "2", "3"], ["4", "5", "6"], { 1: true, 2: true }, "pending"],
    [["1", "2", "3"], ["4", "5", "6"], { 1: true, 2: true, 4: false, 5: false }, "lost"],
    [["1", "2", "3"], ["4", "5", "6"], { 4: false, 5: false }, "lost"],
    [["1", "2", "3"], ["4", "5", "6"], { 1: true, 2: true, 4: true, 5: true }, "won"],
    [["1", "2", "3"], ["4", "5", "6"], { 1: false, 2: false, 4: true, 5: true }, "lost"],
    [["1"], ["2"], { 1: true }, "pending"],
    [["1", "2"], [], { 1: true, 2: true }, "won"],
  ])("of %j and %j answered %j is %s", (voters, outgoing, answers, outcome) => {
    const answer = (id: string) =>
      answers[id] === undefined ? null : answers[id] ? "granted" : "refused";
    expect(jointOutcome(electorates(voters, outgoing), answer)).toBe(outcome);
  });

  test("is won when both halves are, lost when one is, and open otherwise", () => {
    const answers = fc.array(fc.constantFrom("granted", "refused", null), { minLength: 7 });
    const property = fc.property(halves, answers, (half, given) => {
      const answer = (id: MemberId) => given[Number(id)] ?? null;
      const outcomeOf = (ids: readonly MemberId[]): string => {
        const count = (what: string) => ids.filter((id) => answer(id) === what).length;
        if (count("granted") * 2 > ids.length) return "won";
        return (ids.length - count("refused")) * 2 > ids.length ? "pending" : "lost";
      };
      const [first, second] = [outcomeOf(half.voters), outcomeOf(half.outgoing)];
      const both = first === "lost" || second === "lost" ? "lost" : "pending";
      const slow = first === "won" && second === "won" ? "won" : both;
      expect(jointOutcome(half, answer)).toBe(half.outgoing.length === 0 ? first : slow);
    });
    fc.assert(property, { seed: 4, numRuns: 3000 });
  });
});
