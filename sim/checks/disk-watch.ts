// What one node's disk holds, learnt only from the operations that took effect on it: the frames of
// its store files, the checkpoint that stands for what is trimmed, and its hard state, and how far
// all of that would survive a power loss now. Never asks the node. Owns reading the log's formats
// for the checkers; what must be durable when is promises.ts.

import { viewOf } from "../../src/base/bytes.ts";
import type { DiskOperation } from "../../src/base/disk.ts";
import {
  brokenLink,
  type Entry,
  type EntryHead,
  type HardState,
  type LogPoint,
  pointAfter,
} from "../../src/base/entry.ts";
import { type LogIndex, NO_INDEX, NO_TERM, type Term } from "../../src/base/ids.ts";
import type { Checkpoint } from "../../src/log/checkpoint.ts";
import {
  baseOfStore,
  HARD_STATE_FILE,
  indexOfCheckpoint,
  indexOfInstall,
  installFile,
} from "../../src/log/file-names.ts";
import { decodeFrame, FRAME_LIMITS, FRAME_VERSION, paddedLength } from "../../src/log/frame.ts";
import { decodeSlot, type HardStateSlot, SLOT_POSITIONS } from "../../src/log/hard-state.ts";
import { SECTOR_BYTES } from "../../src/log/sector.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "../../src/log/segment-header.ts";
import type { DiskView } from "../observer.ts";
import { FileWatch, type Framed } from "./file-watch.ts";

/** Who hears what becomes of the entries on a disk. */
export interface DiskListener {
  /** An entry came to stand there. */
  wrote(head: EntryHead): void;
  /** A checkpoint is under its name; as an installation it voids all else, once that is durable. */
  checkpointed?(checkpoint: Checkpoint, isInstall: boolean): void;
  /** An entry is about to go with the file that it stands in. */
  leaves?(head: EntryHead, frame: Uint8Array): void;
  /** A file of entries has gone that all lie before `base`, where the log can begin. */
  trimmed?(base: LogPoint): void;
  /** A file went with an entry that was certain, and nothing on the disk stands for it. */
  vanished?(file: string, last: EntryHead): void;
}

/** What stands for the beginning of a log that is not there any more. */
interface LogBase {
  readonly at: LogPoint;
  /** It replaces the whole log, and nothing beside it counts. */
  readonly isInstall: boolean;
}

/** A slot of the hard state that is whole, and whether a power loss now would leave it. */
interface Slot {
  readonly state: HardStateSlot;
  readonly isCertain: boolean;
}

/** A truncation that the hard state notes as under way. */
interface Cut {
  readonly index: LogIndex;
  readonly file: string;
  readonly from: number;
  /** End of the last entry that stood there. */
  readonly to: number;
}

export class DiskWatch {
  readonly #view: DiskView;
  readonly #listener: DiskListener;
  #files = new Map<string, FileWatch>();
  /** Store files by ascending base index. */
  #stores: { readonly file: string; readonly base: LogIndex; readonly watch: FileWatch }[] = [];
  /** The hard state's two slots as they stand; null for one that is not whole. */
  #slotStates: readonly (HardStateSlot | null)[] = [];
  /** The whole ones, the latest first; null: something may have changed them since. */
  #slots: readonly Slot[] | null = null;
  /** The crashes before they were looked at. */
  #slotsAsOf = 0;
  /** The bytes that a truncation under way has to take away. */
  #cut: Cut | null = null;
  #leftover: string | null = null;
  /** Checkpoints under their names, and what is being installed, by file. */
  #checkpoints = new Map<string, { readonly index: LogIndex; readonly watch: FileWatch }>();
  #installs = new Map<string, FileWatch>();
  /** Where the log begins may be another place once names are durable. */
  #isUnsettled = false;
  /** Null while the log begins with its very first entry. */
  #base: LogBase | null = null;
  /** Every entry up to here is known to survive a power loss. */
  #certainIndex = NO_INDEX;

  constructor(view: DiskView, listener: DiskListener) {
    this.#view = view;
    this.#listener = listener;
  }

  /** Where the log begins for certain: of an entry before it only the checkpoint tells. */
  get base(): LogPoint | null {
    return this.#base?.at ?? null;
  }

  /** Every entry up to here is known to survive a power loss now. */
  get certainIndex(): LogIndex {
    this.#advance();
    return Math.min(this.#certainIndex, this.#cutFrom - 1) as LogIndex;
  }

  /** An operation took effect. True when entries that were certain are not any more. */
  completed(operation: DiskOperation): boolean {
    const certain = this.#certainIndex;
    if (!("file" in operation) || operation.file === HARD_STATE_FILE) this.#slots = null;
    switch (operation.kind) {
      case "create":
        this.#add(operation.file, new FileWatch());
        break;
      case "rename": {
        const moved = this.#files.get(operation.from);
        this.#remove(operation.from);
        if (moved !== undefined) this.#add(operation.to, moved);
        this.#tellCheckpoint(operation.to);
        if (this.#isUnsettled) this.#settleBase();
        break;
      }
      case "unlink":
        this.#tellLeaving(operation.file);
        this.#remove(operation.file);
        if (this.#isUnsettled) this.#settleBase();
        this.#advance();
        break;
      case "write-at":
        this.#write(operation.file, operation.position, operation.parts);
        break;
      case "sync-dir":
        if (this.#isUnsettled) this.#settleBase();
        this.#advance();
        break;
      case "sync":
        this.#advance();
        break;
      default:
    }
    return this.#certainIndex < certain;
  }

  /**
   * The node went down and its disk is what the crash left. Returns the last entry that was certain
   * before and still stands (the node's own last operations may have taken some away); null without
   * any.
   */
  reload(): { readonly index: LogIndex; readonly term: Term } | null {
    const floor = this.#floor;
    const before: Term[] = [];
    for (let index = floor + 1; index <= this.#certainIndex; index++) {
      before.push(this.find(index as LogIndex)?.head.term ?? NO_TERM);
    }
    const certain = this.#certainIndex;
    const known = this.#files;
    this.#files = new Map();
    this.#stores = [];
    this.#slotStates = [];
    this.#slots = null;
    this.#cut = null;
    this.#base = null;
    this.#checkpoints = new Map();
    this.#installs = new Map();
    for (const [file, bytes] of this.#view.writtenImage()) {
      const before = known.get(file);
      // PERF: what a crash left as it was has been read, and told of.
      if (before?.holds(bytes) === true) this.#add(file, before);
      else {
        this.#add(file, new FileWatch());
        this.#write(file, 0, [bytes]);
      }
    }
    this.#watchCut();
    this.#certainIndex = NO_INDEX;
    this.#settleBase();
    let kept: number = this.#floor;
    for (; kept < certain; kept++) {
      const term = this.find((kept + 1) as LogIndex)?.head.term;
      // What had gone, and is there again because its removal was undone, was certain once.
      if (term === undefined || (kept >= floor && term !== before[kept - floor])) break;
    }
    this.#certainIndex = kept as LogIndex;
    return this.#lastKept(kept);
  }

  /** The last of the entries up to `kept` that the next life must find. */
  #lastKept(kept: number): { readonly index: LogIndex; readonly term: Term } | null {
    // The next life begins with what is being installed, whether its name is durable yet or not.
    const installed = this.#installed();
    if (installed !== null) return installed.at;
    const last = this.find(Math.min(kept, this.#cutFrom - 1) as LogIndex)?.head;
    if (last !== undefined) return { index: last.index, term: last.term };
    return this.#base?.at ?? null;
  }

  /**
   * The term of the entry at `index` that would survive; null when none would. `termBefore` tells
   * it of a log that has such an entry later on, where only the base is left.
   */
  certainTermAt(
    index: LogIndex,
    termBefore: (index: LogIndex, lastTerm: Term) => Term | null = () => null,
  ): Term | null {
    if (index > this.#certainIndex) this.#advance();
    if (index > this.#certainIndex || index >= this.#cutFrom) return null;
    const base = this.#base?.at ?? null;
    // A log that does not reach its own base is damaged.
    if (base !== null && base.index > this.#certainIndex) return null;
    if (base === null || index > this.#floor) return this.find(index)?.head.term ?? null;
    return index === base.index ? base.term : termBefore(index, base.term);
  }

  /** Everything up to here is left out of the stores. */
  get #floor(): number {
    if (this.#base === null) return 0;
    return this.#base.isInstall ? this.#base.at.index : (this.#stores[0]?.base ?? 1) - 1;
  }

  /** The term and vote that a power loss now would leave; term 0 before the first. */
  get hardState(): HardState {
    for (const { state, isCertain } of this.#wholeSlots()) if (isCertain) return state.hardState;
    return NO_HARD_STATE;
  }

  /** The hard state that was written last, certain or not; null before the first. */
  get noted(): HardStateSlot | null {
    return this.#wholeSlots()[0]?.state ?? null;
  }

  /** The entries that would have survived, whatever is being cut of them now. */
  *certainHeads(): Generator<EntryHead> {
    for (const { head } of this.entries()) if (head.index <= this.#certainIndex) yield head;
  }

  /** An operation failed: nobody knows what of it was done. */
  failed(): void {
    this.#slots = null;
  }

  /**
   * Recovery may cut everything from here on: a truncation is noted, or its note is being written.
   */
  get #cutFrom(): number {
    let cut = Number.POSITIVE_INFINITY;
    for (const { state, isCertain } of this.#wholeSlots()) {
      cut = Math.min(cut, state.truncateFrom ?? cut);
      if (isCertain) break;
    }
    return cut;
  }

  /** The whole slots as they stand, the latest first. */
  #wholeSlots(): readonly Slot[] {
    if (this.#slots !== null && this.#slotsAsOf === this.#view.crashes) return this.#slots;
    this.#slotsAsOf = this.#view.crashes;
    const slots: Slot[] = [];
    for (const [slot, state] of this.#slotStates.entries()) {
      if (state === null) continue;
      const position = SLOT_POSITIONS[slot] ?? 0;
      const end = position + SECTOR_BYTES;
      const isCertain = this.#view.survivesPowerLoss(HARD_STATE_FILE, position, end);
      slots.push({ state, isCertain });
    }
    this.#slots = slots.sort((a, b) => b.state.sequence - a.state.sequence);
    return this.#slots;
  }

  /** Reads the slots anew: their file was written, made or taken away. */
  #readSlots(): void {
    const watch = this.#files.get(HARD_STATE_FILE);
    const bytes = watch?.bytes.subarray(0, watch.length) ?? new Uint8Array(0);
    this.#slotStates = ([0, 1] as const).map((slot) => {
      const decoded = decodeSlot(bytes, slot);
      return decoded.kind === "hard-state" ? decoded.state : null;
    });
    this.#watchCut();
  }

  /** What was still to be feared of a truncation when it was said to be done; null without any. */
  takeLeftover(): string | null {
    const leftover = this.#leftover;
    this.#leftover = null;
    return leftover;
  }

  /**
   * Notes which bytes a truncation has to take away, and looks for them when it says it is done.
   */
  #watchCut(): void {
    const [first, second] = this.#slotStates;
    const isSecond = (second?.sequence ?? -1) > (first?.sequence ?? -1);
    const index = (isSecond ? second : first)?.truncateFrom ?? null;
    if (index === null) {
      if (this.#cut !== null) this.#leftover = this.#describeLeftover(this.#cut);
      this.#cut = null;
      return;
    }
    if (this.#cut?.index === index) return;
    const [store, framed] = [this.#storeOf(index), this.find(index)];
    if (store === null || framed === null) return;
    const to = store.watch.frames.at(-1)?.end ?? framed.end;
    this.#cut = { index, file: store.file, from: framed.position, to };
  }

  #describeLeftover({ index, file, from, to }: Cut): string | null {
    if (!this.#files.has(file)) return null;
    const standing = this.find(index)?.head;
    if (standing !== undefined) return `entry ${index}@${standing.term} still stands in ${file}`;
    if (this.#view.survivesPowerLoss(file, from, to)) return null;
    return `a power loss now could bring back bytes ${from} to ${to} of ${file}`;
  }

  /** The entry at `index` as it stands, durable or not. */
  find(index: LogIndex): Framed | null {
    for (let at = this.#stores.length - 1; at >= 0; at--) {
      const store = this.#stores[at];
      if (store !== undefined && store.base <= index) {
        return store.watch.frames[index - store.base] ?? null;
      }
    }
    return null;
  }

  /** Every entry as it stands, in order, with its bytes. */
  *entries(): Generator<{ readonly head: EntryHead; readonly frame: Uint8Array }> {
    for (const { watch } of this.#stores) {
      for (const { head, position, end } of watch.frames) {
        yield { head, frame: watch.bytes.subarray(position, end) };
      }
    }
  }

  #add(file: string, watch: FileWatch): void {
    this.#files.set(file, watch);
    if (file === HARD_STATE_FILE) this.#readSlots();
    const index = indexOfCheckpoint(file);
    if (index !== null) this.#checkpoints.set(file, { index, watch });
    if (indexOfInstall(file) !== null) this.#installs.set(file, watch);
    this.#isUnsettled ||= index !== null || this.#installs.has(file);
    const base = baseOfStore(file);
    if (base === null) return;
    this.#stores = this.#stores.filter((store) => store.file !== file);
    this.#stores.push({ file, base, watch });
    this.#stores.sort((a, b) => a.base - b.base);
  }

  #remove(file: string): void {
    this.#files.delete(file);
    if (file === HARD_STATE_FILE) this.#readSlots();
    const isBaseOf = this.#checkpoints.delete(file) || this.#installs.delete(file);
    this.#isUnsettled ||= isBaseOf || this.#stores[0]?.file === file;
    const base = baseOfStore(file);
    if (base === null) return;
    this.#stores = this.#stores.filter((store) => store.file !== file);
    this.#lower(base);
  }

  /** Nothing from `index` on is certain any more, but for what the base stands for. */
  #lower(index: LogIndex): void {
    const kept = Math.max(index - 1, this.#floor);
    if (this.#certainIndex > kept) this.#certainIndex = kept as LogIndex;
  }

  // ---- the log's beginning ----

  #tellCheckpoint(file: string): void {
    const isInstall = indexOfInstall(file) !== null;
    if (!isInstall && indexOfCheckpoint(file) === null) return;
    const checkpoint = this.#files.get(file)?.checkpoint ?? null;
    if (checkpoint !== null) this.#listener.checkpointed?.(checkpoint, isInstall);
  }

  /** Says what goes with a store, and whether it may. */
  #tellLeaving(file: string): void {
    const watch = this.#files.get(file);
    const [first, last] = [watch?.frames[0]?.head, watch?.frames.at(-1)?.head];
    if (watch === undefined || baseOfStore(file) === null) return;
    if (first === undefined || last === undefined) return;
    for (const { head, position, end } of watch.frames)
      this.#listener.leaves?.(head, watch.bytes.subarray(position, end));
    // An installation voids it, or a truncation is cutting it.
    if (this.#base?.isInstall === true || this.#cutFrom <= first.index) return;
    const isPrefix = this.#stores[0]?.file === file && this.#stores[1]?.base === last.index + 1;
    const base = isPrefix ? this.#checkpointFrom(last.index) : null;
    if (base !== null) this.#listener.trimmed?.(base);
    else if (first.index <= this.#certainIndex) this.#listener.vanished?.(file, last);
  }

  /** Finds where the log begins by now: names came or went, or became durable. */
  #settleBase(): void {
    const named = [...this.#checkpoints.keys(), ...this.#installs.keys()];
    this.#isUnsettled = named.some((file) => !this.#isCertain(file));
    const before = this.#base?.at.index ?? null;
    const first = this.#stores[0]?.base ?? 1;
    this.#base = this.#findBase(first);
    if (this.#base === null && first > 1) this.#certainIndex = NO_INDEX;
    const isNew = this.#base?.isInstall === true && before !== this.#base.at.index;
    if (isNew || this.#certainIndex < this.#floor) this.#certainIndex = this.#floor as LogIndex;
  }

  #findBase(first: number): LogBase | null {
    const installed = this.#installed();
    if (installed?.isCertain === true) return { at: installed.at, isInstall: true };
    if (first === 1) return null;
    const at = this.#checkpointFrom((first - 1) as LogIndex);
    return at === null ? this.#halfNamed() : { at, isInstall: false };
  }

  /** What is installed and has its plain name, when a power loss may bring back the other. */
  #halfNamed(): LogBase | null {
    for (const [file, { watch }] of this.#checkpoints) {
      const at = watch.checkpoint?.at ?? null;
      if (at === null || this.#isCertain(file)) continue;
      if (this.#view.durableImage().has(installFile(at.index))) return { at, isInstall: true };
    }
    return null;
  }

  /** The installation that is under its name; a power loss may not leave it so. */
  #installed(): { readonly at: LogPoint; readonly isCertain: boolean } | null {
    for (const [file, { checkpoint }] of this.#installs)
      if (checkpoint !== null) return { at: checkpoint.at, isCertain: this.#isCertain(file) };
    return null;
  }

  /** The first checkpoint at or after `index` that a power loss would leave whole. */
  #checkpointFrom(index: LogIndex): LogPoint | null {
    let found: LogPoint | null = null;
    for (const [file, own] of this.#checkpoints) {
      if (own.index < index || (found !== null && own.index >= found.index)) continue;
      if (this.#isCertain(file)) found = own.watch.checkpoint?.at ?? found;
    }
    return found;
  }

  #isCertain(file: string): boolean {
    return this.#view.survivesPowerLoss(file, 0, this.#files.get(file)?.length ?? 0);
  }

  // ---- entries ----

  #write(file: string, position: number, parts: readonly Uint8Array[]): void {
    const watch = this.#files.get(file);
    if (watch === undefined) return;
    const changedAt = watch.write(position, parts);
    if (file === HARD_STATE_FILE) this.#readSlots();
    const base = baseOfStore(file);
    if (changedAt === null || base === null) return;
    while ((watch.frames.at(-1)?.end ?? 0) > changedAt) {
      const cut = watch.frames.pop();
      if (cut !== undefined) this.#lower(cut.head.index);
    }
    this.#parse(watch);
  }

  /** Reads on from the last entry that is known, as recovery would. */
  #parse(watch: FileWatch): void {
    const bytes = watch.bytes.subarray(0, watch.length);
    watch.before ??= headerOf(bytes);
    if (watch.before === null) return;
    const view = viewOf(bytes);
    const last = watch.frames.at(-1);
    let before: LogPoint = last === undefined ? watch.before : pointAfter(last.head);
    let at = last === undefined ? SEGMENT_HEADER_BYTES : paddedEnd(last);
    // PERF: behind the last frame there are zeros, as a rule.
    while (bytes[at] === FRAME_VERSION) {
      const found = decodeFrame(bytes, at, FRAME_LIMITS, view);
      if (found.kind !== "entry") return;
      const end = at + found.length;
      if (found.entry.kind !== "marker") {
        const head = headOf(found.entry);
        if (brokenLink(before, head) !== null) return;
        watch.frames.push({ head, position: at, end });
        this.#listener.wrote(head);
        before = pointAfter(head);
      }
      at += paddedLength(found.length);
    }
  }

  /** Moves the certain end over all entries that by now survive with everything before them. */
  #advance(): void {
    // What stands beside an installation counts for nothing.
    while (this.#base?.isInstall !== true) {
      const index = (this.#certainIndex + 1) as LogIndex;
      const store = this.#storeOf(index);
      if (store === null) return;
      const framed = store.watch.frames[index - store.base];
      if (framed === undefined) return;
      const before = store.watch.frames[index - store.base - 1];
      // The header or the frame before, and the markers between, are needed to get here.
      const from = before === undefined ? 0 : before.end;
      if (!this.#view.survivesPowerLoss(store.file, from, framed.end)) return;
      this.#certainIndex = index;
    }
  }

  #storeOf(index: LogIndex) {
    for (let at = this.#stores.length - 1; at >= 0; at--) {
      const store = this.#stores[at];
      if (store !== undefined && store.base <= index) return store;
    }
    return null;
  }
}

/** Without its bytes, which would keep the file's alive; a spread takes ten times as long. */
function headOf(entry: Entry): EntryHead {
  const { kind, codec, critical, index, term, prevTerm, offset, count, timestamp } = entry;
  const { bodyLength, bodyCrc, rawLength, producerId, epoch, sequence, control } = entry;
  const head = {
    kind,
    codec,
    critical,
    index,
    term,
    prevTerm,
    offset,
    count,
    timestamp,
    bodyLength,
    bodyCrc,
    rawLength,
    producerId,
    epoch,
    sequence,
  };
  return control === undefined ? head : { ...head, control };
}

const NO_HARD_STATE: HardState = { term: NO_TERM, votedFor: null };

function headerOf(bytes: Uint8Array): LogPoint | null {
  const decoded = decodeSegmentHeader(bytes);
  return decoded.kind === "header" ? decoded.header.before : null;
}

function paddedEnd(framed: Framed): number {
  return framed.position + paddedLength(framed.end - framed.position);
}
