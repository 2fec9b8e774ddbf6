// Disk operations and their results as data. The log machine decides them, the disk port performs
// them, the simulator may lose, tear, delay or refuse them. A data directory is flat.
//
// Contract of whoever performs them:
//  - operations on one file are performed, and complete, in the order submitted; operations on
//    different files may complete in any order;
//  - a completed write-at is readable at once, and durable only after a later sync of that file
//    completed, and the file's own name only after a later sync-dir completed;
//  - the bytes of a write belong to the disk until it completes, those of a read are the reader's;
//  - a mapped view may be written in place; it is a cache that any crash may leave in any state.

import type { FrozenBytes } from "./bytes.ts";
import type { OpId, Position } from "./ids.ts";

export type DiskOperation =
  /** Makes an empty file; EEXIST when there is one. */
  | { readonly kind: "create"; readonly opId: OpId; readonly file: string }
  /**
   * Writes the parts one after another at `position`, beyond the end too (the gap reads as zeros).
   */
  | {
      readonly kind: "write-at";
      readonly opId: OpId;
      readonly file: string;
      readonly position: Position;
      readonly parts: readonly Uint8Array[];
    }
  /** Reads at most `length` bytes; fewer only at the end of the file. */
  | {
      readonly kind: "read-at";
      readonly opId: OpId;
      readonly file: string;
      readonly position: Position;
      readonly length: number;
    }
  /** Makes a file's completed writes durable (fdatasync). */
  | { readonly kind: "sync"; readonly opId: OpId; readonly file: string }
  /** Makes completed creates, renames and unlinks durable. */
  | { readonly kind: "sync-dir"; readonly opId: OpId }
  /** Replaces `to` if it exists, atomically as the running system sees it. */
  | { readonly kind: "rename"; readonly opId: OpId; readonly from: string; readonly to: string }
  | { readonly kind: "unlink"; readonly opId: OpId; readonly file: string }
  /** All files with their sizes, sorted by name. */
  | { readonly kind: "list"; readonly opId: OpId }
  /** Maps an existing file of exactly `length` written bytes as shared, writable memory. */
  | { readonly kind: "map"; readonly opId: OpId; readonly file: string; readonly length: number }
  /** Asks for a mapped file's memory to reach the file; best effort until a sync of the file. */
  | { readonly kind: "flush-map"; readonly opId: OpId; readonly file: string }
  /** The view will not be touched again. */
  | { readonly kind: "unmap"; readonly opId: OpId; readonly file: string };

export type DiskErrorCode = "ENOSPC" | "EIO" | "ENOENT" | "EEXIST" | "EOTHER";

export interface DiskFile {
  readonly file: string;
  readonly bytes: number;
}

export type DiskResult =
  | { readonly kind: "done" }
  | { readonly kind: "read"; readonly bytes: FrozenBytes }
  | { readonly kind: "listed"; readonly files: readonly DiskFile[] }
  /** Memory of the host's; the log writes index entries into it. */
  | { readonly kind: "mapped"; readonly view: Uint8Array }
  | { readonly kind: "failed"; readonly code: DiskErrorCode; readonly message: string };
