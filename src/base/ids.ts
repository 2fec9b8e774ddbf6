// The numbers and names every floor shares, each with a brand of its own, so that an index can
// never be handed where an offset was meant. Owns no behaviour beyond the checked makers.

declare const brand: unique symbol;
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A member's name, unique in its cluster, as given by the operator (`--node-name`). */
export type NodeId = Brand<string, "NodeId">;
/**
 * A member as Raft counts it: a name and the instance of its data directory (membership.ts), opaque
 * to consensus. No NodeId: what is looked up by the one is never found by the other.
 */
export type MemberId = Brand<string, "MemberId">;
/** Raft's term: a whole number, 0 before the first election. */
export type Term = Brand<number, "Term">;
/** Place in the Raft log, from 1; counts control entries too. 0 means "before the log". */
export type LogIndex = Brand<number, "LogIndex">;
/** Place among the records clients see, from 0, without gaps. */
export type Offset = Brand<number, "Offset">;
/** A byte address in a file. */
export type Position = Brand<number, "Position">;
/** Microseconds on a node's own monotonic clock: a whole number, comparable on that node only. */
export type Instant = Brand<number, "Instant">;
/** A span of time in whole microseconds. */
export type Micros = Brand<number, "Micros">;
/** Milliseconds since 1970 by a wall clock, or by the log's own time. */
export type WallMs = Brand<number, "WallMs">;
/** Names one LogWrite; grows by one with each, never reused within a run. */
export type WriteId = Brand<number, "WriteId">;
/** Names one disk operation; never reused within a run. */
export type OpId = Brand<number, "OpId">;
/** Names one client request at one node; given by whoever asks, never reused within a run. */
export type RequestId = Brand<number, "RequestId">;
/** Names one connection at one node; given by the network port, never reused within a run. */
export type LinkId = Brand<number, "LinkId">;
/**
 * Names one TCP connection of gossip at one node, never reused within a run. The machine takes odd
 * numbers for what it dials (1, 3, 5...), its host even ones for what it accepted (2, 4, 6...).
 */
export type StreamId = Brand<number, "StreamId">;

/** The instant that never comes: the deadline of a machine that waits for nothing. */
export const NEVER = Number.MAX_SAFE_INTEGER as Instant;
/** The place before the first entry. */
export const NO_INDEX = 0 as LogIndex;
/** The term before the first election. */
export const NO_TERM = 0 as Term;

/** True for the whole numbers 0 .. 2^53-1: all that an index, offset, term or position may be. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Milliseconds as microseconds. */
export function millis(count: number): Micros {
  return Math.round(count * 1000) as Micros;
}

/** The instant `span` after `at`. */
export function after(at: Instant, span: Micros): Instant {
  return (at + span) as Instant;
}

/** The earlier of two instants. */
export function earlier(a: Instant, b: Instant): Instant {
  return a <= b ? a : b;
}
