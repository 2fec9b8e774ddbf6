// A real text of at least 10,000 lines that is on any machine after `npm ci`, for `cairn demo`.
// Owns the choice and the cutting into lines; prefers a file everybody knows, and falls back on
// searching.

import { lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";

import { CommandError, EXIT } from "./exit.ts";
import { type Line, LineSplitter } from "./lines.ts";

export const DEMO_LINES_MIN = 10_000;
const RECORD_BYTES_MAX = 1024 * 1024;
/** Smaller files cannot have that many lines worth showing; larger ones would only take longer. */
const FILE_BYTES_MIN = 200_000;
const FILE_BYTES_MAX = 8_000_000;
const TEXT_NAME = /\.(?:ts|js|mjs|cjs|json|md|txt|h|map)$/;

/** Tried in this order, as paths under node_modules; "*" stands for any one name. */
const CANDIDATES = [
  "@typescript/*/lib/lib.webworker.d.ts",
  "typescript/lib/lib.webworker.d.ts",
  "fast-check/lib/fast-check.js",
  "protobufjs/dist/protobuf.js",
  "@biomejs/biome/configuration_schema.json",
];

export interface DemoText {
  /** Relative to node_modules' parent, for people. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly lines: readonly Line[];
}

/** Reads `file`, whatever its length. */
export function readText(file: string, name = file): DemoText {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new CommandError(`cannot read ${file}: ${why}`, EXIT.usage);
  }
  const splitter = new LineSplitter(RECORD_BYTES_MAX);
  const lines = splitter.push(bytes);
  const last = splitter.finish();
  return { name, bytes, lines: last === null ? lines : [...lines, last] };
}

/** The first long enough text in the node_modules at or above `directory`. */
export function findDemoText(directory: string): DemoText {
  for (let at = path.resolve(directory); ; at = path.dirname(at)) {
    const modules = path.join(at, "node_modules");
    for (const file of [...candidatesIn(modules), ...textsUnder(modules)]) {
      const text = readText(file, path.relative(at, file));
      if (text.lines.length >= DEMO_LINES_MIN) return text;
    }
    if (at === path.dirname(at)) break;
  }
  const what = `no text of ${DEMO_LINES_MIN} lines in any node_modules at or above ${directory}`;
  throw new CommandError(`${what}: name one with --file FILE`);
}

function* candidatesIn(modules: string): Generator<string> {
  for (const pattern of CANDIDATES) {
    let folders = [modules];
    for (const part of pattern.split("/")) {
      folders = folders.flatMap((folder) =>
        part === "*"
          ? namesIn(folder).map((name) => path.join(folder, name))
          : [path.join(folder, part)],
      );
    }
    yield* folders.filter(isLongFile);
  }
}

/** Depth first in the order of names, so that the same tree gives the same text. */
function* textsUnder(folder: string): Generator<string> {
  for (const name of namesIn(folder)) {
    const full = path.join(folder, name);
    if (TEXT_NAME.test(name) && isLongFile(full)) yield full;
    else if (isFolder(full)) yield* textsUnder(full);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function isLongFile(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  return found?.isFile() === true && found.size >= FILE_BYTES_MIN && found.size <= FILE_BYTES_MAX;
}

/** Links are not followed: a package linked to its own parent would never end. */
function isFolder(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}
