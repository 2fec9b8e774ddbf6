// The one queue of a run: events ordered by (instant, sequence). Two events of one instant happen
// in the order in which they were put in, and nothing else decides. Owns order, not time
// (sim/world.ts).

import { assert } from "../src/base/assert.ts";

/** What happens when its instant comes. */
export type Happening = () => void;

/**
 * A binary heap over parallel arrays: no object per event beyond its closure, and comparisons of
 * plain numbers. Sequences stay below 2^53 in any run that a person would wait for.
 */
export class EventQueue {
  readonly #instants: number[] = [];
  readonly #sequences: number[] = [];
  readonly #happenings: Happening[] = [];
  #nextSequence = 0;

  get size(): number {
    return this.#instants.length;
  }

  /** The instant of the first event; Infinity when there is none. */
  get nextInstant(): number {
    return this.#instants.length === 0 ? Number.POSITIVE_INFINITY : (this.#instants[0] as number);
  }

  put(instant: number, happening: Happening): void {
    const sequence = this.#nextSequence++;
    let hole = this.#instants.length;
    // A new event has the highest sequence, so instants alone decide how far it rises.
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if ((this.#instants[parent] as number) <= instant) break;
      this.#move(parent, hole);
      hole = parent;
    }
    this.#place(hole, instant, sequence, happening);
  }

  /** Removes and returns the first event; only when there is one. */
  take(): Happening {
    assert(this.#instants.length > 0, "the event queue is empty");
    const first = this.#happenings[0] as Happening;
    const instant = this.#instants.pop() as number;
    const sequence = this.#sequences.pop() as number;
    const happening = this.#happenings.pop() as Happening;
    if (this.#instants.length > 0) this.#sink(instant, sequence, happening);
    return first;
  }

  #sink(instant: number, sequence: number, happening: Happening): void {
    const size = this.#instants.length;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isBefore(child + 1, child)) child++;
      const childInstant = this.#instants[child] as number;
      if (instant < childInstant) break;
      if (instant === childInstant && sequence < (this.#sequences[child] as number)) break;
      this.#move(child, hole);
      hole = child;
    }
    this.#place(hole, instant, sequence, happening);
  }

  #isBefore(a: number, b: number): boolean {
    const instants = (this.#instants[a] as number) - (this.#instants[b] as number);
    if (instants !== 0) return instants < 0;
    return (this.#sequences[a] as number) < (this.#sequences[b] as number);
  }

  #move(from: number, to: number): void {
    this.#place(
      to,
      this.#instants[from] as number,
      this.#sequences[from] as number,
      this.#happenings[from] as Happening,
    );
  }

  #place(at: number, instant: number, sequence: number, happening: Happening): void {
    this.#instants[at] = instant;
    this.#sequences[at] = sequence;
    this.#happenings[at] = happening;
  }
}
