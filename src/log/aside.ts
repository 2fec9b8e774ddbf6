// Replacing a small file as a whole: written aside, synced, renamed, and the directory synced.
// After any crash the file is the old one or the new one, never a mixture.

import type { Position } from "../base/ids.ts";
import { ASIDE_SUFFIX } from "./file-names.ts";
import { type Flow, perform } from "./flow.ts";

/**
 * Returns when the new content is durable under its name. No leftover of an earlier try may exist.
 */
export function* replaceFile(file: string, parts: readonly Uint8Array[]): Flow<void> {
  const aside = file + ASIDE_SUFFIX;
  yield* perform(
    { kind: "create", file: aside },
    { kind: "write-at", file: aside, position: 0 as Position, parts },
    { kind: "sync", file: aside },
  );
  yield* perform({ kind: "rename", from: aside, to: file });
  yield* perform({ kind: "sync-dir" });
}
