// Who decides, and how that changes: paper section 6 and chapter 4 of the thesis, a claim a test.
import { describe, expect, test } from "vitest";
import type { Entry } from "../../src/base/entry.ts";
import { pointAfter } from "../../src/base/entry.ts";
import type { Instant } from "../../src/base/ids.ts";
import { type Membership, NO_MEMBERS } from "../../src/base/membership.ts";
import { Raft } from "../../src/raft/raft.ts";
import { Cluster } from "./cluster.ts";
import {
  appendRequest,
  at,
  entriesAfter,
  foundingEntry,
  id,
  logOf,
  memberOf,
  membershipEntry,
  ms,
  optionsOf,
  restoredOf,
  type Situation,
  Subject,
  simple,
  term,
  voteRequest,
} from "./subject.ts";

/** A leader whose first entry is committed and everywhere. */
const leader = (situation: Situation = {}) => {
  const server = new Subject("a", situation);
  const others = (situation.voters ?? ["a", "b", "c"]).filter((name) => name !== "a");
  server.lead(...others);
  for (const other of [...others, ...(situation.learners ?? [])]) server.ack(other, 1);
  return server.forget();
};
/** The place after the only entry of a log. */
const FIRST = pointAfter(logOf([1])[0] as Entry);
const votersOf = ({ status }: Subject) => status.membership.voters;

describe("a change of membership", () => {
  test("is in force as soon as its entry is in the log, committed or not (4.1)", () => {
    const server = leader().change(7, ["a", "b", "c", "d"]);
    expect(server.status.membership).toEqual(simple(["a", "b", "c", "d"]));
    expect(server.status.committedMembership).toEqual(simple(["a", "b", "c"]));
    expect(server.memberships).toEqual([simple(["a", "b", "c", "d"])]);
    expect(server.appends().map(({ to }) => to)).toEqual(["b", "c", "d"]);
    server.ack("b", 2);
    expect(server.status.commitIndex).toBe(1);
    server.ack("d", 2);
    expect(server.status).toMatchObject({
      commitIndex: 2,
      committedMembership: simple(["a", "b", "c", "d"]),
    });
    expect(server.verdicts).toMatchObject([{ kind: "committed", proposalId: 7, index: 2 }]);
  });

  test.each<[string, string[], string[], string[], boolean]>([
    ["adds a voter", ["a", "b", "c", "d"], [], [], false],
    ["removes a voter", ["a", "b"], [], [], false],
    ["adds learners", ["a", "b", "c"], ["x", "y", "z"], [], false],
    ["makes a voter a learner", ["a", "b"], ["c"], [], false],
    ["removes all learners", ["a", "b", "c"], [], ["x", "y"], false],
    ["changes nothing", ["a", "b", "c"], [], [], false],
    ["adds two voters", ["a", "b", "c", "d", "e"], [], [], true],
    ["replaces a voter", ["a", "b", "d"], [], [], true],
    ["swaps a voter with a learner", ["a", "b", "x"], ["c"], ["x"], true],
    ["replaces all but the leader", ["a", "d", "e"], [], [], true],
  ])(
    "that %s is joint only if majorities could miss each other (4.3)",
    (_, to, next, from, joint) => {
      const server = leader({ learners: from });
      server.change(7, to, next);
      expect(server.status.membership.outgoing).toEqual(joint ? ["a", "b", "c"] : []);
      expect(votersOf(server)).toEqual(to);
    },
  );

  test("in a joint configuration is decided by both halves, each by itself (6)", () => {
    const server = leader({ voters: ["a", "b", "c", "d", "e"] }).change(7, ["a", "x", "y"]);
    server.ack("x", 2).ack("y", 2);
    expect(server.status.commitIndex).toBe(1);
    server.ack("b", 2);
    expect(server.status.commitIndex).toBe(1);
    server.ack("c", 2);
    expect(server.status.commitIndex).toBe(2);
  });

  test("leaves the joint configuration by itself, and is answered only then (4.3)", () => {
    const server = leader().change(7, ["a", "x", "y"], ["b"]);
    expect(server.status.membership).toMatchObject({ learners: [], learnersNext: ["b"] });
    server.ack("b", 2).ack("x", 2);
    expect(server.status).toMatchObject({ commitIndex: 2, lastIndex: 3 });
    expect(server.status.membership).toEqual(simple(["a", "x", "y"], ["b"]));
    expect(server.verdicts).toEqual([]);
    server.ack("b", 3).ack("c", 3);
    expect(server.status.commitIndex).toBe(2);
    server.ack("x", 3);
    expect(server.verdicts).toMatchObject([{ kind: "committed", proposalId: 7, index: 3 }]);
  });

  test("leaves the joint configuration once, whatever else is committed with it", () => {
    const server = leader().change(7, ["a", "x", "y"]).propose(8).propose(9);
    server.ack("b", 4).ack("x", 4).ack("b", 4).propose(10).ack("c", 5);
    const kinds = server.writes.flatMap(({ entries }) => entries.map(({ kind }) => kind));
    expect(kinds.filter((kind) => kind === "membership")).toHaveLength(2);
  });

  test("is finished by whoever leads next: a joint configuration it finds is left (6)", () => {
    const joint = membershipEntry(FIRST, 1, {
      ...simple(["a", "b", "c", "x"]),
      voters: [id("a"), id("x")],
      outgoing: ["a", "b", "c"].map(id),
    });
    const server = new Subject("a", { entries: [...logOf([1]), joint], term: 1 });
    expect(server.status.membership).toMatchObject({
      voters: ["a", "x"],
      outgoing: ["a", "b", "c"],
    });
    server.lead("b", "x").forget().ack("b", 3);
    expect(server.raft.lastIndex).toBe(3);
    server.ack("x", 3);
    expect(server.status).toMatchObject({ commitIndex: 3, lastIndex: 4 });
    expect(server.status.membership).toEqual(simple(["a", "x"]));
  });

  test("is undone when its entry gives way to another leader's (4.1)", () => {
    const server = new Subject("a").lead("b").ack("b", 1);
    const log = server.writes.flatMap(({ entries }) => entries);
    server.change(7, ["a", "b", "c", "d"]).forget();
    expect(server.status.membership.voters).toHaveLength(4);
    const other = entriesAfter(pointAfter(log[0] as Entry), [2]);
    server.receive("b", appendRequest(2, [...log, ...other], 1));
    expect(server.status).toMatchObject({ lastIndex: 2, lastTerm: 2 });
    expect(server.status.membership).toEqual(simple(["a", "b", "c"]));
    expect(server.memberships).toEqual([simple(["a", "b", "c"])]);
    expect(server.verdicts).toMatchObject([{ kind: "unknown", proposalId: 7 }]);
  });

  test("survives a restart: the base's membership, and the entries after it", () => {
    const second = membershipEntry(FIRST, 1, simple(["a", "b"]));
    const third = membershipEntry(pointAfter(second), 1, simple(["a", "b", "d"]));
    const entries = [...logOf([1]), second, third];
    const server = new Subject("a", { entries, base: 2, voters: ["a", "b"], term: 1 });
    expect(server.status).toMatchObject({
      membership: simple(["a", "b", "d"]),
      committedMembership: simple(["a", "b"]),
    });
    server.receive(
      "b",
      appendRequest(1, [], 0, { prevIndex: at(3), prevTerm: term(1), commitIndex: at(3) }),
    );
    expect(server.status.committedMembership).toEqual(simple(["a", "b", "d"]));
  });

  test("is unknown, joint or not, when leadership is lost before its end", () => {
    for (const voters of [
      ["a", "b"],
      ["a", "d", "e"],
    ]) {
      const server = leader().change(7, voters).forget();
      server.receive("b", appendRequest(9, [], 0));
      expect(server.verdicts).toEqual([{ kind: "unknown", proposalId: 7 }]);
    }
  });
});

describe("a change of membership is refused", () => {
  const refusal = (server: Subject) => {
    const [verdict] = server.verdicts;
    return verdict?.kind === "refused" ? [verdict.why, verdict.what] : [verdict?.kind];
  };

  test("by a server that does not lead, with the leader's name", () => {
    const server = new Subject().receive("b", appendRequest(1, [], 0)).change(7, ["a", "b"]);
    const what = { kind: "refused", proposalId: 7, why: "not-leader", leader: id("b") };
    expect(server.verdicts).toEqual([what]);
  });

  test("before the leader has committed an entry of its own term (raft-dev 2015)", () => {
    const server = new Subject("a").lead("b").change(7, ["a", "b"]);
    expect(refusal(server)).toEqual(["not-ready", undefined]);
    expect(server.forget().ack("b", 1).change(8, ["a", "b"]).verdicts).toEqual([]);
  });

  test("while another is not committed, or joint", () => {
    const server = leader().change(7, ["a", "x", "y"]).change(8, ["a", "b"]);
    expect(refusal(server)).toEqual(["change-in-progress", undefined]);
    server.ack("b", 2).ack("x", 2).forget().change(9, ["a", "b"]);
    expect(refusal(server)).toEqual(["change-in-progress", undefined]);
    server.ack("x", 3).forget().change(10, ["a", "x"]);
    expect(server.verdicts).toEqual([]);
  });

  test.each<[string, string[], string[], string]>([
    ["leaves no voter", [], ["a"], "it leaves no voter"],
    ["names a voter twice", ["a", "b", "b"], [], "it names b twice"],
    ["names a voter as learner as well", ["a", "b"], ["b"], "it names b twice"],
    ["names two instances of one node", ["a", "b/1", "b/2"], [], "it names b twice"],
    ["names somebody without a name", ["a", ""], [], "a member's id of 0 bytes: it has 1 to 255"],
    [
      "has a name that is too long",
      ["a", "x".repeat(256)],
      [],
      "a member's id of 256 bytes: it has 1 to 255",
    ],
  ])("when it %s", (_, voters, learners, what) => {
    const server = leader().change(7, voters, learners);
    expect(refusal(server)).toEqual(["invalid", what]);
    expect(server.raft.lastIndex).toBe(1);
  });

  test("when a learner that is to vote lacks more than one append (4.2.1)", () => {
    const options = { appendBytesMax: 400 };
    const server = leader({ learners: ["l"], options });
    for (let proposal = 1; proposal <= 5; proposal++) server.propose(proposal, 104);
    server.ack("b", 6).forget().change(7, ["a", "b", "c", "l"]);
    expect(refusal(server)).toEqual(["not-caught-up", "l has 1 of 6 committed entries"]);
    server.ack("l", 4).forget().change(8, ["a", "b", "c", "l"]);
    expect(server.verdicts).toEqual([]);
    expect(votersOf(server)).toEqual(["a", "b", "c", "l"]);
  });

  test("when a learner that is to vote has been silent (4.2.1)", () => {
    const server = leader({ learners: ["l"] });
    server.elapse(ms(100)).ack("b", 1).elapse(ms(50)).ack("b", 1);
    server.forget().change(7, ["a", "b", "c", "l"]);
    expect(refusal(server)).toEqual(["not-caught-up", "l has 1 of 1 committed entries"]);
    expect(server.ack("l", 1).forget().change(8, ["a", "b", "c", "l"]).verdicts).toEqual([]);
  });
});

describe("a newcomer", () => {
  test("knows nobody: it neither stands nor asks, and takes what any leader sends (4.2.1)", () => {
    const server = new Subject("d", { voters: [] }).elapse(ms(100_000));
    expect(server.status).toMatchObject({ role: "follower", term: 0, isVoter: false });
    server.receive("a", appendRequest(3, logOf([1, 3]), 0));
    expect(server.sent("append-reply")).toMatchObject([{ to: "a", term: 3, matchIndex: 2 }]);
    server
      .elapse(ms(300))
      .forget()
      .receive("b", voteRequest(4, 2, 3));
    expect(server.sent("vote-reply")).toMatchObject([{ to: "b", term: 4, granted: true }]);
  });

  test("is asked first for the entry that admits it, and steps back from there", () => {
    const server = leader()
      .propose(1)
      .propose(2)
      .ack("b", 3)
      .forget()
      .change(7, ["a", "b", "c"], ["d"]);
    expect(server.peer("d")).toMatchObject({ mode: "probe", matchIndex: 0, nextIndex: 4 });
    server.forget().refuse("d", 3, 0, 0);
    expect(server.appends().filter(({ to }) => to === "d")).toMatchObject([{ prevIndex: 0 }]);
    server.ack("d", 4);
    expect(server.peer("d")).toMatchObject({ mode: "replicate", matchIndex: 4 });
  });

  test("that was just made a voter has a whole timeout before it is missed", () => {
    const server = leader({ voters: ["a"] }).change(7, ["a", "b"]);
    expect(server.raft.role).toBe("leader");
    server.elapse(ms(299));
    expect(server.raft.role).toBe("leader");
    server.elapse(ms(1));
    expect(server.raft.role).toBe("follower");
  });

  test("founds a cluster by the first entry of its log", () => {
    const entries = [foundingEntry(simple(["a"]))];
    const server = new Subject("a", { voters: [], entries, term: 1 });
    expect(server.status).toMatchObject({
      membership: simple(["a"]),
      committedMembership: NO_MEMBERS,
    });
    server.untilDeadline();
    expect(server.status).toMatchObject({ role: "leader", term: 2, commitIndex: 2 });
    expect(server.status.committedMembership).toEqual(simple(["a"]));
  });
});

describe("a leader that is removed", () => {
  test("counts itself for nothing, and leads on until the change is committed (4.2.2)", () => {
    const server = leader().change(7, ["b", "c"]);
    expect(server.status).toMatchObject({ role: "leader", isVoter: false });
    server.ack("b", 2);
    expect(server.status).toMatchObject({ role: "leader", commitIndex: 1 });
    server.forget().ack("c", 2);
    expect(server.status).toMatchObject({ role: "leader", commitIndex: 2 });
    expect(server.verdicts).toMatchObject([{ kind: "committed", proposalId: 7 }]);
  });

  test("tells the others, hands over to the most caught up and proposes nothing more (3.10)", () => {
    const server = leader().change(7, ["b", "c"]).ack("c", 2).forget().ack("b", 2);
    const told = server.sent("append-request").map(({ to, commitIndex }) => [to, commitIndex]);
    expect(told).toEqual([
      ["b", 2],
      ["c", 2],
    ]);
    expect(server.sent("timeout-now")).toMatchObject([{ to: "b", term: 1, lastIndex: 2 }]);
    server.forget().propose(8);
    expect(server.verdicts).toMatchObject([{ kind: "refused", why: "transferring" }]);
    server.receive("b", voteRequest(2, 2, 1, false, true));
    expect(server.status).toMatchObject({ role: "follower", term: 2, votedFor: "b" });
  });

  test("steps down by itself when nobody takes over in time, and never stands again", () => {
    const server = leader().change(7, ["b", "c"]).ack("c", 2).ack("b", 2);
    for (let beats = 0; beats < 5; beats++) server.elapse(ms(50)).ack("b", 2).ack("c", 2);
    expect(server.raft.role).toBe("leader");
    server.elapse(ms(50));
    expect(server.status).toMatchObject({ role: "follower", term: 1 });
    server.elapse(ms(100_000));
    expect(server.status).toMatchObject({ role: "follower", term: 1 });
  });

  test("stands again while the removal is not committed: its log may be needed (4.2.2)", () => {
    const server = leader({ voters: ["a", "b"] })
      .change(7, ["b"])
      .untilItStepsDown()
      .forget();
    expect(server.status.isVoter).toBe(false);
    server.untilDeadline();
    expect(server.sent("vote-request")).toMatchObject([{ to: "b", preVote: true, lastIndex: 2 }]);
    expect(server.raft.role).toBe("pre-candidate");
    server.grant("b", true).grant("b", false);
    expect(server.status).toMatchObject({ role: "leader", term: 2 });
    server.ack("b", 3);
    expect(server.status.committedMembership).toEqual(simple(["b"]));
  });

  test("in a joint configuration still counts for the half that it belongs to (6)", () => {
    const server = leader().change(7, ["x", "y", "z"]).ack("b", 2).ack("x", 2);
    expect(server.status.commitIndex).toBe(1);
    server.ack("y", 2);
    expect(server.status).toMatchObject({ commitIndex: 2, lastIndex: 3, isVoter: false });
    server.ack("x", 3).ack("b", 3).ack("c", 3);
    expect(server.status.commitIndex).toBe(2);
    server.ack("z", 3);
    expect(server.status.commitIndex).toBe(3);
  });
});

describe("a peer that is removed", () => {
  test("is told for one election timeout more, and then no longer", () => {
    const server = leader().change(7, ["a", "b"]).ack("b", 2).forget();
    const hears = () => server.sent("append-request").some(({ to }) => to === "c");
    server.elapse(ms(50)).ack("b", 2).ack("c", 2);
    expect(hears()).toBe(true);
    for (let beats = 0; beats < 6; beats++) server.elapse(ms(50)).ack("b", 2);
    server.forget().elapse(ms(50));
    expect(server.sent("append-request").map(({ to }) => to)).toEqual(["b"]);
    expect(server.status.peers.map(({ peer }) => peer)).toEqual(["b"]);
  });

  test("counts for nothing meanwhile, whatever it answers, and raises no term", () => {
    const server = leader({ voters: ["a", "b", "c", "d"] }).change(7, ["a", "b", "c"]);
    server.ack("d", 2);
    expect(server.status.commitIndex).toBe(1);
    const reply = { kind: "append-reply", round: 1, matchIndex: at(2), conflict: null } as const;
    server.receive("d", { ...reply, term: term(9) });
    server.receive("d", { kind: "vote-reply", term: term(9), granted: false, preVote: false });
    expect(server.status).toMatchObject({ role: "leader", term: 1, dropped: 2 });
  });

  test("and admitted again at once goes on where it was", () => {
    const server = leader()
      .change(7, ["a", "b"])
      .ack("b", 2)
      .ack("c", 2)
      .change(8, ["a", "b", "c"]);
    expect(server.peer("c")).toMatchObject({ mode: "replicate", matchIndex: 2, nextIndex: 4 });
    for (let beats = 0; beats < 8; beats++) server.elapse(ms(50)).ack("b", 3);
    expect(server.peer("c").matchIndex).toBe(2);
  });

  test("and does not know it disturbs nobody: no term rises, nobody is deposed (4.2.3)", () => {
    const cluster = new Cluster(4);
    expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
    const first = cluster.leader();
    if (first === null) throw new Error("no leader");
    const removed = cluster.nodes.find((node) => node !== first);
    if (removed === undefined) throw new Error("no other");
    cluster.cut([removed.name]);
    const rest = cluster.nodes.map(({ name }) => name).filter((name) => name !== removed.name);
    cluster.proposeMembership(first, rest);
    cluster.runUntil(() => first.raft.status().peers.length === 2);
    cluster.cut([]);
    const before = first.raft.term;
    const until = cluster.now + ms(20_000);
    cluster.runUntil(() => cluster.now > until);
    expect(removed.raft.status()).toMatchObject({
      term: before,
      membership: { voters: { length: 4 } },
    });
    expect(removed.raft.role).not.toBe("leader");
    expect(first.raft.status()).toMatchObject({ role: "leader", term: before });
  });
});

describe("an election", () => {
  const joint: Membership = {
    ...simple(["a", "b", "c", "x", "y"]),
    voters: ["a", "x", "y"].map(id),
    outgoing: ["a", "b", "c"].map(id),
  };
  const candidate = () => {
    const entries = [...logOf([1]), membershipEntry(FIRST, 1, joint)];
    return new Subject("a", { entries, term: 1 }).untilDeadline();
  };

  test("in a joint configuration asks both halves and needs each (6)", () => {
    const server = candidate();
    expect(server.sent("vote-request").map(({ to }) => to)).toEqual(["b", "c", "x", "y"]);
    server.grant("x", true).grant("y", true);
    expect(server.raft.role).toBe("pre-candidate");
    server.grant("b", true);
    expect(server.raft.role).toBe("candidate");
    server.grant("b", false).grant("c", false);
    expect(server.raft.role).toBe("candidate");
    server.grant("y", false);
    expect(server.raft.role).toBe("leader");
  });

  test("in a joint configuration is lost with one half", () => {
    const server = candidate().grant("b", true).grant("x", true);
    const refuse = (from: string) =>
      server.receive(from, { kind: "vote-reply", term: term(1), granted: false, preVote: false });
    refuse("x");
    expect(server.raft.role).toBe("candidate");
    refuse("y");
    expect(server.raft.role).toBe("follower");
  });

  test("counts no vote of who is no voter, be it a learner or a stranger (4.2.1)", () => {
    const server = new Subject("a", { learners: ["l"] }).untilDeadline();
    server.grant("l", true).grant("z", true);
    expect(server.raft.role).toBe("pre-candidate");
    expect(server.status.dropped).toBe(1);
  });

  test("is served by who does not know the candidate: the asker's log says who decides (4.1)", () => {
    const server = new Subject("a").elapse(ms(150)).forget();
    server.receive("d", voteRequest(5, 3, 4));
    expect(server.sent("vote-reply")).toMatchObject([{ to: "d", term: 5, granted: true }]);
  });

  test("is decided by a learner that was promoted and does not know it yet (etcd#10998)", () => {
    const server = new Subject("l", { learners: ["l"], log: [1], term: 1 })
      .elapse(ms(150))
      .forget();
    server.receive("b", voteRequest(2, 2, 1));
    expect(server.sent("vote-reply")).toMatchObject([{ to: "b", term: 2, granted: true }]);
  });
});

test("a machine's status says who decides, who did and whether it may", () => {
  const raft = new Raft(optionsOf("l"), restoredOf({ learners: ["l"] }), 0 as Instant);
  expect(raft.status()).toMatchObject({ isVoter: false, transferTo: null });
  expect(raft.status().membership.members).toEqual(["a", "b", "c", "l"].map(memberOf));
});
