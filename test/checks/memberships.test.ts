// Memberships on paper: what joins on is left alone, and each rule of going from one to the next is
// broken by hand and found; so are leaders that go on with what must end.

import { beforeEach, describe, expect, it } from "vitest";
import { Tenure } from "../../sim/checks/tenure.ts";
import type { Finding } from "../../sim/checks/violation.ts";
import type { Computer } from "../../sim/observer.ts";
import { planOf } from "../../sim/plan.ts";
import type { Entry } from "../../src/base/entry.ts";
import type { Instant, MemberId, NodeId, Offset, Term } from "../../src/base/ids.ts";
import { type Membership, membershipOf } from "../../src/base/membership.ts";
import { entry, memberOf, N1, N2, N3, PaperCluster, status, voteReply } from "./cluster.ts";

const N4 = "n4" as NodeId;
const OTHER = "n2/ffffffffffffffffffffffffffffffff" as MemberId;

function of(voters: readonly MemberId[], learners: readonly MemberId[] = []): Membership {
  const members = (ids: readonly MemberId[]) => ids.map((id) => ({ id, address: "" }));
  return membershipOf(members(voters), members(learners));
}

function joint(from: readonly MemberId[], to: readonly MemberId[]): Membership {
  const members = [...new Set([...from, ...to])].sort().map((id) => ({ id, address: "" }));
  return { ...of(to), outgoing: [...from].sort(), members };
}

const [A, B, C, D] = [N1, N2, N3, N4].map(memberOf) as [MemberId, MemberId, MemberId, MemberId];
const ABC = of([A, B, C]);

let cluster: PaperCluster;
beforeEach(() => {
  cluster = new PaperCluster();
});

/** An entry without records. */
function noop(index: number, term: number, with_: Partial<Entry> = {}): Entry {
  return entry(index, term, { kind: "noop", count: 0, offset: 0 as Offset, ...with_ });
}

/** Entry `index` of term 1, which says this membership. */
function says(index: number, membership: Membership, with_: Partial<Entry> = {}): Entry {
  const control = { kind: "membership", membership } as const;
  return noop(index, 1, { kind: "membership", control, ...with_ });
}

/** n1 leads term 1 with the founding entry and its own, both committed. */
function founded(): void {
  cluster.store([says(1, ABC, { prevTerm: 0 as Term })], N1, N2, N3);
  cluster.storeVote(N1, 2, N1);
  cluster.storeVote(N2, 2, N1);
  cluster.look(N1, { role: "candidate", term: 2, vote: N1, last: [1, 1] });
  cluster.promises.sent(N2, N1, voteReply(2));
  cluster.look(N1, { role: "leader", term: 2, vote: N1, last: [2, 2] });
  cluster.store([noop(2, 2, { prevTerm: 1 as Term })], N1, N2);
  leads(2);
}

/** n1 says how far its log goes and is committed. */
function leads(last: number, commit = 2, membership = ABC): void {
  const words = { role: "leader", term: 2, vote: N1, last: [last, 2], commit } as const;
  cluster.safety.observe(N1, 1, { ...status(N1, words), membership });
}

/** n1 appends this membership after the two entries of `founded`. */
function appends(index: number, membership: Membership): void {
  const control = { kind: "membership", membership } as const;
  cluster.store([noop(index, 2, { kind: "membership", control })], N1);
}

const found = () => cluster.findings.map(({ property }) => property);

describe("a change of the members", () => {
  it.each([
    ["one voter more", of([A, B, C, D])],
    ["one less", of([A, B])],
    ["a learner", of([A, B, C], [D])],
    ["a voter that learns", of([A, B], [C])],
    ["a joint one", joint([A, B, C], [A, D])],
  ])("may be to %s", (_, next) => {
    founded();
    appends(3, next);
    leads(3, 2, next);
    expect(cluster.findings).toEqual([]);
  });

  it("is found when two voters change at once, also when one is another instance", () => {
    founded();
    appends(3, of([A, D]));
    expect(cluster.found?.property).toBe("majorities-overlap");
    expect(cluster.found?.facts[1]).toContain("they differ by more than one voter");
    cluster = new PaperCluster();
    founded();
    appends(3, of([A, OTHER, C]));
    expect(found()).toEqual(["majorities-overlap"]);
  });

  it("is found when a joint one joins on to others, or leads to others, or to another", () => {
    const wrong = [joint([A, B], [A, D])];
    for (const next of wrong) {
      founded();
      appends(3, next);
      expect(cluster.found?.facts[1]).toContain("it does not join on");
    }
    for (const after of [of([A, B]), joint([A, D], [A, B])]) {
      cluster = new PaperCluster();
      founded();
      appends(3, joint([A, B, C], [A, D]));
      leads(3, 3, joint([A, B, C], [A, D]));
      cluster.findings.length = 0;
      appends(4, after);
      expect(cluster.found?.property).toBe("majorities-overlap");
    }
  });

  it("is found before the change before it is committed, and not after", () => {
    const next = of([A, B, C], [D]);
    founded();
    appends(3, next);
    leads(3, 2, next);
    appends(4, of([A, B, C, D]));
    expect(cluster.found?.property).toBe("one-change");
    expect(cluster.found?.facts[0]).toContain("all up to index 2, and not 3@2");
    cluster = new PaperCluster();
    founded();
    appends(3, next);
    const control = { kind: "membership", membership: next } as const;
    cluster.store([noop(3, 2, { kind: "membership", control })], N2);
    cluster.findings.length = 0;
    leads(3, 3, next);
    appends(4, of([A, B, C, D]));
    expect(found()).toEqual([]);
  });

  it("is found before the leader has committed anything of its term", () => {
    founded();
    leads(2, 1);
    cluster.safety.crashed(N1, null);
    cluster.findings.length = 0;
    // In a new life it has all to learn again.
    cluster.safety.observe(N1, 2, status(N1, { role: "leader", term: 2, last: [2, 2], commit: 1 }));
    cluster.findings.length = 0;
    appends(3, of([A, B, C], [D]));
    expect(cluster.found?.property).toBe("one-change");
    expect(cluster.found?.facts[0]).toContain("nothing of term 2");
  });
});

describe("a node", () => {
  it("is found when it counts by another membership than its log says", () => {
    founded();
    leads(2, 2, of([A, B]));
    expect(cluster.found?.property).toBe("membership-in-force");
    expect(cluster.found?.facts).toEqual([
      "the log of n1 up to 2@2 says 1@1 {n1 n2 n3}",
      "it counts by {n1 n2}",
    ]);
  });

  it("counts by an entry as soon as it is appended, and by the one before when that is cut", () => {
    const next = of([A, B]);
    founded();
    appends(3, next);
    leads(3, 2, next);
    cluster.look(N1, { term: 3, last: [2, 2], commit: 2 });
    expect(cluster.findings).toEqual([]);
    cluster.safety.observe(N1, 1, {
      ...status(N1, { term: 3, last: [2, 2], commit: 2 }),
      membership: next,
    });
    expect(found()).toEqual(["membership-in-force"]);
  });

  it("is found when it leads and votes in nothing that counts", () => {
    const others = of([B, C]);
    cluster.safety.memberships.elected(N1, {
      ...status(N1, { role: "leader", term: 2 }),
      membership: others,
    });
    expect(cluster.findings).toEqual([]);
    cluster.safety.memberships.elected(N1, {
      ...status(N1, { role: "leader", term: 2 }),
      membership: others,
      committedMembership: others,
    });
    expect(found()).toEqual(["leader-votes"]);
  });
});

describe("a quorum", () => {
  /** n1 takes entry 3 for committed, under these members. */
  function commits(membership: Membership): void {
    leads(3, 2, membership);
    cluster.findings.length = 0;
    leads(3, 3, membership);
  }

  it("is made of voters: a learner's copy counts for nothing", () => {
    founded();
    cluster.store([noop(3, 2)], N1, N3);
    commits(of([A, B], [C]));
    expect(found()).toContain("commit-durable-quorum");
    const finding = cluster.findings.find(({ property }) => property === "commit-durable-quorum");
    expect(finding?.facts[1]).toBe(
      "after a power loss now only n1 would have that entry; the members are {n1 n2} n3 learns",
    );
  });

  it("takes both halves of a joint membership", () => {
    founded();
    cluster.store([noop(3, 2)], N1, N2);
    commits(joint([A, B, C], [A, C, D]));
    expect(found()).toContain("commit-durable-quorum");
    cluster.store([noop(3, 2)], N3);
    cluster.findings.length = 0;
    leads(3, 3, joint([A, B, C], [A, C, D]));
    expect(found()).not.toContain("commit-durable-quorum");
  });

  it("counts no copy of another instance, once that said who it is", () => {
    founded();
    cluster.safety.replaced(N2);
    cluster.store([noop(3, 2)], N1, N2);
    commits(ABC);
    expect(found()).toEqual(["commit-durable-quorum"]);
    cluster.safety.observe(N2, 2, { ...status(N2, { term: 2, last: [3, 2] }), self: OTHER });
    cluster.findings.length = 0;
    cluster.safety.auditCommitted();
    expect(found()).toEqual(["commit-durable-quorum"]);
  });

  it("of an election takes the votes of those instances that are meant", () => {
    cluster.store([says(1, ABC, { prevTerm: 0 as Term })], N1, N2, N3);
    cluster.safety.observe(N2, 2, { ...status(N2, { term: 1, last: [1, 1] }), self: OTHER });
    cluster.elect(2, [1, 1]);
    expect(found()).toContain("elected-by-quorum");
  });
});

describe("a leader", () => {
  const plan = planOf({ format: 1, seed: "x", nodes: 3, operations: [], mishaps: [], healAtMs: 1 });
  const patience = plan.options.electionTimeoutMaxMs * 2000;
  let findings: Finding[];
  let tenure: Tenure;

  beforeEach(() => {
    findings = [];
    tenure = new Tenure(plan, (finding) => void findings.push(finding));
  });

  function turn(at: number, words: Partial<Parameters<typeof status>[1]>, more: object): void {
    const raft = { ...status(N1, { role: "leader", term: 2, ...words }), ...more };
    tenure.afterTurn({ name: N1, raft } as unknown as Computer, at as Instant);
  }

  it("may hand over for as long as two election timeouts, and no longer", () => {
    turn(0, {}, { transferTo: B });
    turn(patience, {}, { transferTo: B });
    expect(findings).toEqual([]);
    turn(patience + 1, {}, { transferTo: B });
    expect(findings.map(({ property }) => property)).toEqual(["transfer-ends"]);
  });

  it("has until then anew for another transfer, in another term, and after a pause", () => {
    turn(0, {}, { transferTo: B });
    turn(patience, {}, { transferTo: null });
    turn(patience, {}, { transferTo: B });
    turn(2 * patience, {}, { transferTo: C });
    tenure.resumed(N1, (3 * patience) as Instant);
    turn(4 * patience, {}, { transferTo: C });
    turn(6 * patience, { term: 3 }, { transferTo: C });
    turn(9 * patience, { role: "follower" }, {});
    expect(findings).toEqual([]);
  });

  it("is left alone when its log has admitted it again, committed or not", () => {
    const former = { committedMembership: of([B, C]) };
    turn(0, {}, former);
    turn(patience + 1, {}, former);
    expect(findings).toEqual([]);
  });

  it("is found when it leads a cluster that it was removed from", () => {
    const removed = { committedMembership: of([B, C]), membership: of([B, C]) };
    turn(0, {}, removed);
    turn(patience, {}, removed);
    expect(findings).toEqual([]);
    turn(patience + 1, {}, removed);
    expect(findings.map(({ property }) => property)).toEqual(["removed-leader-leaves"]);
    expect(findings[0]?.facts[0]).toContain("{n2 n3}, in which it does not vote");
  });
});
