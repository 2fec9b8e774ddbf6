// The judge of random plans, judged: the tests that each breakage of a list goes through. The judge
// must notice it, by the plan that is known to show it or by another, and that plan must be fine on
// the sources as they are.

import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Build, breakBuild, buildSources } from "../../sim/mutants/build.ts";
import type { Raft } from "../../src/raft/raft.ts";
import type { Breakage } from "./breakages.ts";
import { planOf, play } from "./plans.ts";

const PLANS_MAX = 1000;

export function breakAll(breakages: readonly Breakage[]): void {
  let sound: Build;
  beforeAll(async () => {
    sound = await buildSources();
  }, 60_000);
  afterAll(() => sound.remove());

  describe.each(breakages)("the judge of random plans notices $name", (breakage) => {
    test("and only where it is", { timeout: 120_000 }, async () => {
      const broken = await breakBuild(sound, { ...breakage, properties: [] });
      try {
        const plan = findPlan(breakage, await machineIn(broken));
        expect(plan).not.toBeNull();
        if (plan !== null) play(breakage.setting, planOf(plan));
      } finally {
        broken.remove();
      }
    });
  });
}

/** The known plan first, then one after the other; null when none shows it. */
function findPlan({ setting, knownSeed }: Breakage, machine: typeof Raft): number | null {
  for (let seed = 0; seed <= PLANS_MAX; seed++) {
    const plan = seed === 0 ? knownSeed : seed;
    try {
      play(setting, planOf(plan), machine);
    } catch {
      return plan;
    }
  }
  return null;
}

async function machineIn({ dist }: Build): Promise<typeof Raft> {
  const file = path.join(dist, "src", "raft", "raft.js");
  const module: unknown = await import(pathToFileURL(file).href);
  return (module as { readonly Raft: typeof Raft }).Raft;
}
