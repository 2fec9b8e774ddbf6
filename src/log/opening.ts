// Opening a directory: makes an empty one, or recovers one that was used, and returns when all that
// it says is durable. Owns identity, hard state, clean-stop mark, half-done installations and
// leftovers; the segments are store-recovery.ts.

import { assert } from "../base/assert.ts";
import { type EntryHead, LOG_START, type LogPoint } from "../base/entry.ts";
import type { Damage } from "../base/faults.ts";
import { type LogIndex, NO_INDEX, NO_TERM } from "../base/ids.ts";
import { replaceFile } from "./aside.ts";
import { type FoundCheckpoints, findCheckpoints, readCheckpoint } from "./checkpoint-files.ts";
import {
  baseOfIndex,
  baseOfSeal,
  baseOfStore,
  HARD_STATE_FILE,
  incomingFile,
  indexOfCheckpoint,
  indexOfIncoming,
  indexOfInstall,
  isLeftover,
  MANIFEST_FILE,
  RESERVE_FILE,
  storeFile,
} from "./file-names.ts";
import { type Flow, type Operation, perform, readAt } from "./flow.ts";
import {
  decodeHardState,
  HARD_STATE_FILE_BYTES,
  HardStateFile,
  type HardStateSlot,
  type SlotNumber,
  withLoss,
  writeSlots,
} from "./hard-state.ts";
import { findIncoming, type Resumable } from "./incoming.ts";
import { decodeManifest, describeDifference, encodeManifest, type Manifest } from "./manifest.ts";
import { beginMending, goOnCutting, mayCut } from "./mending.ts";
import type { Identity, LogOpened, LogOptions } from "./protocol.ts";
import { isZeroFrom } from "./recovery.ts";
import { damaged, type FileSizes, LostEnd, newerFormat, Refused } from "./refusal.ts";
import { SECTOR_BYTES } from "./sector.ts";
import { Segment } from "./segment.ts";
import { createFiles, mapIndex } from "./segment-files.ts";
import { SEGMENT_HEADER_BYTES } from "./segment-header.ts";
import { type RecoveredSegments, recoverSegments } from "./store-recovery.ts";
import { TermRuns } from "./term-runs.ts";
import { finishInstall } from "./upkeep.ts";

/** What a directory holds once it is open; all of it durable. */
export interface OpenDirectory {
  readonly identity: Identity;
  readonly cleanStop: boolean;
  readonly hardState: HardStateFile;
  readonly checkpoints: FoundCheckpoints;
  /** The place before the log's first entry. */
  readonly start: LogPoint;
  /** Ascending; the last is active and its index mapped. */
  readonly segments: readonly Segment[];
  readonly end: LogPoint;
  readonly termRuns: TermRuns;
  /** Heads of all entries after the checkpoint. */
  readonly tail: readonly EntryHead[];
  readonly tornBytes: number;
  /** Why acknowledged entries were cut; null when none were. */
  readonly lost: Damage | null;
  /** Whether there is a reserve of the wanted size. */
  readonly isReserved: boolean;
  /** Of a checkpoint that was being received. */
  readonly resumable: Resumable | null;
}

/**
 * Ends with disk trouble, or by throwing Refused; nothing is changed before a refusal. `lost` is
 * what has just been cut.
 */
export function* openDirectory(
  options: LogOptions,
  lost: Damage | null = null,
): Flow<OpenDirectory> {
  const sizes = yield* listFiles();
  if (!sizes.has(MANIFEST_FILE)) {
    yield* clearUnfinished(sizes);
    return yield* createDirectory(options);
  }
  const found = yield* readManifest(options.identity);
  const [slot, state] = yield* readHardState(sizes, found);
  const manifest = yield* goOnCutting(found, state, sizes);
  const installing = [...sizes.keys()].find((file) => indexOfInstall(file) !== null);
  if (installing !== undefined) {
    yield* installAgain({ options, manifest, slot, state, file: installing, sizes });
    return yield* openDirectory(options, lost);
  }
  const checkpoints = yield* findCheckpoints(sizes);
  const { identity, cleanStop } = manifest;
  const facts = { options, identity, cleanStop, state, checkpoints, sizes };
  let recovered: RecoveredSegments;
  try {
    recovered = yield* recoverSegments(facts);
  } catch (thrown) {
    if (!(thrown instanceof LostEnd) || !(yield* mayCut(facts, thrown))) throw thrown;
    yield* beginMending(slot, withLoss(state, thrown.from));
    return yield* openDirectory(options, thrown.damage);
  }
  const newestIndex = checkpoints.newest?.at.index ?? NO_INDEX;
  const resumable = yield* findIncoming(sizes, newestIndex, options.incomingBytesMax);
  const leftovers = leftoversOf(sizes, options, resumable?.base.at.index ?? NO_INDEX);
  const hardState = yield* settle(leftovers, slot, state, manifest);
  const isReserved = hasReserve(sizes, options);
  const rest = { isReserved, lost, resumable, ...recovered };
  return { identity, cleanStop: cleanStop !== null, hardState, checkpoints, ...rest };
}

/** What is said of a directory that was opened. */
export function openedOf(directory: OpenDirectory): LogOpened {
  const { identity, cleanStop, hardState, checkpoints, start, termRuns, ...rest } = directory;
  return {
    identity,
    cleanStop,
    hardState: hardState.current.hardState,
    checkpoint: checkpoints.newest,
    skipped: checkpoints.skipped,
    base: start,
    startIndex: (start.index + 1) as LogIndex,
    startOffset: start.endOffset,
    termRuns: termRuns.list(),
    tail: rest.tail,
    end: rest.end,
    tornBytes: rest.tornBytes,
    lost: rest.lost,
  };
}

function hasReserve(sizes: FileSizes, { reserveBytes = 0 }: LogOptions): boolean {
  return reserveBytes > 0 && sizes.get(RESERVE_FILE) === reserveBytes;
}

/** `incoming` is the index of what was being received and is gone on with. */
function leftoversOf(sizes: FileSizes, options: LogOptions, incoming: LogIndex): readonly string[] {
  const isOfNoUse = (file: string) =>
    isLeftover(file) ||
    isOrphan(file, sizes) ||
    (indexOfIncoming(file) !== null && file !== incomingFile(incoming)) ||
    (file === RESERVE_FILE && !hasReserve(sizes, options));
  return [...sizes.keys()].filter(isOfNoUse);
}

interface HalfDone {
  readonly options: LogOptions;
  readonly manifest: Manifest;
  readonly slot: SlotNumber;
  readonly state: HardStateSlot;
  readonly file: string;
  readonly sizes: FileSizes;
}

/** Brings an installation to its end that a crash cut short: its base is all that counts. */
function* installAgain({ options, manifest, slot, state, file, sizes }: HalfDone): Flow<void> {
  const base = yield* readCheckpoint(file);
  if (base === null) throw damaged(file, 0, "what replaces the log cannot be read");
  const { at } = base;
  // After a failed sync its name can be readable and yet not on the disk.
  yield* perform({ kind: "sync", file }, { kind: "sync-dir" });
  const voided = [...sizes.keys()].filter(
    (name) => isOfSegment(name) || indexOfCheckpoint(name) !== null,
  );
  yield* perform(...voided.map((name): Operation => ({ kind: "unlink", file: name })));
  const segment = new Segment(at);
  const { identity } = manifest;
  yield* perform(...createFiles(segment, { ...options, identity }));
  const replaced: HardStateSlot = {
    ...state,
    sequence: state.sequence + 1,
    truncateFrom: null,
    durableIndex: at.index,
  };
  yield* perform(...writeSlots(replaced, [slot === 0 ? 1 : 0]));
  yield* finishInstall(at.index);
}

function* listFiles(): Flow<Map<string, number>> {
  const [listed] = yield* perform({ kind: "list" });
  assert(listed?.kind === "listed", "a list is answered with files", listed?.kind ?? null);
  return new Map(listed.files.map(({ file, bytes }) => [file, bytes]));
}

function* readManifest(expected: Identity): Flow<Manifest> {
  const decoded = decodeManifest(yield* readAt(MANIFEST_FILE, 0, SECTOR_BYTES));
  if (decoded.kind === "malformed") throw damaged(MANIFEST_FILE, 0, decoded.what);
  if (decoded.kind === "newer") throw newerFormat(decoded.found);
  const { identity } = decoded.manifest;
  if (identity.clusterId !== expected.clusterId || identity.nodeName !== expected.nodeName) {
    throw new Refused({ kind: "another-directory", found: identity, expected });
  }
  const { differs } = decoded.manifest;
  if (differs !== undefined) throw damaged(MANIFEST_FILE, 400, describeDifference(differs));
  return decoded.manifest;
}

function* readHardState(sizes: FileSizes, manifest: Manifest): Flow<[SlotNumber, HardStateSlot]> {
  // The manifest is made last: with it there, an absent file is not an unfinished one.
  if (!sizes.has(HARD_STATE_FILE)) throw damaged(HARD_STATE_FILE, 0, "the file is gone");
  const decoded = decodeHardState(yield* readAt(HARD_STATE_FILE, 0, HARD_STATE_FILE_BYTES));
  if (decoded.kind === "newer") throw newerFormat(decoded.found);
  if (decoded.kind === "malformed") throw damaged(HARD_STATE_FILE, 0, decoded.what);
  if (decoded.state.sequence < (manifest.cleanStop?.hardSequence ?? 0)) {
    throw damaged(HARD_STATE_FILE, 0, "older than at the clean stop");
  }
  return [decoded.slot, decoded.state];
}

/**
 * Makes durable what is not the log's: the hard state, the removal of leftovers, and that a node
 * now runs here.
 */
function* settle(
  leftovers: readonly string[],
  slot: SlotNumber,
  found: HardStateSlot,
  manifest: Manifest,
): Flow<HardStateFile> {
  const removals = leftovers.map((file): Operation => ({ kind: "unlink", file }));
  // After a failed sync a slot can be readable and yet not on the disk: its copy in the other is.
  const other = slot === 0 ? 1 : 0;
  const state = withoutTruncation(found);
  yield* perform(...writeSlots(state, [other]), ...removals);
  if (state !== found) yield* perform(...writeSlots(state, [slot]));
  yield* perform({ kind: "sync-dir" });
  if (manifest.cleanStop !== null) {
    const running = encodeManifest({ identity: manifest.identity, cleanStop: null });
    yield* replaceFile(MANIFEST_FILE, [running]);
  }
  return new HardStateFile(state);
}

/** The same once the truncation under way, if any, has been brought to its end. */
function withoutTruncation(state: HardStateSlot): HardStateSlot {
  if (state.truncateFrom === null) return state;
  const durableIndex = Math.min(state.durableIndex, state.truncateFrom - 1) as LogIndex;
  return { ...state, sequence: state.sequence + 1, truncateFrom: null, durableIndex };
}

function isOfSegment(file: string): boolean {
  return baseOfStore(file) !== null || baseOfIndex(file) !== null || baseOfSeal(file) !== null;
}

function isOrphan(file: string, sizes: FileSizes): boolean {
  const base = baseOfIndex(file) ?? baseOfSeal(file);
  return base !== null && !sizes.has(storeFile(base));
}

/**
 * A directory without a manifest is new, or its making was cut short. Removes what such a making
 * leaves; refuses when there is more than that, because then it is the manifest that was lost.
 */
function* clearUnfinished(sizes: FileSizes): Flow<void> {
  const ours: string[] = [];
  for (const [file, bytes] of sizes) {
    if (indexOfCheckpoint(file) !== null) throw lostManifest(file);
    if (indexOfInstall(file) !== null) throw lostManifest(file);
    if (indexOfIncoming(file) !== null) throw lostManifest(file);
    if (file === HARD_STATE_FILE) yield* checkFresh(file, bytes, isFreshHardState);
    if (baseOfStore(file) !== null) yield* checkFresh(file, bytes, isFreshStore);
    const isFixed = file === HARD_STATE_FILE || file === RESERVE_FILE;
    if (isOfSegment(file) || isFixed || isLeftover(file)) ours.push(file);
  }
  if (ours.length === 0) return;
  yield* perform(...ours.map((file): Operation => ({ kind: "unlink", file })));
  yield* perform({ kind: "sync-dir" });
}

function lostManifest(file: string): Refused {
  return damaged(MANIFEST_FILE, 0, `the manifest is gone, but ${file} was in use`);
}

function* checkFresh(
  file: string,
  bytes: number,
  isFresh: (bytes: Uint8Array) => boolean,
): Flow<void> {
  if (!isFresh(yield* readAt(file, 0, bytes))) throw lostManifest(file);
}

function isFreshHardState(bytes: Uint8Array): boolean {
  const decoded = decodeHardState(bytes);
  return decoded.kind === "malformed" || (decoded.kind === "hard-state" && isUnused(decoded.state));
}

function isUnused(state: HardStateSlot): boolean {
  return state.hardState.term === NO_TERM && state.hardState.votedFor === null;
}

function isFreshStore(bytes: Uint8Array): boolean {
  return isZeroFrom(bytes, SEGMENT_HEADER_BYTES);
}

/** Hard state and first segment durable under their names, and only then the manifest. */
function* createDirectory(options: LogOptions): Flow<OpenDirectory> {
  const { identity } = options;
  const first = new Segment(LOG_START);
  const fresh: HardStateSlot = {
    hardState: { term: NO_TERM, votedFor: null },
    sequence: 1,
    truncateFrom: null,
    durableIndex: NO_INDEX,
  };
  yield* perform(
    { kind: "create", file: HARD_STATE_FILE },
    ...writeSlots(fresh, [0, 1]),
    ...createFiles(first, options),
  );
  yield* perform({ kind: "sync-dir" });
  yield* replaceFile(MANIFEST_FILE, [encodeManifest({ identity, cleanStop: null })]);
  yield* mapIndex(first);
  return {
    identity,
    cleanStop: true,
    hardState: new HardStateFile(fresh),
    checkpoints: { points: [], newest: null, skipped: [] },
    start: LOG_START,
    segments: [first],
    end: LOG_START,
    termRuns: new TermRuns(),
    tail: [],
    tornBytes: 0,
    lost: null,
    isReserved: false,
    resumable: null,
  };
}
