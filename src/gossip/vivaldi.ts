// Where we are among the others, in a space whose distances are round trips (Vivaldi, Dabek et al.
// 2004; height, adjustment, filter and gravity as in Serf 0.9.4). Owns the arithmetic of our own
// coordinate: only + - x / and the square root, which IEEE 754 rounds alike on every machine, so
// that a run can be replayed. Nobody's fate hangs on it: coordinates are shown, nothing is decided.

import { assert } from "../base/assert.ts";
import type { Micros } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import { type Coordinate, DIMENSIONS, ERROR_MAX } from "./coordinate.ts";

/** Seconds; what the way from a member into the network costs at least. */
const HEIGHT_MIN = 1e-5;
/** How much one round trip moves the error and the place. */
const ERROR_WEIGHT = 0.25;
const PLACE_WEIGHT = 0.25;
/** Round trips by which the sum of what the space cannot express is estimated. */
const ADJUSTMENTS = 20;
/** Seconds from the origin at which the pull towards it is as strong as the network's word. */
const GRAVITY_SPAN = 150;
/** Seconds, or a sum of errors, below which nothing is told apart. */
const ZERO = 1e-6;
const MICROS_A_SECOND = 1_000_000;

/** Round trips with one member, of which the middle one counts: a hiccup moves nobody. */
export const LATENCIES_KEPT = 3;
/** A longer one says nothing of the network. */
export const ROUND_TRIP_MAX = (10 * MICROS_A_SECOND) as Micros;

/** Before anything is known: at the origin, and not to be trusted. */
export const ORIGIN: Coordinate = {
  adjustment: 0,
  error: ERROR_MAX,
  height: HEIGHT_MIN,
  vector: new Array<number>(DIMENSIONS).fill(0),
};

/** The round trip that two coordinates foretell, in whole microseconds. */
export function roundTripBetween(a: Coordinate, b: Coordinate): Micros {
  return Math.floor(distance(a, b) * MICROS_A_SECOND) as Micros;
}

/** The middle one of the last round trips, `latest` among them; `kept` is what it leaves. */
export function filtered(kept: number[], latest: Micros): Micros {
  kept.push(latest);
  if (kept.length > LATENCIES_KEPT) kept.shift();
  const sorted = [...kept].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as Micros;
}

export class Vivaldi {
  readonly #prng: Prng;
  readonly #adjustments: number[] = [];
  #nextAdjustment = 0;
  #own: Coordinate = ORIGIN;
  #hasMoved = false;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  get own(): Coordinate {
    return this.#own;
  }

  /** A round trip of at most ROUND_TRIP_MAX was seen; false before. */
  get hasMoved(): boolean {
    return this.#hasMoved;
  }

  /** Moves us a little so that the distance to `other` is more like `roundTrip`. */
  observe(other: Coordinate, roundTrip: Micros): void {
    assert(roundTrip >= 0 && roundTrip <= ROUND_TRIP_MAX, "a round trip", roundTrip);
    const seconds = Math.max(ZERO, roundTrip / MICROS_A_SECOND);
    this.#approach(other, seconds);
    this.#adjust(other, seconds);
    this.#fall();
    this.#hasMoved = true;
    // Numbers that ran away say nothing any more: begin anew, as agents do.
    if (!isSound(this.#own)) this.#own = ORIGIN;
  }

  #approach(other: Coordinate, seconds: number): void {
    const { error } = this.#own;
    const apart = distance(this.#own, other);
    const wrongness = Math.abs(apart - seconds) / seconds;
    const weight = error / Math.max(ZERO, error + other.error);
    const learnt = ERROR_WEIGHT * weight;
    const nextError = Math.min(ERROR_MAX, learnt * wrongness + error * (1 - learnt));
    const force = PLACE_WEIGHT * weight * (seconds - apart);
    this.#own = this.#pushed({ ...this.#own, error: nextError }, force, other);
  }

  /** What the space gets wrong with everybody is a part of us. */
  #adjust(other: Coordinate, seconds: number): void {
    this.#adjustments[this.#nextAdjustment] = seconds - rawDistance(this.#own, other);
    this.#nextAdjustment = (this.#nextAdjustment + 1) % ADJUSTMENTS;
    const sum = this.#adjustments.reduce((total, each) => total + each, 0);
    this.#own = { ...this.#own, adjustment: sum / (2 * ADJUSTMENTS) };
  }

  /** Towards the origin, lest all drift away together. */
  #fall(): void {
    const pull = distance(ORIGIN, this.#own) / GRAVITY_SPAN;
    this.#own = this.#pushed(this.#own, -(pull * pull), ORIGIN);
  }

  /** `who`, moved by so many seconds straight away from `other`. */
  #pushed(who: Coordinate, force: number, other: Coordinate): Coordinate {
    const away = who.vector.map((place, at) => place - (other.vector[at] ?? 0));
    const apart = lengthOf(away);
    if (apart <= ZERO) return { ...who, vector: moved(who.vector, this.#anywhere(), force) };
    const direction = away.map((part) => part * (1 / apart));
    const raised = ((who.height + other.height) * force) / apart + who.height;
    const vector = moved(who.vector, direction, force);
    return { ...who, vector, height: Math.max(HEIGHT_MIN, raised) };
  }

  /** Two in one place part in some direction. */
  #anywhere(): readonly number[] {
    const drawn = ORIGIN.vector.map(() => this.#prng.uint32() / 0x1_0000_0000 - 0.5);
    const length = lengthOf(drawn);
    if (length > ZERO) return drawn.map((part) => part * (1 / length));
    return ORIGIN.vector.map((_, at) => (at === 0 ? 1 : 0));
  }
}

/** Seconds. */
function distance(a: Coordinate, b: Coordinate): number {
  const raw = rawDistance(a, b);
  const adjusted = raw + a.adjustment + b.adjustment;
  return adjusted > 0 ? adjusted : raw;
}

function rawDistance(a: Coordinate, b: Coordinate): number {
  const apart = lengthOf(a.vector.map((place, at) => place - (b.vector[at] ?? 0)));
  return apart + a.height + b.height;
}

function moved(place: readonly number[], direction: readonly number[], by: number): number[] {
  return place.map((part, at) => part + (direction[at] ?? 0) * by);
}

function lengthOf(vector: readonly number[]): number {
  return Math.sqrt(vector.reduce((sum, part) => sum + part * part, 0));
}

function isSound({ adjustment, error, height, vector }: Coordinate): boolean {
  return [adjustment, error, height, ...vector].every(Number.isFinite);
}
