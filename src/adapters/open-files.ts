// A bounded set of open file descriptors of one data directory, the least recently used closed
// first. Owns descriptors only: the order of operations on a file is file-disk.ts's, and while one
// of them runs it holds the descriptor, so that nothing is closed under it.

import { close, constants, open } from "node:fs";
import { promisify } from "node:util";

const openAsync = promisify(open);
const closeAsync = promisify(close);

export interface OpenFile {
  readonly fd: number;
  /** Operations that are using the descriptor now. */
  users: number;
  /** Written since the last sync: closed only when nothing clean is left to close. */
  dirty: boolean;
  /** Every byte of the file is known to be durable: it was made here, or synced since it opened. */
  isDurable: boolean;
  /** A second descriptor, whose writes are durable when they return; null until one is needed. */
  durableFd: number | null;
}

/** Where one write is all that fdatasync would be for its bytes (Linux, open(2)); 0 elsewhere. */
const DURABLE_WRITES = process.platform === "linux" ? constants.O_DSYNC : 0;

export class OpenFiles {
  readonly #pathOf: (file: string) => string;
  readonly #filesMax: number;
  /** In the order of last use, oldest first. */
  readonly #files = new Map<string, OpenFile>();

  constructor(pathOf: (file: string) => string, filesMax: number) {
    this.#pathOf = pathOf;
    this.#filesMax = filesMax;
  }

  get count(): number {
    return this.#files.size;
  }

  /** Makes an empty file and keeps it open; rejects with EEXIST when there is one. */
  async create(file: string): Promise<void> {
    await this.#release(await this.#opened(file, "wx+"));
  }

  /** Runs `use` with an open descriptor of an existing file; rejects with ENOENT without one. */
  async with<T>(file: string, use: (open: OpenFile) => Promise<T>): Promise<T> {
    const open = this.#reused(file) ?? (await this.#opened(file, "r+"));
    try {
      return await use(open);
    } finally {
      await this.#release(open);
    }
  }

  /** The descriptor whose writes are durable when they return; null where there is none. */
  async maybeDurableFd(file: string, open: OpenFile): Promise<number | null> {
    if (DURABLE_WRITES === 0) return null;
    if (open.durableFd === null) {
      // Out of descriptors, say: then a sync does it.
      const opening = openAsync(this.#pathOf(file), constants.O_RDWR | DURABLE_WRITES);
      open.durableFd = await opening.catch(() => null);
    }
    return open.durableFd;
  }

  /**
   * Follows a rename: the descriptor of `from` goes on under `to`, that of the replaced file
   * closes.
   */
  async renamed(from: string, to: string): Promise<void> {
    await this.forget(to);
    const moved = this.#files.get(from);
    if (moved === undefined) return;
    this.#files.delete(from);
    this.#files.set(to, moved);
  }

  /** What a failed close tells about lost writes, the next sync of the file tells too. */
  async forget(file: string): Promise<void> {
    const known = this.#files.get(file);
    if (known === undefined) return;
    this.#files.delete(file);
    await closeAsync(known.fd).catch(() => undefined);
    if (known.durableFd !== null) await closeAsync(known.durableFd).catch(() => undefined);
  }

  async closeAll(): Promise<void> {
    for (const file of [...this.#files.keys()]) await this.forget(file);
  }

  async #release(open: OpenFile): Promise<void> {
    open.users--;
    await this.#closeSurplus();
  }

  /** Held by the caller, as is what #opened gives. */
  #reused(file: string): OpenFile | null {
    const known = this.#files.get(file);
    if (known === undefined) return null;
    this.#files.delete(file);
    this.#files.set(file, known);
    known.users++;
    return known;
  }

  async #opened(file: string, flags: "r+" | "wx+"): Promise<OpenFile> {
    const fd = await openAsync(this.#pathOf(file), flags, 0o640);
    const isDurable = flags === "wx+";
    const open: OpenFile = { fd, users: 1, dirty: false, isDurable, durableFd: null };
    this.#files.set(file, open);
    await this.#closeSurplus();
    return open;
  }

  /**
   * Closing a file that has unsynced writes is safe (a later fdatasync through another descriptor
   * covers them) but may cost the report of a failed write-back, hence clean ones first.
   */
  async #closeSurplus(): Promise<void> {
    while (this.#files.size > this.#filesMax) {
      const victim = this.#idle(false) ?? this.#idle(true);
      if (victim === null) return;
      await this.forget(victim);
    }
  }

  #idle(dirty: boolean): string | null {
    for (const [file, open] of this.#files) {
      if (open.users === 0 && open.dirty === dirty) return file;
    }
    return null;
  }
}
