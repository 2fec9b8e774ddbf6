// Each safety property is broken by hand and found, with its two facts; and a run in which all is
// well is left alone.

import { beforeEach, describe, expect, it } from "vitest";
import { LOG_START } from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Offset, Term, WallMs } from "../../src/base/ids.ts";
import { PRODUCER_IDLE_MS } from "../../src/state/producers.ts";
import {
  appendRequest,
  entry,
  first,
  N1,
  N2,
  N3,
  PaperCluster,
  status,
  voteReply,
} from "./cluster.ts";

let cluster: PaperCluster;
beforeEach(() => {
  cluster = new PaperCluster();
});

/** n1 leads term 1 and has committed entries 1 and 2 on n1 and n2. */
function twoCommitted() {
  const log = [first(1, 1, 0), entry(2, 1)];
  cluster.elect(1, [0, 0]);
  cluster.store(log, N1, N2);
  cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [2, 1], commit: 2 });
  cluster.look(N2, { term: 1, vote: N1, last: [2, 1], commit: 1 });
  return log;
}

describe("the safety checker", () => {
  it("says nothing of an election, commits, a restart, a truncation and another election", () => {
    twoCommitted();
    cluster.store([first(1, 1, 0), entry(2, 1)], N3);
    // n1 appends one more entry that nobody gets, goes down and comes back as a follower.
    cluster.store([entry(3, 1)], N1);
    cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [3, 1], commit: 2 });
    cluster.safety.crashed(N1, { index: 3, term: 1 } as never);
    cluster.look(N1, { term: 1, vote: N1, last: [3, 1] }, 2);
    cluster.storeVote(N2, 2, N2);
    cluster.storeVote(N3, 2, N2);
    cluster.look(N2, { role: "candidate", term: 2, vote: N2, last: [2, 1], commit: 1 });
    cluster.look(N3, { term: 2, vote: N2, last: [2, 1] });
    cluster.promises.sent(N3, N2, voteReply(2));
    cluster.look(N2, { role: "leader", term: 2, vote: N2, last: [3, 2], commit: 1 });
    cluster.store([first(3, 2, 1)], N2, N3);
    cluster.look(N2, { role: "leader", term: 2, vote: N2, last: [3, 2], commit: 3 });
    cluster.look(N1, { term: 2, leader: N2, last: [2, 1] }, 2);
    cluster.store([first(3, 2, 1)], N1);
    cluster.look(N1, { term: 2, leader: N2, last: [3, 2], commit: 3 }, 2);
    cluster.safety.auditCommitted();
    expect(cluster.findings).toEqual([]);
  });

  it("finds two leaders in one term", () => {
    cluster.elect(1, [0, 0]);
    cluster.look(N3, { role: "leader", term: 1, vote: N3 });
    expect(cluster.found).toEqual({
      property: "election-safety",
      facts: ["n1, in its life 1, led term 1", "n3, in its life 1, leads the same term"],
      node: "n3",
    });
  });

  it("finds a node that leads its old term again after a restart", () => {
    cluster.elect(1, [0, 0]);
    cluster.safety.crashed(N1, null);
    cluster.look(N1, { role: "leader", term: 1, vote: N1 }, 2);
    expect(cluster.found?.property).toBe("election-safety");
  });

  it("finds a leader without a quorum of votes", () => {
    cluster.storeVote(N1, 1, N1);
    cluster.look(N1, { role: "candidate", term: 1, vote: N1 });
    cluster.look(N1, { role: "leader", term: 1, vote: N1 });
    expect(cluster.found?.property).toBe("elected-by-quorum");
    expect(cluster.found?.facts).toEqual(["n1 leads term 1 of {n1 n2 n3}", "its votes are n1"]);
  });

  it("counts a candidate's own vote only when it is on its disk", () => {
    cluster.storeVote(N2, 1, N1);
    cluster.promises.sent(N2, N1, voteReply(1));
    cluster.look(N1, { role: "leader", term: 1, vote: N1 });
    expect(cluster.found?.facts[1]).toBe("its votes are n2");
  });

  it("finds a second vote in one term", () => {
    cluster.storeVote(N3, 4, N1);
    cluster.promises.sent(N3, N1, voteReply(4));
    cluster.storeVote(N3, 4, N2);
    cluster.promises.sent(N3, N2, voteReply(4));
    expect(cluster.found).toEqual({
      property: "one-vote-a-term",
      facts: ["in term 4 n3 promised a vote for n1", "in the same term it promised a vote for n2"],
      node: "n3",
    });
  });

  it("finds a vote that was exchanged for another", () => {
    cluster.look(N3, { term: 4, vote: N1 });
    cluster.look(N3, { term: 4, vote: N2 });
    expect(cluster.found?.property).toBe("one-vote-a-term");
    expect(cluster.found?.facts).toEqual(["in term 4 n3 had voted for n1", "its vote is now n2"]);
  });

  it("finds a vote for a log that is behind the voter's", () => {
    cluster.look(N1, { role: "candidate", term: 3, vote: N1, last: [9, 1] });
    cluster.look(N2, { term: 2, last: [5, 2] });
    cluster.look(N2, { term: 3, vote: N1, last: [5, 2] });
    expect(cluster.found?.property).toBe("vote-restriction");
    expect(cluster.found?.facts).toEqual([
      "n2, whose log ends at 5@2, votes in term 3 for n1",
      "the log of n1 ended at 9@1 when it stood",
    ]);
  });

  it("judges a vote by the candidate's last stand in that term, not by one that a crash undid", () => {
    cluster.look(N1, { role: "candidate", term: 3, vote: N1, last: [2, 1] });
    cluster.safety.crashed(N1, null);
    cluster.look(N1, { term: 2, last: [2, 1] }, 2);
    cluster.look(N1, { role: "candidate", term: 3, vote: N1, last: [5, 2] }, 2);
    cluster.look(N2, { term: 2, last: [5, 2] });
    cluster.look(N2, { term: 3, vote: N1, last: [5, 2] });
    expect(cluster.findings).toEqual([]);
  });

  it("finds a leader whose log became shorter", () => {
    cluster.elect(1, [0, 0]);
    cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [4, 1] });
    cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [3, 1] });
    expect(cluster.found?.property).toBe("leader-append-only");
  });

  it("finds a leader that says something else of its log than before", () => {
    twoCommitted();
    cluster.promises.sent(N1, N2, appendRequest(1, [1, 1], []));
    expect(cluster.findings).toEqual([]);
    cluster.promises.sent(N1, N2, appendRequest(1, [1, 0], []));
    expect(cluster.found?.property).toBe("leader-append-only");
    expect(cluster.found?.facts[0]).toBe("the log of the leader of term 1 has 1@1");
  });

  it("finds two different entries of one index and term", () => {
    cluster.store([first(1, 1, 0)], N1);
    cluster.store([{ ...first(1, 1, 0), bodyCrc: 7 }], N2);
    expect(cluster.found?.property).toBe("log-matching");
    expect(cluster.found?.facts[0]).toMatch(
      /^n1 wrote to its disk records 1@1 after term 0, offset 0 x1/,
    );
    expect(cluster.found?.facts[1]).toMatch(/^n2 wrote to its disk .* crc 7,/);
  });

  it("finds a term that begins twice", () => {
    cluster.store([first(1, 1, 0), first(2, 2, 1)], N1);
    cluster.store([first(1, 1, 0), entry(2, 1), first(3, 2, 1)], N2);
    expect(cluster.found?.property).toBe("log-matching");
    expect(cluster.found?.facts[1]).toMatch(
      /another first entry of that term at index 3, after term 1/,
    );
  });

  it("finds an entry that follows one of a later term", () => {
    cluster.store([entry(2, 1, { prevTerm: 2 as Term })], N1);
    expect(cluster.found?.property).toBe("log-matching");
  });

  it("finds an append whose entries do not follow one another", () => {
    cluster.promises.sent(N1, N2, appendRequest(1, [0, 0], [first(1, 1, 0), entry(3, 1)]));
    expect(cluster.found?.property).toBe("log-matching");
    expect(cluster.found?.facts[0]).toBe("n1 sends after 1@1");
  });

  it("finds a new leader without a committed entry", () => {
    twoCommitted();
    cluster.storeVote(N2, 2, N3);
    cluster.storeVote(N3, 2, N3);
    cluster.promises.sent(N2, N3, voteReply(2));
    cluster.look(N3, { role: "leader", term: 2, vote: N3, last: [1, 1] });
    expect(cluster.found?.property).toBe("leader-completeness");
    expect(cluster.found?.facts[0]).toMatch(/^records 2@1 .*committed by n1 in term 1$/);
    expect(cluster.found?.facts[1]).toBe("n3 leads term 2 with a log that ended at index 1");
  });

  it("finds a new leader without a committed entry by its first own one, when it has that already", () => {
    twoCommitted();
    cluster.storeVote(N2, 2, N3);
    cluster.storeVote(N3, 2, N3);
    cluster.promises.sent(N2, N3, voteReply(2));
    cluster.look(N3, { role: "leader", term: 2, vote: N3, last: [2, 2] });
    expect(cluster.findings).toEqual([]);
    cluster.promises.sent(N3, N2, appendRequest(2, [1, 1], [first(2, 2, 1)]));
    expect(cluster.found?.property).toBe("leader-completeness");
  });

  it("lets an old candidate win an old term after a newer leader committed", () => {
    // n1 gets the last vote for term 1 only after n3, with n2, has committed in term 2.
    cluster.storeVote(N1, 1, N1);
    cluster.storeVote(N2, 1, N1);
    cluster.look(N1, { role: "candidate", term: 1, vote: N1 });
    cluster.promises.sent(N2, N1, voteReply(1));
    cluster.storeVote(N2, 2, N3);
    cluster.storeVote(N3, 2, N3);
    cluster.promises.sent(N2, N3, voteReply(2));
    cluster.store([first(1, 2, 0)], N2, N3);
    cluster.look(N3, { role: "leader", term: 2, vote: N3, last: [1, 2] });
    cluster.look(N3, { role: "leader", term: 2, vote: N3, last: [1, 2], commit: 1 });
    cluster.look(N1, { role: "leader", term: 1, vote: N1 });
    expect(cluster.findings).toEqual([]);
  });

  it("finds an entry of an earlier term committed by counting", () => {
    cluster.elect(1, [0, 0]);
    cluster.store([first(1, 1, 0)], N1, N2);
    cluster.elect(2, [1, 1]);
    cluster.look(N1, { role: "leader", term: 2, vote: N1, last: [1, 1], commit: 1 });
    expect(cluster.found?.property).toBe("commit-own-term");
    expect(cluster.found?.facts).toEqual([
      "leading term 2, n1 commits up to 1@1",
      "that entry is of term 1",
    ]);
  });

  it("finds a commit that a power loss could take back", () => {
    cluster.elect(1, [0, 0]);
    cluster.store([first(1, 1, 0)], N1);
    cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [1, 1], commit: 1 });
    expect(cluster.found?.property).toBe("commit-durable-quorum");
    expect(cluster.found?.facts[1]).toBe(
      "after a power loss now only n1 would have that entry; the members are {n1 n2 n3}",
    );
  });

  it("finds a committed entry that too few disks still have", () => {
    twoCommitted();
    cluster.safety.auditCommitted();
    expect(cluster.findings).toEqual([]);
    cluster.lose(N2, 2);
    cluster.safety.auditCommitted();
    expect(cluster.found?.property).toBe("commit-durable-quorum");
    expect(cluster.found?.facts[1]).toBe("after a power loss now only n1 would have it");
  });

  it("finds a follower that takes for committed what no leader committed", () => {
    twoCommitted();
    cluster.store([entry(3, 1)], N1, N2);
    cluster.look(N2, { term: 1, vote: N1, last: [3, 1], commit: 3 });
    expect(cluster.found?.property).toBe("committed-immutable");
    expect(cluster.found?.facts[0]).toBe("no leader has committed anything after index 2");
  });

  it("finds an append that spreads a commitIndex beyond what is committed", () => {
    twoCommitted();
    cluster.promises.sent(N1, N2, appendRequest(1, [2, 1], [], 3));
    expect(cluster.found?.property).toBe("committed-immutable");
  });

  it("lets a slow disk write what has been replaced meanwhile, where nothing is durable yet", () => {
    cluster.store([first(1, 1, 0)], N1, N2, N3);
    cluster.elect(3, [1, 1]);
    cluster.store([first(2, 3, 1)], N1, N2);
    cluster.look(N1, { role: "leader", term: 3, vote: N1, last: [2, 3], commit: 2 });
    const follower = status(N3, { term: 3, leader: N1, last: [2, 3], commit: 2 });
    cluster.safety.observe(N3, 1, { ...follower, durableIndex: 1 as LogIndex });
    cluster.safety.wrote(N3, entry(2, 1));
    expect(cluster.found).toBeNull();
    cluster.safety.observe(N3, 1, follower);
    cluster.safety.wrote(N3, entry(2, 1));
    expect(cluster.found?.property).toBe("committed-immutable");
  });

  it("finds a committed entry that is overwritten", () => {
    twoCommitted();
    cluster.safety.wrote(N1, first(2, 2, 1));
    expect(cluster.found?.property).toBe("committed-immutable");
    expect(cluster.found?.facts[1]).toMatch(/^it overwrites it with records 2@2/);
  });

  it("finds a log that was cut below its commitIndex", () => {
    twoCommitted();
    cluster.look(N1, { term: 2, last: [1, 1], commit: 2 });
    expect(cluster.found?.property).toBe("committed-immutable");
  });

  it("finds a node that takes another entry for committed than the others", () => {
    twoCommitted();
    cluster.store([first(1, 1, 0), first(2, 3, 1)], N3);
    cluster.look(N3, { term: 3, last: [2, 3], commit: 2 });
    expect(cluster.found?.property).toBe("state-machine-safety");
    expect(cluster.found?.facts[1]).toBe(
      "n3 takes for committed its own entry of term 3 at index 2",
    );
  });

  it("finds an offset that does not follow the one before", () => {
    cluster.elect(1, [0, 0]);
    cluster.store([first(1, 1, 0), entry(2, 1, { offset: 5 as never })], N1, N2);
    cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [2, 1], commit: 2 });
    expect(cluster.found?.property).toBe("state-machine-safety");
    expect(cluster.found?.facts[1]).toMatch(/: offset does not follow$/);
  });

  it("finds a batch of a producer that is committed twice, and one that is left out", () => {
    const stamped = (index: number, sequence: number, timestamp = 0) =>
      entry(index, 1, { producerId: 9, sequence, timestamp: timestamp as WallMs });
    const commit = (...entries: ReturnType<typeof stamped>[]) => {
      cluster = new PaperCluster();
      cluster.elect(1, [0, 0]);
      const log = [first(1, 1, 0), ...entries];
      cluster.store(log, N1, N2);
      const last = [log.length, 1] as const;
      cluster.look(N1, { role: "leader", term: 1, vote: N1, last, commit: log.length });
      return cluster.found;
    };
    expect(commit(stamped(2, 0), stamped(3, 1))).toBeNull();
    const twice = commit(stamped(2, 0), stamped(3, 0));
    expect(twice?.property).toBe("duplicate");
    expect(twice?.facts[0]).toBe("producer 9 epoch 0 has committed all sequences below 1");
    expect(commit(stamped(2, 0), stamped(3, 2))?.property).toBe("nonmonotonic-send");
    // Forgotten after an hour of log time, it begins anew.
    expect(commit(stamped(2, 0), stamped(3, 0, PRODUCER_IDLE_MS))).toBeNull();
  });

  it("finds a message that no correct peer sends", () => {
    cluster.look(N1, { term: 3 });
    cluster.look(N1, { term: 3, dropped: "beyond the log" });
    expect(cluster.found?.property).toBe("peers-make-sense");
    expect(cluster.found?.facts[0]).toBe(
      "n1 got a message that no correct peer sends: beyond the log",
    );
  });

  it("finds a commitIndex that went back", () => {
    twoCommitted();
    cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [2, 1], commit: 1 });
    expect(cluster.found?.property).toBe("commit-monotonic");
  });

  it("finds a term that went back, within a life or over a restart", () => {
    cluster.look(N1, { term: 3 });
    cluster.look(N1, { term: 2 });
    expect(cluster.found?.property).toBe("hard-state-monotonic");

    cluster = new PaperCluster();
    cluster.safety.raiseFloor(N1, { term: 3 as Term, votedFor: null }, "stored");
    cluster.safety.crashed(N1, null);
    cluster.look(N1, { term: 2 }, 2);
    expect(cluster.found?.facts).toEqual([
      "n1 stored term 3, vote none",
      "n1 is in term 2, vote none",
    ]);
  });

  it("finds a vote that a restart forgot", () => {
    cluster.safety.raiseFloor(N1, { term: 3 as Term, votedFor: N2 as NodeId }, "promised");
    cluster.safety.crashed(N1, null);
    cluster.look(N1, { term: 3 }, 2);
    expect(cluster.found?.property).toBe("hard-state-monotonic");
    expect(cluster.found?.facts[0]).toBe("n1 promised term 3, vote n2");
  });

  it("finds a restart with entries of a term that the hard state has not reached", () => {
    cluster.store([first(1, 2, 0)], N1);
    cluster.look(N1, { term: 1, last: [1, 2] });
    expect(cluster.found?.property).toBe("hard-state-monotonic");
    expect(cluster.found?.facts[1]).toBe("its log ends in term 2");
  });

  it("finds a truncation that has left something", () => {
    cluster.safety.truncated(N2, "entry 2@3 still stands in f");
    expect(cluster.found?.property).toBe("truncation-final");
  });

  it("finds a restart without entries that were durable", () => {
    cluster.store([first(1, 1, 0), entry(2, 1)], N1);
    cluster.safety.crashed(N1, { index: 2, term: 1 } as never);
    cluster.look(N1, { term: 1, last: [1, 1] }, 2);
    expect(cluster.found?.property).toBe("recovered-log");
    expect(cluster.found?.facts).toEqual([
      "entry 2@1 was durable on the disk of n1 when it went down",
      "n1 starts with a log that ends at 1@1",
    ]);
  });
});

describe("what goes from a disk", () => {
  const at = (index: number, endOffset: number) => {
    return {
      ...LOG_START,
      index: index as LogIndex,
      term: 1 as Term,
      endOffset: endOffset as Offset,
    };
  };

  it("may go up to where a committed trim says, and no further", () => {
    cluster.safety.trimmed(N1, at(8, 20), 20 as Offset);
    expect(cluster.findings).toEqual([]);
    cluster.safety.trimmed(N1, at(9, 21), 20 as Offset);
    expect(cluster.found).toEqual({
      property: "trim-agreed",
      facts: [
        "all that is committed lets go of the records before offset 20",
        "n1 removes records up to offset 21",
      ],
      node: N1,
    });
  });

  it("is found when nothing stands for it", () => {
    cluster.safety.vanished(N2, "a.store", entry(7, 1));
    expect(cluster.found?.property).toBe("trim-covered");
    expect(cluster.found?.facts[0]).toContain("held all up to records 7@1");
  });

  it("may be a log without the snapshot's entry; one with it is found, and a later one", () => {
    cluster.safety.installs(N3, at(9, 20), null, null);
    cluster.safety.installs(N3, at(9, 20), entry(9, 2), at(4, 9));
    expect(cluster.findings).toEqual([]);
    cluster.safety.installs(N3, at(9, 20), entry(9, 1), null);
    cluster.safety.installs(N3, at(9, 20), null, at(9, 20));
    expect(cluster.findings.map(({ property }) => property)).toEqual([
      "snapshot-forward",
      "snapshot-forward",
    ]);
  });
});
