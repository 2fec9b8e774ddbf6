// Arithmetic of majorities over plain numbers: what more than half of the voters have reached, and
// how an election stands. Knows nothing of terms, logs or peers (paper, sections 5.2 and 5.3).

/** How many of `voters` are more than half of them. */
export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * The largest value that a majority has reached, each voter having reached all up to its own: of
 * match indexes it is the committed index, of rounds the confirmed round, of contact instants the
 * last contact with a quorum. Without voters nothing is ever reached: 0. Sorts a copy; voters are
 * few.
 */
export function reachedByMajority(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const descending = values.slice().sort((a, b) => b - a);
  // The m-th largest value is reached by at least m voters. The index is inside: m <= length.
  return descending[majorityOf(values.length) - 1] as number;
}

export type Outcome = "won" | "lost" | "pending";

/** How an election stands after `granted` and `refused` of `voters` have answered. */
export function electionOutcome(voters: number, granted: number, refused: number): Outcome {
  if (voters > 0 && granted >= majorityOf(voters)) return "won";
  return voters - refused < majorityOf(voters) ? "lost" : "pending";
}
