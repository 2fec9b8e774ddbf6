// Rumors on their way: a bounded queue from which packets are filled, fewest sent first. A rumor
// about a subject replaces the older one about it; the rest stand side by side. Knows sizes and
// subjects, not what the bytes mean.

import { assert } from "../base/assert.ts";
import type { FrozenBytes } from "../base/bytes.ts";

/** What is replaced by the next rumor with the same one; null for a rumor that stands alone. */
export type Subject = string | null;

interface Rumor {
  readonly subject: Subject;
  readonly bytes: FrozenBytes;
  /** Order of arrival, to tell the newer of two. */
  readonly id: number;
  sent: number;
}

export class BroadcastQueue {
  readonly #countMax: number;
  #rumors: Rumor[] = [];
  #ids = 0;
  #evicted = 0;

  constructor(countMax: number) {
    assert(countMax >= 1, "a queue has room", countMax);
    this.#countMax = countMax;
  }

  get size(): number {
    return this.#rumors.length;
  }

  /** Rumors lost to the bound, never yet sent as often as they should have been. */
  get evicted(): number {
    return this.#evicted;
  }

  has(subject: string): boolean {
    return this.#rumors.some((rumor) => rumor.subject === subject);
  }

  /** Beyond the bound the one sent most often goes, of those the oldest: others can tell it on. */
  add(subject: Subject, bytes: FrozenBytes): void {
    if (subject !== null) this.invalidate(subject);
    if (this.#rumors.length >= this.#countMax) this.#evict();
    this.#ids += 1;
    this.#rumors.push({ subject, bytes, id: this.#ids, sent: 0 });
  }

  /** Takes back what is told about `subject`. */
  invalidate(subject: string): void {
    this.#rumors = this.#rumors.filter((rumor) => rumor.subject !== subject);
  }

  /**
   * Rumors for one packet: fewest sent first, then the longest, then the newest, as many as fit
   * when each costs `overhead` more than its length. One sent `limit` times is told no more; it is
   * sent at least once whatever the limit.
   */
  take(overhead: number, bytesMax: number, countMax: number, limit: number): FrozenBytes[] {
    if (this.#rumors.length === 0) return [];
    const taken: FrozenBytes[] = [];
    let room = bytesMax;
    this.#rumors.sort(inSendingOrder);
    for (const rumor of this.#rumors) {
      if (taken.length >= countMax || room <= overhead) break;
      const cost = rumor.bytes.length + overhead;
      if (cost > room) continue;
      room -= cost;
      rumor.sent += 1;
      taken.push(rumor.bytes);
    }
    this.#rumors = this.#rumors.filter(({ sent }) => sent === 0 || sent < limit);
    return taken;
  }

  #evict(): void {
    const first = this.#rumors[0];
    assert(first !== undefined, "a full queue has a first rumor");
    let worst: Rumor = first;
    for (const rumor of this.#rumors) {
      const isWorse = rumor.sent > worst.sent || (rumor.sent === worst.sent && rumor.id < worst.id);
      if (isWorse) worst = rumor;
    }
    this.#rumors = this.#rumors.filter((rumor) => rumor !== worst);
    this.#evicted += 1;
  }
}

function inSendingOrder(a: Rumor, b: Rumor): number {
  return a.sent - b.sent || b.bytes.length - a.bytes.length || b.id - a.id;
}
