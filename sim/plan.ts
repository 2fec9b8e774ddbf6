// A run as data: everything that will be tried, with its instants, and the seed of every draw made
// on the way. A plan and nothing else determines a run. Owns the form of plans and their codec;
// plans are drawn from seeds in sim/swarm.ts and executed by sim/world.ts. Times are whole
// milliseconds.

import { z } from "zod";
import { count, operation, perMille, target, targets } from "./plan-operations.ts";

const options = z
  .strictObject({
    electionTimeoutMinMs: z.int().min(1).default(150),
    electionTimeoutMaxMs: z.int().min(2).default(300),
    heartbeatIntervalMs: z.int().min(1).default(50),
    appendBytesMax: z.int().min(1).default(65_536),
    appendsInFlightMax: z.int().min(1).default(8),
    commitNoticeMicros: z.int().min(0).default(0),
    /** 1: a lost link to the leader means nothing to a follower's patience. */
    lostLeaderDivisor: z.int().min(1).default(1),
    uncommittedBytesMax: z.int().min(1).default(4_194_304),
    readsWaitingMax: z.int().min(1).default(256),
    segmentBytesMax: z.int().min(1024).default(65_536),
    indexEntriesMax: z.int().min(16).default(1024),
    preallocateBytes: count.default(16_384),
    cacheBytesMax: count.default(65_536),
    recordBytesMax: z.int().min(1).default(65_536),
    batchBytesMax: z.int().min(1).default(262_144),
    mailboxEventsMax: z.int().min(1).default(256),
    turnEventsMax: z.int().min(1).default(64),
    requestsWaitingMax: z.int().min(1).default(1024),
    producersMax: z.int().min(1).default(1024),
    redialMinMs: z.int().min(1).default(50),
    redialMaxMs: z.int().min(1).default(1000),
    autoReplaceWiped: z.boolean().default(true),
    /** 0: sealed segments are never read again unasked. */
    scrubBytesPerSecond: count.default(0),
    scrubEveryMs: z.int().min(1).default(10_000),
    retentionBytes: z.int().min(1).nullable().default(null),
    retentionMs: z.int().min(1).nullable().default(null),
  })
  .prefault({});

const network = z
  .strictObject({
    delayMinMicros: count.default(200),
    /** Added to the least delay: drawn from an integer table with this mean. */
    delayMeanMicros: count.default(800),
    dropPerMille: perMille.default(0),
    duplicatePerMille: perMille.default(0),
    /** Of the duplicates, those that come seconds later, perhaps terms later. */
    replayPerMille: perMille.default(0),
    /** Frames that may overtake, and be overtaken by, others of their link. */
    reorderPerMille: perMille.default(0),
    /** A sender's own buffer: what finds no room there is refused. */
    linkFramesMax: z.int().min(1).default(256),
    /** Room on the way: each path draws its own up to this; 0 for as much as there is. */
    transitFramesMax: count.default(0),
    /** Which frame a full path throws away. */
    overflow: z.enum(["oldest", "newest"]).default("oldest"),
    /** Requests and answers of clients that are lost, each way. */
    clientDropPerMille: perMille.default(0),
    /** Requests and answers of clients that come up to a second late. */
    clientLatePerMille: perMille.default(0),
  })
  .prefault({});

const disk = z
  .strictObject({
    operationMeanMicros: count.default(40),
    syncMeanMicros: count.default(1000),
    /** Operations that take a hundred times as long. */
    slowPerMille: perMille.default(0),
    /** Of all files together; 0 for as much as there is. */
    capacityBytes: count.default(0),
  })
  .prefault({});

/**
 * Nobody is told who the members are: nodes find each other by gossip, and found a cluster once
 * `expect` of them have met, the first ones by place. Those after them expect nobody, gossip from
 * `lateMs` on, and become members by that alone. Datagrams and streams of gossip have a fate of
 * their own.
 */
const discovery = z.strictObject({
  expect: z.int().min(1),
  lateMs: count.default(0),
  /** Nodes that each one tries to join, by place. */
  contacts: z.array(count).min(1).default([0]),
  delayMinMicros: count.default(200),
  delayMeanMicros: count.default(800),
  dropPerMille: perMille.default(0),
  duplicatePerMille: perMille.default(0),
  dialFailPerMille: perMille.default(0),
});

/**
 * A node that fails for ever at the moment at which all others are healed: without power, standing
 * still, cut off, hearing nobody, heard by nobody, or on a disk that completes nothing.
 */
const outsider = z.strictObject({
  node: target,
  how: z.enum(["power", "pause", "cut", "deaf", "silent", "disk-hang"]),
});

/** Waits for the nth operation of that kind taking effect on the node's disk after `atMs`. */
const effect = z.strictObject({
  nth: z.int().min(1),
  of: z.enum(["any", "create", "write-at", "sync", "sync-dir", "rename", "unlink"]),
  edge: z.enum(["before", "after"]),
});

/** The frames that a rule may name; a heartbeat is an append-request without entries. */
const FRAME_KINDS = [
  "any",
  "hello",
  "pre-vote-request",
  "pre-vote-reply",
  "vote-request",
  "vote-reply",
  "heartbeat",
  "append-request",
  "append-reply",
] as const;

/** The dangerous moments; of an installation, a checkpoint and a trim each effect is one. */
const MOMENTS = [
  "vote-durable",
  "first-commit",
  "segment-roll",
  "truncation",
  "election-won",
  "install",
  "checkpoint",
  "trim",
] as const;

const mishap = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("crash"),
    node: target,
    how: z.enum(["process", "power"]),
    atMs: count,
    effect: effect.nullable().default(null),
    downMs: count,
  }),
  z.strictObject({ kind: z.literal("stop"), node: target, atMs: count, downMs: count }),
  /**
   * Strikes whoever comes to the nth such moment after `atMs`: as it is told from outside, by disks
   * and turns (sim/moments.ts), or at a fault site inside the node, before anything of that turn is
   * performed (src/ports/fault-sites.ts). An election is won inside only, a trim seen outside only.
   */
  z.strictObject({
    kind: z.literal("crash-at-moment"),
    moment: z.enum(MOMENTS),
    seen: z.enum(["outside", "inside"]).default("outside"),
    nth: z.int().min(1).default(1),
    how: z.enum(["process", "power"]),
    atMs: count,
    downMs: count,
  }),
  /** The process takes no turns; its sockets fill and its disk finishes what it was told. */
  z.strictObject({ kind: z.literal("pause"), node: target, atMs: count, forMs: count }),
  /** The wall clock jumps, forward or back, and goes on from there. */
  z.strictObject({ kind: z.literal("wall-step"), node: target, atMs: count, byMs: z.int() }),
  /** The wall clock stands still, and then shows the right time again. */
  z.strictObject({ kind: z.literal("frozen-wall"), node: target, atMs: count, forMs: count }),
  /** Nothing passes between `side` and the others. */
  z.strictObject({ kind: z.literal("partition"), side: targets, atMs: count, forMs: count }),
  /** Nothing passes from `from` to `to`; the other way is open. */
  z.strictObject({
    kind: z.literal("one-way"),
    from: targets,
    to: targets,
    atMs: count,
    forMs: count,
  }),
  /** Nothing passes between the two of each pair: bridges, rings and what chance makes. */
  z.strictObject({
    kind: z.literal("pairs-cut"),
    pairs: z.array(z.tuple([count, count])).min(1),
    atMs: count,
    forMs: count,
  }),
  /** What goes to a node or comes from it is held, and let go at the end. */
  z.strictObject({ kind: z.literal("clog"), node: target, atMs: count, forMs: count }),
  /** Its connections are made and nobody says hello on them. */
  z.strictObject({ kind: z.literal("mute"), node: target, atMs: count, forMs: count }),
  /** Connections that it dials, or others to it, are neither made nor refused. */
  z.strictObject({ kind: z.literal("unanswered"), node: target, atMs: count, forMs: count }),
  /**
   * Decides about single frames, after the first `skip` of them and for the next `count`; the first
   * rule in force that fits one decides. With both dwell times, in force for `faultMs`, then not
   * for `healthMs`, and so on.
   */
  z.strictObject({
    kind: z.literal("rule"),
    /** Null: anybody. */
    from: targets.nullable().default(null),
    to: targets.nullable().default(null),
    message: z.enum(FRAME_KINDS).default("any"),
    verdict: z.enum(["pass", "deliver-after", "drop"]),
    afterMs: count.default(0),
    skip: count.default(0),
    count: z.int().min(1).nullable().default(null),
    faultMs: count.default(0),
    healthMs: count.default(0),
    atMs: count,
    forMs: count,
  }),
  /** The node loses all its links, and whoever is at their other ends learns of it at the end. */
  z.strictObject({ kind: z.literal("half-close"), node: target, atMs: count, forMs: count }),
  /** Bits of frames flip on their way. */
  z.strictObject({
    kind: z.literal("corruption"),
    flipPerMille: perMille,
    atMs: count,
    forMs: count,
  }),
  /** The whole network is worse for a while. */
  z.strictObject({
    kind: z.literal("storm"),
    atMs: count,
    forMs: count,
    dropPerMille: perMille,
    delayTimes: z.int().min(1).max(1000),
  }),
  z.strictObject({
    kind: z.literal("slow-disk"),
    node: target,
    atMs: count,
    forMs: count,
    times: z.int().min(1).max(1000),
  }),
  /** A disk completes nothing, or one change, until its node is killed, `forMs` later. */
  z.strictObject({
    kind: z.literal("disk-hang"),
    node: target,
    of: z.enum(["all", "next-change"]),
    atMs: count,
    forMs: count,
    downMs: count,
  }),
  /**
   * Bits of what is durable flip: where a node may be lost by it, only as far as the atlas allows
   * (sim/disk-atlas.ts).
   */
  z.strictObject({
    kind: z.literal("bit-rot"),
    node: target,
    file: z.enum(["store", "index", "checkpoint", "manifest", "hard-state"]),
    bits: z.int().min(1).max(64),
    atMs: count,
  }),
  /**
   * A write to a store, the hard state or the manifest is acknowledged and never reaches the medium
   * ("phantom") or lands somewhere else ("misdirected"); or a sync of the directory leaves names
   * that are not durable ("names"). It is the nth after `atMs`, where the atlas allows it.
   */
  z.strictObject({
    kind: z.literal("lost-write"),
    node: target,
    how: z.enum(["phantom", "misdirected", "names"]),
    nth: z.int().min(1).default(1),
    atMs: count,
  }),
  /**
   * A node loses its power and finds an empty disk: as soon after `atMs` as the others hold every
   * committed entry. It stays down, unless it `returns`: under its old name, as another instance.
   */
  z.strictObject({
    kind: z.literal("wipe"),
    node: target,
    atMs: count,
    downMs: count,
    returns: z.boolean().default(false),
  }),
  /** The same with the disk as it was `ageMs` before; who returns to it is the voter it was. */
  z.strictObject({
    kind: z.literal("older-image"),
    node: count,
    ageMs: z.int().min(1),
    atMs: count,
    downMs: count,
    returns: z.boolean().default(false),
  }),
  /**
   * A disk refuses, or reads wrong what is right on the medium ("misread"); a node that gave up
   * because of it is started again `restartMs` later.
   */
  z.strictObject({
    kind: z.literal("disk-error"),
    node: target,
    error: z.enum(["read", "write", "sync", "full", "misread"]),
    failPerMille: perMille,
    atMs: count,
    forMs: count,
    restartMs: count,
  }),
]);

const planForm = z
  .strictObject({
    format: z.literal(1),
    /** Names every stream of chance of the run: delays, losses, what crashes leave, timeouts. */
    seed: z.string().min(1),
    /** Why somebody kept this plan. */
    why: z.array(z.string()).default([]),
    nodes: z.int().min(1).max(7),
    /** The first so many found the cluster, the others wait to be admitted; null: all found it. */
    founders: z.int().min(1).nullable().default(null),
    options,
    network,
    disk,
    discovery: discovery.nullable().default(null),
    /** How far each node's wall clock is ahead, in place order; absent means exact. */
    wallAheadMs: z.array(z.int()).default([]),
    /** How fast each node's monotonic clock runs, likewise: parts per million too fast. */
    driftPpm: z.array(z.int().min(-100_000).max(100_000)).default([]),
    operations: z.array(operation),
    mishaps: z.array(mishap),
    /** From here on no mishap is left but these nodes, and the others must recover. */
    healAtMs: count,
    /** A minority. */
    outside: z.array(outsider).default([]),
    /**
     * Whether the atlas bounds what disks may lose (sim/disk-atlas.ts). Where it does not, nodes
     * are started on whatever is left, and losses explained rather than failed (sim/beyond.ts).
     */
    bounded: z.boolean().default(true),
    /** Virtual time that it may take. */
    settleMs: z.int().min(1).default(60_000),
  })
  .superRefine((plan, context) => {
    const misfit = (path: (string | number)[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    const { electionTimeoutMinMs, electionTimeoutMaxMs } = plan.options;
    if (electionTimeoutMaxMs <= electionTimeoutMinMs)
      misfit(["options", "electionTimeoutMaxMs"], "must be above electionTimeoutMinMs");
    const isNode = (place: number | "leader") => place === "leader" || place < plan.nodes;
    for (const [at, planned] of plan.operations.entries())
      if ("node" in planned && !isNode(planned.node))
        misfit(["operations", at, "node"], `there are ${plan.nodes} nodes, the first is 0`);
    if ((plan.founders ?? 0) > plan.nodes) misfit(["founders"], `there are ${plan.nodes} nodes`);
    for (const [at, planned] of plan.operations.entries())
      if (!placesOf(planned).every(isNode))
        misfit(["operations", at], `there are ${plan.nodes} nodes, the first is 0`);
    const streaming = plan.operations.filter(({ kind }) => kind === "stream");
    for (const stream of streaming)
      if (plan.operations.filter(({ client }) => client === stream.client).length > 1)
        misfit(["operations"], `client ${stream.client} has a stream and may do nothing else`);
    const { discovery: found } = plan;
    const founders = plan.founders ?? plan.nodes;
    if (found !== null && found.expect !== founders)
      misfit(["discovery", "expect"], `checkers expect all ${founders} founders to found`);
    if (found !== null && !found.contacts.every(isNode))
      misfit(["discovery", "contacts"], `there are ${plan.nodes} nodes, the first is 0`);
    const outside = new Set<Target>(plan.outside.map(({ node }) => node));
    if (outside.size < plan.outside.length) misfit(["outside"], "a node fails in one way");
    if (outside.size > Math.floor(((plan.founders ?? plan.nodes) - 1) / 2))
      misfit(["outside"], "the nodes that are left must be a quorum");
    for (const node of outside)
      if (!isNode(node)) misfit(["outside"], `there are ${plan.nodes} nodes, the first is 0`);
    for (const [at, planned] of plan.mishaps.entries())
      if (!targetsOf(planned).every(isNode))
        misfit(["mishaps", at], `there are ${plan.nodes} nodes, the first is 0`);
  });

/** A run as data, every default filled in; see planOf. */
export type Plan = Readonly<z.infer<typeof planForm>>;
export type NetworkProfile = Readonly<z.infer<typeof network>>;
export type DiskProfile = Readonly<z.infer<typeof disk>>;
/** One line of what clients do. */
export type PlannedOperation = Readonly<z.infer<typeof operation>>;
/** One thing that goes wrong, and when. */
export type PlannedMishap = Readonly<z.infer<typeof mishap>>;
export type PlannedOutsider = Readonly<z.infer<typeof outsider>>;
export type PlannedEffect = Readonly<z.infer<typeof effect>>;
export type Target = z.infer<typeof target>;
/** A plan as people write it: what has a default may be left out. */
export type PlanDraft = Readonly<z.input<typeof planForm>>;

/** The nodes that an operation names besides its "node". */
function placesOf(planned: PlannedOperation): readonly Target[] {
  switch (planned.kind) {
    case "set-members":
      return [...planned.voters, ...planned.learners];
    case "replace-member":
      return [planned.withNode];
    case "transfer":
      return planned.to === null ? [] : [planned.to];
    default:
      return [];
  }
}

/** All nodes that a mishap names. */
function targetsOf(mishap: PlannedMishap): readonly Target[] {
  switch (mishap.kind) {
    case "partition":
      return mishap.side;
    case "one-way":
      return [...mishap.from, ...mishap.to];
    case "rule":
      return [...(mishap.from ?? []), ...(mishap.to ?? [])];
    case "pairs-cut":
      return mishap.pairs.flat();
    case "storm":
    case "corruption":
    case "crash-at-moment":
      return [];
    default:
      return [mishap.node];
  }
}

/** Thrown by decodePlan: every misfit with its place in the plan, one a line. */
export class BadPlan extends Error {
  override readonly name = "BadPlan";
}

/** Fills in what was left out and checks the rest; throws BadPlan. */
export function planOf(draft: unknown): Plan {
  const parsed = planForm.safeParse(draft);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => {
    const place = issue.path.map(String).join(".");
    return `${place === "" ? "the plan" : place}: ${issue.message}`;
  });
  throw new BadPlan(lines.join("\n"));
}

/** Reads a plan file; throws BadPlan. */
export function decodePlan(text: string): Plan {
  let draft: unknown;
  try {
    draft = JSON.parse(text);
  } catch (error) {
    throw new BadPlan(`not JSON: ${(error as Error).message}`);
  }
  return planOf(draft);
}

/**
 * One line per operation and mishap, keys in the order of the form: equal plans give equal text.
 */
export function encodePlan(plan: Plan): string {
  return encodeDraft(planForm.parse(plan));
}

/** The same for a plan in which something is left out. */
export function encodeDraft(draft: PlanDraft): string {
  const rows = (list: readonly unknown[]) =>
    list.length === 0
      ? "[]"
      : `[\n${list.map((row) => `    ${JSON.stringify(row)}`).join(",\n")}\n  ]`;
  const parts = Object.entries(draft).map(([key, value]) => {
    const text = ["operations", "mishaps", "outside", "why"].includes(key)
      ? rows(value as unknown[])
      : JSON.stringify(value);
    return `  ${JSON.stringify(key)}: ${text}`;
  });
  return `{\n${parts.join(",\n")}\n}\n`;
}
