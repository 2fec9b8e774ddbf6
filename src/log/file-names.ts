// The names of a data directory's files. Segments are named by their first index, 20 digits wide,
// so that the order of names is the order of the log. Files of other owners (the lock) are left
// alone.

import type { LogIndex } from "../base/ids.ts";

export const MANIFEST_FILE = "manifest";
export const HARD_STATE_FILE = "hard-state";
export const CHECKPOINT_FILE = "checkpoint";
/** What a file is called until it is whole: leftovers of a crash, removed on open. */
export const ASIDE_SUFFIX = ".tmp";

const DIGITS = 20;
const STORE_NAME = /^(\d{20})\.store$/;
const INDEX_NAME = /^(\d{20})\.index$/;

export function storeFile(baseIndex: LogIndex): string {
  return `${baseIndex.toString().padStart(DIGITS, "0")}.store`;
}

export function indexFile(baseIndex: LogIndex): string {
  return `${baseIndex.toString().padStart(DIGITS, "0")}.index`;
}

/** The base index a store file's name says, or null when it is no store file. */
export function baseOfStore(file: string): LogIndex | null {
  return baseOf(STORE_NAME, file);
}

/** The base index an index file's name says, or null when it is no index file. */
export function baseOfIndex(file: string): LogIndex | null {
  return baseOf(INDEX_NAME, file);
}

function baseOf(pattern: RegExp, file: string): LogIndex | null {
  const digits = pattern.exec(file)?.[1];
  if (digits === undefined) return null;
  const base = Number(digits);
  return Number.isSafeInteger(base) && base > 0 ? (base as LogIndex) : null;
}

/** True for a file of ours that was being written aside when the node died. */
export function isAside(file: string): boolean {
  return file === MANIFEST_FILE + ASIDE_SUFFIX || file === CHECKPOINT_FILE + ASIDE_SUFFIX;
}
