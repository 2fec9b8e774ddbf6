// `cairn dev`: a development cluster of three agents on loopback until Ctrl-C. Data, certificates
// and the profile that client commands find are under .cairn/. Owns what it prints: lines to be
// typed in another terminal, which must work as printed.

import { existsSync, rmSync } from "node:fs";
import path from "node:path";

import { lockDataDirectory } from "../adapters/data-lock.ts";
import { endOffsetOf } from "./connect.ts";
import { CommandError, describeError } from "./exit.ts";
import { LocalCluster } from "./local-cluster.ts";
import { PROFILE_PATH, writeProfile } from "./profile.ts";
import { clusterIdOf } from "./settings.ts";
import { onAskedToStop } from "./signals.ts";
import { Output, paint, say } from "./terminal.ts";

export interface DevFlags {
  readonly dir: string;
  readonly fresh?: boolean;
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
    await runCluster(folder, profileFile, mainFile);
  } finally {
    await lock.release();
  }
}

async function runCluster(folder: string, profileFile: string, mainFile: string): Promise<void> {
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
    await printLines(cluster, ready[0]?.index ?? "", endOffset, profileFile);
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

async function printLines(
  cluster: LocalCluster,
  index: string,
  endOffset: number,
  profileFile: string,
): Promise<void> {
  const output = new Output();
  const nodes = cluster.names.map((name) => `${name} ${cluster.addressOf(name)}`).join("   ");
  const shown = path.relative(process.cwd(), profileFile) || profileFile;
  const bold = (text: string) => paint("bold", text, process.stdout);
  const lines = [
    `${paint("green", "three nodes are up", process.stdout)}   ${nodes}`,
    `index: ${index}; profile: ${shown}; subjects: root, nobody; logs: .cairn/n1.log, ...`,
    "",
    "Type in another terminal, in this folder or below it:",
    "",
    bold("  npx cairn produce < FILE"),
    bold(`  npx cairn consume --from ${endOffset} --count N | diff - FILE`),
    bold("  npx cairn consume --follow"),
    bold("  npx cairn members"),
    "",
    endOffset === 0
      ? "N is the number of records, which produce prints. Ctrl-C stops the cluster and keeps its data."
      : `The log holds ${endOffset} records from before (npx cairn dev --fresh begins anew). Ctrl-C stops.`,
  ];
  for (const line of lines) await output.line(line);
}
