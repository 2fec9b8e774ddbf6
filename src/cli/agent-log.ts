// What an agent says: one JSON object a line on standard output, by pino. Owns the form of a line
// and the last turns kept for the day a node dies of a bug; what is worth saying is the node's.

import pino, { type Logger } from "pino";

import type { Recorder } from "../node/ports.ts";
import type { NodeEvent, NodeOutput } from "../node/protocol.ts";

export function createLogger(level: string, facts: Record<string, unknown>): Logger {
  // Synchronous: the last line before an exit is the one that is needed.
  const destination = pino.destination({ fd: 1, sync: true });
  destination.on("error", () => {
    // Whoever read the lines is gone, or their disk is full: a node outlives its readers.
  });
  return pino(
    {
      level,
      base: facts,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}

const TURNS_KEPT = 32;

/** A turn as it is kept: kinds and counts only, so it pins nothing; told only when asked for. */
interface Turn {
  readonly now: number;
  readonly kinds: readonly string[];
  rang: boolean;
  /** Null: nothing was decided; no counts: the turn did not end. */
  counts: readonly number[] | null;
}

/** In the order of `countsOf`. */
const COUNTED = ["disk", "dial", "send", "close", "answer"];
const UNFINISHED: readonly number[] = [];

/** What the last turns heard and did. */
export class LastTurns implements Recorder {
  readonly #turns: Turn[] = [];
  #next = 0;
  #turn: Turn = { now: 0, kinds: [], rang: false, counts: UNFINISHED };

  turnBegins(now: number, events: readonly NodeEvent[]): void {
    // PERF: every turn comes by here; strings are made for those that somebody reads.
    this.#turn = { now, kinds: events.map(({ kind }) => kind), rang: false, counts: UNFINISHED };
  }

  turnEnds(rang: boolean, output: NodeOutput | null): void {
    this.#turn.rang = rang;
    this.#turn.counts = output === null ? null : countsOf(output);
    this.#turns[this.#next] = this.#turn;
    this.#next = (this.#next + 1) % TURNS_KEPT;
  }

  /** Oldest first; a turn that began and did not end comes last. */
  take(): string[] {
    const ordered = [...this.#turns.slice(this.#next), ...this.#turns.slice(0, this.#next)];
    const unfinished = this.#turn.counts === UNFINISHED ? [this.#turn] : [];
    return [...ordered, ...unfinished].map(describeTurn);
  }
}

function countsOf({ operations, dials, sends, closes, answers }: NodeOutput): readonly number[] {
  return [operations.length, dials.length, sends.length, closes.length, answers.length];
}

function describeTurn({ now, kinds, rang, counts }: Turn): string {
  const some = COUNTED.map((what, at) => [counts?.[at] ?? 0, what] as const)
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} ${what}`);
  const decided = counts === UNFINISHED ? "?" : some.length === 0 ? "nothing" : some.join(", ");
  return `${now}: ${kinds.join(" ")}${rang ? " deadline" : ""} -> ${decided}`;
}

/** Several recorders as one; a turn ends with the last one told first. */
export class Recorders implements Recorder {
  readonly #all: readonly Recorder[];

  constructor(all: readonly Recorder[]) {
    this.#all = all;
  }

  turnBegins(...turn: Parameters<Recorder["turnBegins"]>): void {
    for (const recorder of this.#all) recorder.turnBegins(...turn);
  }

  turnEnds(...turn: Parameters<Recorder["turnEnds"]>): void {
    for (const recorder of this.#all) recorder.turnEnds(...turn);
  }
}
