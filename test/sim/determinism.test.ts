// One seed, one run: the same digest twice in one process, in two processes, and wherever and
// however the process was started.

import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

import { runPlan } from "../../sim/run.ts";
import { drawPlan } from "../../sim/swarm.ts";
import { Trace } from "../../sim/trace.ts";

/** Compiled by `npm test` before the tests run. */
const PROGRAM = fileURLToPath(new URL("../../dist/sim/main.js", import.meta.url));

interface Surroundings {
  readonly flags?: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
  readonly directory?: string;
}

function digestElsewhere(seed: string, surroundings: Surroundings): string {
  const { flags = [], variables = {}, directory } = surroundings;
  const run = spawnSync(process.execPath, [...flags, PROGRAM, "--seed", seed, "--json"], {
    encoding: "utf8",
    env: { ...process.env, ...variables },
    ...(directory === undefined ? {} : { cwd: directory }),
  });
  expect(run.stderr).toBe("");
  const report = JSON.parse(run.stdout) as { seed: string; digest: string };
  expect(report.seed).toBe(seed);
  return report.digest;
}

describe("a seed", () => {
  test("gives the same report twice in one process", () => {
    for (const seed of ["1", "2", "3"]) {
      const [first, again] = [runPlan(drawPlan(seed)), runPlan(drawPlan(seed))];
      expect(again).toEqual(first);
      expect(first.digest).toMatch(/^[0-9a-f]{16}$/);
    }
  });

  test("gives the same digest whoever watches", () => {
    const unwatched = runPlan(drawPlan("4")).digest;
    expect(runPlan(drawPlan("4"), [new Trace()]).digest).toBe(unwatched);
  });

  test("gives another digest than another seed, and than a plan that differs in one draw", () => {
    const plan = drawPlan("8");
    const digest = runPlan(plan).digest;
    expect(runPlan(drawPlan("9")).digest).not.toBe(digest);
    expect(runPlan({ ...plan, mishaps: plan.mishaps.slice(1) }).digest).not.toBe(digest);
  });

  test("gives the same digest in any process, time zone, locale, directory and hash seed", () => {
    const here = runPlan(drawPlan("42")).digest;
    const elsewhere: Surroundings[] = [
      {},
      { variables: { TZ: "Pacific/Kiritimati", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8" } },
      { directory: tmpdir(), flags: ["--hash-seed=12345", "--random-seed=7"] },
    ];
    for (const surroundings of elsewhere) expect(digestElsewhere("42", surroundings)).toBe(here);
  });
});
