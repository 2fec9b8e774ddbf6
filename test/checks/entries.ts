// Hand-made committed logs for the tests of the checkers that judge entries: batches of records,
// moves of cursors and fences, each in one word, at the next index, offset and log time.

import type { Call, Facts, Outcome, Question } from "../../sim/history.ts";
import type { Control } from "../../src/base/control.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import {
  type Instant,
  type LogIndex,
  NO_TERM,
  type NodeId,
  type Offset,
  type Term,
  type WallMs,
} from "../../src/base/ids.ts";

/** One entry: its control, or how many records; by a producer's epoch, where one is named. */
export interface Written {
  readonly time: number;
  readonly control?: Control;
  readonly count?: number;
  readonly epoch?: number;
}

/** Their heads, one after another. */
export function headsOf(...entries: readonly Written[]): EntryHead[] {
  let offset = 0;
  return entries.map(({ time, control, count = 0, epoch }, at) => {
    const head: EntryHead = {
      kind: control?.kind ?? "records",
      codec: 0,
      critical: true,
      index: (at + 1) as LogIndex,
      term: 1 as Term,
      prevTerm: at === 0 ? NO_TERM : (1 as Term),
      offset: offset as Offset,
      count,
      timestamp: time as WallMs,
      bodyLength: 0,
      bodyCrc: 0,
      rawLength: 0,
      producerId: epoch === undefined ? 0 : 7,
      epoch: epoch ?? 0,
      sequence: 0,
      ...(control === undefined ? {} : { control }),
    };
    offset += count;
    return head;
  });
}

export function cursorAt(offset: number | null, ttlMs: number, name = "a"): Control {
  return { kind: "cursor", name, offset: offset as Offset | null, ttlMs };
}

export function fencedWith(token: string): Control {
  return { kind: "fence", token };
}

interface Asked {
  readonly question: Question;
  readonly span: readonly [number, number];
  readonly outcome?: Outcome;
  readonly facts?: Facts | null;
}

let calls = 0;

/**
 * A call of a client, over from `span[0]` to `span[1]`; acknowledged where nothing else is said.
 */
export function asked({ question, span, outcome = "ok", facts = null }: Asked): Call {
  calls += 1;
  const [start, end] = [span[0] as Instant, span[1] as Instant];
  return { id: calls, client: 1, question, start, end, outcome, facts, attempts: 1 };
}

/** Acknowledged as the entry at `index`. */
export function appendedAt(index: number, offset = 0): Facts {
  const place = { offset: offset as Offset, index: index as LogIndex, term: 1 as Term };
  return { kind: "appended", ...place, duplicate: false };
}

export const NODE = "n1" as NodeId;
