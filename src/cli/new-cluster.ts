// A data directory with a cluster of one, made of another cluster's log: entries as they are,
// behind them a note that says where they are from, and the membership of the one. What `cairn
// recover` and `cairn restore` have in common. Owns the directory from its first byte to its name,
// under which it is whole; where the log comes from is theirs.

import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";

import { lockDataDirectory } from "../adapters/data-lock.ts";
import { FileDisk } from "../adapters/file-disk.ts";
import { chooseIndex } from "../adapters/index-maps.ts";
import { controlDraft } from "../base/control.ts";
import { crc32c } from "../base/crc32c.ts";
import {
  type Draft,
  type Entry,
  FRAME_HEADER_BYTES,
  headOf,
  LOG_START,
  type LogPoint,
  pointAfter,
} from "../base/entry.ts";
import type { LogIndex, Term, WallMs } from "../base/ids.ts";
import { memberId, membershipOf } from "../base/membership.ts";
import type { Checkpoint } from "../log/checkpoint.ts";
import { sealFrame } from "../log/frame.ts";
import type { Identity } from "../log/protocol.ts";
import { State } from "../state/state.ts";
import { CommandError, describeError, EXIT } from "./exit.ts";
import { OfflineLog, offlineOptions } from "./offline-log.ts";

const PRODUCERS_MAX = 10_000;
/** In the new directory: the same words as the entry of kind "recovered". */
const RECORD_FILE = "recovered.json";

/** What the log ends with. */
export interface NewEnd {
  /** Above all that the old cluster has seen. */
  readonly term: Term;
  /** host:port where the one serves. */
  readonly address: string;
  /** What was done; names and numbers only, as JSON: directories are this machine's business. */
  readonly record: object;
  /** Of an entry in the log; null for none: then the next start goes through all of it. */
  readonly checkpoint: Checkpoint | null;
}

/**
 * Made aside and renamed: under its name it is whole. `fill` writes the log and says how it ends;
 * when it throws, nothing is left.
 */
export async function makeCluster<Filled extends { readonly end: NewEnd }>(
  into: string,
  identity: Identity,
  fill: (log: NewLog) => Promise<Filled>,
): Promise<Filled> {
  const aside = `${into}.unfinished`;
  await rm(aside, { recursive: true, force: true });
  try {
    const lock = await lockDataDirectory(aside);
    let filled: Filled;
    try {
      filled = await write(aside, identity, fill);
      await syncDirectory(aside);
    } finally {
      await lock.release();
    }
    await mkdir(path.dirname(into), { recursive: true });
    await rename(aside, into);
    await syncDirectory(path.dirname(into));
    return filled;
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    if (error instanceof CommandError) throw error;
    throw new CommandError(`${aside}: ${describeError(error)}`);
  }
}

async function write<Filled extends { readonly end: NewEnd }>(
  directory: string,
  identity: Identity,
  fill: (log: NewLog) => Promise<Filled>,
): Promise<Filled> {
  const disk = new FileDisk({ directory, index: chooseIndex("file").maps });
  try {
    const { log } = await OfflineLog.open(disk, offlineOptions(identity));
    const made = new NewLog(log, identity);
    const filled = await fill(made);
    await made.end(filled.end);
    const text = `${JSON.stringify(filled.end.record, null, 2)}\n`;
    await writeDurably(path.join(directory, RECORD_FILE), text);
    return filled;
  } finally {
    await disk.close();
  }
}

/** The log while it is filled. */
export class NewLog {
  readonly #log: OfflineLog;
  readonly #identity: Identity;
  #point: LogPoint = LOG_START;

  constructor(log: OfflineLog, identity: Identity) {
    this.#log = log;
    this.#identity = identity;
  }

  /** What it begins with, first of all. */
  async base(base: Checkpoint): Promise<void> {
    const membership = State.restore(PRODUCERS_MAX, base.at, base.state)?.committedMembership;
    if (membership === undefined) throw new Error("the base checkpoint cannot be read");
    await this.#log.install(base, membership);
    this.#point = base.at;
  }

  /** The next entries, as they are. */
  async append(entries: readonly Entry[]): Promise<void> {
    const last = entries.at(-1);
    if (last === undefined) return;
    // A term is durable before an entry of it; these are of the old cluster's terms.
    const hardState = { term: last.term, votedFor: null };
    await this.#log.write({ hardState, truncateFrom: null, entries });
    this.#point = pointAfter(last);
  }

  async end({ term, address, record, checkpoint }: NewEnd): Promise<void> {
    const hardState = { term, votedFor: null };
    const entries = this.#lastEntries(term, address, record);
    await this.#log.write({ hardState, truncateFrom: null, entries });
    if (checkpoint !== null) this.#log.checkpoint(checkpoint);
    await this.#log.close();
  }

  /** What was done, and the membership of the one. */
  #lastEntries(term: Term, address: string, record: object): Entry[] {
    const { nodeName, instanceId } = this.#identity;
    const membership = membershipOf([{ id: memberId(nodeName, instanceId), address }]);
    const drafts = [noteOf(record), controlDraft({ kind: "membership", membership }, 0 as WallMs)];
    const entries: Entry[] = [];
    let last = this.#point;
    for (const draft of drafts) {
      const head = headOf(draft, (last.index + 1) as LogIndex, term, last);
      entries.push({ ...head, frame: sealFrame(head, draft.bytes) });
      last = pointAfter(head);
    }
    return entries;
  }
}

function noteOf(record: unknown): Draft {
  const body = new TextEncoder().encode(JSON.stringify(record));
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  bytes.set(body, FRAME_HEADER_BYTES);
  const numbers = { codec: 0, count: 0, producerId: 0, epoch: 0, sequence: 0 } as const;
  const sums = { bodyCrc: crc32c(body), rawLength: body.length };
  // Who does not know the kind lacks a note, and nothing else.
  return { kind: "recovered", critical: false, timestamp: 0 as WallMs, ...numbers, ...sums, bytes };
}

/** Absent, or empty; `named` says how it was asked for. */
export async function freeDirectory(directory: string, named: string): Promise<string> {
  const into = path.resolve(directory);
  const files = await readdir(into).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new CommandError(`${named}: ${error.message}`, EXIT.usage);
  });
  if (files.length === 0) return into;
  throw new CommandError(`${named}: it holds files, name another one`, EXIT.usage);
}

/** The file must not be there yet. */
export async function writeDurably(file: string, content: string | Uint8Array): Promise<void> {
  const opened = await open(file, "wx", 0o640);
  try {
    await opened.writeFile(content);
    await opened.sync();
  } finally {
    await opened.close();
  }
}

export async function syncDirectory(directory: string): Promise<void> {
  const opened = await open(directory, "r");
  try {
    await opened.sync();
  } finally {
    await opened.close();
  }
}
