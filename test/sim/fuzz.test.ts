// `npm run fuzz`: failures that are alike are one, every end has its exit code, JUnit's file is XML
// that names each seed, and the program itself runs, is interrupted and goes on with fresh seeds.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  describeFuzz,
  describeProgress,
  encodeJunit,
  fitLine,
  judgeFuzz,
} from "../../sim/fuzz-report.ts";
import { FuzzTally } from "../../sim/fuzz-tally.ts";
import { Marks } from "../../sim/marks.ts";
import type { RunReport } from "../../sim/run.ts";
import type { SeedOutcome } from "../../sim/seed-pool.ts";
import { Tally } from "../../sim/tally.ts";
import type { Instant } from "../../src/base/ids.ts";

const PROGRAM = fileURLToPath(new URL("../../dist/sim/fuzz.js", import.meta.url));

function reported(seed: string, property: string | null): SeedOutcome {
  const facts = [`n1 did <this> & that at ${seed}`, "n2 did not"];
  const report: RunReport = {
    seed,
    nodes: 3,
    verdict: property === null ? "pass" : "safety",
    violation: property === null ? null : { property, facts, at: 0 as Instant, node: null },
    excuse: null,
    losses: [],
    digest: "0",
    events: 100,
    simulatedMs: 5000,
    counts: new Tally().counts,
    marks: { ...new Marks().counts, blackout: 1 },
  };
  return { kind: "report", seed, profile: "swarm", report, wallMs: 20 };
}

function tallyOf(...outcomes: readonly SeedOutcome[]): FuzzTally {
  const tally = new FuzzTally();
  for (const outcome of outcomes) tally.add(outcome);
  return tally;
}

const PASSED = reported("1", null);
const DIED = { kind: "died", profile: "swarm", why: "RangeError: 7 (exit 1)", wallMs: 3 } as const;

describe("a fuzzing run", () => {
  test("puts failures together that are alike, and keeps others apart", () => {
    const tally = tallyOf(
      PASSED,
      reported("2", "lost-write"),
      reported("3", "duplicate"),
      reported("4", "lost-write"),
      { ...DIED, seed: "5" },
      { ...DIED, seed: "6", why: "RangeError: 8 (exit 1)" },
      { kind: "late", seed: "7", profile: "swarm", wallMs: 60_000 },
    );
    expect([...tally.groups.values()].map(({ property, seeds }) => [property, seeds])).toEqual([
      ["lost-write", ["2", "4"]],
      ["duplicate", ["3"]],
      ["simulator-stands", ["5", "6"]],
      ["ends", ["7"]],
    ]);
    expect(tally.failures).toBe(6);
  });

  test("names each kind of failure once, with its facts and how to see it again", () => {
    const tally = tallyOf(PASSED, reported("2", "lost-write"));
    const words = describeFuzz(tally, 1000, "swarm");
    expect(words[0]).toBe(
      "2 seeds, 2.0 seeds/s, 200 events/s, 0.000000 simulated years, " +
        `1 of ${tally.marks.size} marks, 1 failure of 1 kind, in 0:01`,
    );
    expect(words.slice(-5)).toEqual([
      "1 x safety: lost-write, seeds 2",
      "  1. n1 did <this> & that at 2",
      "  2. n2 did not",
      "  replay: npm run sim -- --seed 2",
      "  shrink: npm run sim -- shrink --seed 2",
    ]);
  });

  test("says how far it is on one line of a terminal", () => {
    const tally = tallyOf(PASSED, reported("2", "lost-write"));
    const line = describeProgress(tally, 83_000, 600_000);
    expect(line).toBe(
      `1:23/10:00  2 seeds, 1 failed, 0.0/s, 0 k events/s, 0.000000 years, 1/${tally.marks.size} marks`,
    );
    expect(fitLine(line, 40)).toHaveLength(39);
  });

  test("ends with a code for each way to end", () => {
    const good = tallyOf(PASSED);
    expect(judgeFuzz(good, null, false)).toEqual({
      code: 0,
      words: "PASS 1 seed, no failing seed",
    });
    expect(judgeFuzz(tallyOf(reported("2", "duplicate")), null, false)).toEqual({
      code: 1,
      words: "FAIL 1 seed: 1 failed, by duplicate",
    });
    expect(judgeFuzz(good, "no seed noticed", false)).toEqual({
      code: 4,
      words: "FAIL 1 seed: no seed noticed",
    });
    expect(judgeFuzz(tallyOf(), null, false).code).toBe(4);
    expect(judgeFuzz(good, null, true).code).toBe(130);
  });

  test("says unknown when many seeds have missed a mark", () => {
    const many = tallyOf(...Array.from({ length: 200 }, (_, at) => reported(String(at), null)));
    expect(judgeFuzz(many, null, false)).toMatchObject({
      code: 4,
      words: expect.stringMatching(/^UNKNOWN 200 seeds: no run came to: competing-candidates/),
    });
  });

  test("is written as JUnit's XML, with everything escaped", () => {
    const tally = tallyOf(PASSED, reported("2", "lost-write"), { ...DIED, seed: "5" });
    const xml = encodeJunit(tally, { name: "c", why: null, wallMs: 5 }, "swarm", 1000);
    expect(xml).toContain('<testsuite name="sim.swarm" tests="4" failures="1" errors="1"');
    expect(xml).toContain('<testcase classname="sim.swarm" name="seed 1" time="0.020"/>');
    expect(xml).toContain(
      '<failure type="safety" message="lost-write">n1 did &lt;this&gt; &amp; that at 2\nn2 did not',
    );
    expect(xml).toContain('<error type="crash" message="simulator-stands">');
  });

  test("counts a canary that lives as a failed test", () => {
    const canary = { name: "c", why: "no seed noticed", wallMs: 5 };
    const xml = encodeJunit(tallyOf(PASSED), canary, "swarm", 1000);
    expect(xml).toContain('tests="2" failures="1" errors="0"');
    expect(xml).toContain('<failure type="unknown" message="canary-fails">no seed noticed');
  });
});

describe("the program", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "cairn-fuzz-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const flagsOf = (...more: readonly string[]) => [
    PROGRAM,
    "--ledger",
    path.join(folder, "ledger.ndjson"),
    ...more,
  ];

  test("fails its canary, runs seeds, and goes on with fresh ones after Ctrl-C", {
    timeout: 240_000,
  }, async () => {
    const junit = path.join(folder, "junit.xml");
    const flags = flagsOf("--budget", "10ms", "--junit", junit);
    const first = spawnSync(process.execPath, flags, { encoding: "utf8" });
    expect(first.stdout).toMatch(/^canary {3}duplicate-sequence-accepted fails as it must/m);
    expect(first.stdout.trimEnd().split("\n").at(-1)).toBe("PASS 1 seed, no failing seed");
    expect(first.status).toBe(0);
    expect(readFileSync(junit, "utf8")).toContain('name="seed 1"');

    const child = spawn(process.execPath, flagsOf("--budget", "1h", "--jobs", "2"));
    let said = "";
    let isInterrupted = false;
    child.stdout.on("data", (text) => {
      said += text;
      if (isInterrupted || !said.includes("ledger ")) return;
      isInterrupted = true;
      child.kill("SIGINT");
    });
    const status = await new Promise((resolve) => child.once("close", resolve));
    expect(said.trimEnd().split("\n").at(-1)).toMatch(/^INTERRUPTED \d+ seeds?, none failed$/);
    expect(status).toBe(130);

    const third = spawnSync(process.execPath, flags, { encoding: "utf8" });
    expect(third.status).toBe(0);
    const rows = readFileSync(path.join(folder, "ledger.ndjson"), "utf8").trim().split("\n");
    const seeds = rows.slice(1).map((row) => (JSON.parse(row) as { seed: string }).seed);
    expect(seeds).toEqual([...new Set(seeds)]);
    expect(seeds.length).toBeGreaterThanOrEqual(2);
  });

  test("refuses a canary that no seed hunts, and names that do not exist", () => {
    const refused = spawnSync(process.execPath, flagsOf("--canary", "two-changes-at-once"), {
      encoding: "utf8",
    });
    expect(refused.stdout).toContain("error: --canary two-changes-at-once: no seed of the profile");
    expect(refused.status).toBe(64);
    const unknown = spawnSync(process.execPath, flagsOf("--canary", "none"), { encoding: "utf8" });
    expect(unknown.stdout).toContain('error: there is no mutant "none"');
    expect(unknown.status).toBe(64);
  });
});
