// A cluster at rest, and the bounds of what a node holds: what is too much is found, what is as it
// should be is not.

import { beforeEach, describe, expect, it } from "vitest";
import { Bounds } from "../../sim/checks/bounds.ts";
import { Rest } from "../../sim/checks/rest.ts";
import type { Finding } from "../../sim/checks/violation.ts";
import type { Computer, Stage } from "../../sim/observer.ts";
import { planOf } from "../../sim/plan.ts";
import { Mailbox } from "../../src/node/mailbox.ts";
import { N1, N2, N3, status } from "./cluster.ts";

const PLAN = planOf({
  format: 1,
  seed: "rest",
  nodes: 3,
  options: {
    heartbeatIntervalMs: 50,
    mailboxEventsMax: 16,
    appendsInFlightMax: 2,
    cacheBytesMax: 100,
  },
  operations: [],
  mishaps: [],
  healAtMs: 0,
});

let findings: Finding[];
const report = (finding: Finding) => void findings.push(finding);
beforeEach(() => {
  findings = [];
});

describe("a cluster at rest", () => {
  let now: number;
  let nodes: { raft: Computer["raft"]; isOutside: boolean; name: Computer["name"] }[];
  let rest: Rest;

  beforeEach(() => {
    now = 0;
    nodes = [N1, N2, N3].map((name) => ({
      name,
      raft: status(name, { term: 4 }),
      isOutside: false,
      gossip: null,
    }));
    const stage = { plan: PLAN, nodes } as unknown as Stage;
    rest = new Rest(Object.defineProperty(stage, "now", { get: () => now }), report);
  });

  /** For a second each node sends and turns so often. */
  function second(frames: number, turns: number): void {
    rest.recovered();
    for (const node of nodes as unknown as Computer[]) {
      for (let left = frames; left > 0; left--) rest.sent(node);
      for (let left = turns; left > 0; left--) rest.afterTurn(node);
    }
    now = 1_000_000;
    rest.atEnd();
  }

  it("may send heartbeats and their answers", () => {
    second(80, 200);
    expect(findings).toEqual([]);
  });

  it("is found when it sends without end", () => {
    second(461, 461);
    expect(findings[0]).toEqual({
      property: "quiet-when-idle",
      facts: ["nobody asked n1 anything for 1000 ms: 460 frames are enough", "it took 461 frames"],
      node: N1,
    });
  });

  it("is found when it turns without end and says nothing", () => {
    second(0, 781);
    expect(findings[0]?.facts[1]).toBe("it took 781 turns");
  });

  it("is found when its term goes on", () => {
    rest.recovered();
    const [n1] = nodes as unknown as [Computer & { raft: Computer["raft"] }];
    rest.afterTurn(n1);
    rest.afterTurn({ ...n1, raft: status(N1, { term: 5 }) });
    expect(findings[0]).toMatchObject({ property: "stable-when-healed", node: N1 });
  });

  it("may elect another where one whose disk hangs leads: that one has to give way", () => {
    const [n1, n2] = nodes as unknown as { raft: Computer["raft"]; isOutside: boolean }[];
    if (n2 !== undefined) {
      n2.raft = status(N2, { role: "leader", term: 4 });
      n2.isOutside = true;
    }
    rest.recovered();
    rest.afterTurn({ ...n1, raft: status(N1, { term: 5 }) } as unknown as Computer);
    expect(findings).toEqual([]);
  });

  it("is not asked about nodes that have failed for ever", () => {
    for (const node of nodes) node.isOutside = true;
    second(9999, 9999);
    expect(findings).toEqual([]);
  });

  it("is not asked before it has recovered", () => {
    rest.afterTurn({ ...nodes[0], raft: status(N1, { term: 9 }) } as unknown as Computer);
    rest.atEnd();
    expect(findings).toEqual([]);
  });
});

describe("a node", () => {
  /** Two appends, and as much as one entry may be. */
  const BYTES = 2 * PLAN.options.appendBytesMax + PLAN.options.batchBytesMax + 96;

  /** Looked at often enough for every turn to count once. */
  function holding(held: {
    mail?: object;
    inFlight?: number;
    bytesInFlight?: number;
    cached?: number;
    durable?: number;
  }): void {
    const { mail = {}, inFlight = 0, bytesInFlight = 0, cached = 0, durable = 5 } = held;
    const peer = { peer: N2, inFlight, bytesInFlight };
    const raft = { ...status(N1, { role: "leader", term: 1 }), peers: [peer] };
    const log = { state: "open", end: { index: 5 }, durableIndex: durable, cachedBytes: cached };
    const looks = { raft: () => raft, log: () => log };
    const host = { ...looks, mail: () => ({ ...new Mailbox(1).sizes(), ...mail }) };
    const bounds = new Bounds(PLAN, report);
    for (let left = 7; left > 0; left--)
      bounds.afterTurn({ name: N1, host } as unknown as Computer);
  }

  it("may hold as much as its options say", () => {
    holding({ mail: { "peer-control": 16 }, inFlight: 2, bytesInFlight: BYTES, cached: 100 });
    expect(findings).toEqual([]);
  });

  it.each([
    [{ mail: { "peer-control": 17 } }, "n1 may hold 16 mail of class peer-control"],
    [{ inFlight: 3 }, "n1 may hold 2 appends on their way to n2"],
    [{ bytesInFlight: BYTES + 1 }, `n1 may hold ${BYTES} bytes of appends on their way to n2`],
    [{ cached: 101 }, "n1 may hold 100 bytes of durable frames in memory"],
  ])("is found with more: %j", (held, fact) => {
    holding(held);
    expect(findings.map(({ property, facts }) => [property, facts[0]])).toEqual([
      ["bounded", fact],
    ]);
  });

  it("must keep what is not durable, and hear of each disk operation", () => {
    holding({ cached: 9999, durable: 4, mail: { disk: 99 } });
    expect(findings).toEqual([]);
  });
});
