// `cairn produce`: standard input to the log, a record a line, each exactly once and in order. Owns
// the reading and the words; a line's place in a text is lines.ts, retries are the client's.

import { fstatSync } from "node:fs";

import { type CairnClient, CairnError } from "../client/client.ts";
import {
  type ClusterFlags,
  describeCairnError,
  findTarget,
  type Target,
  withClient,
} from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { headersOf, type Line, LineSplitter, LineTooLong } from "./lines.ts";
import { grouped, Output, Progress, paint, Rate, say } from "./terminal.ts";

export interface ProduceFlags extends ClusterFlags {
  readonly json?: boolean;
}

/** The most that a cluster can be told to take; its own limit is its own to say. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
/** One append: small enough for any cluster, large enough to be worth a sync. */
const APPEND_BYTES_MAX = 512 * 1024;

export async function runProduce(flags: ProduceFlags): Promise<void> {
  const target = findTarget(flags);
  if (process.stdin.isTTY === true) {
    say(paint("dim", "type lines; Ctrl-D ends", process.stderr));
  }
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  await withClient(target, {}, async (client) => {
    const appender = new Appender(client, target, interrupted.signal);
    let failure: unknown = null;
    try {
      await appender.run(process.stdin);
    } catch (error) {
      failure = error;
    }
    if (failure === null || appender.hasAppended) await appender.tell(flags.json === true);
    if (failure !== null) throw failure;
  });
  if (interrupted.signal.aborted) process.exitCode = EXIT.interrupted;
}

class Appender {
  readonly #client: CairnClient;
  readonly #target: Target;
  readonly #interrupted: AbortSignal;
  readonly #splitter = new LineSplitter(LINE_BYTES_MAX);
  readonly #rate = new Rate();
  readonly #progress: Progress;
  #bytesRead = 0;
  #records = 0;
  #first: number | null = null;
  #end = 0;

  constructor(client: CairnClient, target: Target, interrupted: AbortSignal) {
    this.#client = client;
    this.#target = target;
    this.#interrupted = interrupted;
    this.#progress = new Progress("producing", sizeOfInput());
  }

  get hasAppended(): boolean {
    return this.#first !== null;
  }

  /** One append at a time: what comes after a failure must not be in the log without it. */
  async run(input: NodeJS.ReadableStream): Promise<void> {
    this.#interrupted.addEventListener("abort", () => {
      (input as NodeJS.ReadStream).destroy();
    });
    try {
      for await (const chunk of input) {
        const bytes = chunk as Buffer;
        this.#bytesRead += bytes.length;
        await this.#append(this.#split(bytes));
        const note = `${grouped(this.#records)} records, ${grouped(this.#rate.of(this.#records))}/s`;
        this.#progress.update(this.#bytesRead, note);
      }
      const last = this.#splitter.finish();
      if (last !== null) await this.#append([last]);
    } catch (error) {
      if (this.#interrupted.aborted) return;
      if (error instanceof LineTooLong) {
        await this.#append(error.before);
        throw new CommandError(`${error.message}; all before it is in the log`);
      }
      throw error;
    } finally {
      this.#progress.stop();
    }
  }

  #split(chunk: Buffer): Line[] {
    return this.#splitter.push(chunk);
  }

  async #append(lines: readonly Line[]): Promise<void> {
    for (let from = 0; from < lines.length; ) {
      const count = countThatFits(lines, from);
      const batch = lines.slice(from, from + count);
      const records = batch.map((line) => ({ value: line.bytes, headers: headersOf(line) }));
      try {
        const { offset } = await this.#client.append(records);
        this.#first ??= offset;
        this.#end = offset + count;
      } catch (error) {
        throw error instanceof CairnError ? this.#describe(error, batch) : error;
      }
      this.#records += count;
      from += count;
    }
  }

  #describe(error: CairnError, batch: readonly Line[]): CommandError {
    const line = this.#records + 1;
    if (error.code === "record-too-large") {
      const bytesMax = Number(error.facts["bytesMax"]);
      const at = batch.findIndex(({ bytes }) => bytes.length > bytesMax);
      const size = `line ${line + at} has ${batch[at]?.bytes.length} bytes`;
      const what = `${size}, a record may have ${bytesMax}`;
      return new CommandError(`${what}; nothing from line ${line} on was appended`);
    }
    const described = describeCairnError(error, this.#target).message;
    const fate = error.isOutcomeUnknown
      ? `lines ${line} to ${line + batch.length - 1} may be in the log, later ones are not`
      : `nothing from line ${line} on was appended`;
    return new CommandError(`${described}; ${fate}`);
  }

  /** What is in the log, and how to read it back. */
  async tell(asJson: boolean): Promise<void> {
    const { retries, unknownOutcomes, duplicates } = this.#client.counts;
    const from = this.#first;
    if (asJson) {
      const output = new Output();
      const facts = { records: this.#records, from, endOffset: from === null ? null : this.#end };
      await output.line(JSON.stringify({ ...facts, retries, unknownOutcomes, duplicates }));
      await output.flush();
      return;
    }
    if (from === null) {
      say("no records");
      return;
    }
    const speed = `${this.#rate.seconds.toFixed(1)} s, ${grouped(this.#rate.of(this.#records))}/s`;
    const what =
      this.#records === 1
        ? `1 record at offset ${from}`
        : `${this.#records} records at offsets ${from} to ${this.#end - 1}`;
    say(`${what} (${speed})`);
    if (unknownOutcomes > 0) {
      say(
        `${unknownOutcomes} unknown outcomes were retried; ${duplicates} had happened, none twice`,
      );
    }
    // Others may have appended in between: then this is not a run of its own.
    if (this.#end - from === this.#records) {
      say(
        paint("dim", `npx cairn consume --from ${from} --count ${this.#records}`, process.stderr),
      );
    }
  }
}

function countThatFits(lines: readonly Line[], from: number): number {
  let bytes = 0;
  let count = 0;
  for (let at = from; at < lines.length; at++) {
    bytes += (lines[at]?.bytes.length ?? 0) + 64;
    if (count > 0 && bytes > APPEND_BYTES_MAX) break;
    count++;
  }
  return count;
}

/** Bytes of a file on standard input; null for a pipe or a terminal. */
function sizeOfInput(): number | null {
  try {
    const stat = fstatSync(0);
    return stat.isFile() ? stat.size : null;
  } catch {
    return null;
  }
}
