// Looking at one run from the command line: stopped at an instant, beside itself without one of its
// mishaps, or as a file for other programs. Owns these modes' words and files; what they show is
// sim/look.ts, sim/diff.ts and sim/trace-file.ts.

import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import path from "node:path";

import { type Print, UsageError } from "./command-line.ts";
import { describeDivergence, diffRuns, NoSuchMishap, withoutMishap } from "./diff.ts";
import { describePicture, lookAt } from "./look.ts";
import type { Observer } from "./observer.ts";
import type { Plan } from "./plan.ts";
import { EXIT_CODES } from "./run.ts";
import { formOf, traceInto } from "./trace-file.ts";

/** Lines are written in pieces of about this size. */
const PIECE_CHARS = 65_536;

/** Stops the run there and prints it; returns the exit code. */
export function lookUntil(
  plan: Plan,
  untilMs: number,
  observers: readonly Observer[],
  print: Print,
): number {
  const picture = lookAt(plan, untilMs, observers);
  for (const line of describePicture(picture)) print(line);
  const { verdict } = picture;
  if (verdict === null || verdict.kind === "pass") return 0;
  const { property, facts } = verdict.violation;
  print("");
  print(`${verdict.kind}: ${property}`);
  for (const [at, fact] of facts.entries()) print(`  ${at + 1}. ${fact}`);
  return EXIT_CODES[verdict.kind];
}

/** Prints where the run parts from itself without a mishap; returns the exit code. */
export function diffWithout(plan: Plan, which: string, print: Print): number {
  let without: ReturnType<typeof withoutMishap>;
  try {
    without = withoutMishap(plan, which);
  } catch (error) {
    if (error instanceof NoSuchMishap) throw new UsageError(error.message);
    throw error;
  }
  print(`without  ${JSON.stringify(without.left)}`);
  for (const line of describeDivergence(diffRuns(plan, without.plan))) print(line);
  return 0;
}

/** Lets `run` have an observer that writes the trace; the file is whole when this returns. */
export function withTraceFile<T>(file: string, run: (observer: Observer) => T): T {
  mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  const descriptor = openSync(file, "w");
  let piece = "";
  const flush = () => {
    writeSync(descriptor, piece);
    piece = "";
  };
  try {
    const observer = traceInto(formOf(file), (text) => {
      piece += text;
      if (piece.length >= PIECE_CHARS) flush();
    });
    return run(observer);
  } finally {
    flush();
    closeSync(descriptor);
  }
}
