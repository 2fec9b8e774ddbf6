// `cairn consume`: records to standard output, as the text they came from or as JSON. Owns what is
// written and when it ends; order and completeness are the client's.

import { type CairnClient, CairnError, type ReadRecord } from "../client/client.ts";
import { type ClusterFlags, findTarget, type Target, withClient } from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { endsLine } from "./lines.ts";
import { grouped, Output, Progress, Rate } from "./terminal.ts";

export interface ConsumeFlags extends ClusterFlags {
  readonly from: string;
  /** The last so many records, instead of `from`. */
  readonly last?: string;
  readonly count?: string;
  readonly follow?: boolean;
  readonly json?: boolean;
}

const NEWLINE = Uint8Array.of(0x0a);
const ANSWER_MS = 5_000;
/** Bytes gathered before a write; what arrived is never held back for more to come. */
const CHUNK_BYTES = 64 * 1024;

export async function runConsume(flags: ConsumeFlags): Promise<void> {
  const last = flags.last === undefined ? null : wholeNumber("--last", flags.last);
  const from = flags.from === "end" ? null : wholeNumber("--from", flags.from);
  const count = flags.count === undefined ? null : wholeNumber("--count", flags.count);
  const target = findTarget(flags);
  await checkSomebodyAnswers(target);
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  process.once("SIGTERM", () => interrupted.abort());
  await withClient(target, {}, async (client) => {
    const { signal } = interrupted;
    try {
      const start = last === null ? from : await startOfLast(client, last, signal);
      const span = await spanOf(client, start, count, flags.follow === true, signal);
      await copy(client, span, flags.json === true, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  });
  // Ctrl-C is how --follow ends; anything else was cut short.
  const isComplete = flags.follow === true && count === null;
  if (interrupted.signal.aborted && !isComplete) process.exitCode = EXIT.interrupted;
}

/** Reading on and on would wait for ever for members that are not there: ask once before. */
async function checkSomebodyAnswers(target: Target): Promise<void> {
  await withClient(target, { timeoutMs: ANSWER_MS }, async (client) => {
    try {
      await client.servers();
    } catch (error) {
      // Whoever refuses to tell us the servers is there.
      if (!(error instanceof CairnError) || error.code !== "permission-denied") throw error;
    }
  });
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  const also = flag === "--from" ? " or `end`" : "";
  throw new CommandError(`${flag}: expected a whole number${also}, got "${text}"`, EXIT.usage);
}

interface Span {
  readonly from: number;
  /** Infinity: until interrupted. */
  readonly count: number;
}

/** As far back as `last` records are, or as the log goes. */
async function startOfLast(
  client: CairnClient,
  last: number,
  signal: AbortSignal,
): Promise<number> {
  const end = await client.checkTail({ signal });
  const { startOffset } = await client.status({ signal });
  return Math.min(end, Math.max(startOffset, end - last));
}

async function spanOf(
  client: CairnClient,
  from: number | null,
  count: number | null,
  follow: boolean,
  signal: AbortSignal,
): Promise<Span> {
  // A span without an end of its own needs no leader, only somebody who answers.
  if (from !== null && (count !== null || follow)) {
    return { from, count: count ?? Number.POSITIVE_INFINITY };
  }
  const end = await client.checkTail({ signal });
  const first = from ?? end;
  if (count !== null || follow) return { from: first, count: count ?? Number.POSITIVE_INFINITY };
  if (first > end) {
    throw new CommandError(
      `--from: the log ends at ${end}, before ${first}; --follow waits for it`,
    );
  }
  return { from: first, count: end - first };
}

async function copy(
  client: CairnClient,
  { from, count }: Span,
  asJson: boolean,
  interrupted: AbortSignal,
): Promise<void> {
  if (count === 0) return;
  const output = new Output();
  const hasEnd = Number.isFinite(count);
  // On a terminal the records themselves show how far it is.
  const progress =
    process.stdout.isTTY === true ? null : new Progress("reading", hasEnd ? count : null);
  const rate = new Rate();
  const chunk = new Chunk(output);
  const signal = AbortSignal.any([interrupted, output.closed]);
  let done = 0;
  try {
    for await (const record of client.read({ from, follow: true, limit: count, signal })) {
      if (asJson) chunk.add(Buffer.from(`${jsonOf(record)}\n`));
      else {
        chunk.add(record.value);
        if (endsLine(record.headers ?? [])) chunk.add(NEWLINE);
      }
      done++;
      if (chunk.bytes >= CHUNK_BYTES) await chunk.write();
      else chunk.writeSoon();
      if (done % 1000 === 0) {
        progress?.update(done, `${grouped(done)} records, ${grouped(rate.of(done))}/s`);
      }
    }
    await chunk.write();
  } catch (error) {
    output.closed.throwIfAborted();
    // Interrupted: what has arrived is still written.
    await chunk.write();
    throw error;
  } finally {
    progress?.stop();
  }
  await output.flush();
}

/** Pieces on their way to standard output. */
class Chunk {
  readonly #output: Output;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #isScheduled = false;

  constructor(output: Output) {
    this.#output = output;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  async write(): Promise<void> {
    if (this.#bytes === 0) return;
    const joined = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    await this.#output.write(joined);
  }

  /** After what has arrived together was added. */
  writeSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.write().catch(() => undefined);
    });
  }
}

/** The value as text, or as base64 where it is no UTF-8. */
export function jsonOf({ offset, value, key, headers }: ReadRecord): string {
  const fields: Record<string, unknown> = { offset, ...textOrBase64("value", value) };
  if (key !== undefined) Object.assign(fields, textOrBase64("key", key));
  if (headers !== undefined && headers.length > 0) {
    fields["headers"] = headers.map((header) => ({
      name: header.name,
      ...textOrBase64("value", header.value),
    }));
  }
  return JSON.stringify(fields);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function textOrBase64(name: string, bytes: Uint8Array): Record<string, string> {
  try {
    return { [name]: utf8.decode(bytes) };
  } catch {
    const encoded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return { [name === "value" ? "base64" : `${name}Base64`]: encoded.toString("base64") };
  }
}
