// The laws of belief: whatever the order, the repetition and the grouping of claims, the same is
// believed in the end. And the exact rules of who beats whom.
import fc from "fast-check";
import { expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import type { NodeId } from "../../src/base/ids.ts";
import {
  announcementOf,
  type Belief,
  believe,
  type Claim,
  claimOf,
  compareStandings,
  INCARNATION_FIRST_MAX,
  INCARNATION_JUMP_MAX,
  isCredible,
  mergeBeliefs,
  type Standing,
} from "../../src/gossip/claims.ts";
import { type Alive, type Incarnation, OUR_VERSIONS } from "../../src/gossip/messages.ts";

const subject = "n1" as NodeId;
const address = { ip: freeze(Uint8Array.of(10, 0, 0, 1)), port: 7946 };

function alive(incarnation: number, meta: readonly number[] = []): Alive {
  return {
    kind: "alive",
    node: subject,
    incarnation: incarnation as Incarnation,
    address,
    meta: freeze(Uint8Array.from(meta)),
    versions: OUR_VERSIONS,
  };
}

function standing(state: Standing["state"], incarnation: number): Standing {
  return { state, incarnation: incarnation as Incarnation };
}

function beliefOf(claim: Alive): Belief {
  return {
    standing: standing("alive", claim.incarnation),
    announcement: announcementOf(claim),
  };
}

const incarnations = fc.integer({ min: 1, max: 4 }).map((count) => count as Incarnation);
const accusers = fc.constantFrom("n1", "n2", "n3").map((name) => name as NodeId);
const metas = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 });
const announcements = fc
  .tuple(incarnations, metas, fc.integer({ min: 1, max: 2 }))
  .map(([incarnation, meta, port]) => ({
    ...alive(incarnation, meta),
    address: { ...address, port },
  }));
const claims: fc.Arbitrary<Claim> = fc.oneof(
  announcements,
  fc.record({
    kind: fc.constant("suspect" as const),
    node: fc.constant(subject),
    incarnation: incarnations,
    from: accusers,
  }),
  fc.record({
    kind: fc.constant("dead" as const),
    node: fc.constant(subject),
    incarnation: incarnations,
    from: accusers,
  }),
);
const beliefs: fc.Arbitrary<Belief> = fc
  .tuple(announcements, fc.constantFrom("alive", "suspect", "dead", "left"), incarnations)
  .map(([announced, state, incarnation]) => ({
    standing: standing(state as Standing["state"], incarnation),
    announcement: announcementOf(announced),
  }));

test("it does not matter who tells whom: beliefs merge the same both ways", () => {
  fc.assert(
    fc.property(beliefs, beliefs, (a, b) => {
      expect(mergeBeliefs(a, b)).toEqual(mergeBeliefs(b, a));
    }),
  );
});

test("it does not matter who met first: beliefs merge the same in any grouping", () => {
  fc.assert(
    fc.property(beliefs, beliefs, beliefs, (a, b, c) => {
      const left = mergeBeliefs(mergeBeliefs(a, b), c);
      expect(left).toEqual(mergeBeliefs(a, mergeBeliefs(b, c)));
    }),
  );
});

test("a belief told back to its owner changes nothing", () => {
  fc.assert(
    fc.property(beliefs, (a) => {
      expect(mergeBeliefs(a, a)).toEqual(a);
    }),
  );
});

test("claims in any order, any number of times, are believed the same", () => {
  const drawn = fc.array(claims, { maxLength: 12 }).chain((all) =>
    fc.record({
      all: fc.constant(all),
      again: fc.shuffledSubarray([...all, ...all], { minLength: all.length }),
    }),
  );
  fc.assert(
    fc.property(announcements, drawn, (first, { all, again }) => {
      const inOrder = all.reduce(believe, beliefOf(first));
      const shuffled = [...again, ...all].reduce(believe, beliefOf(first));
      expect(shuffled).toEqual(inOrder);
    }),
  );
});

test("a belief never goes back", () => {
  fc.assert(
    fc.property(beliefs, claims, (belief, claim) => {
      const after = believe(belief, claim);
      expect(compareStandings(after.standing, belief.standing)).toBeGreaterThanOrEqual(0);
    }),
  );
});

test("a claim that says nothing new leaves the very same belief", () => {
  const belief = beliefOf(alive(3));
  expect(believe(belief, alive(3))).toBe(belief);
  expect(believe(belief, alive(2, [9]))).toBe(belief);
});

test("in one incarnation the graver word stands, and a later incarnation ends it", () => {
  const order = [
    standing("alive", 1),
    standing("suspect", 1),
    standing("dead", 1),
    standing("left", 1),
    standing("alive", 2),
    standing("suspect", 2),
  ];
  for (const [at, lesser] of order.entries()) {
    for (const [place, greater] of order.entries()) {
      expect(Math.sign(compareStandings(greater, lesser))).toBe(Math.sign(place - at));
    }
  }
});

test("a suspect's new tags are learned even when the suspicion was heard first", () => {
  const suspect: Claim = {
    kind: "suspect",
    node: subject,
    incarnation: 2 as Incarnation,
    from: subject,
  };
  const belief = [suspect, alive(2, [7])].reduce(believe, beliefOf(alive(1)));
  expect(belief.standing).toEqual(standing("suspect", 2));
  expect([...belief.announcement.meta]).toEqual([7]);
});

test("a push/pull's dead member becomes our suspect, a left one has left", () => {
  const self = "n9" as NodeId;
  const record = { ...alive(4), state: "alive" as const };
  expect(claimOf(record, self)).toEqual(alive(4));
  const suspect = { kind: "suspect", node: subject, incarnation: 4, from: self };
  expect(claimOf({ ...record, state: "suspect" }, self)).toEqual(suspect);
  expect(claimOf({ ...record, state: "dead" }, self)).toEqual(suspect);
  const left = { kind: "dead", node: subject, incarnation: 4, from: subject };
  expect(claimOf({ ...record, state: "left" }, self)).toEqual(left);
});

test("nobody is believed to have jumped to an incarnation he could not have reached", () => {
  const known = 5 as Incarnation;
  expect(isCredible((5 + INCARNATION_JUMP_MAX) as Incarnation, known)).toBe(true);
  expect(isCredible((6 + INCARNATION_JUMP_MAX) as Incarnation, known)).toBe(false);
  expect(isCredible(INCARNATION_FIRST_MAX as Incarnation, null)).toBe(true);
  expect(isCredible((INCARNATION_FIRST_MAX + 1) as Incarnation, null)).toBe(false);
});
