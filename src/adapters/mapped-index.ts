// Index files as shared memory of the kernel, through the optional package mmap-io. Owns the
// loading of the addon and the mappings; which file is mapped, and when, is decided by src/log.
//
// What the addon imposes: sizes go through a 32-bit integer; there is no munmap, a mapping goes
// when its memory is garbage collected; touching a page the file no longer covers kills the
// process. So a file must be written in full before it is mapped, and is never truncated (the Disk
// port cannot).

import { fstat } from "node:fs";
import { createRequire } from "node:module";
import { promisify } from "node:util";

import type { IndexMaps } from "./index-maps.ts";

const fstatAsync = promisify(fstat);

/** The part of mmap-io that is used; sizes below 2 GiB. */
export interface Mmap {
  readonly PROT_READ: number;
  readonly PROT_WRITE: number;
  readonly MAP_SHARED: number;
  map(size: number, protection: number, flags: number, fd: number): Buffer;
  sync(buffer: Buffer): void;
}

export type LoadedMmap =
  | { readonly kind: "loaded"; readonly mmap: Mmap }
  | { readonly kind: "absent"; readonly why: string };

/** Loads the addon (CommonJS, with a native part that may be missing). Never throws. */
export function loadMmap(): LoadedMmap {
  try {
    const mmap = createRequire(import.meta.url)("mmap-io") as Mmap;
    return { kind: "loaded", mmap };
  } catch (error) {
    const first = String(error instanceof Error ? error.message : error).split("\n")[0];
    return { kind: "absent", why: first ?? "it does not load" };
  }
}

export const MAP_BYTES_MAX = 2 ** 31 - 1;

export class MappedIndex implements IndexMaps {
  readonly kind = "mmap";
  readonly #mmap: Mmap;
  readonly #maps = new Map<string, Buffer>();

  constructor(mmap: Mmap) {
    this.#mmap = mmap;
  }

  async map(file: string, fd: number, length: number): Promise<Uint8Array> {
    if (length < 1 || length > MAP_BYTES_MAX) {
      throw new Error(`${length} bytes cannot be mapped: expected 1 to ${MAP_BYTES_MAX}`);
    }
    const { size } = await fstatAsync(fd);
    if (size !== length) throw new Error(`it has ${size} bytes, ${length} were to be mapped`);
    const { PROT_READ, PROT_WRITE, MAP_SHARED } = this.#mmap;
    const mapped = this.#mmap.map(length, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    this.#maps.set(file, mapped);
    // A plain Uint8Array: a Buffer's slice() would alias where the log's code expects a copy.
    return new Uint8Array(mapped.buffer, mapped.byteOffset, length);
  }

  has(file: string): boolean {
    return this.#maps.has(file);
  }

  /**
   * Without waiting (MS_ASYNC): the pages are the kernel's page cache already, so reads see them,
   * and the fdatasync that makes them durable runs off the main thread. A blocking msync would stop
   * the event loop for as long as the disk takes.
   */
  async flush(file: string): Promise<void> {
    const mapped = this.#maps.get(file);
    if (mapped === undefined) throw new Error("it is not mapped");
    this.#mmap.sync(mapped);
  }

  unmap(file: string): void {
    this.#maps.delete(file);
  }

  renamed(from: string, to: string): void {
    const mapped = this.#maps.get(from);
    this.#maps.delete(to);
    if (mapped === undefined) return;
    this.#maps.delete(from);
    this.#maps.set(to, mapped);
  }
}
