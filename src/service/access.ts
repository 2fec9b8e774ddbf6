// Who may do what, decided before any work is done for a request. Owns the actions and which of
// them a request needs; the policy is the authorizer's.
//
// Decided here: the seeds authorize Produce and Consume and let every certificate call GetServers.
// We let Casbin decide that one too, without asking anybody to change a policy: who may produce or
// consume must find the servers, so either action implies "describe". A subject with no right at
// all learns nothing, not even the members' addresses.

import type { Fault } from "../base/faults.ts";
import type { Authorizer } from "../ports/authorizer.ts";

export type Action = "produce" | "consume" | "describe";

/** The seeds ask for this literal object; prefixes and names come with a log that has parts. */
const WHOLE_LOG = "*";

const IMPLIED_BY: Readonly<Record<Action, readonly Action[]>> = {
  produce: ["produce"],
  consume: ["consume"],
  describe: ["describe", "produce", "consume"],
};

export class Access {
  readonly #authorizer: Authorizer;
  readonly #anonymous: string | null;

  /** `anonymous` is the subject of connections without TLS; null refuses them. */
  constructor(authorizer: Authorizer, anonymous: string | null) {
    this.#authorizer = authorizer;
    this.#anonymous = anonymous;
  }

  /** Null when the subject may; else what to answer. */
  refusal(subject: string | null, action: Action): Fault | null {
    const who = subject ?? this.#anonymous;
    if (who === null) return { code: "unauthenticated", what: "no transport security being used" };
    for (const sufficient of IMPLIED_BY[action]) {
      if (this.#authorizer.allows(who, WHOLE_LOG, sufficient)) return null;
    }
    return { code: "permission-denied", subject: who, action, object: WHOLE_LOG };
  }
}
