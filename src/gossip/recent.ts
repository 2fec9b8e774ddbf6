// What was heard lately, by Lamport time: a ring of so many times, as stock agents keep one, so
// that each thing is news once. Bounded in times, in things of one time and in bytes; owns the
// order of forgetting, not what the things are.

import type { LamportTime } from "./messages.ts";

/** Times behind the clock that are remembered; what is older is no news. */
export const RECENT_TIMES = 512;
/** Things of one Lamport time; more are refused. */
export const RECENT_PER_TIME_MAX = 64;
/** Of all that is kept; beyond it the oldest times are forgotten, and with them what was before. */
export const RECENT_BYTES_MAX = 1 << 20;

export interface RecentSlot<Item> {
  readonly time: LamportTime;
  readonly items: readonly Item[];
}

interface Slot<Item> {
  readonly time: LamportTime;
  readonly items: Item[];
}

export class Recent<Item> {
  readonly #isSame: (one: Item, other: Item) => boolean;
  readonly #bytesOf: (item: Item) => number;
  readonly #slots: (Slot<Item> | undefined)[] = [];
  #bytes = 0;
  /** What is before it is no news. */
  #begins = 0;

  constructor(isSame: (one: Item, other: Item) => boolean, bytesOf: (item: Item) => number) {
    this.#isSame = isSame;
    this.#bytesOf = bytesOf;
  }

  /** All that is kept, the oldest first. */
  get slots(): readonly RecentSlot<Item>[] {
    const kept = this.#slots.filter((slot) => slot !== undefined);
    return kept.sort((one, other) => one.time - other.time);
  }

  /** `clock` is the one of its kind, after `time` was witnessed. */
  add(clock: number, time: LamportTime, item: Item): "news" | "seen" | "too-old" | "queue-full" {
    if (time < this.#begins) return "seen";
    if (time + RECENT_TIMES < clock) return "too-old";
    const place = time % RECENT_TIMES;
    let slot = this.#slots[place];
    if (slot === undefined || slot.time !== time) {
      this.#forget(place);
      slot = { time, items: [] };
      this.#slots[place] = slot;
    }
    if (slot.items.some((other) => this.#isSame(item, other))) return "seen";
    if (slot.items.length >= RECENT_PER_TIME_MAX) return "queue-full";
    slot.items.push(item);
    this.#bytes += this.#bytesOf(item);
    while (this.#bytes > RECENT_BYTES_MAX) this.#forgetOldest();
    return "news";
  }

  #forgetOldest(): void {
    const oldest = this.slots[0];
    if (oldest === undefined) return;
    this.#forget(oldest.time % RECENT_TIMES);
    this.#begins = oldest.time + 1;
  }

  #forget(place: number): void {
    for (const item of this.#slots[place]?.items ?? []) this.#bytes -= this.#bytesOf(item);
    this.#slots[place] = undefined;
  }
}
