// What clients did and saw, as plain data: the input of the checkers that run at the end. Instants are
// the simulator's own time, so they compare across nodes and clients. Owns no rule.

/**
 * One attempt to append one batch. Attempts of the same `content` are retries of one logical append:
 * an idempotent producer retries with the same producer and sequence; any other attempt has a content
 * of its own.
 */
export interface AppendAttempt {
  readonly client: string;
  /** Names the batch: equal for retries, different for everything else. */
  readonly content: string;
  /** Records in the batch, at least 1. */
  readonly count: number;
  /** Place among this client's appends when it appends in order (its sequence), else null. */
  readonly order: number | null;
  readonly expectedEndOffset: number | null;
  readonly start: number;
  /** When the answer came; null when none did. */
  readonly end: number | null;
  readonly outcome: AppendOutcome;
}

export type AppendOutcome =
  | { readonly kind: "acked"; readonly offset: number; readonly duplicate: boolean }
  /** Definite: this attempt put nothing into the log and never will. */
  | { readonly kind: "refused"; readonly code: string }
  | { readonly kind: "unknown" };

/** One answered CheckTail. Unanswered ones say nothing and are left out. */
export interface TailCheck {
  readonly client: string;
  readonly start: number;
  readonly end: number;
  readonly endOffset: number;
}

/** One answer that brought records. */
export interface ReadAnswer {
  readonly reader: string;
  /** Name and run of the node that answered, as one string: a restart is another one. */
  readonly node: string;
  readonly start: number;
  readonly end: number;
  /** First offset asked for. */
  readonly from: number;
  readonly batches: readonly LogBatch[];
  /** The node's own committed end, exclusive, as it said. */
  readonly endOffset: number;
  /** The cluster's committed end when the answer left, as the checkers knew it; null when unknown. */
  readonly committedEnd: number | null;
}

/** One batch of records at its place. */
export interface LogBatch {
  readonly offset: number;
  readonly count: number;
  readonly content: string;
}

/** The records of the committed log when all is over, in order, without control entries. */
export interface FinalLog {
  readonly batches: readonly LogBatch[];
  /** Exclusive. */
  readonly endOffset: number;
}

export interface ClientHistory {
  readonly appends: readonly AppendAttempt[];
  readonly tails: readonly TailCheck[];
  readonly reads: readonly ReadAnswer[];
}

/** The attempts of one logical append. */
export interface AppendGroup {
  readonly content: string;
  readonly attempts: readonly AppendAttempt[];
}

/** Attempts by content, in the order of their first start. */
export function groupAppends(appends: readonly AppendAttempt[]): AppendGroup[] {
  const groups = new Map<string, AppendAttempt[]>();
  for (const attempt of appends) {
    const group = groups.get(attempt.content);
    if (group === undefined) groups.set(attempt.content, [attempt]);
    else group.push(attempt);
  }
  return [...groups].map(([content, attempts]) => ({ content, attempts }));
}

/** For messages: `append "p1#3" by c1 [120, 450] acked at offset 7`. Instants in microseconds. */
export function describeAttempt(attempt: AppendAttempt): string {
  const span = `[${attempt.start}, ${attempt.end ?? "no answer"}]`;
  const { outcome } = attempt;
  const said =
    outcome.kind === "acked"
      ? `acknowledged at offset ${outcome.offset}${outcome.duplicate ? " as a duplicate" : ""}`
      : outcome.kind === "refused"
        ? `refused (${outcome.code})`
        : "outcome unknown";
  return `append "${attempt.content}" x${attempt.count} by ${attempt.client} ${span} us: ${said}`;
}

export function describeTail(check: TailCheck): string {
  return `check-tail by ${check.client} [${check.start}, ${check.end}] us: end offset ${check.endOffset}`;
}
