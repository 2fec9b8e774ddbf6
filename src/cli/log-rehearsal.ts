// Opening a data directory without touching it: the log machine itself recovers, on a layer that
// keeps every change in memory (overlay-disk.ts); so what `cairn log verify` says of an opening is
// what an opening does, by the same code. Owns what is told of an opening; running the machine is
// offline-log.ts.

import { OverlayDisk } from "../adapters/overlay-disk.ts";
import type { Identity, LogOpened, LogOptions, OpenRefusal } from "../log/protocol.ts";
import type { Disk } from "../ports/disk.ts";
import type { LogFiles } from "./log-files.ts";
import { OfflineLog, OfflineLogError, offlineOptions } from "./offline-log.ts";

/** What an opening needs to know; it writes nothing ahead and keeps nothing. */
export function optionsAtRest(identity: Identity): LogOptions {
  return { ...offlineOptions(identity), preallocateBytes: 0, cacheBytesMax: 0 };
}

export interface OpenEnd {
  readonly opened: LogOpened | null;
  readonly refused: OpenRefusal | null;
}

export interface Rehearsal extends OpenEnd {
  /** Files that an opening writes to, makes or removes; sorted. */
  readonly changed: readonly string[];
}

export async function rehearseOpening(files: LogFiles, identity: Identity): Promise<Rehearsal> {
  const disk = new OverlayDisk(files.directory);
  const end = await told(async () => (await OfflineLog.open(disk, optionsAtRest(identity))).opened);
  await disk.close();
  return { ...end, changed: disk.changed };
}

/** Marks the directory as left in order; on a disk of its own, attached to nobody. */
export function openAndClose(options: LogOptions, disk: Disk): Promise<OpenEnd> {
  return told(async () => {
    const { log, opened } = await OfflineLog.open(disk, options);
    await log.close();
    return opened;
  });
}

async function told(open: () => Promise<LogOpened>): Promise<OpenEnd> {
  try {
    return { opened: await open(), refused: null };
  } catch (error) {
    if (error instanceof OfflineLogError && error.refusal !== null) {
      return { opened: null, refused: error.refusal };
    }
    throw error;
  }
}
