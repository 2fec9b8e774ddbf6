// Claims of the paper's sections 6 and 8, and of the thesis where Raft here follows it: who may
// disturb whom, pre-votes, check-quorum, learners. The rest of both has files of its own;
// docs/raft.md says where.
import { describe, expect, test } from "vitest";
import { appendReply, five, follower, leader, preCandidate, voteReply } from "./roles.ts";
import { appendRequest, id, logOf, ms, Subject, term, voteRequest } from "./subject.ts";

describe("sections 6 and 8, and the thesis", () => {
  test("a server that has just heard a leader neither votes nor adopts a term (6)", () => {
    const server = follower({ term: 1 })
      .receive("b", appendRequest(1, [], 0))
      .forget();
    server.elapse(ms(149)).receive("c", voteRequest(9, 9, 8));
    expect(server.sent("vote-reply")).toMatchObject([{ term: 1, granted: false }]);
    expect(server.status).toMatchObject({ term: 1, leader: "b" });
    server.elapse(ms(1)).receive("c", voteRequest(9, 9, 8));
    expect(server.status).toMatchObject({ term: 9, votedFor: "c" });
  });

  test("a leader disregards candidates: those in earnest say so to its appends (6)", () => {
    const server = leader({ term: 4 }).receive("c", voteRequest(9, 9, 8));
    expect(server.sent("vote-reply")).toMatchObject([{ term: 5, granted: false }]);
    expect(server.status).toMatchObject({ role: "leader", term: 5 });
    server.receive("c", appendReply(9, 0));
    expect(server.status).toMatchObject({ role: "follower", term: 9 });
  });

  test("a restarted server might have heard a leader, so it waits before it votes (6)", () => {
    const server = new Subject("a", { term: 3 }).elapse(ms(149));
    server.receive("b", voteRequest(4, 0, 0, true)).receive("b", voteRequest(4, 0, 0));
    expect(server.sent("vote-reply").map(({ granted }) => granted)).toEqual([false, false]);
    expect(server.status.term).toBe(3);
    server.elapse(ms(1)).receive("b", voteRequest(4, 0, 0));
    expect(server.status).toMatchObject({ term: 4, votedFor: "b" });
  });

  test("a leader begins its term with an entry of its own, without content (8)", () => {
    const server = leader({ log: [1], term: 1 });
    const [entry] = server.writes.flatMap(({ entries }) => entries);
    expect(entry).toMatchObject({ kind: "noop", index: 2, term: 2, prevTerm: 1, count: 0 });
    expect(entry).toMatchObject({ offset: 1, bodyLength: 0, timestamp: 1000 });
  });

  test("a pre-vote raises nobody's term, costs no vote and moves no timer (thesis 9.6)", () => {
    const server = new Subject("a", { term: 3 }).elapse(ms(150));
    const { deadline } = server.raft;
    server.receive("b", voteRequest(4, 0, 0, true)).receive("c", voteRequest(4, 0, 0, true));
    expect(server.sent("vote-reply")).toMatchObject([
      { to: "b", term: 4, granted: true, preVote: true },
      { to: "c", term: 4, granted: true, preVote: true },
    ]);
    expect(server.status).toMatchObject({ term: 3, votedFor: null });
    expect(server.raft.deadline).toBe(deadline);
    expect(server.writes).toEqual([]);
  });

  test("a pre-candidate without a majority never raises its term (thesis 9.6)", () => {
    const server = preCandidate({ voters: five, term: 3 }).grant("b", true);
    for (let rounds = 0; rounds < 50; rounds++) server.untilDeadline().grant("b", true);
    expect(server.status).toMatchObject({ role: "pre-candidate", term: 3 });
    expect(server.writes).toEqual([]);
  });

  test("a pre-vote counts in no election, a vote in no pre-vote (thesis 9.6)", () => {
    const server = preCandidate({ voters: five, term: 1 }).grant("b", true);
    server.receive("c", voteReply(1, true)).receive("d", voteReply(1, true));
    expect(server.status.role).toBe("pre-candidate");
    server.grant("c", true);
    expect(server.status.role).toBe("candidate");
    for (const from of ["b", "c", "d", "e"]) {
      server.receive(from, { kind: "vote-reply", term: term(2), granted: true, preVote: true });
    }
    expect(server.status.role).toBe("candidate");
  });

  test("a pre-candidate that meets a later term catches up with it (thesis 9.6)", () => {
    const server = preCandidate({ term: 3 });
    server.receive("b", { kind: "vote-reply", term: term(8), granted: false, preVote: true });
    expect(server.status).toMatchObject({ role: "follower", term: 8, votedFor: null });
    server.untilDeadline();
    expect(server.sent("vote-request").at(-1)).toMatchObject({ term: 9, preVote: true });
  });

  test("a pre-candidate may vote for another in its own term (thesis 9.6)", () => {
    const server = preCandidate({ term: 3 }).receive("c", voteRequest(3, 0, 0));
    expect(server.sent("vote-reply")).toMatchObject([{ to: "c", term: 3, granted: true }]);
    expect(server.status).toMatchObject({ role: "follower", votedFor: "c" });
  });

  test("a leader that no quorum answers for the maximum timeout steps down (thesis 6.2)", () => {
    const server = new Subject("a", { voters: five }).lead("b", "c");
    const { term: ledTerm } = server.raft;
    server.elapse(ms(200)).ack("b", 1);
    server.elapse(ms(99)).ack("c", 1);
    expect(server.raft.role).toBe("leader");
    // The third of three was heard at 200 ms.
    server.elapse(ms(200));
    expect(server.raft.role).toBe("leader");
    server.elapse(ms(1));
    expect(server.status).toMatchObject({ role: "follower", term: ledTerm, votedFor: "a" });
  });

  test("a leader that no quorum answers steps down on time, not before (thesis 6.2)", () => {
    const server = leader();
    const elected = server.now;
    server.untilItStepsDown();
    expect(server.now - elected).toBe(ms(300));
  });

  test("learners' answers keep nobody in office and commit nothing (thesis 4.2.1)", () => {
    const learners = ["l", "m", "n"];
    const server = new Subject("a", { learners }).lead("b").propose(7);
    for (const learner of learners) server.ack(learner, 2);
    expect(server.status.commitIndex).toBe(0);
    for (let beats = 0; beats < 6; beats++) {
      server.elapse(ms(50));
      for (const learner of learners) server.ack(learner, 2);
    }
    expect(server.raft.role).toBe("follower");
  });

  test("a learner follows and acknowledges, and never stands for election (thesis 4.2.1)", () => {
    const server = new Subject("l", { learners: ["l"] });
    server.elapse(ms(100_000));
    expect(server.status).toMatchObject({ role: "follower", term: 0 });
    server.receive("a", appendRequest(1, logOf([1, 1]), 0));
    expect(server.sent("append-reply")).toMatchObject([{ to: "a", matchIndex: 2 }]);
  });

  test("a single server elects itself and commits by its own disk", () => {
    const server = new Subject("a", { voters: ["a"] });
    server.autoPersist = false;
    server.untilDeadline();
    expect(server.status).toMatchObject({ role: "candidate", term: 1 });
    server.persist().propose(7);
    expect(server.status).toMatchObject({ role: "leader", commitIndex: 0 });
    server.persist();
    expect(server.status.commitIndex).toBe(2);
    expect(server.verdicts).toMatchObject([{ kind: "committed", proposalId: 7, offset: 0 }]);
    server.elapse(ms(1_000_000));
    expect(server.raft.role).toBe("leader");
  });

  test("a proposal at a server that does not lead is refused with the leader's name (8)", () => {
    const server = follower()
      .receive("b", appendRequest(1, [], 0))
      .propose(7);
    expect(server.verdicts).toEqual([
      { kind: "refused", proposalId: 7, why: "not-leader", leader: id("b") },
    ]);
  });
});
