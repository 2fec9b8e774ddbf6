// One test for each claim of "In Search of an Understandable Consensus Algorithm" (extended
// version), section 5. The sentence is the claim. paper-elections.test.ts has what the thesis adds
// to elections, paper-sessions.test.ts clients and their sessions; the claims on memberships,
// snapshots, transfers and reads are in the tests of those. The last test here holds the table
// of docs/raft.md, claim by claim, to the tests that there are.
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { Instant, Micros } from "../../src/base/ids.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";
import { Cluster, type ClusterNode as Node } from "./cluster.ts";
import {
  appendReply,
  candidate,
  five,
  follower,
  leader,
  preCandidate,
  voteReply,
} from "./roles.ts";
import { appendRequest, at, logOf, ms, Subject, term, voteRequest } from "./subject.ts";

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

  test("a follower that gives its vote waits a whole timeout more, refusing moves nothing (Figure 2)", () => {
    const server = new Subject("a", { log: [1], term: 2 });
    const { deadline } = server.raft;
    server.elapse((deadline - 1) as Micros).receive("b", voteRequest(2, 0, 0));
    expect(server.sent("vote-reply")).toMatchObject([{ to: "b", granted: false }]);
    expect(server.raft.deadline).toBe(deadline);
    server.receive("c", voteRequest(2, 1, 1));
    expect(server.sent("vote-reply").at(-1)).toMatchObject({ to: "c", granted: true });
    expect(server.raft.deadline - server.now).toBeGreaterThanOrEqual(ms(150));
  });

  test("a candidate that wins tells everybody at once, so that no other election begins", () => {
    const server = candidate({ voters: five }).grant("c", true).grant("b", false).forget();
    const { now } = server;
    server.grant("c", false);
    expect([server.raft.role, server.now]).toEqual(["leader", now]);
    const told = server.sends.map(({ to }) => to);
    expect(new Set(told)).toEqual(new Set(["b", "c", "d", "e"]));
  });

  test("a vote that is split is repaired by the next election, in a later term", () => {
    const cluster = new Cluster(4);
    const [one, two, three, four] = cluster.nodes as [Node, Node, Node, Node];
    const everythingIsWritten = () => {
      for (const node of cluster.nodes) {
        cluster.take(node);
        while (node.disk.pending.length > 0) cluster.writeDurably(node);
        cluster.take(node);
      }
    };
    // Both have a majority of pre-votes before either has asked for a vote.
    for (const node of [one, two]) {
      cluster.step(node, { kind: "deadline" });
      cluster.now = Math.max(one.raft.deadline, two.raft.deadline) as Instant;
    }
    for (const node of [one, two]) cluster.step(node, { kind: "deadline" });
    for (const node of [one, two]) cluster.take(node);
    for (let rounds = 0; rounds < 2; rounds++) {
      cluster.deliverAll();
      everythingIsWritten();
    }
    expect([one.raft.role, two.raft.role]).toEqual(["candidate", "candidate"]);
    const { term: split } = one.raft;
    const ask = (from: Node, to: Node): number =>
      cluster.mail.findIndex((mail) => mail.from === from.name && mail.to === to.name);
    cluster.deliver(ask(one, three));
    cluster.deliver(ask(two, four));
    everythingIsWritten();
    cluster.deliverAll();
    expect(cluster.leaders()).toEqual([]);
    expect(cluster.nodes.map(({ raft }) => raft.status().votedFor)).toEqual([
      "n1",
      "n2",
      "n1",
      "n2",
    ]);
    expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
    expect(cluster.leader()?.raft.term).toBeGreaterThan(split);
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

describe("section 5.5: crashes of followers and candidates", () => {
  test("an append that comes twice is acknowledged twice and written once", () => {
    const request = appendRequest(1, logOf([1, 1]), 0);
    const server = follower().receive("b", request).receive("b", request);
    expect(server.writes.flatMap(({ entries }) => entries)).toHaveLength(2);
    const answers = server.sent("append-reply").map(({ matchIndex }) => matchIndex);
    expect(answers).toEqual([2, 2]);
  });

  test("a follower that was down for long has, once it is back, everything by retries alone", () => {
    const cluster = new Cluster(3);
    expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
    const leader = cluster.leader() as Node;
    const away = cluster.nodes.find((node) => node !== leader) as Node;
    cluster.crash(away, 0);
    for (let proposals = 0; proposals < 20; proposals++) cluster.propose(leader);
    expect(cluster.runUntil(() => leader.raft.commitIndex === leader.raft.lastIndex)).toBe(true);
    const { term: ledTerm, lastIndex } = leader.raft;
    cluster.restart(away);
    expect(cluster.runUntil(() => cluster.hasConverged())).toBe(true);
    expect([away.raft.lastIndex, leader.raft.role, leader.raft.term]).toEqual([
      lastIndex,
      "leader",
      ledTerm,
    ]);
  });
});

describe("section 5.6: timing", () => {
  test("an entry commits with the majority: a follower that never answers delays nobody", () => {
    const server = new Subject("a", { voters: five }).lead("b", "c");
    for (let proposal = 0; proposal < 50; proposal++) server.propose(proposal);
    server.ack("b", 51).ack("c", 51);
    expect(server.status.commitIndex).toBe(51);
    expect(server.verdicts).toHaveLength(50);
  });

  test("a server that is deaf for longer than any timeout costs time, never safety", () => {
    const cluster = new Cluster(3);
    expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
    const leader = cluster.leader() as Node;
    cluster.propose(leader);
    cluster.now = (cluster.now + ms(10_000)) as Instant;
    for (const node of cluster.nodes) cluster.step(node, { kind: "deadline" });
    expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
    expect(cluster.leader()?.raft.commitIndex).toBe(cluster.leader()?.raft.lastIndex);
  });
});

/** The sentence at the beginning of a test's name or of a comment. */
function startOf(sentence = ""): RegExp {
  return new RegExp(`["/] ?${sentence.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`);
}

describe("the table of claims", () => {
  const ROOT = path.join(import.meta.dirname, "..", "..");
  const page = readFileSync(path.join(ROOT, "docs", "raft.md"), "utf8");
  const [, table = ""] = page.split("## What is claimed, and the test that shows it\n");
  const rows = [
    ...(table.split("\n## ")[0] ?? "").matchAll(/^\| (\S+) \| (.+) \| `(.+)`: (.+) \|$/gm),
  ];

  test("has rows for the paper's sections 5 to 8 and the thesis's chapters 3, 4, 6, 9 and 10", () => {
    const sections = new Set(rows.map(([, section = ""]) => section));
    for (const each of ["5.1", "5.2", "5.3", "5.4", "5.5", "5.6", "6", "7", "8"]) {
      expect(sections).toContain(each);
    }
    for (const each of ["T3.10", "T4.1", "T4.2", "T4.3", "T6.2", "T6.3", "T6.4", "T9.6", "T10.2"]) {
      expect(sections).toContain(each);
    }
  });

  test.each(rows.map(([, section, claim, file, sentence]) => ({ section, claim, file, sentence })))(
    "$section: $claim",
    ({ file = "", sentence = "" }) => {
      // A line that the formatter broke is one sentence all the same.
      const source = readFileSync(path.join(ROOT, "test", file), "utf8").replace(/[\s*]+/g, " ");
      expect(source).toMatch(startOf(sentence));
    },
  );
});
