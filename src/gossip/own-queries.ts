// Queries of our own: which run, who has acked and answered each, and when it is over. One ack and
// one answer count for each name; more are duplicates. Owns the books; that others hear of a query
// is queries.ts.

import { type FrozenBytes, freeze } from "../base/bytes.ts";
import { after, type Instant, type Micros, NEVER, type NodeId } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import type { LamportClock } from "./lamport.ts";
import type { LocalMember } from "./local-member.ts";
import { type LamportTime, QUERY_ACK, type Query, type QueryResponse } from "./messages.ts";
import type { DropReason, QueryTally, Question } from "./protocol.ts";
import { encodeFilter } from "./query-payloads.ts";
import { encodeSerf } from "./serf-codec.ts";

/** Of a whole query, encoded: Serf's limit. */
export const QUERY_BYTES_MAX = 1024;
/** Of a whole answer, encoded: Serf's limit. */
export const RESPONSE_BYTES_MAX = 1024;
/** Queries of ours that run at once. */
export const OWN_QUERIES_MAX = 64;
/** Names that count for one query. */
export const RESPONDERS_MAX = 8192;
/** Queries that ended lately, whose late answers surprise nobody. */
const ENDED_MAX = 64;
const ID_BITS = 31;
const NANOS = 1000;

/** Hears what becomes of one query. */
export interface QueryListener {
  acked(from: NodeId): void;
  answered(from: NodeId, payload: FrozenBytes): void;
  ended(tally: QueryTally): void;
}

interface Running {
  readonly id: number;
  readonly endsAt: Instant;
  readonly listener: QueryListener;
  readonly acks: Set<NodeId>;
  readonly answers: Set<NodeId>;
  duplicates: number;
}

export class OwnQueries {
  readonly #self: LocalMember;
  readonly #clock: LamportClock;
  readonly #ids: Prng;
  readonly #running = new Map<LamportTime, Running>();
  readonly #ended = new Map<LamportTime, number>();

  constructor(self: LocalMember, clock: LamportClock, prng: Prng) {
    this.#self = self;
    this.#clock = clock;
    this.#ids = prng.fork("gossip.query-ids");
  }

  get deadline(): Instant {
    let deadline = NEVER;
    for (const { endsAt } of this.#running.values()) {
      if (endsAt < deadline) deadline = endsAt;
    }
    return deadline;
  }

  /** Begins one, for `timeout` from now; what others are to be sent, or why not. */
  begin(
    now: Instant,
    question: Question,
    timeout: Micros,
    listener: QueryListener,
  ): Query | "too-large" | "overloaded" {
    if (this.#running.size >= OWN_QUERIES_MAX) return "overloaded";
    const query: Query = {
      kind: "query",
      time: this.#clock.time as LamportTime,
      id: this.#ids.uint32() >>> (32 - ID_BITS),
      name: question.name,
      payload: question.payload,
      source: this.#self.address,
      sourceNode: this.#self.node,
      filters: question.filters.map(encodeFilter),
      flags: question.requestAck ? QUERY_ACK : 0,
      relayFactor: question.relayFactor,
      timeoutNanos: timeout * NANOS,
    };
    if (encodeSerf(query).length > QUERY_BYTES_MAX) return "too-large";
    this.#clock.tick();
    const endsAt = after(now, timeout);
    const none = { acks: new Set<NodeId>(), answers: new Set<NodeId>(), duplicates: 0 };
    this.#running.set(query.time, { id: query.id, endsAt, listener, ...none });
    return query;
  }

  /** Takes in one ack or answer, of ours or somebody else's. */
  heard(now: Instant, response: QueryResponse): DropReason | null {
    const running = this.#running.get(response.time);
    if (running?.id !== response.id || now >= running.endsAt) {
      return this.#ended.get(response.time) === response.id ? null : "no-such-query";
    }
    const isAck = (response.flags & QUERY_ACK) !== 0;
    const names = isAck ? running.acks : running.answers;
    if (names.has(response.from)) {
      running.duplicates += 1;
      return null;
    }
    if (names.size >= RESPONDERS_MAX) return "queue-full";
    names.add(response.from);
    if (isAck) running.listener.acked(response.from);
    // A copy: what it came in is the host's.
    else running.listener.answered(response.from, freeze(response.payload.slice()));
    return null;
  }

  timePassed(now: Instant): void {
    for (const [time, running] of this.#running)
      if (now >= running.endsAt) this.#end(time, running);
  }

  /** Ends all at once. */
  stop(): void {
    for (const [time, running] of this.#running) this.#end(time, running);
  }

  #end(time: LamportTime, { id, listener, acks, answers, duplicates }: Running): void {
    this.#running.delete(time);
    this.#ended.set(time, id);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > ENDED_MAX && oldest !== undefined) this.#ended.delete(oldest);
    listener.ended({ acks: acks.size, answers: answers.size, duplicates });
  }
}
