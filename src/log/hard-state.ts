// The hard state's file: two slots, each alone in its 4 KiB block, with the same in both. They are
// written one after the other, each synced before the next; nothing is said on their account before
// both are there. So a slot that was torn falls back to the other's older state, which is right,
// and one that rots later to the same state: no vote is forgotten with one bad sector. Besides term
// and vote a slot carries the truncation under way and the durable index of its moment: evidence
// for recovery. Owns layout and choice of slot, not when it is written (writer.ts).
//
//   0   8  "CAIRNHRD"                  32   8  first index of a truncation under way, 0 without
//   8   4  format version, 1 or 2      40   8  durable index when written
//  12   4  length of the vote, or 0    48      votedFor, UTF-8, at most 255 bytes
//  16   8  sequence number            508   4  CRC-32C
//  24   8  term                       496   8  version 2: the loss that is being mended

import { assert } from "../base/assert.ts";
import { getU64, putU64, viewOf } from "../base/bytes.ts";
import type { HardState } from "../base/entry.ts";
import { isCount, type LogIndex, type MemberId, type Position, type Term } from "../base/ids.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import { HARD_STATE_FILE } from "./file-names.ts";
import { type Flow, type Operation, perform } from "./flow.ts";
import { areCounts, beginSector, closeSector, openSector, SECTOR_BYTES } from "./sector.ts";

export const HARD_STATE_VERSION = 2;
/** Of a log that is whole: builds that know of no losses can read it. */
const WHOLE_VERSION = 1;
const LOSS_AT = 496;
/** Slot 1 starts a block of its own: writing one slot never rewrites the other's bytes. */
export const SLOT_POSITIONS = [0 as Position, 4096 as Position] as const;
export const HARD_STATE_FILE_BYTES = 4096 + SECTOR_BYTES;

const MAGIC = "CAIRNHRD";
const VOTE_BYTES_MAX = 255;

export type SlotNumber = 0 | 1;
const BOTH_SLOTS: readonly SlotNumber[] = [0, 1];

export interface HardStateSlot {
  readonly hardState: HardState;
  /** Grows by one with each write; the highest whole slot counts. */
  readonly sequence: number;
  /** Entries from here on are being cut; null when no truncation is under way. */
  readonly truncateFrom: LogIndex | null;
  /** Entries up to here were durable when this was written. */
  readonly durableIndex: LogIndex;
}

export type DecodedHardState =
  | { readonly kind: "hard-state"; readonly slot: SlotNumber; readonly state: HardStateSlot }
  | { readonly kind: "newer"; readonly found: number }
  | { readonly kind: "malformed"; readonly what: string };

export function encodeSlot(slot: HardStateSlot): Uint8Array {
  const { term, votedFor, loss } = slot.hardState;
  const bytes = beginSector(MAGIC, loss === undefined ? WHOLE_VERSION : HARD_STATE_VERSION);
  const view = viewOf(bytes);
  if (loss !== undefined) putU64(view, LOSS_AT, loss);
  const vote = votedFor === null ? new Uint8Array(0) : encodeUtf8(votedFor);
  assert(votedFor === null || vote.length > 0, "a vote names somebody");
  assert(vote.length <= VOTE_BYTES_MAX, "node name is at most 255 bytes", vote.length);
  view.setUint32(12, vote.length);
  putU64(view, 16, slot.sequence);
  putU64(view, 24, term);
  putU64(view, 32, slot.truncateFrom ?? 0);
  putU64(view, 40, slot.durableIndex);
  bytes.set(vote, 48);
  return closeSector(bytes);
}

/**
 * The slot that counts: the whole one with the highest sequence number, slot 0 when they are equal.
 */
export function decodeHardState(bytes: Uint8Array): DecodedHardState {
  const first = decodeSlot(bytes, 0);
  const second = decodeSlot(bytes, 1);
  // A newer version's node wrote here: its state must not be passed over for an older slot.
  if (first.kind === "newer") return first;
  if (second.kind === "newer") return second;
  if (first.kind !== "hard-state") return second.kind === "hard-state" ? second : first;
  if (second.kind !== "hard-state") return first;
  return second.state.sequence > first.state.sequence ? second : first;
}

/** One slot of the file's bytes, verified. */
export function decodeSlot(bytes: Uint8Array, slot: SlotNumber): DecodedHardState {
  const at = SLOT_POSITIONS[slot];
  const opened = openSector(bytes, at, MAGIC, HARD_STATE_VERSION, WHOLE_VERSION);
  if (opened.kind !== "sector") return opened;
  const { view } = opened;
  const loss = view.getUint32(8) === HARD_STATE_VERSION ? getU64(view, LOSS_AT) : null;
  const voteLength = view.getUint32(12);
  const vote =
    voteLength > VOTE_BYTES_MAX ? null : decodeUtf8(bytes.subarray(at + 48, at + 48 + voteLength));
  if (vote === null || !areCounts(view, 16, 24, 32, 40) || !isCount(loss ?? 0) || loss === 0) {
    return { kind: "malformed", what: "a field is out of range" };
  }
  const truncateFrom = getU64(view, 32);
  const state: HardStateSlot = {
    hardState: {
      term: getU64(view, 24) as Term,
      votedFor: vote === "" ? null : (vote as MemberId),
      ...(loss === null ? {} : { loss }),
    },
    sequence: getU64(view, 16),
    truncateFrom: truncateFrom === 0 ? null : (truncateFrom as LogIndex),
    durableIndex: getU64(view, 40) as LogIndex,
  };
  return { kind: "hard-state", slot, state };
}

/** The file as the running node knows it. */
export class HardStateFile {
  #current: HardStateSlot;

  /** One slot holds `current`, and is durable. */
  constructor(current: HardStateSlot) {
    this.#current = current;
  }

  get current(): HardStateSlot {
    return this.#current;
  }

  /** The change is current from now on; `write` puts it on the disk. */
  advance(change: Omit<HardStateSlot, "sequence">): void {
    this.#current = { ...change, sequence: this.#current.sequence + 1 };
  }

  /** Writes both slots; the second only once the first is known to be there. */
  *write(): Flow<void> {
    for (const slot of BOTH_SLOTS) yield* perform(...writeSlots(this.#current, [slot]));
  }
}

/**
 * What is to be durable before anything of a log is cut that has lost entries from `from` on: the
 * cut is a truncation under way, the loss is named by the number of this write, which no other has.
 */
export function withLoss(state: HardStateSlot, from: LogIndex): HardStateSlot {
  const sequence = state.sequence + 1;
  const durableIndex = Math.min(state.durableIndex, from - 1) as LogIndex;
  const hardState = { ...state.hardState, loss: sequence };
  return { hardState, sequence, truncateFrom: from, durableIndex };
}

/** Writes `state` into `slots`, one after the other: each is durable before the next is begun. */
export function writeSlots(state: HardStateSlot, slots: readonly SlotNumber[]): Operation[] {
  const sector = encodeSlot(state);
  return slots.flatMap((slot): Operation[] => [
    {
      kind: "write-at",
      file: HARD_STATE_FILE,
      position: SLOT_POSITIONS[slot],
      parts: [sector],
    },
    { kind: "sync", file: HARD_STATE_FILE },
  ]);
}
