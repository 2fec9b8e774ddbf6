// The bounds of an agent that an operator may move, by name: `--limits connections=100,calls=64`,
// or a map of that name in the file. Owns names, defaults and ranges; docs/security.md says what
// each protects from, and a test holds its table to this one.

import { z } from "zod";

interface Limit {
  readonly standard: number;
  readonly low: number;
  readonly high: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** In the order of docs/security.md. */
export const LIMITS = {
  /** Connections of clients to the gRPC port, those still shaking hands among them. */
  connections: { standard: 4096, low: 1, high: 65_536 },
  /** Connections to that port that have not said a byte yet. */
  "silent-connections": { standard: 256, low: 1, high: 65_536 },
  /** Connections of peers. */
  "peer-connections": { standard: 256, low: 8, high: 65_536 },
  /** Until the first byte of a connection. */
  "first-byte-ms": { standard: 5000, low: 10, high: 600_000 },
  /** For TLS, on every port. */
  "handshake-ms": { standard: 10_000, low: 10, high: 600_000 },
  /** Until a connection without a call is closed. */
  "idle-ms": { standard: 900_000, low: 1000, high: 86_400_000 },
  /** Until a connection of a client must be made anew, with a certificate; 0: never. */
  "age-ms": { standard: 0, low: 0, high: 604_800_000 },
  /** Calls under way on one connection. */
  calls: { standard: 1024, low: 1, high: 65_536 },
  /** Requests in the node without an answer, streams at the end of the log among them. */
  requests: { standard: 8192, low: 1, high: 1_000_000 },
  /** Appends in the node without an answer. */
  "append-bytes": { standard: 64 * MIB, low: 64 * KIB, high: 4 * GIB },
  /** One batch; 0 for what the node can take: 4 MiB, or record-bytes-max and 1 MiB more. */
  "batch-bytes": { standard: 0, low: 0, high: 64 * MIB },
  /** One answer to a Read. */
  "read-bytes": { standard: 4 * MIB, low: 1024, high: 64 * MIB },
  /** Answers to Read and Consume that one connection has not read yet. */
  "unread-bytes": { standard: 64 * MIB, low: 64 * KIB, high: 4 * GIB },
  /** What a stream reads ahead of its consumer. */
  "read-ahead-bytes": { standard: 256 * KIB, low: 1024, high: 64 * MIB },
  /** Appends in flight on one stream. */
  "stream-window": { standard: 256, low: 1, high: 65_536 },
  /** Until an append or a read is given up. */
  "request-ms": { standard: 10_000, low: 10, high: 600_000 },
  /** How long a Read may wait for more at the end of the log. */
  "wait-ms": { standard: 60_000, low: 0, high: 600_000 },
  /** Connections to the REST port. */
  "rest-connections": { standard: 256, low: 1, high: 65_536 },
  /** Bodies of REST requests that are being read. */
  "rest-body-bytes": { standard: 64 * MIB, low: 64 * KIB, high: 4 * GIB },
  /** Until a REST request, head and body, has come. */
  "rest-request-ms": { standard: 30_000, low: 10, high: 600_000 },
} as const satisfies Readonly<Record<string, Limit>>;

export type LimitName = keyof typeof LIMITS;
export type Limits = Readonly<Record<LimitName, number>>;

const names = Object.keys(LIMITS) as LimitName[];

export const DEFAULT_LIMITS = Object.fromEntries(
  names.map((name) => [name, LIMITS[name].standard]),
) as Limits;

const RULE = "expected name=number,name=number,...";

/** Takes the text of a flag or a map from name to number; what is not named keeps its default. */
export const limits = z.unknown().transform((value, context): Limits => {
  const say = (message: string) => {
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  };
  const pairs = pairsOf(value);
  if (pairs === null) return say(RULE);
  const given: Record<string, number> = { ...DEFAULT_LIMITS };
  const seen = new Set<string>();
  for (const [name, text] of pairs) {
    const limit = names.find((known) => known === name);
    if (limit === undefined) return say(`no such limit: ${name}; there are ${names.join(", ")}`);
    if (seen.has(name)) return say(`${name} is given twice`);
    seen.add(name);
    const { low, high } = LIMITS[limit];
    const number = Number(text);
    if (!/^\d{1,15}$/.test(text) || number < low || number > high) {
      return say(`${name}: expected a whole number from ${low} to ${high}`);
    }
    given[limit] = number;
  }
  return given as Limits;
});

function pairsOf(value: unknown): [string, string][] | null {
  if (typeof value === "string") {
    const pairs = value.split(",").map((pair) => pair.trim().split("="));
    return pairs.every((pair) => pair.length === 2)
      ? pairs.map(([name = "", text = ""]) => [name.trim(), text.trim()])
      : null;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return Object.entries(value).map(([name, text]) => [name, String(text)]);
}
