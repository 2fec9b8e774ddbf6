// `cairn members`: who is in the cluster, who leads, who answers. Asks each member itself. Owns the
// table.

import { CairnError, type ServerInfo } from "../client/client.ts";
import {
  type ClusterFlags,
  connectTo,
  describeCairnError,
  findTarget,
  type Target,
} from "./connect.ts";
import { Output, paint } from "./terminal.ts";

export interface MembersFlags extends ClusterFlags {
  readonly json?: boolean;
}

const ANSWER_MS = 2_000;

interface Seen {
  readonly address: string;
  readonly servers: readonly ServerInfo[] | CairnError;
  readonly ms: number;
}

interface Row {
  readonly id: string;
  readonly address: string;
  readonly role: string;
  readonly answers: boolean;
  readonly ms: number | null;
}

export async function runMembers(flags: MembersFlags): Promise<void> {
  const target = findTarget(flags);
  const seen = await Promise.all(target.addresses.map((address) => ask(target, address)));
  const known = new Set(target.addresses);
  const further = [...new Set(seen.flatMap(addressesIn))].filter((address) => !known.has(address));
  seen.push(...(await Promise.all(further.map((address) => ask(target, address)))));
  const refusal = seen
    .map(({ servers }) => servers)
    .find((servers) => servers instanceof CairnError);
  if (seen.every(({ servers }) => servers instanceof CairnError) && refusal !== undefined) {
    throw describeCairnError(refusal as CairnError, target);
  }
  await print(rowsOf(seen), flags.json === true);
}

async function ask(target: Target, address: string): Promise<Seen> {
  const options = { timeoutMs: ANSWER_MS, attemptTimeoutMs: ANSWER_MS };
  const client = connectTo({ ...target, addresses: [address] }, options);
  const begun = performance.now();
  const ms = () => Math.round(performance.now() - begun);
  try {
    return { address, servers: await client.servers(), ms: ms() };
  } catch (error) {
    if (error instanceof CairnError) return { address, servers: error, ms: ms() };
    throw error;
  } finally {
    client.close();
  }
}

function addressesIn({ servers }: Seen): string[] {
  return servers instanceof CairnError ? [] : servers.map(({ address }) => address);
}

/** By majority of who answers: a node that was just cut off may still believe itself the leader. */
function rowsOf(seen: readonly Seen[]): Row[] {
  const lists = seen.flatMap(({ servers }) => (servers instanceof CairnError ? [] : [servers]));
  const rows = new Map<string, Row>();
  for (const { id, address } of lists.flat()) {
    const own = seen.find((one) => one.address === address);
    const answers = own !== undefined && !(own.servers instanceof CairnError);
    const votes = lists.filter((list) => list.some((one) => one.id === id && one.isLeader)).length;
    const role = votes * 2 > lists.length ? "leader" : "follower";
    rows.set(id, { id, address, role, answers, ms: answers ? own.ms : null });
  }
  return [...rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function print(rows: readonly Row[], asJson: boolean): Promise<void> {
  const output = new Output();
  if (asJson) {
    for (const row of rows) await output.line(JSON.stringify(row));
  } else {
    const idWidth = Math.max(6, ...rows.map(({ id }) => id.length));
    const addressWidth = Math.max(7, ...rows.map(({ address }) => address.length));
    const bold = (text: string) => paint("bold", text, process.stdout);
    await output.line(
      bold(`${"member".padEnd(idWidth)}  ${"address".padEnd(addressWidth)}  role      answers`),
    );
    for (const { id, address, role, answers, ms } of rows) {
      const state = answers ? `yes, ${ms} ms` : paint("red", "no", process.stdout);
      const shown = role === "leader" ? paint("green", role.padEnd(8), process.stdout) : role;
      const place = `${id.padEnd(idWidth)}  ${address.padEnd(addressWidth)}`;
      await output.line(`${place}  ${shown.padEnd(8)}  ${state}`);
    }
  }
  await output.flush();
}
