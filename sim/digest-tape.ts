// What a run leaves to be compared with another: its rolling digest at checkpoints, and within one
// window of its events the digest after each, with the words of what happened in it. Owns what is
// kept; a run that is not taped keeps one number (sim/digest.ts). The comparison is sim/gate.ts.

import type { Instant, NodeId } from "../src/base/ids.ts";
import type { Digest } from "./digest.ts";
import { describeNarrated, type Narrated, Narrator } from "./narrator.ts";

/** From one checkpoint to the next, and so many events in a window. */
export const CHECKPOINT_EVENTS = 256;

/** Something that happened in an event. */
export interface TapedWord {
  readonly node: NodeId | null;
  readonly text: string;
  /** Of everything up to and with it: words may be the same where bytes are not. */
  readonly digest: string;
}

export interface TapedEvent {
  /** Its number in the run, from 1. */
  readonly event: number;
  readonly at: Instant;
  /** Of everything up to and with it. */
  readonly digest: string;
  readonly words: readonly TapedWord[];
}

/** Plain data: another process may have made it. */
export interface Taped {
  readonly events: number;
  /** Of everything. */
  readonly digest: string;
  /** After each full CHECKPOINT_EVENTS events. */
  readonly checkpoints: readonly string[];
  /** The events of the window, in order; empty without one. */
  readonly window: readonly TapedEvent[];
}

export class DigestTape {
  /** To be an observer of the run. */
  readonly narrator: Narrator;
  readonly #from: number;
  readonly #checkpoints: string[] = [];
  readonly #window: TapedEvent[] = [];
  #words: TapedWord[] = [];
  #events = 0;
  #digest: Digest | null = null;

  /** `window` is the number of the checkpoint it begins after; null for none. */
  constructor(window: number | null) {
    this.#from = window === null ? Number.POSITIVE_INFINITY : window * CHECKPOINT_EVENTS;
    this.narrator = new Narrator((narrated) => this.#narrate(narrated));
  }

  /** The run begins, and this is the digest that it will grow. */
  begin(digest: Digest): void {
    this.#digest = digest;
  }

  /** An event is over; it was the run's `events`th, at `at`. */
  note(events: number, at: Instant): void {
    this.#events = events;
    if (events % CHECKPOINT_EVENTS === 0) this.#checkpoints.push(`${this.#digest}`);
    if (events <= this.#from || events > this.#from + CHECKPOINT_EVENTS) return;
    this.#window.push({ event: events, at, digest: `${this.#digest}`, words: this.#words });
    this.#words = [];
  }

  /** Of a run that is over. */
  taped(digest: string): Taped {
    return {
      events: this.#events,
      digest,
      checkpoints: this.#checkpoints,
      window: this.#window,
    };
  }

  /** Words come during their event: its number is one more than that of the last. */
  #narrate(narrated: Narrated): void {
    if (this.#events < this.#from || this.#events >= this.#from + CHECKPOINT_EVENTS) return;
    const text = describeNarrated(narrated).trim();
    this.#words.push({ node: narrated.node, text, digest: `${this.#digest}` });
  }
}
