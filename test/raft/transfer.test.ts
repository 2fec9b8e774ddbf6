// Leadership handed over on purpose (thesis 3.10): it completes, or it is given up in time, and
// nothing is lost either way.
import { describe, expect, test } from "vitest";
import { Cluster } from "./cluster.ts";
import {
  appendRequest,
  at,
  id,
  logOf,
  ms,
  type Of,
  type Situation,
  Subject,
  simple,
  term,
  voteRequest,
} from "./subject.ts";

/** A leader whose first entry is committed and everywhere. */
const leader = (situation: Situation = {}) => {
  const server = new Subject("a", situation).lead("b", "c");
  return server.ack("b", 1).ack("c", 1).forget();
};
const timeoutNow = (lastIndex: number, of = 1): Of<"timeout-now"> => ({
  kind: "timeout-now",
  term: term(of),
  lastIndex: at(lastIndex),
});
/** A follower of b whose log is the one entry of term 1. */
const follower = (situation: Situation = {}) =>
  new Subject("a", situation).receive("b", appendRequest(1, logOf([1]), 0)).forget();

describe("a leader that hands over", () => {
  test("tells a successor that has everything to stand at once", () => {
    const server = leader().transfer(7, "b");
    expect(server.sent("timeout-now")).toMatchObject([{ to: "b", term: 1, lastIndex: 1 }]);
    expect(server.status).toMatchObject({ role: "leader", transferTo: "b" });
    expect(server.transfers).toEqual([]);
  });

  test("first brings the successor up to date, and waits until all is committed", () => {
    const server = new Subject("a", { voters: ["a", "b", "c", "d", "e"] }).lead("b", "c");
    server.ack("b", 1).ack("c", 1).propose(1).transfer(7, "b");
    expect(server.sent("timeout-now")).toEqual([]);
    server.ack("b", 2);
    expect(server.sent("timeout-now")).toEqual([]);
    server.ack("c", 2);
    expect(server.sent("timeout-now")).toMatchObject([{ to: "b", lastIndex: 2 }]);
    expect(server.verdicts).toMatchObject([{ kind: "committed", proposalId: 1 }]);
  });

  test("proposes nothing meanwhile, or the successor would fall behind (hashicorp#581)", () => {
    const server = leader().transfer(7, "b").forget().propose(8).change(9, ["a", "b"]);
    expect(server.verdicts).toMatchObject([
      { kind: "refused", proposalId: 8, why: "transferring", leader: "a" },
      { kind: "refused", proposalId: 9, why: "transferring" },
    ]);
    expect(server.raft.lastIndex).toBe(1);
  });

  test("still answers reads", () => {
    const server = leader().transfer(7, "b").step({ kind: "read-requested", readId: 1 });
    server.ack("c", 1);
    expect(server.reads).toMatchObject([{ kind: "ready", readId: 1 }]);
  });

  test("chooses the voter whose log is the longest when nobody is named", () => {
    const server = leader({ learners: ["l"] })
      .propose(1)
      .ack("l", 2)
      .ack("c", 2)
      .ack("b", 1);
    server.forget().transfer(7, null);
    expect(server.sent("timeout-now")).toMatchObject([{ to: "c" }]);
  });

  test("tells its successor again with each round, for the message may be lost", () => {
    const server = leader().transfer(7, "b").forget().ack("c", 1);
    expect(server.sent("timeout-now")).toEqual([]);
    server.elapse(ms(50));
    expect(server.sent("timeout-now")).toMatchObject([{ to: "b" }]);
  });

  test("has completed when the successor is heard to lead", () => {
    const server = leader()
      .transfer(7, "b")
      .receive("b", voteRequest(2, 1, 1, false, true));
    expect(server.status).toMatchObject({
      role: "follower",
      term: 2,
      votedFor: "b",
      transferTo: null,
    });
    expect(server.transfers).toEqual([]);
    server.receive("b", appendRequest(2, [], 0));
    expect(server.transfers).toEqual([{ kind: "completed", transferId: 7 }]);
  });

  test("has failed when somebody else is heard to lead", () => {
    const server = leader()
      .transfer(7, "b")
      .receive("c", appendRequest(3, [], 0));
    expect(server.transfers).toEqual([{ kind: "aborted", transferId: 7, why: "another-leader" }]);
  });

  test("gives up after electionTimeoutMax and leads on (hashicorp#493)", () => {
    const server = leader().transfer(7, "b");
    for (let beats = 0; beats < 5; beats++) server.elapse(ms(50)).ack("b", 1).ack("c", 1);
    expect(server.transfers).toEqual([]);
    server.elapse(ms(50));
    expect(server.transfers).toEqual([{ kind: "aborted", transferId: 7, why: "timed-out" }]);
    expect(server.status).toMatchObject({ role: "leader", transferTo: null });
    server.forget().propose(8).ack("b", 2);
    expect(server.verdicts).toMatchObject([{ kind: "committed", proposalId: 8 }]);
  });

  test("gives up in time also when it no longer leads and hears nobody", () => {
    const server = leader()
      .transfer(7, "b")
      .receive("b", voteRequest(2, 1, 1, false, true));
    server.elapse(ms(299));
    expect(server.transfers).toEqual([]);
    expect(server.raft.deadline).toBeLessThanOrEqual(server.now + ms(1));
    server.elapse(ms(1));
    expect(server.transfers).toEqual([{ kind: "aborted", transferId: 7, why: "timed-out" }]);
  });

  test.each<[string, Situation, string | null, string]>([
    ["a learner", { learners: ["l"] }, "l", "not-a-voter"],
    ["a stranger", {}, "z", "not-a-voter"],
    ["anybody, being alone", { voters: ["a"] }, null, "not-a-voter"],
  ])("refuses to hand over to %s", (_, situation, to, why) => {
    const server = new Subject("a", situation).untilDeadline();
    if (situation.voters === undefined) server.grant("b", true).grant("b", false);
    server.transfer(7, to);
    expect(server.transfers).toEqual([{ kind: "aborted", transferId: 7, why }]);
    expect(server.status).toMatchObject({ role: "leader", transferTo: null });
  });

  test("refuses who has not answered for an election timeout, and goes on proposing", () => {
    const server = leader();
    for (let beats = 0; beats < 3; beats++) server.elapse(ms(50)).ack("c", 1);
    server.forget().transfer(7, "b");
    expect(server.transfers).toEqual([{ kind: "aborted", transferId: 7, why: "does-not-answer" }]);
    expect(server.status).toMatchObject({ role: "leader", transferTo: null });
    expect(server.propose(8).ack("c", 2).verdicts).toMatchObject([{ kind: "committed" }]);
    server.ack("b", 2).transfer(9, "b");
    expect(server.sent("timeout-now")).toMatchObject([{ to: "b", lastIndex: 2 }]);
  });

  test("prefers who answers to whose log is the longest when nobody is named", () => {
    const server = leader().propose(1).ack("b", 2);
    for (let beats = 0; beats < 3; beats++) server.elapse(ms(50)).ack("c", 1);
    server.forget().transfer(7, null);
    expect(server.status.transferTo).toBe("c");
    server.ack("c", 2);
    expect(server.sent("timeout-now")).toMatchObject([{ to: "c", lastIndex: 2 }]);
  });

  test("hands over once at a time; the first goes on", () => {
    const server = leader().transfer(7, "b").transfer(8, "c");
    expect(server.transfers).toEqual([{ kind: "aborted", transferId: 8, why: "transferring" }]);
    expect(server.status.transferTo).toBe("b");
  });

  test("is done at once when it is to hand over to itself", () => {
    const server = leader().transfer(7, "a");
    expect(server.transfers).toEqual([{ kind: "completed", transferId: 7 }]);
    expect(server.propose(8).verdicts).toEqual([]);
  });

  test("refuses when it does not lead", () => {
    const server = follower().transfer(7, "c");
    expect(server.transfers).toEqual([{ kind: "aborted", transferId: 7, why: "not-leader" }]);
  });

  test("may do so in a joint configuration, to a voter that stays; that one leaves it (4.3)", () => {
    const server = leader().change(7, ["b", "x", "y"]).ack("b", 2).transfer(8, "c");
    expect(server.transfers).toEqual([{ kind: "aborted", transferId: 8, why: "not-a-voter" }]);
    server.transfer(9, "x").ack("x", 2);
    expect(server.status).toMatchObject({ commitIndex: 2, lastIndex: 2, transferTo: "x" });
    expect(server.sent("timeout-now")).toMatchObject([{ to: "x", lastIndex: 2 }]);
  });

  test("leaves the joint configuration itself when the transfer comes to nothing", () => {
    const server = leader().change(7, ["a", "x", "y"]).transfer(8, "x").ack("b", 2).ack("x", 2);
    expect(server.raft.lastIndex).toBe(2);
    for (let beats = 0; beats < 6; beats++) server.elapse(ms(50)).ack("b", 2).ack("x", 2);
    expect(server.transfers).toMatchObject([{ kind: "aborted", why: "timed-out" }]);
    expect(server.status.membership).toEqual(simple(["a", "x", "y"]));
  });

  test("that is new leaves nothing before its own entry is committed, transfer or not", () => {
    const membership = {
      ...simple(["a", "b", "c", "x"]),
      voters: ["a", "b", "x"].map(id),
      outgoing: ["a", "b", "c"].map(id),
    };
    const server = new Subject("a", { membership, log: [1, 1], base: 2, term: 1 });
    server.lead("b", "c").transfer(7, "b");
    for (let beats = 0; beats < 6; beats++) server.elapse(ms(50)).ack("b", 2).ack("c", 2);
    expect(server.transfers).toMatchObject([{ kind: "aborted" }]);
    expect(server.raft.lastIndex).toBe(3);
    server.ack("b", 3);
    expect(server.raft.lastIndex).toBe(4);
  });
});

describe("a server that is told to stand", () => {
  test("stands at once: no pre-vote, and its requests say why", () => {
    const server = follower().receive("b", timeoutNow(1));
    expect(server.status).toMatchObject({ role: "candidate", term: 2, votedFor: "a" });
    expect(server.sent("vote-request")).toMatchObject([
      { to: "b", term: 2, preVote: false, transfer: true },
      { to: "c", term: 2, preVote: false, transfer: true },
    ]);
  });

  test("stands as anybody else when the first round brought nothing", () => {
    const server = follower().receive("b", timeoutNow(1)).forget().untilDeadline();
    expect(server.sent("vote-request")).toMatchObject([
      { preVote: true, transfer: false },
      { preVote: true, transfer: false },
    ]);
  });

  test.each<[string, Subject, string, Of<"timeout-now">]>([
    ["does not follow who says it", follower(), "c", timeoutNow(1)],
    ["is in a later term", follower(), "b", timeoutNow(1, 0)],
    ["is in an earlier term", follower(), "b", timeoutNow(1, 2)],
    ["has not the log that it counts on", follower(), "b", timeoutNow(2)],
    ["learns only", follower({ voters: ["b", "c"], learners: ["a"] }), "b", timeoutNow(1)],
    ["leads itself", new Subject("a").lead("b").forget(), "b", timeoutNow(1)],
  ])("does not when it %s", (_, server, from, message) => {
    const { role, term: before } = server.status;
    server.receive(from, message);
    expect(server.status).toMatchObject({ role, term: before });
    expect(server.sent("vote-request")).toEqual([]);
  });
});

describe("a voter that hears a leader", () => {
  test("votes nevertheless for who was sent by that leader (3.10)", () => {
    const server = follower().receive("c", voteRequest(2, 1, 1, false, true));
    expect(server.sent("vote-reply")).toMatchObject([{ to: "c", term: 2, granted: true }]);
  });

  test("asks of who was sent, too, that its log is as up to date, and gives one vote", () => {
    const server = follower().receive("c", voteRequest(2, 0, 0, false, true));
    expect(server.sent("vote-reply")).toMatchObject([{ granted: false }]);
    server.forget().receive("b", voteRequest(2, 1, 1, false, true));
    server.receive("c", voteRequest(2, 1, 1, false, true));
    expect(server.sent("vote-reply").map(({ granted }) => granted)).toEqual([true, false]);
  });
});

test.each([3, 5])(
  "leadership goes round among %i servers, and every proposal is committed",
  (size) => {
    const cluster = new Cluster(size);
    expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
    for (let round = 0; round < 2 * size; round++) {
      const from = cluster.leader();
      if (from === null) throw new Error("no leader");
      const to = cluster.nodes[(round * 2 + 1) % size]?.name ?? null;
      cluster.propose(from);
      cluster.transfer(from, to);
      expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
      expect(cluster.leader()?.name).toBe(to);
    }
    expect(cluster.seen).toMatchObject({ transfers: 2 * size, unknown: 0 });
    expect(cluster.now).toBeLessThan(ms(1500));
  },
);
