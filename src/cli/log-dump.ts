// `cairn log dump`: the entries of a directory at rest, a line each, as they stand in its stores.
// Owns the line; stops where a segment does not read any further, and says so.

import type { EntryHead } from "../base/entry.ts";
import type { LogIndex, Position } from "../base/ids.ts";
import { decodeBatch } from "../base/record-batch.ts";
import { storeFile } from "../log/file-names.ts";
import type { StoreVerdict } from "../log/recovery.ts";
import { textOrBase64 } from "./consume.ts";
import { CommandError, EXIT } from "./exit.ts";
import { type LogFiles, withLogFiles } from "./log-files.ts";
import { Output } from "./terminal.ts";

export interface DumpFlags {
  readonly from?: string;
  readonly count?: string;
  readonly values?: boolean;
  readonly json?: boolean;
}

/** Entries whose lines wait for the bodies between two writes: bounds what a chunk piles up. */
interface Found {
  readonly head: EntryHead;
  readonly position: Position;
}

export async function runDump(directory: string, flags: DumpFlags): Promise<void> {
  const from = countOf("--from", flags.from ?? "1");
  const count =
    flags.count === undefined ? Number.MAX_SAFE_INTEGER : countOf("--count", flags.count);
  const output = new Output();
  await withLogFiles(directory, "read", async (files, advance) => {
    const dump = new Dump(files, output, flags, from, count);
    let before = 0;
    const bases = files.bases;
    for (const [at, base] of bases.entries()) {
      if (dump.isDone) break;
      const next = bases[at + 1];
      if (next === undefined || next > from)
        await dump.segment(base, next ?? null, (bytes) => advance(before + bytes));
      before += files.sizes.get(storeFile(base)) ?? 0;
    }
  });
  await output.flush();
}

class Dump {
  readonly #files: LogFiles;
  readonly #output: Output;
  readonly #flags: DumpFlags;
  readonly #from: number;
  #left: number;

  constructor(files: LogFiles, output: Output, flags: DumpFlags, from: number, count: number) {
    this.#files = files;
    this.#output = output;
    this.#flags = flags;
    this.#from = from;
    this.#left = count;
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  async segment(
    base: LogIndex,
    next: LogIndex | null,
    advance: (bytes: number) => void,
  ): Promise<void> {
    const header = await this.#files.header(base);
    if (header === null) {
      throw new CommandError(`segment ${base}: its header cannot be read; see cairn log verify`);
    }
    const found: Found[] = [];
    const visit = (head: EntryHead, position: Position) => {
      if (head.index >= this.#from && found.length < this.#left) found.push({ head, position });
    };
    const passed = async (bytes: number) => {
      advance(bytes);
      for (const one of found.splice(0)) await this.#print(base, one);
    };
    const { verdict, point } = await this.#files.scan(base, header, {
      truncateFrom: null,
      visit,
      passed,
    });
    if (this.isDone) return;
    endOf(base, verdict);
    if (next === null || next === point.index + 1) return;
    throw new CommandError(`entry ${point.index + 1} cannot be read; see cairn log verify`);
  }

  async #print(base: LogIndex, { head, position }: Found): Promise<void> {
    this.#left--;
    const { values, json } = this.#flags;
    const isBatch = values === true && head.kind === "records" && head.codec === 0;
    const body = isBatch ? await this.#files.body(base, position, head) : null;
    const records = body === null ? null : (decodeBatch(body) ?? []);
    if (json === true) {
      const shown = records?.map(({ key, value }) => ({
        ...(key === null ? {} : textOrBase64("key", key)),
        ...textOrBase64("value", value),
      }));
      const facts = {
        ...factsOf(head, position),
        ...(shown === undefined ? {} : { records: shown }),
      };
      await this.#output.line(JSON.stringify(facts));
      return;
    }
    await this.#output.line(lineOf(head, position));
    for (const [at, { value }] of (records ?? []).entries()) {
      await this.#output.line(
        `    ${head.offset + at}  ${JSON.stringify(textOrBase64("value", value))}`,
      );
    }
  }
}

function endOf(base: LogIndex, verdict: StoreVerdict): void {
  if (verdict.kind === "clean" || verdict.kind === "torn-tail") return;
  throw new CommandError(`segment ${base}: ${verdict.what}; see cairn log verify`);
}

function factsOf(head: EntryHead, position: Position): Record<string, unknown> {
  const { index, term, kind, offset, count, timestamp, bodyLength, codec } = head;
  const { producerId, epoch, sequence, control } = head;
  const producer = producerId === 0 ? {} : { producerId, epoch, sequence };
  const said = control === undefined ? {} : { control };
  const time = new Date(timestamp).toISOString();
  return {
    index,
    term,
    kind,
    offset,
    count,
    time,
    position,
    bodyLength,
    codec,
    ...producer,
    ...said,
  };
}

function lineOf(head: EntryHead, position: Position): string {
  const { index, term, kind, offset, count, timestamp, bodyLength } = head;
  const what = count === 0 ? `${offset}` : `${offset}..${offset + count - 1}`;
  const time = new Date(timestamp).toISOString();
  const by =
    head.producerId === 0 ? "" : `  producer ${head.producerId}/${head.epoch}/${head.sequence}`;
  return `${index}  term ${term}  ${kind}  ${what}  ${time}  ${bodyLength} B at ${position}${by}`;
}

export function countOf(flag: string, text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 0 && text.trim() !== "") return count;
  throw new CommandError(`${flag}: "${text}" is no count`, EXIT.usage);
}
