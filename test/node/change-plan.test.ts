// Which step a change of the membership takes next, from what is in force and who answers.

import { describe, expect, test } from "vitest";

import type { NodeId } from "../../src/base/ids.ts";
import { type Member, memberId, membershipOf } from "../../src/base/membership.ts";
import { type Change, owedAfter, planChange } from "../../src/node/change-plan.ts";

const member = (name: string, instance = "1"): Member => {
  return { id: memberId(name as NodeId, instance.repeat(32)), address: `${name}:1` };
};
const name = (text: string) => text as NodeId;
const [a, b, c, d] = [member("a"), member("b"), member("c"), member("d")];
const wiped = member("c", "2");

function plan(
  change: Change,
  voters: Member[],
  learners: Member[],
  answering: Member[],
  owed: Member[] = [],
) {
  const membership = membershipOf(voters, learners);
  const greetings = answering.map(({ id, address }) => ({ member: id, address, awaits: false }));
  const view = { membership, greetings, owed: new Set(owed.map(({ id }) => id)) };
  return planChange(change, view, false);
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
    expect(plan(swap, [a, b, c], [], [wiped])).toEqual(proposal([a, b], [wiped]));
    expect(plan(swap, [a, b], [wiped], [wiped], [wiped])).toEqual(proposal([a, b, wiped], []));
    expect(plan(swap, [a, b, wiped], [], [wiped])).toEqual({ kind: "done" });
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

test("a vote is owed to who came in the place of a voter of its name, until it has it", () => {
  const before = membershipOf([a, b, c], [d]);
  const swapped = membershipOf([a, b], [wiped, d]);
  const owed = owedAfter(new Set(), before, swapped);
  expect([...owed]).toEqual([wiped.id]);
  expect([...owedAfter(owed, swapped, membershipOf([a], [wiped, d]))]).toEqual([wiped.id]);
  expect([...owedAfter(owed, swapped, membershipOf([a, b, wiped], [d]))]).toEqual([]);
});
