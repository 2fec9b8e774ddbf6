// Each promise that leaves a node too early is found when it leaves.

import { beforeEach, describe, expect, it } from "vitest";
import type { Answer, ClientRequest } from "../../src/base/client.ts";
import type { LogIndex, Offset, RequestId, Term, WallMs } from "../../src/base/ids.ts";
import {
  appendReply,
  entry,
  first,
  N1,
  N2,
  N3,
  PaperCluster,
  voteReply,
  voteRequest,
} from "./cluster.ts";

const REQUEST = 77 as RequestId;

let cluster: PaperCluster;
beforeEach(() => {
  cluster = new PaperCluster();
});

function twoCommitted() {
  cluster.elect(1, [0, 0]);
  cluster.store([first(1, 1, 0), entry(2, 1)], N1, N2);
  cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [2, 1], commit: 2 });
}

function appended(index: number, offset: number, term = 1): Answer {
  return {
    kind: "appended",
    requestId: REQUEST,
    offset: offset as Offset,
    index: index as LogIndex,
    term: term as Term,
    duplicate: false,
    durableAt: null,
  };
}

function append(count: number, bodyCrc: number): ClientRequest {
  return {
    kind: "append",
    requestId: REQUEST,
    draft: {
      kind: "records",
      codec: 0,
      critical: true,
      count,
      timestamp: 0 as WallMs,
      bodyCrc,
      rawLength: 10,
      producerId: 0,
      epoch: 0,
      sequence: 0,
      bytes: new Uint8Array(0),
    },
    expectedEndOffset: null,
  };
}

describe("a vote", () => {
  it("may leave once it is durable", () => {
    cluster.storeVote(N2, 5, N1);
    cluster.promises.sent(N2, N1, voteReply(5));
    expect(cluster.findings).toEqual([]);
  });

  it("may leave when a later term became durable with it", () => {
    cluster.storeVote(N2, 6, null);
    cluster.promises.sent(N2, N1, voteReply(5));
    expect(cluster.findings).toEqual([]);
  });

  it("is found when it leaves before that", () => {
    cluster.storeVote(N2, 4, N3);
    cluster.promises.sent(N2, N1, voteReply(5));
    expect(cluster.found).toEqual({
      property: "promise-vote",
      facts: ["n2 grants n1 its vote for term 5", "its disk would leave term 4, vote n3"],
      node: "n2",
    });
  });

  it("is found when the durable vote of that term is for another", () => {
    cluster.storeVote(N2, 5, N3);
    cluster.promises.sent(N2, N1, voteReply(5));
    expect(cluster.found?.property).toBe("promise-vote");
  });

  it("that is no more than a pre-vote promises nothing", () => {
    cluster.promises.sent(N2, N1, { ...voteReply(5), preVote: true });
    cluster.promises.sent(N2, N1, { ...voteRequest(5), preVote: true });
    cluster.promises.sent(N2, N1, { ...voteReply(5), granted: false });
    expect(cluster.findings).toEqual([]);
  });
});

describe("a candidacy", () => {
  it("is found when the candidate's own vote is not durable", () => {
    cluster.storeVote(N1, 4, null);
    cluster.promises.sent(N1, N2, voteRequest(5));
    expect(cluster.found?.property).toBe("promise-candidacy");
    expect(cluster.found?.facts).toEqual([
      "n1 asks for votes in term 5",
      "its disk would leave term 4, vote none",
    ]);
  });

  it("may be told once it is", () => {
    cluster.storeVote(N1, 5, N1);
    cluster.promises.sent(N1, N2, voteRequest(5));
    expect(cluster.findings).toEqual([]);
  });
});

describe("a confirmation of an append", () => {
  beforeEach(() => {
    cluster.elect(1, [0, 0]);
    cluster.store([first(1, 1, 0), entry(2, 1)], N1);
  });

  it("may leave once the entries are durable", () => {
    cluster.store([first(1, 1, 0), entry(2, 1)], N2);
    cluster.promises.sent(N2, N1, appendReply(1, 2));
    expect(cluster.findings).toEqual([]);
  });

  it("is found when an entry is not", () => {
    cluster.store([first(1, 1, 0)], N2);
    cluster.promises.sent(N2, N1, appendReply(1, 2));
    expect(cluster.found).toEqual({
      property: "promise-append",
      facts: [
        "n2 confirms to the leader of term 1 all entries up to 2",
        "its disk would keep no entry 2 through a power loss",
      ],
      node: "n2",
    });
  });

  it("is found when the durable entry is another than the leader's", () => {
    cluster.store([first(1, 1, 0)], N3);
    cluster.elect(3, [2, 1]);
    cluster.storeVote(N3, 3, null);
    cluster.store([first(3, 3, 1)], N1);
    cluster.store([first(2, 2, 1)], N3);
    cluster.promises.sent(N3, N1, appendReply(3, 2));
    expect(cluster.found?.property).toBe("promise-append");
    expect(cluster.found?.facts[1]).toBe("its disk has 2@2, the leader 2@1");
  });

  it("is found when the term itself is not durable", () => {
    cluster.store([first(1, 1, 0)], N3);
    cluster.promises.sent(N3, N1, appendReply(1, 1));
    expect(cluster.found?.facts[1]).toBe("its disk would leave term 0 only");
  });

  it("that is a refusal promises nothing", () => {
    const conflict = { prevIndex: 5, hintIndex: 1, hintTerm: 1 } as never;
    cluster.promises.sent(N3, N1, { ...appendReply(1, 5), conflict });
    expect(cluster.findings).toEqual([]);
  });
});

describe("an answer", () => {
  it("may acknowledge what is committed on a quorum of disks", () => {
    twoCommitted();
    cluster.promises.asked(N1, append(1, 2001));
    cluster.promises.answered(N1, appended(2, 1));
    expect(cluster.findings).toEqual([]);
  });

  it("is found when it acknowledges what is not committed", () => {
    twoCommitted();
    cluster.store([entry(3, 1)], N1);
    cluster.promises.answered(N1, appended(3, 2));
    expect(cluster.found?.property).toBe("promise-answer");
    expect(cluster.found?.facts[1]).toBe("nothing is committed at index 3");
  });

  it("is found when it names another offset, or another term", () => {
    twoCommitted();
    cluster.promises.answered(N1, appended(2, 5));
    expect(cluster.found?.property).toBe("promise-answer");
    cluster.findings.length = 0;
    cluster.promises.answered(N1, appended(2, 1, 9));
    expect(cluster.found?.property).toBe("promise-answer");
  });

  it("is found when the committed entry is another than was sent", () => {
    twoCommitted();
    cluster.promises.asked(N1, append(1, 4711));
    cluster.promises.answered(N1, appended(2, 1));
    expect(cluster.found?.facts[0]).toMatch(
      /^the append was of 1 records with crc 1267; n1 acknowledges/,
    );
  });

  it("is found when too few disks have the entry by now", () => {
    twoCommitted();
    cluster.lose(N1, 2);
    cluster.promises.answered(N1, appended(2, 1));
    expect(cluster.found?.facts[1]).toBe("after a power loss now only n2 would have it");
  });

  it("is found when it brings records that are not committed, or others than are", () => {
    twoCommitted();
    const fetched = (read: ReturnType<typeof entry>, endOffset: number): Answer => {
      return {
        kind: "fetched",
        requestId: REQUEST,
        entries: [read],
        endOffset: endOffset as Offset,
      };
    };
    cluster.promises.answered(N2, fetched(entry(2, 1), 2));
    expect(cluster.findings).toEqual([]);
    cluster.promises.answered(N2, fetched(entry(3, 1), 2));
    expect(cluster.found?.property).toBe("precommitted-read");
    cluster.findings.length = 0;
    cluster.promises.answered(N2, fetched({ ...entry(2, 1), bodyCrc: 1 }, 2));
    expect(cluster.found?.property).toBe("inconsistent-offsets");
    cluster.findings.length = 0;
    cluster.promises.answered(N2, fetched(entry(2, 1), 3));
    expect(cluster.found?.facts[0]).toBe("n2 tells a reader that its log ends at offset 3");
  });

  it("is found when it tells an end that was past when it was asked for, or that is not yet", () => {
    const tail = (endOffset: number): Answer => {
      return { kind: "tail", requestId: REQUEST, endOffset: endOffset as Offset };
    };
    cluster.promises.asked(N1, { kind: "check-tail", requestId: REQUEST });
    twoCommitted();
    cluster.promises.answered(N1, tail(1));
    expect(cluster.findings).toEqual([]);
    cluster.promises.asked(N1, { kind: "check-tail", requestId: REQUEST });
    cluster.promises.answered(N1, tail(1));
    expect(cluster.found).toEqual({
      property: "stale-read",
      facts: [
        "when it was asked, all up to offset 2 was committed",
        "n1 tells a client that the log ends at offset 1",
      ],
      node: "n1",
    });
    cluster.findings.length = 0;
    cluster.promises.asked(N1, { kind: "check-tail", requestId: REQUEST });
    cluster.promises.answered(N1, tail(3));
    expect(cluster.found?.property).toBe("precommitted-read");
  });
});

describe("a read of a log that was trimmed", () => {
  const [from, startOffset, endOffset] = [1, 2, 2].map((offset) => offset as Offset);

  function fetchFrom(offset: number, wait = false): ClientRequest {
    const bytesMax = 100;
    return { kind: "fetch", requestId: REQUEST, from: offset as Offset, bytesMax, wait };
  }

  function outOfRange(offset: number): Answer {
    const bounds = { startOffset: startOffset as Offset, endOffset: endOffset as Offset };
    const fault = { code: "offset-out-of-range", offset, ...bounds } as const;
    return { kind: "fault", requestId: REQUEST, fault };
  }

  /** Entries 1 to 4, of which the third trims the first two records, all committed by n1. */
  function trimmed() {
    const control = { kind: "trim", startOffset: startOffset as Offset } as const;
    const trim = entry(3, 1, { kind: "trim", count: 0, offset: 2 as Offset, control });
    const last = entry(4, 1, { offset: 2 as Offset });
    cluster.elect(1, [0, 0]);
    cluster.store([first(1, 1, 0), entry(2, 1), trim, last], N1, N2);
    cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [4, 1], commit: 4 });
  }

  it("may be refused below the start, and at the end", () => {
    trimmed();
    cluster.promises.asked(N1, fetchFrom(1));
    cluster.promises.answered(N1, outOfRange(1));
    cluster.promises.asked(N1, fetchFrom(3));
    cluster.promises.answered(N1, outOfRange(3));
    cluster.promises.asked(N1, fetchFrom(4, true));
    cluster.promises.answered(N1, outOfRange(4));
    expect(cluster.findings).toEqual([]);
  });

  it("is found when it is answered below the start", () => {
    trimmed();
    cluster.promises.asked(N1, fetchFrom(from as Offset));
    const entries = [entry(2, 1)];
    const answer = {
      kind: "fetched",
      requestId: REQUEST,
      entries,
      endOffset: 3 as Offset,
    } as const;
    cluster.promises.answered(N1, answer);
    expect(cluster.found).toEqual({
      property: "trimmed-read",
      facts: [
        "when n1 was asked, the log there began at offset 2",
        "it answers a read from offset 1 with records",
      ],
      node: N1,
    });
  });

  it("may be answered when it was asked before the trim", () => {
    cluster.elect(1, [0, 0]);
    cluster.store([first(1, 1, 0), entry(2, 1)], N1, N2);
    cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [2, 1], commit: 2 });
    cluster.promises.asked(N1, fetchFrom(1));
    const control = { kind: "trim", startOffset: startOffset as Offset } as const;
    cluster.store([entry(3, 1, { kind: "trim", count: 0, control })], N1, N2);
    cluster.look(N1, { role: "leader", term: 1, vote: N1, last: [3, 1], commit: 3 });
    const entries = [entry(2, 1)];
    const answer = {
      kind: "fetched",
      requestId: REQUEST,
      entries,
      endOffset: 2 as Offset,
    } as const;
    cluster.promises.answered(N1, answer);
    expect(cluster.findings).toEqual([]);
  });

  it("is found when it is refused although the records are there", () => {
    trimmed();
    cluster.promises.asked(N1, fetchFrom(2));
    cluster.promises.answered(N1, outOfRange(2));
    expect(cluster.found?.property).toBe("trimmed-read");
    expect(cluster.found?.facts).toEqual([
      "the log has the records from 2, n1 those to 3",
      "n1 says that offset 2 is out of range (its log: 2 to 2)",
    ]);
  });

  it("may be refused by a node that does not know yet how much all let go of", () => {
    trimmed();
    cluster.look(N2, { term: 1, vote: N1, last: [4, 1], commit: 2 });
    cluster.promises.asked(N2, fetchFrom(1));
    cluster.promises.answered(N2, outOfRange(1));
    expect(cluster.findings).toEqual([]);
  });
});
