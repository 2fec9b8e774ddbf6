// Replacing a small file as a whole: written aside, synced, renamed, and the directory synced.
// After any crash the file is the old one or the new one, never a mixture.

import type { Position } from "../base/ids.ts";
import { ASIDE_SUFFIX } from "./file-names.ts";
import { attempt, DiskTrouble, type Flow, perform } from "./flow.ts";

/**
 * Returns when the new content is durable under its name. No leftover of an earlier try may exist;
 * none is left by one that finds no room.
 */
export function* replaceFile(file: string, parts: readonly Uint8Array[]): Flow<void> {
  const aside = file + ASIDE_SUFFIX;
  try {
    yield* perform(
      { kind: "create", file: aside },
      { kind: "write-at", file: aside, position: 0 as Position, parts },
      { kind: "sync", file: aside },
    );
    yield* perform({ kind: "rename", from: aside, to: file });
  } catch (thrown) {
    if (thrown instanceof DiskTrouble && thrown.isFull) {
      yield* attempt({ kind: "unlink", file: aside });
    }
    throw thrown;
  }
  yield* perform({ kind: "sync-dir" });
}
