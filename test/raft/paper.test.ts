// One test for each claim of "In Search of an Understandable Consensus Algorithm" (extended
// version), sections 5 to 8, and of the thesis where Raft here follows it. The sentence is the
// claim.
import { describe, expect, test } from "vitest";
import type { RaftMessage } from "../../src/raft/protocol.ts";
import {
  appendRequest,
  at,
  id,
  logOf,
  ms,
  type Situation,
  Subject,
  term,
  voteRequest,
} from "./subject.ts";

const follower = (situation: Situation = {}) => new Subject("a", situation).elapse(ms(149));
const preCandidate = (situation: Situation = {}) => new Subject("a", situation).untilDeadline();
const candidate = (situation: Situation = {}) => preCandidate(situation).grant("b", true);
const leader = (situation: Situation = {}) => new Subject("a", situation).lead("b");
const five = ["a", "b", "c", "d", "e"];

const voteReply = (of: number, granted: boolean): RaftMessage => ({
  kind: "vote-reply",
  term: term(of),
  granted,
  preVote: false,
});
const appendReply = (of: number, matchIndex: number): RaftMessage => ({
  kind: "append-reply",
  term: term(of),
  round: 1,
  matchIndex: at(matchIndex),
  conflict: null,
});

describe("section 5.1: terms", () => {
  const roles = { follower, preCandidate, candidate, leader };
  const ofTerm9: readonly RaftMessage[] = [
    appendRequest(9, [], 0),
    appendReply(9, 0),
    voteReply(9, false),
    { kind: "vote-reply", term: term(9), granted: false, preVote: true },
  ];

  for (const [role, make] of Object.entries(roles)) {
    for (const message of ofTerm9) {
      test(`a ${role} that hears of a later term by ${message.kind} enters it as follower`, () => {
        const server = make({ term: 2 }).receive("c", message);
        expect(server.status).toMatchObject({ role: "follower", term: 9, votedFor: null });
        expect(server.writes.at(-1)?.hardState).toEqual({ term: 9, votedFor: null });
      });
    }
  }

  test("a candidate that is asked for its vote in a later term gives it", () => {
    const server = candidate({ term: 2 }).receive("c", voteRequest(9, 0, 0));
    expect(server.status).toMatchObject({ role: "follower", term: 9, votedFor: "c" });
  });

  test("a server refuses a request of an earlier term and names its own", () => {
    const server = follower({ term: 5 }).elapse(ms(1)).forget();
    server.receive("b", voteRequest(4, 9, 3)).receive("b", appendRequest(4, logOf([1]), 0));
    expect(server.sent("vote-reply")).toMatchObject([{ to: "b", term: 5, granted: false }]);
    expect(server.sent("append-reply")).toMatchObject([{ to: "b", term: 5 }]);
    expect(server.status).toMatchObject({ term: 5, leader: null, lastIndex: 0 });
  });

  test("a leader ignores answers of an earlier term", () => {
    const server = leader({ term: 4, log: [1] }).receive("b", appendReply(4, 2));
    expect(server.status).toMatchObject({ role: "leader", term: 5, commitIndex: 0 });
  });

  test("a restarted server has its term, its vote and its log", () => {
    const server = new Subject("a", { term: 7, votedFor: "c", log: [1, 1, 6] });
    expect(server.status).toMatchObject({
      role: "follower",
      term: 7,
      votedFor: "c",
      lastIndex: 3,
      lastTerm: 6,
      durableIndex: 3,
    });
  });
});

describe("section 5.2: leader election", () => {
  test("a server begins as follower", () => {
    expect(new Subject().status).toMatchObject({ role: "follower", term: 0, leader: null });
  });

  test("a follower that hears its leader stays follower", () => {
    const server = follower();
    for (let beats = 0; beats < 100; beats++) {
      server.receive("b", appendRequest(1, [], 0)).elapse(ms(50));
    }
    expect(server.status).toMatchObject({ role: "follower", term: 1, leader: "b" });
  });

  test("a leader sends every peer a heartbeat each interval, entries or not", () => {
    const server = leader();
    for (let beats = 0; beats < 3; beats++) {
      server.forget().elapse(ms(50)).ack("b", 1).ack("c", 1);
      expect(new Set(server.sent("append-request").map(({ to }) => to))).toEqual(
        new Set(["b", "c"]),
      );
    }
  });

  test("a follower that hears nobody stands: term raised, own vote given, all asked", () => {
    const server = candidate({ voters: five, term: 3, log: [1, 3] });
    expect(server.status).toMatchObject({ role: "pre-candidate", term: 3 });
    server.grant("c", true);
    expect(server.status).toMatchObject({ role: "candidate", term: 4, votedFor: "a" });
    const asked = server.sent("vote-request").filter(({ preVote }) => !preVote);
    expect(asked.map(({ to }) => to)).toEqual(["b", "c", "d", "e"]);
    for (const request of asked) {
      expect(request).toMatchObject({ term: 4, lastIndex: 2, lastTerm: 3 });
    }
  });

  test.each<[number, number, number, string]>([
    [1, 0, 0, "leader"],
    [2, 1, 0, "leader"],
    [3, 1, 0, "leader"],
    [3, 2, 0, "leader"],
    [3, 1, 1, "leader"],
    [5, 2, 2, "leader"],
    [5, 4, 0, "leader"],
    [2, 0, 0, "candidate"],
    [3, 0, 0, "candidate"],
    [3, 0, 1, "candidate"],
    [5, 1, 2, "candidate"],
    [4, 1, 1, "candidate"],
    [3, 0, 2, "follower"],
    [5, 1, 3, "follower"],
  ])(
    "a candidate of %i with %i votes given and %i refused is %s",
    (voters, given, denied, role) => {
      const names = ["a", "b", "c", "d", "e"].slice(0, voters);
      const others = names.slice(1);
      const server = preCandidate({ voters: names });
      for (const other of others) server.grant(other, true);
      for (const other of others.slice(0, given)) server.receive(other, voteReply(1, true));
      for (const other of others.slice(given, given + denied)) {
        server.receive(other, voteReply(1, false));
      }
      expect(server.status).toMatchObject({ role, term: 1, votedFor: "a" });
    },
  );

  test("a server votes for at most one candidate a term, first come first served", () => {
    const server = new Subject("a", { voters: five }).elapse(ms(150)).forget();
    server.receive("b", voteRequest(1, 0, 0));
    server.receive("c", voteRequest(1, 0, 0));
    server.receive("b", voteRequest(1, 0, 0));
    const answers = server.sent("vote-reply").map(({ to, granted }) => [to, granted]);
    expect(answers).toEqual([
      ["b", true],
      ["c", false],
      ["b", true],
    ]);
  });

  test("a vote outlives a restart", () => {
    const server = new Subject("a", { term: 3, votedFor: "b" }).elapse(ms(150));
    server.receive("c", voteRequest(3, 0, 0)).receive("b", voteRequest(3, 0, 0));
    expect(server.sent("vote-reply").map(({ granted }) => granted)).toEqual([false, true]);
  });

  test.each([
    ["of its own term", 1],
    ["of a later term", 2],
  ])("a candidate that hears a leader %s follows it", (_, leaderTerm) => {
    const server = candidate().receive("c", appendRequest(leaderTerm, [], 0));
    expect(server.status).toMatchObject({ role: "follower", term: leaderTerm, leader: "c" });
  });

  test("a candidate that hears a leader of an earlier term goes on", () => {
    const server = candidate({ term: 4 }).receive("c", appendRequest(4, [], 0));
    expect(server.status).toMatchObject({ role: "candidate", term: 5, leader: null });
  });

  test("a candidate that steps down in its term keeps its vote", () => {
    const server = candidate()
      .receive("c", appendRequest(1, [], 0))
      .elapse(ms(150));
    server
      .forget()
      .receive("b", voteRequest(1, 9, 0))
      .receive("b", voteRequest(1, 0, 0));
    expect(server.status.votedFor).toBe("a");
    expect(server.sent("vote-reply").map(({ granted }) => granted)).toEqual([false]);
  });

  test("a candidate without an outcome begins a new election in a later term", () => {
    const server = candidate({ voters: five }).grant("c", true);
    expect(server.status).toMatchObject({ role: "candidate", term: 1 });
    server.untilDeadline().grant("b", true).grant("c", true);
    expect(server.status).toMatchObject({ role: "candidate", term: 2, votedFor: "a" });
  });

  test("a vote of an earlier election counts for nothing", () => {
    const server = candidate({ voters: five }).grant("c", true).grant("b", false);
    server.untilDeadline().grant("b", true).grant("c", true);
    server.receive("d", voteReply(1, true)).receive("e", voteReply(1, true));
    expect(server.status).toMatchObject({ role: "candidate", term: 2 });
  });

  test("election timeouts are drawn from the whole of [min, max)", () => {
    const server = new Subject();
    const drawn: number[] = [];
    for (let rounds = 0; rounds < 2000; rounds++) {
      drawn.push(server.raft.deadline - server.now);
      server.untilDeadline();
    }
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(ms(150));
    expect(Math.max(...drawn)).toBeLessThan(ms(300));
    const milliseconds = new Set(drawn.map((micros) => Math.floor(micros / 1000)));
    expect(milliseconds.size).toBeGreaterThan(140);
  });

  test("a timeout is drawn once: looking at it, or waiting, draws no other", () => {
    const server = new Subject();
    const { deadline } = server.raft;
    for (let looks = 0; looks < 100; looks++) server.elapse(ms(1));
    expect(server.raft.deadline).toBe(deadline);
    const spans = new Set<number>();
    for (let beats = 0; beats < 20; beats++) {
      server.elapse(ms(1)).receive("b", appendRequest(1, [], 0));
      spans.add(server.raft.deadline - server.now);
    }
    expect(spans.size).toBe(1);
  });

  test("five servers whose timers start together rarely tie", () => {
    let ties = 0;
    const servers = five.map((name) => new Subject(name, { voters: five }));
    for (let rounds = 0; rounds < 1000; rounds++) {
      // A tie is two within a millisecond: less than it takes to ask for a vote.
      const left = servers.map(({ raft, now }) => raft.deadline - now).sort((a, b) => a - b);
      if ((left[1] ?? 0) - (left[0] ?? 0) < ms(1)) ties += 1;
      for (const server of servers) server.untilDeadline();
    }
    expect(ties).toBeLessThan(300);
  });
});

describe("section 5.3: log replication", () => {
  test("a leader replicates a proposal to all peers while it writes it", () => {
    const server = leader().ack("b", 1).ack("c", 1).forget();
    server.autoPersist = false;
    server.propose(7);
    expect(server.writes[0]?.entries).toMatchObject([
      { index: 2, term: 1, prevTerm: 1, offset: 0 },
    ]);
    expect(server.appends()).toMatchObject([
      { to: "b", term: 1, prevIndex: 1, prevTerm: 1, lastIndex: 2 },
      { to: "c", term: 1, prevIndex: 1, prevTerm: 1, lastIndex: 2 },
    ]);
    expect(server.verdicts).toEqual([]);
  });

  test.each<[number, string[], boolean]>([
    [1, [], true],
    [2, [], false],
    [2, ["b"], true],
    [3, [], false],
    [3, ["b"], true],
    [3, ["c"], true],
    [4, ["b"], false],
    [4, ["b", "c"], true],
    [5, ["b"], false],
    [5, ["d", "e"], true],
    [5, ["b", "c", "d"], true],
  ])("an entry at a leader of %i that %j hold is committed: %s", (voters, holders, committed) => {
    const names = ["a", "b", "c", "d", "e"].slice(0, voters);
    const server = new Subject("a", { voters: names }).lead(...names.slice(1));
    server.propose(7);
    for (const holder of holders) server.ack(holder, 2);
    expect(server.status.commitIndex).toBe(committed ? 2 : 0);
    expect(server.verdicts).toEqual(
      committed ? [{ kind: "committed", proposalId: 7, index: 2, term: 1, offset: 0 }] : [],
    );
  });

  test("a leader counts each peer once, however often it answers", () => {
    const server = new Subject("a", { voters: five }).lead("b", "c").propose(7);
    server.ack("b", 2).ack("b", 2).ack("b", 2);
    expect(server.status.commitIndex).toBe(0);
  });

  test.each([[[1]], [[2]], [[1, 2]], [[1, 1, 2]]])(
    "committing an entry commits all before it, also those of earlier leaders: %j",
    (log) => {
      const server = leader({ log, term: 2 }).propose(7);
      server.ack("b", log.length + 2);
      expect(server.status.commitIndex).toBe(log.length + 2);
    },
  );

  test("a leader tells the commit index in later messages, so that followers learn it", () => {
    const server = leader().propose(7).ack("b", 2).ack("c", 2);
    expect(server.sent("append-request").at(-1)).toMatchObject({ commitIndex: 2, prevIndex: 2 });
    server.forget().propose(8);
    expect(server.appends()).toMatchObject([{ commitIndex: 2 }, { commitIndex: 2 }]);
  });

  test("a follower commits what its leader has committed and it has itself", () => {
    const log = logOf([1, 1, 1]);
    const server = follower();
    server.receive("b", appendRequest(1, log.slice(0, 2), 0, { commitIndex: at(1) }));
    expect(server.status.commitIndex).toBe(1);
    server.receive("b", appendRequest(1, [], 0, { commitIndex: at(3) }));
    expect(server.status.commitIndex).toBe(1);
    server.receive("b", appendRequest(1, log, 2, { commitIndex: at(9) }));
    expect(server.status.commitIndex).toBe(3);
  });

  test("a follower commits nothing beyond what the message has verified", () => {
    const server = follower({ log: [1, 1, 1], term: 2 });
    server.receive("b", {
      ...appendRequest(2, logOf([1]), 1),
      commitIndex: at(3),
    });
    expect(server.status.commitIndex).toBe(1);
  });

  // The log is 1/t1, 2/t2; the leader is of term 3.
  test.each<[number, number, boolean]>([
    [0, 0, true],
    [1, 1, true],
    [2, 2, true],
    [1, 2, false],
    [2, 1, false],
    [2, 3, false],
    [3, 3, false],
    [9, 3, false],
  ])("a follower that is asked to go on after %i of term %i accepts: %s", (index, of, accepts) => {
    const server = follower({ log: [1, 2], term: 3 });
    const request = appendRequest(3, [], 0, { prevIndex: at(index), prevTerm: term(of) });
    server.receive("b", request);
    const [reply] = server.sent("append-reply");
    expect(reply?.conflict === null).toBe(accepts);
    expect(reply?.matchIndex).toBe(accepts ? index : 0);
    expect(server.status.lastIndex).toBe(2);
  });

  test.each<[number, number[], number[], number | null]>([
    // prevIndex, terms of the leader's whole log, terms afterwards, first truncated
    [2, [1, 2, 3], [1, 2, 3], null],
    [1, [1, 3, 4], [1, 3, 4], 2],
    [0, [1], [1, 2], null],
    [0, [3], [3], 1],
    [1, [1, 2, 2], [1, 2, 2], null],
    [1, [1, 2], [1, 2], null],
    [0, [1, 2, 3, 3], [1, 2, 3, 3], null],
  ])(
    "a follower with terms 1, 2 asked after %i with the log %j has %j",
    (prev, log, after, cut) => {
      const server = follower({ log: [1, 2], term: 4 });
      server.receive("b", appendRequest(4, logOf(log), prev));
      expect([...after, null].map((_, place) => server.raft.termAt(at(place + 1)))).toEqual([
        ...after,
        null,
      ]);
      expect(server.writes.at(-1)?.truncateFrom ?? null).toBe(cut);
    },
  );

  test("a follower keeps entries behind an older request: only a conflict removes any", () => {
    const log = logOf([1, 1, 1, 1]);
    const server = follower()
      .receive("b", appendRequest(1, log, 0))
      .forget();
    server.receive("b", appendRequest(1, log.slice(0, 2), 0)).receive("b", appendRequest(1, [], 0));
    expect(server.status.lastIndex).toBe(4);
    expect(server.writes).toEqual([]);
  });

  test("a leader never overwrites or deletes its own entries", () => {
    const server = leader({ log: [1, 1], term: 1 });
    server.receive("b", appendRequest(2, logOf([2, 2, 2, 2]), 0));
    expect(server.status).toMatchObject({ role: "leader", lastIndex: 3 });
    expect(server.raft.termAt(at(1))).toBe(1);
  });

  test("a leader steps back until the logs agree, then goes forward", () => {
    const server = leader({ log: [1, 1, 3], term: 3 });
    expect(server.peer("b")).toMatchObject({ mode: "probe", matchIndex: 0, nextIndex: 4 });
    server.forget().refuse("b", 3, 2, 1);
    expect(server.appends()).toMatchObject([{ to: "b", prevIndex: 2, prevTerm: 1, lastIndex: 4 }]);
    server.ack("b", 4);
    expect(server.peer("b")).toMatchObject({ mode: "replicate", matchIndex: 4, nextIndex: 5 });
  });

  test("a leader tries again for as long as a peer answers without the entries", () => {
    const server = leader().propose(7);
    for (let beats = 0; beats < 20; beats++) {
      server.forget().elapse(ms(50)).ack("b", 0);
      expect(server.appends()).toMatchObject([{ to: "b", prevIndex: 0, lastIndex: 2 }]);
      server.ack("c", 2);
    }
  });
});

describe("section 5.4: safety", () => {
  // The voter's log ends in index 2 of term 2.
  test.each<[number, number, boolean]>([
    [2, 2, true],
    [3, 2, true],
    [1, 3, true],
    [1, 2, false],
    [3, 1, false],
    [0, 0, false],
  ])("a voter grants a candidate whose log ends in %i of term %i: %s", (index, of, granted) => {
    for (const preVote of [false, true]) {
      const server = new Subject("a", { log: [1, 2], term: 2 }).elapse(ms(150)).forget();
      server.receive("b", voteRequest(5, index, of, preVote));
      expect(server.sent("vote-reply")).toMatchObject([{ granted, preVote }]);
    }
  });

  test("a leader commits by counting only entries of its own term (5.4.2, Figure 8)", () => {
    // S1 of the figure in (c): its entry of term 2 is on a majority, and yet not committed.
    const server = new Subject("a", { voters: five, log: [1, 2], term: 3 }).lead("b", "c");
    expect(server.status).toMatchObject({ role: "leader", term: 4, lastIndex: 3 });
    server.ack("b", 2).ack("c", 2);
    expect(server.status.commitIndex).toBe(0);
    server.ack("b", 3);
    expect(server.status.commitIndex).toBe(0);
    server.ack("c", 3);
    expect(server.status.commitIndex).toBe(3);
  });

  test("an entry of term 2 on a majority gives way when S5 wins (Figure 8, d)", () => {
    const server = new Subject("b", { voters: five, log: [1, 2], term: 4 });
    server.elapse(ms(150)).receive("e", voteRequest(5, 2, 3));
    expect(server.sent("vote-reply")).toMatchObject([{ to: "e", granted: true }]);
    server.receive("e", appendRequest(5, logOf([1, 3, 5]), 1));
    expect([1, 2, 3].map((place) => server.raft.termAt(at(place)))).toEqual([1, 3, 5]);
    expect(server.writes.at(-1)?.truncateFrom).toBe(2);
  });
});

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
