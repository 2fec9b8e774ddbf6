// The named dangers of scenarios/: each plan passes, and each danger really occurred on the way. A
// scenario whose danger no longer occurs shows nothing, so it fails here.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import type { Call } from "../../sim/history.ts";
import type { Computer, Observer, Stage } from "../../sim/observer.ts";
import { decodePlan, type Plan } from "../../sim/plan.ts";
import { type RunReport, runPlan } from "../../sim/run.ts";
import { concat } from "../../src/base/bytes.ts";
import type { DiskOperation } from "../../src/base/disk.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import type { Notice } from "../../src/base/notice.ts";
import { HARD_STATE_FILE } from "../../src/log/file-names.ts";
import { decodeFrame, FRAME_LIMITS, paddedLength } from "../../src/log/frame.ts";

const DIRECTORY = new URL("../../scenarios/", import.meta.url);

/** Counts the moments that the scenarios are about. */
class Dangers implements Observer {
  /** Turns of a node that led while another led a later term, with a tail of its own. */
  staleTails = 0;
  /** Turns of a leader whose commit was ahead of its own disk. */
  commitsAheadOfDisk = 0;
  /** Power losses of a node with a hard state written or on its way, and not synced. */
  votesInDoubt = 0;
  /** Nodes that wrote another entry over one that was in their log. */
  readonly replacers = new Set<string>();
  /** Appends acknowledged while paths were cut. */
  ackedWhileCut = 0;
  maxTermWhileCut = 0;
  termAtCut = 0;
  /** Reads answered with the place of the damage. */
  damagedReads = 0;
  /** Nodes that had lost durable entries and have them again. */
  mended = 0;
  /** Turns of a leader whose disk had no room left. */
  fullLeaders = 0;
  /** Appends refused because a disk is full. */
  refusedForRoom = 0;
  /** Leaders that gave up because their disk failed. */
  poisonedLeaders = 0;
  readonly #ledLast = new Set<string>();
  /** Stores that other nodes let go of while a node installed a snapshot. */
  trimsWhileInstalling = 0;
  readonly #installing = new Set<string>();
  /** Where backups that were read to their end began, and those that were not. */
  readonly pinnedBases = new Set<number>();
  backupsGivenUp = 0;
  /** Starts that found fewer nodes up than a quorum. */
  blackouts = 0;
  #stage: Stage | null = null;
  #cuts = 0;
  readonly #unsyncedVotes = new Set<string>();
  /** Terms by node and index. */
  readonly #written = new Map<string, number>();

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  afterTurn(node: Computer): void {
    const { raft } = node;
    if (raft?.role === "leader") this.#ledLast.add(node.name);
    else if (this.#ledLast.delete(node.name) && node.host?.status().state === "poisoned")
      this.poisonedLeaders++;
    if (raft === null || this.#stage === null) return;
    if (this.#cuts > 0) this.maxTermWhileCut = Math.max(this.maxTermWhileCut, raft.term);
    if (raft.role !== "leader") return;
    if (raft.commitIndex > raft.durableIndex) this.commitsAheadOfDisk++;
    if (node.host?.log().room === "full") this.fullLeaders++;
    const hasNewer = this.#stage.nodes.some(
      (other) => other.raft?.role === "leader" && other.raft.term > raft.term,
    );
    if (hasNewer && raft.lastIndex > raft.commitIndex) this.staleTails++;
  }

  operationSubmitted(node: Computer, operation: DiskOperation): void {
    if (operation.kind !== "write-at") return;
    if (operation.file === HARD_STATE_FILE) this.#unsyncedVotes.add(node.name);
    else for (const entry of entriesIn(concat(operation.parts))) this.#wrote(node, entry);
  }

  #wrote(node: Computer, { kind, index, term }: EntryHead): void {
    if (kind === "marker") return;
    const place = `${node.name} ${index}`;
    if ((this.#written.get(place) ?? term) !== term) this.replacers.add(node.name);
    this.#written.set(place, term);
  }

  operationCompleted(node: Computer, operation: DiskOperation): void {
    if (operation.kind === "create" && operation.file.endsWith(".incoming"))
      this.#installing.add(node.name);
    if (operation.kind === "rename" && operation.from.endsWith(".install"))
      this.#installing.delete(node.name);
    const isOther = this.#installing.size > 0 && !this.#installing.has(node.name);
    if (isOther && operation.kind === "unlink" && operation.file.endsWith(".store"))
      this.trimsWhileInstalling++;
    if (operation.kind === "sync" && operation.file === HARD_STATE_FILE)
      this.#unsyncedVotes.delete(node.name);
  }

  nodeCrashed(node: Computer, kind: string): void {
    if (this.#unsyncedVotes.delete(node.name) && kind === "power") this.votesInDoubt++;
    if (this.#stage?.nodes.every(({ host }) => host === null)) this.blackouts++;
  }

  noticed(_node: Computer, { what }: Notice): void {
    if (what === "log-mended") this.mended++;
  }

  pathsCut(): void {
    this.#cuts++;
    this.termAtCut = Math.max(0, ...(this.#stage?.nodes ?? []).map(({ raft }) => raft?.term ?? 0));
  }

  pathsMended(): void {
    this.#cuts--;
  }

  returned(call: Call): void {
    if (call.facts?.kind === "fault" && call.facts.code === "damaged") this.damagedReads++;
    if (call.facts?.kind === "fault" && call.facts.code === "disk-full") this.refusedForRoom++;
    if (this.#cuts > 0 && call.question.kind === "append" && call.outcome === "ok")
      this.ackedWhileCut++;
    if (call.facts?.kind === "backup") this.pinnedBases.add(call.facts.base?.at.index ?? 0);
    else if (call.question.kind === "backup") this.backupsGivenUp++;
  }
}

/** Whether the cluster serves while paths are cut: an availability check, fault by fault. */
class Serving implements Observer {
  /** Of one fault: milliseconds from its begin, or the last ack, to the next ack or its end. */
  readonly gapsMs: number[] = [];
  /** Of one fault: terms in which somebody led. */
  readonly termsLed: number[] = [];
  /** Whoever led in the highest term when the first path was cut. */
  leaderAtCut: string | null = null;
  /** At each end of a cut: acknowledged appends since the one before. */
  readonly ackedUntilMend: number[] = [];
  /** Milliseconds from each end of a cut to the next acknowledged append. */
  readonly ackAfterMendMs: number[] = [];
  #acked = 0;
  #mendedAt: number | null = null;
  #stage: Stage | null = null;
  #cuts = 0;
  #since = 0;
  #longest = 0;
  #terms = new Set<number>();

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  pathsCut(): void {
    if (this.#cuts++ > 0) return;
    this.leaderAtCut ??= this.#leader();
    this.#since = this.#now;
    this.#longest = 0;
    this.#terms = new Set();
  }

  pathsMended(): void {
    this.ackedUntilMend.push(this.#acked);
    this.#acked = 0;
    this.#mendedAt = this.#now;
    if (--this.#cuts > 0) return;
    this.#gap();
    this.gapsMs.push(Math.ceil(this.#longest / 1000));
    this.termsLed.push(this.#terms.size);
  }

  afterTurn({ raft }: Computer): void {
    if (this.#cuts > 0 && raft?.role === "leader") this.#terms.add(raft.term);
  }

  returned(call: Call): void {
    if (call.question.kind !== "append" || call.outcome !== "ok") return;
    if (this.#cuts > 0) this.#gap();
    this.#acked++;
    if (this.#mendedAt !== null)
      this.ackAfterMendMs.push(Math.ceil((this.#now - this.#mendedAt) / 1000));
    this.#mendedAt = null;
  }

  #leader(): string | null {
    let [leader, term] = [null as string | null, -1];
    for (const { name, raft } of this.#stage?.nodes ?? []) {
      if (raft?.role !== "leader" || raft.term <= term) continue;
      leader = name;
      term = raft.term;
    }
    return leader;
  }

  get #now(): number {
    return this.#stage?.now ?? 0;
  }

  #gap(): void {
    this.#longest = Math.max(this.#longest, this.#now - this.#since);
    this.#since = this.#now;
  }
}

/** The core serves writes within five election timeouts, and its leaders do not flap. */
function expectServing({ gapsMs, termsLed }: Serving, plan: Plan, faults: number): void {
  expect(gapsMs.length).toBe(faults);
  expect(Math.max(...gapsMs)).toBeLessThan(5 * plan.options.electionTimeoutMaxMs);
  // The one that led before, and one that followed it.
  expect(Math.max(...termsLed)).toBeLessThanOrEqual(2);
}

/** The entries of a gathered write; none when it is something else. */
function* entriesIn(bytes: Uint8Array): Iterable<EntryHead> {
  for (let at = 0; at < bytes.length; ) {
    const decoded = decodeFrame(bytes, at, FRAME_LIMITS);
    if (decoded.kind !== "entry") return;
    yield decoded.entry;
    at += paddedLength(decoded.length);
  }
}

/** What must have happened for the scenario to show anything. */
const OCCURRED: Readonly<
  Record<string, (dangers: Dangers, report: RunReport, serving: Serving, plan: Plan) => void>
> = {
  "stale-leader-cannot-commit": (dangers) => {
    expect(dangers.staleTails).toBeGreaterThan(0);
    expect(dangers.ackedWhileCut).toBeGreaterThan(10);
    expect(dangers.replacers.size).toBeGreaterThan(0);
  },
  "torn-tail-after-power-loss": (_, { counts }) => {
    expect(counts.tornWrites).toBeGreaterThan(0);
    expect(counts.lossyCrashes).toBeGreaterThan(2);
  },
  "vote-forgotten-by-power-loss": (dangers, { counts }) => {
    expect(dangers.votesInDoubt).toBeGreaterThan(1);
    expect(counts.leaders).toBeGreaterThan(1);
  },
  "partition-then-conflicting-tail": (dangers) => {
    expect(dangers.staleTails).toBeGreaterThan(0);
    expect(dangers.replacers.size).toBeGreaterThan(1);
  },
  "duplicate-after-unknown-outcome": (_, { counts }) => {
    expect(counts.retried).toBeGreaterThan(10);
    expect(counts.duplicates).toBeGreaterThan(2);
    expect(counts.unknown).toBeGreaterThan(2);
  },
  "one-way-link-keeps-cluster-serving": (dangers, { counts }) => {
    expect(counts.oneWayCuts).toBe(1);
    expect(dangers.ackedWhileCut).toBeGreaterThan(50);
    expect(dangers.maxTermWhileCut).toBe(dangers.termAtCut);
  },
  "power-loss-of-the-whole-house": (dangers, { counts }) => {
    expect(dangers.blackouts).toBe(2);
    expect(counts.lossyCrashes).toBeGreaterThan(2);
  },
  "name-lost-while-a-segment-rolls": (_, { counts }) => {
    expect(counts.powerLosses).toBeGreaterThan(8);
    expect(counts.lostNames).toBeGreaterThan(1);
  },
  "failed-sync-silences-the-leader": (dangers, { counts }) => {
    expect(counts.diskErrors).toBeGreaterThan(1);
    expect(dangers.poisonedLeaders).toBe(2);
    expect(counts.leaders).toBeGreaterThan(2);
  },
  "write-fails-and-its-sync-is-slow": (dangers, { counts }) => {
    expect(counts.diskErrors).toBeGreaterThan(0);
    expect(dangers.poisonedLeaders).toBe(1);
    expect(counts.leaders).toBeGreaterThan(1);
  },
  "rotten-entries-are-never-served": (dangers, { counts }) => {
    expect(counts.rottenBits).toBe(40);
    // The first read of what rotted in a sealed segment ends the node: it serves nothing wrong.
    expect(dangers.damagedReads).toBeGreaterThan(0);
    // Started again, it gives up what is behind the damage, and gets it back.
    expect(counts.disksLost).toBe(0);
    expect(dangers.mended).toBeGreaterThan(0);
  },
  "scrub-finds-rot-before-a-reader": (dangers, { counts }) => {
    expect(counts.rottenBits).toBe(40);
    expect(dangers.damagedReads).toBe(0);
    expect(counts.disksLost).toBe(0);
    expect(dangers.mended).toBeGreaterThan(0);
  },
  "leader-with-a-rotten-base-hands-over": (_, { counts, marks }) => {
    expect(counts.rottenBits).toBe(64);
    expect([counts.leaders, marks["snapshot-installed"]]).toEqual([2, 1]);
  },
  "full-leader-hands-over": (dangers, { counts }) => {
    expect(dangers.fullLeaders).toBeGreaterThan(0);
    expect(dangers.refusedForRoom).toBe(0);
    expect(counts.leaders).toBe(2);
  },
  "slow-leader-commits-by-others": (dangers, { counts }) => {
    expect(dangers.commitsAheadOfDisk).toBeGreaterThan(10);
    expect(counts.powerLosses).toBe(2);
  },
  "hung-disk-deposes-its-leader": (_, { counts }) => {
    // The first, the one that is elected past the cut, and the one that follows it.
    expect(counts.leaders).toBe(3);
    expect(counts.outside).toBe(1);
  },
  "connected-core-keeps-serving": (_, { counts }, serving, plan) => {
    expect(counts.partitions).toBe(5);
    expectServing(serving, plan, 1);
  },
  "star-elects-its-middle": (_, { counts }, serving, plan) => {
    expect(serving.leaderAtCut).not.toBe("n1");
    expect(counts.partitions).toBe(6);
    expectServing(serving, plan, 1);
  },
  "lost-replies-depose-a-leader": (_, { counts }, serving, plan) => {
    expect(counts.leaders).toBeGreaterThan(1);
    expectServing(serving, plan, 1);
  },
  "heard-leader-without-quorum-gives-way": (_, { counts }, serving, plan) => {
    expect(serving.leaderAtCut).toBe("n0");
    expect(counts.leaders).toBe(2);
    expectServing(serving, plan, 1);
  },
  "follower-without-its-leader-does-not-depose-it": (dangers, { counts }, serving, plan) => {
    expect(serving.leaderAtCut).toBe("n0");
    expect(counts.leaders).toBe(1);
    expect(dangers.maxTermWhileCut).toBe(dangers.termAtCut);
    expectServing(serving, plan, 1);
  },
  "triangle-elects-past-its-bridge": (_, { counts }, serving, plan) => {
    expect(serving.leaderAtCut).toBe("n0");
    expect(counts.leaders).toBe(2);
    expectServing(serving, plan, 1);
  },
  "only-the-middle-is-behind": (dangers, { counts }, serving, plan) => {
    const [untilMiddleReturns, untilLinkHeals] = serving.ackedUntilMend;
    expect(untilMiddleReturns).toBeGreaterThan(50);
    expect(untilLinkHeals).toBe(0);
    // One election for the first leader, one for the leader after the link has healed; term 1 is
    // the founding's.
    expect([counts.leaders, dangers.maxTermWhileCut]).toEqual([2, 3]);
    expect(serving.ackAfterMendMs[0]).toBeLessThan(5 * plan.options.electionTimeoutMaxMs);
  },
  "chain-does-not-flap": (_, { counts }, serving, plan) => {
    expect(counts.partitions).toBe(3);
    expectServing(serving, plan, 3);
  },
  "leader-hands-over-across-a-joint-change": (_, { marks, counts }) => {
    expect(marks["transfer-in-joint"]).toBeGreaterThan(0);
    expect(marks["transfer-completed"]).toBeGreaterThan(1);
    expect(marks["transfer-given-up"]).toBeGreaterThan(0);
    expect(marks["joint-committed"]).toBeGreaterThan(5);
    expect(counts.acked).toBeGreaterThan(100);
  },
  "leader-is-removed-while-cut-off": (_, { marks, counts }) => {
    expect(marks["change-undone"]).toBeGreaterThan(0);
    expect(marks["leader-removed"]).toBeGreaterThan(0);
    expect(marks["learner-promoted"]).toBeGreaterThan(0);
    expect(counts.acked).toBeGreaterThan(200);
  },
  "wiped-and-deaf-does-not-hold-up-the-next": (_, { marks, counts }) => {
    expect(counts).toMatchObject({ disksReplaced: 2, outside: 1 });
    // Of the two only the second.
    expect(marks["wiped-votes"]).toBe(1);
  },
  "wiped-node-is-replaced-while-another-crashes": (_, { marks, counts }) => {
    expect(counts).toMatchObject({ disksReplaced: 1, disksLost: 0 });
    expect(counts.crashes).toBeGreaterThanOrEqual(4);
    expect([marks["wiped-votes"], marks["snapshot-installed"] > 0]).toEqual([1, true]);
  },
  "backup-while-the-log-is-trimmed": ({ backupsGivenUp, pinnedBases }, { marks }) => {
    expect(marks["backup-of-trimmed"]).toBeGreaterThan(3);
    expect(pinnedBases.size).toBeGreaterThan(1);
    expect(backupsGivenUp).toBeGreaterThan(0);
  },
  "trim-while-a-follower-installs-a-snapshot": (dangers, { marks }) => {
    expect(marks["crash-in-install"]).toBe(3);
    expect(dangers.trimsWhileInstalling).toBeGreaterThan(0);
  },
};

/** Partial connectivity, by its number in the literature's list of outages (docs/simulation.md). */
const TOPOLOGIES: Readonly<Record<string, string>> = {
  V01: "connected-core-keeps-serving",
  V02: "heard-leader-without-quorum-gives-way",
  V03: "follower-without-its-leader-does-not-depose-it",
  V04: "star-elects-its-middle",
  V05: "triangle-elects-past-its-bridge",
  V06: "only-the-middle-is-behind",
  V07: "chain-does-not-flap",
  V08: "lost-replies-depose-a-leader",
};

const names = readdirSync(DIRECTORY).map((file) => file.replace(/\.json$/, ""));

describe("the scenarios", () => {
  test("all have a danger that is looked for here", () => {
    expect([...names].sort()).toEqual(Object.keys(OCCURRED).sort());
    expect(names.length).toBeGreaterThanOrEqual(6);
  });

  test.each(Object.entries(TOPOLOGIES))("have topology %s as %s", (number, name) => {
    const plan = decodePlan(readFileSync(new URL(`${name}.json`, DIRECTORY), "utf8"));
    expect(plan.why[0]).toMatch(`${number}: `);
  });

  test.each(names)("%s", (name) => {
    const plan = decodePlan(readFileSync(new URL(`${name}.json`, DIRECTORY), "utf8"));
    expect(plan.why.length).toBeGreaterThan(0);
    const dangers = new Dangers();
    const serving = new Serving();
    const report = runPlan(plan, [dangers, serving]);
    expect(report.violation).toBeNull();
    expect(report.verdict).toBe("pass");
    expect(report.counts.lost).toBe(0);
    OCCURRED[name]?.(dangers, report, serving, plan);
  });
});
