// `cairn members`: who is in the cluster, who leads, who votes, who is behind, who answers. Asks
// each member itself. Owns the table.

import { CairnError, type ServerInfo, type ServerStatus } from "../client/client.ts";
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
  /** What it says of itself and the others; null when it does not say. */
  readonly status: ServerStatus | null;
  readonly ms: number;
}

interface Row {
  readonly id: string;
  readonly address: string;
  readonly role: string;
  /** voter, learner, outgoing or none; empty when nobody says. */
  readonly standing: string;
  /** Entries it lacks, as the leader knows; null when that does not say. */
  readonly lag: number | null;
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

/** By majority of who answers: a node that was just cut off may still believe itself the leader. */
function rowsOf(seen: readonly Seen[]): Row[] {
  const lists = seen.flatMap(({ servers }) => (servers instanceof CairnError ? [] : [servers]));
  const rows = new Map<string, Row>();
  for (const { id, address } of lists.flat()) {
    const own = seen.find((one) => one.address === address);
    const answers = own !== undefined && !(own.servers instanceof CairnError);
    const votes = lists.filter((list) => list.some((one) => one.id === id && one.isLeader)).length;
    const role = votes * 2 > lists.length ? "leader" : "follower";
    const { standing, lag } = knownOf(id, seen);
    rows.set(id, { id, address, role, standing, lag, answers, ms: answers ? own.ms : null });
  }
  return [...rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** By the leader, who alone knows how far others are; of two, the one of the later term. */
function knownOf(id: string, seen: readonly Seen[]): Pick<Row, "standing" | "lag"> {
  const told = seen.flatMap(({ status }) => (status === null ? [] : [status]));
  const rank = ({ role, term }: ServerStatus) => (role === "leader" ? term + 1 : 0);
  const [best] = told.toSorted((one, other) => rank(other) - rank(one));
  const member = best?.members.find(({ name }) => name === id);
  return { standing: member?.standing ?? "", lag: member?.lag ?? null };
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
      bold(
        `${"member".padEnd(idWidth)}  ${"address".padEnd(addressWidth)}  role      standing  lag     answers`,
      ),
    );
    for (const { id, address, role, standing, lag, answers, ms } of rows) {
      const state = answers ? `yes, ${ms} ms` : paint("red", "no", process.stdout);
      const shown = role === "leader" ? paint("green", role.padEnd(8), process.stdout) : role;
      const place = `${id.padEnd(idWidth)}  ${address.padEnd(addressWidth)}`;
      const part = `${(standing || "-").padEnd(8)}  ${String(lag ?? "-").padEnd(6)}`;
      await output.line(`${place}  ${shown.padEnd(8)}  ${part}  ${state}`);
    }
  }
  await output.flush();
}
