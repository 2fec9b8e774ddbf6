// What one node's disk holds, learnt only from the operations that took effect on it: the frames of
// its store files and its hard state, and how far all of that would survive a power loss now. Never
// asks the node. Owns reading the log's formats for the checkers; what must be durable when is
// promises.ts.

import { viewOf } from "../../src/base/bytes.ts";
import type { DiskOperation } from "../../src/base/disk.ts";
import {
  brokenLink,
  type EntryHead,
  type HardState,
  type LogPoint,
  pointAfter,
} from "../../src/base/entry.ts";
import { type LogIndex, NO_INDEX, NO_TERM, type Term } from "../../src/base/ids.ts";
import { baseOfStore, HARD_STATE_FILE } from "../../src/log/file-names.ts";
import { decodeFrame, FRAME_LIMITS, FRAME_VERSION, paddedLength } from "../../src/log/frame.ts";
import { decodeSlot, type HardStateSlot, SLOT_POSITIONS } from "../../src/log/hard-state.ts";
import { SECTOR_BYTES } from "../../src/log/sector.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "../../src/log/segment-header.ts";
import type { DiskView } from "../observer.ts";

/** An entry's place in its file. */
export interface Framed {
  readonly head: EntryHead;
  readonly position: number;
  readonly end: number;
}

/** A file as the operations left it in the cache of the simulated computer. */
class FileWatch {
  bytes = new Uint8Array(0);
  length = 0;
  /** Entries that stand one after another from the header on, markers left out. */
  readonly frames: Framed[] = [];
  /** What a whole header says the log had before; undefined until it is read anew. */
  before: LogPoint | null | undefined = undefined;

  /** Writes, and says where the first byte changed; null when none did. */
  write(position: number, parts: readonly Uint8Array[]): number | null {
    let changedAt: number | null = null;
    let at = position;
    for (const part of parts) {
      this.#growTo(at + part.length);
      if (changedAt === null) changedAt = this.#firstChange(at, part);
      this.bytes.set(part, at);
      at += part.length;
    }
    const isInHeader = changedAt !== null && changedAt < SEGMENT_HEADER_BYTES;
    if (isInHeader || position < SEGMENT_HEADER_BYTES) this.before = undefined;
    return changedAt;
  }

  #firstChange(position: number, part: Uint8Array): number | null {
    const { bytes } = this;
    for (let n = 0; n < part.length; n++) if (bytes[position + n] !== part[n]) return position + n;
    return null;
  }

  #growTo(length: number): void {
    this.length = Math.max(this.length, length);
    if (length <= this.bytes.length) return;
    const room = new Uint8Array(Math.max(length, 2 * this.bytes.length, 4096));
    room.set(this.bytes);
    this.bytes = room;
  }
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
  readonly #seen: (head: EntryHead) => void;
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
  /** Every entry up to here is known to survive a power loss. */
  #certainIndex = NO_INDEX;

  /** `seen` hears of every entry that comes to stand on the disk. */
  constructor(view: DiskView, seen: (head: EntryHead) => void) {
    this.#view = view;
    this.#seen = seen;
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
        break;
      }
      case "unlink":
        this.#remove(operation.file);
        break;
      case "write-at":
        this.#write(operation.file, operation.position, operation.parts);
        break;
      case "sync":
      case "sync-dir":
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
    const before: Term[] = [];
    for (let index = 1; index <= this.#certainIndex; index++) {
      before.push(this.find(index as LogIndex)?.head.term ?? NO_TERM);
    }
    this.#files = new Map();
    this.#stores = [];
    this.#slotStates = [];
    this.#slots = null;
    this.#cut = null;
    for (const [file, bytes] of this.#view.writtenImage()) {
      this.#add(file, new FileWatch());
      this.#write(file, 0, [bytes]);
    }
    this.#watchCut();
    let kept = 0;
    while (kept < before.length && this.find((kept + 1) as LogIndex)?.head.term === before[kept]) {
      kept++;
    }
    this.#certainIndex = kept as LogIndex;
    const last = this.find(Math.min(kept, this.#cutFrom - 1) as LogIndex)?.head;
    return last === undefined ? null : { index: last.index, term: last.term };
  }

  /** The term of the entry at `index` that would survive; null when none would. */
  certainTermAt(index: LogIndex): Term | null {
    if (index > this.#certainIndex) this.#advance();
    if (index > this.#certainIndex || index >= this.#cutFrom) return null;
    return this.find(index)?.head.term ?? null;
  }

  /** The term and vote that a power loss now would leave; term 0 before the first. */
  get hardState(): HardState {
    for (const { state, isCertain } of this.#wholeSlots()) if (isCertain) return state.hardState;
    return NO_HARD_STATE;
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
    const base = baseOfStore(file);
    if (base === null) return;
    this.#stores = this.#stores.filter((store) => store.file !== file);
    this.#stores.push({ file, base, watch });
    this.#stores.sort((a, b) => a.base - b.base);
  }

  #remove(file: string): void {
    this.#files.delete(file);
    if (file === HARD_STATE_FILE) this.#readSlots();
    const base = baseOfStore(file);
    if (base === null) return;
    this.#stores = this.#stores.filter((store) => store.file !== file);
    this.#lower(base);
  }

  /** Nothing from `index` on is certain any more. */
  #lower(index: LogIndex): void {
    if (this.#certainIndex >= index) this.#certainIndex = (index - 1) as LogIndex;
  }

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
        const { frame: _frame, ...head } = found.entry;
        if (brokenLink(before, head) !== null) return;
        watch.frames.push({ head, position: at, end });
        this.#seen(head);
        before = pointAfter(head);
      }
      at += paddedLength(found.length);
    }
  }

  /** Moves the certain end over all entries that by now survive with everything before them. */
  #advance(): void {
    for (;;) {
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

const NO_HARD_STATE: HardState = { term: NO_TERM, votedFor: null };

function headerOf(bytes: Uint8Array): LogPoint | null {
  const decoded = decodeSegmentHeader(bytes);
  return decoded.kind === "header" ? decoded.header.before : null;
}

function paddedEnd(framed: Framed): number {
  return framed.position + paddedLength(framed.end - framed.position);
}
