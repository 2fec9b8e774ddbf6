// `cairn backup`: takes a copy of a running node's log to a directory or a tar stream, and looks
// into every byte of it on the way. Owns the pace, the words, and that what was cut short is never
// taken for whole; the copy is the node's, the checks are backup-check.ts, the forms
// backup-archive.ts.

import { setTimeout as sleep } from "node:timers/promises";

import { concat, freeze } from "../base/bytes.ts";
import {
  type BackupEvent,
  type BackupHead,
  type CairnClient,
  CairnError,
} from "../client/client.ts";
import { type BackupTarget, FILE_BYTES_MAX, STREAM, targetOf } from "./backup-archive.ts";
import { BackupCheck } from "./backup-check.ts";
import {
  BACKUP_MANIFEST_FILE,
  type BackupManifest,
  decodeBackupManifest,
  encodeBackupManifest,
} from "./backup-manifest.ts";
import { type ClusterFlags, findTarget, withClient } from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { mebibytes } from "./log-files.ts";
import { grouped, Output, Progress, Rate, say } from "./terminal.ts";

export interface BackupFlags extends ClusterFlags {
  readonly to?: string;
  readonly rate?: string;
  readonly json?: boolean;
}

/** Slower, and the node would take the caller for gone. */
const RATE_MIN = 64 * 1024;
const UNITS: Readonly<Record<string, number>> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

export async function runBackup(flags: BackupFlags, version: string): Promise<void> {
  if (flags.to === undefined) {
    throw new CommandError("--to: name a directory, or - for standard output", EXIT.usage);
  }
  const rate = rateOf(flags.rate);
  const cluster = findTarget(flags);
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  const target = await targetOf(flags.to);
  const { signal } = interrupted;
  try {
    const manifest = await withClient(cluster, {}, async (client) => {
      try {
        return await take(client, target, { version, rate, signal });
      } catch (error) {
        throw error instanceof CairnError ? withAdvice(error) : error;
      }
    });
    await target.done();
    await tell(manifest, flags.to, flags.json === true);
  } catch (error) {
    await target.abandon();
    if (signal.aborted) throw new CommandError("interrupted: nothing is left", EXIT.interrupted);
    throw error;
  }
}

/** What is wrong with one member's copy is not wrong with the others'. */
function withAdvice(error: CairnError): Error {
  const { code, message } = error;
  if (!["backup-ended", "damaged", "disk-failed", "disk-full", "not-serving"].includes(code)) {
    return error;
  }
  return new CommandError([`${message} [${code}]`, "take it from another member, with --addr"]);
}

/** Bytes a second; null for as fast as it goes. */
export function rateOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)([KMG]?)$/i.exec(text) ?? [];
  const rate = Number(digits) * (UNITS[unit.toUpperCase()] ?? 1);
  if (digits !== "" && rate >= RATE_MIN) return rate;
  const form = "bytes a second, 64K at least, such as 20M";
  throw new CommandError(`--rate: expected ${form}, got "${text}"`, EXIT.usage);
}

interface Taking {
  readonly version: string;
  readonly rate: number | null;
  readonly signal: AbortSignal;
}

async function take(
  client: CairnClient,
  target: BackupTarget,
  { version, rate, signal }: Taking,
): Promise<BackupManifest> {
  const events = client.backup({ signal });
  const first = await events.next();
  if (first.done === true || first.value.kind !== "head") {
    throw new CommandError("the node sent no head: is it of another build?");
  }
  const { head } = first.value;
  const check = new BackupCheck(head);
  const pace = new Pace(rate, head.bytes, signal);
  try {
    await copy(events, target, check, pace);
  } finally {
    pace.stop();
  }
  const manifest = manifestOf(head, check, version);
  const text = encodeBackupManifest(manifest);
  // As whoever reads it will.
  check.end(decodeBackupManifest(text));
  await target.file(BACKUP_MANIFEST_FILE, Buffer.from(text));
  return manifest;
}

async function copy(
  events: AsyncIterable<BackupEvent>,
  target: BackupTarget,
  check: BackupCheck,
  pace: Pace,
): Promise<void> {
  let parts: Uint8Array[] = [];
  let waiting = 0;
  for await (const event of events) {
    if (event.kind === "bytes") {
      parts.push(event.bytes);
      waiting += event.bytes.length;
      if (waiting > FILE_BYTES_MAX) throw new CommandError("the node sends a file without end");
      await pace.took(event.bytes.length);
    } else if (event.kind === "file") {
      const bytes = freeze(concat(parts));
      [parts, waiting] = [[], 0];
      check.file(event.file.name, bytes);
      await target.file(event.file.name, bytes);
    }
  }
}

function manifestOf(head: BackupHead, check: BackupCheck, version: string): BackupManifest {
  const { node: nodeName, clusterId, instanceId, address, term, hasMachine } = head;
  const { baseIndex, lastIndex, lastTerm, startOffset, endOffset } = head;
  return {
    version: 1,
    cairn: version,
    time: new Date().toISOString(),
    ...{ clusterId, nodeName, instanceId, address, term, hasMachine },
    ...{ baseIndex, lastIndex, lastTerm, startOffset, endOffset },
    files: [...check.files],
  };
}

/** Not faster than it may, and seen by who waits. */
class Pace {
  readonly #rate: number | null;
  readonly #signal: AbortSignal;
  readonly #progress: Progress;
  readonly #total: number;
  readonly #since = new Rate();
  #bytes = 0;

  constructor(rate: number | null, total: number, signal: AbortSignal) {
    this.#rate = rate;
    this.#signal = signal;
    this.#total = total;
    this.#progress = new Progress("backing up", total);
  }

  async took(bytes: number): Promise<void> {
    this.#bytes += bytes;
    const speed = `${mebibytes(this.#since.of(this.#bytes))}/s`;
    const done = Math.min(this.#bytes, this.#total);
    this.#progress.update(done, `${mebibytes(this.#bytes)} of ${mebibytes(this.#total)}, ${speed}`);
    if (this.#rate === null) return;
    const aheadMs = (this.#bytes / this.#rate - this.#since.seconds) * 1000;
    if (aheadMs > 1) await sleep(aheadMs, undefined, { signal: this.#signal });
  }

  stop(): void {
    this.#progress.stop();
  }
}

async function tell(manifest: BackupManifest, to: string, asJson: boolean): Promise<void> {
  const { nodeName, lastIndex, endOffset, files, ...rest } = manifest;
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const json = JSON.stringify({
    ...rest,
    nodeName,
    lastIndex,
    endOffset,
    files: files.length,
    bytes,
  });
  const where = to === STREAM ? "standard output" : to;
  const what = `${grouped(files.length)} files, ${mebibytes(bytes)}`;
  const words = [
    `${where}: the log of ${nodeName} up to entry ${grouped(lastIndex)}, verified: ${what}`,
    `all that was acknowledged before is in it, up to offset ${grouped(endOffset)}`,
  ];
  // Standard output may be the backup.
  if (to === STREAM) {
    for (const line of asJson ? [json] : words) say(line);
    return;
  }
  const output = new Output();
  for (const line of asJson ? [json] : words) await output.line(line);
  await output.flush();
}
