// Calls of the Admin service for callers of the client. Owns no routes and no retries.

import {
  type AdminChange,
  type AdminStatus,
  type Departure,
  decodeKeysResponse,
  decodeRoundTrip,
  decodeStatusResponse,
  decodeTrimResponse,
  encodeChange,
  encodeDeparture,
  encodeKeysRequest,
  encodeRoundTripRequest,
  encodeTransferRequest,
  encodeTrimRequest,
  type KeysRequest,
  type RoundTrip,
  type RoundTripRequest,
} from "../proto/cairn-admin.ts";
import { EMPTY_MESSAGE } from "../proto/log-v1.ts";
import { type Call, callOf, nothing } from "./call.ts";

const ADMIN = "/cairn.v1.Admin";

/** Asks whoever is asked for its own state. */
export function statusCall(signal: AbortSignal | undefined): Call<AdminStatus> {
  const rest = { signal, leader: false, isRepeatable: true };
  return callOf(`${ADMIN}/Status`, EMPTY_MESSAGE, decodeStatusResponse, rest);
}

/** How long one change may take: a new member catches up meanwhile. */
const CHANGE_TIMEOUT_MS = 600_000;

/** What is done already is done: it may be repeated. */
export function changeCall(change: AdminChange, signal: AbortSignal | undefined): Call<undefined> {
  return adminCall("ChangeMembership", encodeChange(change), signal);
}

/** To nobody in particular it is not the same twice: leadership would go on and on. */
export function transferCall(to: string | null, signal: AbortSignal | undefined): Call<undefined> {
  const call = adminCall("TransferLeadership", encodeTransferRequest(to ?? ""), signal);
  return { ...call, isRepeatable: to !== null };
}

/** Asks whoever is asked to leave: the one that is named, or nothing happens. */
export function leaveCall(name: string, signal: AbortSignal | undefined): Call<undefined> {
  const call = adminCall("Leave", encodeDeparture({ name, prune: false }), signal);
  return { ...call, leader: false, isRepeatable: false };
}

export function forceLeaveCall(
  departure: Departure,
  signal: AbortSignal | undefined,
): Call<undefined> {
  const call = adminCall("ForceLeave", encodeDeparture(departure), signal);
  return { ...call, leader: false };
}

/** With time of its own, whatever the client's attempts may take. */
function adminCall(
  method: string,
  request: Buffer,
  signal: AbortSignal | undefined,
): Call<undefined> {
  const rest = { signal, leader: true, isRepeatable: true };
  const call = callOf(`${ADMIN}/${method}`, request, nothing, rest);
  return { ...call, attempt: (channel) => call.attempt(channel, CHANGE_TIMEOUT_MS) };
}

/** The same trim twice is one: it may be repeated. */
export function trimCall(before: number, signal: AbortSignal | undefined): Call<number> {
  const rest = { signal, leader: true, isRepeatable: true };
  return callOf(`${ADMIN}/Trim`, encodeTrimRequest(before), decodeTrimResponse, rest);
}

/** Asks whoever is asked for its own keys of gossip, or to change them. */
export function gossipKeysCall(
  request: KeysRequest,
  signal: AbortSignal | undefined,
): Call<readonly string[]> {
  const rest = { signal, leader: false, isRepeatable: true };
  return callOf(`${ADMIN}/GossipKeys`, encodeKeysRequest(request), decodeKeysResponse, rest);
}

/** Asks whoever is asked what it knows of the way between two members. */
export function roundTripCall(
  request: RoundTripRequest,
  signal: AbortSignal | undefined,
): Call<RoundTrip> {
  const rest = { signal, leader: false, isRepeatable: true };
  return callOf(`${ADMIN}/RoundTrip`, encodeRoundTripRequest(request), decodeRoundTrip, rest);
}
