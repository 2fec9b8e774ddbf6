// The command `npm run sim`: what it prints, and what it exits with.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { main } from "../../sim/main.ts";
import { planOf } from "../../sim/plan.ts";
import { describeOutcome, describeViolation } from "../../sim/report.ts";
import { EXIT_CODES, runPlan } from "../../sim/run.ts";

const SCENARIO = fileURLToPath(
  new URL("../../scenarios/vote-forgotten-by-power-loss.json", import.meta.url),
);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), "cairn-sim-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function run(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  const code = await main(args, (line) => lines.push(...line.split("\n")));
  return { code, lines };
}

function planFile(name: string, draft: object): string {
  const file = path.join(directory, name);
  writeFileSync(file, JSON.stringify(draft));
  return file;
}

test("whoever closes the pipe has seen enough, and nothing is said of it", async () => {
  const program = fileURLToPath(new URL("../../dist/sim/main.js", import.meta.url));
  const child = spawn(process.execPath, [program, "--seed", "7", "--until", "2s"]);
  let complaint = "";
  child.stderr.on("data", (text) => {
    complaint += text;
  });
  child.stdout.destroy();
  const status = await new Promise((resolve) => child.once("close", resolve));
  expect(complaint).toBe("");
  expect(status).toBe(0);
});

const quiet = { format: 1, seed: "quiet", nodes: 3, mishaps: [], healAtMs: 1000 };

describe("npm run sim", () => {
  test("prints the options, at most 60 rows, the digest, how to run it again, and the verdict", async () => {
    const { code, lines } = await run("--seed", "42");
    expect(code).toBe(0);
    expect(lines[0]).toMatch(/^cluster {2}[35] nodes, election \d+-\d+ ms/);
    expect(lines.some((line) => line.startsWith("legend   + started"))).toBe(true);
    const rows = lines.slice(lines.indexOf("") + 1, lines.lastIndexOf(""));
    expect(rows[0]).toMatch(/^ +time {2}n0 n1 n2/);
    expect(rows.length).toBeGreaterThan(10);
    expect(rows.length).toBeLessThanOrEqual(60);
    expect(lines.at(-3)).toMatch(/^digest [0-9a-f]{16}, \d+ events$/);
    expect(lines.at(-2)).toBe("replay: npm run sim -- --seed 42");
    const counts =
      "\\d+ leaders?, \\d+ crash(es)?, \\d+ acked, 0 lost(, \\d+ disks? excused as damaged)?";
    const outcome = `^PASS seed 42: [35] nodes, \\d+ s simulated in \\d+\\.\\d s, ${counts}$`;
    expect(lines.at(-1)).toMatch(new RegExp(outcome));
  });

  test("prints every row when told to be verbose", async () => {
    const { lines } = await run("--seed", "42", "--verbose");
    expect(lines.join("\n")).not.toContain("left out");
    expect(lines.filter((line) => /^ +\d+\.\d{3} /.test(line)).length).toBeGreaterThan(20);
  });

  test("draws a seed and prints it when none is given", async () => {
    const { lines } = await run();
    const seed = /^(?:PASS|FAIL|UNKNOWN) seed (\d+): /.exec(lines.at(-1) ?? "")?.[1];
    expect(lines.at(-2)).toBe(`replay: npm run sim -- --seed ${seed}`);
  });

  test("runs a plan from a file and says why somebody kept it", async () => {
    const { code, lines } = await run("--plan", SCENARIO);
    expect(code).toBe(0);
    expect(lines[0]).toMatch(/^why {6}A node decides on a vote and loses power/);
    expect(lines.at(-1)).toMatch(/^PASS plan .*vote-forgotten-by-power-loss\.json: 3 nodes, /);
  });

  test("prints one line of JSON when asked", async () => {
    const { code, lines } = await run("--plan", SCENARIO, "--json");
    expect(code).toBe(0);
    expect(lines.length).toBe(1);
    const report = JSON.parse(lines[0] ?? "");
    expect(report).toMatchObject({ verdict: "pass", nodes: 3, violation: null });
  });

  test("exits 4 when nothing happened, so that nothing was shown", async () => {
    const { code, lines } = await run(
      "--plan",
      planFile("idle.json", { ...quiet, operations: [] }),
    );
    expect(code).toBe(4);
    expect(lines.join("\n")).toContain("unknown: no append was acknowledged, so nothing was shown");
    expect(lines.at(-1)).toMatch(/^UNKNOWN plan /);
  });

  test("exits 2 when the healed cluster does not recover in time", async () => {
    const append = { kind: "append", client: 0, atMs: 0, times: 3 };
    const hurried = { ...quiet, operations: [append], healAtMs: 10, settleMs: 1 };
    const { code, lines } = await run("--plan", planFile("hurried.json", hurried));
    expect(code).toBe(2);
    expect(lines.join("\n")).toMatch(
      /liveness: recovers-after-healing does not hold, at 0\.0\d+ s\n {2}1\. .*\n {2}2\. 1 ms/,
    );
    expect(lines.at(-1)).toMatch(/^FAIL plan /);
  });

  test.each([
    [["--seed", "4 2"], "A seed is a word of letters and digits"],
    [["--seeds", "0"], "Expected at least 1"],
    [["--seed", "1", "--seeds", "2"], "choose one of --seed and --seeds"],
    [["--plan", "no-such-plan.json"], "no-such-plan.json: ENOENT"],
    [["--colour"], "unknown option '--colour'"],
    [["stray"], "too many arguments"],
  ])("exits 64 for %j", async (args, message) => {
    const { code, lines } = await run(...args);
    expect(code).toBe(64);
    expect(lines.join("\n")).toContain(message);
  });

  test("exits 64 and names the place when a plan is no plan", async () => {
    const file = planFile("bad.json", { ...quiet, nodes: "three", operations: [] });
    const { code, lines } = await run("--plan", file);
    expect(code).toBe(64);
    expect(lines.join("\n")).toContain("nodes: Invalid input: expected number, received string");
  });

  test("runs many seeds and says how fast", async () => {
    const { code, lines } = await run("--seeds", "3", "--from", "7");
    expect(lines[0]).toMatch(
      /^3 seeds in \d+\.\d s, 1 job: \d+\.\d seeds\/s, \d+ events\/s, simulated : wall \d+ : 1$/,
    );
    expect(lines.at(-1)).toMatch(code === 0 ? /^PASS 3 seeds/ : /^UNKNOWN 3 seeds: only \d of 3/);
  });

  test("exits 4 when a batch was too tame to show anything", async () => {
    const { lines } = await run("--seeds", "3", "--from", "7", "--json");
    expect(lines.length).toBe(3);
    expect(lines.map((line) => JSON.parse(line).seed)).toEqual(["7", "8", "9"]);
  });
});

describe("a failing run", () => {
  test("prints the property and the two facts that contradict each other", () => {
    const append = { kind: "append" as const, client: 0, atMs: 500, times: 5 };
    const plan = planOf({ ...quiet, operations: [append] });
    const facts = ["n0 was seen", "n0 must not be seen"];
    let stage: Parameters<NonNullable<import("../../sim/observer.ts").Observer["attach"]>>[0];
    const report = runPlan(plan, [
      {
        attach: (given) => {
          stage = given;
        },
        answered: (node) =>
          stage.report({ property: "unseen", facts, at: stage.now, node: node.name }),
      },
    ]);
    expect(EXIT_CODES[report.verdict]).toBe(1);
    expect(describeViolation(report)).toEqual([
      expect.stringMatching(/^safety: unseen does not hold, at 0\.5\d+ s on n\d$/),
      "  1. n0 was seen",
      "  2. n0 must not be seen",
    ]);
    expect(describeOutcome(report, "plan x", 250)).toMatch(
      /^FAIL plan x: 3 nodes, 1 s simulated in 0\.3 s, /,
    );
  });

  test("is a crash when something throws inside it, and the seed's digest is still given", () => {
    const append = { kind: "append" as const, client: 0, atMs: 500, times: 5 };
    const boom = () => {
      throw new Error("boom");
    };
    const report = runPlan(planOf({ ...quiet, operations: [append] }), [{ answered: boom }]);
    expect(EXIT_CODES[report.verdict]).toBe(3);
    expect(report.violation?.facts[0]).toBe("Error: boom");
    expect(report.digest).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe("a profile", () => {
  test("is part of how to run a seed again", async () => {
    const { lines } = await run("--seed", "3", "--profile", "calm");
    expect(lines).toContain("replay: npm run sim -- --seed 3 --profile calm");
    expect(lines.find((line) => line.startsWith("mishaps"))).toContain("none");
  });

  test("is refused for what is not drawn, and when nobody knows it", async () => {
    const planned = await run("--plan", SCENARIO, "--profile", "disks");
    expect(planned.code).toBe(64);
    expect(planned.lines.join()).toContain("--profile goes with --seed");
    expect((await run("--seed", "3", "--profile", "wild")).code).toBe(64);
  });
});
