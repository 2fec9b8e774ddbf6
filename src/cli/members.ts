// `cairn members`: who is in the cluster, who leads, who votes, who is behind, what gossip says of
// each, and who answers. Asks each member itself. Owns what a row says and when it is shown anew;
// how it looks is members-table.ts.

import { CairnError, type ServerInfo, type ServerStatus } from "../client/client.ts";
import {
  type ClusterFlags,
  connectTo,
  describeCairnError,
  findTarget,
  type Target,
} from "./connect.ts";
import { drawMembers, type MemberRow } from "./members-table.ts";
import { Output } from "./terminal.ts";

export interface MembersFlags extends ClusterFlags {
  readonly json?: boolean;
  readonly watch?: boolean;
}

const ANSWER_MS = 2_000;
const WATCH_EVERY_MS = 1_000;

interface Seen {
  readonly address: string;
  readonly servers: readonly ServerInfo[] | CairnError;
  /** What it says of itself and the others; null when it does not say. */
  readonly status: ServerStatus | null;
  readonly ms: number;
}

export async function runMembers(flags: MembersFlags): Promise<void> {
  const target = findTarget(flags);
  if (flags.watch === true) {
    await watch(target, flags);
    return;
  }
  const rows = await look(target);
  const output = new Output();
  if (flags.json === true) for (const row of rows) await output.line(JSON.stringify(row));
  else for (const line of drawMembers(rows, process.stdout)) await output.line(line);
  await output.flush();
}

/** Throws when nobody answers. */
async function look(target: Target): Promise<readonly MemberRow[]> {
  const seen = await Promise.all(target.addresses.map((address) => ask(target, address)));
  const known = new Set(target.addresses);
  const further = [...new Set(seen.flatMap(addressesIn))].filter((address) => !known.has(address));
  seen.push(...(await Promise.all(further.map((address) => ask(target, address)))));
  const refusals = seen.flatMap(({ servers }) => (servers instanceof CairnError ? [servers] : []));
  const [refusal] = refusals;
  if (refusal !== undefined && refusals.length === seen.length) {
    throw describeCairnError(refusal, target);
  }
  return rowsOf(seen);
}

async function ask(target: Target, address: string): Promise<Seen> {
  const options = { timeoutMs: ANSWER_MS, attemptTimeoutMs: ANSWER_MS };
  const client = connectTo({ ...target, addresses: [address] }, options);
  const begun = performance.now();
  const ms = () => Math.round(performance.now() - begun);
  try {
    // First: once it knows the servers, the client may ask any of them.
    const status = await client.status();
    const answeredMs = ms();
    return { address, servers: await client.servers(), status, ms: answeredMs };
  } catch (error) {
    if (error instanceof CairnError) return { address, servers: error, status: null, ms: ms() };
    throw error;
  } finally {
    client.close();
  }
}

function addressesIn({ servers }: Seen): string[] {
  return servers instanceof CairnError ? [] : servers.map(({ address }) => address);
}

const NOTHING_TOLD = { role: "", standing: "", lag: null, replication: "" } as const;

/** By majority of who answers: a node that was just cut off may still believe itself the leader. */
export function rowsOf(seen: readonly Seen[]): readonly MemberRow[] {
  const lists = seen.flatMap(({ servers }) => (servers instanceof CairnError ? [] : [servers]));
  const best = bestInformed(seen);
  const rows = new Map<string, MemberRow>();
  for (const { id, address } of lists.flat()) {
    const own = seen.find((one) => one.address === address);
    const answers = own !== undefined && !(own.servers instanceof CairnError);
    const votes = lists.filter((list) => list.some((one) => one.id === id && one.isLeader)).length;
    const role = votes * 2 > lists.length ? "leader" : "follower";
    const member = best?.members.find(({ name }) => name === id);
    const told = {
      standing: member?.standing ?? "",
      lag: member?.lag ?? null,
      replication: member?.replication ?? "",
    };
    const ms = answers ? own.ms : null;
    rows.set(id, { id, address, role, ...told, ...gossipOf(id, best), answers, ms });
  }
  for (const { name: id, address } of best?.gossip ?? []) {
    if (rows.has(id)) continue;
    const none = { ...NOTHING_TOLD, answers: false, ms: null };
    rows.set(id, { id, address, ...none, ...gossipOf(id, best) });
  }
  return [...rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The leader, who alone knows how far others are; of two, the one of the later term. */
function bestInformed(seen: readonly Seen[]): ServerStatus | undefined {
  const told = seen.flatMap(({ status }) => (status === null ? [] : [status]));
  const rank = ({ role, term }: ServerStatus) => (role === "leader" ? term + 1 : 0);
  return told.toSorted((one, other) => rank(other) - rank(one))[0];
}

function gossipOf(id: string, best: ServerStatus | undefined): Pick<MemberRow, "gossip" | "tags"> {
  const member = best?.gossip.find(({ name }) => name === id);
  return { gossip: member?.status ?? "", tags: member?.tags ?? {} };
}

/** Until Ctrl-C: drawn over itself on a terminal, elsewhere a line for each row that changed. */
async function watch(target: Target, flags: MembersFlags): Promise<void> {
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  process.once("SIGTERM", () => interrupted.abort());
  const output = new Output();
  const signal = AbortSignal.any([interrupted.signal, output.closed]);
  const isDrawn = process.stdout.isTTY === true && flags.json !== true;
  const screen = isDrawn ? new Screen(output) : new Changes(output);
  try {
    while (!signal.aborted) {
      await screen.show(await look(target));
      await pause(WATCH_EVERY_MS, signal);
    }
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
  }
  output.closed.throwIfAborted();
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** A table that takes the place of the one before. */
class Screen {
  readonly #output: Output;
  #height = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  async show(rows: readonly MemberRow[]): Promise<void> {
    const lines = drawMembers(rows, process.stdout);
    // Up to where the last one began, and everything below is cleared.
    const back = this.#height === 0 ? "" : `\u001b[${this.#height}A\u001b[J`;
    this.#height = lines.length;
    await this.#output.write(`${back}${lines.join("\n")}\n`);
  }
}

/** One JSON object for each row that is not as it was; how long an answer took is no change. */
export class Changes {
  readonly #output: Pick<Output, "line">;
  readonly #shown = new Map<string, string>();

  constructor(output: Pick<Output, "line">) {
    this.#output = output;
  }

  async show(rows: readonly MemberRow[]): Promise<void> {
    const at = new Date().toISOString();
    const gone = [...this.#shown.keys()].filter((id) => !rows.some((row) => row.id === id));
    for (const id of gone) {
      this.#shown.delete(id);
      await this.#output.line(JSON.stringify({ at, id, gone: true }));
    }
    for (const { ms, ...row } of rows) {
      const told = JSON.stringify(row);
      if (this.#shown.get(row.id) === told) continue;
      this.#shown.set(row.id, told);
      await this.#output.line(JSON.stringify({ at, ...row, ms }));
    }
  }
}
