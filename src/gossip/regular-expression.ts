// Whether an expression is found in a text, in time that grows with the product of their lengths
// and no faster, whatever the expression: all its threads go through the text at once (Thompson
// 1968), none goes back. JavaScript's own would stand still for `(a+)+$`, which anybody may send.

import { unreachable } from "../base/assert.ts";
import {
  type Anchor,
  type CharacterSet,
  type Expression,
  isAnchored,
  isInSet,
  parseExpression,
} from "./expression-parser.ts";

/** Steps that an expression is made of at most, with its repetitions written out. */
export const STEPS_MAX = 512;

type Step =
  | { readonly kind: "set"; readonly set: CharacterSet }
  | { readonly kind: "anchor"; readonly anchor: Anchor }
  /** Goes on at both. */
  | { readonly kind: "fork"; readonly to: number; readonly or: number }
  | { readonly kind: "found" };

/** An expression that was read, and may be asked any number of times. */
export class RegularExpression {
  readonly #steps: readonly Step[];

  private constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  /** Null for what is no RE2, is not known here, or would be of more than STEPS_MAX steps. */
  static parse(text: string): RegularExpression | null {
    const expression = parseExpression(text);
    if (expression === null || stepsOf(expression) >= STEPS_MAX) return null;
    const steps: Step[] = [];
    write(expression, steps);
    steps.push({ kind: "found" });
    return new RegularExpression(steps);
  }

  /** True when it is found anywhere in `text`. */
  isFoundIn(text: string): boolean {
    const codes = [...text].map((character) => character.codePointAt(0) ?? 0);
    let threads = new Threads(this.#steps);
    for (let at = 0; at <= codes.length; at++) {
      const before = codes[at - 1] ?? null;
      const next = codes[at] ?? null;
      // A match may begin anywhere.
      threads.add(0, before, next);
      if (threads.hasFound) return true;
      if (next === null) return false;
      threads = threads.after(next, codes[at + 1] ?? null);
      if (threads.hasFound) return true;
    }
    return false;
  }
}

/** Where all threads stand between two characters; each place once. */
class Threads {
  readonly #steps: readonly Step[];
  readonly #seen: Uint8Array;
  readonly #waiting: number[] = [];
  hasFound = false;

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
    this.#seen = new Uint8Array(steps.length);
  }

  add(place: number, before: number | null, next: number | null): void {
    const places = [place];
    for (let at = places.pop(); at !== undefined; at = places.pop()) {
      if (this.#seen[at] === 1) continue;
      this.#seen[at] = 1;
      const step = this.#steps[at] as Step;
      if (step.kind === "found") this.hasFound = true;
      else if (step.kind === "set") this.#waiting.push(at);
      else if (step.kind === "fork") places.push(step.or, step.to);
      else if (isAnchored(step.anchor, before, next)) places.push(at + 1);
    }
  }

  /** Those who take `code`, one character further on. */
  after(code: number, next: number | null): Threads {
    const later = new Threads(this.#steps);
    // What is repeated asks the same set again and again, and a set may be long.
    const verdicts = new Map<CharacterSet, boolean>();
    for (const at of this.#waiting) {
      const step = this.#steps[at] as Step;
      if (step.kind !== "set") continue;
      const verdict = verdicts.get(step.set) ?? isInSet(step.set, code);
      verdicts.set(step.set, verdict);
      if (verdict) later.add(at + 1, code, next);
    }
    return later;
  }
}

/** How many steps it is made of, counted without making them; at most STEPS_MAX. */
function stepsOf(expression: Expression): number {
  switch (expression.kind) {
    case "set":
    case "anchor":
      return 1;
    case "sequence":
      return sumOf(expression.parts, 0);
    case "either":
      return sumOf(expression.options, 2);
    case "repeat": {
      const copies = expression.most ?? expression.least + 1;
      return Math.min(STEPS_MAX, (stepsOf(expression.part) + 2) * copies);
    }
    default:
      return unreachable(expression);
  }
}

function sumOf(parts: readonly Expression[], each: number): number {
  const sum = parts.reduce((total, part) => total + stepsOf(part) + each, 0);
  return Math.min(STEPS_MAX, sum);
}

function write(expression: Expression, steps: Step[]): void {
  switch (expression.kind) {
    case "set":
      steps.push({ kind: "set", set: expression.set });
      return;
    case "anchor":
      steps.push({ kind: "anchor", anchor: expression.anchor });
      return;
    case "sequence":
      for (const part of expression.parts) write(part, steps);
      return;
    case "either":
      writeEither(expression.options, steps);
      return;
    case "repeat":
      writeRepeat(expression, steps);
      return;
    default:
      unreachable(expression);
  }
}

function writeEither(options: readonly Expression[], steps: Step[]): void {
  const ends: number[] = [];
  for (const [at, option] of options.entries()) {
    if (at === options.length - 1) {
      write(option, steps);
      break;
    }
    const fork = reserve(steps);
    write(option, steps);
    ends.push(reserve(steps));
    steps[fork] = { kind: "fork", to: fork + 1, or: steps.length };
  }
  for (const end of ends) steps[end] = { kind: "fork", to: steps.length, or: steps.length };
}

function writeRepeat(
  { part, least, most }: Extract<Expression, { kind: "repeat" }>,
  steps: Step[],
): void {
  for (let copy = 0; copy < least; copy++) write(part, steps);
  if (most === null) {
    const fork = reserve(steps);
    write(part, steps);
    steps.push({ kind: "fork", to: fork, or: fork });
    steps[fork] = { kind: "fork", to: fork + 1, or: steps.length };
    return;
  }
  const forks: number[] = [];
  for (let copy = least; copy < most; copy++) {
    forks.push(reserve(steps));
    write(part, steps);
  }
  for (const fork of forks) steps[fork] = { kind: "fork", to: fork + 1, or: steps.length };
}

/** A place for a step that is known later. */
function reserve(steps: Step[]): number {
  steps.push({ kind: "found" });
  return steps.length - 1;
}
