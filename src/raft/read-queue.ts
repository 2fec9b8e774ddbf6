// Linearizable reads at a server that does not lead (thesis 6.4): they wait, with their callers'
// deadlines, for whoever leads to say which index they must have applied. One request at a time
// asks for all that wait; it is repeated while its answer stays away, and asked anew in each term.
// What a leader does with requests is in reads.ts.

import type { Term } from "../base/ids.ts";
import { after, earlier, type Instant, type LogIndex, type Micros, NEVER } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import type { ReadVerdict } from "./protocol.ts";

export interface WaitingRead {
  readonly readId: number;
  readonly deadline: Instant;
}

export class ReadQueue {
  readonly #waitingMax: number;
  readonly #patience: Micros;
  /** Not asked for yet. */
  #fresh: WaitingRead[] = [];
  /** Asked for by the request #sequence of #term. */
  #asked: WaitingRead[] = [];
  #term = 0 as Term;
  #sequence: number;
  #isDue = false;
  /** When the request is to be repeated. */
  #againAt: Instant = NEVER;

  /**
   * A request is repeated after `patience` without an answer. Their numbers begin somewhere else
   * after each start, because an answer may outlive whoever it was meant for:
   *
   *   1. A asks with request 1, and crashes; the leader's answer is slow
   *   2. more is committed; A starts again, in the same term, and asks with request 1
   *   3. the slow answer comes: it does not cover what was committed in between
   */
  constructor(waitingMax: number, patience: Micros, prng: Prng) {
    this.#waitingMax = waitingMax;
    this.#patience = patience;
    this.#sequence = prng.uint32() * 0x1_0000;
  }

  /** The next instant at which time alone matters. */
  get deadline(): Instant {
    if (this.#asked.length + this.#fresh.length === 0) return NEVER;
    return earlier(this.#againAt, earlier(firstDeadline(this.#asked), firstDeadline(this.#fresh)));
  }

  /** False: too many wait already. */
  maybeAdd(read: WaitingRead): boolean {
    if (this.#asked.length + this.#fresh.length >= this.#waitingMax) return false;
    this.#fresh.push(read);
    return true;
  }

  /** Repeats the request if it has waited too long; returns the reads whose callers have. */
  timePassed(now: Instant): WaitingRead[] {
    if (now >= this.#againAt) {
      this.#isDue = true;
      this.#againAt = this.#asked.length > 0 ? after(now, this.#patience) : NEVER;
    }
    const late = [...this.#asked, ...this.#fresh].filter(({ deadline }) => now >= deadline);
    if (late.length === 0) return late;
    const isInTime = ({ deadline }: WaitingRead): boolean => now < deadline;
    this.#asked = this.#asked.filter(isInTime);
    this.#fresh = this.#fresh.filter(isInTime);
    return late;
  }

  /** There is a leader of `term` to ask: the sequence of the request to send it now, or null. */
  maybeAsk(now: Instant, term: Term): number | null {
    if (this.#term !== term) {
      // Another leader: what was asked of the one before is asked again.
      this.#fresh = [...this.#asked, ...this.#fresh];
      this.#asked = [];
      this.#term = term;
    }
    if (this.#asked.length === 0) {
      if (this.#fresh.length === 0) return null;
      this.#asked = this.#fresh;
      this.#fresh = [];
      this.#sequence += 1;
    } else if (!this.#isDue) return null;
    this.#isDue = false;
    this.#againAt = after(now, this.#patience);
    return this.#sequence;
  }

  /**
   * The leader of `term` has answered. What is left over from another term or request says nothing
   * about the reads that wait now; without a readIndex they go on waiting.
   */
  answered(term: Term, sequence: number, readIndex: LogIndex | null): ReadVerdict[] {
    if (term !== this.#term || sequence !== this.#sequence || readIndex === null) return [];
    const ready = this.#asked.map(({ readId }) => ({ kind: "ready", readId, readIndex }) as const);
    this.#asked = [];
    this.#againAt = NEVER;
    return ready;
  }

  /** Removes and returns every read that waits. */
  takeAll(): WaitingRead[] {
    const all = [...this.#asked, ...this.#fresh];
    this.#asked = [];
    this.#fresh = [];
    this.#againAt = NEVER;
    return all;
  }
}

/** PERF: at most readsWaitingMax long. */
function firstDeadline(reads: readonly WaitingRead[]): Instant {
  let first = NEVER;
  for (const { deadline } of reads) first = earlier(first, deadline);
  return first;
}
