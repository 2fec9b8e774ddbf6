#!/usr/bin/env node
// Builds dist/ incrementally with the native TypeScript compiler; `--tests` checks the tests too.
//
// Owns: calling `tsc -b`, one build at a time in a working tree, removing outputs whose source is
// gone. Does not own: what is compiled and how (tsconfig*.json). Silent unless there is trouble.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const dist = path.join(root, "dist");
const outputSuffix = /(\.d\.ts|\.js)(\.map)?$/;

/** Brings dist/ up to date; prints why and returns false when it could not. */
export async function build({ withTests = false } = {}) {
  const compiler = await findCompiler();
  if (compiler === null) {
    return false;
  }
  const release = takeLock();
  try {
    removeOrphans();
    const project = withTests ? "tsconfig.json" : "tsconfig.main.json";
    const run = spawnSync(compiler, ["-b", project], { cwd: root, stdio: ["ignore", 2, 2] });
    if (run.error) {
      console.error(`build: the compiler did not start: ${run.error.message}`);
    }
    return run.status === 0;
  } finally {
    release();
  }
}

/** The native executable itself: going through its Node launcher would cost a second Node start. */
async function findCompiler() {
  const locator = path.join(root, "node_modules/typescript/lib/getExePath.js");
  if (!existsSync(locator)) {
    console.error(
      "build: TypeScript is not installed. Run `npm ci` (with dev dependencies) first.",
    );
    return null;
  }
  try {
    return (await import(pathToFileURL(locator).href)).default();
  } catch (error) {
    console.error(`build: no TypeScript compiler for this platform: ${error.message}`);
    return null;
  }
}

/** Two builds at once would write the same files; the second waits, then finds nothing to do. */
function takeLock() {
  const lock = path.join(dist, ".building");
  mkdirSync(dist, { recursive: true });
  for (let waitedMs = 0; waitedMs < 120_000; waitedMs += 20) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      return () => rmSync(lock, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") {
        throw error;
      }
      if (!isHolderAlive(lock)) {
        rmSync(lock, { force: true });
      } else {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      }
    }
  }
  throw new Error(`build: another build has held ${lock} for two minutes`);
}

function isHolderAlive(lock) {
  try {
    const holder = Number(readFileSync(lock, "utf8"));
    // An empty file is a holder between its open and its write.
    return holder === 0 || process.kill(holder, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** `tsc -b` leaves the outputs of deleted sources behind, and an import of one would still work. */
function removeOrphans() {
  for (const entry of readdirSync(dist, { recursive: true })) {
    const stem = entry.replace(outputSuffix, "");
    if (stem !== entry && !existsSync(path.join(root, `${stem}.ts`))) {
      rmSync(path.join(dist, entry), { force: true });
    }
  }
}

/** For `npm ci` and `npm pack`. Without dev dependencies a finished dist/ will do. */
async function prepare() {
  const hasCompiler = existsSync(path.join(root, "node_modules/typescript"));
  const hasSources =
    existsSync(path.join(root, "src")) && existsSync(path.join(root, "tsconfig.json"));
  if (existsSync(path.join(dist, "src/main.js")) && !(hasCompiler && hasSources)) {
    return true;
  }
  if (!hasSources) {
    console.error(
      "prepare: src/ or tsconfig.json is missing here: copy the whole repository first.",
    );
    return false;
  }
  return build();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const flags = new Set(process.argv.slice(2));
  const ok = flags.has("--prepare")
    ? await prepare()
    : await build({ withTests: flags.has("--tests") });
  process.exitCode = ok ? 0 : 1;
}
