// `cairn keys`: the keys of encrypted gossip, on all members at once. Each member is asked for its
// own, over its own link. Owns the table, and that nothing is half done without a word.

import { generateGossipKey } from "../adapters/gossip-keyring.ts";
import { CairnError } from "../client/client.ts";
import { type ClusterFlags, connectTo, findTarget, type Target, withClient } from "./connect.ts";
import { EXIT } from "./exit.ts";
import { Output, paint, say } from "./terminal.ts";

export interface KeysFlags extends ClusterFlags {
  readonly json?: boolean;
}

export type KeyAct = "list" | "install" | "use" | "remove";

const ANSWER_MS = 5_000;

interface Told {
  readonly name: string;
  readonly keys: readonly string[];
  /** Why it did not do it; null when it did. */
  readonly trouble: string | null;
}

export async function runGenerate(flags: { readonly json?: boolean }): Promise<void> {
  const output = new Output();
  const key = generateGossipKey();
  await output.line(flags.json === true ? JSON.stringify({ key }) : key);
  await output.flush();
}

export async function runKeys(act: KeyAct, key: string, flags: KeysFlags): Promise<void> {
  const target = findTarget(flags);
  const { members } = await withClient(target, {}, (client) => client.status());
  const told = await Promise.all(
    members.map(({ name, address }) => ask({ ...target, addresses: [address] }, name, act, key)),
  );
  const output = new Output();
  if (flags.json === true) for (const one of told) await output.line(JSON.stringify(one));
  else for (const line of drawKeys(told)) await output.line(line);
  await output.flush();
  const troubled = told.filter(({ trouble }) => trouble !== null);
  for (const { name, trouble } of troubled) say(`${name}: ${trouble}`);
  if (troubled.length > 0) process.exitCode = EXIT.failed;
}

async function ask(target: Target, name: string, act: KeyAct, key: string): Promise<Told> {
  const client = connectTo(target, { timeoutMs: ANSWER_MS, attemptTimeoutMs: ANSWER_MS });
  try {
    return { name, keys: await client.gossipKeys(act, key), trouble: null };
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
    return { name, keys: [], trouble: `${error.message} [${error.code}]` };
  } finally {
    client.close();
  }
}

/** A row for each key: how many members have it, and how many seal with it. */
export function drawKeys(told: readonly Told[]): readonly string[] {
  const answered = told.filter(({ trouble }) => trouble === null);
  const keys = [...new Set(answered.flatMap((one) => one.keys))].sort();
  const width = Math.max(3, ...keys.map(({ length }) => length));
  const head = `${"key".padEnd(width)}  installed  in use`;
  const rows = keys.map((key) => {
    const installed = answered.filter((one) => one.keys.includes(key)).length;
    const inUse = answered.filter((one) => one.keys[0] === key).length;
    return `${key.padEnd(width)}  ${`${installed}/${told.length}`.padEnd(9)}  ${inUse}/${told.length}`;
  });
  return [paint("bold", head, process.stdout), ...rows];
}
