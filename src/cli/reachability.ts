// `cairn reachability`: whether packets of gossip come to each member and back: all are pinged by a
// query, and who should ack is compared with who does. Owns the comparison and its hints.

import { type ClusterFlags, findTarget, withClient } from "./connect.ts";
import { EXIT } from "./exit.ts";
import { plural, shownText } from "./talk-text.ts";
import { Output } from "./terminal.ts";

export interface ReachabilityFlags extends ClusterFlags {
  readonly json?: boolean;
}

export interface Reachability {
  /** Whom gossip lists as alive. */
  readonly alive: readonly string[];
  readonly acked: readonly string[];
  /** Alive, and no ack came. */
  readonly missing: readonly string[];
  /** An ack came, and it is not listed as alive. */
  readonly unexpected: readonly string[];
  readonly duplicates: number;
}

/** Exit code 1 when it is not as it should be. */
export async function runReachability(flags: ReachabilityFlags): Promise<void> {
  const found = await withClient(findTarget(flags), {}, async (client) => {
    const { gossip } = await client.status();
    const alive = gossip.filter(({ status }) => status === "alive").map(({ name }) => name);
    const acked: string[] = [];
    let duplicates = 0;
    for await (const news of client.query({ name: "_serf_ping", payload: Buffer.alloc(0) })) {
      if (news.kind === "ack") acked.push(news.from);
      if (news.kind === "ended") duplicates = news.duplicates;
    }
    return compare(alive, acked, duplicates);
  });
  const output = new Output();
  if (flags.json === true) await output.line(JSON.stringify(found));
  else for (const line of describeReachability(found)) await output.line(line);
  await output.flush();
  if (!isWell(found)) process.exitCode = EXIT.failed;
}

export function compare(
  alive: readonly string[],
  acked: readonly string[],
  duplicates: number,
): Reachability {
  return {
    alive: alive.toSorted(),
    acked: acked.toSorted(),
    missing: alive.filter((name) => !acked.includes(name)).toSorted(),
    unexpected: acked.filter((name) => !alive.includes(name)).toSorted(),
    duplicates,
  };
}

function isWell({ missing, unexpected, duplicates }: Reachability): boolean {
  return missing.length === 0 && unexpected.length === 0 && duplicates === 0;
}

/** What was found, then what may be wrong and what to look at. */
export function describeReachability(found: Reachability): readonly string[] {
  const { alive, acked, missing, unexpected, duplicates } = found;
  const lines = [`${plural(acked.length, "ack")} of ${plural(alive.length, "member")} alive`];
  if (isWell(found)) return [...lines, "all members are reached"];
  for (const name of missing) {
    lines.push(
      `${shownText(name)} did not ack: packets to it or from it are lost, or it has just failed;` +
        " a rumor passes somebody by now and then, so ask again; else, is UDP open both ways?",
    );
  }
  for (const name of unexpected) {
    lines.push(
      `${shownText(name)} acked, and is not listed as alive: it has just joined, or is taken for` +
        " failed by mistake; is it overloaded?",
    );
  }
  if (duplicates > 0) {
    lines.push(`${plural(duplicates, "ack")} too many: do two members bear one name?`);
  }
  return lines;
}
