// What a serving node does about user events and queries that it hears by gossip: writes that they
// came to its log, answers the queries it knows, and shows them to whoever watches. It runs
// nothing. Bounded in watchers, in what waits for each, and in lines of log. Owns no transport.

import type { Instant } from "../base/ids.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { IncomingQuery, UserEvent } from "./membership-talk.ts";

/** Who may watch at once. */
export const WATCHERS_MAX = 16;
/** What waits for one watcher; more is counted, and not shown. */
export const UNSHOWN_MAX = 256;
/** Lines of log a second: anybody may say anything. */
export const TALK_LINES_A_SECOND = 10;
const SECOND = 1_000_000;

/** What is shown to a watcher, in the order it was heard. */
export type Shown =
  | ({ readonly kind: "event" } & UserEvent)
  | ({ readonly kind: "query" } & Pick<IncomingQuery, "name" | "payload" | "from">)
  | { readonly kind: "missed"; readonly missed: number };

export interface HeardTalkOptions {
  readonly telemetry: Telemetry;
  readonly clock: { now(): Instant };
  /** By the names of queries: what to answer, about a kilobyte at most. */
  readonly answers: Readonly<Record<string, () => string>>;
}

export class HeardTalk {
  readonly #telemetry: Telemetry;
  readonly #clock: { now(): Instant };
  readonly #answers: HeardTalkOptions["answers"];
  readonly #watchers = new Set<TalkWatch>();
  #second = -1;
  #lines = 0;
  #unlogged = 0;

  constructor({ telemetry, clock, answers }: HeardTalkOptions) {
    this.#telemetry = telemetry;
    this.#clock = clock;
    this.#answers = answers;
  }

  event(event: UserEvent): void {
    const { name, payload, time } = event;
    this.#log("gossip-event", { event: name, bytes: payload.length, eventTime: time });
    this.#show({ kind: "event", ...event });
  }

  query(query: IncomingQuery): void {
    const { name, payload, from } = query;
    const answer = Object.hasOwn(this.#answers, name) ? this.#answers[name] : undefined;
    const isAnswered = answer !== undefined;
    this.#log("gossip-query", { query: name, from, bytes: payload.length, answered: isAnswered });
    // Who asked may be gone, or no member that is answered at length: nobody is told.
    if (answer !== undefined) query.respond(answer()).catch(() => undefined);
    this.#show({ kind: "query", name, payload, from });
  }

  /** What is heard from now on; null when too many watch. */
  watch(): TalkWatch | null {
    if (this.#watchers.size >= WATCHERS_MAX) return null;
    const watch = new TalkWatch((ended) => this.#watchers.delete(ended));
    this.#watchers.add(watch);
    return watch;
  }

  /** Ends all watches. */
  close(): void {
    for (const watch of this.#watchers) watch.close();
  }

  #show(shown: Shown): void {
    for (const watch of this.#watchers) watch.push(shown);
  }

  #log(what: string, facts: Readonly<Record<string, string | number | boolean | null>>): void {
    const second = Math.floor(this.#clock.now() / SECOND);
    if (second !== this.#second) this.#lines = 0;
    this.#second = second;
    if (this.#lines >= TALK_LINES_A_SECOND) {
      this.#unlogged += 1;
      return;
    }
    this.#lines += 1;
    const told = this.#unlogged === 0 ? facts : { ...facts, unlogged: this.#unlogged };
    this.#unlogged = 0;
    this.#telemetry.notice({ level: "info", what, facts: told });
  }
}

/** One watcher: what it has not been shown yet. To be iterated once. */
export class TalkWatch implements AsyncIterable<Shown> {
  readonly #onClose: (watch: TalkWatch) => void;
  #waiting: Shown[] = [];
  #missed = 0;
  #isOver = false;
  #wake: () => void = () => undefined;

  constructor(onClose: (watch: TalkWatch) => void) {
    this.#onClose = onClose;
  }

  push(shown: Shown): void {
    if (this.#waiting.length >= UNSHOWN_MAX) this.#missed += 1;
    else this.#waiting.push(shown);
    this.#wake();
  }

  /** Harmless when repeated. */
  close(): void {
    this.#isOver = true;
    this.#onClose(this);
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Shown, void> {
    for (;;) {
      const shown = this.#waiting;
      const missed = this.#missed;
      this.#waiting = [];
      this.#missed = 0;
      yield* shown;
      if (missed > 0) yield { kind: "missed", missed };
      if (this.#waiting.length > 0) continue;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
