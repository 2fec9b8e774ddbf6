// Appends of a producer whose place in its own sequence is kept elsewhere: the call, and what it
// answers. Owns no retries; a client's own appends are producer.ts.

import type { NewRecord } from "../base/record-batch.ts";
import {
  type AppendResponse,
  decodeAppendResponse,
  encodeAppendRequest,
} from "../proto/cairn-v1.ts";
import { Malformed } from "../proto/fields.ts";
import type { Call } from "./call.ts";
import { callOf } from "./call.ts";
import type { AppendResult } from "./producer.ts";

/** Where a batch stands among all of its producer's records. */
export interface ProducerPosition {
  /** 1 to 2^53-1, its own among all producers of the cluster. */
  readonly id: number;
  /** A higher one fences a lower one off; its sequences begin at 0. */
  readonly epoch: number;
  /** Of the first record: how many this producer's epoch has appended before. */
  readonly sequence: number;
}

/** May be repeated: at the same place it is done once. */
export function appendAsCall(
  { id: producerId, epoch, sequence }: ProducerPosition,
  records: readonly NewRecord[],
  signal: AbortSignal | undefined,
): Call<AppendResult> {
  const conditions = { expectedEndOffset: null, fencingToken: null };
  const place = { producerId, epoch, sequence, ...conditions };
  const request = encodeAppendRequest({ records, gzip: null, ...place });
  const decode = (bytes: Buffer): AppendResult | Malformed => {
    const response: AppendResponse | Malformed = decodeAppendResponse(bytes);
    if (response instanceof Malformed) return response;
    return { offset: response.offset, term: response.term, count: records.length };
  };
  const rest = { signal, leader: true, isRepeatable: true };
  return callOf("/cairn.v1.Log/Append", request, decode, rest);
}
