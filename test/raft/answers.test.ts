// What clients get: exactly one verdict a proposal, bounds that refuse, and reads that are ready
// only when a quorum has confirmed the leader after they were asked (thesis 6.4).
import { describe, expect, test } from "vitest";
import { appendRequest, id, ms, type Situation, Subject } from "./subject.ts";

const five = ["a", "b", "c", "d", "e"];
const leader = (situation: Situation = {}) => new Subject("a", situation).lead("b").ack("b", 1);

describe("a verdict", () => {
  test("committed comes once, in the order of the log, with term, index and offset", () => {
    const server = leader().forget().propose(7).propose(8).propose(9);
    server.ack("b", 3).ack("c", 3).ack("c", 4).ack("b", 4);
    expect(server.verdicts).toEqual([
      { kind: "committed", proposalId: 7, index: 2, term: 1, offset: 0 },
      { kind: "committed", proposalId: 8, index: 3, term: 1, offset: 1 },
      { kind: "committed", proposalId: 9, index: 4, term: 1, offset: 2 },
    ]);
  });

  test("unknown comes for whatever waits when leadership is lost", () => {
    const server = leader().forget().propose(7).propose(8).ack("b", 2);
    server.receive("c", appendRequest(9, [], 0));
    expect(server.verdicts).toMatchObject([
      { kind: "committed", proposalId: 7 },
      { kind: "unknown", proposalId: 8 },
    ]);
    expect(server.status).toMatchObject({ role: "follower", term: 9 });
  });

  test("unknown comes also when the quorum fell silent", () => {
    const server = leader().forget().propose(7).untilItStepsDown();
    expect(server.verdicts).toEqual([{ kind: "unknown", proposalId: 7 }]);
  });

  test("unknown stays unknown: no second one comes when the entry commits after all", () => {
    const server = leader().forget().propose(7);
    server.receive("c", appendRequest(9, [], 0)).forget();
    server.lead("b");
    server.ack("b", server.raft.lastIndex);
    expect(server.status.commitIndex).toBe(server.raft.lastIndex);
    expect(server.verdicts).toEqual([]);
  });

  test("refused says overloaded beyond uncommittedBytesMax, and room comes with commits", () => {
    // The noop is 96 bytes, each proposal 96 + 104.
    const server = leader({ options: { uncommittedBytesMax: 500 } }).forget();
    server.propose(1, 104).propose(2, 104).propose(3, 104);
    expect(server.verdicts).toMatchObject([
      { kind: "refused", proposalId: 3, why: "overloaded", leader: id("a") },
    ]);
    expect(server.raft.lastIndex).toBe(3);
    server.forget().ack("b", 2).propose(4, 104);
    expect(server.verdicts).toMatchObject([{ kind: "committed", proposalId: 1 }]);
    server.ack("b", 4);
    expect(server.verdicts).toMatchObject([
      { proposalId: 1 },
      { proposalId: 2 },
      { proposalId: 4 },
    ]);
  });

  test("a proposal larger than uncommittedBytesMax goes alone, or it could never go", () => {
    const server = leader({ options: { uncommittedBytesMax: 500 } }).forget();
    server.propose(1, 4000).propose(2, 8);
    expect(server.verdicts).toMatchObject([{ kind: "refused", proposalId: 2 }]);
    server.ack("b", 2);
    expect(server.verdicts).toMatchObject([
      { proposalId: 2 },
      { kind: "committed", proposalId: 1 },
    ]);
  });
});

describe("a linearizable read", () => {
  const read = (server: Subject, readId: number) => server.step({ kind: "read-requested", readId });

  test("is ready when a quorum has answered a round that began after it was asked", () => {
    const server = new Subject("a", { voters: five }).lead("b", "c").ack("b", 1).ack("c", 1);
    read(server.forget(), 7);
    const round = server.round;
    expect(server.sent("append-request").map(({ to }) => to)).toEqual(["b", "c", "d", "e"]);
    server.ack("b", 1, round);
    expect(server.reads).toEqual([]);
    server.ack("d", 0, round);
    expect(server.reads).toEqual([{ kind: "ready", readId: 7, readIndex: 1 }]);
  });

  test("is not confirmed by late answers to an earlier round", () => {
    const server = leader();
    const earlier = server.round;
    read(server.forget(), 7);
    expect(server.round).toBeGreaterThan(earlier);
    server.ack("b", 1, earlier).ack("c", 1, earlier);
    expect(server.reads).toEqual([]);
    server.ack("c", 1, server.round);
    expect(server.reads).toMatchObject([{ kind: "ready", readId: 7 }]);
  });

  test("is not confirmed by a refusal of what its leader sent in an earlier term", () => {
    const follower = new Subject("b", { term: 5 }).elapse(ms(1)).forget();
    const slow = appendRequest(2, [], 0, { round: 7 });
    const [reply] = follower.receive("a", slow).sent("append-reply");
    expect(reply).toMatchObject({ to: "a", term: 5, round: 0, matchIndex: 0, conflict: null });
  });

  test("asked again is a read of its own: the first one's late answers do not serve it", () => {
    const server = leader();
    read(server.forget(), 7);
    const first = server.round;
    read(server, 7);
    server.ack("b", 1, first);
    expect(server.reads).toHaveLength(1);
    server.ack("b", 1, first + 1);
    expect(server.reads).toHaveLength(2);
  });

  test("waits until the leader has committed an entry of its own term", () => {
    const server = new Subject("a", { log: [1, 1], term: 1 }).lead("b").forget();
    read(server, 7);
    server.ack("b", 2, server.round).ack("c", 2, server.round);
    expect(server.reads).toEqual([]);
    server.ack("b", 3, server.round);
    expect(server.reads).toEqual([{ kind: "ready", readId: 7, readIndex: 3 }]);
  });

  test("sees everything committed before it, and need not see more", () => {
    const server = leader().propose(1).ack("b", 2).forget();
    read(server, 7);
    server.propose(2).ack("b", 3, server.round);
    expect(server.reads).toEqual([{ kind: "ready", readId: 7, readIndex: 2 }]);
  });

  test("shares its round with all others of the turn", () => {
    const server = leader().forget();
    for (let readId = 1; readId <= 5; readId++) {
      server.raft.step(server.now, { kind: "read-requested", readId });
    }
    server.take();
    expect(server.sent("append-request")).toHaveLength(2);
    server.ack("c", 0, server.round);
    expect(server.reads.map(({ readId }) => readId)).toEqual([1, 2, 3, 4, 5]);
  });

  test("is ready at once in a cluster of one, when its own entry is committed", () => {
    const server = new Subject("a", { voters: ["a"] }).untilDeadline().forget();
    read(server, 7);
    expect(server.reads).toEqual([{ kind: "ready", readId: 7, readIndex: 1 }]);
  });

  test("is confirmed by a refusal too: whoever refuses an append follows its sender", () => {
    const server = leader();
    read(server.forget(), 7);
    server.refuse("c", 1, 0, 0);
    expect(server.reads).toMatchObject([{ kind: "ready", readId: 7 }]);
  });

  test("is refused when leadership is lost, with the successor's name", () => {
    const server = leader();
    read(server.forget(), 7);
    server.receive("c", appendRequest(9, [], 0));
    expect(server.reads).toEqual([{ kind: "refused", readId: 7, leader: id("c") }]);
  });

  test("is refused where nobody leads, with the leader's name where known", () => {
    const server = new Subject("a");
    read(server, 7).receive("b", appendRequest(1, [], 0));
    read(server, 8);
    expect(server.reads).toEqual([
      { kind: "refused", readId: 7, leader: null },
      { kind: "refused", readId: 8, leader: id("b") },
    ]);
  });

  test("is refused beyond readsWaitingMax, and room comes with answers", () => {
    const server = leader({ options: { readsWaitingMax: 2 } }).forget();
    for (const readId of [1, 2, 3]) read(server, readId);
    expect(server.reads).toEqual([{ kind: "refused", readId: 3, leader: id("a") }]);
    server.forget().elapse(ms(10));
    read(server, 4);
    server.elapse(ms(40)).ack("b", 1, server.round);
    read(server, 5);
    expect(server.reads).toMatchObject([
      { kind: "refused", readId: 4 },
      { kind: "ready", readId: 1 },
      { kind: "ready", readId: 2 },
    ]);
  });
});
