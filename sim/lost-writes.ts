// Which operations of a simulated disk are acknowledged and not done. Owns the choice; what is
// there instead is sim/sim-disk.ts, and whether it may be so at all is the atlas's to say.

/**
 * A write that never reaches the medium, one that lands somewhere else, or a sync of the directory
 * after which some names are not durable.
 */
export type LostWrite = "phantom" | "misdirected" | "names";

/** Asked before each, and told of it by the same call. */
export type MayLose = (how: LostWrite) => boolean;

export class LostWrites {
  #armed: { readonly how: LostWrite; left: number }[] = [];
  /** The run's atlas; a disk by itself loses nothing. */
  mayLose: MayLose = () => false;

  /** The nth such operation from now on is lost, if it may be. */
  arm(how: LostWrite, nth: number): void {
    this.#armed.push({ how, left: nth });
  }

  /** Nothing is lost any more but what already is. */
  disarm(): void {
    this.#armed = [];
  }

  /** An operation that can be lost in this way is about to take effect: true when it is. */
  strike(how: LostWrite): boolean {
    const struck = this.#armed.find((armed) => armed.how === how && --armed.left === 0);
    if (struck === undefined) return false;
    this.#armed = this.#armed.filter((armed) => armed !== struck);
    return this.mayLose(how);
  }
}
