// What members say to each other beside membership: user events and queries, with a clock each.
// Owns who of the parts hears what, and how the host's wishes are answered.

import type { Address } from "../base/address.ts";
import { unreachable } from "../base/assert.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import { earlier, type Instant, type Micros } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import { queryTimeout } from "./formulas.ts";
import { LamportClock } from "./lamport.ts";
import type { LocalMember } from "./local-member.ts";
import type {
  EventSlot,
  LamportTime,
  Query,
  QueryResponse,
  Relay,
  SerfState,
  UserEvent,
} from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import { OwnQueries, type QueryListener } from "./own-queries.ts";
import type {
  DropReason,
  GossipEvent,
  GossipProfile,
  GossipRequestId,
  Question,
} from "./protocol.ts";
import { INTERNAL_PREFIX, type InternalAnswer, QUERY_TIMEOUT_MAX, Queries } from "./queries.ts";
import { encodeKeyResponse } from "./query-payloads.ts";
import type { ReplyBudget } from "./reply-budget.ts";
import type { Roster } from "./roster.ts";
import type { Rumors } from "./rumors.ts";
import type { SerfClocks } from "./serf-members.ts";
import { UserEvents } from "./user-events.ts";

/** One thing that was said, as it came. */
export interface Saying {
  /** As the packet says; anybody may say anything. */
  readonly from: Address;
  readonly message: UserEvent | Query | QueryResponse | Relay;
  /** The whole message, its type first. */
  readonly bytes: FrozenBytes;
  readonly budget: ReplyBudget;
}

/** Keys are changed where it is known who asks; whoever has a key could ask by gossip. */
const KEY_QUERIES = ["install-key", "use-key", "remove-key", "list-keys"].map(
  (act) => `${INTERNAL_PREFIX}${act}`,
);
const KEYS_REFUSED = encodeKeyResponse({
  keys: [],
  message: "the keys of this member are listed and changed by `cairn keys`",
  primaryKey: "",
  succeeded: false,
});

type Request = Extract<GossipEvent, { kind: "user-event" | "query" | "answer-query" }>;

export class Talk {
  readonly clocks: SerfClocks = { events: new LamportClock(), queries: new LamportClock() };
  readonly #profile: GossipProfile;
  readonly #roster: Roster;
  readonly #outbox: Outbox;
  readonly #events: UserEvents;
  readonly #own: OwnQueries;
  readonly #queries: Queries;

  constructor(parts: {
    readonly profile: GossipProfile;
    readonly self: LocalMember;
    readonly roster: Roster;
    readonly rumors: Rumors;
    readonly outbox: Outbox;
    readonly prng: Prng;
  }) {
    const { profile, self, roster, rumors, outbox, prng } = parts;
    const { events, queries: clock } = this.clocks;
    this.#profile = profile;
    this.#roster = roster;
    this.#outbox = outbox;
    this.#events = new UserEvents(profile, events, rumors, outbox);
    const own = new OwnQueries(self, clock, prng);
    this.#own = own;
    this.#queries = new Queries({ self, roster, clock, rumors, outbox, own });
    for (const name of KEY_QUERIES) this.answerInternal(name, () => KEYS_REFUSED);
  }

  get eventTime(): LamportTime {
    return this.clocks.events.time as LamportTime;
  }

  get queryTime(): LamportTime {
    return this.clocks.queries.time as LamportTime;
  }

  get deadline(): Instant {
    return [this.#events.deadline, this.#own.deadline, this.#queries.deadline].reduce(earlier);
  }

  /** Recent user events, for push/pulls. */
  get slots(): readonly EventSlot[] {
    return this.#events.slots;
  }

  /** Says why, if something said has no effect that no correct member would have said. */
  heard(now: Instant, { message, bytes, budget }: Saying): DropReason | null {
    switch (message.kind) {
      case "user-event":
        return this.#events.heard(now, message, bytes);
      case "query":
        return this.#queries.heard(now, message, bytes, budget);
      case "query-response":
        return this.#own.heard(now, message);
      case "relay":
        return this.#queries.relay(now, message, budget);
      default:
        return unreachable(message);
    }
  }

  /** The recent user events of another's push/pull. */
  merge(now: Instant, state: SerfState, replays: boolean): readonly DropReason[] {
    return this.#events.merge(now, state, replays);
  }

  requested(now: Instant, event: Request): void {
    const { requestId } = event;
    switch (event.kind) {
      case "user-event": {
        const { name, payload, coalesce } = event;
        const isFired = this.#events.maybeFire(now, name, payload, coalesce);
        this.#answer(requestId, isFired ? null : "too-large");
        return;
      }
      case "answer-query":
        this.#answer(requestId, this.#queries.answer(now, event.queryId, event.payload));
        return;
      case "query":
        this.#ask(now, requestId, event.question);
        return;
      default:
        unreachable(event);
    }
  }

  /** Asks everybody whom it is for; why not, or how long it takes. For this machine's own parts. */
  ask(
    now: Instant,
    question: Question,
    listener: QueryListener,
  ): Micros | "too-large" | "overloaded" {
    const { gossipInterval, queryTimeoutMult } = this.#profile;
    const members = this.#roster.presentCount + 1;
    const usual = queryTimeout(gossipInterval, queryTimeoutMult, members);
    const timeout = Math.min(question.timeout ?? usual, QUERY_TIMEOUT_MAX) as Micros;
    const query = this.#own.begin(now, question, timeout, listener);
    if (typeof query === "string") return query;
    this.#queries.tell(now, query);
    return timeout;
  }

  /** Gives one of Serf's own queries somebody who answers. */
  answerInternal(name: string, answer: InternalAnswer): void {
    this.#queries.answerInternal(name, answer);
  }

  timePassed(now: Instant): void {
    this.#events.timePassed(now);
    this.#own.timePassed(now);
    this.#queries.timePassed(now);
  }

  /** Nothing more is said or heard. */
  stop(): void {
    this.#events.stop();
    this.#own.stop();
    this.#queries.stop();
  }

  #ask(now: Instant, requestId: GossipRequestId, question: Question): void {
    const outbox = this.#outbox;
    const asked = this.ask(now, question, {
      acked: (from) => outbox.heard({ kind: "query-ack", requestId, from }),
      answered: (from, payload) => {
        outbox.heard({ kind: "query-answer", requestId, from, payload });
      },
      ended: (tally) => outbox.heard({ kind: "query-ended", requestId, tally }),
    });
    if (typeof asked === "string") this.#answer(requestId, asked);
    else outbox.answer({ kind: "asked", requestId, timeout: asked });
  }

  #answer(
    requestId: GossipRequestId,
    why: "too-large" | "unknown-query" | "overloaded" | null,
  ): void {
    if (why === null) this.#outbox.answer({ kind: "done", requestId });
    else this.#outbox.answer({ kind: "refused", requestId, why });
  }
}
