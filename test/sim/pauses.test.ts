// Processes that stand still, and crashes that wait for the worst moment.

import { expect, test } from "vitest";
import type { Moment } from "../../sim/moments.ts";
import type { Computer, Observer, Stage } from "../../sim/observer.ts";
import { type PlanDraft, planOf } from "../../sim/plan.ts";
import { runPlan } from "../../sim/run.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";

const APPENDS = { kind: "append", client: 0, atMs: 500, times: 100, everyMs: 30 } as const;

function planWith(mishaps: PlanDraft["mishaps"], options: PlanDraft["options"] = {}) {
  const draft = { format: 1, seed: "pauses", nodes: 3, operations: [APPENDS], healAtMs: 5000 };
  return planOf({ ...draft, options: { segmentBytesMax: 4096, ...options }, mishaps });
}

/** What a node does between its pause and a while after it, in milliseconds. */
class Stillness implements Observer {
  turnsWhilePaused = 0;
  framesWhilePaused = 0;
  disksWhilePaused = 0;
  /** Of the first turn after the pause: appends that were in the mailbox before it. */
  heardFirst = 0;
  termAtResume = 0;
  #paused: Computer | null = null;
  #resumed: Computer | null = null;

  nodePaused(node: Computer): void {
    this.#paused = node;
  }

  nodeResumed(node: Computer): void {
    this.#paused = null;
    this.#resumed = node;
    this.termAtResume = node.raft?.term ?? 0;
  }

  afterTurn(node: Computer): void {
    if (node === this.#paused) this.turnsWhilePaused++;
    if (node === this.#resumed) this.#resumed = null;
  }

  frameTaken(node: Computer): void {
    if (node === this.#paused) this.framesWhilePaused++;
    if (node === this.#resumed) this.heardFirst++;
  }

  operationCompleted(node: Computer): void {
    if (node === this.#paused) this.disksWhilePaused++;
  }
}

test("a paused follower takes no turn and no mail, and its disk finishes what it was told", () => {
  const still = new Stillness();
  const pause = { kind: "pause", node: 1, atMs: 1502, forMs: 900 } as const;
  const plan = planWith([pause, { kind: "slow-disk", node: 1, atMs: 1400, forMs: 900, times: 50 }]);
  expect(runPlan(plan, [still]).verdict).toBe("pass");
  expect(still.turnsWhilePaused).toBe(0);
  expect(still.framesWhilePaused).toBe(0);
  expect(still.disksWhilePaused).toBeGreaterThan(0);
});

test("a follower that goes on hears the heartbeats it slept through, and disturbs nobody", () => {
  const still = new Stillness();
  const leaders = new Set<string>();
  const watch: Observer = {
    afterTurn: ({ name, raft }) => {
      if (raft?.role === "leader") leaders.add(`${name} ${raft.term}`);
    },
  };
  const pauses = [1500, 2500, 3500].map((atMs) => ({
    kind: "pause" as const,
    node: 1,
    atMs,
    forMs: 600,
  }));
  const stop = { kind: "crash", node: 1, how: "process", atMs: 400, downMs: 300 } as const;
  const report = runPlan(planWith([stop, ...pauses]), [still, watch]);
  expect(report.verdict).toBe("pass");
  expect(report.counts.pauses).toBe(3);
  expect(still.heardFirst).toBeGreaterThan(5);
  expect(leaders.size).toBe(1);
});

test("a leader that slept through an election finds its term over", () => {
  const pause = { kind: "pause", node: "leader", atMs: 1500, forMs: 1200 } as const;
  const report = runPlan(planWith([pause]));
  expect(report.verdict).toBe("pass");
  expect(report.counts.leaders).toBeGreaterThan(1);
});

test("a paused node can die, and its next life is awake", () => {
  const pause = { kind: "pause", node: 1, atMs: 1500, forMs: 1000 } as const;
  const crash = { kind: "crash", node: 1, how: "power", atMs: 1700, downMs: 100 } as const;
  let turnsOfNextLife = 0;
  const watch: Observer = {
    afterTurn: ({ name, life }) => {
      if (name === "n1" && life === 2) turnsOfNextLife++;
    },
  };
  expect(runPlan(planWith([pause, crash]), [watch]).verdict).toBe("pass");
  expect(turnsOfNextLife).toBeGreaterThan(10);
});

/** Sees that the node is where the moment says when it is struck. */
class Struck implements Observer {
  readonly struck: string[] = [];
  readonly facts: boolean[] = [];
  stage: Stage | null = null;
  readonly #votesSent = new Set<string>();

  frameSent(
    from: Computer,
    to: string,
    _lane: unknown,
    _frame: unknown,
    message: RaftMessage | null,
  ): void {
    if (message?.kind === "vote-reply" && !message.preVote)
      this.#votesSent.add(`${from.name} ${to} ${message.term}`);
  }

  momentStruck(node: Computer, moment: Moment): void {
    this.struck.push(moment);
    const { raft } = node;
    if (raft === null) return;
    if (moment === "vote-durable")
      this.facts.push(!this.#votesSent.has(`${node.name} ${raft.votedFor} ${raft.term}`));
    if (moment === "first-commit") this.facts.push(raft.role === "leader");
    if (moment === "truncation") this.facts.push(raft.role === "follower");
    if (moment === "segment-roll") this.facts.push(raft.lastIndex > 1);
  }
}

test.each(["vote-durable", "first-commit", "segment-roll", "truncation"] as const)(
  "a crash that waits for %s falls in that moment",
  (moment) => {
    const watch = new Struck();
    const crash = {
      kind: "crash-at-moment",
      moment,
      how: "power",
      atMs: 1400,
      downMs: 200,
    } as const;
    const side: "leader"[] = ["leader"];
    const unrest = { kind: "partition", side, atMs: 1500, forMs: 900 } as const;
    // A tail of its own that is longer than one append of the next leader.
    const operations = [0, 1, 2, 3, 4, 5].map((client) => ({
      ...APPENDS,
      client,
      producer: false,
    }));
    const plan = { ...planWith([crash, unrest], { appendBytesMax: 300 }), operations };
    const report = runPlan(planOf(plan), [watch]);
    expect(report.verdict).toBe("pass");
    expect(watch.struck).toEqual([moment]);
    expect(watch.facts).toEqual([true]);
    expect(report.counts.moments).toBe(1);
  },
);
