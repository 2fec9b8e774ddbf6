// The names of a data directory's files. Segments are named by their first index and checkpoints by
// their own, 20 digits wide, so that the order of names is the order of the log. Files of other
// owners (the lock) are left alone.

import type { LogIndex } from "../base/ids.ts";

export const MANIFEST_FILE = "manifest";
export const HARD_STATE_FILE = "hard-state";
/** Room that is given up when the disk is full (space.ts). */
export const RESERVE_FILE = "reserve";
/** What a file is called until it is whole: leftovers of a crash, removed on open. */
export const ASIDE_SUFFIX = ".tmp";
/** The one checkpoint of old, from when no log was ever trimmed: of no use, removed on open. */
const SUPERSEDED_FILE = "checkpoint";

const DIGITS = 20;
const STORE_NAME = /^(\d{20})\.store$/;
const INDEX_NAME = /^(\d{20})\.index$/;
const SEAL_NAME = /^(\d{20})\.seal$/;
const CHECKPOINT_NAME = /^(\d{20})\.checkpoint$/;
const INSTALL_NAME = /^(\d{20})\.install$/;
const INCOMING_NAME = /^(\d{20})\.incoming$/;

export function storeFile(baseIndex: LogIndex): string {
  return `${digits(baseIndex)}.store`;
}

export function indexFile(baseIndex: LogIndex): string {
  return `${digits(baseIndex)}.index`;
}

export function sealFile(baseIndex: LogIndex): string {
  return `${digits(baseIndex)}.seal`;
}

export function checkpointFile(index: LogIndex): string {
  return `${digits(index)}.checkpoint`;
}

/** A checkpoint that is replacing the whole log: all else in the directory is void. */
export function installFile(index: LogIndex): string {
  return `${digits(index)}.install`;
}

/** A checkpoint that is on its way from another member, as far as it has come. */
export function incomingFile(index: LogIndex): string {
  return `${digits(index)}.incoming`;
}

function digits(index: LogIndex): string {
  return index.toString().padStart(DIGITS, "0");
}

/** The base index a store file's name says, or null when it is no store file. */
export function baseOfStore(file: string): LogIndex | null {
  return numberIn(STORE_NAME, file);
}

/** The base index an index file's name says, or null when it is no index file. */
export function baseOfIndex(file: string): LogIndex | null {
  return numberIn(INDEX_NAME, file);
}

/** The base index a seal's name says, or null when it is no seal. */
export function baseOfSeal(file: string): LogIndex | null {
  return numberIn(SEAL_NAME, file);
}

/** The index a checkpoint's name says, or null when it is no checkpoint. */
export function indexOfCheckpoint(file: string): LogIndex | null {
  return numberIn(CHECKPOINT_NAME, file);
}

/** The index an installation's name says, or null when it is none. */
export function indexOfInstall(file: string): LogIndex | null {
  return numberIn(INSTALL_NAME, file);
}

/** The index that the name of a checkpoint on its way says, or null when it is none. */
export function indexOfIncoming(file: string): LogIndex | null {
  return numberIn(INCOMING_NAME, file);
}

function numberIn(pattern: RegExp, file: string): LogIndex | null {
  const found = pattern.exec(file)?.[1];
  if (found === undefined) return null;
  const index = Number(found);
  return Number.isSafeInteger(index) && index > 0 ? (index as LogIndex) : null;
}

/** True for a file of ours that was being written aside when the node died, or is of no use now. */
export function isLeftover(file: string): boolean {
  if (file === SUPERSEDED_FILE) return true;
  if (!file.endsWith(ASIDE_SUFFIX)) return false;
  const whole = file.slice(0, -ASIDE_SUFFIX.length);
  if (whole === MANIFEST_FILE || whole === SUPERSEDED_FILE) return true;
  return indexOfCheckpoint(whole) !== null || indexOfInstall(whole) !== null;
}
