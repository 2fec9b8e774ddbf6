// Cursors and the fence for callers of the client: which calls they are, and what is safe to
// repeat. Owns no routes and no retries.

import {
  type Cursor,
  decodeCursors,
  encodeCommitCursorRequest,
  encodeCursorsRequest,
  encodeDeleteCursorRequest,
  encodeFenceRequest,
} from "../proto/cairn-cursors.ts";
import { Malformed } from "../proto/fields.ts";
import type { Channel } from "./channel.ts";
import { CairnError } from "./errors.ts";

export interface CommitCursorOptions {
  /** Forgotten so long after this commit, in the log's time; absent for never. */
  readonly ttlMs?: number;
  /** Move it only from here; null: only where there is none. */
  readonly expected?: number | null;
  readonly signal?: AbortSignal;
}

export interface ReadCursorOptions {
  /** "linearizable", which is what a consumer that takes up its work wants. */
  readonly consistency?: "local" | "leader" | "linearizable";
  readonly signal?: AbortSignal;
}

/** One call to be made until it is answered. */
export interface CursorCall<Result> {
  readonly signal: AbortSignal | undefined;
  /** Whether only the leader does it. */
  readonly leader: boolean;
  /** False: made twice it would not be the same, so an unknown outcome is told, not repeated. */
  readonly isRepeatable: boolean;
  attempt(channel: Channel, timeoutMs: number): Promise<Result>;
}

const nothing = () => undefined;

function callOf<Result>(
  method: string,
  request: Buffer,
  decode: (bytes: Buffer) => Result | Malformed,
  rest: Omit<CursorCall<Result>, "attempt">,
): CursorCall<Result> {
  const path = `/cairn.v1.Log/${method}`;
  return {
    ...rest,
    attempt: (channel, timeoutMs) => channel.call(path, request, decode, timeoutMs),
  };
}

export function commitCursorCall(
  name: string,
  offset: number,
  { ttlMs = 0, expected, signal }: CommitCursorOptions,
): CursorCall<undefined> {
  const request = encodeCommitCursorRequest({ name, offset, ttlMs, expected });
  const isRepeatable = expected === undefined;
  return callOf("CommitCursor", request, nothing, { signal, leader: true, isRepeatable });
}

export function deleteCursorCall(
  name: string,
  options: { readonly expected?: number; readonly signal?: AbortSignal },
): CursorCall<undefined> {
  const { expected, signal } = options;
  const request = encodeDeleteCursorRequest({ name, expected });
  return callOf("DeleteCursor", request, nothing, { signal, leader: true, isRepeatable: false });
}

export function fetchCursorCall(
  name: string,
  { consistency = "linearizable", signal }: ReadCursorOptions,
): CursorCall<Cursor> {
  const decode = (bytes: Buffer) => {
    const cursors = decodeCursors(bytes);
    if (cursors instanceof Malformed) return cursors;
    return cursors[0] ?? new Malformed("FetchCursorResponse without a cursor");
  };
  const request = encodeCursorsRequest({ name, consistency });
  const leader = consistency !== "local";
  return callOf("FetchCursor", request, decode, { signal, leader, isRepeatable: true });
}

export function listCursorsCall(
  prefix: string,
  { consistency = "linearizable", signal }: ReadCursorOptions,
): CursorCall<readonly Cursor[]> {
  const request = encodeCursorsRequest({ name: prefix, consistency });
  const leader = consistency !== "local";
  return callOf("ListCursors", request, decodeCursors, { signal, leader, isRepeatable: true });
}

export function fenceCall(
  token: string,
  options: { readonly expected?: string; readonly signal?: AbortSignal },
): CursorCall<undefined> {
  const { expected, signal } = options;
  const request = encodeFenceRequest({ token, expected });
  const isRepeatable = expected === undefined;
  return callOf("Fence", request, nothing, { signal, leader: true, isRepeatable });
}

/** An error whose call may have happened all the same, said so. */
export function inDoubt(error: CairnError): CairnError {
  const message = `outcome unknown, it may have happened: ${error.message}`;
  const { facts } = error;
  return new CairnError("outcome-unknown", message, {
    facts,
    isOutcomeUnknown: true,
    cause: error,
  });
}
