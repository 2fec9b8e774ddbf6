// Expected failures: values with a code, answered and never thrown. `caller` marks misuse, which
// the same request will meet again. The one table from fault to gRPC status is
// src/service/status.ts.

import type { LogIndex, NodeId, Offset } from "./ids.ts";

export type Fault =
  /** Only the leader does this; `leader` is a hint, with its address when known. */
  | { readonly code: "not-leader"; readonly leader: NodeId | null; readonly address: string | null }
  /** A bound was reached; nothing happened, try again after the delay. */
  | { readonly code: "overloaded"; readonly what: string; readonly retryAfterMs: number }
  /** The append may or may not be in the log: retry it with the same producer and sequence. */
  | { readonly code: "outcome-unknown" }
  | {
      readonly code: "offset-out-of-range";
      readonly offset: number;
      readonly startOffset: Offset;
      readonly endOffset: Offset;
    }
  /** The sequence is beyond the producer's next one. */
  | { readonly code: "sequence-gap"; readonly expected: number; readonly sequence: number }
  /** A newer epoch of this producer has written. */
  | { readonly code: "producer-fenced"; readonly epoch: number; readonly currentEpoch: number }
  /** The sequence was accepted once, too long ago to still know its offset. */
  | { readonly code: "duplicate-forgotten"; readonly sequence: number }
  | { readonly code: "end-offset-mismatch"; readonly expected: number; readonly endOffset: Offset }
  /** The log is fenced with another token than the append's. */
  | { readonly code: "fenced-off" }
  /** The cursor is not where the commit expected it; null for none. */
  | {
      readonly code: "cursor-mismatch";
      readonly expected: number;
      readonly offset: Offset | null;
    }
  | { readonly code: "cursor-not-found"; readonly name: string }
  | { readonly code: "record-too-large"; readonly bytes: number; readonly bytesMax: number }
  | { readonly code: "malformed"; readonly what: string }
  | {
      readonly code: "permission-denied";
      readonly subject: string;
      readonly action: string;
      readonly object: string;
    }
  | { readonly code: "unauthenticated"; readonly what: string }
  /** The node has not recovered its log yet, or is going away. */
  | { readonly code: "not-serving"; readonly state: "opening" | "stopping" | "stopped" }
  /** The disk refused or lost a write: the node no longer acknowledges anything. */
  | { readonly code: "disk-failed"; readonly operation: string; readonly message: string }
  | { readonly code: "disk-full" }
  | {
      readonly code: "damaged";
      readonly file: string;
      readonly position: number;
      readonly what: string;
    }
  /** A change of membership or leadership that cannot be, or was given up; `what` says why. */
  | { readonly code: "change-refused"; readonly what: string }
  /** A backup was given up before its end; `what` says why. What was sent of it is no backup. */
  | { readonly code: "backup-ended"; readonly what: string }
  | { readonly code: "cancelled" }
  | { readonly code: "deadline-exceeded" };

export type FaultCode = Fault["code"];

const CALLER_FAULTS: ReadonlySet<FaultCode> = new Set([
  "offset-out-of-range",
  "sequence-gap",
  "producer-fenced",
  "duplicate-forgotten",
  "end-offset-mismatch",
  "fenced-off",
  "cursor-mismatch",
  "cursor-not-found",
  "record-too-large",
  "malformed",
  "permission-denied",
  "unauthenticated",
  "cancelled",
]);

/** True when the request itself is at fault, so that sending it again cannot help. */
export function isCallerFault(fault: Fault): boolean {
  return CALLER_FAULTS.has(fault.code);
}

/** What recovery found wrong with bytes that were once acknowledged. Never silently cut. */
export interface Damage {
  readonly file: string;
  readonly position: number;
  readonly what: string;
  /** First index that is lost or unreadable, where known. */
  readonly index: LogIndex | null;
}
