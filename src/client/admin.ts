// Calls of the Admin service for callers of the client. Owns no routes and no retries.

import {
  type AdminChange,
  type AdminStatus,
  type Departure,
  decodeStatusResponse,
  decodeTrimResponse,
  encodeChange,
  encodeDeparture,
  encodeTransferRequest,
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

/** How long one change may take: a new member catches up meanwhile. */
const CHANGE_TIMEOUT_MS = 600_000;

/** What is done already is done: it may be repeated. */
export function changeCall(
  change: AdminChange,
  signal: AbortSignal | undefined,
): CursorCall<undefined> {
  return adminCall("ChangeMembership", encodeChange(change), signal);
}

/** To nobody in particular it is not the same twice: leadership would go on and on. */
export function transferCall(
  to: string | null,
  signal: AbortSignal | undefined,
): CursorCall<undefined> {
  const call = adminCall("TransferLeadership", encodeTransferRequest(to ?? ""), signal);
  return { ...call, isRepeatable: to !== null };
}

/** Asks whoever is asked to leave: the one that is named, or nothing happens. */
export function leaveCall(name: string, signal: AbortSignal | undefined): CursorCall<undefined> {
  const call = adminCall("Leave", encodeDeparture({ name, prune: false }), signal);
  return { ...call, leader: false, isRepeatable: false };
}

export function forceLeaveCall(
  departure: Departure,
  signal: AbortSignal | undefined,
): CursorCall<undefined> {
  const call = adminCall("ForceLeave", encodeDeparture(departure), signal);
  return { ...call, leader: false };
}

function adminCall(
  method: string,
  request: Buffer,
  signal: AbortSignal | undefined,
): CursorCall<undefined> {
  const nothing = () => undefined;
  return {
    signal,
    leader: true,
    isRepeatable: true,
    attempt: (channel) =>
      channel.call(`/cairn.v1.Admin/${method}`, request, nothing, CHANGE_TIMEOUT_MS),
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
