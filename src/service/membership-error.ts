// What a person or program that asked something of membership is told when it cannot be. Owns the
// codes and the words.

import { META_BYTES_MAX } from "../gossip/messages.ts";
import type { GossipAnswer } from "../gossip/protocol.ts";

export type MembershipErrorCode =
  | "bad-options"
  | "unreachable"
  | "unknown-member"
  | "tags-too-large"
  | "too-large"
  | "unknown-query"
  | "left"
  | "stopped"
  | "overloaded";

/** What a person or program that asked for something is told. */
export class MembershipError extends Error {
  override readonly name = "MembershipError";
  readonly code: MembershipErrorCode;

  constructor(code: MembershipErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** In words, why what was asked for was not done. */
export function whyRefused(answer: GossipAnswer): MembershipError {
  const why = answer.kind === "refused" ? answer.why : "overloaded";
  switch (why) {
    case "leaving":
    case "left":
      return new MembershipError("left", "this member has left: make a new one to join again");
    case "unknown-member":
      return new MembershipError(why, "no member of that name is known here");
    case "tags-too-large":
      return new MembershipError(why, `tags take more than ${META_BYTES_MAX} bytes`);
    case "too-large":
      return new MembershipError(why, "name, payload and filters are too long: shorten them");
    case "unknown-query":
      return new MembershipError(why, "nobody waits for this answer any more, or it was given");
    case "overloaded":
      return new MembershipError(why, "too many requests wait: try again in a moment");
  }
}
