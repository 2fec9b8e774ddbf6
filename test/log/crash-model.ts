// What a log may be after a crash: the states between what was acknowledged and what was asked for,
// and why a recovered one is none of them. Knows no disk.

import {
  type Entry,
  type HardState,
  type LogPoint,
  pointAfter,
  type TermRun,
} from "../../src/base/entry.ts";
import type { LogOpened } from "../../src/log/protocol.ts";
import { stateAt } from "./driver.ts";

export const STATE_BYTES = 700;

/** What the log holds once write number n is done. */
export interface ModelState {
  /** Where it begins unless it is trimmed: the last installation, or LOG_START. */
  readonly base: LogPoint;
  /** Ascending, the first is the one after the base. */
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
}

/** Of the log that begins at one base. */
export interface Limits {
  /** Checkpoints that were asked for, durable or not. */
  readonly checkpoints: readonly number[];
  /** The newest that is durable for certain; the base's index without any. */
  readonly checkpointMin: number;
  /** The log begins there, or later. */
  readonly startMin: number;
  /** No record at or after this offset was asked to be trimmed. */
  readonly trimOffset: number;
}

export interface Bounds {
  /** The states between which the crash fell: acknowledged first, asked for last. */
  readonly states: readonly ModelState[];
  readonly limits: ReadonlyMap<number, Limits>;
}

export interface FoundLog {
  readonly opened: LogOpened;
  readonly entries: readonly Entry[];
}

export function endOf({ base, entries }: Pick<ModelState, "base" | "entries">): LogPoint {
  const last = entries.at(-1);
  return last === undefined ? base : pointAfter(last);
}

export function sameFrame(a: Entry, b: Entry | undefined): boolean {
  return b !== undefined && Buffer.compare(a.frame, b.frame) === 0;
}

export function samePoint(a: LogPoint, b: LogPoint | null): boolean {
  return (
    b !== null &&
    a.index === b.index &&
    a.term === b.term &&
    a.endOffset === b.endOffset &&
    a.timestamp === b.timestamp
  );
}

/** The place just after `index` in a state, or null when it has none. */
function pointIn(state: ModelState, index: number): LogPoint | null {
  if (index === state.base.index) return state.base;
  const entry = state.entries[index - state.base.index - 1];
  return entry === undefined ? null : pointAfter(entry);
}

/** Up to which index two states are the same log. */
function commonIndex(a: ModelState, b: ModelState): number {
  let length = 0;
  for (; length < a.entries.length && length < b.entries.length; length++) {
    if (!sameFrame(a.entries[length] as Entry, b.entries[length])) break;
  }
  return a.base.index + length;
}

function isPartOf({ opened, entries }: FoundLog, state: ModelState): boolean {
  const { base } = opened;
  if (base.index < state.base.index) return false;
  const skipped = base.index - state.base.index;
  if (!entries.every((entry, n) => sameFrame(entry, state.entries[skipped + n]))) return false;
  return samePoint(base, pointIn(state, base.index));
}

/** The state of which the found log is what a crash may have left, or null. */
function origin(found: FoundLog, { states }: Bounds): ModelState | null {
  const endIndex = found.opened.base.index + found.entries.length;
  for (let n = 0; n < states.length; n++) {
    const before = states[Math.max(0, n - 1)] as ModelState;
    const here = states[n] as ModelState;
    const isOld = isPartOf(found, before);
    const isHere = isPartOf(found, here);
    // New entries are never durable before the hard state of the same write, nor it too late.
    const allowed = states.slice(isOld ? 0 : n).map((state) => JSON.stringify(state.hardState));
    if (!allowed.includes(JSON.stringify(found.opened.hardState))) continue;
    if (before.base.index !== here.base.index) {
      // An installation: the old log whole, or what of the new one is there.
      if (isHere) return here;
      if (isOld && endIndex === endOf(before).index) return before;
    } else {
      const kept = n === 0 ? endOf(here).index : commonIndex(before, here);
      if (isHere && endIndex >= kept) return here;
      if (isOld && endIndex >= kept) return before;
    }
  }
  return null;
}

/** Why a recovered log cannot be, or null. */
export function inadmissible(found: FoundLog, bounds: Bounds): string | null {
  const { opened, entries } = found;
  const state = origin(found, bounds);
  if (state === null) {
    const ends = bounds.states.map((each) => `${each.base.index}-${endOf(each).index}`);
    return `${opened.base.index}-${opened.end.index} of ${ends}, term ${opened.hardState.term}`;
  }
  const limits = bounds.limits.get(state.base.index);
  if (limits === undefined) return `no limits for a log from ${state.base.index}`;
  return (
    wrongStart(opened, state, limits) ??
    wrongCheckpoint(found, state, limits) ??
    (samePoint(endOf({ base: opened.base, entries }), opened.end) ? null : "another end is told") ??
    (sameRuns(opened.termRuns, entries) ? null : "other terms are told")
  );
}

function wrongStart(
  { base, startIndex, startOffset }: LogOpened,
  state: ModelState,
  limits: Limits,
) {
  if (startIndex !== base.index + 1 || startOffset !== base.endOffset) return "another start told";
  if (base.index < limits.startMin) return `begins at ${base.index}, trimmed to ${limits.startMin}`;
  if (base.index === state.base.index) return null;
  if (!limits.checkpoints.includes(base.index)) return `begins at ${base.index}, no checkpoint`;
  const { trimOffset } = limits;
  if (base.endOffset > trimOffset) return `begins at ${base.endOffset}, trimmed to ${trimOffset}`;
  return null;
}

function wrongCheckpoint({ opened, entries }: FoundLog, state: ModelState, limits: Limits) {
  const { checkpoint, tail, skipped } = opened;
  if (skipped.length > 0) return `cannot read ${skipped[0]?.file}`;
  const index = checkpoint?.at.index ?? 0;
  if (index < limits.checkpointMin) return `checkpoint ${index} before ${limits.checkpointMin}`;
  if (index !== state.base.index && !limits.checkpoints.includes(index as never)) {
    return `checkpoint ${index} was not asked for`;
  }
  if (checkpoint !== null) {
    if (!samePoint(checkpoint.at, pointIn(state, index))) return `checkpoint ${index} of elsewhere`;
    const expected = stateAt(index, checkpoint.state.length);
    const isWhole = checkpoint.state.length === STATE_BYTES;
    if (!isWhole || Buffer.compare(expected, checkpoint.state) !== 0) return "another state";
  }
  const after = entries.filter((entry) => entry.index > index);
  const isTail = tail.length === after.length && tail.every((e, n) => e.index === after[n]?.index);
  return isTail ? null : "the tail is not what follows the checkpoint";
}

function sameRuns(told: readonly TermRun[], entries: readonly Entry[]): boolean {
  const runs = entries.filter((entry, n) => entry.term !== entries[n - 1]?.term);
  return (
    runs.length === told.length &&
    told.every((run, n) => run.term === runs[n]?.term && run.firstIndex === runs[n]?.index)
  );
}
