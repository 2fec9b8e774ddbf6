// The determinism gate: two runs of one plan must be the same, event by event. Their rolling
// digests are compared at checkpoints; where those part, both are run again with their eyes open
// between the last that is equal and the first that is not, and the first event that differs is
// named. Owns the comparison; who runs, here or in another process, is the caller's
// (sim/gate-main.ts).

import type { Instant, NodeId } from "../src/base/ids.ts";
import type { StateMachine } from "../src/state/state-machine.ts";
import {
  CHECKPOINT_EVENTS,
  DigestTape,
  type Taped,
  type TapedEvent,
  type TapedWord,
} from "./digest-tape.ts";
import type { OwnMachine } from "./machine-watch.ts";
import type { Plan } from "./plan.ts";
import { runPlan } from "./run.ts";

/** Runs the plan once more; `window` is the checkpoint after which it is to be taped in full. */
export type TapedRun = (window: number | null) => Taped;

/** How often two runs are opened that part somewhere else each time. */
const LOOKS_MAX = 4;

/** The first event in which two runs are not the same. */
export interface FirstDifference {
  readonly event: number;
  readonly at: Instant;
  /** Whose event it is; null where neither run says. */
  readonly node: NodeId | null;
  /** What happened in each of the two. */
  readonly facts: readonly [string, string];
}

export type Compared =
  | { readonly kind: "same"; readonly run: Taped }
  | { readonly kind: "different"; readonly first: FirstDifference; readonly runs: [Taped, Taped] }
  /** They part after so many events, and never again at the same place. */
  | { readonly kind: "unsteady"; readonly after: number; readonly runs: [Taped, Taped] };

/** A run in this process. */
export function tapedHere<M extends StateMachine>(
  plan: Plan,
  own: OwnMachine<M> | null = null,
): TapedRun {
  return (window) => {
    const tape = new DigestTape(window);
    const observers = window === null ? [] : [tape.narrator];
    return tape.taped(runPlan(plan, observers, own, tape).digest);
  };
}

/** Runs both; where they differ, up to four times more. */
export function compareRuns(one: TapedRun, other: TapedRun): Compared {
  let [a, b] = [one(null), other(null)];
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    if (isSame(a, b)) return looks === 0 ? { kind: "same", run: a } : unsteady(a, b);
    const window = lastCommonCheckpoint(a.checkpoints, b.checkpoints);
    [a, b] = [one(window), other(window)];
    const first = firstDifference(a.window, b.window);
    if (first !== null) return { kind: "different", first, runs: [a, b] };
  }
  return unsteady(a, b);
}

function isSame(a: Taped, b: Taped): boolean {
  return a.digest === b.digest && a.events === b.events;
}

function unsteady(a: Taped, b: Taped): Compared {
  const after = lastCommonCheckpoint(a.checkpoints, b.checkpoints) * CHECKPOINT_EVENTS;
  return { kind: "unsteady", after, runs: [a, b] };
}

/**
 * How many checkpoints are equal, by bisection: a rolling digest that differs once differs from
 * there on.
 */
export function lastCommonCheckpoint(a: readonly string[], b: readonly string[]): number {
  let [low, high] = [0, Math.min(a.length, b.length)];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (a[middle - 1] === b[middle - 1]) low = middle;
    else high = middle - 1;
  }
  return low;
}

function firstDifference(
  a: readonly TapedEvent[],
  b: readonly TapedEvent[],
): FirstDifference | null {
  const count = Math.max(a.length, b.length);
  for (let at = 0; at < count; at++) {
    const [one, other] = [a[at], b[at]];
    if (one !== undefined && other !== undefined && one.digest === other.digest) continue;
    const known = one ?? other;
    if (known === undefined) return null;
    return { event: known.event, at: known.at, ...differenceOf(one, other) };
  }
  return null;
}

/** What the two say of one event: the first word that is another, or says so of other bytes. */
function differenceOf(
  one: TapedEvent | undefined,
  other: TapedEvent | undefined,
): Pick<FirstDifference, "node" | "facts"> {
  const [words, others] = [one?.words ?? [], other?.words ?? []];
  let at = 0;
  while (at < words.length && isSameWord(words[at], others[at])) at++;
  const node = (words[at] ?? others[at] ?? words.at(-1) ?? others.at(-1))?.node ?? null;
  return { node, facts: [factOf(one, at), factOf(other, at)] };
}

function isSameWord(one: TapedWord | undefined, other: TapedWord | undefined): boolean {
  return one?.digest === other?.digest && one?.text === other?.text;
}

function factOf(event: TapedEvent | undefined, at: number): string {
  if (event === undefined) return "the run is over";
  const word = event.words[at];
  if (word !== undefined) return `${word.text}, digest ${word.digest}`;
  const last = event.words.at(-1);
  const said = last === undefined ? "nothing is told of it" : `nothing more after: ${last.text}`;
  return `${said}, digest ${event.digest}`;
}

/** One line when they are the same, else what differs; `names` are those of the two runs. */
export function describeCompared(compared: Compared, names: readonly [string, string]): string[] {
  if (compared.kind === "same") {
    const { events, checkpoints, digest } = compared.run;
    return [`${events} events, ${checkpoints.length} checkpoints, digest ${digest}`];
  }
  const ran = compared.runs.map(({ events, digest }, at) => {
    return `  ${names[at]}: ${events} events, digest ${digest}`;
  });
  if (compared.kind === "unsteady")
    return [`equal up to event ${compared.after}, and another event each time after it`, ...ran];
  const { event, at, node, facts } = compared.first;
  const where = `event ${event}, ${(at / 1_000_000).toFixed(6)} s`;
  return [
    `first different: ${where}, ${node ?? "no node"}`,
    `  ${names[0]}: ${facts[0]}`,
    `  ${names[1]}: ${facts[1]}`,
    "in all:",
    ...ran,
  ];
}
