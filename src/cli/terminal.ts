// What a command shows a person: colour, lines, and a progress bar once something takes over 2 s.
// Progress and remarks go to standard error, so that standard output holds only what was asked for.
// Owns writing with back-pressure and the closed pipe; does not own what is said.

import { styleText } from "node:util";

import { SingleBar } from "cli-progress";

import { CommandError, OutputClosed } from "./exit.ts";

/** A bar appears, or plain lines begin, when the work has taken this long. */
const PROGRESS_AFTER_MS = 2_000;
const PLAIN_LINE_EVERY_MS = 4_000;

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
  readonly #closing = new AbortController();
  #waiters: (() => void)[] = [];

  constructor(stream: NodeJS.WritableStream = process.stdout) {
    this.#stream = stream;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      // EPIPE is the reader's good right; anything else (a full disk) is a failure.
      const failure = new CommandError(`standard output: ${error.message}`);
      this.#closing.abort(error.code === "EPIPE" ? new OutputClosed() : failure);
      this.#wakeAll();
    });
    stream.on("drain", () => this.#wakeAll());
  }

  /** Aborted once nothing can be written any more, with the error to end with as its reason. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /** Resolves when the stream wants more. */
  async write(chunk: string | Uint8Array): Promise<void> {
    this.closed.throwIfAborted();
    if (this.#stream.write(chunk)) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve);
    });
    this.closed.throwIfAborted();
  }

  async line(text: string): Promise<void> {
    await this.write(`${text}\n`);
  }

  /** Resolves when everything has been handed to the system. */
  async flush(): Promise<void> {
    this.closed.throwIfAborted();
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve);
      this.#stream.write("", () => resolve());
    });
    this.closed.throwIfAborted();
  }

  #wakeAll(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

/**
 * Shows how far work has come, once it is slow: a bar on a terminal, a line now and then elsewhere.
 */
export class Progress {
  readonly #label: string;
  readonly #total: number | null;
  readonly #showAtMs: number;
  #lineAtMs: number;
  #bar: SingleBar | null = null;

  /** `total` null: the end is not known, so there is no bar. */
  constructor(label: string, total: number | null, showAfterMs = PROGRESS_AFTER_MS) {
    this.#label = label;
    this.#total = total === 0 ? null : total;
    this.#showAtMs = performance.now() + showAfterMs;
    this.#lineAtMs = this.#showAtMs + PROGRESS_AFTER_MS;
  }

  /** `note` says it in words: how many of what, how fast. */
  update(done: number, note: string): void {
    const now = performance.now();
    if (now < this.#showAtMs) return;
    if (process.stderr.isTTY === true && this.#total !== null) {
      this.#bar ??= this.#startBar(this.#total, done, note);
      this.#bar.update(done, { note });
    } else if (now >= this.#lineAtMs) {
      this.#lineAtMs = now + PLAIN_LINE_EVERY_MS;
      say(`${this.#label}: ${note}`);
    }
  }

  /** Takes the bar away while `write` puts lines there; the next update draws it again. */
  async interrupt(write: () => Promise<void>): Promise<void> {
    this.stop();
    await write();
  }

  /** Takes the bar away. */
  stop(): void {
    this.#bar?.stop();
    this.#bar = null;
  }

  #startBar(total: number, done: number, note: string): SingleBar {
    const bar = new SingleBar({
      format: `${this.#label} {bar} {percentage}%  {note}`,
      barCompleteChar: "\u2588",
      barIncompleteChar: "\u2591",
      barsize: 28,
      fps: 10,
      forceRedraw: true,
      hideCursor: false,
      // A bar that stays would have its place restored by the next one, over lines in between.
      clearOnComplete: true,
      // The command cleans up itself when it is interrupted.
      gracefulExit: false,
      stream: process.stderr,
    });
    bar.start(total, done, { note });
    return bar;
  }
}

/** Counts since its making, a second; whole numbers for people. */
export class Rate {
  readonly #begunMs = performance.now();

  get seconds(): number {
    return (performance.now() - this.#begunMs) / 1000;
  }

  of(count: number): number {
    return Math.round(count / Math.max(this.seconds, 0.001));
  }
}

/** 15606 as "15,606". */
export function grouped(count: number): string {
  return count.toString().replace(/\B(?=(\d{3})+$)/g, ",");
}
