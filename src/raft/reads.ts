// Linearizable reads at the leader (thesis 6.4, ReadIndex): they wait in batches, each for one
// round that began after they came. The leader makes the rounds and says which are confirmed; a
// round of its own term is the only context, whatever number the asker gave.

import { earlier, type Instant, type LogIndex, type MemberId, NEVER } from "../base/ids.ts";
import type { WaitingRead } from "./read-queue.ts";

/** Who waits: a caller here, or the readers of a server that does not lead. */
export type Asker =
  | ({ readonly kind: "here" } & WaitingRead)
  | { readonly kind: "peer"; readonly peer: MemberId; readonly sequence: number };

interface Batch {
  readonly round: number;
  readonly readIndex: LogIndex;
  readonly askers: readonly Asker[];
}

export class Reads {
  /** Came after the latest round began. */
  #fresh: Asker[] = [];
  /** Ascending by round. */
  #batches: Batch[] = [];
  #waiting = 0;
  /** At or before the first deadline of those who wait. */
  #deadline: Instant = NEVER;

  get waiting(): number {
    return this.#waiting;
  }

  get deadline(): Instant {
    return this.#deadline;
  }

  /** Whether some read waits for a round to begin. */
  get needRound(): boolean {
    return this.#fresh.length > 0;
  }

  add(asker: Asker): void {
    this.#fresh.push(asker);
    this.#waiting += 1;
    if (asker.kind === "here") this.#deadline = earlier(this.#deadline, asker.deadline);
  }

  /**
   * A round begins: whoever waits for one takes part. `readIndex` covers everything committed
   * before now, here or by any earlier leader.
   */
  roundBegan(round: number, readIndex: LogIndex): void {
    if (this.#fresh.length === 0) return;
    this.#batches.push({ round, readIndex, askers: this.#fresh });
    this.#fresh = [];
  }

  /** Gives the batches whose round a quorum has confirmed and whose readIndex is committed. */
  release(
    confirmedRound: number,
    commitIndex: LogIndex,
    answer: (asker: Asker, readIndex: LogIndex) => void,
  ): void {
    let released = 0;
    for (const { round, readIndex, askers } of this.#batches) {
      if (round > confirmedRound || readIndex > commitIndex) break;
      for (const asker of askers) answer(asker, readIndex);
      this.#waiting -= askers.length;
      released += 1;
    }
    if (released > 0) this.#batches.splice(0, released);
    if (this.#waiting === 0) this.#deadline = NEVER;
  }

  /** Removes and returns the callers here whose deadline has passed. */
  takeLate(now: Instant): WaitingRead[] {
    if (now < this.#deadline) return [];
    const late: WaitingRead[] = [];
    const isInTime = (asker: Asker): boolean => {
      if (asker.kind === "peer" || now < asker.deadline) return true;
      late.push(asker);
      return false;
    };
    this.#fresh = this.#fresh.filter(isInTime);
    this.#batches = this.#batches.map((each) => ({
      ...each,
      askers: each.askers.filter(isInTime),
    }));
    this.#waiting -= late.length;
    this.#deadline = NEVER;
    for (const asker of this.#all()) {
      if (asker.kind === "here") this.#deadline = earlier(this.#deadline, asker.deadline);
    }
    return late;
  }

  /** Removes and returns everybody who waits. */
  takeAll(): Asker[] {
    const all = this.#all();
    this.#batches = [];
    this.#fresh = [];
    this.#waiting = 0;
    this.#deadline = NEVER;
    return all;
  }

  #all(): Asker[] {
    return this.#batches.flatMap(({ askers }) => askers).concat(this.#fresh);
  }
}
