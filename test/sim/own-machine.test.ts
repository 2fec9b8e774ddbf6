// A user's machine and a user's invariant in a run: kept, it changes nothing; broken, it is the
// run's violation under the name that the user gave it.

import { expect, test } from "vitest";

import { type EntryHead, planOf, runPlan, type StateMachine } from "../../sim/sim.ts";

const plan = planOf({
  format: 1,
  seed: "own machine",
  nodes: 3,
  operations: [
    { kind: "append", client: 0, atMs: 600, times: 50, everyMs: 20, records: 2, bytes: 50 },
  ],
  mishaps: [{ kind: "crash", node: 1, how: "power", atMs: 1000, downMs: 300 }],
  healAtMs: 2000,
});

class Count implements StateMachine {
  count: number;

  constructor(count = 0) {
    this.count = count;
  }

  apply(head: EntryHead): void {
    this.count += head.count;
  }

  snapshot(): Uint8Array {
    return Uint8Array.of(this.count >> 8, this.count & 0xff);
  }

  restore(snapshot: Uint8Array): void {
    this.count = ((snapshot[0] ?? 0) << 8) | (snapshot[1] ?? 0);
  }
}

test("a machine is made anew for each life, and an invariant that holds lets the run pass", () => {
  const lives: string[] = [];
  let greatest = 0;
  const report = runPlan(plan, [], {
    machine: (name, life) => {
      lives.push(`${name} ${life}`);
      return new Count();
    },
    invariant: (machines) => {
      expect(machines.size).toBeLessThanOrEqual(3);
      for (const { count } of machines.values()) greatest = Math.max(greatest, count);
      return null;
    },
  });
  expect(report).toMatchObject({ verdict: "pass", violation: null });
  expect(lives).toEqual(["n0 1", "n1 1", "n2 1", "n1 2"]);
  // And the one that everybody is probed with.
  expect(greatest).toBe(101);
});

test("an invariant that is broken is the run's violation, by its own name", () => {
  const own = {
    machine: () => new Count(),
    invariant: (machines: ReadonlyMap<string, Count>) => {
      const [found] = [...machines].filter(([, { count }]) => count > 20);
      return found === undefined ? null : `${found[0]} has counted ${found[1].count}`;
    },
  };
  const { verdict, violation } = runPlan(plan, [], { ...own, property: "counts-to-twenty" });
  expect(verdict).toBe("safety");
  expect(violation).toMatchObject({ property: "counts-to-twenty" });
  expect(violation?.facts[0]).toMatch(/^n\d has counted 22$/);
  expect(runPlan(plan, [], own).violation?.property).toBe("machine-invariant");
});

test("a machine that differs from life to life is found by comparing them", () => {
  const { violation } = runPlan(plan, [], {
    machine: (_name, life) => new Count(life === 1 ? 0 : 1),
    invariant: (machines) => {
      const counts = [...machines.values()].map(({ count }) => count % 2);
      return new Set(counts).size > 1 ? `the counts are ${counts.join(" ")} (mod 2)` : null;
    },
  });
  expect(violation).toMatchObject({ property: "machine-invariant" });
  expect(violation?.at).toBeGreaterThan(1_000_000);
});

test("clients write what the user says, and an altered value is found out", () => {
  const encode = (record: number) => new TextEncoder().encode(`record ${record}`);
  const decode = (value: Uint8Array) => {
    const found = /^record (\d+)$/.exec(new TextDecoder().decode(value));
    return found === null ? null : Number(found[1]);
  };
  const machine = () => new Count();
  expect(runPlan(plan, [], { machine, values: { encode, decode } }).verdict).toBe("pass");
  const blind = { encode, decode: () => null };
  const { violation } = runPlan(plan, [], { machine, values: blind });
  expect(violation?.property).toBe("records-unaltered");
});
