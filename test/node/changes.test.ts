// Which change of the membership a leader begins by itself, and when it gives way to another.

import { expect, test } from "vitest";

import type { Fault } from "../../src/base/faults.ts";
import { type Instant, millis, type NodeId } from "../../src/base/ids.ts";
import { type Member, memberId, membershipOf } from "../../src/base/membership.ts";
import { Changes } from "../../src/node/changes.ts";

const member = (name: string, instance = "1"): Member => {
  return { id: memberId(name as NodeId, instance.repeat(32)), address: `${name}:1` };
};
const [a, b, c, d] = [member("a"), member("b"), member("c"), member("d")];
/** They were wiped and came back; one has its old place as a learner, and is owed its vote. */
const again = member("c", "2");
const owed: Member = { ...member("d", "2"), isOwedVote: true };
const NOT_LEADER: Fault = { code: "not-leader", leader: null, address: null };

/** A leader that looks every 100 ms; whom it proposes as voters and learners, each at once. */
function led(voters: Member[], learners: Member[], answering: Member[], spanMs: number) {
  const changes = new Changes(true);
  const membership = membershipOf(voters, learners);
  const greetings = answering.map(({ id, address }) => ({ member: id, address, awaits: false }));
  const view = { self: a.id, isLeader: true, membership, greetings };
  const proposed: { readonly atMs: number; readonly names: string }[] = [];
  changes.follow(membership);
  for (let atMs = 0; atMs < spanMs; atMs += 100) {
    const now = millis(atMs) as number as Instant;
    if (!changes.isDue(now, 1)) continue;
    changes.advance(now, 1, view, NOT_LEADER);
    for (const event of changes.takeProposals()) {
      if (event.kind !== "membership-proposed") continue;
      const { voters, learners } = event.target;
      const namesOf = (members: readonly Member[]) => {
        return members.map(({ id }) => (id as string).slice(0, 3)).join(" ");
      };
      proposed.push({ atMs, names: `${namesOf(voters)} | ${namesOf(learners)}` });
      const { proposalId } = event;
      const what = `${owed.id} lacks entries`;
      const refusal = { kind: "refused", proposalId, why: "not-caught-up", leader: null } as const;
      changes.maybeVerdict(now, { ...refusal, what }, NOT_LEADER);
    }
  }
  return proposed;
}

test("A wiped member that never catches up does not keep the next from its place", () => {
  const proposed = led([a, b, c], [owed], [b, owed, again], 8000);
  const kinds = [...new Set(proposed.map(({ names }) => names))];
  expect(kinds).toEqual(["a/1 b/1 c/1 d/2 | ", "a/1 b/1 | d/2 c/2"]);
  // First the one whose place is kept, then the one that has none; and the first again.
  const other = proposed.find(({ names }) => names === kinds[1]);
  expect(other?.atMs).toBe(5100);
});

test("A wiped member that never catches up is tried again when it has rested", () => {
  const proposed = led([a, b, c], [owed], [b, c, owed], 16_000);
  const times = proposed.map(({ atMs }) => atMs);
  const pauses = times.slice(1).map((atMs, at) => atMs - (times[at] as number));
  expect(pauses.filter((pause) => pause > 100)).toEqual([5000]);
});

test("Nobody is exchanged whom another directory does not answer for", () => {
  expect(led([a, b, c, d], [], [b, c], 8000)).toEqual([]);
});
