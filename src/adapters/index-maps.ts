// The two ways to give the log its index as memory, and the choice between them (CAIRN_INDEX). Owns
// the interface and the choice; the ways are mapped-index.ts and file-index.ts.

import { FileIndex } from "./file-index.ts";
import { type LoadedMmap, loadMmap, MappedIndex } from "./mapped-index.ts";

export type IndexKind = "mmap" | "file";
export type IndexWish = IndexKind | "auto";

/**
 * Memory of one index file at a time, by name. Rejections are errors with a `code`, as of node:fs.
 */
export interface IndexMaps {
  readonly kind: IndexKind;
  /** `fd` is open for reading and writing, and holds exactly `length` written bytes. */
  map(file: string, fd: number, length: number): Promise<Uint8Array>;
  /** True when `file` is mapped now. */
  has(file: string): boolean;
  /** Brings what was written into the view to the file, where a read or a sync finds it. */
  flush(file: string, fd: number): Promise<void>;
  unmap(file: string): void;
  renamed(from: string, to: string): void;
}

export interface ChosenIndex {
  readonly maps: IndexMaps;
  /** Why "auto" did not get the mapped index; null when it did, or when none was wished for. */
  readonly fallback: string | null;
}

/** Throws an Error for the operator when "mmap" is wished for and cannot be had. */
export function chooseIndex(wish: IndexWish, load: () => LoadedMmap = loadMmap): ChosenIndex {
  if (wish === "file") return { maps: new FileIndex(), fallback: null };
  const loaded = load();
  if (loaded.kind === "loaded") return { maps: new MappedIndex(loaded.mmap), fallback: null };
  if (wish === "mmap") {
    throw new Error(
      `CAIRN_INDEX=mmap: the optional package mmap-io cannot be used (${loaded.why}); ` +
        "install it with a C++ compiler at hand, or choose CAIRN_INDEX=file",
    );
  }
  return { maps: new FileIndex(), fallback: loaded.why };
}

/**
 * Reads the value of CAIRN_INDEX; absent or empty means auto. Throws an Error that names the
 * choices.
 */
export function parseIndexWish(value: string | undefined): IndexWish {
  if (value === undefined || value === "") return "auto";
  if (value === "mmap" || value === "file" || value === "auto") return value;
  throw new Error(`CAIRN_INDEX=${value}: expected mmap, file or auto`);
}
