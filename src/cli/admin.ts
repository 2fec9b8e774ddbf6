// `cairn admin`: acts upon the cluster as a whole. Owns the words; the cluster decides.

import { type ClusterFlags, findTarget, withClient } from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { grouped, Output } from "./terminal.ts";

export interface AdminFlags extends ClusterFlags {
  readonly json?: boolean;
}

export async function runTrim(before: string, flags: AdminFlags): Promise<void> {
  const offset = Number(before);
  if (!/^\d+$/.test(before) || !Number.isSafeInteger(offset)) {
    throw new CommandError(`BEFORE: expected an offset, got "${before}"`, EXIT.usage);
  }
  const target = findTarget(flags);
  const startOffset = await withClient(target, {}, (client) => client.trim(offset));
  const output = new Output();
  const text = `the log begins at offset ${grouped(startOffset)} now`;
  await output.line(flags.json === true ? JSON.stringify({ startOffset }) : text);
  await output.flush();
}
