// The one table from fault to gRPC status: code, text, and what goes into the details and trailers.
// A fault that is missing here does not compile. Owns no encoding (src/proto/rpc-status.ts).

import type { Fault, FaultCode } from "../base/faults.ts";

/** gRPC's canonical codes, and the book's own for an offset that is not in the log. */
export const GRPC = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
  offsetOutOfRange: 404,
} as const;

/** Domain of every ErrorInfo of ours. */
export const ERROR_DOMAIN = "cairnlog";

interface Row {
  readonly code: number;
  readonly message: string;
  readonly retryAfterMs?: number;
  /** For people, in English (en-US). */
  readonly localized?: string;
}

type Table = { readonly [Code in FaultCode]: (fault: Extract<Fault, { code: Code }>) => Row };

const ELECTION_RETRY_MS = 100;
const OPENING_RETRY_MS = 250;
const DISK_FULL_RETRY_MS = 5_000;

const table: Table = {
  // The same node will refuse again, so no UNAVAILABLE, which generic clients retry where they are.
  "not-leader": ({ leader, address }) =>
    leader === null
      ? {
          code: GRPC.unavailable,
          message: "node is not the leader: no leader is known, try again",
          retryAfterMs: ELECTION_RETRY_MS,
        }
      : {
          code: GRPC.failedPrecondition,
          message: `node is not the leader: ask ${leader} at ${address ?? "an unknown address"}`,
        },
  overloaded: ({ what, retryAfterMs }) => ({
    code: GRPC.resourceExhausted,
    message: `overloaded: ${what}; nothing happened, try again in ${retryAfterMs} ms`,
    retryAfterMs,
  }),
  // Neither UNAVAILABLE nor ABORTED: both read as "it did not happen" to generic retries.
  "outcome-unknown": () => ({
    code: GRPC.unknown,
    message: "outcome unknown: the records may or may not be in the log",
  }),
  "offset-out-of-range": ({ offset }) => ({
    code: GRPC.offsetOutOfRange,
    message: `offset out of range: ${offset}`,
    localized: `The requested offset is outside of the log: ${offset}`,
  }),
  "sequence-gap": ({ expected, sequence }) => ({
    code: GRPC.aborted,
    message: `sequence ${sequence} is beyond the producer's next one, ${expected}`,
  }),
  "producer-fenced": ({ epoch, currentEpoch }) => ({
    code: GRPC.failedPrecondition,
    message: `producer epoch ${epoch} is fenced by epoch ${currentEpoch}`,
  }),
  "duplicate-forgotten": ({ sequence }) => ({
    code: GRPC.alreadyExists,
    message: `sequence ${sequence} is in the log already, too long ago to know its offset`,
  }),
  "end-offset-mismatch": ({ expected, endOffset }) => ({
    code: GRPC.aborted,
    message: `the log ends at ${endOffset}, not at the expected ${expected}`,
  }),
  // The token is not told: it is what keeps others out.
  "fenced-off": () => ({
    code: GRPC.failedPrecondition,
    message: "the log is fenced with another token: somebody else writes now",
  }),
  "cursor-mismatch": ({ expected, offset }) => ({
    code: GRPC.aborted,
    message: `the cursor is at ${offset ?? "no offset"}, not at the expected ${expected}`,
  }),
  "cursor-not-found": ({ name }) => ({
    code: GRPC.notFound,
    message: `no cursor is named ${name}, or it has expired`,
  }),
  "record-too-large": ({ bytes, bytesMax }) => ({
    code: GRPC.invalidArgument,
    message: `record of ${bytes} bytes is too large, the most is ${bytesMax}`,
  }),
  malformed: ({ what }) => ({ code: GRPC.invalidArgument, message: `malformed request: ${what}` }),
  "permission-denied": ({ subject, action, object }) => ({
    code: GRPC.permissionDenied,
    message: `${subject} not permitted to ${action} to ${object}`,
  }),
  unauthenticated: ({ what }) => ({ code: GRPC.unauthenticated, message: what }),
  "not-serving": ({ state }) => ({
    code: GRPC.unavailable,
    message: `node is ${state}: ask another one, or try again`,
    retryAfterMs: OPENING_RETRY_MS,
  }),
  "disk-failed": ({ operation, message }) => ({
    code: GRPC.internal,
    message: `the node's disk failed (${operation}: ${message}): ask another node`,
  }),
  "disk-full": () => ({
    code: GRPC.resourceExhausted,
    message: "the node's disk is full: nothing was written, reads go on",
    retryAfterMs: DISK_FULL_RETRY_MS,
  }),
  damaged: ({ file, position, what }) => ({
    code: GRPC.dataLoss,
    message: `damage in ${file} at ${position}: ${what}`,
  }),
  "change-refused": ({ what }) => ({ code: GRPC.failedPrecondition, message: what }),
  "backup-ended": ({ what }) => ({ code: GRPC.aborted, message: `the backup has ended: ${what}` }),
  cancelled: () => ({ code: GRPC.cancelled, message: "cancelled by the caller" }),
  "deadline-exceeded": () => ({ code: GRPC.deadlineExceeded, message: "deadline exceeded" }),
};

/** A fault as gRPC shall show it, not encoded yet. */
export interface StatusAnswer {
  readonly code: number;
  readonly message: string;
  /** Of the ErrorInfo. */
  readonly reason: string;
  /** The fault's other fields, as text; those that are null are left out. */
  readonly facts: Readonly<Record<string, string>>;
  /** Of the RetryInfo, or null for none. */
  readonly retryAfterMs: number | null;
  /** Of the LocalizedMessage, en-US, or null for none. */
  readonly localized: string | null;
  /** Where the leader is, for the `cairn-leader` trailer, or null. */
  readonly leaderAddress: string | null;
}

export function statusOf(fault: Fault): StatusAnswer {
  const describe = table[fault.code] as (fault: Fault) => Row;
  const { code, message, retryAfterMs, localized } = describe(fault);
  return {
    code,
    message,
    reason: reasonOf(fault.code),
    facts: factsOf(fault),
    retryAfterMs: retryAfterMs ?? null,
    localized: localized ?? null,
    leaderAddress: fault.code === "not-leader" ? fault.address : null,
  };
}

/** A fault's code as ErrorInfo spells it: `not-leader` is NOT_LEADER. */
export function reasonOf(code: FaultCode): string {
  return code.toUpperCase().replaceAll("-", "_");
}

function factsOf(fault: Fault): Record<string, string> {
  const facts: Record<string, string> = {};
  for (const [name, value] of Object.entries(fault)) {
    if (name !== "code" && value !== null) facts[name] = String(value);
  }
  return facts;
}
