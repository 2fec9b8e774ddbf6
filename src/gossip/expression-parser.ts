// Regular expressions of query filters as Go's agents write them (RE2), read into a tree: literals,
// classes, anchors, groups, alternatives, repetitions, flags. Owns the syntax and its bounds; how a
// text is matched is regular-expression.ts. What is not known here (\p, back references) is
// refused.

import { unreachable } from "../base/assert.ts";

/** Characters of an expression; a query holds a kilobyte at most. */
export const EXPRESSION_LENGTH_MAX = 1024;
/** Groups inside each other. */
const DEPTH_MAX = 50;
/** Of {n} and {n,m}, as in RE2. */
const REPEATS_MAX = 1000;

/** Code points from the first to the second of each pair; or, negated, all others. */
export interface CharacterSet {
  readonly ranges: readonly (readonly [number, number])[];
  readonly negated: boolean;
  /** Upper and lower case are alike. */
  readonly folded: boolean;
}

export type Anchor =
  | "text-begin"
  | "text-end"
  | "line-begin"
  | "line-end"
  | "word-boundary"
  | "no-word-boundary";

export type Expression =
  | { readonly kind: "set"; readonly set: CharacterSet }
  | { readonly kind: "anchor"; readonly anchor: Anchor }
  | { readonly kind: "sequence"; readonly parts: readonly Expression[] }
  | { readonly kind: "either"; readonly options: readonly Expression[] }
  | {
      readonly kind: "repeat";
      readonly part: Expression;
      readonly least: number;
      /** Null: without end. */
      readonly most: number | null;
    };

interface Flags {
  readonly fold: boolean;
  readonly multiline: boolean;
  readonly dotAll: boolean;
}

type Ranges = readonly (readonly [number, number])[];

const DIGITS: Ranges = [[0x30, 0x39]];
const UPPER: Ranges = [[0x41, 0x5a]];
const LOWER: Ranges = [[0x61, 0x7a]];
const SPACES: Ranges = [
  [0x09, 0x0a],
  [0x0c, 0x0d],
  [0x20, 0x20],
];
const WORD: Ranges = [...DIGITS, ...UPPER, [0x5f, 0x5f], ...LOWER];
const POSIX: Readonly<Record<string, Ranges>> = {
  alnum: [...DIGITS, ...UPPER, ...LOWER],
  alpha: [...UPPER, ...LOWER],
  ascii: [[0, 0x7f]],
  blank: [
    [0x09, 0x09],
    [0x20, 0x20],
  ],
  cntrl: [
    [0, 0x1f],
    [0x7f, 0x7f],
  ],
  digit: DIGITS,
  graph: [[0x21, 0x7e]],
  lower: LOWER,
  print: [[0x20, 0x7e]],
  punct: [
    [0x21, 0x2f],
    [0x3a, 0x40],
    [0x5b, 0x60],
    [0x7b, 0x7e],
  ],
  space: [
    [0x09, 0x0d],
    [0x20, 0x20],
  ],
  upper: UPPER,
  word: WORD,
  xdigit: [...DIGITS, [0x41, 0x46], [0x61, 0x66]],
};
const PERL: Readonly<Record<string, Ranges>> = { d: DIGITS, s: SPACES, w: WORD };
const CONTROL: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };
const ANCHORS: Readonly<Record<string, Anchor>> = {
  A: "text-begin",
  z: "text-end",
  b: "word-boundary",
  B: "no-word-boundary",
};
const ANY_BUT_NEWLINE: Ranges = [[0x0a, 0x0a]];
const CODE_MAX = 0x10_ffff;

/** Thrown and caught in this file alone. */
class Unreadable extends Error {}

/** Null for what is no expression, or one that is not known here. */
export function parseExpression(text: string): Expression | null {
  try {
    return new Parser([...text]).parse();
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}

/** What all code points outside of `ranges` are. */
export function complementOf(ranges: Ranges): Ranges {
  const outside: [number, number][] = [];
  let next = 0;
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (first > next) outside.push([next, first - 1]);
    if (last + 1 > next) next = last + 1;
  }
  if (next <= CODE_MAX) outside.push([next, CODE_MAX]);
  return outside;
}

class Parser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;
  #flags: Flags = { fold: false, multiline: false, dotAll: false };

  constructor(characters: readonly string[]) {
    this.#characters = characters;
  }

  parse(): Expression {
    if (this.#characters.length > EXPRESSION_LENGTH_MAX) throw new Unreadable();
    const expression = this.#either();
    if (this.#at < this.#characters.length) throw new Unreadable();
    return expression;
  }

  #either(): Expression {
    const options = [this.#sequence()];
    while (this.#maybeTake("|")) options.push(this.#sequence());
    return options.length === 1 ? (options[0] as Expression) : { kind: "either", options };
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    while (this.#at < this.#characters.length && !this.#isNext("|") && !this.#isNext(")")) {
      const part = this.#atom();
      if (part !== null) parts.push(this.#repeated(part));
    }
    return { kind: "sequence", parts };
  }

  /** One thing that may be repeated; null for flags that change what follows, and for "\Q\E". */
  #atom(): Expression | null {
    const character = this.#take();
    switch (character) {
      case "(":
        return this.#group();
      case "[":
        return { kind: "set", set: this.#class() };
      case ".":
        return this.#flags.dotAll
          ? this.#set([[0, CODE_MAX]], false)
          : this.#set(ANY_BUT_NEWLINE, true);
      case "^":
        return anchor(this.#flags.multiline ? "line-begin" : "text-begin");
      case "$":
        return anchor(this.#flags.multiline ? "line-end" : "text-end");
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        throw new Unreadable();
      default:
        return this.#literal(character);
    }
  }

  #group(): Expression | null {
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw new Unreadable();
    const before = this.#flags;
    if (this.#maybeTake("?") && !this.#groupBegins()) {
      this.#depth -= 1;
      return null;
    }
    const inner = this.#either();
    if (!this.#maybeTake(")")) throw new Unreadable();
    this.#flags = before;
    this.#depth -= 1;
    return inner;
  }

  /** After "(?": a name, or flags; false when those end the group and hold from here on. */
  #groupBegins(): boolean {
    if (this.#maybeTake("P") || this.#isNext("<")) {
      if (!this.#maybeTake("<")) throw new Unreadable();
      let length = 0;
      while (!this.#maybeTake(">")) {
        if (!/^\w$/.test(this.#take())) throw new Unreadable();
        length += 1;
      }
      if (length === 0) throw new Unreadable();
      return true;
    }
    let isOn = true;
    for (;;) {
      const flag = this.#take();
      if (flag === ":") return true;
      if (flag === ")") return false;
      if (flag === "-" && isOn) isOn = false;
      else if (flag === "i") this.#flags = { ...this.#flags, fold: isOn };
      else if (flag === "m") this.#flags = { ...this.#flags, multiline: isOn };
      else if (flag === "s") this.#flags = { ...this.#flags, dotAll: isOn };
      // Which match is found first makes no difference to whether there is one.
      else if (flag !== "U") throw new Unreadable();
    }
  }

  #repeated(part: Expression): Expression {
    let repeated = part;
    let isRepeated = false;
    for (;;) {
      const count = this.#maybeCount();
      if (count === null) return repeated;
      // As RE2: "a**" is a mistake, "a*?" is the lazy form.
      if (isRepeated) throw new Unreadable();
      isRepeated = true;
      this.#maybeTake("?");
      repeated = { kind: "repeat", part, ...count };
    }
  }

  #maybeCount(): { readonly least: number; readonly most: number | null } | null {
    if (this.#maybeTake("*")) return { least: 0, most: null };
    if (this.#maybeTake("+")) return { least: 1, most: null };
    if (this.#maybeTake("?")) return { least: 0, most: 1 };
    if (!this.#isNext("{")) return null;
    const rest = this.#characters.slice(this.#at, this.#at + 12).join("");
    const braces = /^\{(\d{1,4})(,?)(\d{0,4})\}/.exec(rest);
    // Without numbers it is a brace like any other.
    if (braces === null || (braces[2] === "" && braces[3] !== "")) return null;
    this.#at += braces[0].length;
    const least = Number(braces[1]);
    const most = braces[2] === "" ? least : braces[3] === "" ? null : Number(braces[3]);
    if (Math.max(least, most ?? 0) > REPEATS_MAX || (most ?? least) < least) throw new Unreadable();
    return { least, most };
  }

  #escape(): Expression | null {
    const next = this.#peek();
    const anchored = ANCHORS[next];
    if (anchored !== undefined) {
      this.#take();
      return anchor(anchored);
    }
    if (this.#maybeTake("Q")) return this.#quoted();
    const perl = this.#maybePerl();
    return perl === null ? this.#literalCode(this.#escapedCode()) : this.#set(perl, false);
  }

  /** \d, \W and the like, of which the upper case means all others. */
  #maybePerl(): Ranges | null {
    const next = this.#peek();
    const ranges = PERL[next.toLowerCase()];
    if (ranges === undefined) return null;
    this.#take();
    return next === next.toLowerCase() ? ranges : complementOf(ranges);
  }

  #quoted(): Expression | null {
    const parts: Expression[] = [];
    while (this.#at < this.#characters.length) {
      if (this.#isNext("\\") && this.#characters[this.#at + 1] === "E") {
        this.#at += 2;
        break;
      }
      parts.push(this.#literal(this.#take()));
    }
    return parts.length === 0 ? null : { kind: "sequence", parts };
  }

  /** After a backslash: the one character that is meant. */
  #escapedCode(): number {
    const character = this.#take();
    const control = CONTROL[character];
    if (control !== undefined) return control;
    if (character === "x") return this.#hexadecimal();
    if (/^[0-7]$/.test(character)) return this.#octal(character);
    if (/^[\w]$/.test(character) || character > "\u007f") throw new Unreadable();
    return codeOf(character);
  }

  #hexadecimal(): number {
    let digits = "";
    if (this.#maybeTake("{")) {
      while (!this.#maybeTake("}")) digits += this.#take();
    } else digits = this.#take() + this.#take();
    const code = /^[0-9A-Fa-f]{1,6}$/.test(digits) ? Number.parseInt(digits, 16) : CODE_MAX + 1;
    if (code > CODE_MAX) throw new Unreadable();
    return code;
  }

  /** \0 to \077 and \100 to \377; a single digit 1 to 7 would be a back reference. */
  #octal(first: string): number {
    let digits = first;
    while (digits.length < 3 && /^[0-7]$/.test(this.#peek())) digits += this.#take();
    if (first !== "0" && digits.length < 3) throw new Unreadable();
    return Number.parseInt(digits, 8);
  }

  /** After "[". */
  #class(): CharacterSet {
    const negated = this.#maybeTake("^");
    const ranges: (readonly [number, number])[] = [];
    for (let isFirst = true; isFirst || !this.#isNext("]"); isFirst = false) {
      const whole = this.#maybeNamed() ?? this.#maybePerlInClass();
      if (whole !== null) {
        ranges.push(...whole);
        continue;
      }
      const first = this.#classCode();
      let last = first;
      if (this.#isNext("-") && this.#characters[this.#at + 1] !== "]") {
        this.#take();
        last = this.#classCode();
      }
      if (last < first) throw new Unreadable();
      ranges.push([first, last]);
    }
    this.#take();
    return { ranges, negated, folded: this.#flags.fold };
  }

  #maybeNamed(): Ranges | null {
    const rest = this.#characters.slice(this.#at, this.#at + 12).join("");
    const named = /^\[:(\^?)([a-z]+):\]/.exec(rest);
    if (named === null) return null;
    const name = named[2] ?? "";
    const ranges = Object.hasOwn(POSIX, name) ? POSIX[name] : undefined;
    if (ranges === undefined) throw new Unreadable();
    this.#at += named[0].length;
    return named[1] === "^" ? complementOf(ranges) : ranges;
  }

  #maybePerlInClass(): Ranges | null {
    if (!this.#isNext("\\")) return null;
    const at = this.#at;
    this.#take();
    const ranges = this.#maybePerl();
    if (ranges === null) this.#at = at;
    return ranges;
  }

  #classCode(): number {
    const character = this.#take();
    return character === "\\" ? this.#escapedCode() : codeOf(character);
  }

  #literal(character: string): Expression {
    return this.#literalCode(codeOf(character));
  }

  #literalCode(code: number): Expression {
    return this.#set([[code, code]], false);
  }

  #set(ranges: Ranges, negated: boolean): Expression {
    return { kind: "set", set: { ranges, negated, folded: this.#flags.fold } };
  }

  #peek(): string {
    return this.#characters[this.#at] ?? "";
  }

  #isNext(character: string): boolean {
    return this.#peek() === character;
  }

  #maybeTake(character: string): boolean {
    if (!this.#isNext(character)) return false;
    this.#at += 1;
    return true;
  }

  #take(): string {
    const character = this.#characters[this.#at];
    if (character === undefined) throw new Unreadable();
    this.#at += 1;
    return character;
  }
}

function anchor(which: Anchor): Expression {
  return { kind: "anchor", anchor: which };
}

function codeOf(character: string): number {
  return character.codePointAt(0) ?? 0;
}

/** Whether a code point is in the set. */
export function isInSet({ ranges, negated, folded }: CharacterSet, code: number): boolean {
  const isIn = (each: number) => ranges.some(([first, last]) => first <= each && each <= last);
  const isMeant = isIn(code) || (folded && caseVariantsOf(code).some(isIn));
  return isMeant !== negated;
}

/** Upper and lower case of one code point, where each is one. */
function caseVariantsOf(code: number): readonly number[] {
  const character = String.fromCodePoint(code);
  const variants = [character.toLowerCase(), character.toUpperCase()];
  return variants.filter((variant) => [...variant].length === 1).map(codeOf);
}

/** Whether an anchor holds between two code points; null beyond an end of the text. */
export function isAnchored(which: Anchor, before: number | null, after: number | null): boolean {
  switch (which) {
    case "text-begin":
      return before === null;
    case "text-end":
      return after === null;
    case "line-begin":
      return before === null || before === 0x0a;
    case "line-end":
      return after === null || after === 0x0a;
    case "word-boundary":
      return isWord(before) !== isWord(after);
    case "no-word-boundary":
      return isWord(before) === isWord(after);
    default:
      return unreachable(which);
  }
}

function isWord(code: number | null): boolean {
  return code !== null && WORD.some(([first, last]) => first <= code && code <= last);
}
