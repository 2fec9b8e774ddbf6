// What a command shows a person: colour, lines, and a progress bar once something takes over 2 s.
// Progress and remarks go to standard error, so that standard output holds only what was asked for.
// Owns writing with back-pressure and the closed pipe; does not own what is said.

import { styleText } from "node:util";

import { SingleBar } from "cli-progress";

import { OutputClosed } from "./exit.ts";

/** A bar appears, or plain lines begin, when the work has taken this long. */
const PROGRESS_AFTER_MS = 2_000;
const PLAIN_LINE_EVERY_MS = 5_000;

type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Colour only on a terminal that wants it (NO_COLOR, TERM=dumb). */
export function hasColour(stream: { isTTY?: boolean }): boolean {
  const { NO_COLOR: noColour = "", TERM: term = "" } = process.env;
  return stream.isTTY === true && noColour === "" && term !== "dumb";
}

export function paint(style: Style, text: string, stream: { isTTY?: boolean }): string {
  return hasColour(stream) ? styleText(style, text) : text;
}

/** Writes to standard error, for people. */
export function say(line = ""): void {
  process.stderr.write(`${line}\n`);
}

/** Standard output with back-pressure; throws OutputClosed once the reader is gone. */
export class Output {
  readonly #stream: NodeJS.WritableStream;
  #closed = false;
  #wake: (() => void) | null = null;

  constructor(stream: NodeJS.WritableStream = process.stdout) {
    this.#stream = stream;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      // EPIPE is the reader's good right; anything else (a full disk) is told by the next write.
      this.#closed = true;
      if (error.code !== "EPIPE") say(`cairn: standard output: ${error.message}`);
      this.#wake?.();
    });
    stream.on("drain", () => this.#wake?.());
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Resolves when the stream wants more. */
  async write(chunk: string | Uint8Array): Promise<void> {
    if (this.#closed) throw new OutputClosed();
    if (this.#stream.write(chunk)) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
    if (this.#closed) throw new OutputClosed();
  }

  async line(text: string): Promise<void> {
    await this.write(`${text}\n`);
  }

  /** Resolves when everything has been handed to the system. */
  async flush(): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#stream.write("", () => resolve());
    });
  }
}

/** Counts work that has a known or unknown end, and shows it when it is slow or when asked to. */
export class Progress {
  readonly #label: string;
  readonly #total: number | null;
  readonly #begunAt = performance.now();
  readonly #showAfterMs: number;
  #done = 0;
  #note = "";
  #bar: SingleBar | null = null;
  #lineAt: number;

  /** `total` null: the end is not known, so lines only. */
  constructor(label: string, total: number | null, showAfterMs = PROGRESS_AFTER_MS) {
    this.#label = label;
    this.#total = total;
    this.#showAfterMs = showAfterMs;
    this.#lineAt = this.#begunAt + showAfterMs;
  }

  get done(): number {
    return this.#done;
  }

  /** Records a second since the beginning. */
  get rate(): number {
    const seconds = (performance.now() - this.#begunAt) / 1000;
    return seconds === 0 ? 0 : Math.round(this.#done / seconds);
  }

  update(done: number, note = this.#note): void {
    this.#done = done;
    this.#note = note;
    this.#show();
  }

  /** Says a line without tearing the bar. */
  remark(line: string): void {
    const bar = this.#bar;
    if (bar === null) {
      say(line);
      return;
    }
    process.stderr.write("\r\x1b[2K");
    say(line);
    bar.render();
  }

  stop(): void {
    this.#bar?.update(this.#done, this.#payload());
    this.#bar?.stop();
    this.#bar = null;
  }

  #show(): void {
    const now = performance.now();
    if (now - this.#begunAt < this.#showAfterMs) return;
    if (process.stderr.isTTY === true && this.#total !== null) {
      this.#bar ??= this.#startBar(this.#total);
      this.#bar.update(this.#done, this.#payload());
    } else if (now >= this.#lineAt) {
      this.#lineAt = now + PLAIN_LINE_EVERY_MS;
      const of = this.#total === null ? "" : ` of ${this.#total}`;
      const note = this.#note === "" ? "" : `, ${this.#note}`;
      say(`${this.#label}: ${this.#done}${of}, ${this.rate}/s${note}`);
    }
  }

  #startBar(total: number): SingleBar {
    const bar = new SingleBar({
      format: `${this.#label} {bar} {value}/{total}  {rate}/s  {note}`,
      barCompleteChar: "█",
      barIncompleteChar: "░",
      barsize: 28,
      fps: 10,
      forceRedraw: true,
      hideCursor: false,
      clearOnComplete: false,
      // The command cleans up itself when it is interrupted.
      gracefulExit: false,
      stream: process.stderr,
    });
    bar.start(total, this.#done, this.#payload());
    return bar;
  }

  #payload(): { rate: number; note: string } {
    return { rate: this.rate, note: this.#note };
  }
}
