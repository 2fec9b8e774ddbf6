// Runs test files on a copy of the repository in which one file is edited, or none: for mutants of
// what the simulator does not run. Owns the copy, the process and the reading of its result.

import { spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";

import { repositoryRoot } from "./build.ts";
import { type Kill, type Mutant, mutate } from "./mutant.ts";

/** What test files read beside themselves; what is big or compiled is linked. */
const COPIED = [
  "src",
  "sim",
  "test",
  "docs",
  "proto",
  "scenarios",
  "README.md",
  "package.json",
  "vitest.config.ts",
];
const LINKED = ["node_modules", "tsconfig.base.json"];
const PATIENCE_MS = 240_000;

export interface TestRun {
  readonly kill: Kill | null;
  /** Tests that ran, and how many of them failed. */
  readonly tests: number;
  readonly failed: number;
  readonly wallMs: number;
}

interface Report {
  readonly numTotalTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** With the edit of `mutant`, or with none; the first file that fails is the checker. */
export async function runTests(files: readonly string[], mutant: Mutant | null): Promise<TestRun> {
  const root = repositoryRoot();
  // Not under node_modules: what is there vitest takes for finished packages.
  const parent = path.join(root, ".cairn", "mutants");
  mkdirSync(parent, { recursive: true });
  const tree = mkdtempSync(path.join(parent, `${mutant?.name ?? "unmutated"}-`));
  try {
    for (const name of COPIED)
      cpSync(path.join(root, name), path.join(tree, name), { recursive: true });
    for (const name of LINKED) symlinkSync(path.join(root, name), path.join(tree, name));
    if (mutant !== null) {
      const edited = mutate(mutant, readFileSync(path.join(root, mutant.file), "utf8"));
      writeFileSync(path.join(tree, mutant.file), edited);
    }
    const began = performance.now();
    const report = await vitest(tree, files);
    return { ...judge(report, tree, files), wallMs: performance.now() - began };
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function judge(
  report: Report | null,
  tree: string,
  files: readonly string[],
): Omit<TestRun, "wallMs"> {
  const none = { seed: "tests", at: 0 } as const;
  if (report === null) {
    const facts = [`the tests did not end in ${PATIENCE_MS / 1000} s`];
    return { kill: { ...none, verdict: "liveness", property: "ends", facts }, tests: 0, failed: 0 };
  }
  const { numTotalTests: tests, numFailedTests: failed, testResults } = report;
  const ran = new Set(testResults.map(({ name }) => path.relative(tree, name)));
  const missing = files.find((file) => !ran.has(file));
  if (missing !== undefined) throw new Error(`${missing} did not run: is there such a file?`);
  const first = testResults.find(({ status }) => status === "failed");
  if (first === undefined) return { kill: null, tests, failed };
  const test = first.assertionResults.find(({ status }) => status === "failed");
  const property = path.relative(tree, first.name);
  const facts = [test?.fullName ?? first.message];
  return { kill: { ...none, verdict: "safety", property, facts }, tests, failed };
}

/** Null when they take too long. */
function vitest(tree: string, files: readonly string[]): Promise<Report | null> {
  const program = path.join(tree, "node_modules", "vitest", "vitest.mjs");
  const output = path.join(tree, "report.json");
  const args = [program, "run", ...files, "--reporter=json", `--outputFile=${output}`];
  // Nothing of a vitest or a suite that we may run in ourselves.
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, CI: "1" };
  const child = spawn(process.execPath, args, { cwd: tree, env, stdio: "ignore", detached: true });
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      // With its own children, one for each file.
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      resolve(null);
    }, PATIENCE_MS);
    child.once("error", reject);
    child.once("close", () => {
      clearTimeout(late);
      try {
        resolve(JSON.parse(readFileSync(output, "utf8")) as Report);
      } catch (error) {
        reject(new Error(`${files.join(", ")}: no report`, { cause: error }));
      }
    });
  });
}
