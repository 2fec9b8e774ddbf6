// `cairn query`: asks members by gossip, and shows who got it and what they answer as it comes.
// Owns the lines and what is a failure.

import type { QueryNews } from "../client/client.ts";
import { type ClusterFlags, findTarget, withClient } from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { payloadFields, plural, shownPayload, shownText } from "./talk-text.ts";
import { Output } from "./terminal.ts";

export interface QueryFlags extends ClusterFlags {
  readonly json?: boolean;
  readonly node?: readonly string[];
  readonly tag?: readonly string[];
  /** Seconds. */
  readonly timeout?: string;
  readonly ack?: boolean;
  readonly relayFactor?: string;
}

const TIMEOUT_SECONDS_MAX = 3600;
const RELAY_FACTOR_MAX = 255;

/** Exit code 1 when nobody acked or answered. */
export async function runQuery(
  name: string,
  payload: string | undefined,
  flags: QueryFlags,
): Promise<void> {
  const query = {
    name,
    payload: Buffer.from(payload ?? ""),
    nodes: flags.node ?? [],
    tags: tagsOf(flags.tag ?? []),
    timeoutMs: timeoutMsOf(flags.timeout),
    ack: flags.ack ?? true,
    relayFactor: relayFactorOf(flags.relayFactor),
  };
  const output = new Output();
  let replies = 0;
  await withClient(findTarget(flags), {}, async (client) => {
    for await (const news of client.query(query)) {
      if (news.kind === "ack" || news.kind === "answer") replies += 1;
      const line = flags.json === true ? jsonOf(news) : lineOf(news);
      if (line !== null) await output.line(line);
    }
  });
  await output.flush();
  if (replies === 0) process.exitCode = EXIT.failed;
}

/** Null for what is not known here. */
export function lineOf(news: QueryNews): string | null {
  const from = shownText(news.from);
  if (news.kind === "begun") return `asked; replies are waited for ${news.timeoutMs / 1000} s`;
  if (news.kind === "ack") return `ack of ${from}`;
  if (news.kind === "answer") return `answer of ${from}: ${shownPayload(news.payload)}`;
  if (news.kind !== "ended") return null;
  const { acks, answers, duplicates } = news;
  const doubled = duplicates === 0 ? "" : `, ${plural(duplicates, "duplicate")}`;
  return `${plural(acks, "ack")}, ${plural(answers, "answer")}${doubled}`;
}

export function jsonOf(news: QueryNews): string | null {
  const { kind, from, payload, timeoutMs, acks, answers, duplicates } = news;
  if (kind === "begun") return JSON.stringify({ kind, timeoutMs });
  if (kind === "ack") return JSON.stringify({ kind, from });
  if (kind === "answer") return JSON.stringify({ kind, from, ...payloadFields(payload) });
  return kind === "ended" ? JSON.stringify({ kind, acks, answers, duplicates }) : null;
}

function tagsOf(pairs: readonly string[]): Record<string, string> {
  const tags = new Map<string, string>();
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw new CommandError(`--tag: expected NAME=REGEX, got "${pair}"`, EXIT.usage);
    tags.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return Object.fromEntries(tags);
}

function timeoutMsOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const ms = Math.round(Number(text) * 1000);
  if (text.trim() === "" || !(ms >= 1 && ms <= TIMEOUT_SECONDS_MAX * 1000)) {
    const expected = `expected seconds up to ${TIMEOUT_SECONDS_MAX}`;
    throw new CommandError(`--timeout: ${expected}, got "${text}"`, EXIT.usage);
  }
  return ms;
}

function relayFactorOf(text = "0"): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= RELAY_FACTOR_MAX) return Number(text);
  const expected = `expected 0 to ${RELAY_FACTOR_MAX}`;
  throw new CommandError(`--relay-factor: ${expected}, got "${text}"`, EXIT.usage);
}
