// User events and queries of others, passed on once: a ring of what was seen, by Lamport time, as
// stock agents keep one. Owns what is news; nobody here reads what events and queries say.

import { crc32 } from "./crc32.ts";
import type { Query, UserEvent } from "./messages.ts";
import { type LamportTime, PACKET_BYTES_TARGET, QUERY_NO_BROADCAST } from "./messages.ts";
import type { DropReason } from "./protocol.ts";
import type { Rumors } from "./rumors.ts";

/** Times behind the clock that are remembered; what is older is dropped. */
export const SEEN_TIMES = 512;
/** Messages of one Lamport time; more are not passed on. */
export const SEEN_PER_TIME_MAX = 64;
/** A longer one would fit into no packet of rumors. */
const PASSED_BYTES_MAX = PACKET_BYTES_TARGET - 100;

interface Slot {
  readonly time: LamportTime;
  readonly seen: Set<string>;
}

class SeenRing {
  readonly #slots: Slot[] = [];

  /** True for the first sight of `key` at a time that is not too long ago. */
  maybeSee(clock: number, time: LamportTime, key: string): boolean {
    if (time + SEEN_TIMES < clock) return false;
    const place = time % SEEN_TIMES;
    let slot = this.#slots[place];
    if (slot === undefined || slot.time !== time) {
      slot = { time, seen: new Set() };
      this.#slots[place] = slot;
    }
    if (slot.seen.has(key) || slot.seen.size >= SEEN_PER_TIME_MAX) return false;
    slot.seen.add(key);
    return true;
  }
}

export class Passing {
  readonly #rumors: Rumors;
  readonly #events = new SeenRing();
  readonly #queries = new SeenRing();

  constructor(rumors: Rumors) {
    this.#rumors = rumors;
  }

  /**
   * Passes on what is news, by the bytes it came as. `clock` is the one of its kind, after the
   * message's time was witnessed.
   */
  heard(clock: number, message: UserEvent | Query, bytes: Uint8Array): DropReason | null {
    const isQuery = message.kind === "query";
    const ring = isQuery ? this.#queries : this.#events;
    const key = isQuery ? String(message.id) : `${bytes.length}/${crc32(bytes)}`;
    if (!ring.maybeSee(clock, message.time, key)) return null;
    if (isQuery && (message.flags & QUERY_NO_BROADCAST) !== 0) return null;
    if (bytes.length > PASSED_BYTES_MAX) return "too-large";
    this.#rumors.passOn(bytes);
    return null;
  }
}
