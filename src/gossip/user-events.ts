// User events: something happened, and everybody is told once. A Lamport clock puts them in order,
// a ring of recent ones tells news from echoes and is shown in push/pulls, so that whoever was cut
// off hears of them too. Owns which events are told to the host and passed on; owns no transport.

import { equalBytes, type FrozenBytes, freeze } from "../base/bytes.ts";
import type { Instant } from "../base/ids.ts";
import { Coalescing } from "./coalescing.ts";
import type { LamportClock } from "./lamport.ts";
import { encodeMessage } from "./message-codec.ts";
import {
  type EventSlot,
  type LamportTime,
  PACKET_BYTES_TARGET,
  type SerfState,
  type UserEvent,
} from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import type { DropReason, GossipProfile } from "./protocol.ts";
import { Recent } from "./recent.ts";
import type { Rumors } from "./rumors.ts";
import { encodeSerf } from "./serf-codec.ts";

/** Of a name and its payload, and of both as they are encoded: Serf's default limit. */
export const USER_EVENT_BYTES_MAX = 512;
/** What somebody else says may be longer, as long as it fits into a packet of rumors. */
export const PASSED_BYTES_MAX = PACKET_BYTES_TARGET - 100;

type Told = EventSlot["events"][number];

export class UserEvents {
  readonly #clock: LamportClock;
  readonly #rumors: Rumors;
  readonly #outbox: Outbox;
  readonly #recent: Recent<Told>;
  readonly #coalescing: Coalescing;
  /** What push/pulls show of before is not told. */
  #toldFrom = 0 as LamportTime;

  constructor(profile: GossipProfile, clock: LamportClock, rumors: Rumors, outbox: Outbox) {
    this.#clock = clock;
    this.#rumors = rumors;
    this.#outbox = outbox;
    this.#recent = new Recent<Told>(
      (one, other) => one.name === other.name && equalBytes(one.payload, other.payload),
      ({ name, payload }) => name.length + payload.length,
    );
    const { userCoalescePeriod, userQuiescentPeriod } = profile;
    this.#coalescing = new Coalescing(userCoalescePeriod, userQuiescentPeriod, (event) =>
      this.#tell(event),
    );
  }

  get deadline(): Instant {
    return this.#coalescing.deadline;
  }

  /** What whoever comes later is shown, by time. */
  get slots(): readonly EventSlot[] {
    return this.#recent.slots.map(({ time, items }) => ({ time, events: items }));
  }

  /** Tells everybody, ourselves too; false when it is too large. */
  maybeFire(now: Instant, name: string, payload: FrozenBytes, coalesce: boolean): boolean {
    const time = this.#clock.time as LamportTime;
    const event: UserEvent = { kind: "user-event", time, name, payload, coalesce };
    if (encodeSerf(event).length > USER_EVENT_BYTES_MAX) return false;
    this.#clock.tick();
    this.#recent.add(this.#clock.time, time, { name, payload });
    this.#pass(now, event);
    this.#rumors.tellEvent(encodeMessage({ kind: "user", message: event }));
    return true;
  }

  /** Passes on what is news, by the bytes it came as. */
  heard(now: Instant, event: UserEvent, bytes: Uint8Array): DropReason | null {
    const reason = this.#hear(now, event, true);
    if (reason !== null) return reason === "seen" ? null : reason;
    if (bytes.length > PASSED_BYTES_MAX) return "too-large";
    this.#rumors.tellEvent(bytes);
    return null;
  }

  /**
   * Takes in the recent events of another's push/pull, which are not passed on: others exchange
   * theirs. Without `replays` nothing that was before its clock is told, in this exchange or a
   * later one; a rumor may still be, for it is of now, however far behind its sender's clock is.
   * Says what was refused.
   */
  merge(now: Instant, { eventTime, events }: SerfState, replays: boolean): readonly DropReason[] {
    if (!replays && eventTime > this.#toldFrom) this.#toldFrom = eventTime;
    const reasons: DropReason[] = [];
    for (const slot of events) {
      for (const { name, payload } of slot?.events ?? []) {
        const time = slot?.time ?? (0 as LamportTime);
        const event: UserEvent = { kind: "user-event", time, name, payload, coalesce: false };
        const reason = this.#hear(now, event, time >= this.#toldFrom);
        if (reason !== null && reason !== "seen") reasons.push(reason);
      }
    }
    return reasons;
  }

  timePassed(now: Instant): void {
    this.#coalescing.timePassed(now);
  }

  /** What still waits is told now. */
  stop(): void {
    this.#coalescing.flush();
  }

  #hear(now: Instant, event: UserEvent, isTold: boolean): DropReason | "seen" | null {
    if (!this.#clock.maybeWitness(event.time)) return "time-jump";
    // A copy: what it came in is the host's.
    const payload = freeze(event.payload.slice());
    const sight = this.#recent.add(this.#clock.time, event.time, { name: event.name, payload });
    if (sight !== "news") return sight;
    if (isTold) this.#pass(now, { ...event, payload });
    return null;
  }

  #pass(now: Instant, event: UserEvent): void {
    if (event.coalesce) this.#coalescing.add(now, event);
    else this.#tell(event);
  }

  #tell(event: UserEvent): void {
    this.#outbox.heard(event);
  }
}
