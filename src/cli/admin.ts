// `cairn admin`: acts upon the cluster as a whole. Owns the words; the cluster decides.

import type { MembershipChange } from "../client/client.ts";
import { type ClusterFlags, findTarget, withClient } from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { splitAddress } from "./settings.ts";
import { grouped, Output } from "./terminal.ts";

export interface AdminFlags extends ClusterFlags {
  readonly json?: boolean;
}

/** Says what was asked for, once it is so. */
async function change(asked: MembershipChange, said: string, flags: AdminFlags): Promise<void> {
  const target = findTarget(flags);
  await withClient(target, {}, (client) => client.changeMembership(asked));
  await tell(said, asked, flags);
}

async function tell(said: string, facts: object, flags: AdminFlags): Promise<void> {
  const output = new Output();
  await output.line(flags.json === true ? JSON.stringify(facts) : said);
  await output.flush();
}

export interface AddFlags extends AdminFlags {
  readonly learner?: boolean;
}

export function runAdd(name: string, address: string, flags: AddFlags): Promise<void> {
  const asVoter = flags.learner !== true;
  checkAddress(address);
  const said = `${name} at ${address} is a ${asVoter ? "voter" : "learner"} now`;
  return change({ kind: "add", name, address, asVoter }, said, flags);
}

export function runReplace(
  names: readonly [name: string, withName: string, withAddress: string],
  flags: AdminFlags,
): Promise<void> {
  const [name, withName, withAddress] = names;
  checkAddress(withAddress);
  const said = `${withName} at ${withAddress} has taken the place of ${name}`;
  return change({ kind: "replace", name, withName, withAddress }, said, flags);
}

const BY_NAME = {
  remove: "is no member any more",
  promote: "is a voter now",
  demote: "is a learner now",
} as const;

export function runByName(
  kind: keyof typeof BY_NAME,
  name: string,
  flags: AdminFlags,
): Promise<void> {
  return change({ kind, name }, `${name} ${BY_NAME[kind]}`, flags);
}

export async function runTransfer(name: string | undefined, flags: AdminFlags): Promise<void> {
  const target = findTarget(flags);
  const to = name === undefined ? {} : { to: name };
  await withClient(target, {}, (client) => client.transferLeadership(to));
  const said = `leadership went to ${name ?? "the most caught up"}`;
  await tell(said, { kind: "transfer", ...to }, flags);
}

function checkAddress(address: string): void {
  if (splitAddress(address) !== null) return;
  throw new CommandError(`ADDRESS: expected host:port, got "${address}"`, EXIT.usage);
}

export async function runTrim(before: string, flags: AdminFlags): Promise<void> {
  const offset = Number(before);
  if (!/^\d+$/.test(before) || !Number.isSafeInteger(offset)) {
    throw new CommandError(`BEFORE: expected an offset, got "${before}"`, EXIT.usage);
  }
  const target = findTarget(flags);
  const startOffset = await withClient(target, {}, (client) => client.trim(offset));
  await tell(`the log begins at offset ${grouped(startOffset)} now`, { startOffset }, flags);
}
