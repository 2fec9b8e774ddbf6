// Index files as plain memory, read from the file when mapped and written back when flushed: for
// platforms without mmap-io. Owns the memory; a crash loses what was not flushed, which is allowed,
// because an index is rebuilt from its store file.

import { fstat } from "node:fs";
import { promisify } from "node:util";

import { readFully, writeFully } from "./file-transfer.ts";
import type { IndexMaps } from "./index-maps.ts";

const fstatAsync = promisify(fstat);

export class FileIndex implements IndexMaps {
  readonly kind = "file";
  readonly #views = new Map<string, Uint8Array>();

  async map(file: string, fd: number, length: number): Promise<Uint8Array> {
    const { size } = await fstatAsync(fd);
    if (size !== length) throw new Error(`it has ${size} bytes, ${length} were to be mapped`);
    const view = await readFully(fd, 0, length);
    this.#views.set(file, view);
    return view;
  }

  has(file: string): boolean {
    return this.#views.has(file);
  }

  async flush(file: string, fd: number): Promise<void> {
    const view = this.#views.get(file);
    if (view === undefined) throw new Error("it is not mapped");
    await writeFully(fd, 0, [view]);
  }

  unmap(file: string): void {
    this.#views.delete(file);
  }

  renamed(from: string, to: string): void {
    const view = this.#views.get(from);
    this.#views.delete(to);
    if (view === undefined) return;
    this.#views.delete(from);
    this.#views.set(to, view);
  }
}
