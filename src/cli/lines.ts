// How a text becomes records and records become a text again, byte for byte. A line is a record;
// its newline is not part of it. The one line that may lack a newline, a text's last, says so in a
// header, so `produce < a; produce < b` reads back as `cat a b`. Owns no input or output.

/** The header of a record whose line had no newline at its end. */
export const LINE_END_HEADER = "cairn-line-end";
export const NO_NEWLINE = "none";

const NEWLINE = 0x0a;

export interface Line {
  /** A view of the chunk where it can be, else a copy; never written to again. */
  readonly bytes: Uint8Array;
  /** False only for a last line that the text did not end. */
  readonly ended: boolean;
}

export class LineTooLong extends Error {
  override readonly name = "LineTooLong";
  /** Counted from 1. */
  readonly line: number;
  /** The lines of the same chunk that came before it. */
  readonly before: readonly Line[];

  constructor(line: number, bytesMax: number, before: readonly Line[]) {
    super(`line ${line} is longer than ${bytesMax} bytes, the most that a record may have`);
    this.line = line;
    this.before = before;
  }
}

/** Cuts chunks into lines. Holds at most one line; a longer one than `bytesMax` is refused. */
export class LineSplitter {
  readonly #bytesMax: number;
  #parts: Uint8Array[] = [];
  #held = 0;
  #lines = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The lines that end in `chunk`, which must not be written to again. Throws LineTooLong. */
  push(chunk: Uint8Array): Line[] {
    const lines: Line[] = [];
    let from = 0;
    for (;;) {
      const at = chunk.indexOf(NEWLINE, from);
      this.#check((at < 0 ? chunk.length : at) - from, lines);
      if (at < 0) break;
      lines.push({ bytes: this.#join(chunk.subarray(from, at)), ended: true });
      from = at + 1;
    }
    if (from < chunk.length) {
      this.#parts.push(chunk.subarray(from));
      this.#held += chunk.length - from;
    }
    return lines;
  }

  /** The last line, when the text did not end with a newline. */
  finish(): Line | null {
    if (this.#held === 0) return null;
    return { bytes: this.#join(new Uint8Array(0)), ended: false };
  }

  #join(last: Uint8Array): Uint8Array {
    this.#lines += 1;
    if (this.#held === 0) return last;
    const bytes = new Uint8Array(this.#held + last.length);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    bytes.set(last, at);
    this.#parts = [];
    this.#held = 0;
    return bytes;
  }

  #check(more: number, before: readonly Line[]): void {
    if (this.#held + more <= this.#bytesMax) return;
    throw new LineTooLong(this.#lines + 1, this.#bytesMax, before);
  }
}

interface HeaderLike {
  readonly name: string;
  readonly value: Uint8Array;
}

/** The headers that a line's record carries. */
export function headersOf(line: Line): HeaderLike[] {
  if (line.ended) return [];
  return [{ name: LINE_END_HEADER, value: new TextEncoder().encode(NO_NEWLINE) }];
}

/** Whether a newline follows this record's value in the text. */
export function endsLine(headers: readonly HeaderLike[]): boolean {
  const mark = headers.find(({ name }) => name === LINE_END_HEADER);
  return mark === undefined || new TextDecoder().decode(mark.value) !== NO_NEWLINE;
}
