// `cairn mirror`: consumes one cluster and appends to another, each record exactly once, however
// often it is killed. Owns where it begins and goes on; retries are the client's.
//
//   1. The target knows the mirror as a producer whose sequences are the source's offsets, counted
//      from the first record that was ever mirrored: a cursor of the target's, made once.
//   2. Whoever takes the work up asks the target which sequence it wants: by an append that leaves
//      all others out, and is refused with the answer. So nothing is kept here.
//   3. A batch that is sent again has the same sequence: the target has it once.

import { createHash } from "node:crypto";

import {
  type CairnClient,
  CairnError,
  type ProducerPosition,
  type ReadRecord,
} from "../client/client.ts";
import { type ClusterFlags, describeCairnError, findTarget, withClient } from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { grouped, Output, Progress, Rate, say } from "./terminal.ts";

export interface MirrorFlags {
  readonly from?: string;
  readonly to?: string;
  readonly fromProfile?: string;
  readonly toProfile?: string;
  readonly fromCertsDir?: string;
  readonly toCertsDir?: string;
  readonly as?: string;
  readonly name?: string;
  readonly follow?: boolean;
  readonly json?: boolean;
}

/** One append: small enough for any cluster, large enough to be worth a sync. */
const APPEND_BYTES_MAX = 512 * 1024;
const APPEND_RECORDS_MAX = 10_000;
/** Beyond any source's offset: the answer is which sequence is wanted. */
const NO_SEQUENCE = Number.MAX_SAFE_INTEGER - 1;
/** A batch that waits for more goes after so long. */
const LINGER_MS = 20;

export interface Mirrored {
  /** Of the source: the first record of this run, and the one after the last. */
  readonly from: number;
  readonly end: number;
}

export async function runMirror(flags: MirrorFlags): Promise<void> {
  const source = findTarget(flagsOf(flags.from, flags.fromProfile, flags.fromCertsDir, flags.as));
  const target = findTarget(flagsOf(flags.to, flags.toProfile, flags.toCertsDir, flags.as));
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  const progress = new Progress("mirrored", null);
  const rate = new Rate();
  let mirrored: Mirrored | null = null;
  await withClient(source, {}, (from) =>
    withClient(target, {}, async (to) => {
      try {
        mirrored = await mirror(from, to, {
          name: flags.name ?? null,
          follow: flags.follow === true,
          signal: interrupted.signal,
          advanced: ({ from: first, end }) => {
            const note = `${grouped(end - first)} records, ${grouped(rate.of(end - first))}/s`;
            progress.update(end, note);
          },
        });
      } catch (error) {
        throw error instanceof CairnError ? describeCairnError(error, target) : error;
      } finally {
        progress.stop();
      }
    }),
  );
  await tell(mirrored, flags.json === true);
  if (interrupted.signal.aborted) process.exitCode = EXIT.interrupted;
}

function flagsOf(
  addr: string | undefined,
  profile: string | undefined,
  certsDir: string | undefined,
  as: string | undefined,
): ClusterFlags {
  return {
    ...(addr === undefined ? {} : { addr }),
    ...(profile === undefined ? {} : { profile }),
    ...(certsDir === undefined ? {} : { certsDir }),
    ...(as === undefined ? {} : { as }),
  };
}

async function tell(mirrored: Mirrored | null, asJson: boolean): Promise<void> {
  if (mirrored === null) return;
  const { from, end } = mirrored;
  if (asJson) {
    const output = new Output();
    await output.line(JSON.stringify({ from, end, records: end - from }));
    await output.flush();
  } else if (end === from) say(`nothing new: the target has all before offset ${end}`);
  else say(`${grouped(end - from)} records, the source's offsets ${from} to ${end - 1}`);
}

export interface MirrorOptions {
  /** What the target knows this mirror as; null: the source's cluster id. */
  readonly name: string | null;
  /** Goes on when the source's end is reached. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
  readonly advanced: (mirrored: Mirrored) => void;
}

/** Rejects with a CommandError where going on would lose or double a record. */
export async function mirror(
  source: CairnClient,
  target: CairnClient,
  { name, follow, signal, advanced }: MirrorOptions,
): Promise<Mirrored> {
  const [theirs, ours] = await Promise.all([source.status(), target.status()]);
  const instances = new Set(theirs.members.map(({ instance }) => instance));
  if (ours.members.some(({ instance }) => instances.has(instance))) {
    throw new CommandError("source and target are the same cluster", EXIT.usage);
  }
  const { startOffset } = theirs;
  const known = name ?? theirs.clusterId;
  const producer = producerOf(known);
  const base = await baseOf(target, `mirror/${known}`, startOffset);
  const from = base + (await wantedSequence(target, producer));
  const done = await doneOf(target, known);
  if (from < done) {
    const what = `the target has forgotten where the mirror ${known} was: ${done} at least`;
    throw new CommandError(`${what}; go on by hand, under another --name and with an empty target`);
  }
  if (from < startOffset) {
    const gone = `the source was trimmed: its records ${from} to ${startOffset - 1} are gone`;
    throw new CommandError(`${gone}, and the target does not have them`);
  }
  let end = from;
  let batches = 0;
  for await (const records of batchesOf(source.read({ from, follow, signal }))) {
    const sequence = end - base;
    if (records[0]?.offset !== end) {
      throw new CommandError(`the source skipped from offset ${end} to ${records[0]?.offset}`);
    }
    await target.appendAs({ id: producer, epoch: 0, sequence }, records);
    end += records.length;
    advanced({ from, end });
    if (++batches % DONE_EVERY === 1) await target.commitCursor(doneCursor(known), end);
    if (signal.aborted) break;
  }
  if (batches > 0) await target.commitCursor(doneCursor(known), end);
  return { from, end };
}

/** The same for every mirror of the source, so that two at once stop each other. 48 bits. */
function producerOf(name: string): number {
  const hash = createHash("sha256").update(`mirror of ${name}`).digest();
  return 1 + hash.readUIntBE(0, 6);
}

/** The source's offset of the first record that was ever mirrored; said once, by whoever begins. */
async function baseOf(target: CairnClient, cursor: string, startOffset: number): Promise<number> {
  for (;;) {
    try {
      return (await target.fetchCursor(cursor)).offset;
    } catch (error) {
      if (!(error instanceof CairnError) || error.code !== "cursor-not-found") throw error;
    }
    try {
      await target.commitCursor(cursor, startOffset, { expected: null });
      return startOffset;
    } catch (error) {
      // Somebody was faster, or it is not known whether this was done: then it is there.
      const isDoubt = error instanceof CairnError && error.isOutcomeUnknown;
      if (!isDoubt && !(error instanceof CairnError && error.code === "cursor-mismatch")) {
        throw error;
      }
    }
  }
}

async function wantedSequence(target: CairnClient, id: number): Promise<number> {
  const position: ProducerPosition = { id, epoch: 0, sequence: NO_SEQUENCE };
  try {
    await target.appendAs(position, [{ value: new Uint8Array(0) }]);
  } catch (error) {
    const expected = error instanceof CairnError ? Number(error.facts["expected"]) : Number.NaN;
    if (error instanceof CairnError && error.code === "sequence-gap" && expected >= 0) {
      return expected;
    }
    throw error;
  }
  throw new CommandError(
    "the target took a sequence that cannot be: it is no cluster to mirror to",
  );
}

/** Producers may be forgotten among ten thousand others, cursors are not: so that is noticed. */
const DONE_EVERY = 100;

function doneCursor(name: string): string {
  return `mirror/${name}/done`;
}

async function doneOf(target: CairnClient, name: string): Promise<number> {
  try {
    return (await target.fetchCursor(doneCursor(name))).offset;
  } catch (error) {
    if (error instanceof CairnError && error.code === "cursor-not-found") return 0;
    throw error;
  }
}

/** Records joined while they come at once; what waits goes when no more come. */
async function* batchesOf(records: AsyncIterable<ReadRecord>): AsyncGenerator<ReadRecord[]> {
  const iterator = records[Symbol.asyncIterator]();
  let batch: ReadRecord[] = [];
  let bytes = 0;
  let next = iterator.next();
  try {
    for (;;) {
      const result = batch.length === 0 ? await next : await orLate(next);
      if (result !== "late" && result.done === true) break;
      if (result !== "late") {
        batch.push(result.value);
        bytes += result.value.value.length;
        next = iterator.next();
      }
      const isFull = bytes >= APPEND_BYTES_MAX || batch.length >= APPEND_RECORDS_MAX;
      if (result !== "late" && !isFull) continue;
      yield batch;
      batch = [];
      bytes = 0;
    }
    if (batch.length > 0) yield batch;
  } finally {
    next.catch(() => undefined);
    await iterator.return?.();
  }
}

async function orLate(
  next: Promise<IteratorResult<ReadRecord>>,
): Promise<IteratorResult<ReadRecord> | "late"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), LINGER_MS);
  });
  try {
    return await Promise.race([next, late]);
  } finally {
    clearTimeout(timer);
  }
}
