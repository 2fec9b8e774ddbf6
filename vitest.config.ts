// Which tests run, and how. CAIRN_TESTS=deep|interop|all picks the slow suites; the default is the
// rest of test/.
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { defineConfig } from "vitest/config";
import type { Reporter, TestModule } from "vitest/node";

const suites: Readonly<Record<string, { include: string[]; exclude: string[] }>> = {
  default: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/deep/**", "test/interop/**"],
  },
  deep: { include: ["test/deep/**/*.test.ts"], exclude: [] },
  interop: { include: ["test/interop/**/*.test.ts"], exclude: [] },
  all: { include: ["test/**/*.test.ts"], exclude: [] },
};
const suiteName = process.env["CAIRN_TESTS"] ?? "default";
const suite = suites[suiteName];
if (suite === undefined) {
  throw new Error(`CAIRN_TESTS=${suiteName}: expected one of ${Object.keys(suites).join(", ")}`);
}

const began = performance.now();

/** Leaves the last result of the deep tests where people look for it. */
function writeDeepResult(result: string): void {
  const git = (...words: string[]) => execFileSync("git", words, { encoding: "utf8" }).trim();
  const commit = git("describe", "--always", "--dirty", "--exclude", "*");
  const day = new Date().toISOString().slice(0, 10);
  const seconds = Math.round((performance.now() - began) / 1000);
  const lines = [
    "# The last deep run",
    "",
    "Written by `npm run test:deep`: every mutant of `sim/mutants/catalogue.ts`, hunted with up to 200 seeds,",
    "plans or tests, and each seed that found one, run on the sources as they are; and a million images",
    "of what crashes leave of drawn workloads of the log, each opened and held against a model.",
    "",
    `${result}, ${seconds} s, commit ${commit}, ${day}.`,
    "",
  ];
  writeFileSync("docs/deep.md", lines.join("\n"));
}

/** Ends the run with a plain line for any CI: `tests: 12 passed, 0 failed, 1 skipped`. */
const closingLine: Reporter = {
  onTestRunEnd(modules: readonly TestModule[]) {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      let moduleTests = 0;
      for (const test of module.children.allTests()) {
        const state = test.result().state;
        counts[state === "pending" ? "skipped" : state] += 1;
        moduleTests += 1;
      }
      // A file that failed to load ran no test and is a failure all the same.
      if (moduleTests === 0 && module.state() === "failed") {
        counts.failed += 1;
      }
    }
    const { passed, failed, skipped } = counts;
    if (suiteName === "deep") writeDeepResult(`${passed} passed, ${failed} failed`);
    process.on("exit", () => {
      process.stdout.write(`tests: ${passed} passed, ${failed} failed, ${skipped} skipped\n`);
    });
  },
};

export default defineConfig({
  test: {
    include: suite.include,
    exclude: ["**/node_modules/**", "dist/**", ...suite.exclude],
    pool: "forks",
    // One more than Vitest takes of two cores: half of the suite waits for processes and timers.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    passWithNoTests: !existsSync(`test/${suiteName}`) && suiteName !== "default",
    reporters: ["default", closingLine],
  },
});
