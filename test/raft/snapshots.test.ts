// When what a peer needs is trimmed away: the leader has a checkpoint brought to it (paper, section
// 7), and whoever gets one loses nothing that it has and never goes back.
import { describe, expect, test } from "vitest";
import { EMPTY_BYTES } from "../../src/base/bytes.ts";
import { type Entry, type LogPoint, pointAfter, type Snapshot } from "../../src/base/entry.ts";
import type { Membership } from "../../src/base/membership.ts";
import { Cluster } from "./cluster.ts";
import {
  appendRequest,
  at,
  entriesAfter,
  id,
  logOf,
  membershipEntry,
  ms,
  offset,
  type Situation,
  Subject,
  simple,
  term,
  voteRequest,
} from "./subject.ts";

const ABC = simple(["a", "b", "c"]);

/** The place after `index` entries of one record each, the last of term `of`. */
const placeOf = (index: number, of: number): LogPoint => ({
  index: at(index),
  term: term(of),
  endOffset: offset(index),
  timestamp: 1000 as LogPoint["timestamp"],
});

const bring = (
  server: Subject,
  index: number,
  of: number,
  changes: { term?: number; from?: string; membership?: Membership; at?: LogPoint } = {},
) => {
  const place = changes.at ?? placeOf(index, of);
  const snapshot: Snapshot = {
    at: place,
    membership: changes.membership ?? ABC,
    state: EMPTY_BYTES,
  };
  return server.step({
    kind: "snapshot-received",
    from: id(changes.from ?? "b"),
    term: term(changes.term ?? Math.max(server.raft.term, of)),
    round: 1,
    snapshot,
  });
};

describe("a follower that is brought a snapshot", () => {
  test("begins its log after it, and acknowledges it when it is durable", () => {
    const server = new Subject("a", { term: 3 }).elapse(ms(10));
    server.autoPersist = false;
    const membership = simple(["a", "b", "d"], ["e"]);
    bring(server, 9, 2, { membership });
    expect(server.writes).toMatchObject([
      { install: { at: { index: 9, term: 2 } }, truncateFrom: null },
    ]);
    expect(server.sends).toEqual([]);
    expect(server.status).toMatchObject({
      lastIndex: 9,
      lastTerm: 2,
      endOffset: 9,
      commitIndex: 9,
      durableIndex: 0,
      membership,
      committedMembership: membership,
      leader: "b",
    });
    expect(server.memberships).toEqual([membership]);
    server.persist();
    expect(server.sent("append-reply")).toMatchObject([{ to: "b", matchIndex: 9, conflict: null }]);
    expect([8, 9, 10].map((index) => server.raft.termAt(at(index)))).toEqual([null, 2, null]);
  });

  test("keeps what follows in its log when the log has the place itself (7)", () => {
    const server = bring(new Subject("a", { log: [1, 1, 2, 2], term: 2 }), 3, 2).forget();
    expect(server.status).toMatchObject({ lastIndex: 4, commitIndex: 3, dropped: 0 });
    expect(server.raft.termAt(at(1))).toBe(1);
    expect(server.writes).toEqual([]);
  });

  test("loses a suffix that is of another term at the place (openraft 674e78aa)", () => {
    const server = bring(new Subject("a", { log: [1, 1, 1, 1, 1], term: 2 }), 3, 2);
    expect(server.writes).toMatchObject([{ install: { at: { index: 3 } }, entries: [] }]);
    expect(server.status).toMatchObject({ lastIndex: 3, lastTerm: 2, commitIndex: 3 });
  });

  test("never goes back: it answers with what it has committed", () => {
    const log = logOf([1, 1, 1, 1]);
    const server = new Subject("a").receive("b", appendRequest(1, log, 0, { commitIndex: at(3) }));
    for (const index of [1, 2, 3]) {
      bring(server.forget(), index, 1);
      expect(server.writes).toEqual([]);
      expect(server.sent("append-reply")).toMatchObject([{ matchIndex: 4, conflict: null }]);
    }
    const restarted = new Subject("a", { log: [1, 1, 1, 1], base: 3, term: 1 });
    bring(restarted, 2, 1);
    expect(restarted.sent("append-reply")).toMatchObject([{ matchIndex: 3 }]);
    expect(restarted.status).toMatchObject({ lastIndex: 4, commitIndex: 3 });
  });

  test("hears its leader by it: the term, the timer, and that there is one", () => {
    const server = new Subject("a", { term: 1 }).elapse(ms(149));
    bring(server, 5, 2, { term: 4 });
    expect(server.status).toMatchObject({ term: 4, leader: "b", votedFor: null });
    server
      .forget()
      .elapse(ms(149))
      .receive("c", voteRequest(5, 9, 4));
    expect(server.sent("vote-reply")).toMatchObject([{ granted: false }]);
  });

  test("stops standing for election when its leader of this term sends it", () => {
    const server = new Subject("a").untilDeadline().grant("b", true);
    expect(server.raft.role).toBe("candidate");
    bring(server, 5, 1, { from: "c" });
    expect(server.status).toMatchObject({ role: "follower", leader: "c", commitIndex: 5 });
  });

  test("refuses that of a former leader, and names its own term", () => {
    const server = bring(new Subject("a", { term: 7 }), 5, 2, { term: 3 });
    expect(server.status).toMatchObject({ lastIndex: 0, leader: null });
    expect(server.sent("append-reply")).toMatchObject([{ term: 7, matchIndex: 0, round: 0 }]);
  });

  test("goes on with the entries behind it, in one write when they come in one turn", () => {
    const server = new Subject("a", { term: 2 });
    const after = entriesAfter(placeOf(9, 2), [2, 2]);
    const snapshot = { at: placeOf(9, 2), membership: ABC, state: EMPTY_BYTES };
    const from = id("b");
    const { now, raft } = server;
    raft.step(now, { kind: "snapshot-received", from, term: term(2), round: 1, snapshot });
    const request = { prevIndex: at(9), prevTerm: term(2), entries: after };
    raft.step(now, { kind: "received", from, message: appendRequest(2, [], 0, request) });
    server.take();
    expect(server.writes).toMatchObject([{ install: { at: { index: 9 } }, entries: [{}, {}] }]);
    expect(server.sent("append-reply").at(-1)).toMatchObject({ matchIndex: 11 });
  });

  test("counts no confirmation of a write that the snapshot has overtaken (ABA)", () => {
    const server = new Subject("a", { term: 2 });
    server.autoPersist = false;
    server.receive("b", appendRequest(2, logOf([1, 1, 1, 1, 1]), 0));
    bring(server, 3, 2);
    expect(server.writes.map(({ writeId }) => writeId)).toEqual([1, 2]);
    server.persist(1);
    expect(server.status).toMatchObject({ lastIndex: 3, durableIndex: 0 });
    server.persist(2);
    expect(server.status.durableIndex).toBe(3);
    expect(server.sent("append-reply").at(-1)).toMatchObject({ matchIndex: 3 });
  });

  test("forgets memberships that were not committed: the snapshot's is in force", () => {
    const before = pointAfter(logOf([1])[0] as Entry);
    const entries = [...logOf([1]), membershipEntry(before, 1, simple(["a", "b", "c", "d"]))];
    const server = bring(new Subject("a", { entries, term: 2 }), 5, 2);
    expect(server.status).toMatchObject({ membership: ABC, committedMembership: ABC });
  });

  test.each<[string, Parameters<typeof bring>[3], number, number]>([
    ["of nothing", {}, 0, 0],
    ["newer than its leader", { term: 1 }, 3, 2],
    ["of an absurd place", {}, -1, 1],
    ["of an absurd term", { term: 2 ** 60 }, 3, 1],
    ["of no members", { membership: simple([], ["a"]) }, 3, 1],
    ["of broken members", { membership: { ...ABC, learners: [id("a")] } }, 3, 1],
    ["in its own name", { from: "a" }, 3, 1],
    ["without an end", { at: { ...placeOf(3, 1), endOffset: offset(-4) } }, 3, 1],
  ])("drops one %s", (_, changes, index, of) => {
    const server = bring(new Subject("a", { term: 1 }), index, of, changes);
    expect(server.status).toMatchObject({ dropped: 1, lastIndex: 0, term: 1, leader: null });
    expect(server.writes).toEqual([]);
  });

  test("drops one that denies what it has committed, and one of a second leader", () => {
    const server = new Subject("a", { log: [1, 1, 1], base: 3, term: 2 });
    bring(server, 2, 2);
    expect(server.status.dropped).toBe(1);
    bring(server, 5, 2);
    bring(server, 7, 2, { from: "c" });
    expect(server.status).toMatchObject({ dropped: 2, lastIndex: 5, leader: "b" });
  });
});

/** A leader of ten committed entries whose log begins after the sixth; c has one entry. */
const trimmed = (situation: Situation = {}) => {
  const server = new Subject("a", situation).lead("b").ack("b", 1).ack("c", 1);
  for (let proposal = 1; proposal < 10; proposal++) server.propose(proposal);
  server.ack("b", 10).step({ kind: "peer-unreachable", peer: id("c") });
  return trim(server, 6).forget();
};
const trim = (server: Subject, index: number) =>
  server.step({
    kind: "trimmed",
    base: { ...placeOf(index, 1), endOffset: offset(index - 1) },
  });
const ended = (server: Subject, ok: boolean) =>
  server.step({ kind: "snapshot-ended", peer: id("c"), ok });
const toC = (server: Subject) =>
  server.sends.filter(({ to }) => to === "c").map(({ kind }) => kind);

describe("a leader whose log is trimmed", () => {
  test("has the checkpoint brought to a peer that needs what is gone, and sends it no entries", () => {
    const server = trimmed().refuse("c", 1, 0, 0).ack("c", 1).elapse(ms(50)).ack("c", 1);
    expect(server.peer("c")).toMatchObject({ mode: "snapshot", matchIndex: 1, inFlight: 1 });
    const sent = server.sends.filter(({ kind }) => kind === "snapshot");
    expect(sent).toMatchObject([{ to: "c", term: 1, at: 6 }]);
    expect(server.appends().filter(({ to }) => to === "c")).toEqual([]);
    server.forget().propose(11).elapse(ms(50)).ack("c", 1);
    expect(toC(server)).toEqual(["message"]);
  });

  test("goes on with entries behind the acknowledgement, whichever checkpoint it was", () => {
    for (const index of [6, 8, 10]) {
      const server = stuck();
      expect(server.peer("c").mode).toBe("snapshot");
      server.forget().ack("c", index);
      expect(server.peer("c")).toMatchObject({ mode: "replicate", matchIndex: index });
      const appends = server.appends().filter(({ to }) => to === "c");
      expect(appends).toMatchObject(index === 10 ? [] : [{ prevIndex: index, lastIndex: 10 }]);
    }
  });

  test("has another brought when its log has moved on again meanwhile", () => {
    const server = trim(stuck(), 9).forget().ack("c", 6);
    expect(server.sends.filter(({ kind }) => kind === "snapshot")).toMatchObject([{ at: 9 }]);
  });

  test("begins anew when the host gave up, once the peer answers", () => {
    const server = ended(stuck().forget(), false);
    expect(toC(server)).toEqual([]);
    server.elapse(ms(49)).ack("c", 1);
    expect(toC(server)).toEqual([]);
    server.elapse(ms(1)).ack("c", 1);
    expect(toC(server)).toContain("snapshot");
  });

  test("waits electionTimeoutMax for an acknowledgement of what was sent whole (S11)", () => {
    const server = ended(stuck().forget(), true);
    for (let beats = 0; beats < 6; beats++) server.elapse(ms(49)).ack("b", 10).ack("c", 1);
    expect(toC(server)).not.toContain("snapshot");
    server.elapse(ms(6)).ack("c", 1);
    expect(toC(server)).toContain("snapshot");
    const other = ended(stuck(), true).forget().elapse(ms(200)).ack("c", 6);
    expect(other.peer("c")).toMatchObject({ mode: "replicate", matchIndex: 6 });
  });

  test("leaves the pace to its host while that brings a checkpoint: no timer restarts it", () => {
    const server = stuck().forget();
    for (let beats = 0; beats < 100; beats++) server.elapse(ms(50)).ack("b", 10).ack("c", 1);
    expect(toC(server)).not.toContain("snapshot");
    server.refuse("c", 1, 0, 0);
    expect(server.peer("c").mode).toBe("snapshot");
  });

  test("begins anew with a peer whose link was lost", () => {
    const server = stuck()
      .step({ kind: "peer-unreachable", peer: id("c") })
      .forget();
    expect(server.peer("c").mode).toBe("probe");
    server.elapse(ms(50)).ack("c", 1);
    expect(server.peer("c").mode).toBe("snapshot");
  });

  test("begins anew a pipeline that was lost and whose end is trimmed: no answer could tell", () => {
    const options = { appendsInFlightMax: 2, appendBytesMax: 1, bytesInFlightMax: 1_000_000 };
    const server = new Subject("a", { options }).lead("b").ack("b", 1).ack("c", 1);
    for (let proposal = 1; proposal < 10; proposal++) {
      server.propose(proposal).ack("b", proposal + 1);
    }
    expect(server.peer("c")).toMatchObject({ mode: "replicate", matchIndex: 1, nextIndex: 4 });
    trim(server, 6).forget().elapse(ms(50)).ack("c", 1);
    expect(server.peer("c").mode).toBe("snapshot");
  });

  test("has it brought to an empty newcomer when its log is trimmed to the end (openraft#1828)", () => {
    const server = trim(trimmed(), 10).forget().change(7, ["a", "b", "c"], ["d"]);
    server.refuse("d", 10, 0, 0);
    const sent = server.sends.filter(({ kind }) => kind === "snapshot");
    expect(sent).toMatchObject([{ to: "d", at: 10 }]);
  });

  test("knows the term of the place its log begins after, and of none before", () => {
    const server = trimmed();
    expect([5, 6, 7].map((index) => server.raft.termAt(at(index)))).toEqual([null, 1, 1]);
    trim(server, 4);
    expect(server.raft.termAt(at(6))).toBe(1);
    expect(() => trim(server, 11)).toThrow(/only what is committed is trimmed/);
  });

  test("has it brought also after a restart, from the place the log says", () => {
    const all = logOf([1, 1, 2, 2, 2]);
    const start = pointAfter(all[2] as Entry);
    const situation = { entries: all, base: 4, trimmedTo: 4, start, term: 2 };
    const server = new Subject("a", situation).lead("b");
    expect([2, 3, 4].map((index) => server.raft.termAt(at(index)))).toEqual([null, 2, 2]);
    server.refuse("c", 5, 3, 2);
    expect(server.appends().at(-1)).toMatchObject({ to: "c", prevIndex: 3, prevTerm: 2 });
    server.refuse("c", 3, 2, 1);
    expect(server.sends.filter(({ kind }) => kind === "snapshot")).toMatchObject([
      { to: "c", at: 3 },
    ]);
  });

  /** The checkpoint is on its way to c. */
  function stuck(): Subject {
    return trimmed().elapse(ms(50)).ack("b", 10).ack("c", 1);
  }
});

test("a server that was down while the others trimmed has a checkpoint, then the entries", () => {
  const cluster = new Cluster(3);
  expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
  const leader = cluster.leader();
  const down = cluster.nodes.find((node) => node !== leader);
  if (leader === null || down === undefined) throw new Error("no leader");
  cluster.crash(down, 0);
  for (let proposals = 0; proposals < 20; proposals++) cluster.propose(leader);
  expect(cluster.runUntil(() => leader.raft.commitIndex === 21)).toBe(true);
  cluster.trim(leader, 5);
  expect(leader.cached.start.index).toBe(16);
  expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
  expect(cluster.seen).toMatchObject({ installs: 1, truncations: 0 });
  expect(down.cached.start.index).toBe(16);
  expect(down.raft.status()).toMatchObject({ commitIndex: 21, endOffset: 20 });
});
