// A disk in memory that honours the contract of src/base/disk.ts and no more: one queue a file,
// each performed in order, in any order between files; and images of what a crash may leave. Power
// loss takes, for every 512-byte sector written since the last sync, any of its states since then;
// for every name changed since the last sync-dir, the change or not; of a mapped file, anything.

import { assert } from "../../src/base/assert.ts";
import { concat, freeze } from "../../src/base/bytes.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import type { DiskErrorCode, DiskOperation, DiskResult } from "../../src/base/disk.ts";
import type { OpId } from "../../src/base/ids.ts";

export const SECTOR = 512;

interface UnsyncedWrite {
  readonly position: number;
  readonly bytes: Uint8Array;
}

interface Inode {
  /** What a read sees. */
  visible: Uint8Array;
  /** What a power loss leaves for certain. */
  durable: Uint8Array;
  unsynced: UnsyncedWrite[];
  mapped: boolean;
}

type NameChange =
  | { readonly kind: "set"; readonly file: string; readonly inode: Inode }
  | { readonly kind: "remove"; readonly file: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string; readonly inode: Inode };

/** File contents by name: what a new node finds. */
export type DiskImage = ReadonlyMap<string, Uint8Array>;

/** What becomes of unsynced things: the caller's dice. */
export interface CrashChoices {
  /**
   * How many of `count` successive states of one sector, or of one name change (count 1), took
   * hold.
   */
  take(count: number): number;
  /** What a file that was ever mapped holds now; null to treat it like any other. */
  index(visible: Uint8Array): Uint8Array | null;
}

export interface Completion {
  readonly opId: OpId;
  readonly result: DiskResult;
}

export interface PlannedFailure {
  readonly when: (operation: DiskOperation) => boolean;
  readonly code: DiskErrorCode;
}

const NO_ROOM: DiskResult = { kind: "failed", code: "ENOSPC", message: "no room" };

export class FakeDisk {
  readonly #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #changes: NameChange[] = [];
  readonly #queues = new Map<string, DiskOperation[]>();
  /** The first operation for which `when` holds fails, once. */
  failure: PlannedFailure | null = null;
  /** Bytes by which files may still grow; a write beyond is done in part and refused. */
  room = Number.MAX_SAFE_INTEGER;
  /** Operations performed so far, for transcripts. */
  readonly performed: DiskOperation[] = [];

  constructor(image: DiskImage = new Map()) {
    for (const [file, bytes] of image) {
      const inode = { visible: bytes.slice(), durable: bytes.slice(), unsynced: [], mapped: false };
      this.#names.set(file, inode);
    }
    this.#durableNames = new Map(this.#names);
  }

  submit(operation: DiskOperation): void {
    const queue = queueOf(operation);
    const waiting = this.#queues.get(queue) ?? [];
    waiting.push(operation);
    this.#queues.set(queue, waiting);
  }

  /** Files with waiting operations, in the order of their names. */
  get waiting(): string[] {
    return [...this.#queues.keys()].filter((file) => this.#queues.get(file)?.length).sort();
  }

  /** Performs the next operation of one of the waiting files. */
  performNext(file: string): Completion {
    const operation = this.#queues.get(file)?.shift();
    assert(operation !== undefined, "nothing waits for this file");
    this.performed.push(operation);
    if (this.failure?.when(operation)) {
      const { code } = this.failure;
      this.failure = null;
      if (operation.kind === "sync") this.#dropDirty(operation.file);
      return { opId: operation.opId, result: { kind: "failed", code, message: "injected" } };
    }
    return { opId: operation.opId, result: this.#perform(operation) };
  }

  /**
   * As Linux does on a failed fsync: the pages stay readable, are clean, and never reach the disk.
   */
  #dropDirty(file: string): void {
    const inode = this.#names.get(file);
    if (inode !== undefined) inode.unsynced = [];
  }

  /** The process is killed and another one starts on the same running machine. */
  restart(): this {
    this.#queues.clear();
    this.failure = null;
    for (const inode of this.#names.values()) {
      if (inode.mapped) inode.visible = inode.visible.slice();
      inode.mapped = false;
    }
    return this;
  }

  #perform(operation: DiskOperation): DiskResult {
    switch (operation.kind) {
      case "create":
        return this.#create(operation.file);
      case "write-at":
        return this.#write(operation.file, operation.position, operation.parts);
      case "read-at":
        return this.#withFile(operation.file, (inode) => {
          const end = operation.position + operation.length;
          return { kind: "read", bytes: freeze(inode.visible.slice(operation.position, end)) };
        });
      case "sync":
        return this.#withFile(operation.file, (inode) => {
          // Only what is dirty is brought to the disk: what a failed sync dropped is not, for ever.
          for (const { position, bytes } of inode.unsynced) {
            inode.durable = written(inode.durable, position, bytes, false);
          }
          if (inode.mapped) inode.durable = inode.visible.slice();
          inode.unsynced = [];
          return { kind: "done" };
        });
      case "sync-dir":
        this.#durableNames = new Map(this.#names);
        this.#changes = [];
        return { kind: "done" };
      case "rename":
        return this.#rename(operation.from, operation.to);
      case "unlink":
        return this.#withFile(operation.file, () => {
          this.room += this.#names.get(operation.file)?.visible.length ?? 0;
          this.#names.delete(operation.file);
          this.#changes.push({ kind: "remove", file: operation.file });
          return { kind: "done" };
        });
      case "list": {
        const files = [...this.#names].map(([file, inode]) => ({
          file,
          bytes: inode.visible.length,
        }));
        return { kind: "listed", files: files.sort((a, b) => (a.file < b.file ? -1 : 1)) };
      }
      case "map":
        return this.#withFile(operation.file, (inode) => {
          assert(inode.visible.length === operation.length, "mapped with another length");
          inode.mapped = true;
          return { kind: "mapped", view: inode.visible };
        });
      case "flush-map":
      case "unmap":
        return this.#withFile(operation.file, () => ({ kind: "done" }));
    }
  }

  #withFile(file: string, perform: (inode: Inode) => DiskResult): DiskResult {
    const inode = this.#names.get(file);
    if (inode === undefined) return { kind: "failed", code: "ENOENT", message: file };
    return perform(inode);
  }

  #create(file: string): DiskResult {
    if (this.#names.has(file)) return { kind: "failed", code: "EEXIST", message: file };
    if (this.room <= 0) return NO_ROOM;
    const empty = new Uint8Array(0);
    const inode: Inode = { visible: empty, durable: empty, unsynced: [], mapped: false };
    this.#names.set(file, inode);
    this.#changes.push({ kind: "set", file, inode });
    return { kind: "done" };
  }

  #write(file: string, position: number, parts: readonly Uint8Array[]): DiskResult {
    return this.#withFile(file, (inode) => {
      let at = position;
      for (const part of parts) {
        const before = inode.visible.length;
        const bytes = part.slice(0, Math.max(0, before + this.room - at));
        this.room -= Math.max(0, at + bytes.length - before);
        inode.visible = written(inode.visible, at, bytes, inode.mapped);
        inode.unsynced.push({ position: at, bytes });
        at += bytes.length;
        if (bytes.length < part.length) return NO_ROOM;
      }
      return { kind: "done" };
    });
  }

  #rename(from: string, to: string): DiskResult {
    return this.#withFile(from, (inode) => {
      this.#names.delete(from);
      this.#names.set(to, inode);
      this.#changes.push({ kind: "rename", from, to, inode });
      return { kind: "done" };
    });
  }

  /**
   * What a killed process leaves: the page cache survives. Waiting operations were never performed.
   */
  killImage(): Map<string, Uint8Array> {
    return new Map([...this.#names].map(([file, inode]) => [file, inode.visible.slice()]));
  }

  /**
   * What a process leaves that is killed while its writes are performed: of the next one of each
   * file the first `take(length)` bytes.
   */
  killImageWithin(take: (length: number) => number): Map<string, Uint8Array> {
    const image = this.killImage();
    for (const [operation] of this.#queues.values()) {
      if (operation?.kind !== "write-at") continue;
      const before = image.get(operation.file);
      if (before === undefined) continue;
      const bytes = concat(operation.parts);
      const done = bytes.subarray(0, take(bytes.length));
      if (done.length === 0) continue;
      image.set(operation.file, written(before, operation.position, done, false));
    }
    return image;
  }

  /** The medium changes under the node: each file that is not mapped holds these bytes now. */
  rot(image: DiskImage): void {
    for (const [file, bytes] of image) {
      const inode = this.#names.get(file);
      if (inode !== undefined && !inode.mapped) inode.visible = bytes.slice();
    }
  }

  /** What a power loss leaves. */
  powerLossImage(choices: CrashChoices): Map<string, Uint8Array> {
    const names = new Map(this.#durableNames);
    for (const change of this.#changes) {
      if (choices.take(1) === 0) continue;
      if (change.kind === "remove") names.delete(change.file);
      else if (change.kind === "set") names.set(change.file, change.inode);
      else {
        names.delete(change.from);
        names.set(change.to, change.inode);
      }
    }
    const image = new Map<string, Uint8Array>();
    for (const [file, inode] of names) {
      const arbitrary = inode.mapped ? choices.index(inode.visible) : null;
      image.set(file, arbitrary ?? contentAfterLoss(inode, choices));
    }
    return image;
  }

  /** Whether everything a read sees would survive a power loss, mapped files aside. */
  get isAllDurable(): boolean {
    if (this.#changes.length > 0) return false;
    return [...this.#names.values()].every((inode) => inode.mapped || inode.unsynced.length === 0);
  }
}

/** Equal for images of the same files with the same bytes. */
export function digestOf(image: DiskImage): string {
  const parts = [...image].sort(([a], [b]) => (a < b ? -1 : 1));
  return parts.map(([file, bytes]) => `${file}:${bytes.length}:${crc32c(bytes)}`).join(" ");
}

function queueOf(operation: DiskOperation): string {
  if (operation.kind === "rename") return operation.from;
  return "file" in operation ? operation.file : "";
}

/**
 * `bytes` written at `position`; in place when the memory is mapped, which then must be long
 * enough.
 */
function written(before: Uint8Array, position: number, bytes: Uint8Array, mapped: boolean) {
  const end = position + bytes.length;
  if (mapped && end <= before.length) {
    before.set(bytes, position);
    return before;
  }
  const content = new Uint8Array(Math.max(before.length, end));
  content.set(before);
  content.set(bytes, position);
  return content;
}

/** For each sector: the durable state, or that after any number of the writes since. */
function contentAfterLoss(inode: Inode, choices: CrashChoices): Uint8Array {
  const bySector = new Map<number, UnsyncedWrite[]>();
  for (const write of inode.unsynced) {
    const end = write.position + write.bytes.length;
    for (let at = write.position; at < end; ) {
      const sector = Math.floor(at / SECTOR);
      const next = Math.min(end, (sector + 1) * SECTOR);
      const bytes = write.bytes.subarray(at - write.position, next - write.position);
      bySector.set(sector, [...(bySector.get(sector) ?? []), { position: at, bytes }]);
      at = next;
    }
  }
  let content: Uint8Array = inode.durable.slice();
  for (const pieces of bySector.values()) {
    for (const piece of pieces.slice(0, choices.take(pieces.length))) {
      content = written(content, piece.position, piece.bytes, false);
    }
  }
  return content;
}
