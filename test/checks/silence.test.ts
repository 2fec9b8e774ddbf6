// Nodes whose disk failed must fall silent, and nodes must hear their mail before time passes: each
// breach is found, and what only looks like one is not.

import { beforeEach, describe, expect, it } from "vitest";
import { Patience } from "../../sim/checks/patience.ts";
import { Silence } from "../../sim/checks/silence.ts";
import type { Finding } from "../../sim/checks/violation.ts";
import type { Computer } from "../../sim/observer.ts";
import type { DiskOperation, DiskResult } from "../../src/base/disk.ts";
import type { Instant, Offset, RequestId, Term } from "../../src/base/ids.ts";
import { appendReply, appendRequest, N1, N2, status, voteRequest } from "./cluster.ts";

let findings: Finding[];
const report = (finding: Finding) => void findings.push(finding);
beforeEach(() => {
  findings = [];
});

const SYNC = { kind: "sync", file: "a.store" } as DiskOperation;
const READ = { kind: "read-at", file: "a.store" } as DiskOperation;
const REFUSED = { kind: "failed", code: "EIO", message: "" } as DiskResult;

describe("a node whose disk refused a change", () => {
  let state: string;
  let silence: Silence;
  const node = { name: N1, life: 1, host: { status: () => ({ state }) } } as unknown as Computer;
  const turns = (count: number) => {
    for (let left = count; left > 0; left--) silence.afterTurn(node);
  };

  beforeEach(() => {
    state = "serving";
    silence = new Silence(report);
    silence.completed(node, SYNC, REFUSED);
  });

  it("may say nothing to a peer or an appender once it has given up", () => {
    state = "poisoned";
    turns(1);
    silence.sent(node, N2, appendReply(3, 7));
    const answer = { requestId: 1 as RequestId, endOffset: 4 as Offset };
    silence.answered(node, { kind: "tail", ...answer });
    expect(findings.map(({ property, facts }) => [property, facts[1]])).toEqual([
      ["poison-silent", "it sends n2 an append-reply of term 3"],
      ["poison-silent", "it says the log ends at 4"],
    ]);
  });

  it("is found when it still serves long after", () => {
    turns(63);
    expect(findings).toEqual([]);
    turns(1);
    expect(findings[0]?.facts).toEqual([
      "its disk refused: sync",
      "n1 still serves 64 turns later",
    ]);
  });

  describe("because it is full", () => {
    const of = (kind: string, file: string) => ({ kind, file }) as DiskOperation;
    const refused = (code: string) => ({ kind: "failed", code, message: "" }) as DiskResult;

    beforeEach(() => {
      silence = new Silence(report);
      silence.completed(node, of("create", "b.store"), refused("ENOSPC"));
    });

    it("owes nothing for what it does with the file that could not be made", () => {
      silence.completed(node, of("write-at", "b.store"), refused("ENOENT"));
      silence.completed(node, of("sync", "b.store"), refused("ENOENT"));
      turns(64);
      expect(findings).toEqual([]);
    });

    it("must give up when another file is not there, or that one later, or in another life", () => {
      silence.completed(node, of("write-at", "c.store"), refused("ENOENT"));
      turns(64);
      expect(findings.map(({ facts }) => facts[0])).toEqual(["its disk refused: write-at"]);
      silence = new Silence(report);
      silence.completed(node, of("create", "b.store"), refused("ENOSPC"));
      silence.completed(node, of("create", "b.store"), { kind: "done" });
      silence.completed(node, of("sync", "b.store"), refused("ENOENT"));
      turns(64);
      expect(findings.at(-1)?.facts[0]).toBe("its disk refused: sync");
      silence = new Silence(report);
      silence.completed(
        { ...node, life: 0 } as Computer,
        of("create", "b.store"),
        refused("ENOSPC"),
      );
      silence.completed(node, of("unlink", "b.store"), refused("ENOENT"));
      turns(64);
      expect(findings.at(-1)?.facts[0]).toBe("its disk refused: unlink");
    });
  });

  it("owes nothing in its next life, and nothing for a read that failed", () => {
    state = "poisoned";
    turns(1);
    silence.sent({ ...node, life: 2 } as Computer, N2, appendReply(3, 7));
    silence = new Silence(report);
    silence.completed(node, READ, REFUSED);
    turns(1);
    silence.sent(node, N2, appendReply(3, 7));
    expect(findings).toEqual([]);
  });
});

describe("a follower", () => {
  const settled = { term: 3 as Term, votedFor: null };
  const node = { name: N2, raft: status(N2, { term: 3, leader: N1 }) } as unknown as Computer;
  const at = (ms: number) => (ms * 1000) as Instant;

  /** Has its leader's append in the mailbox, and asks for pre-votes so much later. */
  function asks(afterMs: number, prepare: (patience: Patience) => void = () => undefined): void {
    const patience = new Patience({ electionTimeoutMinMs: 200, lostLeaderDivisor: 1 }, report);
    patience.afterTurn(node, settled);
    patience.taken(node, N1, appendRequest(3, [0, 0], []), at(10));
    prepare(patience);
    patience.sent(node, { ...voteRequest(4), preVote: true }, at(10 + afterMs));
  }

  it("is found when it stands although its leader's append is in its mailbox", () => {
    asks(99);
    expect(findings[0]).toMatchObject({ property: "mail-before-time", node: N2 });
  });

  it("may stand when it has heard nobody for long", () => {
    asks(100);
    expect(findings).toEqual([]);
  });

  it("may send what it held back until its hard state was durable", () => {
    asks(50, (patience) => patience.afterTurn(node, { ...settled, term: 2 as Term }));
    expect(findings).toEqual([]);
  });

  it("has heard nobody in a new life", () => {
    asks(50, (patience) => patience.wentDown(N2));
    expect(findings).toEqual([]);
  });
});
