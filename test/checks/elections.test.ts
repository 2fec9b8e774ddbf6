// Who is loyal to whom, who still leads, who entered which term: each breach is found, and what
// only looks like one is not.

import { beforeEach, describe, expect, it } from "vitest";
import { Elections } from "../../sim/checks/elections.ts";
import type { Finding } from "../../sim/checks/violation.ts";
import type { Computer } from "../../sim/observer.ts";
import { planOf } from "../../sim/plan.ts";
import type { NodeId } from "../../src/base/ids.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";
import {
  appendReply,
  appendRequest,
  entry,
  N1,
  N2,
  N3,
  status,
  voteReply,
  voteRequest,
} from "./cluster.ts";

const PLAN = planOf({
  format: 1,
  seed: "elections",
  nodes: 3,
  options: {
    electionTimeoutMinMs: 200,
    electionTimeoutMaxMs: 400,
    mailboxEventsMax: 4,
    turnEventsMax: 1,
  },
  operations: [],
  mishaps: [],
  healAtMs: 0,
});
const ms = (count: number) => count * 1000;

let findings: Finding[];
let elections: Elections;

beforeEach(() => {
  findings = [];
  elections = new Elections(PLAN, (finding) => void findings.push(finding));
});

/** A node that is nothing but its status. */
function node(name: NodeId, words: Parameters<typeof status>[1]): Computer {
  const host = { status: () => ({ state: "serving" }) };
  return { name, raft: status(name, words), host } as unknown as Computer;
}

const heartbeat = (term: number) => appendRequest(term, [0, 0], [], 0);
const preVote = (term: number): RaftMessage => ({ ...voteRequest(term), preVote: true });
const preGrant = (term: number): RaftMessage => ({ ...voteReply(term), preVote: true });

describe("a follower", () => {
  const follower = node(N2, { term: 3, leader: N1 });

  /** Hears its leader, is asked for a vote `askedMs` later, and gives it at once. */
  function grants(askedMs: number, request: RaftMessage = preVote(4)): void {
    elections.afterTurn(follower, 0);
    elections.taken(follower, N1, heartbeat(3), ms(10));
    elections.taken(follower, N3, request, ms(10 + askedMs));
    elections.sent(follower, N3, preGrant(4), ms(10 + askedMs));
  }

  it("is found when it gives its vote although it has just heard its leader", () => {
    grants(50);
    expect(findings).toEqual([
      {
        property: "leader-loyalty",
        facts: [
          "50000 us ago the leader of term 3 was heard by n2",
          "n2 gives n3 its pre-vote for term 4",
        ],
        node: N2,
      },
    ]);
  });

  it("may give it when that was long ago", () => {
    grants(150);
    expect(findings).toEqual([]);
  });

  it("may give it to whom the leader itself has sent", () => {
    grants(50, { ...preVote(4), transfer: true } as RaftMessage);
    expect(findings).toEqual([]);
  });

  it("may give it when it was asked before it heard the leader", () => {
    elections.afterTurn(follower, 0);
    elections.taken(follower, N3, preVote(4), ms(10));
    elections.taken(follower, N1, heartbeat(3), ms(11));
    elections.sent(follower, N3, preGrant(4), ms(12));
    expect(findings).toEqual([]);
  });

  it("may give it when it has heard of a later term since", () => {
    elections.afterTurn(follower, 0);
    elections.taken(follower, N1, heartbeat(3), ms(10));
    elections.taken(follower, N3, appendReply(4, 0), ms(11));
    elections.taken(follower, N3, preVote(5), ms(12));
    elections.sent(follower, N3, preGrant(5), ms(12));
    expect(findings).toEqual([]);
  });

  it("owes nothing to whoever led in an earlier life of its own", () => {
    elections.afterTurn(follower, 0);
    elections.taken(follower, N1, heartbeat(3), ms(10));
    elections.wentDown(N2);
    elections.taken(follower, N3, preVote(4), ms(20));
    elections.sent(follower, N3, preGrant(4), ms(20));
    expect(findings).toEqual([]);
  });
});

describe("a leader", () => {
  const leader = node(N1, { role: "leader", term: 3, vote: N1, leader: N1 });

  it("is found when it leads on although no quorum has answered it", () => {
    for (let at = 0; at <= 900; at += 100) elections.afterTurn(leader, ms(at));
    expect(findings[0]).toEqual({
      property: "leader-has-quorum",
      facts: [
        "no quorum has answered n1 in term 3 for 900000 us",
        "n1 still leads that term; 800000 us are enough to notice",
      ],
      node: N1,
    });
  });

  it("may lead as long as one of two others answers", () => {
    for (let at = 0; at <= 3000; at += 100) {
      elections.taken(leader, N3, appendReply(3, 0), ms(at));
      elections.afterTurn(leader, ms(at));
    }
    expect(findings).toEqual([]);
  });

  it("is not helped by answers of another term", () => {
    for (let at = 0; at <= 900; at += 100) {
      elections.taken(leader, N3, appendReply(2, 0), ms(at));
      elections.afterTurn(leader, ms(at));
    }
    expect(findings[0]?.property).toBe("leader-has-quorum");
  });

  it("has time to hear its mail after it stood still", () => {
    elections.afterTurn(leader, 0);
    elections.afterTurn(leader, ms(1));
    elections.resumed(N1, ms(5000));
    elections.afterTurn(leader, ms(5001));
    expect(findings).toEqual([]);
  });
});

describe("whoever hears of a later term", () => {
  const leader = node(N1, { role: "leader", term: 3, vote: N1, leader: N1 });

  /** So many turns after an answer from term 5 came. */
  function turns(count: number): void {
    for (let left = count; left > 0; left--) elections.afterTurn(leader, ms(1));
  }

  it("is found when it does not enter it once all its mail is heard", () => {
    elections.taken(leader, N3, appendReply(5, 0), 0);
    turns(11);
    expect(findings).toEqual([]);
    turns(1);
    expect(findings).toEqual([
      {
        property: "term-adopted",
        facts: [
          "an append-reply of n3, of term 5, came into the mailbox of n1",
          "n1 is still in term 3",
        ],
        node: N1,
      },
    ]);
  });

  it("is not asked to believe a candidate's wish, or a pre-vote that was granted", () => {
    elections.taken(leader, N3, voteRequest(5), 0);
    elections.taken(leader, N3, preGrant(5), 0);
    turns(100);
    expect(findings).toEqual([]);
  });

  it("need not have heard it when the connection was made anew", () => {
    elections.taken(leader, N3, appendRequest(5, [0, 0], [entry(1, 5)], 0), 0);
    elections.taken(leader, N3, null, 0);
    turns(100);
    elections.taken(leader, N3, null, 0);
    elections.taken(leader, N3, appendReply(5, 0), 0);
    turns(100);
    expect(findings).toEqual([]);
  });
});
