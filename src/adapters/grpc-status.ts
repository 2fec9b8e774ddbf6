// A fault as grpc-js sends it: code, text, and the trailers with google.rpc details and the leader.
// What each fault means is decided in src/service/status.ts.

import { Metadata, type StatusObject } from "@grpc/grpc-js";
import type { Fault } from "../base/faults.ts";
import { encodeRpcStatus, STATUS_DETAILS_TRAILER, type StatusDetail } from "../proto/rpc-status.ts";
import { ERROR_DOMAIN, type StatusAnswer, statusOf } from "../service/status.ts";

/** Where the leader is, on answers that say "not here". */
export const LEADER_TRAILER = "cairn-leader";

/** A call's id: as the caller gives it, and on answers that the audit speaks of. */
export const REQUEST_ID = "x-request-id";

/** A plain object, no Error: nobody reads the stack of an expected failure. */
export function grpcStatusOf(fault: Fault, requestId: string | null = null): StatusObject {
  const answer = statusOf(fault);
  const { code, message } = answer;
  const metadata = new Metadata();
  const details = encodeRpcStatus({ code, message, details: detailsOf(answer) });
  metadata.set(STATUS_DETAILS_TRAILER, details);
  if (requestId !== null) metadata.set(REQUEST_ID, requestId);
  const { leaderAddress } = answer;
  if (leaderAddress !== null && isHeaderText(leaderAddress)) {
    metadata.set(LEADER_TRAILER, leaderAddress);
  }
  return { code, details: message, metadata };
}

function detailsOf(answer: StatusAnswer): StatusDetail[] {
  const { reason, facts, retryAfterMs, localized } = answer;
  const details: StatusDetail[] = [];
  // First: the book's client takes the first detail for the message to show.
  if (localized !== null) {
    details.push({ kind: "localized-message", locale: "en-US", message: localized });
  }
  details.push({ kind: "error-info", reason, domain: ERROR_DOMAIN, metadata: facts });
  if (retryAfterMs !== null) details.push({ kind: "retry-info", retryDelayMs: retryAfterMs });
  return details;
}

function isHeaderText(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}
