// Who looks after nodes whose disks fail: a node that gave up because of its disk is started again
// some time later. Owns what a disk excuses, and when the next life begins; what disks refuse is
// sim/disk-errors.ts.

import type { Instant } from "../src/base/ids.ts";
import type { SimComputer } from "./computer.ts";
import type { Timeline } from "./timeline.ts";

/** At least so long after a failed start comes the next one. */
const RESTART_MICROS_MIN = 20_000;
/** A node that fails again at once is left twice as long each time, up to this, as by systemd. */
const RESTART_MICROS_MAX = 2_000_000;

/** The last time that a node stopped by itself, and how long it was left then. */
interface Stopped {
  readonly at: Instant;
  readonly wait: number;
}

export class Caretaker {
  readonly #timeline: Timeline;
  /** How long each computer's node is left as it is, in microseconds. */
  readonly #patience = new Map<SimComputer, number>();
  /** The life of each computer that is being looked after. */
  readonly #lives = new Map<SimComputer, number>();
  readonly #stopped = new Map<SimComputer, Stopped>();

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  patience(computer: SimComputer, restartMs: number): void {
    this.#patience.set(computer, Math.max(restartMs * 1000, RESTART_MICROS_MIN));
  }

  /**
   * The disk has done something: when it refused a change, its node gives up before long; it may
   * when it was read wrong.
   */
  look(computer: SimComputer): void {
    const { changesRefused, misread } = computer.disk.errors;
    if (changesRefused + misread === 0) return;
    if (this.#lives.get(computer) === computer.life) return;
    this.#lives.set(computer, computer.life);
    this.#lookLater(computer, computer.life);
  }

  /** Takes the node down, to be started again, when it is poisoned or its disk is damaged. */
  maybeTakeDown(computer: SimComputer): boolean {
    const { host, disk } = computer;
    if (host === null || (host.status().state !== "poisoned" && !disk.isDamaged)) return false;
    computer.crash("process");
    return true;
  }

  /**
   * True when the node stopped in a life in which its disk refused something or read it wrong, or
   * because it found damage that is there: then it is lost for good if it could not even start. If
   * it had, it may mend its log when it starts again.
   */
  stopped(computer: SimComputer, why: string): boolean {
    const isDamaged = computer.disk.isDamaged && why.includes("damaged");
    if (isDamaged && computer.raft === null) {
      computer.retire();
      computer.lose();
      return true;
    }
    if (!isDamaged && computer.disk.errors.met === 0) return false;
    computer.retire();
    this.#timeline.after(this.#waitAgain(computer), () => computer.maybeStart());
    return true;
  }

  /** How long to wait this time, after a start that may have been one of many in a row. */
  #waitAgain(computer: SimComputer): number {
    const [shortest, at] = [this.#waitOf(computer), this.#timeline.now];
    const last = this.#stopped.get(computer);
    const isInARow = last !== undefined && at - last.at < 2 * last.wait;
    const wait = isInARow ? Math.min(2 * last.wait, RESTART_MICROS_MAX) : shortest;
    this.#stopped.set(computer, { at, wait: Math.max(wait, shortest) });
    return Math.max(wait, shortest);
  }

  #lookLater(computer: SimComputer, life: number): void {
    this.#timeline.after(this.#waitOf(computer), () => {
      if (computer.life !== life || computer.host === null) return;
      if (this.maybeTakeDown(computer)) computer.maybeStart();
      else this.#lookLater(computer, life);
    });
  }

  #waitOf(computer: SimComputer): number {
    return this.#patience.get(computer) ?? RESTART_MICROS_MIN;
  }
}
