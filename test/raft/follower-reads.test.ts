// Linearizable reads at servers that do not lead (thesis 6.4): the leader says which index, the
// deadline is the caller's.
import { describe, expect, test } from "vitest";
import type { Instant, Micros } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { Cluster } from "./cluster.ts";
import { appendRequest, at, id, logOf, ms, type Situation, Subject, term } from "./subject.ts";

const read = (server: Subject, readId: number, patience: Micros | null = ms(1000)) =>
  server.step({
    kind: "read-requested",
    readId,
    ...(patience === null ? {} : { deadline: (server.now + patience) as Instant }),
  });
/** A follower of b in term 1. */
const follower = (situation: Situation = {}) =>
  new Subject("a", situation).receive("b", appendRequest(1, logOf([1]), 0)).forget();
const asked = (server: Subject) => server.sent("read-request");
const answer = (server: Subject, sequence: number, readIndex: number | null, of = 1) =>
  server.receive("b", {
    kind: "read-reply",
    term: term(of),
    sequence,
    readIndex: readIndex === null ? null : at(readIndex),
  });
const sequenceOf = (server: Subject): number => asked(server).at(-1)?.sequence ?? -1;

describe("a reader at a follower", () => {
  test("is ready with the index that the leader has given, learner or not", () => {
    for (const learners of [[], ["a"]]) {
      const voters = learners.length > 0 ? ["b", "c"] : ["a", "b", "c"];
      const server = read(follower({ voters, learners }), 7);
      expect(asked(server)).toMatchObject([{ to: "b", term: 1 }]);
      answer(server, sequenceOf(server), 5);
      expect(server.reads).toEqual([{ kind: "ready", readId: 7, readIndex: 5 }]);
    }
  });

  test("shares its request with all others of the turn, and with none that is on its way", () => {
    const server = follower();
    const deadline = (server.now + ms(1000)) as Instant;
    for (const readId of [1, 2, 3]) {
      server.raft.step(server.now, { kind: "read-requested", readId, deadline });
    }
    server.take();
    expect(asked(server)).toHaveLength(1);
    const first = sequenceOf(server);
    read(server, 4);
    expect(asked(server)).toHaveLength(1);
    answer(server, first, 5);
    expect(server.reads.map(({ readId }) => readId)).toEqual([1, 2, 3]);
    expect(asked(server)).toHaveLength(2);
    answer(server, sequenceOf(server), 6);
    expect(server.reads.at(-1)).toEqual({ kind: "ready", readId: 4, readIndex: 6 });
  });

  test("is not served by an answer to an earlier request", () => {
    const server = read(follower(), 7);
    const first = sequenceOf(server);
    answer(server, first, 5);
    read(server.forget(), 8);
    answer(server, first, 5);
    expect(server.reads).toEqual([]);
  });

  test("is not served by an answer that its machine asked for before it was restarted", () => {
    const before = sequenceOf(read(follower({ options: { prng: new Prng("life 1") } }), 7));
    const server = read(follower({ options: { prng: new Prng("life 2") } }), 8);
    expect(sequenceOf(server)).not.toBe(before);
    answer(server, before, 5);
    expect(server.reads).toEqual([]);
  });

  test("asks again each heartbeatInterval while no answer comes, or an empty one", () => {
    const server = read(follower(), 7);
    const first = sequenceOf(server);
    expect(server.raft.deadline).toBe(server.now + ms(50));
    server.forget().elapse(ms(49));
    expect(asked(server)).toEqual([]);
    server.elapse(ms(1));
    expect(asked(server)).toMatchObject([{ to: "b", sequence: first }]);
    answer(server.forget(), first, null).elapse(ms(50));
    expect(asked(server)).toMatchObject([{ to: "b", sequence: first }]);
    answer(server, first, 5);
    expect(server.reads).toMatchObject([{ kind: "ready", readId: 7 }]);
  });

  test("is refused at its deadline, with the leader's name", () => {
    const server = read(follower(), 7, ms(80)).forget();
    server.elapse(ms(50));
    expect(server.raft.deadline).toBe(server.now + ms(30));
    server.elapse(ms(30));
    expect(server.reads).toEqual([{ kind: "refused", readId: 7, leader: id("b") }]);
    answer(server.forget(), sequenceOf(server), 5);
    expect(server.reads).toEqual([]);
  });

  test("waits for a leader where none is known, and asks it as soon as it is heard", () => {
    const server = read(new Subject("a"), 7);
    expect(server.sends).toEqual([]);
    server.receive("b", appendRequest(1, [], 0));
    expect(asked(server)).toMatchObject([{ to: "b", term: 1 }]);
  });

  test("is asked anew of the next leader; the former one's answer is dropped", () => {
    const server = read(follower(), 7);
    const former = sequenceOf(server);
    server.forget().receive("c", appendRequest(2, [], 0));
    expect(asked(server)).toMatchObject([{ to: "c", term: 2 }]);
    expect(sequenceOf(server)).not.toBe(former);
    answer(server, former, 5);
    answer(server, former, 5, 2);
    expect(server.reads).toEqual([]);
  });

  test("is refused at once without a deadline: its caller finds the leader by itself", () => {
    const server = read(follower(), 7, null);
    expect(server.reads).toEqual([{ kind: "refused", readId: 7, leader: id("b") }]);
    expect(server.sends).toEqual([]);
  });

  test("is refused beyond readsWaitingMax", () => {
    const server = follower({ options: { readsWaitingMax: 2 } });
    for (const readId of [1, 2, 3]) read(server, readId);
    expect(server.reads).toEqual([{ kind: "refused", readId: 3, leader: id("b") }]);
  });

  test("is served by its own server when that one is elected meanwhile", () => {
    const server = read(new Subject("a"), 7).lead("b");
    expect(server.reads).toEqual([]);
    server.ack("b", 1);
    expect(server.reads).toEqual([{ kind: "ready", readId: 7, readIndex: 1 }]);
  });

  test("does not ask before the term it asks in is durable", () => {
    const server = new Subject("a");
    server.autoPersist = false;
    read(server.receive("b", appendRequest(3, [], 0)), 7);
    expect(server.sends).toEqual([]);
    server.persist();
    expect(asked(server)).toMatchObject([{ to: "b", term: 3 }]);
  });
});

describe("a leader that is asked by another server", () => {
  const ask = (server: Subject, from: string, sequence: number, of = 1) =>
    server.receive(from, { kind: "read-request", term: term(of), sequence });

  test("answers when a round that began later is confirmed, whatever the asker's number", () => {
    const server = new Subject("a").lead("b").ack("b", 1).ack("c", 1);
    const before = server.round;
    ask(server.forget(), "c", 99);
    expect(server.round).toBe(before + 1);
    server.ack("b", 1, before);
    expect(server.sent("read-reply")).toEqual([]);
    server.ack("b", 1, before + 1);
    expect(server.sent("read-reply")).toMatchObject([
      { to: "c", term: 1, sequence: 99, readIndex: 1 },
    ]);
  });

  test("confirms a repeated request by a round of its own (etcd#20418)", () => {
    const server = new Subject("a", { voters: ["a", "b", "c", "d", "e"] }).lead("b", "c");
    server.ack("b", 1).ack("c", 1);
    ask(server.forget(), "c", 1);
    const first = server.round;
    server
      .propose(5)
      .ack("b", 2, first - 1)
      .ack("c", 2, first - 1);
    ask(server.forget(), "c", 1);
    server.ack("d", 0, first).ack("e", 0, first);
    expect(server.sent("read-reply")).toMatchObject([{ sequence: 1, readIndex: 1 }]);
    server
      .forget()
      .ack("d", 0, first + 1)
      .ack("e", 0, first + 1);
    expect(server.sent("read-reply")).toMatchObject([{ sequence: 1, readIndex: 2 }]);
  });

  test("answers nobody before it has committed an entry of its own term (6.4)", () => {
    const server = new Subject("a", { log: [1], term: 1 }).lead("b");
    ask(server, "c", 1, 2).ack("b", 1).ack("c", 1);
    expect(server.sent("read-reply")).toEqual([]);
    server.ack("b", 2);
    expect(server.sent("read-reply")).toMatchObject([{ to: "c", readIndex: 2 }]);
  });

  test("says no when too many wait, or when it does not lead that term", () => {
    const full = new Subject("a", { options: { readsWaitingMax: 1 } }).lead("b").ack("b", 1);
    ask(full, "b", 1);
    ask(full.forget(), "c", 2);
    expect(full.sent("read-reply")).toMatchObject([{ to: "c", sequence: 2, readIndex: null }]);
    const other = ask(follower(), "c", 3);
    expect(other.sent("read-reply")).toMatchObject([{ to: "c", sequence: 3, readIndex: null }]);
  });

  test("waits in the reader's place: it is asked in vain when a quorum is silent", () => {
    const server = new Subject("a").lead("b").ack("b", 1);
    ask(server.forget(), "c", 1).untilItStepsDown();
    expect(server.sent("read-reply")).toEqual([]);
  });
});

describe("a reader at a leader", () => {
  test("with patience is refused at its deadline, and not before", () => {
    const server = new Subject("a", { voters: ["a", "b", "c"] }).lead("b").ack("b", 1);
    read(server.forget(), 7, ms(30)).elapse(ms(29));
    expect(server.reads).toEqual([]);
    expect(server.raft.deadline).toBe(server.now + ms(1));
    server.elapse(ms(1));
    expect(server.reads).toEqual([{ kind: "refused", readId: 7, leader: id("a") }]);
    server.forget().ack("b", 1, server.round + 1);
    expect(server.reads).toEqual([]);
  });

  test("with patience is passed on to the leader's successor", () => {
    const server = read(new Subject("a").lead("b").ack("b", 1).forget(), 7);
    server.receive("c", appendRequest(2, [], 0));
    expect(server.reads).toEqual([]);
    expect(asked(server)).toMatchObject([{ to: "c", term: 2 }]);
  });
});

test("readers everywhere see what was committed before they asked, across elections", () => {
  const cluster = new Cluster(3, 1);
  expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
  for (let round = 0; round < 6; round++) {
    const leader = cluster.leader();
    if (leader === null) throw new Error("no leader");
    cluster.propose(leader);
    for (const node of cluster.nodes) cluster.read(node, true);
    if (round % 2 === 1) cluster.transfer(leader, null);
    expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
  }
  expect(cluster.seen.reads).toBe(24);
});
