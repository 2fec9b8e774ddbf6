// The Disk port over one flat data directory, off the main thread. Owns the order of operations on
// each file and the naming of errors; when to write, sync, roll or recover is decided in src/log.
// The double is sim/sim-disk.ts; test/contract/disk.contract.ts holds for both.
//
// A write that is followed by a sync of its file, as nearly all of the log's are, goes to the
// system as one call (O_DSYNC): one way through the thread pool instead of two, and one turn of the
// node instead of two. Nothing else of the file may wait for the disk then, or the sync would miss
// it.
//
// Names that begin with a dot are not the log's (the data lock lives there): they are not listed.

import { close, fdatasync, fsync, open, readdir, rename, stat, unlink } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { assert, unreachable } from "../base/assert.ts";
import { freeze } from "../base/bytes.ts";
import type { DiskErrorCode, DiskFile, DiskOperation, DiskResult } from "../base/disk.ts";
import type { Disk, DiskInbox } from "../ports/disk.ts";
import { readFully, writeFully } from "./file-transfer.ts";
import type { IndexKind, IndexMaps } from "./index-maps.ts";
import { OpenFiles } from "./open-files.ts";

const fdatasyncAsync = promisify(fdatasync);
const fsyncAsync = promisify(fsync);
const openAsync = promisify(open);
const closeAsync = promisify(close);
const readdirAsync = promisify(readdir);
const renameAsync = promisify(rename);
const statAsync = promisify(stat);
const unlinkAsync = promisify(unlink);

export interface FileDiskOptions {
  /** An existing directory that this process has locked (data-lock.ts). */
  readonly directory: string;
  readonly index: IndexMaps;
  /** Descriptors kept open; more only while more operations than this are under way. */
  readonly openFilesMax?: number;
}

type Write = Extract<DiskOperation, { kind: "write-at" }>;
type Sync = Extract<DiskOperation, { kind: "sync" }>;

/** A write that has not begun, and the sync that came next. */
interface WaitingWrite {
  sync: Sync | null;
}

const DONE: DiskResult = { kind: "done" };
/** No file has this name, so it serves as the queue of the operations on the directory itself. */
const DIRECTORY = "";

export class FileDisk implements Disk {
  readonly #directory: string;
  readonly #index: IndexMaps;
  readonly #files: OpenFiles;
  /** The last operation submitted for each file that has one under way. */
  readonly #tails = new Map<string, Promise<void>>();
  /** The last operation submitted for a file, where it is a write that has not begun. */
  readonly #waiting = new Map<string, WaitingWrite>();
  #inbox: DiskInbox | null = null;
  #closed = false;

  constructor(options: FileDiskOptions) {
    this.#directory = options.directory;
    this.#index = options.index;
    this.#files = new OpenFiles((file) => this.#path(file), options.openFilesMax ?? 64);
  }

  /** Which index is active: for status, and for the line that says so at the start. */
  get indexKind(): IndexKind {
    return this.#index.kind;
  }

  get openFiles(): number {
    return this.#files.count;
  }

  attach(inbox: DiskInbox): void {
    assert(this.#inbox === null, "a disk has one inbox");
    this.#inbox = inbox;
  }

  submit(operation: DiskOperation): void {
    assert(!this.#closed, "an operation on a closed disk", operation.kind);
    const files = filesOf(operation);
    for (const file of files) assert(isPlainName(file), "a file name that is not plain", file);
    if (operation.kind === "sync" && this.#maybeJoin(operation)) return;
    const waiting: WaitingWrite = { sync: null };
    for (const file of files) this.#waiting.delete(file);
    if (operation.kind === "write-at") this.#waiting.set(operation.file, waiting);
    const queues = files.length === 0 ? [DIRECTORY] : files;
    const before = queues.map((queue) => this.#tails.get(queue));
    const run = this.#run(operation, before, waiting);
    for (const queue of queues) this.#tails.set(queue, run);
    void run.then(() => {
      for (const queue of queues) {
        if (this.#tails.get(queue) === run) this.#tails.delete(queue);
      }
    });
  }

  /** Waits for what was submitted, then closes every file. The inbox hears the last completions. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#tails.values());
    await this.#files.closeAll();
  }

  /** A sync of what the last write, not begun yet, will have written is performed with it. */
  #maybeJoin(sync: Sync): boolean {
    const waiting = this.#waiting.get(sync.file);
    if (waiting === undefined) return false;
    this.#waiting.delete(sync.file);
    waiting.sync = sync;
    return true;
  }

  /**
   * What the inbox throws is a bug: it ends the process as an unhandled rejection, uncaught here.
   */
  async #run(
    operation: DiskOperation,
    before: readonly (Promise<void> | undefined)[],
    waiting: WaitingWrite,
  ): Promise<void> {
    for (const earlier of before) await earlier;
    if (operation.kind === "write-at") {
      if (this.#waiting.get(operation.file) === waiting) this.#waiting.delete(operation.file);
      if (waiting.sync !== null) return this.#runBoth(operation, waiting.sync);
    }
    this.#complete(operation, await this.#performed(operation));
  }

  /**
   * Both are told of after both: a failed write's sync is performed for itself, through the other
   * descriptor, which the system tells of every error that it told this one.
   */
  async #runBoth(write: Write, sync: Sync): Promise<void> {
    const durable = await this.#attempted(write, () => this.#maybeWriteDurably(write));
    const written = durable ?? (await this.#performed(write));
    const synced = durable?.kind === "done" ? DONE : await this.#performed(sync);
    this.#complete(write, written);
    this.#complete(sync, synced);
  }

  #complete({ opId }: DiskOperation, result: DiskResult): void {
    assert(this.#inbox !== null, "a disk completes to its inbox: attach one first");
    this.#inbox.diskDone(opId, result);
  }

  /** Writes, and returns when that is durable; null, and nothing, when other bytes are not. */
  #maybeWriteDurably({ file, position, parts }: Write): Promise<DiskResult | null> {
    return this.#files.with(file, async (open) => {
      const fd = open.isDurable ? await this.#files.maybeDurableFd(file, open) : null;
      if (fd === null) return null;
      open.dirty = true;
      open.isDurable = false;
      await writeFully(fd, position, parts);
      open.dirty = false;
      open.isDurable = true;
      return DONE;
    });
  }

  #performed(operation: DiskOperation): Promise<DiskResult> {
    return this.#attempted(operation, () => this.#perform(operation));
  }

  async #attempted<Result>(
    operation: DiskOperation,
    perform: () => Promise<Result>,
  ): Promise<Result | DiskResult> {
    try {
      return await perform();
    } catch (error) {
      return failed(operation, error);
    }
  }

  #perform(operation: DiskOperation): Promise<DiskResult> {
    switch (operation.kind) {
      case "create":
        return this.#create(operation.file);
      case "write-at":
        return this.#files.with(operation.file, async (open) => {
          open.dirty = true;
          open.isDurable = false;
          await writeFully(open.fd, operation.position, operation.parts);
          return DONE;
        });
      case "read-at":
        return this.#files.with(operation.file, async ({ fd }) => {
          const bytes = await readFully(fd, operation.position, operation.length);
          return { kind: "read", bytes: freeze(bytes) };
        });
      case "sync":
        return this.#files.with(operation.file, async (open) => {
          await fdatasyncAsync(open.fd);
          open.dirty = false;
          open.isDurable = true;
          return DONE;
        });
      case "sync-dir":
        return this.#syncDirectory();
      case "rename":
        return this.#rename(operation.from, operation.to);
      case "unlink":
        return this.#unlink(operation.file);
      case "list":
        return this.#list();
      case "map":
      case "flush-map":
      case "unmap":
        return this.#performOnIndex(operation);
      default:
        return unreachable(operation);
    }
  }

  async #create(file: string): Promise<DiskResult> {
    await this.#files.create(file);
    return DONE;
  }

  async #rename(from: string, to: string): Promise<DiskResult> {
    await renameAsync(this.#path(from), this.#path(to));
    if (from === to) return DONE;
    await this.#files.renamed(from, to);
    this.#index.renamed(from, to);
    return DONE;
  }

  async #unlink(file: string): Promise<DiskResult> {
    await unlinkAsync(this.#path(file));
    this.#index.unmap(file);
    await this.#files.forget(file);
    return DONE;
  }

  #performOnIndex(
    operation: DiskOperation & { readonly kind: "map" | "flush-map" | "unmap" },
  ): Promise<DiskResult> {
    const { file } = operation;
    return this.#files.with(file, async (open) => {
      switch (operation.kind) {
        case "map":
          return { kind: "mapped", view: await this.#index.map(file, open.fd, operation.length) };
        case "flush-map":
          open.dirty = true;
          open.isDurable = false;
          await this.#index.flush(file, open.fd);
          return DONE;
        case "unmap":
          this.#index.unmap(file);
          return DONE;
      }
    });
  }

  async #syncDirectory(): Promise<DiskResult> {
    const fd = await openAsync(this.#directory, "r");
    try {
      await fsyncAsync(fd);
    } finally {
      await closeAsync(fd);
    }
    return DONE;
  }

  async #list(): Promise<DiskResult> {
    const entries = await readdirAsync(this.#directory, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile() && isPlainName(entry.name));
    // All at once: a large log has thousands, and one after another takes most of its opening.
    const found = await Promise.all(names.map(({ name }) => this.#described(name)));
    const files = found.filter((file) => file !== null);
    files.sort((a, b) => (a.file < b.file ? -1 : 1));
    return { kind: "listed", files };
  }

  /** Null when the file went between the listing and the look at it. */
  async #described(file: string): Promise<DiskFile | null> {
    try {
      return { file, bytes: (await statAsync(this.#path(file))).size };
    } catch (error) {
      if (codeOf(error) === "ENOENT") return null;
      throw error;
    }
  }

  #path(file: string): string {
    return join(this.#directory, file);
  }
}

/** The files whose order an operation takes part in; none for the directory's own operations. */
function filesOf(operation: DiskOperation): readonly string[] {
  switch (operation.kind) {
    case "list":
    case "sync-dir":
      return [];
    case "rename":
      return [operation.from, operation.to];
    default:
      return [operation.file];
  }
}

/** A data directory is flat, and nothing outside it is ever named. */
function isPlainName(file: string): boolean {
  return file.length > 0 && !file.startsWith(".") && !/[/\\\0]/.test(file);
}

function failed(operation: DiskOperation, error: unknown): DiskResult {
  const files = filesOf(operation).join(" to ");
  const why = error instanceof Error ? error.message : String(error);
  const message = `${operation.kind} ${files === "" ? "the data directory" : files}: ${why}`;
  return { kind: "failed", code: diskErrorCode(codeOf(error)), message };
}

function codeOf(error: unknown): string | null {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return typeof code === "string" ? code : null;
}

/** A quota that is used up is a full disk to whoever writes. */
export function diskErrorCode(code: string | null): DiskErrorCode {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "ENOSPC";
    case "EIO":
    case "ENOENT":
    case "EEXIST":
      return code;
    default:
      return "EOTHER";
  }
}
