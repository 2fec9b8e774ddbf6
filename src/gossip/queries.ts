// Queries of others: which are news, whom they are for, the ack, and the answer once the host or
// one of Serf's own names gives it. Answers go straight to the address inside the query, which
// anybody may forge, and through others where it asks for that. Owns what may be sent for a query.

import { type Address, sameAddress } from "../base/address.ts";
import { type FrozenBytes, freeze } from "../base/bytes.ts";
import { after, type Instant, type Micros, NEVER } from "../base/ids.ts";
import type { LamportClock } from "./lamport.ts";
import type { LocalMember } from "./local-member.ts";
import { encodeMessage } from "./message-codec.ts";
import {
  QUERY_ACK,
  QUERY_NO_BROADCAST,
  type Query,
  type QueryResponse,
  type Relay,
} from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import { type OwnQueries, RESPONSE_BYTES_MAX } from "./own-queries.ts";
import type { DropReason, QueryId } from "./protocol.ts";
import { matchFilters } from "./query-filters.ts";
import { Recent } from "./recent.ts";
import { AnswerAllowance, type ReplyBudget } from "./reply-budget.ts";
import type { Roster } from "./roster.ts";
import type { Rumors } from "./rumors.ts";
import { encodeSerf } from "./serf-codec.ts";
import { PASSED_BYTES_MAX } from "./user-events.ts";

/** Queries that wait for the host's answer. */
export const UNANSWERED_MAX = 256;
/** However long a query says that it waits. */
export const QUERY_TIMEOUT_MAX = 3_600_000_000 as Micros;
/** Names that begin so are Serf's own. */
export const INTERNAL_PREFIX = "_serf_";
const INTERNAL_PING = `${INTERNAL_PREFIX}ping`;
/** Who says so passes relayed answers on. */
const RELAY_PROTOCOL = 5;
const NANOS = 1000;

/** What answers one of Serf's own queries; null: nothing is said. */
export type InternalAnswer = (payload: FrozenBytes) => FrozenBytes | null;

interface Unanswered {
  readonly query: Query;
  readonly endsAt: Instant;
  /** What its packet has paid for and is not spent; null for our own. */
  readonly budget: ReplyBudget | null;
}

export class Queries {
  readonly #self: LocalMember;
  readonly #roster: Roster;
  readonly #clock: LamportClock;
  readonly #rumors: Rumors;
  readonly #outbox: Outbox;
  readonly #own: OwnQueries;
  readonly #recent = new Recent<number>(
    (one, other) => one === other,
    () => 0,
  );
  readonly #internal = new Map<string, InternalAnswer>();
  readonly #unanswered = new Map<QueryId, Unanswered>();
  readonly #allowance = new AnswerAllowance(0 as Instant);
  #ids = 0;

  constructor(parts: {
    readonly self: LocalMember;
    readonly roster: Roster;
    readonly clock: LamportClock;
    readonly rumors: Rumors;
    readonly outbox: Outbox;
    readonly own: OwnQueries;
  }) {
    this.#self = parts.self;
    this.#roster = parts.roster;
    this.#clock = parts.clock;
    this.#rumors = parts.rumors;
    this.#outbox = parts.outbox;
    this.#own = parts.own;
    // The ack is all that it asks for.
    this.answerInternal(INTERNAL_PING, () => null);
  }

  /** Gives one of Serf's own names somebody who answers; `name` begins with INTERNAL_PREFIX. */
  answerInternal(name: string, answer: InternalAnswer): void {
    this.#internal.set(name, answer);
  }

  get deadline(): Instant {
    let deadline = NEVER;
    for (const { endsAt } of this.#unanswered.values()) {
      if (endsAt < deadline) deadline = endsAt;
    }
    return deadline;
  }

  /** Passes on what is news, by the bytes it came as, whomever it is for. */
  heard(now: Instant, query: Query, bytes: Uint8Array, budget: ReplyBudget): DropReason | null {
    if (!this.#clock.maybeWitness(query.time)) return "time-jump";
    const sight = this.#recent.add(this.#clock.time, query.time, query.id);
    if (sight !== "news") return sight === "seen" ? null : sight;
    const isPassed = (query.flags & QUERY_NO_BROADCAST) === 0;
    if (isPassed && bytes.length <= PASSED_BYTES_MAX) this.#rumors.tellQuery(bytes);
    const reason = this.#read(now, query, budget);
    return isPassed && bytes.length > PASSED_BYTES_MAX ? "too-large" : reason;
  }

  /** Tells others of a query of ours, and takes it in ourselves. */
  tell(now: Instant, query: Query): void {
    this.#recent.add(this.#clock.time, query.time, query.id);
    this.#rumors.tellQuery(encodeMessage({ kind: "user", message: query }));
    this.#read(now, query, null);
  }

  /** Null when the answer is on its way. */
  answer(
    now: Instant,
    queryId: QueryId,
    payload: FrozenBytes,
  ): "unknown-query" | "too-large" | "overloaded" | null {
    const unanswered = this.#unanswered.get(queryId);
    if (unanswered === undefined || now >= unanswered.endsAt) return "unknown-query";
    const { query, budget } = unanswered;
    const response = responseOf(this.#self, query, 0, payload);
    if (encodeSerf(response).length > RESPONSE_BYTES_MAX) return "too-large";
    this.#unanswered.delete(queryId);
    return this.#respond(now, query, response, budget) ? null : "overloaded";
  }

  /** Sends an answer of another's on; what it carries is shorter than what it came in. */
  relay(now: Instant, { to, message }: Relay, budget: ReplyBudget): DropReason | null {
    if (message.kind !== "query-response" || to.port === 0) return "malformed";
    if (sameAddress(to, this.#self.address)) return this.#own.heard(now, message);
    const bytes = encodeMessage({ kind: "user", message });
    if (!budget.maybeSpend(bytes.length)) return "answer-too-large";
    this.#outbox.packet(to, [bytes], false);
    return null;
  }

  timePassed(now: Instant): void {
    for (const [queryId, { endsAt }] of this.#unanswered) {
      if (now >= endsAt) this.#unanswered.delete(queryId);
    }
  }

  stop(): void {
    this.#unanswered.clear();
  }

  #read(now: Instant, query: Query, budget: ReplyBudget | null): DropReason | null {
    const { node, tags } = this.#self;
    const match = matchFilters(query.filters, node, tags);
    if (match !== "matches") return match === "differs" ? null : "unreadable-filter";
    if (query.source.port === 0) return "malformed";
    const internal = this.#internal.get(query.name);
    const isForHost = !query.name.startsWith(INTERNAL_PREFIX);
    if (isForHost && this.#unanswered.size >= UNANSWERED_MAX) return "queue-full";
    let isSent = true;
    if ((query.flags & QUERY_ACK) !== 0) {
      const ack = responseOf(this.#self, query, QUERY_ACK, NOTHING);
      isSent = this.#respond(now, query, ack, budget);
    }
    if (isForHost) this.#deliver(now, query, budget);
    else if (internal === undefined) return "unknown-query";
    else isSent = this.#answerWith(now, query, internal, budget) && isSent;
    return isSent ? null : "answer-too-large";
  }

  #answerWith(
    now: Instant,
    query: Query,
    internal: InternalAnswer,
    budget: ReplyBudget | null,
  ): boolean {
    const payload = internal(query.payload);
    if (payload === null) return true;
    return this.#respond(now, query, responseOf(this.#self, query, 0, payload), budget);
  }

  #deliver(now: Instant, query: Query, budget: ReplyBudget | null): void {
    this.#ids += 1;
    const queryId = this.#ids as QueryId;
    const timeout = Math.min(Math.floor(query.timeoutNanos / NANOS), QUERY_TIMEOUT_MAX);
    const endsAt = after(now, timeout as Micros);
    // Copies: what it came in is the host's.
    const payload = freeze(query.payload.slice());
    this.#unanswered.set(queryId, { query: { ...query, payload, filters: [] }, endsAt, budget });
    const { time, name, sourceNode: from } = query;
    this.#outbox.heard({ kind: "query", queryId, time, name, payload, from, endsAt });
  }

  /** Straight to who asked, and through others where that is wanted; false: it cost too much. */
  #respond(
    now: Instant,
    query: Query,
    response: QueryResponse,
    budget: ReplyBudget | null,
  ): boolean {
    const { source, sourceNode, relayFactor } = query;
    if (budget === null) {
      this.#own.heard(now, response);
      return true;
    }
    const isMember = this.#isMemberAt(query);
    const maySend = (bytes: number) =>
      budget.maybeSpend(bytes) || (isMember && this.#allowance.maybeSpend(now, bytes));
    const straight = encodeMessage({ kind: "user", message: response });
    if (!maySend(straight.length)) return false;
    this.#outbox.packet(source, [straight], false);
    const relay: Relay = {
      kind: "relay",
      to: source,
      zone: "",
      node: sourceNode,
      message: response,
    };
    if (relayFactor === 0 || encodeSerf(relay).length > RESPONSE_BYTES_MAX) return true;
    const relayed = encodeMessage({ kind: "user", message: relay });
    for (const address of this.#relaysFor(query)) {
      if (maySend(relayed.length)) this.#outbox.packet(address, [relayed], false);
    }
    return true;
  }

  /** As many as are wanted, if there are that many members besides who answers. */
  #relaysFor({ relayFactor, source }: Query): readonly Address[] {
    if (this.#roster.size < relayFactor) return [];
    const picked = this.#roster.pick(relayFactor, ({ status, announcement }) => {
      const { versions, address } = announcement;
      const passesOn = versions.protocolMax >= RELAY_PROTOCOL && !sameAddress(address, source);
      return status === "alive" && passesOn;
    });
    return picked.map(({ announcement }) => announcement.address);
  }

  #isMemberAt({ source, sourceNode }: Query): boolean {
    const member = sourceNode === null ? null : this.#roster.get(sourceNode);
    return member?.isPresent === true && sameAddress(member.announcement.address, source);
  }
}

const NOTHING = freeze(new Uint8Array(0));

function responseOf(
  { node: from }: LocalMember,
  { time, id }: Query,
  flags: number,
  payload: FrozenBytes,
): QueryResponse {
  return { kind: "query-response", time, id, from, flags, payload };
}
