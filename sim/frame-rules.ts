// What a plan's rules decide about single frames: pass, deliver after a while, drop. The first rule
// in force that fits a frame decides; without one, chance does (sim/sim-path.ts). Owns which frames
// a rule is about and when it is in force; what its verdict does is sim/sim-network.ts.

import type { FrozenBytes } from "../src/base/bytes.ts";
import type { Instant, NodeId } from "../src/base/ids.ts";
import { decodeMessage } from "../src/node/wire.ts";
import type { PlannedMishap } from "./plan.ts";

export type PlannedRule = Extract<PlannedMishap, { kind: "rule" }>;

export type FrameVerdict =
  /** Chance decides no more: it arrives. */
  | { readonly kind: "pass" }
  | { readonly kind: "deliver-after"; readonly micros: number }
  | { readonly kind: "drop" };

/** Bodies were bounded where they were sealed; a rule looks at heads only. */
const BODY_BYTES_MAX = 2 ** 30;

/** The frame's kind as a rule names it; "malformed" for what no node can read. */
function kindOf(frame: FrozenBytes): string {
  const decoded = decodeMessage(frame, BODY_BYTES_MAX);
  if (decoded.kind !== "raft") return decoded.kind;
  const { message } = decoded;
  switch (message.kind) {
    case "vote-request":
    case "vote-reply":
      return message.preVote ? `pre-${message.kind}` : message.kind;
    case "append-request":
      return message.entries.length === 0 ? "heartbeat" : message.kind;
    default:
      return message.kind;
  }
}

/** One rule that has begun. */
class Rule {
  readonly #planned: PlannedRule;
  readonly #from: ReadonlySet<NodeId> | null;
  readonly #to: ReadonlySet<NodeId> | null;
  readonly #since: Instant;
  #skipsLeft: number;
  #left: number;

  constructor(
    planned: PlannedRule,
    from: ReadonlySet<NodeId> | null,
    to: ReadonlySet<NodeId> | null,
    since: Instant,
  ) {
    this.#planned = planned;
    this.#from = from;
    this.#to = to;
    this.#since = since;
    this.#skipsLeft = planned.skip;
    this.#left = planned.count ?? Number.POSITIVE_INFINITY;
  }

  /** Null when the rule says nothing about this frame, now. */
  decide(now: Instant, from: NodeId, to: NodeId, kind: () => string): FrameVerdict | null {
    if (this.#left === 0 || !this.#isInForce(now)) return null;
    if (this.#from?.has(from) === false || this.#to?.has(to) === false) return null;
    const { message, verdict, afterMs } = this.#planned;
    if (message !== "any" && message !== kind()) return null;
    if (this.#skipsLeft > 0) {
      this.#skipsLeft--;
      return null;
    }
    this.#left--;
    if (verdict !== "deliver-after") return { kind: verdict };
    return { kind: verdict, micros: afterMs * 1000 };
  }

  /** A fault that comes and goes stays for a while, and so does the health between. */
  #isInForce(now: Instant): boolean {
    const { faultMs, healthMs } = this.#planned;
    if (faultMs === 0 || healthMs === 0) return true;
    return (now - this.#since) % ((faultMs + healthMs) * 1000) < faultMs * 1000;
  }
}

export class FrameRules {
  /** In the order in which they began. */
  #rules: readonly Rule[] = [];

  /** In force until the returned function is called; null for `from` or `to` means anybody. */
  begin(
    planned: PlannedRule,
    from: readonly NodeId[] | null,
    to: readonly NodeId[] | null,
    now: Instant,
  ): () => void {
    const setOf = (names: readonly NodeId[] | null) => (names === null ? null : new Set(names));
    const rule = new Rule(planned, setOf(from), setOf(to), now);
    this.#rules = [...this.#rules, rule];
    return () => {
      this.#rules = this.#rules.filter((other) => other !== rule);
    };
  }

  /** Null when no rule is about this frame: it is left to chance. */
  decide(now: Instant, from: NodeId, to: NodeId, frame: FrozenBytes): FrameVerdict | null {
    if (this.#rules.length === 0) return null;
    let known: string | null = null;
    const kind = () => {
      known ??= kindOf(frame);
      return known;
    };
    for (const rule of this.#rules) {
      const verdict = rule.decide(now, from, to, kind);
      if (verdict !== null) return verdict;
    }
    return null;
  }
}
