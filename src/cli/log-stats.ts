// `cairn log stats`: what a directory at rest holds, counted: entries and records by kind, batches
// by size, producers, spans. Owns the counting; reads every frame once, in constant memory.

import type { EntryHead } from "../base/entry.ts";
import { storeFile } from "../log/file-names.ts";
import { FRAME_HEADER_BYTES } from "../log/frame.ts";
import { CommandError } from "./exit.ts";
import { type LogFiles, mebibytes, withLogFiles } from "./log-files.ts";
import { grouped, Output } from "./terminal.ts";

/** Producers told apart; of more only the number of their entries is kept. */
const PRODUCERS_MAX = 100_000;

interface KindCount {
  entries: number;
  bytes: number;
}

interface SegmentStats {
  readonly base: number;
  readonly lastIndex: number;
  readonly entries: number;
  readonly fileBytes: number;
  readonly usedBytes: number;
}

interface Stats {
  readonly directory: string;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly firstOffset: number;
  readonly endOffset: number;
  readonly records: number;
  readonly terms: number;
  readonly firstTime: string | null;
  readonly lastTime: string | null;
  readonly frameBytes: number;
  readonly unpackedBytes: number;
  readonly fileBytes: number;
  readonly producers: number;
  readonly kinds: Readonly<Record<string, KindCount>>;
  /** Records in a batch, by powers of two: how many batches have up to so many. */
  readonly batches: Readonly<Record<string, number>>;
  readonly segments: readonly SegmentStats[];
}

export async function runStats(directory: string, { json }: { json?: boolean }): Promise<void> {
  const stats = await withLogFiles(directory, "read", statsOf);
  const output = new Output();
  if (json === true) await output.line(JSON.stringify(stats));
  else for (const line of linesOf(stats)) await output.line(line);
  await output.flush();
}

async function statsOf(files: LogFiles, advance: (bytes: number) => void): Promise<Stats> {
  const counts = new Counts();
  const segments: SegmentStats[] = [];
  let before = 0;
  for (const base of files.bases) {
    const header = await files.header(base);
    if (header === null) throw new CommandError(`segment ${base}: its header cannot be read`);
    const entriesBefore = counts.entries;
    const visit = (head: EntryHead) => counts.add(head);
    const passed = async (bytes: number) => advance(before + bytes);
    const scan = await files.scan(base, header, { truncateFrom: null, visit, passed });
    const fileBytes = files.sizes.get(storeFile(base)) ?? 0;
    before += fileBytes;
    segments.push({
      base,
      lastIndex: scan.point.index,
      entries: counts.entries - entriesBefore,
      fileBytes,
      usedBytes: scan.end,
    });
  }
  let fileBytes = 0;
  for (const size of files.sizes.values()) fileBytes += size;
  return { directory: files.directory, fileBytes, segments, ...counts.stats };
}

class Counts {
  entries = 0;
  readonly #kinds = new Map<string, KindCount>();
  readonly #batches = new Map<number, number>();
  readonly #producers = new Set<number>();
  #first: EntryHead | null = null;
  #last: EntryHead | null = null;
  #records = 0;
  #terms = 0;
  #bytes = 0;
  #unpacked = 0;

  add(head: EntryHead): void {
    this.entries++;
    this.#first ??= head;
    if (this.#last?.term !== head.term) this.#terms++;
    this.#last = head;
    this.#records += head.count;
    const bytes = FRAME_HEADER_BYTES + head.bodyLength;
    this.#bytes += bytes;
    this.#unpacked += FRAME_HEADER_BYTES + head.rawLength;
    const kind = this.#kinds.get(head.kind) ?? { entries: 0, bytes: 0 };
    this.#kinds.set(head.kind, { entries: kind.entries + 1, bytes: kind.bytes + bytes });
    if (head.kind === "records") {
      const size = 2 ** Math.ceil(Math.log2(Math.max(1, head.count)));
      this.#batches.set(size, (this.#batches.get(size) ?? 0) + 1);
    }
    const isNew = head.producerId !== 0 && this.#producers.size < PRODUCERS_MAX;
    if (isNew) this.#producers.add(head.producerId);
  }

  get stats(): Omit<Stats, "directory" | "fileBytes" | "segments"> {
    const [first, last] = [this.#first, this.#last];
    const timeOf = (head: EntryHead | null) =>
      head === null ? null : new Date(head.timestamp).toISOString();
    return {
      firstIndex: first?.index ?? 0,
      lastIndex: last?.index ?? 0,
      firstOffset: first?.offset ?? 0,
      endOffset: last === null ? 0 : last.offset + last.count,
      records: this.#records,
      terms: this.#terms,
      firstTime: timeOf(first),
      lastTime: timeOf(last),
      frameBytes: this.#bytes,
      unpackedBytes: this.#unpacked,
      producers: this.#producers.size,
      kinds: Object.fromEntries([...this.#kinds].sort(([a], [b]) => (a < b ? -1 : 1))),
      batches: Object.fromEntries([...this.#batches].sort(([a], [b]) => a - b)),
    };
  }
}

function linesOf(stats: Stats): string[] {
  const { segments, kinds, batches } = stats;
  const used = segments.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
  const rows: [string, string][] = [
    ["entries", `${stats.firstIndex} to ${stats.lastIndex}, ${stats.terms} terms`],
    ["records", `${grouped(stats.records)}, offsets ${stats.firstOffset} to ${stats.endOffset}`],
    ["time", `${stats.firstTime ?? "-"} to ${stats.lastTime ?? "-"}`],
    ["frames", `${mebibytes(stats.frameBytes)}, ${mebibytes(stats.unpackedBytes)} unpacked`],
    ["files", `${mebibytes(stats.fileBytes)}, of it ${mebibytes(used)} of segments in use`],
    ["segments", `${segments.length}`],
    ["producers", grouped(stats.producers)],
    ...Object.entries(kinds).map(([kind, { entries, bytes }]): [string, string] => {
      return [`  ${kind}`, `${grouped(entries)} entries, ${mebibytes(bytes)}`];
    }),
    ...Object.entries(batches).map(([size, count]): [string, string] => {
      return [`  batches <= ${size}`, grouped(count)];
    }),
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, value]) => name.padEnd(width) + value);
}
