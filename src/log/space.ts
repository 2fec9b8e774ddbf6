// Room on the disk. Whatever meets a full disk before a sync has covered its bytes waits here, and
// is tried again when somebody thinks there may be room: after a span of time, or when segments
// went. Owns who waits and the reserve: a file of zeros that is given up when the disk is full, so
// that there is always room to take a checkpoint, to trim behind it, and to stop cleanly.

import type { Position } from "../base/ids.ts";
import { RESERVE_FILE } from "./file-names.ts";
import { attempt, DiskTrouble, type Flow, Gate, perform } from "./flow.ts";
import { zeros } from "./zeros.ts";

export class Space {
  readonly #reserveBytes: number;
  readonly #gate = new Gate();
  #isFull = false;
  #isScarce = false;
  #isHopeful = true;
  #isReserved: boolean;

  /** 0 bytes: no reserve is kept. */
  constructor(reserveBytes: number, isReserved: boolean) {
    this.#reserveBytes = reserveBytes;
    this.#isReserved = isReserved;
  }

  /** True while entries wait for room. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Zeros could not be written ahead: the first sign of a full disk. */
  get isScarce(): boolean {
    return this.#isScarce;
  }

  refusedAhead(): void {
    this.#isScarce = true;
  }

  /** The next segment has another size: writing ahead is worth another try. */
  hopeAhead(): void {
    this.#isScarce = false;
  }

  get isReserved(): boolean {
    return this.#isReserved;
  }

  /** There is no reserve, and may be room for one since it was last tried. */
  get wantsReserve(): boolean {
    return this.#reserveBytes > 0 && !this.#isReserved && this.#isHopeful;
  }

  /** Whoever waits tries once more. */
  retry(): void {
    this.#isScarce = false;
    this.#isHopeful = true;
    this.#gate.open();
  }

  /**
   * Runs `work`, over and over until there is room for it; after each try that met a full disk
   * `undo` takes back what it left. Where `mayWait` says no, the reserve is spent first.
   */
  *needing<Result>(
    work: () => Flow<Result>,
    undo?: () => Flow<unknown>,
    mayWait = () => true,
  ): Flow<Result> {
    for (;;) {
      try {
        const result = yield* work();
        this.#isFull = false;
        return result;
      } catch (thrown) {
        if (!isFull(thrown)) throw thrown;
      }
      if (undo !== undefined) yield* undo();
      if (mayWait() || !(yield* this.spend())) yield* this.wait();
    }
  }

  /** Until somebody says that there may be room. */
  *wait(): Flow<void> {
    this.#isFull = true;
    yield this.#gate;
  }

  /** What was waited for has been done. */
  found(): void {
    this.#isFull = false;
  }

  /** Runs `work`; when there is no room for it, once more without the reserve. */
  *sparing<Result>(work: () => Flow<Result>): Flow<Result> {
    try {
      return yield* work();
    } catch (thrown) {
      if (!isFull(thrown) || !this.#isReserved) throw thrown;
    }
    yield* this.spend();
    return yield* work();
  }

  /** Gives the reserve up; false when there is none. */
  *spend(): Flow<boolean> {
    if (!this.#isReserved) return false;
    this.#isReserved = false;
    yield* giveUpReserve();
    return true;
  }

  /** Makes the reserve if there is room for it. */
  *keepReserve(): Flow<void> {
    if (!this.wantsReserve) return;
    this.#isHopeful = false;
    this.#isReserved = true;
    const file = RESERVE_FILE;
    try {
      yield* perform(
        { kind: "create", file },
        { kind: "write-at", file, position: 0 as Position, parts: zeros(this.#reserveBytes) },
        { kind: "sync", file },
      );
      yield* perform({ kind: "sync-dir" });
    } catch (thrown) {
      if (!isFull(thrown)) throw thrown;
      this.#isReserved = false;
      yield* giveUpReserve();
    }
  }
}

/** True when a disk had no room, and said so before anything rested on it. */
export function isFull(thrown: unknown): boolean {
  return thrown instanceof DiskTrouble && thrown.isFull;
}

export function* giveUpReserve(): Flow<void> {
  const result = yield* attempt({ kind: "unlink", file: RESERVE_FILE });
  if (result.kind === "done") yield* perform({ kind: "sync-dir" });
}
