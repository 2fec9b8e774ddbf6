// The one table from fault to HTTP status for the REST endpoints: which status, and the JSON object
// in the body, with the same code, reason and facts as gRPC has. A fault that is missing here does
// not compile. Owns no sockets.

import type { Fault, FaultCode } from "../base/faults.ts";
import { statusOf } from "./status.ts";

/** docs/rest.md has the same. */
export const HTTP_STATUS: Readonly<Record<FaultCode, number>> = {
  // "Misdirected": ask the node that the body names.
  "not-leader": 421,
  overloaded: 429,
  "outcome-unknown": 500,
  "offset-out-of-range": 404,
  "sequence-gap": 409,
  "producer-fenced": 409,
  "duplicate-forgotten": 409,
  "end-offset-mismatch": 409,
  "fenced-off": 409,
  "change-refused": 409,
  "cursor-mismatch": 409,
  "cursor-not-found": 404,
  "record-too-large": 413,
  malformed: 400,
  "permission-denied": 403,
  unauthenticated: 401,
  "not-serving": 503,
  "disk-failed": 500,
  "disk-full": 507,
  damaged: 500,
  "backup-ended": 409,
  // Nobody reads it: the caller has left.
  cancelled: 499,
  "deadline-exceeded": 504,
};

/** What `error` holds in the body of an answer that is none. */
export interface HttpError {
  /** As gRPC's, 404 for an offset that is not in the log. */
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly facts: Readonly<Record<string, string>>;
  readonly retryAfterMs?: number;
  readonly leader?: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly error: HttpError;
}

export function httpAnswerOf(fault: Fault): HttpAnswer {
  const { code, reason, message, facts, retryAfterMs, leaderAddress } = statusOf(fault);
  const delay = retryAfterMs === null ? {} : { retryAfterMs };
  const leader = leaderAddress === null ? {} : { leader: leaderAddress };
  // Without a leader there is no other node to ask: the same one may soon be it.
  const isElecting = fault.code === "not-leader" && fault.leader === null;
  const status = isElecting ? 503 : HTTP_STATUS[fault.code];
  return { status, error: { code, reason, message, facts, ...delay, ...leader } };
}
