// One call to be made until it is answered: what it asks, of whom, and whether it is safe to
// repeat. Owns no routes and no retries.

import type { Malformed } from "../proto/fields.ts";
import type { Channel } from "./channel.ts";
import { CairnError } from "./errors.ts";

export interface Call<Result> {
  readonly signal: AbortSignal | undefined;
  /** Whether only the leader does it. */
  readonly leader: boolean;
  /** False: made twice it would not be the same, so an unknown outcome is told, not repeated. */
  readonly isRepeatable: boolean;
  attempt(channel: Channel, timeoutMs: number): Promise<Result>;
}

/** A call of the method at `path`, whose answer `decode` understands. */
export function callOf<Result>(
  path: string,
  request: Buffer,
  decode: (bytes: Buffer) => Result | Malformed,
  rest: Omit<Call<Result>, "attempt">,
): Call<Result> {
  return {
    ...rest,
    attempt: (channel, timeoutMs) => channel.call(path, request, decode, timeoutMs),
  };
}

/** The answer that says no more than that it is done. */
export const nothing = (): undefined => undefined;

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
