// The answers to one round of asking for votes. Pre-votes and votes are tallied in different types,
// so that a promise to vote can never be counted as a vote (reference: E09 of the bug catalogue).

import type { MemberId } from "../base/ids.ts";
import { type Electorates, jointOutcome, type Outcome } from "./quorum.ts";

export class Tally<Kind extends "pre-vote" | "vote"> {
  readonly kind: Kind;
  readonly #answers = new Map<MemberId, "granted" | "refused">();

  constructor(kind: Kind) {
    this.kind = kind;
  }

  hasGranted(voter: MemberId): boolean {
    return this.#answers.get(voter) === "granted";
  }

  /** A grant names the round it is of, and stands. */
  granted(voter: MemberId): void {
    this.#answers.set(voter, "granted");
  }

  /** A refusal may be left over from an earlier round: a grant before or after it counts. */
  refused(voter: MemberId): void {
    if (!this.hasGranted(voter)) this.#answers.set(voter, "refused");
  }

  outcomeAmong(electorates: Electorates): Outcome {
    return jointOutcome(electorates, (voter) => this.#answers.get(voter) ?? null);
  }
}
