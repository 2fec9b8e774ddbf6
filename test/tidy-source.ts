// Reads TypeScript as text for the tidy rules: what is code, what is comment, what is imported,
// where functions begin and end. Owns a small scanner; judges nothing (tidy-rules.ts does).

export interface SourceFile {
  /** Path from the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** The text less comments, strings, templates and regular expressions: blanked, same length. */
  readonly code: string;
  /** The text with everything blanked but the comments. */
  readonly comments: string;
  readonly imports: readonly ImportedModule[];
}

export interface ImportedModule {
  readonly specifier: string;
  readonly line: number;
  readonly isTypeOnly: boolean;
  readonly isReexport: boolean;
}

export interface FunctionSpan {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

interface StringLiteral {
  readonly start: number;
  readonly value: string;
}

export function readSource(path: string, text: string): SourceFile {
  const scanner = new Scanner(text);
  scanner.scanCode(false);
  const code = scanner.code.join("");
  const imports = findImports(code, scanner.strings);
  return { path, text, code, comments: scanner.comments.join(""), imports };
}

export function lineAt(text: string, position: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < position; at = text.indexOf("\n", at + 1)) {
    line += 1;
  }
  return line;
}

/** Splits a text into code and comments, keeping every newline and column where it was. */
class Scanner {
  readonly code: string[];
  readonly comments: string[];
  readonly strings: StringLiteral[] = [];
  readonly #text: string;
  #at = 0;
  /** The last code character that was not a space, and the word it ended: they tell `/` apart. */
  #lastSign = "";
  #lastWord = "";

  constructor(text: string) {
    this.#text = text;
    this.code = Array.from({ length: text.length }, (_, at) => (text[at] === "\n" ? "\n" : " "));
    this.comments = this.code.slice();
  }

  /** Reads code up to the end, or up to the brace that closes a template's `${`. */
  scanCode(insideTemplate: boolean): void {
    let depth = 0;
    if (this.#at === 0 && this.#text.startsWith("#!")) {
      this.#at = this.#lineEnd();
    }
    while (this.#at < this.#text.length) {
      const sign = this.#text[this.#at] ?? "";
      const pair = this.#text.slice(this.#at, this.#at + 2);
      if (pair === "//") {
        this.#skipComment(this.#lineEnd());
      } else if (pair === "/*") {
        const end = this.#text.indexOf("*/", this.#at + 2);
        this.#skipComment(end === -1 ? this.#text.length : end + 2);
      } else if (sign === '"' || sign === "'") {
        this.#skipString(sign);
      } else if (sign === "`") {
        this.#skipTemplate();
      } else if (sign === "/" && this.#regexMayStart()) {
        this.#skipRegex();
      } else if (insideTemplate && sign === "}" && depth === 0) {
        return;
      } else {
        depth += sign === "{" ? 1 : sign === "}" ? -1 : 0;
        this.#keep(sign);
      }
    }
  }

  #keep(sign: string): void {
    this.code[this.#at] = sign;
    if (/[\w$#]/.test(sign)) {
      const joins = /[\w$#]/.test(this.#text[this.#at - 1] ?? "") && this.#lastWord !== "";
      this.#lastWord = joins ? this.#lastWord + sign : sign;
      this.#lastSign = sign;
    } else if (!/\s/.test(sign)) {
      this.#lastWord = "";
      this.#lastSign = sign;
    }
    this.#at += 1;
  }

  #lineEnd(): number {
    const end = this.#text.indexOf("\n", this.#at);
    return end === -1 ? this.#text.length : end;
  }

  #skipComment(end: number): void {
    for (; this.#at < end; this.#at += 1) {
      this.comments[this.#at] = this.#text[this.#at] ?? "";
    }
  }

  #skipString(quote: string): void {
    const start = this.#at;
    this.#keep(quote);
    while (this.#at < this.#text.length && this.#text[this.#at] !== quote) {
      if (this.#text[this.#at] === "\n") {
        return;
      }
      this.#at += this.#text[this.#at] === "\\" ? 2 : 1;
    }
    this.strings.push({ start, value: this.#text.slice(start + 1, this.#at) });
    this.#keep(quote);
  }

  #skipTemplate(): void {
    this.#keep("`");
    while (this.#at < this.#text.length && this.#text[this.#at] !== "`") {
      if (this.#text.startsWith("${", this.#at)) {
        this.#at += 2;
        this.#lastSign = "{";
        this.#lastWord = "";
        this.scanCode(true);
        this.#at += 1;
      } else {
        this.#at += this.#text[this.#at] === "\\" ? 2 : 1;
      }
    }
    this.#keep("`");
  }

  #regexMayStart(): boolean {
    if (this.#lastWord !== "") {
      return /^(return|typeof|case|in|of|delete|void|throw|new|else|do|yield|await)$/.test(
        this.#lastWord,
      );
    }
    return !/[)\]}"'`]/.test(this.#lastSign);
  }

  #skipRegex(): void {
    const end = this.#lineEnd();
    let isInClass = false;
    let at = this.#at + 1;
    for (; at < end; at += 1) {
      const sign = this.#text[at];
      if (sign === "\\") {
        at += 1;
      } else if (sign === "[") {
        isInClass = true;
      } else if (sign === "]") {
        isInClass = false;
      } else if (sign === "/" && !isInClass) {
        break;
      }
    }
    // Stands for the whole expression, so that what follows is read as after a value.
    this.#keep("/");
    this.#lastSign = ")";
    for (this.#at = at + 1; /[a-z]/.test(this.#text[this.#at] ?? ""); ) {
      this.#at += 1;
    }
  }
}

function findImports(code: string, strings: readonly StringLiteral[]): ImportedModule[] {
  const found: ImportedModule[] = [];
  for (const { start, value } of strings) {
    const near = code.slice(Math.max(0, start - 20), start);
    const isFrom = /[^.\w$]from\s*$/.test(near);
    const isBareOrDynamic = /(?:^|[^.\w$])import\s*\(?\s*$/.test(near);
    if (!isFrom && !isBareOrDynamic) {
      continue;
    }
    const before = code.slice(Math.max(0, start - 4000), start);
    const statement =
      /(?:^|[^.\w$])((?:import|export)(?![\w$])(?:(?!\bimport\b|\bexport\b)[^;])*)$/.exec(
        before,
      )?.[1] ?? "";
    found.push({
      specifier: value,
      line: lineAt(code, start),
      isTypeOnly: isFrom && isTypeOnlyClause(statement),
      isReexport: isFrom && statement.startsWith("export"),
    });
  }
  return found;
}

/** `import type { A }`, and `import { type A, type B }` as well: neither is there when it runs. */
function isTypeOnlyClause(statement: string): boolean {
  if (/^(?:import|export)\s+type\b(?!\s+from\s+from)/.test(statement)) {
    return true;
  }
  const names = /^(?:import|export)\s*\{([^}]*)\}\s*from\s*$/.exec(statement)?.[1]?.split(",");
  const given = names?.map((name) => name.trim()).filter((name) => name !== "") ?? [];
  return given.length > 0 && given.every((name) => name.startsWith("type "));
}

const notFunctions = /^(?:if|for|while|switch|catch|with|await)$/;

/** Every function with a body, found by matching braces: exact enough to measure length. */
export function findFunctions(source: SourceFile): FunctionSpan[] {
  const { code } = source;
  const partners = matchBrackets(code);
  const found: FunctionSpan[] = [];
  for (const [open, close] of partners) {
    if (code[open] !== "{" || close < open) {
      continue;
    }
    const name = functionNameBefore(code, open, partners);
    if (name !== null) {
      const line = lineAt(code, open);
      found.push({ name, line, lines: lineAt(code, close) - line + 1 });
    }
  }
  return found;
}

/** Maps each bracket to its partner, both ways; a stray one has no partner. */
function matchBrackets(code: string): Map<number, number> {
  const partners = new Map<number, number>();
  const stack: number[] = [];
  const closers: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };
  for (let at = 0; at < code.length; at += 1) {
    const sign = code[at] ?? "";
    if (sign === "(" || sign === "[" || sign === "{") {
      stack.push(at);
    } else if (closers[sign] !== undefined) {
      const open = stack.at(-1);
      if (open !== undefined && code[open] === closers[sign]) {
        stack.pop();
        partners.set(open, at);
        partners.set(at, open);
      }
    }
  }
  return partners;
}

/** The name of the function whose body opens at `open`; null when the brace is another kind. */
function functionNameBefore(
  code: string,
  open: number,
  partners: ReadonlyMap<number, number>,
): string | null {
  const base = Math.max(0, open - 300);
  const before = code.slice(base, open).trimEnd();
  if (before.endsWith("=>")) {
    return /([\w$#]+)\s*(?::[^=;]*)?=\s*[^=;]*=>$/.exec(before)?.[1] ?? "an arrow function";
  }
  const closeParen = parameterListEnd(before);
  const openParen = closeParen === -1 ? undefined : partners.get(base + closeParen);
  if (openParen === undefined) {
    return null;
  }
  const head = code.slice(Math.max(0, openParen - 300), openParen);
  const word = /([\w$#]+)\s*(?:<[^;{}]*>)?\s*$/.exec(head)?.[1] ?? "";
  return word === "" || notFunctions.test(word) ? null : word;
}

/** Where the parameters end in `name(...)` or `name(...): Type`; -1 when it ends otherwise. */
function parameterListEnd(before: string): number {
  if (before.endsWith(")")) {
    return before.length - 1;
  }
  return /\)(?=\s*:\s*[^;{}()=]*$)/.exec(before)?.index ?? -1;
}
