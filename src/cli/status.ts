// `cairn status`: what each member says of itself, a row each. Owns the table and the exit code; a
// member that does not answer is a row, too.

import { CairnError, type ServerStatus } from "../client/client.ts";
import {
  type ClusterFlags,
  connectTo,
  describeCairnError,
  findTarget,
  type Target,
} from "./connect.ts";
import { EXIT } from "./exit.ts";
import { Output, paint } from "./terminal.ts";

export interface StatusFlags extends ClusterFlags {
  readonly json?: boolean;
}

const ANSWER_MS = 2_000;

interface Seen {
  readonly address: string;
  readonly status: ServerStatus | CairnError;
}

export async function runStatus(flags: StatusFlags): Promise<void> {
  const target = findTarget(flags);
  const seen = await Promise.all(target.addresses.map((address) => ask(target, address)));
  const known = new Set(target.addresses);
  const further = new Set(seen.flatMap(({ status }) => addressesIn(status)));
  const unknown = [...further].filter((address) => !known.has(address));
  seen.push(...(await Promise.all(unknown.map((address) => ask(target, address)))));
  const errors = seen.flatMap(({ status }) => (status instanceof CairnError ? [status] : []));
  const [first] = errors;
  if (first !== undefined && errors.length === seen.length) throw describeCairnError(first, target);
  await print(seen, flags.json === true);
  if (!seen.every(({ status }) => isServing(status))) process.exitCode = EXIT.failed;
}

async function ask(target: Target, address: string): Promise<Seen> {
  const options = { timeoutMs: ANSWER_MS, attemptTimeoutMs: ANSWER_MS };
  const client = connectTo({ ...target, addresses: [address] }, options);
  try {
    return { address, status: await client.status() };
  } catch (error) {
    if (error instanceof CairnError) return { address, status: error };
    throw error;
  } finally {
    client.close();
  }
}

function addressesIn(status: ServerStatus | CairnError): string[] {
  if (status instanceof CairnError) return [];
  return status.members.map(({ address }) => address).filter((address) => address !== "");
}

function isServing(status: ServerStatus | CairnError): boolean {
  return !(status instanceof CairnError) && status.state === "serving";
}

const COLUMNS = [
  "member",
  "state",
  "role",
  "term",
  "log",
  "committed",
  "on disk",
  "room",
  "scrub",
] as const;

function cellsOf({ address, status }: Seen): string[] {
  if (status instanceof CairnError)
    return [address, status.code, ...Array(COLUMNS.length - 2).fill("-")];
  const { name, state, role, term, startOffset, endOffset, commitIndex, durableIndex } = status;
  const log = `${startOffset}..${endOffset}`;
  const cells = [name, state, role, `${term}`, log, `${commitIndex}`, `${durableIndex}`];
  return [...cells, status.disk?.room ?? "-", scrubbed(status.disk)];
}

/** How far rot is looked for in what is written: whole passes, and where the next one is. */
function scrubbed(disk: ServerStatus["disk"]): string {
  if (disk === null) return "-";
  const { scrubPasses, scrubBytes, scrubIndex } = disk;
  if (scrubBytes === 0) return "-";
  return scrubIndex > 1 ? `${scrubPasses} + to ${scrubIndex}` : `${scrubPasses}`;
}

function damageOf({ address, status }: Seen): string[] {
  if (status instanceof CairnError || (status.disk?.damage ?? "") === "") return [];
  return [`${status.name} at ${address}: ${status.disk?.damage}`];
}

async function print(seen: readonly Seen[], asJson: boolean): Promise<void> {
  const output = new Output();
  if (asJson) {
    for (const { address, status } of seen) {
      const answer = status instanceof CairnError ? { error: status.code } : status;
      await output.line(JSON.stringify({ address, ...answer }));
    }
    await output.flush();
    return;
  }
  const rows = seen.map((one) => ({ cells: cellsOf(one), isServing: isServing(one.status) }));
  rows.sort((a, b) => ((a.cells[0] ?? "") < (b.cells[0] ?? "") ? -1 : 1));
  const widths = COLUMNS.map((title, at) =>
    Math.max(title.length, ...rows.map(({ cells }) => (cells[at] ?? "").length)),
  );
  const lineOf = (cells: readonly string[]) =>
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd();
  await output.line(paint("bold", lineOf(COLUMNS), process.stdout));
  for (const row of rows) {
    const line = lineOf(row.cells);
    await output.line(row.isServing ? line : paint("red", line, process.stdout));
  }
  for (const damage of seen.flatMap(damageOf)) {
    await output.line(paint("red", damage, process.stdout));
  }
  await output.flush();
}
