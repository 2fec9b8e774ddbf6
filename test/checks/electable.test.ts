// Whether anybody who is left can be elected: the excuse of a cluster that does not recover.

import { expect, it } from "vitest";
import { proveUnelectable } from "../../sim/checks/electable.ts";
import type { Computer } from "../../sim/observer.ts";
import { membershipOf } from "../../src/base/membership.ts";
import { memberOf, N1, N2, N3, status } from "./cluster.ts";

type Words = Parameters<typeof status>[1];

/** A node that knows of these voters. */
function node(self: typeof N1, voters: readonly (typeof N1)[], words: Words): Computer {
  const membership = membershipOf(voters.map((name) => ({ id: memberOf(name), address: "" })));
  return { name: self, raft: { ...status(self, words), membership } } as unknown as Computer;
}

const ALL = [N1, N2, N3];

it("two of three voters with equal logs can elect one of them", () => {
  const left = [N1, N2].map((self) => node(self, ALL, { term: 4, last: [7, 3] }));
  expect(proveUnelectable(left)).toBeNull();
});

it("a voter that is ahead can be elected by one that is behind", () => {
  const ahead = node(N1, ALL, { term: 4, last: [9, 3] });
  expect(proveUnelectable([ahead, node(N2, ALL, { term: 4, last: [7, 3] })])).toBeNull();
});

it("nobody wins where the one who is ahead needs somebody who is gone", () => {
  // n1 fell behind and was made a learner, which it has not heard of; then n3 failed for ever.
  const behind = node(N1, ALL, { term: 3, last: [4, 2] });
  const ahead = node(N2, [N2, N3], { term: 4, last: [9, 3] });
  expect(proveUnelectable([behind, ahead])).toBe(
    "nobody that is left has a log and voters to win by: n1 at 4@2 of n1 n2 n3, n2 at 9@3 of n2 n3",
  );
});

it("nothing is proved while somebody leads, or is down and may come back with more", () => {
  const ahead = node(N2, [N2, N3], { role: "leader", term: 4, last: [9, 3] });
  expect(proveUnelectable([ahead])).toBeNull();
  const down = { name: N1, raft: null } as unknown as Computer;
  expect(proveUnelectable([down, node(N2, [N2, N3], { term: 4, last: [9, 3] })])).toBeNull();
});
