// A data directory at rest, as `cairn log` reads it: its files by name, its segments entry by entry
// in constant memory. Owns the descriptors and the lock against a running node; changes nothing,
// and decides nothing about what it finds.

import { close, open } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

import { DataDirectoryInUse, type DataLock, lockDataDirectory } from "../adapters/data-lock.ts";
import { readFully } from "../adapters/file-transfer.ts";
import { type FrozenBytes, freeze } from "../base/bytes.ts";
import type { EntryHead } from "../base/entry.ts";
import type { LogIndex, Position } from "../base/ids.ts";
import { baseOfStore, MANIFEST_FILE, storeFile } from "../log/file-names.ts";
import { FRAME_HEADER_BYTES } from "../log/frame.ts";
import { decodeManifest, type Manifest } from "../log/manifest.ts";
import { StoreScan } from "../log/recovery.ts";
import { SECTOR_BYTES } from "../log/sector.ts";
import {
  decodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from "../log/segment-header.ts";
import { CommandError, describeError, EXIT } from "./exit.ts";
import { Progress } from "./terminal.ts";

const openAsync = promisify(open);
const closeAsync = promisify(close);

export interface ScanOptions {
  readonly truncateFrom: LogIndex | null;
  readonly visit: (head: EntryHead, position: Position) => void;
  /** After each chunk: how many bytes of the file are behind it. */
  readonly passed?: (bytes: number) => Promise<void>;
}

export class LogFiles {
  readonly directory: string;
  /** Sizes by name. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly #lock: DataLock | null;
  readonly #open = new Map<string, Promise<number>>();

  private constructor(
    directory: string,
    sizes: ReadonlyMap<string, number>,
    lock: DataLock | null,
  ) {
    this.directory = directory;
    this.sizes = sizes;
    this.#lock = lock;
  }

  /** Throws a CommandError for what is no data directory, or a running node's. */
  static async open(directory: string): Promise<LogFiles> {
    const names = await readdir(directory).catch((error: unknown) => {
      throw new CommandError(`cannot read ${directory}: ${describeError(error)}`);
    });
    const isDirectory = names.some((name) => name === MANIFEST_FILE || baseOfStore(name) !== null);
    if (!isDirectory) {
      const what = `${directory} is no data directory of a node: it has neither manifest nor stores`;
      throw new CommandError(what, EXIT.usage);
    }
    const lock = await lockAtRest(directory);
    const sizes = new Map<string, number>();
    for (const name of names.sort()) {
      const found = await stat(path.join(directory, name));
      if (found.isFile() && !name.startsWith(".")) sizes.set(name, found.size);
    }
    return new LogFiles(directory, sizes, lock);
  }

  /** The first index of every segment, ascending. */
  get bases(): LogIndex[] {
    const bases = [...this.sizes.keys()].map(baseOfStore).filter((base) => base !== null);
    return bases.sort((a, b) => a - b);
  }

  /** Of all stores together. */
  get storeBytes(): number {
    return this.bases.reduce((sum, base) => sum + (this.sizes.get(storeFile(base)) ?? 0), 0);
  }

  /** At most `length` bytes; fewer only at the end of the file. */
  async read(file: string, position: number, length: number): Promise<FrozenBytes> {
    return freeze(await readFully(await this.#descriptor(file), position, length));
  }

  async readWhole(file: string): Promise<FrozenBytes> {
    return this.read(file, 0, this.sizes.get(file) ?? 0);
  }

  /** A body that a scan has found whole; a new copy. */
  body(base: LogIndex, position: Position, head: EntryHead): Promise<FrozenBytes> {
    return this.read(storeFile(base), position + FRAME_HEADER_BYTES, head.bodyLength);
  }

  /** Null when it cannot be read. */
  async manifest(): Promise<Manifest | null> {
    if (!this.sizes.has(MANIFEST_FILE)) return null;
    const decoded = decodeManifest(await this.read(MANIFEST_FILE, 0, SECTOR_BYTES));
    return decoded.kind === "manifest" ? decoded.manifest : null;
  }

  async header(base: LogIndex): Promise<SegmentHeader | null> {
    const bytes = await this.read(storeFile(base), 0, SEGMENT_HEADER_BYTES);
    const decoded = decodeSegmentHeader(bytes);
    return decoded.kind === "header" ? decoded.header : null;
  }

  /** Reads a store from its header to its end; the scan has its verdict. */
  async scan(base: LogIndex, header: SegmentHeader, options: ScanOptions): Promise<StoreScan> {
    const { truncateFrom, visit, passed } = options;
    const scan = new StoreScan({ header, truncateFrom, visit });
    for (let wanted = scan.wanted; wanted !== null; wanted = scan.wanted) {
      const bytes = await this.read(storeFile(base), wanted.position, wanted.length);
      scan.take(bytes);
      await passed?.(Math.min(wanted.position + bytes.length, scan.end));
    }
    return scan;
  }

  async close(): Promise<void> {
    for (const opened of this.#open.values()) await closeAsync(await opened);
    this.#open.clear();
    await this.#lock?.release();
  }

  /** One store is read at a time: a log may have more files than a process may open. */
  async #descriptor(file: string): Promise<number> {
    const known = this.#open.get(file);
    if (known !== undefined) return known;
    for (const [name, opened] of this.#open) {
      this.#open.delete(name);
      await closeAsync(await opened);
    }
    const opened = openAsync(path.join(this.directory, file), "r");
    this.#open.set(file, opened);
    return opened;
  }
}

/** Null on a medium that cannot be written to: no node runs there. */
async function lockAtRest(directory: string): Promise<DataLock | null> {
  try {
    return await lockDataDirectory(directory);
  } catch (error) {
    if (error instanceof DataDirectoryInUse) throw new CommandError(error.message);
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EROFS" || code === "EACCES") return null;
    throw new CommandError(`cannot lock ${directory}: ${describeError(error)}`);
  }
}

/** Opens the directory, shows progress over its stores, and closes it whatever happens. */
export async function withLogFiles<Result>(
  directory: string,
  label: string,
  work: (files: LogFiles, advance: (bytes: number) => void) => Promise<Result>,
): Promise<Result> {
  const files = await LogFiles.open(directory);
  const total = files.storeBytes;
  const progress = new Progress(label, total);
  try {
    return await work(files, (bytes) => {
      progress.update(bytes, `${mebibytes(bytes)} of ${mebibytes(total)}`);
    });
  } finally {
    progress.stop();
    await files.close();
  }
}

export function mebibytes(bytes: number): string {
  return `${(bytes / (1024 * 1024)).toFixed(1)} MiB`;
}
