// Draws a plan from a seed. Which mishaps exist at all, how hard they are and how the cluster is
// set up is drawn per seed, because a run with everything at once hides what a run with one thing
// alone shows (swarm testing). Owns the distribution; the form of plans is sim/plan.ts.

import { Prng } from "../src/base/prng.ts";
import type { FaultSite } from "../src/ports/fault-sites.ts";
import { type Plan, type PlanDraft, planOf, type Target } from "./plan.ts";

type OperationDraft = PlanDraft["operations"][number];
type MishapDraft = PlanDraft["mishaps"][number];
type PlannedMomentDraft = Extract<MishapDraft, { kind: "crash-at-moment" }>;

const FAULT_SITES: readonly FaultSite[] = [
  "election-won",
  "vote-durable",
  "first-commit",
  "segment-roll",
  "truncation",
];

/** Mishaps begin after the first election had its time, and end before the healing. */
const QUIET_MS = 1500;

/** Which distribution a plan is drawn from: everything, hardly anything, or failing disks. */
export const PROFILES = ["swarm", "calm", "disks"] as const;
export type Profile = (typeof PROFILES)[number];

/** The plan of a seed: equal seeds give equal plans. */
export function drawPlan(seed: string, profile: Profile = "swarm"): Plan {
  const root = new Prng(seed).fork("plan");
  const cluster = root.fork("cluster");
  const nodes = cluster.pick([3, 3, 5]);
  const healAtMs = cluster.between(28_000, 36_000);
  return planOf({
    format: 1,
    seed,
    nodes,
    options: drawOptions(root.fork("options")),
    network: profile === "calm" ? {} : drawNetwork(root.fork("network")),
    disk: drawDisk(root.fork("disk")),
    wallAheadMs: drawWalls(root.fork("walls"), nodes),
    driftPpm: drawDrifts(root.fork("drifts"), nodes),
    operations: drawOperations(root.fork("operations"), nodes, healAtMs),
    mishaps: drawMishaps(root.fork("mishaps"), nodes, healAtMs, profile),
    healAtMs,
    outside: profile === "calm" ? [] : drawOutside(root.fork("outside"), nodes),
  });
}

/** In half of the seeds everybody comes back, in the others a quorum has to do. */
function drawOutside(prng: Prng, nodes: number): PlanDraft["outside"] {
  if (prng.chance(1, 2)) return [];
  const count = prng.between(1, Math.floor((nodes - 1) / 2));
  const some: Target[] = prng.shuffled(places(nodes)).slice(0, count);
  // Then the others must elect a leader of their own.
  if (prng.chance(1, 2)) some[0] = "leader";
  return some.map((node) => ({ node, how: prng.pick(WAYS_OUT) }));
}

/** A hung disk is for plans by hand: a leader that has one stays, and brings nobody up to date. */
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
  };
}

function drawNetwork(prng: Prng): PlanDraft["network"] {
  /** Half of the seeds do without a given trouble. */
  const maybe = (perMilles: readonly number[]) => (prng.chance(1, 2) ? 0 : prng.pick(perMilles));
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
  return operations;
}

/** One client's appends: a few bursts, each of its own kind, one after another. */
function drawBursts(prng: Prng, client: number, healAtMs: number): OperationDraft[] {
  const bursts = prng.between(2, 4);
  const spanMs = Math.floor((healAtMs - 500) / bursts);
  return Array.from({ length: bursts }, (_, burst) => {
    const everyMs = prng.pick([30, 100, 200, 400]);
    const timesMax = Math.floor(spanMs / everyMs);
    return {
      kind: "append",
      client,
      atMs: 300 + burst * spanMs,
      times: Math.min(timesMax, prng.between(20, 80)),
      everyMs,
      records: prng.pick([1, 1, 1, 3, 10]),
      bytes: prng.pick([16, 60, 100, 250, 1200]),
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

// ---- what goes wrong ----

type MishapMaker = (prng: Prng, nodes: number, atMs: number, healAtMs: number) => MishapDraft[];

/** Each with how likely a seed has it, in 32, and how often at most. */
const MISHAPS: readonly { make: MishapMaker; in32: number; timesMax: number }[] = [
  { make: drawCrashMidWrite, in32: 31, timesMax: 2 },
  { make: drawCrashAtEffect("power"), in32: 28, timesMax: 3 },
  { make: drawCrashAtEffect("process"), in32: 20, timesMax: 3 },
  { make: drawCrash, in32: 20, timesMax: 4 },
  { make: drawPartition, in32: 31, timesMax: 3 },
  { make: drawOneWay, in32: 16, timesMax: 3 },
  { make: drawBlackout, in32: 8, timesMax: 2 },
  { make: drawLastBlackout, in32: 8, timesMax: 1 },
  { make: drawStop, in32: 10, timesMax: 2 },
  { make: drawStorm, in32: 10, timesMax: 2 },
  { make: drawSlowDisk, in32: 10, timesMax: 2 },
  { make: drawPause, in32: 16, timesMax: 3 },
  { make: drawRestartStorm, in32: 6, timesMax: 1 },
  { make: drawPairs, in32: 16, timesMax: 2 },
  { make: drawFlapping, in32: 6, timesMax: 1 },
  { make: drawClog, in32: 10, timesMax: 2 },
  { make: drawSwizzle, in32: 6, timesMax: 1 },
  { make: drawMute, in32: 6, timesMax: 1 },
  { make: drawHalfClose, in32: 10, timesMax: 2 },
  { make: drawCorruption, in32: 10, timesMax: 2 },
  { make: drawWallStep, in32: 10, timesMax: 4 },
  { make: drawFrozenWall, in32: 6, timesMax: 2 },
  { make: drawCrashAtMoment, in32: 20, timesMax: 2 },
  { make: drawDiskError, in32: 10, timesMax: 2 },
  { make: drawDiskHang, in32: 8, timesMax: 2 },
  { make: drawBitRot, in32: 8, timesMax: 2 },
  { make: drawLostWrite, in32: 8, timesMax: 2 },
  { make: drawReplacement, in32: 4, timesMax: 1 },
  { make: drawMisreads, in32: 8, timesMax: 2 },
  { make: drawCrashAtSite, in32: 16, timesMax: 2 },
  { make: drawUnanswered, in32: 6, timesMax: 1 },
  { make: drawRule, in32: 16, timesMax: 3 },
];

/** The mishaps of disks: in the profile named after them every seed has more of each. */
const DISK_MAKERS: ReadonlySet<MishapMaker> = new Set([
  drawSlowDisk,
  drawDiskError,
  drawDiskHang,
  drawBitRot,
  drawLostWrite,
  drawReplacement,
  drawMisreads,
]);
const DISKS_TIMES_MAX = 6;

function drawMishaps(prng: Prng, nodes: number, healAtMs: number, profile: Profile): MishapDraft[] {
  if (profile === "calm") return [];
  const spanMs = healAtMs - 2 * QUIET_MS;
  const mishaps: MishapDraft[] = [];
  for (const [at, { make, in32, timesMax }] of MISHAPS.entries()) {
    const own = prng.fork(`kind ${at}`);
    const isMany = profile === "disks" && DISK_MAKERS.has(make);
    if (!own.chance(isMany ? 32 : in32, 32)) continue;
    for (let left = own.between(1, isMany ? DISKS_TIMES_MAX : timesMax); left > 0; left--)
      mishaps.push(...make(own, nodes, QUIET_MS + own.below(spanMs), healAtMs));
  }
  return mishaps.sort((a, b) => a.atMs - b.atMs);
}

/** The leader loses power with writes that it is about to sync: none of them is certain. */
function drawCrashMidWrite(prng: Prng, _nodes: number, atMs: number): MishapDraft[] {
  const effect = { nth: prng.pick([1, 1, 2, 3]), of: "sync", edge: "before" } as const;
  return [{ kind: "crash", node: "leader", how: "power", atMs, effect, downMs: drawSpanMs(prng) }];
}

/** Around one effect of any kind, on any node. */
function drawCrashAtEffect(how: "process" | "power"): MishapMaker {
  return (prng, nodes, atMs) => [
    {
      kind: "crash",
      node: drawTarget(prng, nodes),
      how,
      atMs,
      effect: {
        nth: prng.pick([1, 1, 2, 5, 20]),
        of: prng.pick(["any", "sync", "sync", "write-at", "sync-dir", "rename"]),
        edge: prng.pick(["before", "after"]),
      },
      downMs: drawSpanMs(prng),
    },
  ];
}

function drawCrash(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const how = prng.pick(["process", "power"] as const);
  return [{ kind: "crash", node: drawTarget(prng, nodes), how, atMs, downMs: drawSpanMs(prng) }];
}

/** The power of the whole house goes, and comes back node by node. */
function drawBlackout(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  return places(nodes).map((node) => ({
    kind: "crash",
    node,
    how: "power",
    atMs,
    downMs: drawSpanMs(prng),
  }));
}

/** Everybody's recovery is then read whole by the auditors, and nothing of it from memory. */
function drawLastBlackout(prng: Prng, nodes: number, _: number, healAtMs: number): MishapDraft[] {
  return drawBlackout(prng, nodes, healAtMs - 1);
}

function drawStop(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  return [{ kind: "stop", node: drawTarget(prng, nodes), atMs, downMs: drawSpanMs(prng) }];
}

function drawPartition(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const size = prng.between(1, Math.floor(nodes / 2));
  const side: Target[] = prng.shuffled(places(nodes)).slice(0, size);
  if (prng.chance(1, 2)) side[0] = "leader";
  return [{ kind: "partition", side, atMs, forMs: drawSpanMs(prng) }];
}

function drawOneWay(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const mixed = prng.shuffled(places(nodes));
  const size = prng.between(1, nodes - 1);
  const [one, other] = [mixed.slice(0, size), mixed.slice(size)];
  const isLeader = prng.chance(1, 3);
  const from: Target[] = isLeader ? ["leader"] : one;
  return [{ kind: "one-way", from, to: isLeader ? mixed : other, atMs, forMs: drawSpanMs(prng) }];
}

function drawStorm(prng: Prng, _nodes: number, atMs: number): MishapDraft[] {
  const dropPerMille = prng.pick([50, 200, 500]);
  const delayTimes = prng.pick([1, 5, 20]);
  return [{ kind: "storm", atMs, forMs: drawSpanMs(prng), dropPerMille, delayTimes }];
}

function drawSlowDisk(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const node = drawTarget(prng, nodes);
  return [
    { kind: "slow-disk", node, atMs, forMs: drawSpanMs(prng), times: prng.pick([5, 20, 80]) },
  ];
}

function drawDiskError(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const node = drawTarget(prng, nodes);
  const error = prng.pick(["read", "write", "sync", "sync", "sync", "full"] as const);
  const failPerMille = prng.pick([50, 300, 1000]);
  const restartMs = drawSpanMs(prng);
  const forMs = drawSpanMs(prng);
  return [{ kind: "disk-error", node, error, failPerMille, atMs, forMs, restartMs }];
}

/** A node dies, and starts again and again on a disk that is read wrong now and then. */
function drawMisreads(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const node = prng.below(nodes);
  const failPerMille = prng.pick([30, 100, 300]);
  const forMs = drawSpanMs(prng);
  const spell = { failPerMille, atMs, forMs, restartMs: prng.pick([1, 1, 200]) };
  const how = prng.pick(["process", "power"] as const);
  return [
    { kind: "disk-error", node, error: "misread", ...spell },
    { kind: "crash", node, how, atMs: atMs + prng.below(forMs), downMs: 1 },
  ];
}

function drawPause(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  return [{ kind: "pause", node: drawTarget(prng, nodes), atMs, forMs: drawSpanMs(prng) }];
}

/** All pairs of nodes. */
function pairsOf(nodes: number): [number, number][] {
  return places(nodes).flatMap((one) => places(one).map((other): [number, number] => [other, one]));
}

/** A bridge between two halves, a ring in which each sees a majority of its own, or chance. */
function drawPairs(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const shape = prng.pick(["bridge", "ring", "chance", "halves"] as const);
  const mixed = prng.shuffled(places(nodes));
  const all = pairsOf(nodes);
  const middle = Math.floor(nodes / 2);
  const isCut = ([one, other]: [number, number]) => {
    if (shape === "bridge") return one < middle && other > middle;
    if (shape === "ring") return nodes > 3 ? [2, 3].includes(other - one) : other - one === 2;
    return shape === "halves" ? one < middle && other >= middle : prng.chance(1, 2);
  };
  const pairs = all.filter(isCut).map(([one, other]): [number, number] => {
    return [mixed[one] as number, mixed[other] as number];
  });
  if (pairs.length === 0) return [];
  return [{ kind: "pairs-cut", pairs, atMs, forMs: drawSpanMs(prng) }];
}

/** A node that comes and goes: how long it is away and how long it is there are drawn once. */
function drawFlapping(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const side = [drawTarget(prng, nodes)];
  const faultMs = prng.pick([20, 120, 500]);
  const healthMs = prng.pick([20, 120, 500]);
  return Array.from({ length: prng.between(3, 8) }, (_, at) => ({
    kind: "partition",
    side,
    atMs: atMs + at * (faultMs + healthMs),
    forMs: faultMs,
  }));
}

function drawClog(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  return [{ kind: "clog", node: drawTarget(prng, nodes), atMs, forMs: drawSpanMs(prng) }];
}

/** Some nodes are clogged one after another, and let go in another order. */
function drawSwizzle(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const some = prng.shuffled(places(nodes)).slice(0, prng.between(2, nodes));
  const ends = prng.shuffled(places(some.length));
  return some.map((node, at) => {
    const beginsMs = atMs + 100 * at;
    return { kind: "clog", node, atMs: beginsMs, forMs: 600 + 150 * (ends[at] as number) };
  });
}

function drawMute(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const node = drawTarget(prng, nodes);
  const forMs = drawSpanMs(prng);
  // Links that are open stay so: only one that is made anew can be silent.
  const halfClose = { kind: "half-close", node, atMs: atMs + 1, forMs: 1 } as const;
  return [{ kind: "mute", node, atMs, forMs }, halfClose];
}

function drawUnanswered(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const node = drawTarget(prng, nodes);
  const halfClose = { kind: "half-close", node, atMs: atMs + 1, forMs: 1 } as const;
  return [{ kind: "unanswered", node, atMs, forMs: drawSpanMs(prng) }, halfClose];
}

/** One kind of frame has a fate of its own for a while, perhaps on and off, perhaps a few times. */
function drawRule(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const someone = () => (prng.chance(1, 2) ? null : [drawTarget(prng, nodes)]);
  const isOnAndOff = prng.chance(1, 3);
  return [
    {
      kind: "rule",
      from: someone(),
      to: someone(),
      message: prng.pick([
        "pre-vote-request",
        "vote-request",
        "vote-reply",
        "heartbeat",
        "append-request",
        "append-reply",
        "append-reply",
        "any",
      ] as const),
      verdict: prng.pick(["deliver-after", "deliver-after", "drop"] as const),
      afterMs: prng.pick([1, 30, 300, 2000]),
      skip: prng.pick([0, 0, 1, 5]),
      count: prng.pick([null, null, 1, 3, 20]),
      faultMs: isOnAndOff ? prng.pick([20, 120, 500]) : 0,
      healthMs: isOnAndOff ? prng.pick([20, 120, 500]) : 0,
      atMs,
      forMs: drawSpanMs(prng),
    },
  ];
}

function drawHalfClose(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  return [{ kind: "half-close", node: drawTarget(prng, nodes), atMs, forMs: drawSpanMs(prng) }];
}

function drawCorruption(prng: Prng, _nodes: number, atMs: number): MishapDraft[] {
  const flipPerMille = prng.pick([2, 20, 100]);
  return [{ kind: "corruption", flipPerMille, atMs, forMs: drawSpanMs(prng) }];
}

function drawWallStep(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const byMs = prng.pick([10, 1000, 60_000, 600_000]) * prng.pick([1, -1]);
  return [{ kind: "wall-step", node: drawTarget(prng, nodes), atMs, byMs }];
}

function drawFrozenWall(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  return [{ kind: "frozen-wall", node: drawTarget(prng, nodes), atMs, forMs: drawSpanMs(prng) }];
}

/** One node dies again and again, some of the times before it has come up. */
function drawRestartStorm(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const node = prng.below(nodes);
  const how = prng.pick(["process", "power"] as const);
  const everyMs = prng.pick([10, 60, 300]);
  return Array.from({ length: prng.between(3, 8) }, (_, at) => ({
    kind: "crash",
    node,
    how,
    atMs: atMs + at * everyMs,
    downMs: prng.between(1, 10),
  }));
}

/** A crash in the worst moment, and before it what makes that moment come soon. */
function drawCrashAtMoment(prng: Prng, _nodes: number, atMs: number): MishapDraft[] {
  const moment = prng.pick(["vote-durable", "first-commit", "segment-roll", "truncation"] as const);
  const how = prng.pick(["process", "power", "power"] as const);
  const nth = prng.pick([1, 1, 2]);
  const downMs = drawSpanMs(prng);
  return withWhatBringsIt({ kind: "crash-at-moment", moment, nth, how, atMs, downMs }, prng);
}

/** The same from inside the node, at a fault site. */
function drawCrashAtSite(prng: Prng, _nodes: number, atMs: number): MishapDraft[] {
  const moment = prng.pick(FAULT_SITES);
  const how = prng.pick(["process", "power"] as const);
  const nth = prng.pick([1, 1, 2]);
  const downMs = drawSpanMs(prng);
  const crash = { kind: "crash-at-moment", moment, nth, how, atMs, downMs } as const;
  return withWhatBringsIt({ ...crash, seen: "inside" }, prng);
}

/** All but a new segment come with a new leader. */
function withWhatBringsIt(crash: PlannedMomentDraft, prng: Prng): MishapDraft[] {
  if (crash.moment === "segment-roll") return [crash];
  const { atMs } = crash;
  return [crash, { kind: "partition", side: ["leader"], atMs, forMs: prng.between(500, 1500) }];
}

function drawDiskHang(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const node = drawTarget(prng, nodes);
  const of = prng.pick(["all", "next-change"] as const);
  const forMs = drawSpanMs(prng);
  return [{ kind: "disk-hang", node, of, atMs, forMs, downMs: drawSpanMs(prng) }];
}

function drawBitRot(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const file = prng.pick([
    "store",
    "store",
    "index",
    "checkpoint",
    "manifest",
    "hard-state",
  ] as const);
  const bits = prng.pick([1, 1, 3, 20]);
  return [{ kind: "bit-rot", node: drawTarget(prng, nodes), file, bits, atMs }];
}

function drawLostWrite(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const node = drawTarget(prng, nodes);
  const how = prng.pick(["phantom", "misdirected", "names"] as const);
  const lost = { kind: "lost-write", node, how, nth: prng.pick([1, 1, 3, 20]), atMs } as const;
  // What was lost shows when it is read again: without power there is nothing else to read.
  const downMs = drawSpanMs(prng);
  const crash = {
    kind: "crash",
    node,
    how: "power",
    atMs: atMs + drawSpanMs(prng),
    downMs,
  } as const;
  return prng.chance(1, 2) ? [lost, crash] : [lost];
}

/** One node does not come back: its disk is empty, or another one. */
function drawReplacement(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const node = prng.below(nodes);
  const downMs = drawSpanMs(prng);
  if (prng.chance(1, 2)) return [{ kind: "wipe", node, atMs, downMs }];
  return [{ kind: "older-image", node, ageMs: prng.between(100, 10_000), atMs, downMs }];
}

/** The leader as often as any other: most of what is dangerous happens there. */
function drawTarget(prng: Prng, nodes: number): Target {
  return prng.chance(2, 5) ? "leader" : prng.below(nodes);
}

/** Short enough to be within one term, long enough for several, or in between. */
function drawSpanMs(prng: Prng): number {
  return prng.pick([20, 150, 400, 1000, 2500, 5000]) + prng.below(500);
}

function places(nodes: number): number[] {
  return Array.from({ length: nodes }, (_, place) => place);
}
