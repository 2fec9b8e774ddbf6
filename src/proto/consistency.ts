// How fresh an answer must be, as proto/cairn/v1/log.proto numbers it: one list for every message
// that says so.

import type { MessageReader } from "./fields.ts";

export type Consistency = "local" | "leader" | "linearizable";

/** By their numbers on the wire; 0, unspecified, is local. */
const BY_NUMBER: readonly Consistency[] = ["local", "local", "leader", "linearizable"];

export function consistencyNumber(consistency: Consistency): number {
  return BY_NUMBER.lastIndexOf(consistency);
}

/** The consistency in the field just come to; one that does not exist is refused. */
export function readConsistency(reader: MessageReader): Consistency {
  const known = BY_NUMBER[reader.uint()];
  if (known === undefined) reader.refuse("the consistency is none of 0 to 3");
  return known ?? "local";
}
