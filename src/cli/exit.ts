// How a command ends: the exit codes and the one error type that commands throw to end with a line.
// Owns no printing: main.ts prints the line and exits.

export const EXIT = {
  ok: 0,
  /** The command was understood and did not succeed; standard error says why. */
  failed: 1,
  /** The command line, the environment or a configuration file is wrong (sysexits' EX_USAGE). */
  usage: 64,
  /** Ctrl-C before the work was done (128 + SIGINT). */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends the command; each line is printed on its own, after the command's name. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly lines: readonly string[];
  readonly exitCode: ExitCode;

  constructor(lines: string | readonly string[], exitCode: ExitCode = EXIT.failed) {
    const list = typeof lines === "string" ? [lines] : lines;
    super(list.join("\n"));
    this.lines = list;
    this.exitCode = exitCode;
  }
}

/** The reader of our output went away (`| head`): nothing is wrong, and there is nobody to tell. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** The message of whatever was thrown, on one line. */
export function describeError(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s*\n\s*/g, "; ");
}
