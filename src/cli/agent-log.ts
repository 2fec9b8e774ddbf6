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

/** The kinds of what the last turns heard and did: no bytes, so it costs and pins nothing. */
export class LastTurns implements Recorder {
  readonly #turns: string[] = [];
  #next = 0;
  #heard = "";

  turnBegins(now: number, events: readonly NodeEvent[]): void {
    this.#heard = `${now}: ${events.map(({ kind }) => kind).join(" ")}`;
  }

  turnEnds(rang: boolean, output: NodeOutput | null): void {
    this.#keep(`${this.#heard}${rang ? " deadline" : ""} -> ${describeOutput(output)}`);
  }

  /** Oldest first; a turn that began and did not end comes last. */
  take(): string[] {
    const ordered = [...this.#turns.slice(this.#next), ...this.#turns.slice(0, this.#next)];
    return [...ordered, `${this.#heard} -> ?`];
  }

  #keep(turn: string): void {
    this.#turns[this.#next] = turn;
    this.#next = (this.#next + 1) % TURNS_KEPT;
  }
}

function describeOutput(output: NodeOutput | null): string {
  if (output === null) return "nothing";
  const { operations, dials, sends, closes, answers } = output;
  const counts = [
    [operations.length, "disk"],
    [dials.length, "dial"],
    [sends.length, "send"],
    [closes.length, "close"],
    [answers.length, "answer"],
  ] as const;
  const some = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return some.length === 0 ? "nothing" : some.join(", ");
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
