// One way between two nodes of a simulated network: how long it is, what is cut, held, worsened or
// overflows on it now, and the draws of all that. Owns the chances of one path; the links that lead
// over it are sim/sim-network.ts.

import type { Prng } from "../src/base/prng.ts";
import type { NetworkProfile } from "./plan.ts";
import { drawSpan } from "./spans.ts";
import type { Timeline } from "./timeline.ts";

/** A peer without power says no good-bye; its links time out some time after. */
const SILENCE_MEAN_MICROS = 400_000;
/** Distances between machines, in times the usual delay. */
const PATH_LENGTHS: readonly number[] = [1, 1, 1, 1, 2, 2, 4];
const REPLAY_MIN_MICROS = 500_000;
const REPLAY_MEAN_MICROS = 4_000_000;

/** What all paths of a network share. */
export interface PathSurroundings {
  readonly timeline: Timeline;
  readonly profile: NetworkProfile;
}

/** A frame between two nodes, that an overflow may still take. */
export interface InTransit {
  isEvicted: boolean;
}

export class Path {
  readonly #network: PathSurroundings;
  readonly #prng: Prng;
  readonly #length: number;
  /** Frames on the way at once, on one link; null: as many as there are. */
  readonly #roomMax: number | null;
  /** Mishaps that cut it now. */
  cuts = 0;
  /** Mishaps that hold what comes by now, and what they hold, oldest first. */
  clogs = 0;
  #held: (() => void)[] = [];
  /** A storm's: frames lost beyond the profile, and how many times longer all takes. */
  stormDropPerMille = 0;
  stormDelayTimes = 1;

  constructor(network: PathSurroundings, prng: Prng) {
    this.#network = network;
    this.#prng = prng;
    this.#length = prng.pick(PATH_LENGTHS);
    const { transitFramesMax } = network.profile;
    this.#roomMax = transitFramesMax === 0 ? null : prng.fork("room").between(1, transitFramesMax);
  }

  get isBounded(): boolean {
    return this.#roomMax !== null;
  }

  drawDelay(): number {
    const { delayMinMicros, delayMeanMicros } = this.#network.profile;
    const extra = drawSpan(this.#prng, delayMeanMicros);
    return (delayMinMicros + extra) * this.#length * this.stormDelayTimes;
  }

  /** Lets it arrive, unless a clog holds it. */
  pass(arrive: () => void): void {
    if (this.clogs > 0) this.#held.push(arrive);
    else arrive();
  }

  /** One clog less; what was held arrives when the last one is gone. */
  unclog(): void {
    this.clogs--;
    if (this.clogs > 0) return;
    for (const arrive of this.#held.splice(0)) this.#network.timeline.after(0, arrive);
  }

  /**
   * Which frame has to go when one more enters after `ahead`, oldest first: one of those, the new
   * one, or none while there is room. The first of them is on the wire already, and stays: a path
   * that is always full still carries something.
   */
  overflow(ahead: readonly InTransit[], entering: InTransit): InTransit | null {
    const { transitFramesMax, overflow } = this.#network.profile;
    if (this.#roomMax === null || transitFramesMax === 0) return null;
    if (ahead.length < this.#roomMax) return null;
    return overflow === "newest" ? entering : (ahead[1] ?? entering);
  }

  drawsDrop(): boolean {
    return this.#draws(this.#network.profile.dropPerMille) || this.#draws(this.stormDropPerMille);
  }

  drawsReorder(): boolean {
    return this.#draws(this.#network.profile.reorderPerMille);
  }

  /** Microseconds until a second copy arrives; null for no copy. */
  drawCopyDelay(): number | null {
    if (!this.#draws(this.#network.profile.duplicatePerMille)) return null;
    if (!this.#draws(this.#network.profile.replayPerMille)) return 2 * this.drawDelay();
    return REPLAY_MIN_MICROS + drawSpan(this.#prng, REPLAY_MEAN_MICROS);
  }

  drawSilence(): number {
    return drawSpan(this.#prng, SILENCE_MEAN_MICROS);
  }

  #draws(perMille: number): boolean {
    return perMille > 0 && this.#prng.chance(perMille, 1000);
  }
}
