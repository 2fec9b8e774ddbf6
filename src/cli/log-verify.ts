// `cairn log verify` and `cairn log repair`: what is wrong with a directory at rest, and putting in
// order what can be without losing an acknowledged entry. Owns the words, the question and the copy
// of the old bytes; what is wrong is log-check.ts, the mending is the log machine's own opening.

import { constants } from "node:fs";
import { copyFile, mkdir, unlink } from "node:fs/promises";
import path from "node:path";

import { lockDataDirectory } from "../adapters/data-lock.ts";
import { FileDisk } from "../adapters/file-disk.ts";
import { chooseIndex } from "../adapters/index-maps.ts";
import { describeRefusal } from "../node/status.ts";
import { type ConfirmFlags, confirm } from "./confirm.ts";
import { CommandError, EXIT } from "./exit.ts";
import { type Checked, checkLog, type Finding } from "./log-check.ts";
import { mebibytes, withLogFiles } from "./log-files.ts";
import { openAndClose, optionsAtRest } from "./log-rehearsal.ts";
import { grouped, Output, paint, say } from "./terminal.ts";

export interface VerifyFlags {
  readonly json?: boolean;
}

export interface RepairFlags extends VerifyFlags, ConfirmFlags {}

const NO_WAY =
  "what is damaged cannot be mended from this directory alone: keep it, and give the node an " +
  "empty one, so that it gets the log from its peers (docs/formats.md); without peers, see " +
  "cairn recover";

export async function runVerify(directory: string, { json }: VerifyFlags): Promise<void> {
  const checked = await withLogFiles(directory, "verified", checkLog);
  await tell(checked, json === true);
  if (!isWhole(checked)) process.exitCode = EXIT.failed;
}

export async function runRepair(directory: string, flags: RepairFlags): Promise<void> {
  const checked = await withLogFiles(directory, "verified", checkLog);
  await tell(checked, flags.json === true);
  const { manifest, findings } = checked;
  if (manifest === null || findings.some(({ level }) => level === "damage")) {
    throw new CommandError(NO_WAY);
  }
  const spoiled = findings.filter(({ level }) => level === "repair").map(({ file }) => file);
  if (spoiled.length === 0 && checked.opening.length === 0) {
    say("nothing to repair");
    return;
  }
  const question = `Repair ${directory}, and keep the old bytes?`;
  await confirm(question, "repair changes the directory", flags);
  const kept = await keepOld(directory, [...spoiled, ...checked.opening]);
  say(`the old bytes are in ${kept}`);
  const lock = await lockDataDirectory(directory);
  try {
    for (const file of spoiled) await unlink(path.join(directory, file));
    const disk = new FileDisk({ directory, index: chooseIndex("auto").maps });
    const { refused } = await openAndClose(optionsAtRest(manifest.identity), disk);
    await disk.close();
    if (refused !== null) throw new CommandError(describeRefusal(refused));
  } finally {
    await lock.release();
  }
  const after = await withLogFiles(directory, "verified", checkLog);
  if (!isWhole(after)) throw new CommandError(["it is not whole yet:", ...linesOf(after)]);
  say("repaired, and verified once more");
}

/** Notes are how a crash leaves a directory: nothing is wrong with them. */
function isWhole({ findings }: Checked): boolean {
  return findings.every(({ level }) => level === "note");
}

/** Copies, beside the directory, of every file that is about to change. */
async function keepOld(directory: string, files: readonly string[]): Promise<string> {
  const stamp = new Date().toISOString().replace(/[:.]/g, "-");
  const kept = `${path.resolve(directory)}.before-repair-${stamp}`;
  await mkdir(kept);
  for (const file of new Set([...files, "manifest", "hard-state"])) {
    const from = path.join(directory, file);
    await copyFile(from, path.join(kept, file), constants.COPYFILE_FICLONE).catch(passAbsent);
  }
  return kept;
}

/** What the opening would make anew was not there before. */
function passAbsent(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

async function tell(checked: Checked, asJson: boolean): Promise<void> {
  const output = new Output();
  const { manifest, findings, opening, ...counts } = checked;
  if (asJson) {
    const facts = { whole: isWhole(checked), ...manifest?.identity, ...counts, findings, opening };
    await output.line(JSON.stringify(facts));
  } else for (const line of linesOf(checked)) await output.line(line);
  await output.flush();
}

const COLOURS = { note: "dim", repair: "yellow", damage: "red" } as const;

function linesOf(checked: Checked): string[] {
  const { manifest, findings, segments, entries, bytes, firstIndex, lastIndex, opening } = checked;
  const whose = manifest?.identity;
  const head = whose === undefined ? [] : [`node ${whose.nodeName} of cluster ${whose.clusterId}`];
  const verdict = isWhole(checked)
    ? paint("green", "whole", process.stdout)
    : paint("red", "not whole", process.stdout);
  const found = `${grouped(entries)} entries (${firstIndex} to ${lastIndex})`;
  const size = `${segments} segments, ${mebibytes(bytes)}`;
  const start = opening.length === 0 ? [] : [`the next start puts in order: ${opening.join(", ")}`];
  return [...head, ...findings.map(lineOf), ...start, `${found} in ${size}: ${verdict}`];
}

function lineOf({ level, file, position, what }: Finding): string {
  return paint(COLOURS[level], `${level}: ${file} at byte ${position}: ${what}`, process.stdout);
}
