// Answers that come once more when the same is asked anew: an old vote while its candidate stands
// again, an old confirmation while its leader leads again. A late copy at a drawn instant would
// hardly ever meet the few milliseconds in which it matters. Owns what is remembered; frames are
// carried by sim/sim-network.ts.

import type { FrozenBytes } from "../src/base/bytes.ts";
import type { NodeId } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";

/** Second byte of a peer message (src/node/wire.ts): questions are even, each answer one more. */
const VOTE_REQUEST = 2;
const APPEND_REQUEST = 4;

/** How often, in 100, a question meets an old answer: elections are rare, appends are not. */
const CHANCE_PERCENT: ReadonlyMap<number, number> = new Map([
  [VOTE_REQUEST, 60],
  [APPEND_REQUEST, 1],
]);

const REMEMBERED_MAX = 6;

/** Carries a frame once more to where it went. */
export type CarryAgain = () => void;

export class OldAnswers {
  readonly #prng: Prng;
  /** By way and type, oldest first. */
  readonly #passed = new Map<string, CarryAgain[]>();

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** A frame goes from `from` to `to`. */
  passed(from: NodeId, to: NodeId, frame: FrozenBytes, carryAgain: CarryAgain): void {
    const type = frame[1] ?? 0;
    const percent = CHANCE_PERCENT.get(type);
    if (percent === undefined) {
      this.#remember(`${from}>${to} ${type}`, carryAgain);
      return;
    }
    const answers = this.#passed.get(`${to}>${from} ${type + 1}`);
    if (answers !== undefined && this.#prng.chance(percent, 100)) this.#prng.pick(answers)();
  }

  #remember(way: string, carryAgain: CarryAgain): void {
    const answers = this.#passed.get(way) ?? [];
    this.#passed.set(way, answers);
    answers.push(carryAgain);
    if (answers.length > REMEMBERED_MAX) answers.shift();
  }
}
