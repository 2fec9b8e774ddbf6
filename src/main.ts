#!/usr/bin/env node
// The `cairn` program: hands the command line to its command and turns how that ended into lines
// and an exit code. Owns the process's end; the commands are in src/cli.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";

import { createProgram } from "./cli/commands.ts";
import { CommandError, describeError, EXIT, OutputClosed } from "./cli/exit.ts";
import { paint } from "./cli/terminal.ts";

const mainFile = fileURLToPath(import.meta.url);

function packageVersion(): string {
  // dist/src/main.js and src/main.ts lie at different depths below package.json.
  for (const up of ["../package.json", "../../package.json"]) {
    try {
      const { version } = JSON.parse(readFileSync(new URL(up, import.meta.url), "utf8"));
      if (typeof version === "string") return version;
    } catch {
      // Not there: the next one.
    }
  }
  return "0.0.0";
}

/** Prints what there is to say and gives the exit code. */
function conclude(error: unknown): number {
  // The reader took what it wanted (`| head`) and left: that is no failure.
  if (error instanceof OutputClosed) return EXIT.ok;
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  const name = paint("red", "cairn:", process.stderr);
  if (error instanceof CommandError) {
    for (const line of error.lines) process.stderr.write(`${name} ${line}\n`);
    return error.exitCode;
  }
  process.stderr.write(`${name} ${describeError(error)}\n`);
  if (error instanceof Error && error.stack !== undefined) {
    process.stderr.write(`${error.stack}\n`);
  }
  return EXIT.failed;
}

process.stderr.on("error", () => {
  // Nobody reads our remarks any more: the work goes on.
});

const program = createProgram({ version: packageVersion(), mainFile });
try {
  await program.parseAsync(process.argv);
} catch (error) {
  // At once: a command that failed may have left timers and connections behind.
  process.exit(conclude(error));
}
