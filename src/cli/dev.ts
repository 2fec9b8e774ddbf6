// `cairn dev`: a development cluster of three agents on loopback until Ctrl-C. Data, certificates
// and the profile that client commands find are under .cairn/. Owns what it prints: lines to be
// typed in another terminal, which must work as printed.

import { existsSync, rmSync } from "node:fs";
import path from "node:path";

import { lockDataDirectory } from "../adapters/data-lock.ts";
import { endOffsetOf } from "./connect.ts";
import { type DemoText, readText } from "./demo-text.ts";
import { CommandError, describeError } from "./exit.ts";
import { LocalCluster } from "./local-cluster.ts";
import { PROFILE_PATH, writeProfile } from "./profile.ts";
import { clusterIdOf } from "./settings.ts";
import { onAskedToStop } from "./signals.ts";
import { Output, paint, say } from "./terminal.ts";

export interface DevFlags {
  readonly dir: string;
  readonly fresh?: boolean;
  readonly json?: boolean;
}

const ELECTION_TIMEOUT_MS = 500;

export async function runDev(flags: DevFlags, mainFile: string): Promise<void> {
  const profileFile = path.resolve(flags.dir, PROFILE_PATH);
  const folder = path.dirname(profileFile);
  const lock = await lockDataDirectory(folder).catch((error: unknown) => {
    throw new CommandError(`a development cluster runs here already: ${describeError(error)}`);
  });
  try {
    if (flags.fresh === true) removeData(folder);
    await runCluster(profileFile, mainFile, flags.json === true);
  } finally {
    await lock.release();
  }
}

async function runCluster(profileFile: string, mainFile: string, asJson: boolean): Promise<void> {
  const folder = path.dirname(profileFile);
  const asked = new Promise<null>((resolve) => onAskedToStop(() => resolve(null)));
  let died: (line: string) => void = () => undefined;
  const failure = new Promise<string>((resolve) => {
    died = resolve;
  });
  const cluster = await LocalCluster.create({
    folder,
    mainFile,
    clusterId: clusterIdOf("development"),
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    died: (_name, line) => died(line),
  });
  process.on("exit", () => cluster.killAll());
  try {
    say(paint("dim", "starting three nodes...", process.stderr));
    const ready = await Promise.race([cluster.startAll(), asked]);
    if (ready === null) return;
    writeProfile(profileFile, cluster.profile());
    const endOffset = await Promise.race([endOffsetOf(cluster.profile()), asked]);
    if (endOffset === null) return;
    const text = findText(mainFile);
    const shown = { index: ready[0]?.index ?? "", endOffset, profileFile, text };
    if (asJson) await printJson(cluster, shown);
    else await printLines(cluster, shown);
    const line = await Promise.race([failure, asked]);
    if (line !== null) throw new CommandError(line);
  } finally {
    say(paint("dim", "stopping...", process.stderr));
    await cluster.stopAll();
  }
}

/** All but the certificates: whoever copied them can go on. */
function removeData(folder: string): void {
  for (const name of ["n1", "n2", "n3"]) {
    for (const file of [path.join(folder, name), path.join(folder, `${name}.log`)]) {
      if (existsSync(file)) rmSync(file, { recursive: true });
    }
  }
}

/** A text to try with: the README here, or a file of our own package. */
function findText(mainFile: string): DemoText {
  const here = ["README.md", "package.json"].find((name) => existsSync(name));
  return readText(here ?? path.resolve(path.dirname(mainFile), "..", "..", "package.json"));
}

interface Shown {
  readonly index: string;
  readonly endOffset: number;
  readonly profileFile: string;
  readonly text: DemoText;
}

async function printJson(cluster: LocalCluster, shown: Shown): Promise<void> {
  const { index, endOffset, profileFile: profile } = shown;
  const nodes = cluster.names.map((name) => ({ name, address: cluster.addressOf(name) }));
  const output = new Output();
  await output.line(JSON.stringify({ nodes, index, endOffset, profile }));
  await output.flush();
}

async function printLines(cluster: LocalCluster, shown: Shown): Promise<void> {
  const { index, endOffset, text } = shown;
  const output = new Output();
  const nodes = cluster.names.map((name) => `${name} ${cluster.addressOf(name)}`).join("   ");
  const profile = path.relative(process.cwd(), shown.profileFile) || shown.profileFile;
  const bold = (line: string) => paint("bold", line, process.stdout);
  const file = /^[\w./+-]+$/.test(text.name) ? text.name : `'${text.name.replace(/'/g, "'\\''")}'`;
  const span = `--from ${endOffset} --count ${text.lines.length}`;
  const lines = [
    `${paint("green", "three nodes are up", process.stdout)}   ${nodes}`,
    `index: ${index}; profile: ${profile}; subjects: root, nobody; logs: .cairn/n1.log, ...`,
    "",
    "Type in another terminal, in this folder, with this file or any other:",
    "",
    bold(`  npx cairn produce < ${file}`),
    bold(`  npx cairn consume ${span} | diff - ${file}`),
    bold("  npx cairn consume --follow"),
    bold("  npx cairn members"),
    "",
    "Ctrl-C stops the cluster and keeps its data; npx cairn dev --fresh begins anew.",
  ];
  for (const line of lines) await output.line(line);
}
