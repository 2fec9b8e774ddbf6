// backup.json: what a backup is and what files it consists of, the last thing that is written of
// it, so that one without it was cut short. Owns its form, version 1 (docs/formats.md), and its own
// checksum; what is in the files is src/service/backup-files.ts.

import { z } from "zod";

import { crc32c } from "../base/crc32c.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { CommandError } from "./exit.ts";

export const BACKUP_MANIFEST_FILE = "backup.json";
const VERSION = 1;

const count = z.int().min(0);
const id = z.string().regex(/^[0-9a-f]{32}$/);
const crc = z.string().regex(/^[0-9a-f]{8}$/);

const backup = z.object({
  version: z.literal(VERSION),
  /** Of the build that took it. */
  cairn: z.string(),
  /** When it was taken, by the clock of who took it. */
  time: z.string(),
  clusterId: id,
  nodeName: z.string().min(1),
  instanceId: id,
  /** Where the node served its cluster; empty when it was no member. */
  address: z.string(),
  /** The highest that the node had seen. */
  term: count,
  /** A user's own machine applies the log: its state is not in the entries alone. */
  hasMachine: z.boolean(),
  /** The entry before the first; 0 when it begins with the log's first. */
  baseIndex: count,
  lastIndex: count,
  lastTerm: count,
  /** Of the first record that readers may have, and after the last. */
  startOffset: count,
  endOffset: count,
  /** In the order in which they are to be read. */
  files: z.array(
    z.object({
      name: z.string().regex(/^[0-9]{20}\.(checkpoint|store)$/),
      bytes: count,
      crc32c: crc,
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

export type BackupManifest = z.infer<typeof backup>;
export type BackedUpFile = BackupManifest["files"][number];

const sealed = z.object({ crc32c: crc, backup: z.looseObject({ version: z.int() }) });

export function encodeBackupManifest(manifest: BackupManifest): string {
  const whole = { crc32c: sumOf(manifest), backup: manifest };
  return `${JSON.stringify(whole, null, 2)}\n`;
}

/** Throws a CommandError that says what is wrong with it. */
export function decodeBackupManifest(text: string): BackupManifest {
  const outer = sealed.safeParse(jsonOf(text));
  if (!outer.success) throw damaged(z.prettifyError(outer.error));
  const { version } = outer.data.backup;
  if (version > VERSION) {
    const what = `${BACKUP_MANIFEST_FILE}: a backup of version ${version}, this build reads ${VERSION}`;
    throw new CommandError(`${what}: use the newer build`);
  }
  if (sumOf(outer.data.backup) !== outer.data.crc32c) throw damaged("its checksum does not match");
  const inner = backup.safeParse(outer.data.backup);
  if (!inner.success) throw damaged(z.prettifyError(inner.error));
  return inner.data;
}

export function hexOfCrc(sum: number): string {
  return sum.toString(16).padStart(8, "0");
}

/** Over the JSON without spaces, its keys in the order in which they stand. */
function sumOf(manifest: object): string {
  return hexOfCrc(crc32c(encodeUtf8(JSON.stringify(manifest))));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw damaged("it is not JSON");
  }
}

function damaged(what: string): CommandError {
  return new CommandError(`${BACKUP_MANIFEST_FILE} cannot be used: ${what.replace(/\n/g, "; ")}`);
}
