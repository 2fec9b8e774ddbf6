// What clients and operators do in a run, as data: a row of a plan for each. Owns the form of these
// rows; the whole plan is plan.ts, and who executes them is sim/workload.ts.

import { z } from "zod";

export const count = z.int().min(0);
export const perMille = z.int().min(0).max(1000);
/** A node by its place, or whoever leads when the moment comes. */
export const target = z.union([count, z.literal("leader")]);
export const targets = z.array(target).min(1);

const client = count.max(255);
const cursor = count.max(7);
/**
 * Of the node that answers: its own log, only while it leads, or with all that was acknowledged.
 */
const consistency = z.enum(["local", "leader", "linearizable"]).default("local");

/**
 * What clients do. `times` repeats it, `everyMs` after the one before has begun at the earliest.
 */
export const operation = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("append"),
    client,
    atMs: count,
    times: z.int().min(1).default(1),
    everyMs: count.default(0),
    records: z.int().min(1).max(1000).default(1),
    /** Of one record's value; at least 16 are used. */
    bytes: count.max(1_048_576).default(100),
    /** With a producer it is retried until its outcome is known; without, never. */
    producer: z.boolean().default(true),
    /** Appends only where the client believes the log ends. */
    guarded: z.boolean().default(false),
    /** Begins with an append that leaves a sequence out, and must be refused. */
    gap: z.boolean().default(false),
    /** Names the fencing token that the client set last; without, no fence keeps it out. */
    fenced: z.boolean().default(false),
  }),
  z.strictObject({
    kind: z.literal("read"),
    client,
    atMs: count,
    times: z.int().min(1).default(1),
    everyMs: count.default(0),
    node: target,
    /** Of the highest end offset that any client was told. */
    fromPerMille: perMille.default(0),
  }),
  z.strictObject({
    kind: z.literal("check-tail"),
    client,
    atMs: count,
    times: z.int().min(1).default(1),
    everyMs: count.default(0),
  }),
  /** Reads once, from a place that the node finds, as fresh as the client wants it to be. */
  z.strictObject({
    kind: z.literal("seek"),
    client,
    atMs: count,
    times: z.int().min(1).default(1),
    everyMs: count.default(0),
    node: target,
    by: z.enum(["offset", "time", "last"]),
    /** Of the highest end offset, or between the log times, that any client was told. */
    perMille: perMille.default(0),
    /** By "last": so many records before the end. */
    count: z.int().min(1).default(1),
    consistency,
  }),
  /** Copies the log of one node, part by part. */
  z.strictObject({
    kind: z.literal("backup"),
    client,
    atMs: count,
    times: z.int().min(1).default(1),
    everyMs: count.default(0),
    node: target,
    /** Asked for at once, and how long the client waits before it asks for more. */
    partBytes: z.int().min(1).max(1_048_576).default(16_384),
    pauseMs: count.max(1000).default(0),
  }),
  /** Moves a cursor forward, or deletes it, on condition that it is where the client believes. */
  z.strictObject({
    kind: z.literal("commit-cursor"),
    client,
    atMs: count,
    times: z.int().min(1).default(1),
    everyMs: count.default(0),
    /** Names it; clients may share one. */
    cursor,
    /** Forgotten about so long after, in log time; 0 for never. */
    ttlMs: count.default(0),
    guarded: z.boolean().default(true),
    drop: z.boolean().default(false),
  }),
  z.strictObject({
    kind: z.literal("fetch-cursor"),
    client,
    atMs: count,
    times: z.int().min(1).default(1),
    everyMs: count.default(0),
    cursor,
    node: target,
    consistency,
  }),
  /** Fences the log with a new token; guarded, on condition that the client set the last one. */
  z.strictObject({
    kind: z.literal("fence"),
    client,
    atMs: count,
    times: z.int().min(1).default(1),
    everyMs: count.default(0),
    guarded: z.boolean().default(false),
  }),
  /** Follows one node, waiting at the end of its log, until all is settled. */
  z.strictObject({
    kind: z.literal("stream"),
    client,
    atMs: count,
    node: count,
    fromPerMille: perMille.default(0),
  }),
  /** Asks whoever leads to let go of all but the last records that the client knows of. */
  z.strictObject({
    kind: z.literal("trim"),
    client,
    atMs: count,
    times: z.int().min(1).default(1),
    everyMs: count.default(0),
    keep: count,
  }),
  /** Admits a node, as a learner first; named by its place, as all that follow. */
  z.strictObject({
    kind: z.literal("add-member"),
    client,
    atMs: count,
    node: count,
    asVoter: z.boolean().default(true),
  }),
  z.strictObject({ kind: z.literal("remove-member"), client, atMs: count, node: target }),
  z.strictObject({ kind: z.literal("promote-member"), client, atMs: count, node: target }),
  z.strictObject({ kind: z.literal("demote-member"), client, atMs: count, node: target }),
  z.strictObject({
    kind: z.literal("replace-member"),
    client,
    atMs: count,
    node: target,
    /** Who takes over; the same for one that was wiped. */
    withNode: target,
  }),
  /** Any membership in one request. */
  z.strictObject({
    kind: z.literal("set-members"),
    client,
    atMs: count,
    voters: z.array(count),
    learners: z.array(count).default([]),
  }),
  /** Makes another voter lead; null: whichever is the most caught up. */
  z.strictObject({
    kind: z.literal("transfer"),
    client,
    atMs: count,
    times: z.int().min(1).default(1),
    everyMs: count.default(0),
    to: count.nullable().default(null),
    /** Waits until members are being exchanged, by so many milliseconds after `atMs` at most. */
    inJointMs: count.default(0),
  }),
]);
