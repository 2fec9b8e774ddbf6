// A Lamport clock as Serf counts it: what was seen is before what is said next. Refuses jumps that
// no cluster makes, so that one absurd message cannot use the clock up.

/** How far ahead of ours a clock may be believed to be. */
export const LAMPORT_JUMP_MAX = 0x1_0000_0000;

export class LamportClock {
  #time = 1;

  /** What the next own message is stamped with; from 1. */
  get time(): number {
    return this.#time;
  }

  /** Takes the current time for a message of ours, and moves on. */
  tick(): number {
    const taken = this.#time;
    this.#time += 1;
    return taken;
  }

  /** False for a time that no correct member can have reached: it is to be ignored. */
  isCredible(time: number): boolean {
    return Number.isSafeInteger(time) && time >= 1 && time <= this.#time + LAMPORT_JUMP_MAX;
  }

  /** Moves past a credible `time` that somebody else has used. */
  maybeWitness(time: number): boolean {
    if (!this.isCredible(time)) return false;
    if (time >= this.#time) this.#time = time + 1;
    return true;
  }
}
