// A server that has lost durable entries, and its leader: what the one does not do until it has
// them again, and what the other does not believe.
import { expect, it, describe as suite, test } from "vitest";
import type { MemberId } from "../../src/base/ids.ts";
import { Raft } from "../../src/raft/raft.ts";
import { five } from "./roles.ts";
import {
  appendRequest,
  at,
  logOf,
  optionsOf,
  restoredOf,
  type Situation,
  Subject,
  term,
  voteRequest,
} from "./subject.ts";

const LOSS = 7;

/** One of a, b, c whose log of term 1 has lost what was behind `log`; it has voted for c. */
function mender(situation: Situation = {}): Subject {
  const subject = new Subject("a", { log: [1, 1], votedFor: "c", term: 2, ...situation });
  const restored = restoredOf({ log: [1, 1], votedFor: "c", term: 2, ...situation });
  const hardState = { ...restored.hardState, loss: LOSS };
  const raft = new Raft(optionsOf("a"), { ...restored, hardState }, subject.now);
  Object.assign(subject, { raft });
  return subject;
}

const LOG = logOf([1, 1, 2, 2]);
const append = (prevIndex: number, mend?: { loss: number; index: number }) =>
  appendRequest(2, LOG, prevIndex, {
    commitIndex: at(4),
    ...(mend === undefined ? {} : { mend: { loss: mend.loss, index: at(mend.index) } }),
  });
const heartbeat = (mend: { loss: number; index: number }) => ({ ...append(4, mend), entries: [] });

/** Leads term 1 of a cluster, its first entry committed by all of `others`. */
function leaderOf(others: readonly string[]): Subject {
  const leader = new Subject("a", { voters: ["a", ...others] }).lead(...others.slice(0, 2));
  for (const other of others) leader.ack(other, 1);
  return leader.forget();
}

/** The answer of a server that mends. */
function mending(leader: Subject, from: string, matchIndex: number, loss = LOSS): Subject {
  return leader.receive(from, {
    kind: "append-reply",
    term: leader.raft.term,
    round: leader.round,
    matchIndex: at(matchIndex),
    conflict: null,
    loss,
  });
}

suite("a server that has lost durable entries", () => {
  it("gives no vote and no pre-vote, however long the candidate's log is", () => {
    const subject = mender().elapse(400_000 as never);
    subject.receive("b", voteRequest(3, 9, 2, true));
    subject.receive("b", voteRequest(3, 9, 2));
    expect(subject.sent("vote-reply").map(({ granted }) => granted)).toEqual([false, false]);
  });

  it("keeps the vote that it gave before in its term", () => {
    expect(mender().status.votedFor).toBe("c");
  });

  it("enters a later term by whoever says it, and mends on in it", () => {
    const subject = mender();
    subject.receive("b", { ...append(2), term: term(5) });
    expect(subject.status).toMatchObject({ term: 5, isMending: true });
    expect(subject.writes.find(({ hardState }) => hardState?.term === 5)?.hardState?.loss).toBe(7);
  });

  it("never stands: its wait has no end", () => {
    expect(mender().raft.deadline).toBeGreaterThan(Number.MAX_SAFE_INTEGER / 2);
  });

  it("does not stand either when its leader tells it to", () => {
    const subject = mender().receive("b", append(2));
    subject.receive("b", { kind: "timeout-now", term: term(2), lastIndex: at(4) });
    expect(subject.status.role).toBe("follower");
  });

  it("takes entries and says what it has, and each time that it mends", () => {
    const subject = mender().receive("b", append(2));
    expect(subject.sent("append-reply")).toEqual([
      expect.objectContaining({ matchIndex: 4, loss: LOSS }),
    ]);
    subject.forget().receive("b", appendRequest(2, logOf([1, 1, 2, 2, 2, 2, 2]), 6));
    expect(subject.sent("append-reply")[0]).toMatchObject({
      loss: LOSS,
      conflict: { prevIndex: 6 },
    });
    subject.forget().receive("c", appendRequest(1, LOG, 2, { entries: [] }));
    expect(subject.sent("append-reply")).toEqual([expect.objectContaining({ loss: LOSS })]);
  });

  it("is whole when it has durably what its leader names, and says so only when that is noted", () => {
    const subject = mender().receive("b", append(2));
    subject.autoPersist = false;
    subject.forget().receive("b", heartbeat({ loss: LOSS, index: 4 }));
    expect(subject.writes.at(-1)?.hardState).toEqual({ term: 2, votedFor: "c" });
    expect(subject.sends).toEqual([]);
    subject.persist();
    const [reply] = subject.sent("append-reply");
    expect(reply).toMatchObject({ matchIndex: 4 });
    expect(reply).not.toHaveProperty("loss");
    expect(subject.status.isMending).toBe(false);
  });

  it("votes again when it is whole", () => {
    const subject = mender().receive("b", append(2));
    subject.receive("b", heartbeat({ loss: LOSS, index: 4 })).elapse(400_000 as never);
    subject.receive("b", voteRequest(9, 9, 2));
    expect(subject.sent("vote-reply")).toEqual([expect.objectContaining({ granted: true })]);
  });

  it.each([
    ["of an earlier loss", { loss: LOSS - 1, index: 4 }],
    ["of more than it has", { loss: LOSS, index: 5 }],
  ])("stays as it is by news %s", (_, mend) => {
    const subject = mender().receive("b", append(2)).receive("b", heartbeat(mend));
    expect(subject.status.isMending).toBe(true);
  });

  it("does not count what is written and not durable yet", () => {
    const subject = mender();
    subject.autoPersist = false;
    subject.receive("b", append(2)).receive("b", heartbeat({ loss: LOSS, index: 4 }));
    expect(subject.status.isMending).toBe(true);
    subject.persist().receive("b", heartbeat({ loss: LOSS, index: 4 }));
    expect(subject.writes.at(-1)?.hardState).toEqual({ term: 2, votedFor: "c" });
  });
});

suite("a leader", () => {
  it("commits nothing by a server that mends, although it has the entries", () => {
    const leader = leaderOf(["b", "c"]).propose(1);
    mending(leader, "b", 2);
    expect(leader.raft.commitIndex).toBe(1);
    expect(leader.peer("b")).toMatchObject({ isMending: true, matchIndex: 2 });
    leader.ack("c", 2);
    expect(leader.raft.commitIndex).toBe(2);
  });

  it("forgets what it had acknowledged, and asks anew where its log ends", () => {
    const leader = leaderOf(["b", "c"]).propose(1).ack("b", 2);
    expect(leader.raft.commitIndex).toBe(2);
    mending(leader, "b", 0);
    expect(leader.peer("b")).toMatchObject({ matchIndex: 0, mode: "probe", nextIndex: 3 });
  });

  it("believes no acknowledgement from before the loss that comes late", () => {
    const leader = leaderOf(["b", "c"]);
    mending(leader, "b", 0);
    leader.propose(1).ack("b", 2);
    expect(leader.raft.commitIndex).toBe(1);
    expect(leader.peer("b")).toMatchObject({ isMending: true, matchIndex: 0 });
  });

  it("counts it again when it answers a later round without naming a loss", () => {
    const leader = leaderOf(["b", "c"]).propose(1);
    mending(leader, "b", 2).untilDeadline().ack("b", 2);
    expect(leader.peer("b").isMending).toBe(false);
    expect(leader.raft.commitIndex).toBe(2);
  });

  it("passes over news of a loss that is mended, and hears of the next one", () => {
    const leader = leaderOf(["b", "c"]).propose(1);
    mending(leader, "b", 2).untilDeadline().ack("b", 2);
    mending(leader, "b", 0);
    expect(leader.peer("b")).toMatchObject({ isMending: false, matchIndex: 2 });
    mending(leader, "b", 1, LOSS + 1);
    expect(leader.peer("b")).toMatchObject({ isMending: true, matchIndex: 1 });
    mending(leader, "b", 2, LOSS);
    expect(leader.peer("b").matchIndex).toBe(1);
  });

  it("tells it what makes it whole when the others hold all that its log held, and no sooner", () => {
    const leader = leaderOf(["b", "c"]).propose(1);
    mending(leader, "b", 2).forget().untilDeadline();
    const told = () => leader.sent("append-request").filter(({ to }) => to === "b");
    expect(told().map(({ mend }) => mend)).toEqual([undefined]);
    leader.ack("c", 2).propose(2).forget().untilDeadline();
    expect(told().map(({ mend }) => mend)).toEqual([{ loss: LOSS, index: 2 }]);
    const others = leader.sent("append-request").filter(({ to }) => to === "c");
    expect(others.map(({ mend }) => mend)).toEqual([undefined]);
  });

  it("serves no read by a server that mends", () => {
    const leader = leaderOf(["b", "c"]);
    mending(leader, "b", 1).forget().step({ kind: "read-requested", readId: 1 });
    mending(leader, "b", 1);
    expect(leader.reads).toEqual([]);
    leader.ack("c", 1);
    expect(leader.reads).toEqual([{ kind: "ready", readId: 1, readIndex: 1 }]);
  });

  it("does not stay in office by servers that mend", () => {
    const leader = leaderOf(["b", "c"]);
    for (let left = 20; left > 0 && leader.raft.role === "leader"; left--) {
      mending(leader, "b", 1).untilDeadline();
    }
    expect(leader.raft.role).toBe("follower");
  });

  it("hands over to none that mends, asked by name or not", () => {
    const leader = leaderOf(["b", "c"]).propose(1).ack("c", 1);
    mending(leader, "b", 2);
    leader.transfer(1, "b").transfer(2, null);
    expect(leader.transfers).toEqual([{ kind: "aborted", transferId: 1, why: "not-a-voter" }]);
    expect(leader.status.transferTo).toBe("c");
  });

  it("changes to no membership that could decide nothing without who mends", () => {
    const leader = leaderOf(["b", "c"]);
    mending(leader, "b", 1);
    leader.change(1, ["a", "b"]);
    expect(leader.verdicts).toEqual([
      expect.objectContaining({ why: "not-caught-up", what: expect.stringMatching(/^b mends/) }),
    ]);
    leader.change(2, ["a", "c"]);
    expect(leader.status.membership.voters).toEqual(["a", "c"]);
  });

  it("of five commits by three while two mend", () => {
    const leader = leaderOf(five.slice(1)).propose(1);
    mending(leader, "b", 2);
    mending(leader, "c", 2);
    leader.ack("d", 2);
    expect(leader.raft.commitIndex).toBe(1);
    leader.ack("e", 2);
    expect(leader.raft.commitIndex).toBe(2);
  });
});

test("a cluster of two with one that mends commits nothing: nobody but it could confirm", () => {
  const leader = leaderOf(["b"]).propose(1);
  mending(leader, "b" as MemberId, 2);
  expect(leader.raft.commitIndex).toBe(1);
});
