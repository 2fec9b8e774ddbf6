// Who may do what, decided before any work is done for a request. Owns the one table from each way
// in to what it needs, the actions, and the audit line for each denial and each admin act; the
// policy is the authorizer's.
//
// Decided here: the seeds authorize Produce and Consume and let every certificate call GetServers.
// We let Casbin decide that one too, without asking anybody to change a policy: who may produce,
// consume or administrate must find the servers, so each implies "describe". A subject with no
// right at all learns nothing, not even the members' addresses.

import type { Fault } from "../base/faults.ts";
import type { Authorizer } from "../ports/authorizer.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { Caller } from "./caller.ts";

export const ACTIONS = ["produce", "consume", "describe", "admin"] as const;
export type Action = (typeof ACTIONS)[number];

/** What a caller needs the right to. */
export interface Need {
  readonly object: string;
  readonly action: Action;
}

/**
 * The seeds ask for this literal object, and it is the log. Other objects are names of parts such
 * as `cursor/NAME`: a policy's `*` means them too, its `cursor/*` means those that begin so.
 */
export const WHOLE_LOG = "*";

export const PRODUCE: Need = { object: WHOLE_LOG, action: "produce" };
export const CONSUME: Need = { object: WHOLE_LOG, action: "consume" };
export const DESCRIBE: Need = { object: WHOLE_LOG, action: "describe" };

export const ADMIN: Need = { object: WHOLE_LOG, action: "admin" };

/** Whoever proves who they are: probes and balancers learn no more than whether it serves. */
export const ANYBODY = "anybody";

/** Each way in by its name, a gRPC path or a REST method and route. What is missing is refused. */
export type AccessTable = Readonly<Record<string, Need | typeof ANYBODY>>;

export const ACCESS: AccessTable = {
  "/log.v1.Log/Produce": PRODUCE,
  "/log.v1.Log/Consume": CONSUME,
  "/log.v1.Log/ConsumeStream": CONSUME,
  "/log.v1.Log/ProduceStream": PRODUCE,
  "/log.v1.Log/GetServers": DESCRIBE,
  "/log.v1.Log/GetServer": DESCRIBE,
  "/cairn.v1.Log/Append": PRODUCE,
  "/cairn.v1.Log/AppendStream": PRODUCE,
  "/cairn.v1.Log/Read": CONSUME,
  "/cairn.v1.Log/ReadStream": CONSUME,
  "/cairn.v1.Log/CheckTail": DESCRIBE,
  // And for each cursor the action `consume` on `cursor/NAME`.
  "/cairn.v1.Log/CommitCursor": DESCRIBE,
  "/cairn.v1.Log/FetchCursor": DESCRIBE,
  "/cairn.v1.Log/ListCursors": DESCRIBE,
  "/cairn.v1.Log/DeleteCursor": DESCRIBE,
  "/cairn.v1.Log/Fence": PRODUCE,
  "/cairn.v1.Admin/Status": DESCRIBE,
  "/cairn.v1.Admin/ChangeMembership": ADMIN,
  "/cairn.v1.Admin/TransferLeadership": ADMIN,
  "/cairn.v1.Admin/Leave": ADMIN,
  "/cairn.v1.Admin/ForceLeave": ADMIN,
  "/cairn.v1.Admin/GossipKeys": ADMIN,
  "/cairn.v1.Admin/RoundTrip": DESCRIBE,
  "/cairn.v1.Admin/SendEvent": ADMIN,
  "/cairn.v1.Admin/Query": ADMIN,
  "/cairn.v1.Admin/WatchEvents": DESCRIBE,
  "/cairn.v1.Admin/Trim": ADMIN,
  "/cairn.v1.Admin/Backup": ADMIN,
  "/grpc.health.v1.Health/Check": ANYBODY,
  "/grpc.health.v1.Health/Watch": ANYBODY,
  "/grpc.health.v1.Health/List": ANYBODY,
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": DESCRIBE,
  "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": DESCRIBE,
  "POST /": PRODUCE,
  "GET /": CONSUME,
  "GET /records": CONSUME,
  "GET /records/{offset}": CONSUME,
};

const IMPLIED_BY: Readonly<Record<Action, readonly Action[]>> = {
  produce: ["produce"],
  consume: ["consume"],
  describe: ["describe", "produce", "consume", "admin"],
  admin: ["admin"],
};

/** The actions of which any one is enough for `action`; an action that nothing asks for itself. */
export function sufficientFor(action: string): readonly string[] {
  return ACTIONS.some((known) => known === action) ? IMPLIED_BY[action as Action] : [action];
}

export class Access {
  readonly #authorizer: Authorizer;
  readonly #telemetry: Telemetry;
  readonly #anonymous: string | null;
  readonly #table: AccessTable;

  /** `anonymous` is the subject of connections without TLS; null refuses them. */
  constructor(
    authorizer: Authorizer,
    telemetry: Telemetry,
    anonymous: string | null,
    table: AccessTable = ACCESS,
  ) {
    this.#authorizer = authorizer;
    this.#telemetry = telemetry;
    this.#anonymous = anonymous;
    this.#table = table;
  }

  /** Null when the caller may come in this way; else what to answer. */
  refusalOfMethod(caller: Caller, method: string): Fault | null {
    // Not `table[method]`: "constructor" is no method of ours.
    const need = Object.hasOwn(this.#table, method) ? this.#table[method] : undefined;
    if (need === ANYBODY) {
      return this.#unauthenticated(caller, { object: method, action: "call" });
    }
    if (need !== undefined) {
      const refused = this.refusal(caller, need);
      if (refused === null && need.action === "admin") this.#tell(caller, "admin-act", need);
      return refused;
    }
    const unknown = { object: method, action: "call" };
    return this.#unauthenticated(caller, unknown) ?? this.#denied(caller, unknown);
  }

  /** Null when the caller may do this; else what to answer. */
  refusal(caller: Caller, need: Need): Fault | null {
    const fault = this.#unauthenticated(caller, need);
    if (fault !== null) return fault;
    const subject = this.#subjectOf(caller) ?? "";
    for (const sufficient of IMPLIED_BY[need.action]) {
      if (this.#authorizer.allows(subject, need.object, sufficient)) return null;
    }
    return this.#denied(caller, need);
  }

  #unauthenticated(caller: Caller, need: { object: string; action: string }): Fault | null {
    if (this.#subjectOf(caller) !== null) return null;
    this.#tell(caller, "denied", need);
    const what = caller.origin.isSecure
      ? "the certificate names no subject: it needs one common name, or one URI as its only name"
      : "no transport security being used";
    return { code: "unauthenticated", what };
  }

  #denied(caller: Caller, need: { object: string; action: string }): Fault {
    this.#tell(caller, "denied", need);
    const { object, action } = need;
    return { code: "permission-denied", subject: this.#subjectOf(caller) ?? "", action, object };
  }

  /** Without TLS everybody is the anonymous subject; a certificate without a subject is nobody. */
  #subjectOf({ subject, origin }: Caller): string | null {
    return subject ?? (origin.isSecure ? null : this.#anonymous);
  }

  #tell(caller: Caller, what: "denied" | "admin-act", need: { object: string; action: string }) {
    const { method, peer, requestId } = caller.origin;
    const subject = this.#subjectOf(caller);
    const facts = { subject, method, object: need.object, action: need.action, peer, requestId };
    this.#telemetry.notice({ level: what === "denied" ? "warn" : "info", what, facts });
  }
}
