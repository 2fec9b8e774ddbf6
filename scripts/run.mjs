#!/usr/bin/env node
// Runs a compiled entry point after bringing dist/ up to date: `run.mjs dist/sim/main.js --seed 1`.
//
// The entry is imported into this very process, and package.json says `exec node`, so nothing is
// between npm and the program: signals sent to npm reach it, and the exit status is its own.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "./build.mjs";

const echoMs = 200;

/**
 * 1. Ctrl-C in a terminal interrupts npm and, being in the same group, this process.
 * 2. npm passes its own interrupt on to this process, within the millisecond.
 * 3. A program that takes a second Ctrl-C for "now, at once" would take one for two.
 */
function ignoreEchoedInterrupts() {
  const emit = process.emit;
  let last = Number.NEGATIVE_INFINITY;
  process.emit = function emitOnce(name, ...rest) {
    if (name === "SIGINT") {
      const now = performance.now();
      if (now - last < echoMs) {
        return true;
      }
      last = now;
    }
    return emit.call(this, name, ...rest);
  };
}

const [entry, ...args] = process.argv.slice(2);
if (entry === undefined) {
  console.error("usage: run.mjs dist/<entry>.js [arguments]");
  process.exitCode = 2;
} else if (await build()) {
  const file = path.resolve(import.meta.dirname, "..", entry);
  ignoreEchoedInterrupts();
  process.setSourceMapsEnabled(true);
  process.argv = [process.execPath, file, ...args];
  await import(pathToFileURL(file).href);
} else {
  process.exitCode = 1;
}
