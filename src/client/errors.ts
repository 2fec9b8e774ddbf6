// What can go wrong, as a caller of the client sees it: one error class with a stable code and
// facts. Owns the reading of gRPC errors; what is retried is decided by whoever asked.

import { type ServiceError, status } from "@grpc/grpc-js";
import type { FaultCode } from "../base/faults.ts";
import { Malformed } from "../proto/fields.ts";
import { decodeRpcStatus, type RpcStatus, STATUS_DETAILS_TRAILER } from "../proto/rpc-status.ts";

/** The server's faults, and what only a client meets. */
export type CairnErrorCode =
  | FaultCode
  /** No connection, or it broke, or the other end is no Cairn. */
  | "unreachable"
  /** `close` was called. */
  | "closed";

export interface CairnErrorOptions {
  readonly facts?: Readonly<Record<string, string>>;
  readonly retryAfterMs?: number;
  readonly isOutcomeUnknown?: boolean;
  readonly cause?: unknown;
}

export class CairnError extends Error {
  override readonly name = "CairnError";
  readonly code: CairnErrorCode;
  /** What the server said about it, by name, as text. */
  readonly facts: Readonly<Record<string, string>>;
  /** When the server asks to be left alone for a while; else 0. */
  readonly retryAfterMs: number;
  /** Of an append: the records may be in the log all the same. */
  readonly isOutcomeUnknown: boolean;

  constructor(code: CairnErrorCode, message: string, options: CairnErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.facts = options.facts ?? {};
    this.retryAfterMs = options.retryAfterMs ?? 0;
    this.isOutcomeUnknown = options.isOutcomeUnknown ?? false;
  }
}

const DOMAIN = "cairnlog";

const FAULT_CODES: Readonly<Record<FaultCode, true>> = {
  "not-leader": true,
  overloaded: true,
  "outcome-unknown": true,
  "offset-out-of-range": true,
  "sequence-gap": true,
  "producer-fenced": true,
  "duplicate-forgotten": true,
  "end-offset-mismatch": true,
  "fenced-off": true,
  "change-refused": true,
  "cursor-mismatch": true,
  "cursor-not-found": true,
  "record-too-large": true,
  malformed: true,
  "permission-denied": true,
  unauthenticated: true,
  "not-serving": true,
  "disk-failed": true,
  "disk-full": true,
  damaged: true,
  "backup-ended": true,
  cancelled: true,
  "deadline-exceeded": true,
};

/** A call's failure: the server's own fault when it says so, else what the transport met. */
export function errorOfCall(error: ServiceError, address: string): CairnError {
  const details = detailsOf(error);
  const info = details?.details.find((detail) => detail.kind === "error-info");
  if (info?.domain === DOMAIN) {
    const code = info.reason.toLowerCase().replaceAll("_", "-");
    if (isFaultCode(code)) {
      const retry = details?.details.find((detail) => detail.kind === "retry-info");
      const retryAfterMs = retry?.retryDelayMs ?? 0;
      return new CairnError(code, error.details, { facts: info.metadata, retryAfterMs });
    }
  }
  const message = `${address}: ${error.details}`;
  if (error.code === status.CANCELLED) return new CairnError("cancelled", message);
  if (error.code === status.DEADLINE_EXCEEDED) return new CairnError("deadline-exceeded", message);
  return new CairnError("unreachable", message, { facts: { grpcStatus: String(error.code) } });
}

function detailsOf(error: ServiceError): RpcStatus | null {
  const bytes = error.metadata?.get(STATUS_DETAILS_TRAILER)[0];
  if (!(bytes instanceof Uint8Array)) return null;
  const read = decodeRpcStatus(bytes);
  return read instanceof Malformed ? null : read;
}

function isFaultCode(code: string): code is FaultCode {
  return Object.hasOwn(FAULT_CODES, code);
}

/** What is to be done about a failed attempt. */
export type Remedy =
  /** Nothing happened: try again, here or elsewhere. */
  | "retry"
  /** It may have happened: try again with the same sequence. */
  | "retry-in-doubt"
  /** Nothing happened and trying again cannot help. */
  | "give-up";

const REMEDIES: Readonly<Record<CairnErrorCode, Remedy>> = {
  "not-leader": "retry",
  overloaded: "retry",
  "not-serving": "retry",
  "disk-failed": "retry",
  "disk-full": "retry",
  "outcome-unknown": "retry-in-doubt",
  cancelled: "retry-in-doubt",
  "deadline-exceeded": "retry-in-doubt",
  unreachable: "retry-in-doubt",
  "offset-out-of-range": "give-up",
  "sequence-gap": "give-up",
  "producer-fenced": "give-up",
  "duplicate-forgotten": "give-up",
  "end-offset-mismatch": "give-up",
  "fenced-off": "give-up",
  "change-refused": "give-up",
  "cursor-mismatch": "give-up",
  "cursor-not-found": "give-up",
  "record-too-large": "give-up",
  malformed: "give-up",
  "permission-denied": "give-up",
  unauthenticated: "give-up",
  damaged: "give-up",
  "backup-ended": "give-up",
  closed: "give-up",
};

export function remedyOf(error: CairnError): Remedy {
  // The connection was not there when the attempt began: it cannot have happened.
  if (error.facts["sent"] === "no") return "retry";
  return REMEDIES[error.code];
}
