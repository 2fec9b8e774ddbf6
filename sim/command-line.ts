// What the simulator's commands have in common on the command line: the forms of arguments, plan
// files, and what a command that cannot be understood exits with. Owns no command.

import { readFileSync } from "node:fs";
import { type Command, CommanderError, InvalidArgumentError } from "commander";

import { BadPlan, decodePlan, type Plan } from "./plan.ts";
import { PROFILES, type Profile } from "./profiles.ts";
import { EXIT_USAGE } from "./run.ts";

/** Where a command prints; a test gives its own. */
export type Print = (line: string) => void;

let isHeard = false;

/** Prints a line to the terminal; who has closed the pipe has seen enough, and the program ends. */
export function printLine(line: string): void {
  if (!isHeard) process.stdout.on("error", endAtClosedPipe);
  isHeard = true;
  process.stdout.write(`${line}\n`);
}

function endAtClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
  process.exit();
}

/** Something on the command line, or in a file named there, cannot be used. */
export class UsageError extends Error {}

/** A program shows nothing of itself on a terminal before this. */
export const NEWS_AFTER_MS = 2000;

/** Parses, runs, and turns misuse into a line and an exit code. */
export async function runCommand(
  command: Command,
  args: readonly string[],
  print: Print,
  run: () => Promise<number>,
): Promise<number> {
  const write = (text: string) => print(text.trimEnd());
  command.allowExcessArguments(false).exitOverride();
  command.configureOutput({ writeOut: write, writeErr: write });
  try {
    command.parse([...args], { from: "user" });
    return await run();
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    if (!(error instanceof UsageError)) throw error;
    print(`error: ${error.message}`);
    return EXIT_USAGE;
  }
}

export function readPlan(file: string): Plan {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`--plan ${file}: ${(error as Error).message}`);
  }
  try {
    return decodePlan(text);
  } catch (error) {
    if (error instanceof BadPlan) throw new UsageError(`--plan ${file}:\n${error.message}`);
    throw error;
  }
}

export function parseSeed(text: string): string {
  if (/^[0-9A-Za-z._-]+$/.test(text)) return text;
  throw new InvalidArgumentError("A seed is a word of letters and digits.");
}

export function parseProfile(text: string): Profile {
  const found = PROFILES.find((profile) => profile === text);
  if (found !== undefined) return found;
  throw new InvalidArgumentError(`Expected one of ${PROFILES.join(", ")}.`);
}

export function parseWhole(text: string): number {
  const value = Number(text);
  if (/^[0-9]+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("Expected a whole number.");
}

export function parseCount(text: string): number {
  const value = parseWhole(text);
  if (value >= 1) return value;
  throw new InvalidArgumentError("Expected at least 1.");
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `900ms`, `1.5s`, `10m`, `2h`, in milliseconds. */
export function parseSpanMs(text: string): number {
  const [, number, unit] = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(number) * (UNIT_MS[unit ?? ""] ?? 0);
  if (Number.isSafeInteger(Math.round(ms)) && ms > 0) return Math.round(ms);
  throw new InvalidArgumentError("Expected a time with its unit, as 900ms, 1.5s, 10m or 2h.");
}
