// The tests that every mutant of a part of the catalogue goes through: it is found, by a property
// that it breaks, and the seed that finds it passes on the sources as they are.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Build, buildSources } from "../../sim/mutants/build.ts";
import { Hunter } from "../../sim/mutants/hunter.ts";
import { huntOf, type Mutant } from "../../sim/mutants/mutant.ts";
import { killMutant, SEEDS_MAX, seedsFor } from "../../sim/mutants/run.ts";
import { runTests } from "../../sim/mutants/test-run.ts";

/** Enough for SEEDS_MAX seeds on a slow machine. */
const HUNT_MS_MAX = 240_000;

export function killAll(mutants: readonly Mutant[]): void {
  const killing: { readonly mutant: Mutant; readonly seed: string }[] = [];
  let sound: Build;
  beforeAll(async () => {
    sound = await buildSources();
  });
  afterAll(() => sound.remove());

  describe.each(mutants)("the mutant $name", (mutant) => {
    it(`is found by one of ${SEEDS_MAX} seeds`, { timeout: HUNT_MS_MAX }, async () => {
      const kill = await killMutant(sound, mutant, seedsFor(mutant));
      expect(kill, `${mutant.breaks} No seed noticed.`).not.toBeNull();
      if (huntOf(mutant).by !== "tests") expect(mutant.properties).toContain(kill?.property);
      expect(kill?.facts.length).toBeGreaterThan(0);
      killing.push({ mutant, seed: kill?.seed ?? "" });
    });
  });

  it("the sources as they are pass every seed that found one", {
    timeout: HUNT_MS_MAX,
  }, async () => {
    expect(killing.length).toBeGreaterThan(0);
    const hunter = new Hunter(sound);
    try {
      for (const { mutant, seed } of killing) {
        const hunt = huntOf(mutant);
        const { kill } =
          hunt.by === "tests" ? await runTests(hunt.files, null) : await hunter.run(hunt, seed);
        expect({ seed, hunt, kill }).toEqual({ seed, hunt, kill: null });
      }
    } finally {
      hunter.stop();
    }
  });
}
