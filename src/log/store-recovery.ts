// Recovering the segments of a directory: every store is read back and verified, the chain between
// them checked, a torn tail cut, what a crash may have left unsynced written again, and the indexes
// rebuilt from what the stores say. Nothing is changed before all has been checked.
//
// Evidence that something was durable, each of which a shorter log contradicts: markers further on
// (recovery.ts), the next segment's existence, the hard state's durable index, the clean-stop mark,
// the checkpoint.

import { equalBytes } from "../base/bytes.ts";
import {
  brokenLink,
  type EntryHead,
  LOG_START,
  type LogPoint,
  type TermRun,
} from "../base/entry.ts";
import type { LogIndex, Position } from "../base/ids.ts";
import type { FoundCheckpoints } from "./checkpoint-files.ts";
import {
  baseOfStore,
  checkpointFile,
  HARD_STATE_FILE,
  indexFile,
  sealFile,
  storeFile,
} from "./file-names.ts";
import { attempt, type Flow, type Operation, perform, readAt } from "./flow.ts";
import type { HardStateSlot } from "./hard-state.ts";
import { INDEX_SLOT_BYTES } from "./index-file.ts";
import type { CleanStop } from "./manifest.ts";
import type { Identity, LogOptions } from "./protocol.ts";
import {
  isZeroFrom,
  READS_DIFFERENTLY,
  SCAN_CHUNK_BYTES,
  StoreScan,
  type WholeBytes,
  wholeFrames,
} from "./recovery.ts";
import { damaged, type FileSizes, lostEnd, newerFormat, Refused } from "./refusal.ts";
import { decodeSeal, isSealable, SEAL_BYTES_MAX, type Seal, writeSeal } from "./seal.ts";
import { Segment } from "./segment.ts";
import { createIndex, mapIndex, writeIndex } from "./segment-files.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, type SegmentHeader } from "./segment-header.ts";
import { isFull } from "./space.ts";
import { TermRuns } from "./term-runs.ts";
import { zeros } from "./zeros.ts";

/** What the rest of the directory says, against which the stores are held. */
export interface RecoveryFacts {
  readonly options: LogOptions;
  readonly identity: Identity;
  readonly cleanStop: CleanStop | null;
  readonly state: HardStateSlot;
  readonly checkpoints: FoundCheckpoints;
  readonly sizes: FileSizes;
}

export interface RecoveredSegments {
  /** The place before the log's first entry: the first segment may begin a little before. */
  readonly start: LogPoint;
  readonly segments: readonly Segment[];
  readonly end: LogPoint;
  readonly termRuns: TermRuns;
  readonly tail: readonly EntryHead[];
  readonly tornBytes: number;
}

interface Recovered {
  readonly segment: Segment;
  /** The place just after its last entry. */
  readonly point: LogPoint;
  readonly hardSequence: number;
  /** Null when a seal says what the segment holds. */
  readonly scan: StoreScan | null;
}

/** All that can be said of the segments without changing anything. */
interface ReadSegments extends Omit<RecoveredSegments, "segments" | "tornBytes"> {
  readonly chain: readonly Recovered[];
  readonly last: Recovered;
  readonly scan: StoreScan;
  /** Of segments behind the log's end. */
  readonly dropped: readonly LogIndex[];
}

/** Reads and checks everything; refuses as `recoverSegments` would. Nothing is changed. */
export function* readSegments(facts: RecoveryFacts): Flow<ReadSegments> {
  const bases = [...facts.sizes.keys()].map(baseOfStore).filter((base) => base !== null);
  bases.sort((a, b) => a - b);
  const kept = bases.filter((base) => base === bases[0] || isKept(facts.state, base));
  const start = findStart(facts, kept);
  const termRuns = new TermRuns();
  const tail: EntryHead[] = [];
  const newestIndex = facts.checkpoints.newest?.at.index ?? 0;
  const visit = (entry: EntryHead) => {
    if (entry.index === start.index + 1) checkBase(start, entry);
    if (entry.index > start.index) termRuns.append(entry);
    if (entry.index > newestIndex) tail.push(entry);
  };
  const chain = yield* readChain(facts, kept, start, { visit, termRuns });
  const last = chain.at(-1);
  const scan = last?.scan ?? null;
  if (last === undefined || scan === null) {
    throw damaged(storeFile(1 as LogIndex), 0, "the first segment is gone");
  }
  checkEvidence(facts, last, chain, start, termRuns);
  const dropped = bases.filter((base) => base > last.segment.before.index + 1);
  return { start, end: last.point, termRuns, tail, chain, last, scan, dropped };
}

/**
 * Of the segments behind a cut, the one that begins there stays, and is emptied; but after a loss,
 * when nobody knows what is in it.
 */
function isKept({ truncateFrom, hardState }: HardStateSlot, base: LogIndex): boolean {
  if (truncateFrom === null || base < truncateFrom) return true;
  return base === truncateFrom && hardState.loss === undefined;
}

export function* recoverSegments(facts: RecoveryFacts): Flow<RecoveredSegments> {
  const { start, end, termRuns, tail, ...read } = yield* readSegments(facts);
  const { chain, last, scan, dropped } = read;
  yield* removeStores(facts, dropped);
  const tornBytes = yield* repairTail(facts, last.segment, scan);
  for (const recovered of chain.slice(0, -1)) {
    if (recovered.scan === null) continue;
    yield* checkIndex(facts, recovered.segment);
    yield* sealAgain(facts, recovered);
  }
  yield* removeSeal(facts, last.segment);
  yield* rewriteActiveIndex(facts, last.segment);
  const segments = chain.map(({ segment }) => segment);
  return { start, segments, end, termRuns, tail, tornBytes };
}

/**
 * Where the log begins: before its very first entry, or at the first checkpoint that the oldest
 * segment allows. A log without its beginning and without such a checkpoint is damaged.
 */
function findStart(facts: RecoveryFacts, kept: readonly LogIndex[]): LogPoint {
  const first = kept[0] ?? 1;
  if (first === 1) return LOG_START;
  const base = facts.checkpoints.points.find(({ index }) => index >= first - 1);
  // One that cannot be read may be where the log begins: to begin at a later one would lose records
  // that nobody let go of.
  const unread = facts.checkpoints.skipped.find(({ index }) => {
    return index !== null && index >= first - 1 && index < (base?.index ?? index + 1);
  });
  if (unread !== undefined) throw new Refused({ kind: "damaged", damage: unread });
  if (base !== undefined) return base;
  const what = "entries before it are gone, and no checkpoint stands for them";
  throw damaged(storeFile(first as LogIndex), 0, what, 1 as LogIndex);
}

function checkBase(start: LogPoint, entry: EntryHead): void {
  const broken = start.index === 0 ? null : brokenLink(start, entry);
  if (broken === null) return;
  throw damaged(checkpointFile(start.index), 0, `of another log: ${broken}`, entry.index);
}

/** A large log has thousands. */
const SEALS_AT_ONCE = 64;

interface Found {
  readonly visit: (entry: EntryHead) => void;
  readonly termRuns: TermRuns;
}

/**
 * Reads all kept segments in order, of sealed ones header and seal only; each must join on to the
 * one before.
 */
function* readChain(
  facts: RecoveryFacts,
  kept: readonly LogIndex[],
  start: LogPoint,
  found: Found,
): Flow<Recovered[]> {
  const chain: Recovered[] = [];
  const seals = yield* readSeals(facts, kept.slice(0, -1));
  for (const base of kept) {
    const header = yield* readHeader(facts, base, chain.length === 0);
    if (header === null) {
      // Made just before a crash: its header was not synced yet, so nothing was written behind it.
      if (base === kept.at(-1) && chain.length > 0) break;
      const previous = chain.at(-1);
      if (previous === undefined) throw damaged(storeFile(base), 0, "segment header is gone", base);
      checkReaches(previous, base);
      throw lostEnd(storeFile(base), 0, "segment header is gone", base);
    }
    const previous = chain.at(-1);
    if (previous !== undefined) checkJoin(previous, header, base);
    else if (header.before.index === start.index) checkStart(start, header, base);
    const seal = seals.get(base);
    if (seal !== undefined && isBelievable(facts, seal, header)) {
      chain.push(sealedSegment(facts, seal));
      for (const run of runsAfter(seal, start.index)) found.termRuns.appendRun(run);
    } else chain.push(yield* scanSegment(facts, header, found.visit));
  }
  // Behind a segment that was made just before a crash there is none to be sealed for.
  const last = chain.at(-1);
  if (last === undefined || last.scan !== null) return chain;
  const header = { ...facts.identity, before: last.segment.before };
  const scanned = yield* scanSegment(facts, header, () => undefined);
  return [...chain.slice(0, -1), scanned];
}

function* scanSegment(
  facts: RecoveryFacts,
  header: SegmentHeader,
  visit: (entry: EntryHead) => void,
): Flow<Recovered> {
  const segment = new Segment(header.before);
  const scan = new StoreScan({
    header,
    truncateFrom: facts.state.truncateFrom,
    visit: (entry, position) => {
      segment.append(entry, position);
      visit(entry);
    },
  });
  yield* runScan(segment.store, scan);
  checkVerdict(segment, scan);
  noteSizes(facts, segment, scan.end);
  return { segment, point: scan.point, hardSequence: scan.hardSequence, scan };
}

function noteSizes(facts: RecoveryFacts, segment: Segment, end: Position): void {
  segment.end = end;
  segment.storeFileBytes = Math.max(facts.sizes.get(segment.store) ?? 0, end);
  segment.indexFileBytes = facts.sizes.get(segment.indexName) ?? 0;
}

/** The seals that can be read, by base index. */
function* readSeals(facts: RecoveryFacts, bases: readonly LogIndex[]): Flow<Map<LogIndex, Seal>> {
  const seals = new Map<LogIndex, Seal>();
  const sealed = bases.filter((base) => facts.sizes.has(sealFile(base)));
  for (let n = 0; n < sealed.length; n += SEALS_AT_ONCE) {
    const some = sealed.slice(n, n + SEALS_AT_ONCE);
    const results = yield* perform(...some.map((base) => readingSeal(facts, base)));
    for (const [at, result] of results.entries()) {
      const base = some[at];
      const seal = result.kind === "read" ? decodeSeal(result.bytes) : null;
      if (seal !== null && base !== undefined) seals.set(base, seal);
    }
  }
  return seals;
}

/** No more than a seal has room for: what is longer is none. */
function readingSeal({ sizes }: RecoveryFacts, base: LogIndex): Operation {
  const file = sealFile(base);
  const length = Math.min(sizes.get(file) ?? 0, SEAL_BYTES_MAX + 1);
  return { kind: "read-at", file, position: 0 as Position, length };
}

/**
 * A seal is written once its segment is durable and will not change. It is believed when it agrees
 * with the store's header and size; when a checkpoint covers the segment, so that no entry of it is
 * wanted on opening; and when no truncation was under way in it.
 */
function isBelievable(facts: RecoveryFacts, seal: Seal, { before }: SegmentHeader): boolean {
  const { state, sizes, checkpoints } = facts;
  const { last } = seal;
  const isOfStore =
    seal.before.index === before.index &&
    seal.before.term === before.term &&
    seal.before.endOffset === before.endOffset &&
    seal.before.timestamp === before.timestamp;
  if (!isOfStore || last.index > (checkpoints.newest?.at.index ?? 0)) return false;
  if (state.truncateFrom !== null && state.truncateFrom <= last.index) return false;
  const base = (before.index + 1) as LogIndex;
  const indexBytes = sizes.get(indexFile(base)) ?? 0;
  const isIndexed =
    indexBytes % INDEX_SLOT_BYTES === 0 &&
    indexBytes >= (last.index - before.index) * INDEX_SLOT_BYTES;
  return isIndexed && (sizes.get(storeFile(base)) ?? 0) >= seal.end;
}

function sealedSegment(facts: RecoveryFacts, seal: Seal): Recovered {
  const segment = new Segment(seal.before);
  segment.release(seal.last.index - seal.before.index, seal.digest);
  segment.isSealed = true;
  noteSizes(facts, segment, seal.end);
  return { segment, point: seal.last, hardSequence: seal.hardSequence, scan: null };
}

/** The runs of entries after `index`; a segment that a trim was about to remove has none. */
function runsAfter({ runs, last }: Seal, index: LogIndex): TermRun[] {
  if (last.index <= index) return [];
  const first = (index + 1) as LogIndex;
  const kept = runs.filter((_, n) => (runs[n + 1]?.firstIndex ?? Number.MAX_SAFE_INTEGER) > first);
  return kept.map(({ term, firstIndex }) => {
    return { term, firstIndex: Math.max(firstIndex, first) as LogIndex };
  });
}

/** Seals a segment that had to be scanned, so that the next opening need not. */
function* sealAgain(facts: RecoveryFacts, { segment, point, hardSequence }: Recovered): Flow<void> {
  yield* removeSeal(facts, segment);
  const seal = segment.sealAs(point, hardSequence);
  if (!isSealable(seal)) return;
  try {
    yield* perform(...writeSeal(seal));
    segment.isSealed = true;
  } catch (thrown) {
    if (!isFull(thrown)) throw thrown;
    yield* attempt({ kind: "unlink", file: segment.seal });
  }
}

function* removeSeal(facts: RecoveryFacts, segment: Segment): Flow<void> {
  if (facts.sizes.has(segment.seal)) yield* perform({ kind: "unlink", file: segment.seal });
}

/** Null for a store without a header and without anything else. */
function* readHeader(
  facts: RecoveryFacts,
  base: LogIndex,
  isFirst: boolean,
): Flow<SegmentHeader | null> {
  const file = storeFile(base);
  const bytes = yield* readAt(file, 0, SEGMENT_HEADER_BYTES);
  const decoded = decodeSegmentHeader(bytes);
  if (decoded.kind === "newer") throw newerFormat(decoded.found);
  if (decoded.kind === "malformed") {
    if (yield* isBlank(file)) return null;
    const again = yield* readAt(file, 0, SEGMENT_HEADER_BYTES);
    if (!equalBytes(again, bytes)) throw damaged(file, 0, READS_DIFFERENTLY, base);
    const what = `segment header: ${decoded.what}`;
    throw isFirst ? damaged(file, 0, what, base) : lostEnd(file, 0, what, base);
  }
  const { header } = decoded;
  const { clusterId, instanceId } = facts.identity;
  if (header.clusterId !== clusterId || header.instanceId !== instanceId) {
    throw damaged(file, 0, "segment of another directory", base);
  }
  if (header.before.index + 1 !== base) throw damaged(file, 0, "segment was renamed", base);
  return header;
}

/** True when nothing but zeros stands behind the place of the header. */
function* isBlank(file: string): Flow<boolean> {
  for (let position = SEGMENT_HEADER_BYTES; ; position += SCAN_CHUNK_BYTES) {
    const bytes = yield* readAt(file, position, SCAN_CHUNK_BYTES);
    if (!isZeroFrom(bytes, 0)) return false;
    if (bytes.length < SCAN_CHUNK_BYTES) return true;
  }
}

function checkJoin(previous: Recovered, header: SegmentHeader, base: LogIndex): void {
  checkReaches(previous, base);
  if (!joins(previous.point, header)) throw lostEnd(storeFile(base), 0, NO_JOIN, base);
}

function checkReaches({ point, segment }: Recovered, base: LogIndex): void {
  if (point.index >= base - 1) return;
  const what = `ends after entry ${point.index}, but the next segment begins at ${base}`;
  throw lostEnd(segment.store, segment.end, what, (point.index + 1) as LogIndex);
}

function checkStart(point: LogPoint, header: SegmentHeader, base: LogIndex): void {
  if (!joins(point, header)) throw damaged(storeFile(base), 0, NO_JOIN, base);
}

const NO_JOIN = "does not join on to what is before it";

function joins(point: LogPoint, { before }: SegmentHeader): boolean {
  return (
    before.index === point.index &&
    before.term === point.term &&
    before.endOffset === point.endOffset &&
    before.timestamp === point.timestamp
  );
}

function* runScan(file: string, scan: StoreScan): Flow<void> {
  for (let wanted = scan.wanted; wanted !== null; wanted = scan.wanted) {
    scan.take(yield* readAt(file, wanted.position, wanted.length));
  }
}

function checkVerdict(segment: Segment, scan: StoreScan): void {
  const { verdict } = scan;
  if (verdict.kind === "damage") {
    const { what, index } = verdict;
    throw index === null
      ? damaged(segment.store, scan.end, what)
      : lostEnd(segment.store, scan.end, what, index);
  }
  if (verdict.kind === "unsupported") {
    const what = `${verdict.what} is of a newer version: start that version`;
    throw damaged(segment.store, scan.end, what, (scan.point.index + 1) as LogIndex);
  }
}

/**
 * Refuses a log that is shorter, or a hard state that is older, than something else says it was.
 */
function checkEvidence(
  facts: RecoveryFacts,
  last: Recovered,
  chain: readonly Recovered[],
  start: LogPoint,
  termRuns: TermRuns,
): void {
  const { state, cleanStop } = facts;
  const checkpoint = facts.checkpoints.newest;
  const { point } = last;
  const cut = state.truncateFrom ?? Number.MAX_SAFE_INTEGER;
  const durable = Math.max(state.durableIndex, cleanStop?.endIndex ?? 0, checkpoint?.at.index ?? 0);
  if (Math.min(durable, cut - 1) > point.index) {
    const what = `ends after entry ${point.index}, but entries up to ${durable} were durable`;
    throw lostEnd(last.segment.store, last.segment.end, what, (point.index + 1) as LogIndex);
  }
  const sequence = Math.max(...chain.map(({ hardSequence }) => hardSequence));
  if (sequence > state.sequence || point.term > state.hardState.term) {
    throw damaged(HARD_STATE_FILE, 0, "older than what the log says was durable");
  }
  if (checkpoint !== null && checkpoint.at.index > start.index) {
    const { index, term } = checkpoint.at;
    if (termRuns.at(index) !== term) throw damaged(checkpointFile(index), 0, "of another log");
  }
}

/** Removes segments behind the log's end, the last one first, so that no crash leaves a gap. */
function* removeStores(facts: RecoveryFacts, bases: readonly LogIndex[]): Flow<void> {
  for (const base of bases.toReversed()) {
    const files = [sealFile(base), indexFile(base), storeFile(base)].filter((file) =>
      facts.sizes.has(file),
    );
    yield* perform(...files.map((file): Operation => ({ kind: "unlink", file })));
    yield* perform({ kind: "sync-dir" });
  }
}

/**
 * Zeros what is torn, and after an unclean stop writes the last group again and zeros behind it.
 * For that what can be read need not be on the disk:
 *  1. a sync of the last group, or of the zeros of a truncation, failed, and the node died;
 *  2. the pages stay readable, but count as clean: a sync alone would not write them any more;
 *  3. after a power cut the group would be gone, or the truncated entries back.
 * Returns how many torn bytes were cut.
 */
function* repairTail(facts: RecoveryFacts, segment: Segment, scan: StoreScan): Flow<number> {
  const file = segment.store;
  const tornEnd = scan.verdict.kind === "torn-tail" ? scan.verdict.tornEnd : scan.end;
  let zeroEnd: number = tornEnd;
  if (facts.cleanStop === null) {
    yield* writeAgain(file, scan.lastMarkerPosition ?? 0, scan.end);
    zeroEnd = Math.max(tornEnd, facts.sizes.get(file) ?? 0);
  }
  if (zeroEnd > scan.end) {
    const parts = zeros(zeroEnd - scan.end);
    yield* perform({ kind: "write-at", file, position: scan.end, parts });
  }
  yield* perform({ kind: "sync", file });
  return facts.state.truncateFrom === null ? tornEnd - scan.end : 0;
}

/** Verified on the way: what is read wrong once must not be written down for good. */
function* writeAgain(file: string, start: number, end: number): Flow<void> {
  let wanted = SCAN_CHUNK_BYTES;
  for (let at = start; at < end; ) {
    const bytes = yield* readAt(file, at, Math.min(wanted, end - at));
    const { length, needs } = at === 0 ? wholeHeader(bytes) : wholeFrames(bytes);
    if (length === 0 && needs <= wanted) throw damaged(file, at, READS_DIFFERENTLY);
    if (length > 0) {
      const parts = [bytes.subarray(0, length)];
      yield* perform({ kind: "write-at", file, position: at as Position, parts });
    }
    at += length;
    wanted = Math.max(SCAN_CHUNK_BYTES, needs);
  }
}

function wholeHeader(bytes: Uint8Array): WholeBytes {
  const isWhole = decodeSegmentHeader(bytes).kind === "header";
  return { length: isWhole ? SEGMENT_HEADER_BYTES : 0, needs: SEGMENT_HEADER_BYTES };
}

/**
 * Compares a sealed segment's index file with what its store says, and writes it anew if it
 * differs.
 */
function* checkIndex(facts: RecoveryFacts, segment: Segment): Flow<void> {
  if (!isUsableSize(segment)) {
    yield* recreateIndex(facts, segment);
  } else if (!(yield* isIndexRight(segment))) {
    yield* perform(...writeIndex(segment));
  }
}

function isUsableSize(segment: Segment): boolean {
  const bytes = segment.indexFileBytes;
  return bytes > 0 && bytes % INDEX_SLOT_BYTES === 0 && bytes >= segment.index.used.length;
}

function* isIndexRight(segment: Segment): Flow<boolean> {
  const { used } = segment.index;
  for (let at = 0; at < used.length; at += SCAN_CHUNK_BYTES) {
    const expected = used.subarray(at, at + SCAN_CHUNK_BYTES);
    const found = yield* readAt(segment.indexName, at, expected.length);
    if (!equalBytes(found, expected)) return false;
  }
  return true;
}

function* recreateIndex(facts: RecoveryFacts, segment: Segment): Flow<void> {
  if (facts.sizes.has(segment.indexName)) {
    yield* perform({ kind: "unlink", file: segment.indexName });
  }
  yield* perform(...createIndex(segment, facts.options));
}

/** Writes the active index from end to end, whatever it held, and maps it. */
function* rewriteActiveIndex(facts: RecoveryFacts, segment: Segment): Flow<void> {
  const bytes = Math.max(facts.options.indexEntriesMax, segment.count) * INDEX_SLOT_BYTES;
  if (segment.indexFileBytes === bytes) yield* perform(...writeIndex(segment));
  else yield* recreateIndex(facts, segment);
  yield* mapIndex(segment);
}
