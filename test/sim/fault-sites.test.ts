// Crashes at the fault sites inside a node: each is come to, and of what that turn decided nothing
// is performed: no message, no answer, no operation on the disk.

import { expect, test } from "vitest";

import type { Moment } from "../../sim/moments.ts";
import type { Computer, Observer } from "../../sim/observer.ts";
import { type PlanDraft, planOf } from "../../sim/plan.ts";
import { runPlan } from "../../sim/run.ts";
import type { FaultSite } from "../../src/ports/fault-sites.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";

/** What the struck node had said and done before. */
class Struck implements Observer {
  readonly votes = new Map<string, number[]>();
  node: Computer | null = null;
  term = 0;
  done: string[] = [];
  /** Everything of the node's that is seen in the turn under way. */
  #turn: string[] = [];
  #down = false;

  momentStruck(node: Computer, _moment: Moment): void {
    this.node = node;
    this.term = node.host?.raft()?.term ?? 0;
    this.done = [...this.#turn];
    this.#down = true;
  }

  nodeStarted(node: Computer): void {
    if (node.name === this.node?.name) this.#down = false;
  }

  afterTurn(): void {
    this.#turn = [];
  }

  operationSubmitted(node: Computer): void {
    this.#see(node, "operation");
  }

  answered(node: Computer): void {
    this.#see(node, "answer");
  }

  frameSent(
    from: Computer,
    _to: string,
    _lane: string,
    _frame: Uint8Array,
    message: RaftMessage | null,
  ): void {
    this.#see(from, "frame");
    if (message?.kind !== "vote-reply" || !message.granted || message.preVote) return;
    this.votes.set(from.name, [...(this.votes.get(from.name) ?? []), message.term]);
  }

  #see(node: Computer, what: string): void {
    this.#turn.push(`${node.name} ${what}`);
    if (this.#down && node.name === this.node?.name) expect.unreachable(`${what} after the end`);
  }
}

const SITES: readonly FaultSite[] = [
  "election-won",
  "vote-durable",
  "first-commit",
  "segment-roll",
  "truncation",
  "install",
  "checkpoint",
];

type Crash = Extract<PlanDraft["mishaps"][number], { kind: "crash-at-moment" }>;

/** Everything that brings a site about, and one crash. */
function runWith(crash: Omit<Crash, "kind" | "atMs">, struck: Struck): number {
  const append = { kind: "append", client: 0, times: 200, everyMs: 20, bytes: 300 } as const;
  const trim = { kind: "trim", client: 2, atMs: 1000, times: 20, everyMs: 200, keep: 10 } as const;
  const plan = planOf({
    format: 1,
    seed: "struck",
    nodes: 3,
    options: { segmentBytesMax: 8192 },
    operations: [
      { ...append, atMs: 500 },
      { ...append, client: 1, atMs: 500 },
      // What whoever was cut off lacks is gone: nothing of its own has to be cut then.
      ...(crash.moment === "truncation" ? [] : [trim]),
    ],
    mishaps: [
      { kind: "crash-at-moment", atMs: 1000, ...crash },
      // A leader that is cut off keeps a tail of its own, and another one is elected.
      { kind: "partition", side: ["leader"], atMs: 1500, forMs: 1500 },
    ],
    healAtMs: 4500,
  });
  const report = runPlan(plan, [struck]);
  expect([report.violation, report.verdict]).toEqual([null, "pass"]);
  return report.counts.moments;
}

function strike(site: FaultSite): Struck {
  const struck = new Struck();
  const moments = runWith({ moment: site, seen: "inside", how: "power", downMs: 300 }, struck);
  expect(moments).toBe(1);
  return struck;
}

test.each(SITES)("a node that dies at %s performs nothing of that turn", (site) => {
  const { node, done } = strike(site);
  expect(done.filter((what) => what.startsWith(`${node?.name} `))).toEqual([]);
});

/**
 * An installation makes, writes, syncs and names one file, and there are segments to be removed.
 */
test.each([
  ["install", "process", [2, 5, 9]],
  ["install", "power", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
  ["checkpoint", "power", [1, 2, 3, 4]],
  ["trim", "power", [1, 2]],
] as const)("a node may die after each effect of its %s, by %s: %j", (moment, how, effects) => {
  for (const nth of effects)
    expect(runWith({ moment, nth, how, downMs: 50 }, new Struck())).toBe(1);
});

test("a vote that is durable when its voter dies was not told to anybody", () => {
  const { node, term, votes } = strike("vote-durable");
  expect(term).toBeGreaterThan(1);
  expect(votes.get(node?.name ?? "") ?? []).not.toContain(term);
});
