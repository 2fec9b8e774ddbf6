// `cairn restore` and `cairn backup verify`: read a backup, look into every byte of it, and make a
// cluster of one of it, with an id of its own. Owns the words and the order, in which nothing has a
// name before all of it was found whole; the checks are backup-check.ts, the making new-cluster.ts.

import { randomBytes } from "node:crypto";

import type { NodeId, Term } from "../base/ids.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import type { Identity } from "../log/protocol.ts";
import type { BackupContent } from "../service/backup-files.ts";
import { type BackupSource, sourceOf } from "./backup-archive.ts";
import { BackupCheck } from "./backup-check.ts";
import {
  BACKUP_MANIFEST_FILE,
  type BackupManifest,
  decodeBackupManifest,
} from "./backup-manifest.ts";
import { CommandError, EXIT } from "./exit.ts";
import { mebibytes } from "./log-files.ts";
import { freeDirectory, makeCluster, type NewEnd, type NewLog } from "./new-cluster.ts";
import { refusalOfName, splitAddress } from "./settings.ts";
import { grouped, Output, Progress } from "./terminal.ts";

export interface RestoreFlags {
  readonly nodeName?: string;
  readonly address?: string;
  readonly json?: boolean;
}

export interface VerifyBackupFlags {
  readonly json?: boolean;
}

/** What a backup was found to be. */
export interface Whole {
  readonly manifest: BackupManifest;
  readonly check: BackupCheck;
}

export async function runVerifyBackup(from: string, { json }: VerifyBackupFlags): Promise<void> {
  const { manifest, check } = await verifyBackup(from);
  const { nodeName, lastIndex, endOffset, startOffset, time } = manifest;
  const { entries, bytes } = check;
  const { files, ...facts } = manifest;
  const size = `${grouped(files.length)} files, ${mebibytes(bytes)}`;
  const told = { whole: true, ...facts, files: files.length, entries, bytes };
  await print(json === true ? told : null, [
    `${from}: the log of ${nodeName} up to entry ${grouped(lastIndex)}, taken ${time}`,
    `offsets ${grouped(startOffset)} to ${grouped(endOffset)}, ${grouped(entries)} entries, ` +
      `${size}: whole`,
  ]);
}

/** Throws a CommandError that says what is wrong with it. */
export async function verifyBackup(from: string): Promise<Whole> {
  return readThrough(await sourceOf(from), "verified", async () => undefined);
}

export async function runRestore(
  from: string,
  directory: string,
  flags: RestoreFlags,
): Promise<void> {
  await tell(await restore(from, directory, flags), flags.json === true);
}

export interface Restored extends Whole {
  readonly into: string;
  readonly identity: Identity;
  readonly end: NewEnd;
}

/** Throws a CommandError that says what is wrong with the backup; then nothing is made. */
export async function restore(
  from: string,
  directory: string,
  flags: RestoreFlags,
): Promise<Restored> {
  checkAddress(flags.address);
  const into = await freeDirectory(directory, directory);
  const source = await sourceOf(from);
  // From a stream the name comes last: the directory has it from its first byte on.
  const nodeName = (flags.nodeName ?? source.manifest?.nodeName ?? null) as NodeId | null;
  if (nodeName === null) {
    throw new CommandError("--node-name: name the node, which a tar stream tells last", EXIT.usage);
  }
  const wrong = refusalOfName(nodeName);
  if (wrong !== null) throw new CommandError(`--node-name: ${wrong}`, EXIT.usage);
  const clusterId = randomBytes(16).toString("hex");
  const identity: Identity = { clusterId, nodeName, instanceId: randomBytes(16).toString("hex") };
  return makeCluster(into, identity, async (log) => {
    const { end, ...whole } = await fill(log, source, identity, flags);
    return { ...whole, into, identity, end };
  });
}

async function fill(
  log: NewLog,
  source: BackupSource,
  identity: Identity,
  flags: RestoreFlags,
): Promise<Whole & { readonly end: NewEnd }> {
  const whole = await readThrough(source, "restored", (content) =>
    content.kind === "checkpoint" ? log.base(content.checkpoint) : log.append(content.entries),
  );
  const { manifest, check } = whole;
  const term = (Math.max(manifest.term, manifest.lastTerm) + 1) as Term;
  const address = flags.address ?? manifest.address;
  const { clusterId, nodeName, instanceId, lastIndex, lastTerm, endOffset, time } = manifest;
  const record = {
    version: 1,
    backup: { time, clusterId, nodeName, instanceId, lastIndex, lastTerm, endOffset },
    to: { ...identity, term },
  };
  // Of a user's own machine the backup has no state at its end: the next start applies the log.
  const at = check.point;
  const isKnown = !manifest.hasMachine && at.index > manifest.baseIndex;
  const checkpoint = isKnown ? { at, state: check.state.encodeCommitted() } : null;
  return { ...whole, end: { term, address, record, checkpoint } };
}

/** Every file, in order, and then the manifest; `each` is awaited before the next is read. */
async function readThrough(
  source: BackupSource,
  label: string,
  each: (content: BackupContent) => Promise<void>,
): Promise<Whole> {
  const check = new BackupCheck(null);
  const progress = new Progress(label, source.bytes);
  let manifest: BackupManifest | null = null;
  try {
    for await (const { name, bytes } of source.files) {
      if (manifest !== null) throw new CommandError(`${name} comes after ${BACKUP_MANIFEST_FILE}`);
      if (name === BACKUP_MANIFEST_FILE) {
        manifest = decodeBackupManifest(decodeUtf8(bytes) ?? "");
        continue;
      }
      await each(check.file(name, bytes));
      const total = source.bytes === null ? "" : ` of ${mebibytes(source.bytes)}`;
      progress.update(check.bytes, `${mebibytes(check.bytes)}${total}`);
    }
  } finally {
    progress.stop();
  }
  if (manifest === null) {
    throw new CommandError(`it was cut short: ${BACKUP_MANIFEST_FILE}, the last file, is missing`);
  }
  check.end(manifest);
  return { manifest, check };
}

function checkAddress(address: string | undefined): void {
  if (address === undefined || splitAddress(address) !== null) return;
  throw new CommandError(`--address: expected host:port, got "${address}"`, EXIT.usage);
}

async function tell(
  { into, identity, manifest, check, end }: Restored,
  asJson: boolean,
): Promise<void> {
  const { nodeName, clusterId } = identity;
  const { entries, bytes } = check;
  const { lastIndex, endOffset, time } = manifest;
  const facts = { directory: into, ...end.record, entries, bytes, address: end.address };
  await print(asJson ? facts : null, [
    `${into} is a cluster of one: all ${grouped(entries)} entries up to ${grouped(lastIndex)}, ` +
      `offset ${grouped(endOffset)}, as of ${time}, verified.`,
    "Start it, and empty nodes that find it:",
    `  cairn agent --node-name ${nodeName} --cluster-id ${clusterId} \\`,
    `    --data-dir ${into} ...`,
  ]);
}

async function print(facts: object | null, lines: readonly string[]): Promise<void> {
  const output = new Output();
  if (facts !== null) await output.line(JSON.stringify(facts));
  else for (const line of lines) await output.line(line);
  await output.flush();
}
