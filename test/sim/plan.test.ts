// Plans as files: a stable codec, defaults for what is left out, and one line for each misfit.

import { describe, expect, test } from "vitest";

import { BadPlan, decodePlan, encodePlan, planOf } from "../../sim/plan.ts";
import { drawPlan } from "../../sim/swarm.ts";

const smallest = { format: 1, seed: "x", nodes: 3, operations: [], mishaps: [], healAtMs: 1000 };

function misfitsOf(draft: unknown): string[] {
  try {
    planOf(draft);
  } catch (error) {
    if (error instanceof BadPlan) return error.message.split("\n");
    throw error;
  }
  return [];
}

describe("a plan", () => {
  test("of any seed survives its codec, to the same text", () => {
    for (let seed = 0; seed < 100; seed++) {
      const plan = drawPlan(String(seed));
      const text = encodePlan(plan);
      expect(decodePlan(text)).toEqual(plan);
      expect(encodePlan(decodePlan(text))).toBe(text);
    }
  });

  test("is the same for the same seed, and another for another", () => {
    expect(encodePlan(drawPlan("7"))).toBe(encodePlan(drawPlan("7")));
    expect(encodePlan(drawPlan("7"))).not.toBe(encodePlan(drawPlan("8")));
  });

  test("may leave out all that has a default", () => {
    const plan = planOf(smallest);
    expect(plan.options.electionTimeoutMinMs).toBe(150);
    expect(plan.network.dropPerMille).toBe(0);
    expect(plan.why).toEqual([]);
  });

  test("has a line for each operation and mishap, so that they can be dropped by hand", () => {
    const plan = drawPlan("1");
    const lines = encodePlan(plan).split("\n");
    const rows = lines.filter((line) => line.startsWith('    {"kind":'));
    expect(rows.length).toBe(plan.operations.length + plan.mishaps.length);
  });

  test("is refused with the place of everything that is wrong with it", () => {
    expect(misfitsOf({ ...smallest, nodes: 9, healAtMs: -1, colour: "red" })).toEqual([
      "nodes: Too big: expected number to be <=7",
      "healAtMs: Too small: expected number to be >=0",
      'the plan: Unrecognized key: "colour"',
    ]);
    expect(misfitsOf(null)[0]).toMatch(/^the plan: /);
    const crash = { kind: "crash", node: 3, how: "power", atMs: 1, downMs: 1 };
    expect(misfitsOf({ ...smallest, mishaps: [crash] })).toEqual([
      "mishaps.0: there are 3 nodes, the first is 0",
    ]);
    const read = { kind: "read", client: 1, atMs: 1, node: 5 };
    const stream = { kind: "stream", client: 1, atMs: 1, node: 0 };
    expect(misfitsOf({ ...smallest, operations: [read, stream] })).toEqual([
      "operations.0.node: there are 3 nodes, the first is 0",
      "operations: client 1 has a stream and may do nothing else",
    ]);
    expect(() => decodePlan("{")).toThrow(/^not JSON: /);
  });
});
