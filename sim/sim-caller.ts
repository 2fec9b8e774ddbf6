// How a simulated client asks: one request to one node, with patience, and what it believes of the
// cluster meanwhile. It knows no more than a real client: a hint who leads, an offset and a log
// time that somebody was told. Owns what all calls have in common; what is asked is
// sim/sim-client.ts, sim/client-reads.ts and sim/client-controls.ts.

import type { Entry } from "../src/base/entry.ts";
import type { Fault, FaultCode } from "../src/base/faults.ts";
import type { Instant, Offset, RequestId, WallMs } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import type { ClientPath, Reply, RequestMaker } from "./client-path.ts";
import type { SimComputer } from "./computer.ts";
import type { Electorates } from "./electorates.ts";
import type { Call, Facts, History, Outcome, RecordId } from "./history.ts";
import type { Target } from "./plan.ts";
import type { RecordValues } from "./sim-record.ts";
import type { Timeline } from "./timeline.ts";

/** What all clients of a run share. */
export interface ClientRoom {
  readonly timeline: Timeline;
  readonly path: ClientPath;
  readonly computers: readonly SimComputer[];
  readonly electorates: Electorates;
  /** Nodes that are no members in the end: nobody waits for them. */
  strangers: ReadonlySet<SimComputer>;
  readonly history: History;
  readonly values: RecordValues;
  /** The highest end of the log that any client was told. */
  knownEnd: Offset;
  /** The log times that any client was told lie between these; null before the first. */
  knownTimes: { readonly first: WallMs; readonly last: WallMs } | null;
  nextRecord: RecordId;
  /** Each commit of a cursor, and each fence, of the run has a number of its own. */
  nextControl: number;
  /** From here on nobody begins a call. */
  isClosing: boolean;
  /** Whether an operator would count on it: its disk is not lost, nor is anything wrong with it. */
  isSound(computer: SimComputer): boolean;
  /** The computer that a plan means. */
  target(target: Target): SimComputer;
  returned(call: Call): void;
  /** A record whose bytes are not those of any that was written. */
  altered(entry: Entry, computer: SimComputer): void;
}

export const ATTEMPT_MICROS = 400_000;
const BACKOFF_MIN_MICROS = 5_000;
const BACKOFF_MAX_MICROS = 80_000;

/**
 * Faults that say for certain: this request appended nothing. A retry may do better after the
 * first.
 */
export const RETRY_FAULTS: ReadonlySet<FaultCode> = new Set([
  "not-leader",
  "overloaded",
  "not-serving",
  "disk-failed",
  "disk-full",
]);

export class Caller {
  readonly id: number;
  readonly room: ClientRoom;
  readonly prng: Prng;
  /** Where the leader is believed to be. */
  #place: number;

  constructor(id: number, room: ClientRoom, prng: Prng) {
    this.id = id;
    this.room = room;
    this.prng = prng;
    this.#place = prng.below(room.computers.length);
  }

  /**
   * Calls `then` exactly once: with the reply, or with null when none came in time. `first` is
   * asked at the same node's door before, and must be answered well there.
   */
  ask(
    computer: SimComputer,
    make: RequestMaker,
    patience: number,
    then: (reply: Reply) => void,
    first: RequestMaker | null = null,
  ): RequestId {
    let isOver = false;
    const once = (reply: Reply) => {
      if (isOver) return;
      isOver = true;
      then(reply);
    };
    this.after(patience, () => once(null));
    return this.room.path.ask(computer, make, once, first);
  }

  after(span: number, happening: () => void): void {
    this.room.timeline.after(span, happening);
  }

  finish(call: Call, outcome: Outcome, facts: Facts | null): void {
    this.room.history.finish(call, outcome, facts, this.room.timeline.now as Instant);
    this.room.returned(call);
  }

  drawBackoff(): number {
    return this.prng.between(BACKOFF_MIN_MICROS, BACKOFF_MAX_MICROS);
  }

  // ---- beliefs ----

  believedLeader(): SimComputer {
    return this.room.computers[this.#place] as SimComputer;
  }

  /** Another than the believed leader. */
  bystander(): SimComputer {
    const { computers } = this.room;
    return computers[(this.#place + 1) % computers.length] as SimComputer;
  }

  learnFrom(fault: Fault): void {
    const hint = fault.code === "not-leader" ? fault.leader : null;
    const place = this.room.computers.findIndex((computer) => computer.name === hint);
    if (place >= 0) this.#place = place;
    else if (RETRY_FAULTS.has(fault.code)) this.lookElsewhere();
  }

  lookElsewhere(): void {
    this.#place = this.prng.below(this.room.computers.length);
  }

  learnEnd(end: number): void {
    if (end > this.room.knownEnd) this.room.knownEnd = end as Offset;
  }

  learnTimes(entries: readonly Entry[]): void {
    const [head, last] = [entries[0], entries.at(-1)];
    if (head === undefined || last === undefined) return;
    const { room } = this;
    const known = room.knownTimes;
    room.knownTimes = {
      first: Math.min(known?.first ?? head.timestamp, head.timestamp) as WallMs,
      last: Math.max(known?.last ?? 0, last.timestamp) as WallMs,
    };
  }
}
