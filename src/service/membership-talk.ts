// User events and queries as programs use them: what a handler is told, what may be asked, and the
// answers of one query as they come. Owns the checks, the words and the bound of what waits to be
// read; who hears of what is src/gossip.

import { freeze } from "../base/bytes.ts";
import { type Micros, millis } from "../base/ids.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { asName } from "../gossip/fields.ts";
import type { QueryFilter } from "../gossip/messages.ts";
import type { Heard, QueryTally, Question } from "../gossip/protocol.ts";
import { INTERNAL_PREFIX } from "../gossip/queries.ts";
import { RegularExpression } from "../gossip/regular-expression.ts";
import { MembershipError } from "./membership-error.ts";

/** Something happened, somebody says. */
export interface UserEvent {
  readonly name: string;
  readonly payload: Uint8Array;
  /** Of those with this name that came within a few seconds, this is the last. */
  readonly coalesced: boolean;
  /** By the members' clock of events: later events have later times. */
  readonly time: number;
}

/** Somebody asks. */
export interface IncomingQuery {
  readonly name: string;
  readonly payload: Uint8Array;
  /** Who asks, as it says; null where it does not. */
  readonly from: string | null;
  /**
   * Answers, once: about 1 kB at most. Rejects with "too-large", with "unknown-query" when time is
   * up or an answer was given, and with "overloaded" when it would be longer than what may be sent.
   */
  respond(payload: Uint8Array | string): Promise<void>;
}

export interface QueryOptions {
  /** Only members of these names. */
  readonly filterNodes?: readonly string[];
  /**
   * Only members in whose tag a regular expression (RE2) is found, anywhere in it: for each tag.
   */
  readonly filterTags?: Readonly<Record<string, string>>;
  /** How long answers are waited for; absent: as the number of members makes it. */
  readonly timeoutMs?: number;
  /** Each member that is asked says that it was; false. */
  readonly requestAck?: boolean;
  /** Each answer is sent through so many others besides: 0, the default, to 255. */
  readonly relayFactor?: number;
}

/** Who got a query, or what it answers; one of each a name. */
export type QueryReply =
  | { readonly kind: "ack"; readonly from: string }
  | { readonly kind: "answer"; readonly from: string; readonly payload: Uint8Array };

/** What became of a query. */
export interface QuerySummary {
  readonly acks: number;
  readonly answers: number;
  /** Of names that had replied already: two members of one name, or relays. */
  readonly duplicates: number;
  /** Replies that were not kept because nobody read them. */
  readonly unread: number;
}

/** Replies of one query that wait to be read. */
const REPLIES_WAITING_MAX = 4096;
const REPLY_BYTES_WAITING_MAX = 4 << 20;
const RELAY_FACTOR_MAX = 255;
const TIMEOUT_MS_MAX = 3_600_000;

/** A query of ours while it runs: its replies in the order they come, until its time is up. */
export class RunningQuery implements AsyncIterable<QueryReply> {
  /** Resolves when nothing more comes. */
  readonly ended: Promise<QuerySummary>;
  #waiting: QueryReply[] = [];
  #bytes = 0;
  #unread = 0;
  #timeoutMs = 0;
  #isOver = false;
  #wake: () => void = () => undefined;
  #end: (summary: QuerySummary) => void = () => undefined;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** How long it waits for answers, in all. */
  get timeoutMs(): number {
    return this.#timeoutMs;
  }

  /** Replies until the time is up; to be read once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<QueryReply, void> {
    for (;;) {
      const replies = this.#waiting;
      this.#waiting = [];
      this.#bytes = 0;
      yield* replies;
      if (this.#waiting.length > 0) continue;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** For the member it runs at: it has begun. */
  asked(timeout: Micros): void {
    this.#timeoutMs = timeout / 1000;
  }

  /** For the member it runs at: something came of it. */
  heard(heard: Extract<Heard, { requestId: unknown }>): void {
    if (heard.kind === "query-ended") this.close(heard.tally);
    else if (heard.kind === "query-ack") this.#push({ kind: "ack", from: heard.from }, 0);
    else {
      const { from, payload } = heard;
      this.#push({ kind: "answer", from, payload }, payload.length);
    }
  }

  /** For the member it runs at: nothing more comes. */
  close({ acks, answers, duplicates }: QueryTally): void {
    this.#isOver = true;
    this.#end({ acks, answers, duplicates, unread: this.#unread });
    this.#wake();
  }

  #push(reply: QueryReply, bytes: number): void {
    const isFull =
      this.#waiting.length >= REPLIES_WAITING_MAX || this.#bytes + bytes > REPLY_BYTES_WAITING_MAX;
    if (isFull) {
      this.#unread += 1;
      return;
    }
    this.#waiting.push(reply);
    this.#bytes += bytes;
    this.#wake();
  }
}

/** Bytes as they are, or a text's UTF-8; a copy. */
export function payloadOf(payload: Uint8Array | string) {
  return freeze(typeof payload === "string" ? encodeUtf8(payload) : payload.slice());
}

/** Throws "bad-options" for a name that no log line could show, or that is Serf's own. */
export function checkTalkName(what: string, name: string): string {
  if (asName(encodeUtf8(name)) === null) {
    const rule = "1 to 255 bytes without control characters";
    throw badOptions(`the ${what}'s name ${JSON.stringify(name)}: expected ${rule}`);
  }
  return name;
}

/** Throws "bad-options" with what is wrong. */
export function questionOf(
  name: string,
  payload: Uint8Array | string,
  options: QueryOptions,
): Question {
  checkTalkName("query", name);
  const { timeoutMs, requestAck = false, relayFactor = 0 } = options;
  // As Serf's agents: the ping is of use to people, the others are members' own business.
  const isPing = name === `${INTERNAL_PREFIX}ping` && payload.length === 0;
  if (name.startsWith(INTERNAL_PREFIX) && !isPing) {
    throw badOptions(`names that begin with ${INTERNAL_PREFIX} are Serf's own: take another`);
  }
  if (!Number.isInteger(relayFactor) || relayFactor < 0 || relayFactor > RELAY_FACTOR_MAX) {
    throw badOptions(`relayFactor ${relayFactor}: expected 0 to ${RELAY_FACTOR_MAX}`);
  }
  if (timeoutMs !== undefined && !(timeoutMs >= 1 && timeoutMs <= TIMEOUT_MS_MAX)) {
    throw badOptions(`timeoutMs ${timeoutMs}: expected 1 to ${TIMEOUT_MS_MAX}`);
  }
  return {
    name,
    payload: payloadOf(payload),
    filters: filtersOf(options),
    timeout: timeoutMs === undefined ? null : millis(timeoutMs),
    requestAck,
    relayFactor,
  };
}

function filtersOf({ filterNodes = [], filterTags = {} }: QueryOptions): readonly QueryFilter[] {
  const filters: QueryFilter[] = [];
  if (filterNodes.length > 0) {
    const nodes = filterNodes.map((name) => asName(encodeUtf8(name)));
    const named = nodes.filter((node) => node !== null);
    if (named.length < nodes.length) throw badOptions("filterNodes: one is no member's name");
    filters.push({ kind: "nodes", nodes: named });
  }
  for (const [tag, expression] of Object.entries(filterTags)) {
    if (RegularExpression.parse(expression) === null) {
      const what = `filterTags: ${JSON.stringify(expression)} for ${tag}`;
      throw badOptions(`${what} is no regular expression (RE2) that members can read`);
    }
    filters.push({ kind: "tag", tag, expression });
  }
  return filters;
}

function badOptions(message: string): MembershipError {
  return new MembershipError("bad-options", message);
}
