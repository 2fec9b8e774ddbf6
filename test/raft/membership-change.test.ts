// From one membership to another, as sets: tables, and properties of every pair of memberships.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { brokenMembership, isJoint, type Membership } from "../../src/base/membership.ts";
import { changeTo, leaveJoint } from "../../src/raft/membership-change.ts";
import { mayFollow } from "./oracle.ts";
import { memberOf, simple } from "./subject.ts";

const NAMES = ["a", "b", "c", "d", "e", "f"];

/** Each name a voter, a learner or nobody; at least one voter. */
const sets = fc
  .array(fc.nat(2), { minLength: NAMES.length, maxLength: NAMES.length })
  .map((places) => ({
    voters: NAMES.filter((_, at) => places[at] === 0),
    learners: NAMES.filter((_, at) => places[at] === 1),
  }))
  .filter(({ voters }) => voters.length > 0);

function targetOf({ voters, learners }: { voters: string[]; learners: string[] }) {
  return { voters: voters.map(memberOf), learners: learners.map(memberOf) };
}

/** The memberships on the way, the final one last. */
function wayTo(from: Membership, to: { voters: string[]; learners: string[] }): Membership[] {
  const change = changeTo(from, targetOf(to));
  if (change.kind === "invalid") throw new Error(change.what);
  const { membership } = change;
  return isJoint(membership) ? [membership, leaveJoint(membership)] : [membership];
}

describe("a way from any membership to any other", () => {
  test("ends in the one that was asked for, by steps that keep every rule", () => {
    const property = fc.property(sets, sets, (from, to) => {
      const start = simple(from.voters, from.learners);
      const way = wayTo(start, to);
      expect(way.at(-1)).toEqual(simple(to.voters, to.learners));
      let before = start;
      for (const step of way) {
        expect(brokenMembership(step)).toBeNull();
        expect(mayFollow(before, step)).toBe(true);
        before = step;
      }
    });
    fc.assert(property, { seed: 11, numRuns: 2000 });
  });

  test("is the same in one request as voter by voter", () => {
    const property = fc.property(sets, sets, (from, to) => {
      let step = simple(from.voters, from.learners);
      const present = new Set(from.voters);
      const order = [...to.voters, ...from.voters.filter((name) => !to.voters.includes(name))];
      for (const name of order) {
        if (to.voters.includes(name)) present.add(name);
        else present.delete(name);
        const way = wayTo(step, { voters: [...present], learners: [] });
        expect(way).toHaveLength(1);
        step = way[0] as Membership;
      }
      expect(wayTo(step, to).at(-1)).toEqual(simple(to.voters, to.learners));
    });
    fc.assert(property, { seed: 12, numRuns: 1000 });
  });

  test("never lets two majorities decide apart from each other", () => {
    const property = fc.property(sets, sets, fc.nat(63), (from, to, chosen) => {
      const start = simple(from.voters, from.learners);
      const side = NAMES.filter((_, at) => Math.floor(chosen / 2 ** at) % 2 === 1);
      const decides = ({ voters, outgoing }: Membership, who: readonly string[]): boolean =>
        [voters, outgoing].every((half) => {
          const present = half.filter((id) => who.includes(id)).length;
          return half.length === 0 || present * 2 > half.length;
        });
      const others = NAMES.filter((name) => !side.includes(name));
      let before = start;
      for (const step of wayTo(start, to)) {
        expect(decides(before, side) && decides(step, others)).toBe(false);
        before = step;
      }
    });
    fc.assert(property, { seed: 13, numRuns: 2000 });
  });
});

test("a voter that is to be a learner stays a voter in the outgoing half until it is left", () => {
  const [joint, final] = wayTo(simple(["a", "b", "c"]), { voters: ["c", "d"], learners: ["a"] });
  expect(joint).toEqual({
    voters: ["c", "d"],
    outgoing: ["a", "b", "c"],
    learners: [],
    learnersNext: ["a"],
    members: ["a", "b", "c", "d"].map(memberOf),
  });
  expect(final).toEqual(simple(["c", "d"], ["a"]));
});

test("an address that has changed is a change like any other", () => {
  const moved = { id: memberOf("b").id, address: "b.example:7" };
  const target = { voters: [memberOf("a"), moved], learners: [] };
  const change = changeTo(simple(["a", "b"]), target);
  expect(change).toMatchObject({ membership: { outgoing: [], members: [memberOf("a"), moved] } });
});

test("more members than a membership can have are refused, also when only the joint one does", () => {
  const many = (from: number, count: number) =>
    Array.from({ length: count }, (_, at) => `${from + at}`);
  const start = simple(many(0, 600));
  const what = changeTo(start, targetOf({ voters: many(1000, 600), learners: [] }));
  expect(what).toEqual({ kind: "invalid", what: "more than 1000 members" });
});
