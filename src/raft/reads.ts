// Linearizable reads at the leader (thesis 6.4, ReadIndex): they wait in batches, each for one
// round that began after they came. The leader makes the rounds and says which are confirmed.

import type { LogIndex } from "../base/ids.ts";
import type { Outbox } from "./outbox.ts";

interface Batch {
  readonly round: number;
  readonly readIndex: LogIndex;
  readonly readIds: readonly number[];
}

export class Reads {
  /** Came after the latest round began. */
  #fresh: number[] = [];
  /** Ascending by round. */
  #batches: Batch[] = [];
  #waiting = 0;

  get waiting(): number {
    return this.#waiting;
  }

  /** Whether some read waits for a round to begin. */
  get needRound(): boolean {
    return this.#fresh.length > 0;
  }

  add(readId: number): void {
    this.#fresh.push(readId);
    this.#waiting += 1;
  }

  /**
   * A round begins: whoever waits for one takes part. `readIndex` covers everything committed
   * before now, here or by any earlier leader.
   */
  roundBegan(round: number, readIndex: LogIndex): void {
    if (this.#fresh.length === 0) return;
    this.#batches.push({ round, readIndex, readIds: this.#fresh });
    this.#fresh = [];
  }

  /** Answers the batches whose round a quorum has confirmed and whose readIndex is committed. */
  release(confirmedRound: number, commitIndex: LogIndex, outbox: Outbox): void {
    let released = 0;
    for (const { round, readIndex, readIds } of this.#batches) {
      if (round > confirmedRound || readIndex > commitIndex) break;
      for (const readId of readIds) outbox.readVerdict({ kind: "ready", readId, readIndex });
      this.#waiting -= readIds.length;
      released += 1;
    }
    if (released > 0) this.#batches.splice(0, released);
  }

  /** Removes and returns every read that waits. */
  takeAll(): number[] {
    const all = this.#batches.flatMap(({ readIds }) => readIds).concat(this.#fresh);
    this.#batches = [];
    this.#fresh = [];
    this.#waiting = 0;
    return all;
  }
}
