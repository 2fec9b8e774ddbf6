// The tests that every mutant of a part of the catalogue goes through: it applies, it is found, by
// a property that it breaks, and the seed that finds it passes on the sources as they are.

import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Build, buildSources, repositoryRoot } from "../../sim/mutants/build.ts";
import { type Mutant, mutate } from "../../sim/mutants/mutant.ts";
import { killMutant, SEEDS_MAX, seedsFor } from "../../sim/mutants/run.ts";
import { runPlan } from "../../sim/run.ts";
import { drawPlan } from "../../sim/swarm.ts";

/** Enough for SEEDS_MAX seeds on a slow machine. */
const HUNT_MS_MAX = 240_000;

export function killAll(mutants: readonly Mutant[]): void {
  const killingSeeds = new Set<string>();
  let sound: Build;
  beforeAll(async () => {
    sound = await buildSources();
  });
  afterAll(() => sound.remove());

  describe.each(mutants)("the mutant $name", (mutant) => {
    it("applies at exactly one place of the sources", () => {
      const source = readFileSync(path.join(repositoryRoot(), mutant.file), "utf8");
      expect(mutate(mutant, source)).not.toBe(source);
    });

    it(`is found by one of ${SEEDS_MAX} seeds`, { timeout: HUNT_MS_MAX }, async () => {
      const kill = await killMutant(sound, mutant, seedsFor(mutant));
      expect(kill, `${mutant.breaks} No seed noticed.`).not.toBeNull();
      expect(mutant.properties).toContain(kill?.property);
      expect(kill?.facts.length).toBeGreaterThanOrEqual(2);
      killingSeeds.add(kill?.seed ?? "");
    });
  });

  it("the sources as they are pass every seed that found one", { timeout: HUNT_MS_MAX }, () => {
    expect(killingSeeds.size).toBeGreaterThan(0);
    for (const seed of killingSeeds) {
      const { verdict, violation } = runPlan(drawPlan(seed));
      expect({ seed, verdict, violation }).toEqual({ seed, verdict: "pass", violation: null });
    }
  });
}
