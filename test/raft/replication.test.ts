// How logs become equal and how much is sent meanwhile: term jumps (Figure 7 and etcd's nine
// vectors), pipelines and their bounds, losses and what heals them.
import { describe, expect, test } from "vitest";
import { type Draft, type Entry, pointAfter } from "../../src/base/entry.ts";
import type { WallMs } from "../../src/base/ids.ts";
import { RECENT_ENTRIES_MAX } from "../../src/raft/log-tail.ts";
import type { RaftMessage, Send } from "../../src/raft/protocol.ts";
import {
  appendRequest,
  at,
  draftOf,
  entriesAfter,
  id,
  logOf,
  ms,
  Subject,
  term,
  voteRequest,
} from "./subject.ts";

/** Plays the network and the leader's host between a leader and one follower until both rest. */
function converse(leader: Subject, log: readonly Entry[], peer: Subject): RaftMessage[] {
  const said: RaftMessage[] = [];
  const take = (from: Subject, to: Subject): Send[] => {
    const taken = from.sends.filter((send) => send.to === to.self);
    from.sends = from.sends.filter((send) => send.to !== to.self);
    return taken;
  };
  for (let idle = 0; idle < 2; ) {
    idle += 1;
    for (const send of take(leader, peer)) {
      idle = 0;
      if (send.kind === "snapshot") throw new Error("nothing is trimmed here");
      const message =
        send.kind === "message"
          ? send.message
          : appendRequest(send.term, log, send.prevIndex, {
              entries: log.slice(send.prevIndex, send.lastIndex),
              commitIndex: send.commitIndex,
              round: send.round,
            });
      peer.receive(leader.self, message);
    }
    for (const send of take(peer, leader)) {
      idle = 0;
      if (send.kind !== "message") throw new Error("a follower sends no entries");
      said.push(send.message);
      leader.receive(peer.self, send.message);
    }
  }
  return said;
}

const refusals = (said: readonly RaftMessage[]) =>
  said.flatMap((each) =>
    each.kind === "append-reply" && each.conflict !== null ? [each.conflict] : [],
  );

const termsOf = (subject: Subject): number[] => {
  const { lastIndex } = subject.raft;
  return Array.from({ length: lastIndex }, (_, place) => subject.raft.termAt(at(place + 1)) ?? -1);
};

describe("Figure 7 of the paper", () => {
  // The leader of term 8, and the followers (a) to (f).
  const leaderLog = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  const followers: readonly [string, number[], number][] = [
    ["a", [1, 1, 1, 4, 4, 5, 5, 6, 6], 1],
    ["b", [1, 1, 1, 4], 1],
    ["c", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6], 0],
    ["d", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], 0],
    ["e", [1, 1, 1, 4, 4, 4, 4], 1],
    ["f", [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], 1],
  ];

  test.each(followers)(
    "a leader makes follower %s's log %j equal after %i refusals",
    (name, log, refusedTimes) => {
      const voters = ["L", "a", "b", "c", "d", "e", "f"];
      const leader = new Subject("L", { voters, log: leaderLog, term: 7 }).lead("a", "b", "e", "f");
      const own = [...logOf(leaderLog), ...leader.writes.flatMap(({ entries }) => entries)];
      const follower = new Subject(name, { voters, log, term: 7 });
      const said = converse(leader, own, follower);
      expect(termsOf(follower)).toEqual([...leaderLog, 8]);
      expect(refusals(said)).toHaveLength(refusedTimes);
      expect(leader.peer(name)).toMatchObject({ mode: "replicate", matchIndex: 11, nextIndex: 12 });
      expect(follower.status.dropped + leader.status.dropped).toBe(0);
    },
  );
});

describe("a term jump", () => {
  // The cases of etcd-io/raft's TestFastLogRejection. The leader probes after its whole log; the
  // follower hints; the leader goes on at the place it computes. Its ninth case, a follower that
  // has trimmed the place, is the next test: what is trimmed is committed, so here it matches.
  const threes = [3, 3, 3, 3, 3, 3, 3, 3];
  test.each<[number[], number[], number, number, number, number]>([
    // leader's log, follower's log, hint: term, index, next probe: term, index
    [[1, 2, 2, 4, 4, 4, 4], [1, 2, 2, ...threes], 3, 7, 2, 3],
    [[1, 2, 2, 3, 4, 4, 4, 5], [1, 2, 2, ...threes], 3, 8, 3, 4],
    [[1, 1, 1, 1], [1, 2, 2, 4], 1, 1, 1, 1],
    [[1, 1, 1, 1, 1, 1], [1, 2, 2, 4], 1, 1, 1, 1],
    [[1, 1, 1, 1], [1, 2, 2, 4, 4, 4], 1, 1, 1, 1],
    [[1, 1, 1, 4, 5], [1, 1, 1, 4], 4, 4, 4, 4],
    [[2, 5, 5, 5, 5, 5, 5, 5, 5], [2, 4, 4, 4, 4, 4], 4, 6, 2, 1],
    [[2, 2, 2, 2, 2], [2, 4, 4, 4, 4, 4, 4, 4], 2, 1, 2, 1],
  ])(
    "from leader %j over follower %j is hinted as term %i at %i and lands in term %i at %i",
    (leaderLog, followerLog, hintTerm, hintIndex, nextTerm, nextIndex) => {
      const newest = Math.max(...leaderLog, ...followerLog);
      const probed = leaderLog.length;
      const leader = new Subject("a", { log: leaderLog, term: newest }).lead("b");
      const [probe] = leader.appends().filter(({ to }) => to === "b");
      expect(probe).toMatchObject({ prevIndex: probed, prevTerm: leaderLog.at(-1) });
      const own = [...logOf(leaderLog), ...leader.writes.flatMap(({ entries }) => entries)];
      const follower = new Subject("b", { log: followerLog, term: newest });
      follower.receive("a", appendRequest(newest + 1, own, probed));
      const [reply] = follower.sent("append-reply");
      expect(reply?.conflict).toEqual({ prevIndex: probed, hintIndex, hintTerm });
      leader.forget().refuse("b", probed, hintIndex, hintTerm);
      expect(leader.appends()).toMatchObject([{ prevIndex: nextIndex, prevTerm: nextTerm }]);
    },
  );

  test("before the retained entries has no term, and the leader takes the place as it is", () => {
    const log = [1, 1, 1, 1, 3];
    const follower = new Subject("b", { log, base: 4, trimmedTo: 4, term: 5 });
    follower.receive("a", appendRequest(6, [], 0, { prevIndex: at(5), prevTerm: term(2) }));
    expect(follower.sent("append-reply")[0]?.conflict).toEqual({
      prevIndex: 5,
      hintIndex: 4,
      hintTerm: 1,
    });
    follower.forget();
    follower.receive("a", appendRequest(6, [], 0, { prevIndex: at(2), prevTerm: term(1) }));
    expect(follower.sent("append-reply")).toMatchObject([{ conflict: null, matchIndex: 2 }]);
  });

  test("never goes below what is known to match, nor up to what was refused", () => {
    const leader = new Subject("a", { log: [1, 1, 1, 1], term: 1 }).lead("b").ack("b", 5);
    leader.propose(1).propose(2);
    expect(leader.peer("b")).toMatchObject({ matchIndex: 5, nextIndex: 8, mode: "replicate" });
    leader.refuse("b", 7, 7, 9);
    expect(leader.peer("b")).toMatchObject({ mode: "probe", matchIndex: 5, nextIndex: 7 });
    leader.refuse("b", 6, 0, 0);
    expect(leader.peer("b")).toMatchObject({ mode: "probe", matchIndex: 5, nextIndex: 6 });
    // What was acknowledged in this round may be refused by an answer that was given before.
    leader.refuse("b", 5, 0, 0).refuse("b", 3, 0, 0);
    expect(leader.peer("b")).toMatchObject({ matchIndex: 5, nextIndex: 6 });
  });

  test("is made once for the refusal of what was asked last, however often others arrive", () => {
    const leader = new Subject("a", { log: [1, 1, 1, 1], term: 1 }).lead("b");
    leader.refuse("b", 4, 2, 1);
    expect(leader.peer("b").nextIndex).toBe(3);
    leader.forget().refuse("b", 4, 1, 1).refuse("b", 4, 2, 1).refuse("b", 1, 0, 0);
    expect(leader.peer("b").nextIndex).toBe(3);
    expect(leader.appends()).toEqual([]);
  });

  test("raises no matchIndex: a hint is not an acknowledgement", () => {
    const leader = new Subject("a", { log: [1, 1, 1, 1], term: 1 }).lead("b");
    leader.refuse("b", 4, 3, 1);
    expect(leader.peer("b").matchIndex).toBe(0);
    expect(leader.status.commitIndex).toBe(0);
  });
});

describe("a pipeline", () => {
  /** A leader whose peer b takes appends in a pipeline; its log ends at index 1. */
  const piping = (appendsInFlightMax: number, appendBytesMax: number) =>
    new Subject("a", { options: { appendsInFlightMax, appendBytesMax } })
      .lead("b")
      .ack("b", 1)
      .forget();

  test("stops at appendsInFlightMax and goes on with each answer", () => {
    const leader = piping(3, 64_000);
    for (let proposal = 1; proposal <= 6; proposal++) leader.propose(proposal);
    const toB = () => leader.appends().filter(({ to }) => to === "b");
    expect(toB().map(({ lastIndex }) => lastIndex)).toEqual([2, 3, 4]);
    expect(leader.peer("b")).toMatchObject({ inFlight: 3, nextIndex: 5 });
    leader.forget().ack("b", 2);
    expect(toB()).toMatchObject([{ prevIndex: 4, lastIndex: 7 }]);
    leader.forget().ack("b", 7);
    expect(leader.peer("b")).toMatchObject({ inFlight: 0, matchIndex: 7, nextIndex: 8 });
  });

  test("cuts appends at appendBytesMax, and a larger entry goes alone", () => {
    // Each frame is 96 + 104 = 200 bytes, the large one 96 + 904 = 1000.
    const leader = piping(100, 400);
    for (let proposal = 1; proposal <= 5; proposal++) {
      const draft = { kind: "proposed", proposalId: proposal } as const;
      leader.raft.step(leader.now, { ...draft, draft: draftOf(0, proposal === 3 ? 904 : 104) });
    }
    leader.take();
    const ranges = leader
      .appends()
      .filter(({ to }) => to === "b")
      .map(({ prevIndex, lastIndex }) => [prevIndex + 1, lastIndex]);
    expect(ranges).toEqual([
      [2, 3],
      [4, 4],
      [5, 6],
    ]);
  });

  test("stops at bytesInFlightMax, whatever the number of appends, and counts what is left", () => {
    // Frames of 200 bytes, one an append: 700 bytes are reached by the fourth.
    const bounds = { appendsInFlightMax: 100, appendBytesMax: 200, bytesInFlightMax: 700 };
    const leader = new Subject("a", { options: bounds }).lead("b").ack("b", 1).forget();
    for (let proposal = 1; proposal <= 8; proposal++) leader.propose(proposal, 104);
    const toB = () => leader.appends().filter(({ to }) => to === "b");
    expect(toB().map(({ lastIndex }) => lastIndex)).toEqual([2, 3, 4, 5]);
    expect(leader.peer("b")).toMatchObject({ inFlight: 4, bytesInFlight: 800 });
    leader.forget().ack("b", 2);
    expect(toB().map(({ lastIndex }) => lastIndex)).toEqual([6]);
    expect(leader.peer("b")).toMatchObject({ inFlight: 4, bytesInFlight: 800 });
    // One answer for many: everything is counted off at once, and nothing leaks.
    leader.forget().ack("b", 6);
    expect(toB().map(({ lastIndex }) => lastIndex)).toEqual([7, 8, 9]);
    leader.ack("b", 9);
    expect(leader.peer("b")).toMatchObject({ inFlight: 0, bytesInFlight: 0 });
  });

  test("lets one entry larger than bytesInFlightMax go, alone", () => {
    const bounds = { appendBytesMax: 200, bytesInFlightMax: 300 };
    const leader = new Subject("a", { options: bounds }).lead("b").ack("b", 1).forget();
    leader.propose(1, 5000).propose(2);
    expect(leader.appends().filter(({ to }) => to === "b")).toMatchObject([{ lastIndex: 2 }]);
    expect(leader.peer("b")).toMatchObject({ inFlight: 1, bytesInFlight: 5096 });
  });

  test("that lost an append is started anew by the next one's refusal, before any heartbeat", () => {
    const leader = piping(8, 64_000).propose(1).propose(2).forget();
    // The append of entry 2 is lost; b refuses the one of entry 3, in the same round.
    leader.refuse("b", 2, 1, 1);
    expect(leader.appends()).toMatchObject([{ to: "b", prevIndex: 1, lastIndex: 3 }]);
    expect(leader.sent("append-request")).toEqual([]);
    leader.ack("b", 3);
    expect(leader.peer("b")).toMatchObject({ mode: "replicate", matchIndex: 3, inFlight: 0 });
  });

  test("is one append for all proposals of a turn", () => {
    const leader = piping(8, 64_000);
    for (let proposalId = 1; proposalId <= 5; proposalId++) {
      leader.raft.step(leader.now, { kind: "proposed", proposalId, draft: draftOf(0) });
    }
    leader.take();
    expect(leader.appends().filter(({ to }) => to === "b")).toMatchObject([
      { prevIndex: 1, lastIndex: 6 },
    ]);
    expect(leader.writes).toHaveLength(1);
    expect(leader.writes[0]?.entries).toHaveLength(5);
  });

  test("that lost an append is found out by the next answered heartbeat and starts anew", () => {
    const leader = piping(2, 64_000).propose(1).propose(2).propose(3);
    expect(leader.peer("b")).toMatchObject({ inFlight: 2, nextIndex: 4 });
    // Everything to b is lost. It answers heartbeats: it has entry 1 and no more.
    leader.forget().elapse(ms(50)).ack("b", 1);
    const [, question] = leader.sent("append-request").filter(({ to }) => to === "b");
    expect(question).toMatchObject({ prevIndex: 3, entries: [] });
    leader.forget().refuse("b", 3, 1, 1);
    expect(leader.appends()).toMatchObject([{ to: "b", prevIndex: 1, lastIndex: 4 }]);
    leader.ack("b", 4);
    expect(leader.peer("b")).toMatchObject({ mode: "replicate", matchIndex: 4, inFlight: 0 });
  });

  test("that is only slow is asked, not sent again", () => {
    const leader = piping(2, 64_000).propose(1).propose(2).forget();
    leader.elapse(ms(50)).ack("b", 1).elapse(ms(50)).ack("b", 1);
    expect(leader.appends().filter(({ to }) => to === "b")).toEqual([]);
    leader.ack("b", 3);
    expect(leader.peer("b")).toMatchObject({ mode: "replicate", matchIndex: 3 });
  });

  test("to a peer whose link is lost becomes a probe, once", () => {
    const leader = piping(8, 64_000).propose(1).propose(2).forget();
    const lost = { kind: "peer-unreachable", peer: id("b") } as const;
    leader.step(lost);
    expect(leader.peer("b")).toMatchObject({ mode: "probe", nextIndex: 2, inFlight: 1 });
    leader.forget().step(lost);
    expect(leader.appends()).toEqual([]);
  });

  test("to a peer further behind than sizes are kept goes on by answers alone", () => {
    const bounds = { appendsInFlightMax: 4, appendBytesMax: 4000, uncommittedBytesMax: 1e9 };
    const leader = new Subject("a", { options: bounds }).lead("b").ack("b", 1).ack("c", 1);
    const count = RECENT_ENTRIES_MAX + 500;
    for (let proposal = 2; proposal <= count; proposal++) {
      leader.raft.step(leader.now, { kind: "proposed", proposalId: proposal, draft: draftOf(0) });
    }
    leader.take();
    // Peer c takes everything; b has four appends of 38 entries in flight, and is silent.
    leader.ack("c", count).forget();
    expect(leader.status.commitIndex).toBe(count);
    expect(leader.peer("b")).toMatchObject({ mode: "replicate", inFlight: 4, nextIndex: 154 });
    leader.ack("b", 77);
    expect(leader.peer("b")).toMatchObject({ mode: "replicate", inFlight: 2, nextIndex: 154 });
    leader.ack("b", 153);
    expect(leader.peer("b")).toMatchObject({ mode: "probe", inFlight: 1, nextIndex: 154 });
    expect(leader.appends()).toMatchObject([{ to: "b", prevIndex: 153, lastIndex: count }]);
    // The host cut the append at 38 entries; the answer says where to go on.
    leader.forget().ack("b", 191);
    expect(leader.appends()).toMatchObject([{ to: "b", prevIndex: 191, lastIndex: count }]);
    leader.forget().ack("b", count - RECENT_ENTRIES_MAX);
    expect(leader.peer("b")).toMatchObject({ mode: "replicate", inFlight: 4 });
  });
});

describe("an acknowledgement", () => {
  test("older than another changes nothing: matchIndex never goes back", () => {
    const leader = new Subject("a").lead("b").ack("b", 1).propose(1).propose(2).propose(3);
    leader.ack("b", 4).forget().ack("b", 2).ack("b", 4).ack("b", 1);
    expect(leader.peer("b")).toMatchObject({ matchIndex: 4, nextIndex: 5, inFlight: 0 });
    expect(leader.appends().filter(({ to }) => to === "b")).toEqual([]);
    leader.elapse(ms(50));
    expect(leader.sent("append-request")[0]).toMatchObject({ to: "b", prevIndex: 4 });
  });

  test("of a former leadership counts for nothing in a later one", () => {
    const leader = new Subject("a", { log: [1, 1, 1], term: 1 }).lead("b").propose(1);
    const { term: first } = leader.raft;
    leader.untilItStepsDown().lead("b");
    leader.receive("c", {
      kind: "append-reply",
      term: first,
      round: 1,
      matchIndex: at(5),
      conflict: null,
    });
    expect(leader.peer("c").matchIndex).toBe(0);
    expect(leader.status.commitIndex).toBe(0);
  });
});

describe("a refusal of what was acknowledged", () => {
  /** A leader of a, b, c whose b has acknowledged everything up to index 5, in round 1. */
  const acknowledged = () =>
    new Subject("a", { log: [1, 1, 1, 1], term: 1 }).lead("b").ack("b", 5).forget();

  test("is late, when the leader had not the acknowledgement as it asked: nothing follows", () => {
    const leader = acknowledged().refuse("b", 4, 2, 1);
    expect(leader.peer("b")).toMatchObject({ matchIndex: 5, nextIndex: 6, mode: "replicate" });
    expect(leader.status.dropped).toBe(0);
  });

  test("is a loss, when it had: the peer counts for nothing until it has all anew", () => {
    const leader = acknowledged().elapse(ms(50)).refuse("b", 5, 2, 1);
    expect(leader.peer("b")).toMatchObject({ matchIndex: 0, nextIndex: 3, mode: "probe" });
    expect(leader.appends()).toMatchObject([{ to: "b", prevIndex: 2, lastIndex: 5 }]);
    expect(leader.status.lastDropped).toBe("b has lost entries that it had acknowledged");
    // Committed stays committed; but of what comes now b does not hold anything yet.
    expect(leader.status.commitIndex).toBe(5);
    leader.forget().propose(1).ack("b", 4);
    expect(leader.status.commitIndex).toBe(5);
    leader.ack("b", 6);
    expect(leader.status.commitIndex).toBe(6);
  });

  test("is a loss also while a snapshot is under way, which then goes on", () => {
    const base = { base: 4, trimmedTo: 4, term: 1, log: [1, 1, 1, 1] };
    const start = pointAfter(logOf([1, 1, 1])[2] as Entry);
    const leader = new Subject("a", { ...base, start }).lead("b").refuse("b", 4, 0, 0);
    expect(leader.peer("b")).toMatchObject({ mode: "snapshot" });
    leader.ack("b", 2).forget().elapse(ms(50)).refuse("b", 2, 0, 0);
    expect(leader.peer("b")).toMatchObject({ matchIndex: 0, mode: "snapshot" });
  });
});

describe("a heartbeat", () => {
  test("speaks only of what the peer is known to have, so it may overtake appends", () => {
    const leader = new Subject("a").lead("b", "c").ack("b", 1).propose(1).ack("c", 2).forget();
    leader.elapse(ms(50));
    const beats = leader.sent("append-request");
    expect(beats).toMatchObject([
      { to: "b", prevIndex: 1, prevTerm: 1, commitIndex: 1, entries: [] },
      { to: "c", prevIndex: 2, prevTerm: 1, commitIndex: 2, entries: [] },
    ]);
  });

  test("is answered at once with what is durable, also while entries wait for the disk", () => {
    const follower = new Subject("a");
    follower.autoPersist = false;
    follower
      .receive("b", appendRequest(1, logOf([1]), 0))
      .persist()
      .forget();
    follower.receive("b", appendRequest(1, logOf([1, 1]), 1, { round: 4 }));
    expect(follower.sends).toEqual([]);
    follower.receive("b", appendRequest(1, [], 0, { round: 5 }));
    expect(follower.sent("append-reply")).toMatchObject([{ matchIndex: 1, round: 5 }]);
    follower.forget().persist(2);
    expect(follower.sent("append-reply")).toMatchObject([{ matchIndex: 2, round: 5 }]);
  });

  test("brings back an acknowledgement that was lost", () => {
    const follower = new Subject("a").receive("b", appendRequest(1, logOf([1, 1]), 0)).forget();
    follower.receive("b", appendRequest(1, [], 0, { round: 2 }));
    expect(follower.sent("append-reply")).toMatchObject([{ matchIndex: 2, conflict: null }]);
  });

  test("of an idle leader carries a commit that was lost", () => {
    const leader = new Subject("a").lead("b").propose(1).ack("b", 2).ack("c", 2).forget();
    leader.elapse(ms(50));
    for (const beat of leader.sent("append-request")) expect(beat.commitIndex).toBe(2);
  });
});

describe("the commit index", () => {
  test("is told at once when an idle leader has nothing else to send, once", () => {
    const leader = new Subject("a").lead("b").ack("b", 1).ack("c", 1).forget();
    leader.propose(1).ack("b", 2);
    expect(leader.sent("append-request")).toMatchObject([{ to: "b", commitIndex: 2 }]);
    leader.ack("c", 2);
    expect(leader.sent("append-request").map(({ to }) => to)).toEqual(["b", "c"]);
    leader.ack("b", 2).ack("c", 2);
    expect(leader.sent("append-request")).toHaveLength(2);
  });

  test("rides on entries when there are any, without a message of its own", () => {
    const leader = new Subject("a").lead("b").ack("b", 1).ack("c", 1);
    leader.propose(1).propose(2).forget();
    leader.raft.step(leader.now, { kind: "proposed", proposalId: 3, draft: draftOf(0) });
    leader.ack("b", 3);
    expect(leader.appends().filter(({ to }) => to === "b")).toMatchObject([{ commitIndex: 3 }]);
    expect(leader.sent("append-request").filter(({ to }) => to === "b")).toEqual([]);
  });
});

describe("a place in the log", () => {
  test("is given by the leader: offsets count records, log time never goes back", () => {
    const leader = new Subject("a", { log: [1, 1], term: 1 }).lead("b").forget();
    const drafts: Draft[] = [
      { ...draftOf(0, 8, 3), timestamp: 5000 as WallMs },
      { ...draftOf(0, 8, 0), timestamp: 100 as WallMs, kind: "producer" },
      { ...draftOf(0, 8, 2), timestamp: 9000 as WallMs },
    ];
    for (const [proposalId, draft] of drafts.entries()) {
      leader.step({ kind: "proposed", proposalId, draft });
    }
    expect(leader.writes.flatMap(({ entries }) => entries)).toMatchObject([
      { index: 4, term: 2, prevTerm: 2, offset: 2, count: 3, timestamp: 5000 },
      { index: 5, term: 2, prevTerm: 2, offset: 5, count: 0, timestamp: 5000, kind: "producer" },
      { index: 6, term: 2, prevTerm: 2, offset: 5, count: 2, timestamp: 9000 },
    ]);
    expect(leader.status.endOffset).toBe(7);
  });

  test("after a truncation goes on where the kept entries ended", () => {
    const follower = new Subject("a", { log: [1, 1, 1, 1], term: 1 });
    const kept = logOf([1, 1]);
    const point = pointAfter(kept[1] as Entry);
    const replaced = entriesAfter(point, [3]);
    follower.receive("b", appendRequest(3, [...kept, ...replaced], 2));
    expect(follower.status).toMatchObject({ lastIndex: 3, endOffset: 3, dropped: 0 });
  });
});

describe("an idle leader", () => {
  test("sends each peer one heartbeat a round, and has nothing more to ask", () => {
    const leader = new Subject("a").lead("b", "c").ack("b", 1).ack("c", 1);
    for (let beats = 0; beats < 5; beats++) {
      leader.forget().elapse(ms(50)).ack("b", 1).ack("c", 1);
      expect(leader.sends.map(({ to }) => to)).toEqual(["b", "c"]);
    }
  });
});

describe("a leader that lost its quorum", () => {
  test("says nothing more, so that others can be heard, and keeps its vote (thesis 6.2)", () => {
    const voters = ["a", "b", "c", "d", "e"];
    const leader = new Subject("a", { voters }).lead("b", "c").untilItStepsDown().forget();
    leader.receive("d", voteRequest(2, 1, 1, true)).elapse(ms(100));
    expect(leader.sends).toMatchObject([
      { to: "d", message: { kind: "vote-reply", granted: true } },
    ]);
    expect(leader.status).toMatchObject({ role: "follower", term: 1, votedFor: "a" });
  });
});
