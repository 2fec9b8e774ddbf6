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
import { type Call, callOf, nothing } from "./call.ts";

const LOG = "/cairn.v1.Log";

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

export function commitCursorCall(
  name: string,
  offset: number,
  { ttlMs = 0, expected, signal }: CommitCursorOptions,
): Call<undefined> {
  const request = encodeCommitCursorRequest({ name, offset, ttlMs, expected });
  const isRepeatable = expected === undefined;
  return callOf(`${LOG}/CommitCursor`, request, nothing, { signal, leader: true, isRepeatable });
}

export function deleteCursorCall(
  name: string,
  options: { readonly expected?: number; readonly signal?: AbortSignal },
): Call<undefined> {
  const { expected, signal } = options;
  const request = encodeDeleteCursorRequest({ name, expected });
  return callOf(`${LOG}/DeleteCursor`, request, nothing, {
    signal,
    leader: true,
    isRepeatable: false,
  });
}

export function fetchCursorCall(
  name: string,
  { consistency = "linearizable", signal }: ReadCursorOptions,
): Call<Cursor> {
  const decode = (bytes: Buffer) => {
    const cursors = decodeCursors(bytes);
    if (cursors instanceof Malformed) return cursors;
    return cursors[0] ?? new Malformed("FetchCursorResponse without a cursor");
  };
  const request = encodeCursorsRequest({ name, consistency });
  const leader = consistency !== "local";
  return callOf(`${LOG}/FetchCursor`, request, decode, { signal, leader, isRepeatable: true });
}

export function listCursorsCall(
  prefix: string,
  { consistency = "linearizable", signal }: ReadCursorOptions,
): Call<readonly Cursor[]> {
  const request = encodeCursorsRequest({ name: prefix, consistency });
  const leader = consistency !== "local";
  return callOf(`${LOG}/ListCursors`, request, decodeCursors, {
    signal,
    leader,
    isRepeatable: true,
  });
}

export function fenceCall(
  token: string,
  options: { readonly expected?: string; readonly signal?: AbortSignal },
): Call<undefined> {
  const { expected, signal } = options;
  const request = encodeFenceRequest({ token, expected });
  const isRepeatable = expected === undefined;
  return callOf(`${LOG}/Fence`, request, nothing, { signal, leader: true, isRepeatable });
}
