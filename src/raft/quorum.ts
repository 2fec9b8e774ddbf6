// Arithmetic of majorities over plain numbers: what more than half of the voters have reached, and
// how an election stands; in a joint configuration, for both halves (paper, sections 5.2, 5.3 and
// 6). Knows nothing of terms, logs or peers.

import type { MemberId } from "../base/ids.ts";

/** The two electorates of a membership; `outgoing` is empty unless it is joint. */
export interface Electorates {
  readonly voters: readonly MemberId[];
  readonly outgoing: readonly MemberId[];
}

/** How many of `voters` are more than half of them. */
export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * The largest value that a majority has reached, each voter having reached all up to its own: of
 * match indexes it is the committed index, of rounds the confirmed round, of contact instants the
 * last contact with a quorum. Without voters nothing is ever reached: 0.
 */
export function reachedByMajority(values: readonly number[]): number {
  return majorityValue(values.slice());
}

/**
 * The same; sorts `values` in place. PERF: asked several times a turn, of few voters, so that
 * neither a copy nor a sort that calls back is worth it.
 */
function majorityValue(values: number[]): number {
  for (let at = 1; at < values.length; at++) {
    const value = values[at] as number;
    let hole = at;
    for (; hole > 0 && (values[hole - 1] as number) < value; hole--) {
      values[hole] = values[hole - 1] as number;
    }
    values[hole] = value;
  }
  // The m-th largest value is reached by at least m voters. The index is inside: m <= length.
  return values.length === 0 ? 0 : (values[majorityOf(values.length) - 1] as number);
}

/** As reachedByMajority, by a majority of each half: in a joint configuration the lesser of two. */
export function reachedByQuorum(
  { voters, outgoing }: Electorates,
  reachedBy: (voter: MemberId) => number,
): number {
  const reached = majorityValue(voters.map(reachedBy));
  if (outgoing.length === 0) return reached;
  return Math.min(reached, majorityValue(outgoing.map(reachedBy)));
}

export type Outcome = "won" | "lost" | "pending";

/** How an election stands after `granted` and `refused` of `voters` have answered. */
export function electionOutcome(voters: number, granted: number, refused: number): Outcome {
  if (voters > 0 && granted >= majorityOf(voters)) return "won";
  return voters - refused < majorityOf(voters) ? "lost" : "pending";
}

/** How an election stands in both halves: lost as soon as one is lost, won when both are won. */
export function jointOutcome(
  { voters, outgoing }: Electorates,
  answer: (voter: MemberId) => "granted" | "refused" | null,
): Outcome {
  const outcome = outcomeIn(voters, answer);
  if (outgoing.length === 0 || outcome === "lost") return outcome;
  const other = outcomeIn(outgoing, answer);
  return other === "won" ? outcome : other;
}

function outcomeIn(
  voters: readonly MemberId[],
  answer: (voter: MemberId) => "granted" | "refused" | null,
): Outcome {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const answered = answer(voter);
    if (answered === "granted") granted += 1;
    else if (answered === "refused") refused += 1;
  }
  return electionOutcome(voters.length, granted, refused);
}
