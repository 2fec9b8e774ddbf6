// `cairn admin`: acts upon the cluster as a whole. Owns the words; the cluster decides.

import type { CairnClient, MembershipChange } from "../client/client.ts";
import { type ClusterFlags, findTarget, withClient } from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { splitAddress } from "./settings.ts";
import { grouped, Output, Progress, Rate } from "./terminal.ts";

export interface AdminFlags extends ClusterFlags {
  readonly json?: boolean;
}

/** A change of one member. */
type Act = Exclude<MembershipChange, { kind: "set" }>;

const LOOK_EVERY_MS = 500;

/** Says what was asked for, once it is so; meanwhile how far whom we wait for is behind. */
async function change(asked: Act, said: string, flags: AdminFlags): Promise<void> {
  const target = findTarget(flags);
  await withClient(target, {}, async (client) => {
    const changed = client.changeMembership(asked);
    const stopShowing = showLag(client, asked.kind === "replace" ? asked.withName : asked.name);
    try {
      await changed;
    } finally {
      stopShowing();
    }
  });
  await tell(said, asked, flags);
}

/** Asks the cluster now and then how far the member is; returns what ends that. */
function showLag(client: CairnClient, name: string): () => void {
  const progress = new Progress("waiting", null);
  const begun = new Rate();
  let isAsking = false;
  const look = async () => {
    const { members } = await client.status();
    const member = members.find((each) => each.name === name);
    // Only the leader knows how far others are, and this may have asked another.
    if (member !== undefined && member.lag === null) return;
    const behind =
      member === undefined ? "not known yet" : `${grouped(member.lag ?? 0)} entries behind`;
    progress.update(0, `${name}: ${behind}, ${Math.round(begun.seconds)} s`);
  };
  const looking = setInterval(() => {
    if (isAsking) return;
    isAsking = true;
    // Whoever cannot be asked now is asked again; what fails is the change's to say.
    void look()
      .catch(() => undefined)
      .finally(() => {
        isAsking = false;
      });
  }, LOOK_EVERY_MS);
  return () => {
    clearInterval(looking);
    progress.stop();
  };
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
