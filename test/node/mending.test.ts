// Which members let their log be mended by their peers: those that the others can do without, as
// far as what is left of the log tells.
import { expect, test } from "vitest";
import type { EntryHead } from "../../src/base/entry.ts";
import { LOG_START } from "../../src/base/entry.ts";
import type { MemberId, NodeId } from "../../src/base/ids.ts";
import { type Membership, memberId, membershipOf } from "../../src/base/membership.ts";
import { mayMend } from "../../src/node/mending.ts";
import { changeTo } from "../../src/raft/membership-change.ts";
import { membershipEntry } from "../raft/subject.ts";

const identity = { clusterId: "c1", nodeName: "n1" as NodeId, instanceId: "0a".repeat(16) };
const self = memberId(identity.nodeName, identity.instanceId);
const of = (ids: readonly string[], learners: readonly string[] = []): Membership => {
  const member = (id: string) => ({ id: (id === "n1" ? self : id) as MemberId, address: "" });
  return membershipOf(ids.map(member), learners.map(member));
};

/** The joint membership between two. */
function joint(from: Membership, to: Membership): Membership {
  const change = changeTo(from, { voters: to.members, learners: [] });
  if (change.kind !== "change") throw new Error(change.what);
  return change.membership;
}

function mends(membership: Membership | null): boolean {
  const tail: EntryHead[] = membership === null ? [] : [membershipEntry(LOG_START, 1, membership)];
  return mayMend(8, { identity, checkpoint: null, tail });
}

test.each([
  ["one of three voters", of(["n1", "n2", "n3"]), true],
  ["one of five voters", of(["n1", "n2", "n3", "n4", "n5"]), true],
  ["a learner of one voter", of(["n2"], ["n1"]), true],
  ["none of the members", of(["n2", "n3"]), true],
  ["one of two voters", of(["n1", "n2"]), false],
  ["the only voter", of(["n1"]), false],
  ["one who knows of no members", null, false],
  ["one of a joint half of two", joint(of(["n1", "n2"]), of(["n1", "n3", "n4", "n5"])), false],
  ["one of joint halves of three", joint(of(["n1", "n2", "n3"]), of(["n1", "n4", "n5"])), true],
])("%s mends, or does not: %#", (_, membership, expected) => {
  expect(mends(membership)).toBe(expected);
});
