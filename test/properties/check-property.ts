// The two halves that every property over plans has: it holds of the sources as they are, and it is
// found broken, shrunk and saved when a quorum is no majority.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type fc from "fast-check";
import { expect, it } from "vitest";
import { repositoryRoot } from "../../sim/mutants/build.ts";
import { MUTANTS } from "../../sim/mutants/catalogue.ts";
import { type BrokenSimulator, loadBroken } from "../../sim/mutants/load.ts";
import { decodePlan, type Plan } from "../../sim/plan.ts";
import { runPlan } from "../../sim/run.ts";
import { tryPlans } from "./plan-property.ts";

/** The least that a property is worth. */
const RUNS = 100;
const TIMEOUT_MS = 240_000;

export function checkProperty(name: string, plans: fc.Arbitrary<Plan>): void {
  it("nothing is lost, doubled, reordered or stuck", { timeout: TIMEOUT_MS }, () => {
    const folder = path.join(repositoryRoot(), ".cairn", "counterexamples");
    const outcome = tryPlans(name, plans, (plan) => runPlan(plan), { runs: RUNS, folder });
    if (outcome.kind === "broken") expect.fail(outcome.message);
    expect(outcome.runs).toBe(RUNS);
    // A plan may be too small to show anything, but few of them may.
    expect(outcome.vacuous).toBeLessThan(RUNS / 2);
  });

  it("a quorum of n/2 is found, shrunk and saved as a plan", { timeout: TIMEOUT_MS }, async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "cairn-counterexamples-"));
    const broken = await brokenQuorum();
    try {
      const outcome = tryPlans(name, plans, broken.runPlan, { runs: RUNS, folder });
      if (outcome.kind !== "broken") return expect.fail(`${RUNS} plans did not notice`);
      expect(outcome.shrinks).toBeGreaterThan(0);
      expect(outcome.message).toContain(`npm run sim -- --plan ${outcome.file}`);
      // One node that thinks it has a quorum is enough: the mishaps and most of the work are gone.
      expect(outcome.plan.mishaps).toEqual([]);
      expect(outcome.plan.operations.length).toBe(1);
      const saved = decodePlan(readFileSync(outcome.file, "utf8"));
      expect(broken.runPlan(saved)).toEqual(outcome.report);
      expect(saved.why[0]).toBe(outcome.report.violation?.property);
      expect(runPlan(saved).violation).toBeNull();
    } finally {
      broken.remove();
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

/** The simulator of a build in which half of the nodes are a quorum. */
async function brokenQuorum(): Promise<BrokenSimulator> {
  const mutant = MUTANTS.find(({ name }) => name === "quorum-half");
  if (mutant === undefined) throw new Error("the catalogue has lost quorum-half");
  return loadBroken(mutant);
}
