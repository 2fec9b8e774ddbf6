// A data directory as it would be after changes that are never made to it: what is written, made,
// renamed and removed stands in memory, what is there is read. For whoever looks into directories
// that are nobody's to change. Owns the layers; what a disk promises is in base/disk.ts.

import { close, open, readdir, stat } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { assert, unreachable } from "../base/assert.ts";
import { freeze } from "../base/bytes.ts";
import type { DiskErrorCode, DiskOperation, DiskResult } from "../base/disk.ts";
import type { Disk, DiskInbox } from "../ports/disk.ts";
import { readFully } from "./file-transfer.ts";

const openAsync = promisify(open);
const closeAsync = promisify(close);
const readdirAsync = promisify(readdir);
const statAsync = promisify(stat);

interface Patch {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** What a name stands for now. */
interface Layered {
  /** The file under it, with its size; null for one that was made here. */
  readonly under: { readonly file: string; readonly bytes: number } | null;
  bytes: number;
  /** In the order written. */
  readonly patches: Patch[];
  view: Uint8Array | null;
}

class Failure extends Error {
  readonly code: DiskErrorCode;

  constructor(code: DiskErrorCode, file: string) {
    super(`${code}: ${file}`);
    this.code = code;
  }
}

const DONE: DiskResult = { kind: "done" };

export class OverlayDisk implements Disk {
  readonly #directory: string;
  readonly #descriptors = new Map<string, number>();
  /** Names that a disk would have written to, made or removed. */
  readonly #changed = new Set<string>();
  #files: Map<string, Layered> | null = null;
  #last: Promise<void> = Promise.resolve();
  #inbox: DiskInbox | null = null;

  /** An existing directory that nobody writes to meanwhile (data-lock.ts). */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The files that would not be what they are now; sorted. */
  get changed(): readonly string[] {
    return [...this.#changed].sort();
  }

  attach(inbox: DiskInbox): void {
    assert(this.#inbox === null, "a disk has one inbox");
    this.#inbox = inbox;
  }

  /** One after another, whatever the file: nobody waits for this disk but one reader. */
  submit(operation: DiskOperation): void {
    this.#last = this.#last.then(async () => {
      const result = await this.#performed(operation);
      assert(this.#inbox !== null, "a disk completes to its inbox: attach one first");
      this.#inbox.diskDone(operation.opId, result);
    });
  }

  /** Waits for what was submitted, and forgets all changes. */
  async close(): Promise<void> {
    await this.#last;
    for (const fd of this.#descriptors.values()) await closeAsync(fd);
    this.#descriptors.clear();
  }

  async #performed(operation: DiskOperation): Promise<DiskResult> {
    try {
      const result = await this.#perform(operation, await this.#all());
      for (const file of changedBy(operation)) this.#changed.add(file);
      return result;
    } catch (error) {
      const code = error instanceof Failure ? error.code : "EOTHER";
      const why = error instanceof Error ? error.message : String(error);
      return { kind: "failed", code, message: `${operation.kind}: ${why}` };
    }
  }

  async #perform(operation: DiskOperation, files: Map<string, Layered>): Promise<DiskResult> {
    switch (operation.kind) {
      case "create":
        if (files.has(operation.file)) throw new Failure("EEXIST", operation.file);
        files.set(operation.file, { under: null, bytes: 0, patches: [], view: null });
        return DONE;
      case "write-at":
        write(found(files, operation.file), operation.position, operation.parts);
        return DONE;
      case "read-at": {
        const file = found(files, operation.file);
        const bytes = await this.#read(file, operation.position, operation.length);
        return { kind: "read", bytes: freeze(bytes) };
      }
      case "sync":
        found(files, operation.file);
        return DONE;
      case "sync-dir":
        return DONE;
      case "rename":
        rename(files, operation.from, operation.to);
        return DONE;
      case "unlink":
        found(files, operation.file);
        files.delete(operation.file);
        return DONE;
      case "list":
        return { kind: "listed", files: listed(files) };
      case "map":
        return this.#map(found(files, operation.file), operation);
      case "flush-map": {
        const file = found(files, operation.file);
        if (file.view !== null) write(file, 0, [file.view]);
        return DONE;
      }
      case "unmap": {
        const file = files.get(operation.file);
        if (file !== undefined) file.view = null;
        return DONE;
      }
      default:
        return unreachable(operation);
    }
  }

  async #map(
    file: Layered,
    { file: name, length }: Extract<DiskOperation, { kind: "map" }>,
  ): Promise<DiskResult> {
    if (file.bytes !== length) throw new Failure("EOTHER", `${name} has ${file.bytes} bytes`);
    file.view = await this.#read(file, 0, length);
    return { kind: "mapped", view: file.view };
  }

  /** What is under it, zeros behind that, and every patch in its turn. */
  async #read(file: Layered, position: number, length: number): Promise<Uint8Array> {
    const end = Math.min(position + length, file.bytes);
    if (end <= position) return new Uint8Array(0);
    const bytes = new Uint8Array(end - position);
    const { under } = file;
    if (under !== null && position < under.bytes) {
      const fd = await this.#descriptor(under.file);
      bytes.set(await readFully(fd, position, Math.min(end, under.bytes) - position));
    }
    for (const patch of file.patches) lay(bytes, position, patch);
    return bytes;
  }

  async #descriptor(file: string): Promise<number> {
    const known = this.#descriptors.get(file);
    if (known !== undefined) return known;
    const fd = await openAsync(join(this.#directory, file), "r");
    this.#descriptors.set(file, fd);
    return fd;
  }

  /** The directory as it was when it was first looked at. Names that begin with a dot are not. */
  async #all(): Promise<Map<string, Layered>> {
    if (this.#files !== null) return this.#files;
    const files = new Map<string, Layered>();
    for (const entry of await readdirAsync(this.#directory, { withFileTypes: true })) {
      if (!entry.isFile() || entry.name.startsWith(".")) continue;
      const { size: bytes } = await statAsync(join(this.#directory, entry.name));
      const under = { file: entry.name, bytes };
      files.set(entry.name, { under, bytes, patches: [], view: null });
    }
    this.#files = files;
    return files;
  }
}

function changedBy(operation: DiskOperation): readonly string[] {
  switch (operation.kind) {
    case "create":
    case "write-at":
    case "unlink":
    case "flush-map":
      return [operation.file];
    case "rename":
      return [operation.from, operation.to];
    default:
      return [];
  }
}

function found(files: ReadonlyMap<string, Layered>, name: string): Layered {
  const file = files.get(name);
  if (file === undefined) throw new Failure("ENOENT", name);
  return file;
}

/** Copies: the bytes are the writer's again when the operation completes. */
function write(file: Layered, position: number, parts: readonly Uint8Array[]): void {
  let at = position;
  for (const part of parts) {
    file.patches.push({ position: at, bytes: part.slice() });
    at += part.length;
  }
  file.bytes = Math.max(file.bytes, at);
}

/** Replaces what was there. */
function rename(files: Map<string, Layered>, from: string, to: string): void {
  const file = found(files, from);
  files.delete(from);
  files.set(to, file);
}

function listed(files: ReadonlyMap<string, Layered>): { file: string; bytes: number }[] {
  const all = [...files].map(([file, { bytes }]) => ({ file, bytes }));
  return all.sort((a, b) => (a.file < b.file ? -1 : 1));
}

/** Writes the part of `patch` that lies in [position, position + bytes.length). */
function lay(bytes: Uint8Array, position: number, patch: Patch): void {
  const from = Math.max(position, patch.position);
  const to = Math.min(position + bytes.length, patch.position + patch.bytes.length);
  if (to <= from) return;
  bytes.set(patch.bytes.subarray(from - patch.position, to - patch.position), from - position);
}
