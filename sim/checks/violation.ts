// What a checker says when a promise is broken: the property's name, one sentence, and the two facts
// that cannot both be true. Owns the names of the properties; finds nothing itself.

/** Safety properties, watched after every event. Paper section or promise in brackets. */
export type SafetyProperty =
  /** At most one leader a term [5.2]. */
  | "election-safety"
  /** A leader was granted this term by a quorum, each with a vote that is on its disk [5.2]. */
  | "elected-by-quorum"
  /** A vote goes only to a log at least as up to date as the voter's [5.4.1]. */
  | "vote-restriction"
  /** A leader never overwrites or drops an entry of its own log [5.3]. */
  | "leader-append-only"
  /** One entry per (index, term), and one history before it [5.3]. */
  | "log-matching"
  /** A new leader has all that earlier terms committed [5.4]. */
  | "leader-completeness"
  /** Only entries of the leader's own term are committed by counting [5.4.2]. */
  | "commit-own-term"
  /** A commit rests on a quorum of copies that would survive a power loss now. */
  | "commit-durable-quorum"
  /** Nobody commits what no leader committed, and nobody drops what was committed. */
  | "committed-immutable"
  /** All nodes hold the same entry at a committed index, offsets without gaps [5.4.3]. */
  | "state-machine-safety"
  /** commitIndex never goes back while a node runs. */
  | "commit-monotonic"
  /** Term, vote and durable log survive every restart. */
  | "hard-state-monotonic"
  | "recovered-log"
  /** Nothing leaves a node before what it promises is durable there. */
  | "promise-vote"
  | "promise-candidacy"
  | "promise-append"
  | "promise-answer";

/** Properties of what clients saw; Jepsen's names for Kafka anomalies where they fit. */
export type HistoryProperty =
  /** An acknowledged append is not in the log. */
  | "lost-write"
  /** Two values at one offset. */
  | "inconsistent-offsets"
  /** One append in the log more than once. */
  | "duplicate"
  /** An append that was definitely refused is in the log, or was read (G1a). */
  | "aborted-append"
  | "aborted-read"
  /** Something in the log that nobody appended. */
  | "phantom"
  /** An entry was read before it was committed. */
  | "precommitted-read"
  | "poll-skip"
  | "nonmonotonic-poll"
  | "nonmonotonic-send"
  /** The end of the log that a linearizable read reported was already past. */
  | "stale-read"
  | "linearizability";

export type Property = SafetyProperty | HistoryProperty;

export interface Violation {
  readonly property: Property;
  /** What is broken, in one sentence without names. */
  readonly sentence: string;
  /** The two things observed that cannot both be right, with names and numbers. */
  readonly facts: readonly [string, string];
}

/** Called at most a few times a run: the first violation is the one that matters. */
export type Report = (violation: Violation) => void;

/** For people: the sentence, then the two facts under one another. */
export function describeViolation(violation: Violation): string {
  const { property, sentence, facts } = violation;
  return `${property}: ${sentence}\n  1. ${facts[0]}\n  2. ${facts[1]}`;
}
