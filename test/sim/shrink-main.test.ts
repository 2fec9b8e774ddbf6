// The command `npm run sim -- shrink`: what it keeps of a failure, what it writes, prints and exits
// with, and the table of figures that it makes.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { main } from "../../sim/main.ts";
import type { Observer, Stage, Violation } from "../../sim/observer.ts";
import { decodePlan, type Plan, planOf } from "../../sim/plan.ts";
import { type RunReport, runPlan } from "../../sim/run.ts";
import { type RunPlan, shrinkFailure } from "../../sim/shrink-failure.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), "cairn-shrink-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function run(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  const code = await main(args, (line) => lines.push(...line.split("\n")));
  return { code, lines };
}

const append = { kind: "append" as const, client: 0, atMs: 300, times: 20, everyMs: 20 };
const slow = { kind: "slow-disk" as const, node: 1, atMs: 700, forMs: 300, times: 5 };
const cut = { kind: "partition" as const, side: [0], atMs: 800, forMs: 300 };
const busy = {
  format: 1,
  seed: "busy",
  nodes: 5,
  operations: [append, { ...append, client: 1, records: 3 }],
  mishaps: [slow, cut],
  healAtMs: 1200,
} as const;

describe("npm run sim -- shrink", () => {
  test("shrinks a failure to recover in time, and its plan fails in the same way", async () => {
    const file = path.join(directory, "hurried.json");
    const out = path.join(directory, "out", "hurried-small.json");
    writeFileSync(file, JSON.stringify({ ...busy, healAtMs: 305, settleMs: 1 }));
    const { code, lines } = await run("shrink", "--plan", file, "--out", out);
    expect(lines.at(-1)).toMatch(/^SHRUNK plan .*: 4 -> 1 plan event in \d+ runs and \d+\.\d s$/);
    expect(lines.at(-2)).toBe(`replay: npm run sim -- --plan ${out}`);
    expect(lines[0]).toMatch(
      /^plan {5}2 -> 1 operation, 2 -> 0 mishaps, 5 -> 1 node, healed at 305 -> \d+ ms$/,
    );
    expect(lines[1]).toMatch(/^run {6}\d+ -> \d+ events; nothing more can be taken away/);
    expect(code).toBe(0);
    const plan = decodePlan(readFileSync(out, "utf8"));
    expect(plan.why[0]).toMatch(/^liveness: [a-z-]+$/);
    expect(plan.why).toContain("Shrunk from seed busy.");
    expect(plan.why.length).toBe(4);
    const again = await run("--plan", out);
    expect(again.code).toBe(2);
    expect(again.lines.join("\n")).toContain(`${plan.why[0]} does not hold`);
  });

  test("shrinks in a broken build, and the printed line shows the two facts there again", async () => {
    const out = path.join(directory, "ack.json");
    const mutant = ["--mutant", "ack-before-fsync"];
    const { code, lines } = await run("shrink", ...mutant, "--seed", "1", "--out", out);
    expect(lines.at(-1)).toMatch(/^SHRUNK seed 1: \d+ -> \d plan events? in /);
    expect(lines.at(-2)).toBe(`replay: npm run sim -- --plan ${out} --mutant ack-before-fsync`);
    // So little is left that it may show nothing where nothing is broken.
    const unbroken = /^unbroken (pass|unknown): the same plan on the sources as they are$/;
    expect(lines.filter((line) => unbroken.test(line))).toHaveLength(1);
    expect(code).toBe(0);
    const facts = lines.filter((line) => /^ {2}[12]\. /.test(line));
    expect(facts.length).toBe(2);
    const again = await run("--plan", out, ...mutant);
    expect(again.code).toBe(1);
    expect(again.lines.filter((line) => /^ {2}[12]\. /.test(line))).toEqual(facts);
    expect(again.lines.at(-2)).toBe(lines.at(-2));
    expect([0, 4]).toContain((await run("--plan", out)).code);
  });

  test("exits 4 when nothing fails", async () => {
    const file = path.join(directory, "sound.json");
    writeFileSync(file, JSON.stringify(busy));
    const { code, lines } = await run("shrink", "--plan", file);
    expect(code).toBe(4);
    expect(lines).toEqual([`PASS plan ${file}: it does not fail, so there is nothing to shrink`]);
  });

  test.each([
    [[], "say what to shrink: --seed, --plan or --mutant"],
    [["--seed", "1", "--plan", "x.json"], "choose one of --seed and --plan"],
    [["--mutant", "nobody"], 'there is no mutant "nobody"'],
    [["--plan", "no-such-plan.json"], "no-such-plan.json: ENOENT"],
    [["--seconds", "0"], "Expected at least 1"],
    [["stray"], "too many arguments"],
  ])("exits 64 for %j", async (args, message) => {
    const { code, lines } = await run("shrink", ...args);
    expect(code).toBe(64);
    expect(lines.join("\n")).toContain(message);
  });
});

/** A simulator that is told what each plan does: after how many turns it fails, and how. */
function pretend(
  fails: (plan: Plan) => { turns: number; violation: Violation } | "never",
): RunPlan {
  const sound = runPlan(planOf({ ...busy, operations: [], mishaps: [], healAtMs: 0 }));
  return (plan: Plan, observers: readonly Observer[] = []): RunReport => {
    const reported: Violation[] = [];
    const stage = { now: 0, report: (violation: Violation) => void reported.push(violation) };
    const fate = fails(plan);
    for (const observer of observers) observer.attach?.(stage as unknown as Stage);
    const turnsMax = fate === "never" ? 1_000_000 : fate.turns;
    for (let turn = 0; turn < turnsMax && reported.length === 0; turn++)
      for (const observer of observers) observer.afterTurn?.({} as never);
    const violation = reported[0] ?? (fate === "never" ? null : fate.violation);
    return { ...sound, verdict: violation === null ? "pass" : "crash", violation };
  };
}

function stops(why: string): Violation {
  return {
    property: "keeps-running",
    facts: [why, "no mishap explains it"],
    at: 9,
    node: null,
  } as unknown as Violation;
}

const PATIENT = { runsMax: 10_000, isOver: () => false };

describe("a failure that is shrunk", () => {
  test("stays the same failure: what else stops a node is another", () => {
    const run = pretend(({ mishaps, seed }) => {
      const why = mishaps.length > 0 ? `n1 stopped: entry ${mishaps.length} is gone` : `${seed}!`;
      return { turns: 10, violation: stops(why) };
    });
    const shrunk = shrinkFailure(planOf(busy), run, PATIENT);
    expect(shrunk?.plan.mishaps.length).toBe(1);
    expect(shrunk?.report.violation?.facts[0]).toBe("n1 stopped: entry 1 is gone");
    expect(shrunk?.plan.why).toContain("n1 stopped: entry 1 is gone");
  });

  test("ends the runs of plans that would never end", () => {
    const run = pretend(({ mishaps }) =>
      mishaps.length === 2 ? { turns: 10, violation: stops("gone") } : "never",
    );
    const shrunk = shrinkFailure(planOf(busy), run, PATIENT);
    expect(shrunk?.plan.mishaps.length).toBe(2);
    expect(shrunk?.cutOff).toBeGreaterThanOrEqual(3);
    expect(shrunk?.isMinimal).toBe(true);
  });

  test("keeps an append, so that the plan shows something once the bug is gone", () => {
    const run = pretend(() => ({ turns: 10, violation: stops("gone") }));
    const shrunk = shrinkFailure(planOf(busy), run, PATIENT);
    expect(shrunk?.plan.operations).toMatchObject([{ kind: "append", times: 1, records: 1 }]);
  });

  test("says why a node threw, and not in which file of this machine", () => {
    const why = "InvariantViolation: a committed entry is never truncated (3)";
    const thrown = {
      ...stops(why),
      facts: [why, "at truncate (file:///somewhere/server.js:62:9)"],
    };
    const run = pretend(() => ({ turns: 10, violation: thrown }));
    const shrunk = shrinkFailure(planOf(busy), run, PATIENT);
    expect(shrunk?.plan.why).toEqual(["crash: keeps-running", why, "Shrunk from seed busy."]);
  });

  test("keeps the reasons that its plan was kept for", () => {
    const run = pretend(() => ({ turns: 10, violation: stops("gone") }));
    const shrunk = shrinkFailure(planOf({ ...busy, why: ["An old story."] }), run, PATIENT);
    expect(shrunk?.plan.why[0]).toBe("crash: keeps-running");
    expect(shrunk?.plan.why.at(-1)).toBe("An old story.");
  });
});
