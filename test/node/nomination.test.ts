// Who founds, and which change of the members is due next: tables of what gossip and the log say.

import { describe, expect, test } from "vitest";

import type { MemberInfo } from "../../src/base/client.ts";
import type { NodeId } from "../../src/base/ids.ts";
import {
  type Candidate,
  type ChangeView,
  candidateOf,
  Dismissals,
  planChange,
  planFounding,
  type Seen,
  tagsOf,
} from "../../src/node/nomination.ts";

const CLUSTER = "00112233445566778899aabbccddeeff";
const instance = (digit: string) => digit.repeat(32);

function candidate(name: string, rest: Partial<Candidate> = {}): Candidate {
  const address = `${name}:8400`;
  const plain = { stage: "member", instance: instance("1"), expect: null } as const;
  return { name: name as NodeId, address, ...plain, ...rest };
}

function gossiped(name: string, status: Seen["status"], tags = {}): Seen {
  return { name, tags, status };
}

describe("a member of gossip", () => {
  const one = candidate("a", { stage: "empty", expect: 3 });
  const tags = tagsOf(CLUSTER, one);

  test("with our tags is a candidate", () => {
    expect(candidateOf(CLUSTER, gossiped("a", "alive", tags))).toEqual(one);
    const joiner = candidate("b");
    const said = gossiped("b", "alive", tagsOf(CLUSTER, joiner));
    expect(candidateOf(CLUSTER, said)).toEqual(joiner);
  });

  test.each<[string, Seen]>([
    ["it has no tags", gossiped("a", "alive")],
    ["it is of another cluster", gossiped("a", "alive", { ...tags, cluster: instance("0") })],
    ["it has no address", gossiped("a", "alive", { ...tags, rpc_addr: "a" })],
    ["it has no instance", gossiped("a", "alive", { ...tags, instance: "1" })],
    ["it says nothing known of itself", gossiped("a", "alive", { ...tags, stage: "king" })],
    ["it has failed", gossiped("a", "failed", tags)],
    ["it is leaving", gossiped("a", "leaving", tags)],
    ["it has left", gossiped("a", "left", tags)],
  ])("is none when %s", (_, member) => {
    expect(candidateOf(CLUSTER, member)).toBeNull();
  });
});

describe("a cluster is founded", () => {
  const waiting = (name: string, expect: number | null = 3) => {
    return candidate(name, { stage: "empty", expect });
  };
  const [a, b, c] = [waiting("a"), waiting("b"), waiting("c")];
  const usual = { self: b, candidates: [b, c, a], bootstrap: false, hasAsked: true };

  test("by those who expect as many as they are, in the same order on each", () => {
    const founders = ["a", "b", "c"].map((id) => ({ id, address: `${id}:8400` }));
    expect(planFounding(usual)).toEqual(founders);
    expect(planFounding({ ...usual, self: a, candidates: [a, b, c] })).toEqual(founders);
  });

  test("by one alone, when it was told to", () => {
    const self = waiting("b", null);
    const alone = { ...usual, self, candidates: [self, a], bootstrap: true };
    expect(planFounding(alone)).toEqual([{ id: "b", address: "b:8400" }]);
    expect(planFounding({ ...alone, hasAsked: false })).toBeNull();
    expect(planFounding({ ...alone, candidates: [self, candidate("z")] })).toBeNull();
  });

  test.each<[string, Partial<typeof usual>]>([
    ["some are missing", { candidates: [b, a] }],
    ["more are there than were expected", { candidates: [a, b, c, waiting("d")] }],
    ["others expect another number", { candidates: [a, b, waiting("c", 5)] }],
    ["one of them was told nothing", { candidates: [a, b, waiting("c", null)] }],
    ["somebody knows a cluster", { candidates: [a, b, c, candidate("z")] }],
    ["its contacts were not heard", { hasAsked: false }],
    ["its own log is in use", { self: candidate("b", { expect: 3 }) }],
    ["it was told nothing itself", { self: waiting("b", null) }],
  ])("by nobody while %s", (_, change) => {
    expect(planFounding({ ...usual, ...change })).toBeNull();
  });
});

describe("the leader", () => {
  const member = (id: string, rest: Partial<MemberInfo> = {}): MemberInfo => ({
    id: id as NodeId,
    address: `${id}:8400`,
    isLeader: id === "a",
    instance: instance("1"),
    standing: "voter",
    lag: 0,
    isUp: true,
    replication: null,
    answersAs: null,
    ...rest,
  });
  const down = { isUp: false } as const;
  function view(members: MemberInfo[], rest: Partial<ChangeView> = {}): ChangeView {
    return {
      status: { name: "a" as NodeId, members },
      candidates: [],
      replacesWiped: true,
      failedTooLong: new Set(),
      dismissed: new Set(),
      postponed: new Set(),
      ...rest,
    };
  }
  const three = [member("a"), member("b"), member("c")];
  const add = (name: string, address = `${name}:8400`) => {
    return { kind: "add", name, address, asVoter: true };
  };

  test("changes nothing while everybody is where the log says", () => {
    const candidates = ["a", "b", "c"].map((name) => candidate(name));
    expect(planChange(view(three, { candidates }))).toBeNull();
    expect(planChange(view(three))).toBeNull();
  });

  test("admits who is new, one at a time, and whom no leader finished admitting", () => {
    const candidates = [candidate("d"), candidate("e")];
    expect(planChange(view(three, { candidates }))).toEqual(add("d"));
    expect(planChange(view(three, { candidates, postponed: new Set(["d"]) }))).toEqual(add("e"));
    const half = [...three, member("d", { standing: "learner" })];
    expect(planChange(view(half, { candidates }))).toEqual(add("d"));
    const gone = { candidates: [candidate("d")], dismissed: new Set(["d"]) };
    expect(planChange(view(three, gone))).toBeNull();
  });

  test("follows a member to its new address, and swaps it when it was wiped on the way", () => {
    const moved = candidate("c", { address: "c2:1" });
    expect(planChange(view(three, { candidates: [moved] }))).toEqual(add("c", "c2:1"));
    const wiped = candidate("c", { address: "c2:1", instance: instance("2") });
    const swap = { kind: "replace", name: "c", withName: "c", withAddress: "c2:1" };
    expect(planChange(view(three, { candidates: [wiped] }))).toEqual(swap);
    const byHand = { candidates: [wiped], replacesWiped: false };
    expect(planChange(view(three, byHand))).toBeNull();
    const there = candidate("c", { instance: instance("2") });
    expect(planChange(view(three, { candidates: [there] }))).toBeNull();
  });

  describe("does not undo what somebody did by hand", () => {
    const all = ["a", "b", "c"].map((name) => candidate(name));
    function dismissedBy(...seen: MemberInfo[][]): Dismissals {
      const dismissals = new Dismissals();
      for (const members of seen) dismissals.follow(members, all);
      return dismissals;
    }
    const without = [member("a"), member("b")];
    const demoted = [...without, member("c", { standing: "learner" })];

    test.each<[string, MemberInfo[][], string[]]>([
      ["a removal", [three, without, without], ["c"]],
      ["a demotion", [three, demoted, demoted], ["c"]],
      [
        "a demotion that went through a joint membership",
        [three, [...without, member("c", { standing: "outgoing" })], demoted],
        ["c"],
      ],
      ["a return by hand", [three, without, three], []],
      ["an admission", [without, demoted, three], []],
      [
        "a swap of a wiped member",
        [three, [...without, member("c", { standing: "learner", instance: instance("2") })]],
        [],
      ],
    ])("%s", (_, seen, names) => {
      expect([...dismissedBy(...seen).names]).toEqual(names);
    });

    test("unless the member went away and came back", () => {
      const dismissals = dismissedBy(three, without);
      dismissals.follow(without, all.slice(0, 2));
      dismissals.follow(without, all);
      expect([...dismissals.names]).toEqual([]);
    });
  });

  describe("removes who failed for too long", () => {
    const failedTooLong = new Set(["d", "e", "f"]);
    const cleanup = (...more: MemberInfo[]) =>
      planChange(view([...three, ...more], { failedTooLong }));
    const removal = { kind: "remove", name: "d" };

    test("one at a time", () => {
      expect(cleanup(member("d", down))).toEqual(removal);
      expect(cleanup(member("d", down), member("e", down))).toEqual(removal);
      expect(cleanup(member("d", { ...down, standing: "learner" }))).toEqual(removal);
    });

    test.each<[string, MemberInfo[]]>([
      ["its link is up", [member("d")]],
      ["another instance answers in its place", [member("d", { ...down, answersAs: "x" })]],
      ["half of the voters are gone", ["d", "e", "f"].map((name) => member(name, down))],
    ])("but not when %s", (_, more) => {
      expect(cleanup(...more)).toBeNull();
    });

    test("but not when fewer than three voters would be left", () => {
      const members = [member("a"), member("b"), member("d", down)];
      expect(planChange(view(members, { failedTooLong }))).toBeNull();
    });
  });
});
