// The demo's proof, as arithmetic over what was sent, what was acknowledged and what each node's
// log holds: every line is in every log exactly once, at its acknowledged offset and in order.
// Knows no node, no client and no file, so that a test can show that it fails.

export interface Evidence {
  /** The records' values, in the order sent. */
  readonly lines: readonly Uint8Array[];
  /** The acknowledged offset of each line; null for a line that was never acknowledged. */
  readonly acknowledged: readonly (number | null)[];
  readonly logs: readonly NodeLog[];
}

/** A node's own copy, read from that node. */
export interface NodeLog {
  readonly node: string;
  /** In the order the node gave them. */
  readonly records: readonly { readonly offset: number; readonly value: Uint8Array }[];
}

const PROBLEMS_MAX = 10;

/** What is wrong, one sentence each; empty when the proof holds. */
export function findContradictions(evidence: Evidence): string[] {
  const problems: string[] = [];
  const { lines, acknowledged, logs } = evidence;
  if (logs.length === 0) problems.push("no log was read");
  if (acknowledged.length !== lines.length) {
    problems.push(`${lines.length} lines were sent, ${acknowledged.length} were accounted for`);
  }
  let before = -1;
  for (const [at, offset] of acknowledged.entries()) {
    if (offset === null) problems.push(`line ${at + 1} was never acknowledged`);
    else if (offset <= before) {
      problems.push(`line ${at + 1} was acknowledged at ${offset}, not after ${before}`);
    } else before = offset;
    if (problems.length >= PROBLEMS_MAX) return problems;
  }
  for (const log of logs) {
    problems.push(...contradictionsIn(log, lines, acknowledged));
    if (problems.length >= PROBLEMS_MAX) break;
  }
  return problems.slice(0, PROBLEMS_MAX);
}

/**
 * A log of exactly as many records as lines, at offsets 0, 1, 2, ..., with every line at its own
 * acknowledged offset, has no room for a lost or a doubled one.
 */
function contradictionsIn(
  { node, records }: NodeLog,
  lines: readonly Uint8Array[],
  acknowledged: readonly (number | null)[],
): string[] {
  const problems: string[] = [];
  if (records.length !== lines.length) {
    problems.push(`${node} has ${records.length} records for ${lines.length} lines`);
  }
  for (const [at, { offset }] of records.entries()) {
    if (offset !== at) {
      problems.push(`${node}: record ${at} has offset ${offset}`);
      break;
    }
  }
  for (const [at, line] of lines.entries()) {
    const offset = acknowledged[at] ?? null;
    const value = offset === null ? undefined : records[offset]?.value;
    if (value === undefined || Buffer.compare(value, line) !== 0) {
      const what = value === undefined ? "is missing" : `is another: ${shown(value)}`;
      problems.push(`${node}: line ${at + 1}, acknowledged at ${offset}, ${what}`);
      if (problems.length >= PROBLEMS_MAX) break;
    }
  }
  return problems;
}

function shown(value: Uint8Array): string {
  return JSON.stringify(Buffer.from(value.subarray(0, 40)).toString("utf8"));
}
