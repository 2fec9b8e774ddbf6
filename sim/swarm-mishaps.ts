// Draws what goes wrong in the run of a seed: which kinds of mishaps there are, how often, when and
// how hard. Owns the distribution of mishaps; each kind is executed by sim/mishaps.ts.

import type { Prng } from "../src/base/prng.ts";
import type { FaultSite } from "../src/ports/fault-sites.ts";
import type { PlanDraft, Target } from "./plan.ts";
import type { Profile } from "./profiles.ts";

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

type MishapMaker = (prng: Prng, nodes: number, atMs: number, healAtMs: number) => MishapDraft[];

/** Each with how likely a seed has it, in 32, and how often at most. */
const MISHAPS: readonly { make: MishapMaker; in32: number; timesMax: number }[] = [
  { make: drawCrashMidWrite, in32: 31, timesMax: 2 },
  { make: drawPowerAtEffect, in32: 28, timesMax: 3 },
  { make: drawProcessAtEffect, in32: 20, timesMax: 3 },
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
  { make: drawReplacement, in32: 12, timesMax: 2 },
  { make: drawMisreads, in32: 8, timesMax: 2 },
  { make: drawCrashAtSite, in32: 16, timesMax: 2 },
  { make: drawUnanswered, in32: 6, timesMax: 1 },
  { make: drawRule, in32: 16, timesMax: 3 },
  { make: drawCrashInUpkeep, in32: 16, timesMax: 3 },
];

const DISK_MAKERS: readonly MishapMaker[] = [
  drawSlowDisk,
  drawDiskError,
  drawDiskHang,
  drawBitRot,
  drawLostWrite,
  drawReplacement,
  drawMisreads,
];
const NETWORK_MAKERS: readonly MishapMaker[] = [
  drawPartition,
  drawOneWay,
  drawStorm,
  drawPairs,
  drawFlapping,
  drawClog,
  drawSwizzle,
  drawMute,
  drawHalfClose,
  drawCorruption,
];
const MOMENT_MAKERS: readonly MishapMaker[] = [
  drawCrashMidWrite,
  drawPowerAtEffect,
  drawProcessAtEffect,
  drawCrashAtMoment,
  drawCrashAtSite,
  drawCrashInUpkeep,
];

/** Of these every seed of the profile has some, and more than of others. */
const FAVOURITES: Readonly<Record<Profile, ReadonlySet<MishapMaker>>> = {
  swarm: new Set(),
  calm: new Set(),
  disks: new Set(DISK_MAKERS),
  network: new Set(NETWORK_MAKERS),
  unbounded: new Set([drawLostWrite, drawReplacement, drawMisreads]),
  discovery: new Set(),
  long: new Set(MOMENT_MAKERS),
};
/** Founders that lose their disks before they meet are never enough. */
const NOT_WHILE_FOUNDING: ReadonlySet<MishapMaker> = new Set(DISK_MAKERS);
/** In this time nodes find each other where nothing hinders them. */
const FOUNDING_MS = 8000;
const FAVOURITE_TIMES_MAX = 6;
/** With more of them no quorum is left to show anything. */
const UNBOUNDED_TIMES_MAX = 3;

export function drawMishaps(
  prng: Prng,
  nodes: number,
  healAtMs: number,
  profile: Profile,
): MishapDraft[] {
  if (profile === "calm") return [];
  const spanMs = healAtMs - 2 * QUIET_MS;
  const manyMax = profile === "unbounded" ? UNBOUNDED_TIMES_MAX : FAVOURITE_TIMES_MAX;
  const mishaps: MishapDraft[] = [];
  for (const [at, { make, in32, timesMax }] of MISHAPS.entries()) {
    const own = prng.fork(`kind ${at}`);
    const isMany = FAVOURITES[profile].has(make);
    const isFounding = profile === "discovery";
    if (isFounding && NOT_WHILE_FOUNDING.has(make)) continue;
    if (!own.chance(isMany ? 32 : in32, 32)) continue;
    for (let left = own.between(1, isMany ? manyMax : timesMax); left > 0; left--)
      mishaps.push(...make(own, nodes, drawInstant(own, spanMs, isFounding), healAtMs));
  }
  if (profile === "unbounded")
    for (const [at, row] of mishaps.entries()) mishaps[at] = returned(row);
  return mishaps.sort((a, b) => a.atMs - b.atMs);
}

/** Half of what goes wrong while a cluster is to be founded goes wrong before it is. */
function drawInstant(prng: Prng, spanMs: number, isFounding: boolean): number {
  if (isFounding && prng.chance(1, 2)) return prng.below(FOUNDING_MS);
  return QUIET_MS + prng.below(spanMs);
}

/** With nothing bounded, nobody stays away because of another disk. */
function returned(mishap: MishapDraft): MishapDraft {
  const isOther = mishap.kind === "wipe" || mishap.kind === "older-image";
  return isOther ? { ...mishap, returns: true } : mishap;
}

/** The leader loses power with writes that it is about to sync: none of them is certain. */
function drawCrashMidWrite(prng: Prng, _nodes: number, atMs: number): MishapDraft[] {
  const effect = { nth: prng.pick([1, 1, 2, 3]), of: "sync", edge: "before" } as const;
  return [{ kind: "crash", node: "leader", how: "power", atMs, effect, downMs: drawSpanMs(prng) }];
}

function drawPowerAtEffect(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  return drawCrashAtEffect("power", prng, nodes, atMs);
}

function drawProcessAtEffect(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  return drawCrashAtEffect("process", prng, nodes, atMs);
}

/** Around one effect of any kind, on any node. */
function drawCrashAtEffect(
  how: "process" | "power",
  prng: Prng,
  nodes: number,
  atMs: number,
): MishapDraft[] {
  const node = drawTarget(prng, nodes);
  const effect = {
    nth: prng.pick([1, 1, 2, 5, 20]),
    of: prng.pick(["any", "sync", "sync", "write-at", "sync-dir", "rename"] as const),
    edge: prng.pick(["before", "after"] as const),
  };
  return [{ kind: "crash", node, how, atMs, effect, downMs: drawSpanMs(prng) }];
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

/** A crash around some effect of a snapshot that is installed, of a checkpoint, or of a trim. */
function drawCrashInUpkeep(prng: Prng, _nodes: number, atMs: number): MishapDraft[] {
  const moment = prng.pick(["install", "install", "checkpoint", "trim"] as const);
  const seen = moment === "trim" ? "outside" : prng.pick(["outside", "outside", "inside"] as const);
  const effects = moment === "install" ? 30 : 14;
  const nth = seen === "inside" ? prng.pick([1, 1, 2]) : prng.between(1, effects);
  const how = prng.pick(["process", "power", "power"] as const);
  const downMs = prng.pick([1, 1, drawSpanMs(prng)]);
  return [{ kind: "crash-at-moment", moment, seen, nth, how, atMs, downMs }];
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

/** One node finds another disk: an empty one, on which it may come back, or an older image. */
function drawReplacement(prng: Prng, nodes: number, atMs: number): MishapDraft[] {
  const node = prng.below(nodes);
  const downMs = drawSpanMs(prng);
  const returns = prng.chance(3, 4);
  if (prng.chance(2, 3)) return [{ kind: "wipe", node, atMs, downMs, returns }];
  return [{ kind: "older-image", node, ageMs: prng.between(100, 10_000), atMs, downMs }];
}

/** The leader as often as any other: most of what is dangerous happens there. */
export function drawTarget(prng: Prng, nodes: number): Target {
  return prng.chance(2, 5) ? "leader" : prng.below(nodes);
}

/** Short enough to be within one term, long enough for several, or in between. */
function drawSpanMs(prng: Prng): number {
  return prng.pick([20, 150, 400, 1000, 2500, 5000]) + prng.below(500);
}

export function places(nodes: number): number[] {
  return Array.from({ length: nodes }, (_, place) => place);
}
