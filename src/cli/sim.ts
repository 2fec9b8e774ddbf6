// `cairn sim ...`: the simulator is a program of its own, which must not meet our timers and
// sockets; this starts it and ends as it ends.

import { spawn } from "node:child_process";
import { constants } from "node:os";
import path from "node:path";

import { CommandError } from "./exit.ts";

/** Hands all flags on, in order; the exit code is the simulator's. */
export async function runSim(flags: readonly string[], mainFile: string): Promise<void> {
  const simulator = path.resolve(path.dirname(mainFile), "..", "sim", "main.js");
  const child = spawn(process.execPath, [simulator, ...flags], { stdio: "inherit" });
  // Ctrl-C reaches the child too: it decides, and we wait for it.
  const ignore = () => undefined;
  process.on("SIGINT", ignore);
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once("error", (error) => reject(new CommandError(`${simulator}: ${error.message}`)));
    child.once("exit", (code, signal) => {
      resolve(signal === null ? (code ?? 0) : 128 + constants.signals[signal]);
    });
  });
}
