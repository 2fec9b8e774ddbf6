// `cairn recover DIR...`: the way out when a quorum is lost for good. Makes a cluster of one from
// the greatest log among the directories that are left, in a directory of its own; the old ones
// stay as they are, and belong to another cluster from then on. Owns the questions, the copy and
// the words; how directories compare is recover-survey.ts, how one is made new-cluster.ts.

import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { connect } from "node:net";
import path from "node:path";

import { type DataLock, lockDataDirectory } from "../adapters/data-lock.ts";
import { OverlayDisk } from "../adapters/overlay-disk.ts";
import { splitHostPort } from "../base/address.ts";
import type { LogPoint } from "../base/entry.ts";
import type { LogIndex, MemberId, Term } from "../base/ids.ts";
import { nameOf } from "../base/membership.ts";
import { MANIFEST_FILE } from "../log/file-names.ts";
import type { Identity } from "../log/protocol.ts";
import { type ConfirmFlags, confirm } from "./confirm.ts";
import { CommandError, describeError, EXIT } from "./exit.ts";
import { freeDirectory, makeCluster, type NewLog } from "./new-cluster.ts";
import { OfflineLog, offlineOptions } from "./offline-log.ts";
import {
  areQuorum,
  greatest,
  hasLog,
  isUsable,
  laterTerm,
  possibleLoss,
  type Survey,
  survey,
  type Unusable,
} from "./recover-survey.ts";
import { grouped, Output, Progress, say } from "./terminal.ts";

export interface RecoverFlags extends ConfirmFlags {
  readonly into?: string;
  readonly json?: boolean;
}

const ANSWER_MS_MAX = 1000;

/** What is done, for people and for whoever asks later. */
interface Plan {
  readonly chosen: Survey;
  readonly found: readonly Survey[];
  readonly unusable: readonly Unusable[];
  readonly into: string;
  readonly identity: Identity;
  readonly term: Term;
  readonly mayBeLost: readonly string[];
}

export async function runRecover(
  directories: readonly string[],
  flags: RecoverFlags,
): Promise<void> {
  const locks: DataLock[] = [];
  try {
    await lockAll(directories, locks);
    const plan = await planFor(directories, flags);
    describePlan(plan).forEach(say);
    await confirm("Make it?", "nothing was written", flags);
    await make(plan);
    await tell(plan, flags);
  } finally {
    for (const lock of locks) await lock.release();
  }
}

// ---- looking ----

/** Nobody runs on a directory that is compared. */
async function lockAll(directories: readonly string[], locks: DataLock[]): Promise<void> {
  const real = directories.map((directory) => path.resolve(directory));
  if (new Set(real).size < real.length) {
    throw new CommandError("a directory is named twice", EXIT.usage);
  }
  for (const directory of directories) {
    if (!(await isThere(path.join(directory, MANIFEST_FILE)))) {
      throw new CommandError(`${directory}: no data directory of a node`, EXIT.usage);
    }
    try {
      locks.push(await lockDataDirectory(directory));
    } catch (error) {
      throw new CommandError(describeError(error));
    }
  }
}

async function planFor(directories: readonly string[], flags: RecoverFlags): Promise<Plan> {
  const looked: (Survey | Unusable)[] = [];
  for (const directory of directories) looked.push(await survey(directory));
  const unusable = looked.filter((each): each is Unusable => !isUsable(each));
  const [first, ...others] = looked.filter(isUsable).filter(hasLog);
  if (first === undefined) {
    const why = unusable.map((each) => `${each.directory}: ${each.why}`);
    throw new CommandError(["none of these directories has a log to go on from", ...why]);
  }
  const found = [first, ...others] as const;
  const stranger = others.find((each) => each.identity.clusterId !== first.identity.clusterId);
  if (stranger !== undefined) {
    const whose = [first, stranger].map(
      (each) => `${each.directory} of ${each.identity.clusterId}`,
    );
    throw new CommandError(`these are of different clusters: ${whose.join(", ")}`, EXIT.usage);
  }
  const chosen = greatest(found);
  await checkNoQuorum(chosen, found);
  return {
    chosen,
    found,
    unusable,
    into: await freeInto(flags, chosen),
    identity: {
      clusterId: randomBytes(16).toString("hex"),
      nodeName: chosen.identity.nodeName,
      instanceId: randomBytes(16).toString("hex"),
    },
    term: laterTerm(found),
    mayBeLost: possibleLoss(chosen, found),
  };
}

/** With a quorum nothing has to be given up: its nodes elect a leader by themselves. */
async function checkNoQuorum(chosen: Survey, found: readonly Survey[]): Promise<void> {
  const { membership } = chosen;
  const isAtHand = (id: MemberId): boolean => found.some(({ member }) => member === id);
  const away = membership.members.filter(({ id }) => !isAtHand(id));
  const answers = await Promise.all(away.map(({ address }) => isAnswered(address)));
  const reached = new Set(away.filter((_, at) => answers[at]).map(({ id }) => id));
  if (!areQuorum(membership, (id) => isAtHand(id) || reached.has(id))) return;
  const present = membership.voters.filter((id) => isAtHand(id) || reached.has(id)).map(nameOf);
  const listening = away.filter(({ id }) => reached.has(id));
  throw new CommandError([
    `${present.join(" and ")} are a quorum: start them, and they go on with all that was acknowledged`,
    ...listening.map(({ id, address }) => `${nameOf(id)} answers at ${address}`),
  ]);
}

function isAnswered(address: string): Promise<boolean> {
  const place = splitHostPort(address, 0);
  if (place === null) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({ host: place.host, port: place.port });
    const end = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.setTimeout(ANSWER_MS_MAX, () => end(false));
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

function freeInto({ into }: RecoverFlags, chosen: Survey): Promise<string> {
  const directory = into ?? `${path.resolve(chosen.directory)}-recovered`;
  return freeDirectory(directory, `--into ${directory}`);
}

const isThere = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

// ---- asking ----

function describePlan({
  chosen,
  found,
  unusable,
  into,
  identity,
  term,
  mayBeLost,
}: Plan): string[] {
  const rows = found.map(({ directory, identity: own, end }) => {
    const place = `last entry ${end.index} of term ${end.term}, ${grouped(end.endOffset)} records`;
    return `  ${directory}  ${own.nodeName}, ${place}${directory === chosen.directory ? "  <-" : ""}`;
  });
  return [
    `Cluster ${chosen.identity.clusterId}, as these directories have it:`,
    ...rows,
    ...unusable.map(({ directory, why }) => `  ${directory}  cannot be used: ${why}`),
    `A cluster of ${identity.nodeName} alone is made of the greatest log, in ${into}:`,
    `  cluster id ${identity.clusterId}, term ${term}; the directories above stay as they are`,
    ...(mayBeLost.length === 0
      ? ["Nothing that was acknowledged can be lost."]
      : ["What may be lost:", ...mayBeLost.map((what) => `  ${what}`)]),
    "What stands at its end is kept, also where nobody was told that it is in the log.",
  ];
}

// ---- making ----

/** Every entry as it is, frame by frame, and behind them who decides from here on. */
async function make(plan: Plan): Promise<void> {
  const { chosen, into, identity, term } = plan;
  const { address = "" } = chosen.membership.members.find(({ id }) => id === chosen.member) ?? {};
  const source = new OverlayDisk(chosen.directory);
  try {
    await makeCluster(into, identity, async (to) => {
      const from = await OfflineLog.open(source, offlineOptions(chosen.identity));
      const base = await from.log.base();
      if (base !== null) await to.base(base);
      await copyEntries(from.log, to, from.opened.base, chosen.end);
      const { checkpoint } = from.opened;
      return { end: { term, address, record: recordOf(plan), checkpoint } };
    });
  } finally {
    await source.close();
  }
}

async function copyEntries(
  from: OfflineLog,
  to: NewLog,
  start: LogPoint,
  end: LogPoint,
): Promise<void> {
  const progress = new Progress("copying", end.index - start.index);
  for (let next = (start.index + 1) as LogIndex; next <= end.index; ) {
    const entries = await from.entries(next, end.index);
    await to.append(entries);
    next = (next + entries.length) as LogIndex;
    progress.update(next - start.index, `entry ${grouped(next - 1)} of ${grouped(end.index)}`);
  }
  progress.stop();
}

/** Names and numbers only: directories are this machine's business. */
function recordOf({ chosen, found, unusable, identity, term, mayBeLost }: Plan): object {
  const { clusterId, nodeName, instanceId } = chosen.identity;
  return {
    version: 1,
    from: { clusterId, nodeName, instanceId, ...placeOf(chosen.end) },
    to: { ...identity, term },
    compared: found.map((each) => ({ nodeName: each.identity.nodeName, ...placeOf(each.end) })),
    unusable: unusable.length,
    members: chosen.membership.members.map(({ id }) => nameOf(id)),
    mayBeLost,
  };
}

const placeOf = ({ index, term, endOffset }: LogPoint) => {
  return { lastIndex: index, lastTerm: term, endOffset };
};

async function tell(plan: Plan, { json }: RecoverFlags): Promise<void> {
  const { into, identity } = plan;
  const output = new Output();
  if (json === true) {
    await output.line(JSON.stringify({ directory: into, ...recordOf(plan) }));
  } else {
    const { nodeName, clusterId } = identity;
    await output.line(`${into} is a cluster of one. Start it, and empty nodes that find it:`);
    await output.line(`  cairn agent --node-name ${nodeName} --cluster-id ${clusterId} \\`);
    await output.line(`    --data-dir ${into} ...`);
  }
  await output.flush();
}
