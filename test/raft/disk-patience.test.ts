// A disk that does nothing any more: its server can still talk, so it must neither lead nor stand.
// electionTimeoutMax is 300 ms here, so a write may be outstanding for 1200 ms.
import { describe, expect, test } from "vitest";
import { appendRequest, id, logOf, ms, type Situation, Subject, term } from "./subject.ts";

/** Time passes in steps of a heartbeat; these peers answer each with what they have. */
function beats(server: Subject, span: number, answers: Readonly<Record<string, number>>): void {
  for (let passed = 0; passed < span; passed += 50) {
    server.elapse(ms(50));
    for (const [peer, matchIndex] of Object.entries(answers)) {
      if (server.raft.role === "leader") server.ack(peer, matchIndex);
    }
  }
}

/** A leader of a, b, c with entry 1 everywhere, and a write outstanding since now. */
function hungLeader(situation: Situation = {}): Subject {
  const server = new Subject("a", situation).lead("b", "c").ack("b", 1).ack("c", 1);
  server.autoPersist = false;
  return server.forget().propose(1);
}

describe("a leader whose write is outstanding", () => {
  test("leads on for four election timeouts, while others commit without its disk", () => {
    const server = hungLeader().ack("b", 2).ack("c", 2);
    expect(server.status.commitIndex).toBe(2);
    beats(server, 1150, { b: 2, c: 2 });
    expect(server.status).toMatchObject({ role: "leader", transferTo: null });
    expect(server.sent("timeout-now")).toEqual([]);
  });

  test("for longer hands over to a voter that has everything, and proposes nothing more", () => {
    const server = hungLeader();
    beats(server, 1200, { b: 2, c: 1 });
    server.ack("c", 2).forget();
    beats(server, 50, { b: 2, c: 2 });
    expect(server.status).toMatchObject({ role: "leader", transferTo: "b" });
    expect(server.sent("timeout-now")[0]).toMatchObject({ to: "b", lastIndex: 2 });
    server.forget().propose(2);
    expect(server.verdicts).toMatchObject([{ kind: "refused", why: "transferring" }]);
  });

  test("for longer steps down when nobody could take over in time", () => {
    // Only b has entry 2, and the leader's own disk does not: it is not committed.
    const server = hungLeader();
    beats(server, 1450, { b: 2, c: 1 });
    expect(server.status).toMatchObject({ role: "leader", transferTo: "b", commitIndex: 1 });
    beats(server, 100, { b: 2, c: 1 });
    expect(server.status).toMatchObject({ role: "follower", term: 1, votedFor: "a" });
    expect(server.verdicts).toContainEqual({ kind: "unknown", proposalId: 1 });
  });

  test("goes on when the disk comes back before it is too late", () => {
    const server = hungLeader();
    beats(server, 1000, { b: 2, c: 2 });
    server.persist();
    beats(server, 1000, { b: 2, c: 2 });
    expect(server.status).toMatchObject({ role: "leader", transferTo: null });
  });

  test("goes on when the disk comes back while nobody takes over", () => {
    const server = hungLeader();
    beats(server, 1250, { b: 2, c: 1 });
    expect(server.status.transferTo).toBe("b");
    server.persist();
    beats(server, 400, { b: 2, c: 1 });
    expect(server.status).toMatchObject({ role: "leader", transferTo: null });
    server.forget().propose(2);
    expect(server.verdicts).toEqual([]);
  });

  test("leads on when there is nobody else who could", () => {
    const alone = new Subject("a", { voters: ["a"], learners: ["b"] });
    alone.untilDeadline();
    alone.autoPersist = false;
    alone.propose(1);
    beats(alone, 3000, { b: 1 });
    expect(alone.status).toMatchObject({ role: "leader", transferTo: null });
    expect(alone.raft.deadline).toBeGreaterThan(alone.now);
  });

  test("waits as long as its host says", () => {
    const server = hungLeader({ options: { diskPatience: ms(400) } });
    beats(server, 350, { b: 2, c: 2 });
    expect(server.status.transferTo).toBeNull();
    beats(server, 50, { b: 2, c: 2 });
    expect(server.status.transferTo).toBe("b");
  });
});

describe("a leader whose host says that its disk hangs", () => {
  const hang = (isHung: boolean) => ({ kind: "disk-hung", isHung }) as const;

  test("hands over although it has written nothing", () => {
    const server = new Subject("a").lead("b", "c").ack("b", 1).ack("c", 1).forget();
    server.step(hang(true));
    expect(server.sent("timeout-now")).toMatchObject([{ to: "b", lastIndex: 1 }]);
  });

  test("goes on when it works again", () => {
    const server = new Subject("a").lead("b", "c").ack("b", 1).ack("c", 1).forget();
    server.step(hang(true)).step(hang(false));
    beats(server, 350, { b: 1, c: 1 });
    expect(server.status).toMatchObject({ role: "leader", transferTo: null });
  });
});

describe("a leader whose disk is full", () => {
  const fill = (isFull: boolean) => ({ kind: "disk-full", isFull }) as const;

  test("leads on while writes wait for room, and has its patience anew when there is some", () => {
    const server = hungLeader().step(fill(true));
    beats(server, 5000, { b: 2, c: 1 });
    expect(server.status).toMatchObject({ role: "leader", transferTo: null });
    server.step(fill(false));
    beats(server, 1150, { b: 2, c: 1 });
    expect(server.status).toMatchObject({ role: "leader", transferTo: null });
    beats(server, 100, { b: 2, c: 1 });
    expect(server.status.transferTo).toBe("b");
  });
});

describe("a server that could not make its own vote durable", () => {
  /** A follower of b with a write outstanding since it heard of entry 2. */
  const hungFollower = () => {
    const server = new Subject("a").receive("b", appendRequest(1, logOf([1]), 0));
    server.autoPersist = false;
    server.receive("b", appendRequest(1, logOf([1, 1]), 1));
    for (let passed = 0; passed < 1200; passed += 50) {
      server.elapse(ms(50)).receive("b", appendRequest(1, [], 0));
    }
    return server.forget();
  };

  test("calls no election, however often its timeout passes", () => {
    const server = hungFollower();
    for (let times = 0; times < 5; times++) server.untilDeadline();
    expect(server.status).toMatchObject({ role: "follower", term: 1, leader: null });
    expect(server.sent("vote-request")).toEqual([]);
  });

  test("calls one once its disk is back", () => {
    const server = hungFollower().untilDeadline().persist(2).untilDeadline();
    expect(server.status.role).toBe("pre-candidate");
  });

  test("does not stand because a leader says so", () => {
    const server = hungFollower();
    server.receive("b", { kind: "timeout-now", term: term(1), lastIndex: server.raft.lastIndex });
    expect(server.status).toMatchObject({ role: "follower", term: 1, leader: id("b") });
  });

  test("is no candidate any more when its own vote is what the disk hangs on", () => {
    const server = new Subject("a").receive("b", appendRequest(1, logOf([1]), 0));
    server.autoPersist = false;
    server.untilDeadline().grant("b", true);
    expect(server.status).toMatchObject({ role: "candidate", term: 2 });
    for (let times = 0; times < 12; times++) server.untilDeadline();
    expect(server.status).toMatchObject({ role: "follower", term: 2 });
  });
});
