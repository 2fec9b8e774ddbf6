// Which tests run, and how. CAIRN_TESTS=deep|interop|all picks the slow suites; the default is the
// rest of test/.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
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

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Where people look for the last result of the deep tests: one line a file, the others kept. */
const DEEP_PAGE = "docs/deep.md";
const DEEP_LINE = /^ - `(.+?)`: .*$/;

function deepResultOf(module: TestModule, { passed, failed }: Counts): string {
  const git = (...words: string[]) => execFileSync("git", words, { encoding: "utf8" }).trim();
  const commit = git("describe", "--always", "--dirty", "--exclude", "*");
  const day = new Date().toISOString().slice(0, 10);
  const seconds = Math.round(module.diagnostic().duration / 1000);
  const said = [...module.children.allTests()].map((test) => test.meta() as { said?: string });
  const more = said.flatMap((meta) => (meta.said === undefined ? [] : [` ${meta.said}.`])).join("");
  return `${passed} passed, ${failed} failed, ${seconds} s, commit ${commit}, ${day}.${more}`;
}

function writeDeepResults(results: ReadonlyMap<string, string>): void {
  const lines = new Map<string, string>();
  for (const line of readFileSync(DEEP_PAGE, "utf8").split("\n")) {
    const file = DEEP_LINE.exec(line)?.[1];
    if (file !== undefined) lines.set(file, line);
  }
  for (const [file, result] of results) lines.set(file, ` - \`${file}\`: ${result}`);
  const page = [
    "# The last deep runs",
    "",
    "Written by `npm run test:deep`, of each file when it was run last. One hunts every mutant of",
    "`sim/mutants/catalogue.ts` with up to 200 seeds, plans or tests, and runs each seed that found one on",
    "the sources as they are; the other opens a million images of what crashes leave of drawn workloads of",
    "the log, and holds each against a model.",
    "",
    ...[...lines.values()].sort(),
    "",
  ];
  writeFileSync(DEEP_PAGE, page.join("\n"));
}

function countsOf(module: TestModule): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const test of module.children.allTests()) {
    const state = test.result().state;
    counts[state === "pending" ? "skipped" : state] += 1;
  }
  // A file that failed to load ran no test and is a failure all the same.
  const ranNone = counts.passed + counts.failed + counts.skipped === 0;
  if (ranNone && module.state() === "failed") counts.failed += 1;
  return counts;
}

/** Ends the run with a plain line for any CI: `tests: 12 passed, 0 failed, 1 skipped`. */
const closingLine: Reporter = {
  onTestRunEnd(modules: readonly TestModule[]) {
    const sum: Counts = { passed: 0, failed: 0, skipped: 0 };
    const deepResults = new Map<string, string>();
    for (const module of modules) {
      const counts = countsOf(module);
      sum.passed += counts.passed;
      sum.failed += counts.failed;
      sum.skipped += counts.skipped;
      const file = path.relative(process.cwd(), module.moduleId);
      if (suiteName === "deep") deepResults.set(file, deepResultOf(module, counts));
    }
    const { passed, failed, skipped } = sum;
    if (deepResults.size > 0) writeDeepResults(deepResults);
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
