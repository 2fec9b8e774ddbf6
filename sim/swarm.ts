// Draws a plan from a seed. Which mishaps exist at all, how hard they are and how the cluster is
// set up is drawn per seed, because a run with everything at once hides what a run with one thing
// alone shows (swarm testing). Owns the distribution of the cluster and of what clients do; what
// goes wrong is sim/swarm-mishaps.ts, the form of plans sim/plan.ts.

import { Prng } from "../src/base/prng.ts";
import { type Plan, type PlanDraft, planOf, type Target } from "./plan.ts";
import type { Profile } from "./profiles.ts";
import { drawConsumers } from "./swarm-consumers.ts";
import { drawMishaps, drawTarget, places } from "./swarm-mishaps.ts";
import { drawBackups, drawChanges, drawUpkeep } from "./swarm-operators.ts";

type OperationDraft = PlanDraft["operations"][number];

/** The plan of a seed: equal seeds give equal plans. */
export function drawPlan(seed: string, profile: Profile = "swarm"): Plan {
  const root = new Prng(seed).fork("plan");
  const cluster = root.fork("cluster");
  const nodes = cluster.pick([3, 3, 5]);
  const isLong = profile === "long";
  const healAtMs = isLong
    ? cluster.between(LONG_MS_MIN, LONG_MS_MAX)
    : cluster.between(HEAL_MS_MIN, HEAL_MS_MAX);
  const hasOperators = profile !== "discovery";
  const upkeep = drawUpkeep(root.fork("upkeep"), healAtMs);
  const changes = hasOperators
    ? drawChanges(root.fork("members"), nodes, healAtMs)
    : { nodes: nodes + drawLate(root.fork("late")), hasMembers: false, operations: [] };
  const options = { ...drawOptions(root.fork("options")), ...upkeep.options };
  return planOf({
    format: 1,
    seed,
    nodes: changes.nodes,
    ...(changes.nodes > nodes ? { founders: nodes } : {}),
    options: isLong ? { ...options, ...UNHURRIED } : options,
    network: profile === "calm" ? {} : drawNetwork(root.fork("network"), profile),
    disk: drawDisk(root.fork("disk")),
    wallAheadMs: drawWalls(root.fork("walls"), changes.nodes),
    driftPpm: drawDrifts(root.fork("drifts"), changes.nodes),
    operations: [
      ...drawOperations(root.fork("operations"), nodes, healAtMs),
      ...upkeep.operations,
      ...changes.operations,
      ...(hasOperators ? drawBackups(root.fork("backups"), changes.nodes, healAtMs) : []),
    ],
    mishaps: drawMishaps(root.fork("mishaps"), changes.nodes, healAtMs, profile),
    healAtMs,
    ...(profile === "discovery"
      ? drawDiscovery(root.fork("discovery"), nodes, changes.nodes > nodes)
      : {}),
    bounded: profile !== "unbounded",
    ...settlingOf(profile, changes.hasMembers),
    outside: profile === "calm" ? [] : drawOutside(root.fork("outside"), nodes),
  });
}

/**
 * Where too much is lost to recover there is no use in waiting long for it. But a change of the
 * members that waits for somebody who never comes is given up by its leader after half a minute,
 * and asked for again of the next.
 */
function settlingOf(profile: Profile, hasMembers: boolean): Pick<PlanDraft, "settleMs"> {
  if (profile === "discovery") return {};
  if (profile === "unbounded") return { settleMs: hasMembers ? 45_000 : 15_000 };
  if (!hasMembers) return {};
  return { settleMs: profile === "long" ? 240_000 : 120_000 };
}

/**
 * Long enough for a fault, what follows of it and the next, short enough for many seeds: more is
 * found by another seed than by the second half minute of the same one.
 */
const HEAL_MS_MIN = 18_000;
const HEAL_MS_MAX = 24_000;
/** A long run lasts an hour or two. */
const LONG_MS_MIN = 3_600_000;
const LONG_MS_MAX = 7_200_000;
/** As over a slow network: an hour of heartbeats would otherwise take most of the time. */
const UNHURRIED = {
  electionTimeoutMinMs: 1500,
  electionTimeoutMaxMs: 3000,
  heartbeatIntervalMs: 500,
  redialMaxMs: 5000,
} as const;

/** In half of the seeds everybody comes back, in the others a quorum has to do. */
function drawOutside(prng: Prng, nodes: number): PlanDraft["outside"] {
  if (prng.chance(1, 2)) return [];
  const count = prng.between(1, Math.floor((nodes - 1) / 2));
  const some: Target[] = prng.shuffled(places(nodes)).slice(0, count);
  // Then the others must elect a leader of their own.
  if (prng.chance(1, 2)) some[0] = "leader";
  const hangs = prng.fork("outside-disk");
  return some.map((node) => {
    const how = prng.pick(WAYS_OUT);
    return { node, how: hangs.chance(1, 6) ? "disk-hang" : how };
  });
}

/** A hung disk besides, from a stream of its own. */
const WAYS_OUT = ["power", "pause", "cut", "deaf", "silent"] as const;

function drawOptions(prng: Prng): PlanDraft["options"] {
  const electionTimeoutMinMs = prng.pick([150, 200, 300]);
  return {
    electionTimeoutMinMs,
    electionTimeoutMaxMs: electionTimeoutMinMs * prng.pick([2, 2, 3]),
    heartbeatIntervalMs: prng.pick([30, 50, 60]),
    appendBytesMax: prng.pick([1024, 8192, 65_536]),
    appendsInFlightMax: prng.pick([1, 2, 8, 32]),
    uncommittedBytesMax: prng.pick([32_768, 4_194_304]),
    readsWaitingMax: prng.pick([2, 256]),
    segmentBytesMax: prng.pick([8192, 16_384, 65_536]),
    indexEntriesMax: prng.pick([64, 256, 1024]),
    preallocateBytes: prng.pick([0, 4096, 16_384]),
    cacheBytesMax: prng.pick([0, 4096, 65_536]),
    mailboxEventsMax: prng.pick([16, 64, 256]),
    turnEventsMax: prng.pick([1, 8, 64]),
    producersMax: prng.pick([32, 1024]),
    lostLeaderDivisor: prng.fork("leader-lost").pick([1, 1, 1, 1, 1, 1, 1, 3]),
    commitNoticeMicros: prng.fork("commit-told").pick([0, 0, 0, 0, 0, 0, 0, 5000]),
    scrubBytesPerSecond: prng.fork("scrub").pick([0, 0, 0, 40_000]),
  };
}

/** Nodes that become members by gossip alone, after the founders. */
function drawLate(prng: Prng): number {
  return prng.pick([0, 0, 1, 1, 2]);
}

/** Gossip has its own losses, and its own patience: a suspicion takes longer than an election. */
function drawDiscovery(
  prng: Prng,
  nodes: number,
  hasLate: boolean,
): Pick<PlanDraft, "discovery" | "settleMs"> {
  const maybe = (perMilles: readonly number[]) => (prng.chance(1, 3) ? 0 : prng.pick(perMilles));
  const shuffled = prng.shuffled(places(nodes));
  const some = shuffled.slice(0, prng.between(1, nodes));
  // Nobody knows a latecomer: one of its contacts must be left, whoever has failed for ever.
  const contacts = hasLate ? shuffled : some;
  const discovery = {
    expect: nodes,
    contacts,
    lateMs: prng.fork("late").pick([0, 3000, 10_000, 20_000]),
    delayMeanMicros: prng.pick([300, 3000, 30_000]),
    dropPerMille: maybe([10, 100, 300]),
    duplicatePerMille: maybe([10, 200]),
    dialFailPerMille: maybe([50, 500]),
  };
  return { discovery, settleMs: 180_000 };
}

function drawNetwork(prng: Prng, profile: Profile): PlanDraft["network"] {
  /** Half of the seeds do without a given trouble, where it is about networks a quarter. */
  const without = profile === "network" ? 4 : 2;
  const maybe = (perMilles: readonly number[]) =>
    prng.chance(1, without) ? 0 : prng.pick(perMilles);
  return {
    delayMinMicros: prng.pick([50, 200, 1000]),
    delayMeanMicros: prng.pick([100, 500, 2000, 5000]),
    dropPerMille: maybe([2, 10, 40, 100]),
    duplicatePerMille: maybe([5, 30, 150]),
    replayPerMille: maybe([100, 500]),
    reorderPerMille: maybe([10, 100, 500]),
    linkFramesMax: prng.pick([4, 32, 256]),
    transitFramesMax: prng.fork("transit").pick([0, 0, 0, 2, 6, 20]),
    overflow: prng.fork("overflow").pick(["oldest", "newest"] as const),
    clientDropPerMille: maybe([5, 20, 60]),
    clientLatePerMille: maybe([5, 20, 60]),
  };
}

function drawDisk(prng: Prng): PlanDraft["disk"] {
  return {
    operationMeanMicros: prng.pick([10, 40, 200]),
    syncMeanMicros: prng.pick([200, 1000, 4000]),
    slowPerMille: prng.chance(1, 2) ? 0 : prng.pick([1, 5]),
  };
}

function drawWalls(prng: Prng, nodes: number): number[] {
  if (prng.chance(1, 2)) return [];
  const boundMs = prng.pick([5, 200, 60_000]);
  return Array.from({ length: nodes }, () => prng.between(-boundMs, boundMs));
}

/** A good crystal, a bad one, or a virtual machine's. */
function drawDrifts(prng: Prng, nodes: number): number[] {
  if (prng.chance(1, 2)) return [];
  const boundPpm = prng.pick([50, 500, 20_000, 100_000]);
  return Array.from({ length: nodes }, () => prng.between(-boundPpm, boundPpm));
}

// ---- what clients do ----

function drawOperations(prng: Prng, nodes: number, healAtMs: number): OperationDraft[] {
  const operations: OperationDraft[] = [];
  let client = 0;
  for (let left = prng.between(4, 6); left > 0; left--)
    operations.push(...drawBursts(prng, client++, healAtMs));
  for (let left = prng.between(1, 2); left > 0; left--) {
    const times = prng.between(10, 40);
    const everyMs = Math.floor(healAtMs / (times + 1));
    operations.push({ kind: "check-tail", client: client++, atMs: 500, times, everyMs });
  }
  for (let left = prng.between(1, 3); left > 0; left--)
    operations.push(...drawReads(prng, client++, nodes, healAtMs));
  for (const node of prng.shuffled(places(nodes)).slice(0, prng.between(1, 3))) {
    const fromPerMille = prng.pick([0, 0, 500, 1000]);
    operations.push({
      kind: "stream",
      client: client++,
      atMs: prng.below(healAtMs),
      node,
      fromPerMille,
    });
  }
  operations.push(...drawConsumers(prng.fork("consumers"), nodes, healAtMs, client));
  return operations;
}

const BATCH_BYTES_MAX = 4000;

/** One client's appends: a few bursts, each of its own kind, one after another. */
function drawBursts(prng: Prng, client: number, healAtMs: number): OperationDraft[] {
  const bursts = prng.between(2, 4);
  const spanMs = Math.floor((healAtMs - 500) / bursts);
  return Array.from({ length: bursts }, (_, burst) => {
    const everyMs = prng.pick([30, 100, 200, 400]);
    const timesMax = Math.floor(spanMs / everyMs);
    const records = prng.pick([1, 1, 1, 3, 10]);
    const bytes = prng.pick([16, 60, 100, 250, 1200]);
    return {
      kind: "append",
      client,
      atMs: 300 + burst * spanMs,
      times: Math.min(timesMax, prng.between(20, 80)),
      everyMs,
      records,
      // Together they would be several segments an append, and most of the time goes into those.
      bytes: Math.min(bytes, Math.floor(BATCH_BYTES_MAX / records)),
      producer: prng.chance(4, 5),
      guarded: prng.chance(1, 8),
      gap: prng.fork(`gap ${burst}`).chance(1, 6),
    };
  });
}

function drawReads(prng: Prng, client: number, nodes: number, healAtMs: number): OperationDraft[] {
  return Array.from({ length: 4 }, (_, quarter) => ({
    kind: "read",
    client,
    atMs: 500 + quarter * Math.floor(healAtMs / 4),
    times: prng.between(5, 15),
    everyMs: prng.between(50, 400),
    node: drawTarget(prng, nodes),
    fromPerMille: prng.pick([0, 300, 700, 950, 990]),
  }));
}
