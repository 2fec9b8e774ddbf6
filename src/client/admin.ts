// Calls of the Admin service for callers of the client. Owns no routes and no retries.

import {
  type AdminStatus,
  decodeStatusResponse,
  decodeTrimResponse,
  encodeTrimRequest,
} from "../proto/cairn-admin.ts";
import { EMPTY_MESSAGE } from "../proto/log-v1.ts";
import type { CursorCall } from "./cursors.ts";

/** Asks whoever is asked for its own state. */
export function statusCall(signal: AbortSignal | undefined): CursorCall<AdminStatus> {
  return {
    signal,
    leader: false,
    isRepeatable: true,
    attempt: (channel, timeoutMs) =>
      channel.call("/cairn.v1.Admin/Status", EMPTY_MESSAGE, decodeStatusResponse, timeoutMs),
  };
}

/** The same trim twice is one: it may be repeated. */
export function trimCall(before: number, signal: AbortSignal | undefined): CursorCall<number> {
  const request = encodeTrimRequest(before);
  return {
    signal,
    leader: true,
    isRepeatable: true,
    attempt: (channel, timeoutMs) =>
      channel.call("/cairn.v1.Admin/Trim", request, decodeTrimResponse, timeoutMs),
  };
}
