// Which step a change of the membership takes next, from what is in force and who answers.

import { describe, expect, test } from "vitest";

import type { NodeId } from "../../src/base/ids.ts";
import { type Member, memberId, membershipOf } from "../../src/base/membership.ts";
import { type Change, planChange } from "../../src/node/change-plan.ts";

const member = (name: string, instance = "1"): Member => {
  return { id: memberId(name as NodeId, instance.repeat(32)), address: `${name}:1` };
};
const name = (text: string) => text as NodeId;
const [a, b, c, d] = [member("a"), member("b"), member("c"), member("d")];
const wiped = member("c", "2");
/** The same while it is a learner in the place of the voter that c was. */
const owed: Member = { ...wiped, isOwedVote: true };

function plan(change: Change, voters: Member[], learners: Member[], answering: Member[]) {
  const membership = membershipOf(voters, learners);
  const greetings = answering.map(({ id, address }) => ({ member: id, address, awaits: false }));
  return planChange(change, { membership, greetings }, false);
}

const proposal = (voters: Member[], learners: Member[]) => {
  return { kind: "propose", target: { voters, learners } };
};

describe("who is added", () => {
  const add = { kind: "add", name: name("d"), address: "d:1", asVoter: true } as const;

  test("is waited for until it answers at its address", () => {
    expect(plan(add, [a, b, c], [], [])).toMatchObject({ kind: "waits" });
    expect(plan(add, [a, b, c], [], [{ ...d, address: "d:2" }])).toMatchObject({ kind: "waits" });
  });

  test("becomes a learner first, then a voter if it shall be one", () => {
    expect(plan(add, [a, b, c], [], [d])).toEqual(proposal([a, b, c], [d]));
    expect(plan(add, [a, b, c], [d], [d])).toEqual(proposal([a, b, c, d], []));
    expect(plan({ ...add, asVoter: false }, [a, b, c], [d], [d])).toEqual({ kind: "done" });
    expect(plan(add, [a, b, c, d], [], [d])).toEqual({ kind: "done" });
  });

  test("keeps its vote when it is added again at another address", () => {
    const moved = { ...d, address: "d:2" };
    const again = { ...add, address: "d:2", asVoter: false };
    expect(plan(again, [a, d], [], [moved])).toEqual(proposal([a, moved], []));
  });

  test("is refused while its name is a member with another directory", () => {
    const other = { ...add, name: name("c"), address: "c:1" };
    expect(plan(other, [a, b, c], [], [wiped])).toMatchObject({ kind: "refused" });
  });
});

describe("who is named", () => {
  test("is removed, promoted or demoted", () => {
    expect(plan({ kind: "remove", name: name("c") }, [a, b, c], [], [])).toEqual(
      proposal([a, b], []),
    );
    expect(plan({ kind: "promote", name: name("c") }, [a, b], [c], [])).toEqual(
      proposal([a, b, c], []),
    );
    expect(plan({ kind: "demote", name: name("c") }, [a, b, c], [], [])).toEqual(
      proposal([a, b], [c]),
    );
    expect(plan({ kind: "promote", name: name("a") }, [a, b], [c], [])).toEqual({ kind: "done" });
  });

  test("must be a member", () => {
    for (const kind of ["remove", "promote", "demote"] as const) {
      const step = plan({ kind, name: name("z") }, [a, b], [c], []);
      expect(step).toEqual({ kind: "refused", what: "no member is named z" });
    }
  });
});

describe("a replacement", () => {
  const swap = {
    kind: "replace",
    name: name("c"),
    withName: name("c"),
    withAddress: "c:1",
  } as const;

  test("of a wiped node takes its vote at once, and gives it to the new instance later", () => {
    expect(plan(swap, [a, b, c], [], [wiped])).toEqual(proposal([a, b], [owed]));
    expect(plan(swap, [a, b], [owed], [wiped])).toEqual(proposal([a, b, wiped], []));
    expect(plan(swap, [a, b, wiped], [], [wiped])).toEqual({ kind: "done" });
  });

  test("of a node that was wiped twice leaves it what it was owed", () => {
    const again = member("c", "3");
    const next: Member = { ...again, isOwedVote: true };
    expect(plan(swap, [a, b], [owed], [again])).toEqual(proposal([a, b], [next]));
  });

  test("is not forgotten while others come, go and move", () => {
    const add = { kind: "add", name: name("d"), address: "d:1", asVoter: true } as const;
    expect(plan(add, [a, b], [owed], [d])).toEqual(proposal([a, b], [owed, d]));
    const moved = { ...wiped, address: "c:2" };
    const move = { ...add, name: name("c"), address: "c:2", asVoter: false };
    const kept: Member = { ...moved, isOwedVote: true };
    expect(plan(move, [a, b], [owed], [moved])).toEqual(proposal([a, b], [kept]));
    const change = { kind: "remove", name: name("b") } as const;
    expect(plan(change, [a, b], [owed], [])).toEqual(proposal([a], [owed]));
  });

  test("of a learner that was wiped leaves a learner", () => {
    expect(plan(swap, [a, b], [c], [wiped])).toEqual(proposal([a, b], [wiped]));
    expect(plan(swap, [a, b], [wiped], [wiped])).toEqual({ kind: "done" });
  });

  test("by another node lets that one catch up before anybody leaves", () => {
    const other = { ...swap, withName: name("d"), withAddress: "d:1" };
    expect(plan(other, [a, b, c], [], [d])).toEqual(proposal([a, b, c], [d]));
    expect(plan(other, [a, b, c], [d], [d])).toEqual(proposal([a, b, d], []));
  });
});

describe("a set", () => {
  test("is proposed as it stands, with whoever answers under a new name", () => {
    const set = { kind: "set", voters: [name("a"), name("d")], learners: [name("b")] } as const;
    expect(plan(set, [a, b, c], [], [d])).toEqual(proposal([a, d], [b]));
    expect(plan(set, [a, b, c], [], [])).toMatchObject({ kind: "waits" });
    expect(plan(set, [a, d], [b], [])).toEqual({ kind: "done" });
  });

  test("that names somebody twice is refused", () => {
    const set = { kind: "set", voters: [name("a")], learners: [name("a")] } as const;
    expect(plan(set, [a, b], [], [])).toMatchObject({ kind: "refused", what: "a is named twice" });
  });
});
