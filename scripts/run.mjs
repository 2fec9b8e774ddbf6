#!/usr/bin/env node
// Runs a compiled entry point, after bringing dist/ up to date: `run.mjs dist/sim/main.js --seed 1`.
//
// The entry is imported into this very process, so signals and exit codes need no forwarding: Ctrl-C
// arrives once, and the status is the program's own.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "./build.mjs";

const [entry, ...args] = process.argv.slice(2);
if (entry === undefined) {
  console.error("usage: run.mjs dist/<entry>.js [arguments]");
  process.exit(2);
}
if (await build()) {
  const file = path.resolve(import.meta.dirname, "..", entry);
  process.setSourceMapsEnabled(true);
  process.argv = [process.execPath, file, ...args];
  await import(pathToFileURL(file).href);
} else {
  process.exitCode = 1;
}
