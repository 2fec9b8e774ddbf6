// Whether damage on a disk goes unnoticed: a node that starts on it finds a log or a hard state
// that is whole, and older than what it once said was durable. Such a node would vote and confirm
// as if it had never promised more. Owns reading the log's formats for that question; what follows
// for the node is sim/computer.ts.

import { freeze } from "../../src/base/bytes.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import { baseOfStore, HARD_STATE_FILE } from "../../src/log/file-names.ts";
import { decodeHardState, type HardStateSlot } from "../../src/log/hard-state.ts";
import { scanStore } from "../../src/log/recovery.ts";
import { rotKindOf, VITAL_KINDS } from "./rot.ts";

/** A disk's files by name, with their bytes. */
export type DiskImage = ReadonlyMap<string, Uint8Array>;

/**
 * What a node would not remember that starts on `read` rather than on `written`, in words; null
 * when it remembers all, or notices that it does not.
 */
export function forgottenIn(read: DiskImage, written: DiskImage): string | null {
  for (const file of written.keys()) {
    const kind = rotKindOf(file);
    if (kind !== null && VITAL_KINDS.has(kind) && !read.has(file)) return `its file ${file}`;
  }
  for (const file of read.keys()) {
    const kind = rotKindOf(file);
    // A store that was trimmed away and is there again: with a gap behind it, it would be noticed.
    if (kind !== null && VITAL_KINDS.has(kind) && !written.has(file))
      return `that its file ${file} was removed`;
  }
  const stateRead = hardStateIn(read);
  const stateWritten = hardStateIn(written);
  if (stateRead === null || stateWritten === null) return null;
  if (stateRead.sequence < stateWritten.sequence) {
    const { term, votedFor } = stateWritten.hardState;
    return `its hard state of term ${term}, vote ${votedFor ?? "none"}`;
  }
  const cut = stateWritten.truncateFrom;
  const lastRead = lastIndexIn(read, cut);
  const lastWritten = lastIndexIn(written, cut);
  if (lastRead === null || lastWritten === null || lastRead >= lastWritten) return null;
  return `its entries ${lastRead + 1} to ${lastWritten}`;
}

function hardStateIn(image: DiskImage): HardStateSlot | null {
  const bytes = image.get(HARD_STATE_FILE);
  const decoded = bytes === undefined ? null : decodeHardState(bytes);
  return decoded?.kind === "hard-state" ? decoded.state : null;
}

/**
 * Where recovery would let the log end; null when it would refuse. Only the last store can end too
 * early without a sign: the others are held against their successors.
 */
function lastIndexIn(image: DiskImage, truncateFrom: LogIndex | null): LogIndex | null {
  const stores = [...image.keys()].filter((file) => baseOfStore(file) !== null).sort();
  const last = image.get(stores.at(-1) ?? "");
  const scanned = last === undefined ? null : scanStore(freeze(last), truncateFrom);
  if (scanned === null) return null;
  const { verdict, point } = scanned;
  return verdict.kind === "clean" || verdict.kind === "torn-tail" ? point.index : null;
}
