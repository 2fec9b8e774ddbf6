// What a simulated disk that refuses leaves behind, and what becomes of the node on it: it falls
// silent, is started again, and is a member like any other afterwards.

import { expect, test } from "vitest";

import { planOf } from "../../sim/plan.ts";
import type { Profile } from "../../sim/profiles.ts";
import { runPlan } from "../../sim/run.ts";
import { SimFile } from "../../sim/sim-file.ts";
import { drawPlan } from "../../sim/swarm.ts";
import { Prng } from "../../src/base/prng.ts";

const BYTES = new Uint8Array(2000).fill(7);

function fileAfterFailedSync(seed: string): SimFile {
  const file = new SimFile();
  file.write(0, [BYTES]);
  file.failSync(new Prng(seed));
  return file;
}

/** Seeds of which at least one meets what a single draw may miss. */
const SEEDS = Array.from({ length: 20 }, (_, at) => String(at));

test("a failed sync leaves bytes that are read but, in some run, not on the disk", () => {
  const durable = SEEDS.map((seed) => fileAfterFailedSync(seed).survivesPowerLoss(0, 2000));
  expect(new Set(durable)).toEqual(new Set([true, false]));
  expect(fileAfterFailedSync("0").read(0, 2000)).toEqual(BYTES);
});

test("the sync after a failed one puts nothing on the disk that was written before it", () => {
  for (const seed of SEEDS) {
    const file = fileAfterFailedSync(seed);
    const before = file.durableBytes();
    file.sync();
    expect(file.durableBytes()).toEqual(before);
  }
});

test("bytes written again after a failed sync are durable with the next sync", () => {
  for (const seed of SEEDS) {
    const file = fileAfterFailedSync(seed);
    file.write(0, [BYTES]);
    file.sync();
    expect(file.survivesPowerLoss(0, 2000)).toBe(true);
  }
});

test("a process that starts after a failed sync may read what is on the disk", () => {
  const isRead = SEEDS.map((seed) => {
    const file = fileAfterFailedSync(seed);
    file.loseProcess(new Prng(seed));
    return file.read(0, 2000).every((byte) => byte === 7);
  });
  expect(new Set(isRead)).toEqual(new Set([true, false]));
});

const append = {
  kind: "append",
  client: 0,
  atMs: 600,
  times: 100,
  everyMs: 25,
  bytes: 400,
} as const;

test.each(["read", "write", "sync", "full"] as const)(
  "a cluster outlives %s errors of its leader's disk",
  (error) => {
    const spell = { kind: "disk-error", node: "leader", error, failPerMille: 1000 } as const;
    const plan = planOf({
      format: 1,
      seed: `errors of ${error}`,
      nodes: 3,
      options: { segmentBytesMax: 8192, preallocateBytes: 0, cacheBytesMax: 0 },
      operations: [
        append,
        { kind: "read", client: 1, atMs: 700, times: 40, everyMs: 50, node: "leader" },
      ],
      mishaps: [1200, 1900, 2600].map((atMs) => ({ ...spell, atMs, forMs: 300, restartMs: 200 })),
      healAtMs: 3500,
    });
    const report = runPlan(plan);
    expect(report.violation).toBeNull();
    expect(report.counts.diskErrors).toBeGreaterThan(0);
    expect(report.counts.acked).toBeGreaterThan(50);
  },
);

test("a cluster outlives disks that read wrong what is right on them", () => {
  const spell = { kind: "disk-error", error: "misread", failPerMille: 300 } as const;
  const plan = planOf({
    format: 1,
    seed: "misreads",
    nodes: 3,
    options: { segmentBytesMax: 8192, cacheBytesMax: 0 },
    operations: [
      append,
      { kind: "read", client: 1, atMs: 700, times: 40, everyMs: 50, node: "leader" },
    ],
    mishaps: [0, 1, 2].flatMap((node) => [
      { ...spell, node, atMs: 1200 + node, forMs: 1500, restartMs: 50 },
      { kind: "crash", node, how: "power", atMs: 1500 + 300 * node, downMs: 50 } as const,
    ]),
    healAtMs: 3500,
  });
  const stops: string[] = [];
  const report = runPlan(plan, [
    { nodeStopped: (_, how) => void (how.kind === "failed" && stops.push(how.why)) },
  ]);
  expect(report.violation).toBeNull();
  expect(report.counts.acked).toBeGreaterThan(50);
  expect(report.counts.disksLost).toBe(0);
  expect(stops.length).toBeGreaterThan(0);
  for (const why of stops) expect(why).toContain("damaged");
});

test.each(["all", "next-change"] as const)(
  "a cluster outlives a leader's disk that hangs: %s",
  (of) => {
    const hang = { kind: "disk-hang", node: "leader", of, forMs: 500, downMs: 100 } as const;
    const plan = planOf({
      format: 1,
      seed: `hang of ${of}`,
      nodes: 3,
      operations: [append],
      mishaps: [1200, 2000, 2800].map((atMs) => ({ ...hang, atMs })),
      healAtMs: 3500,
    });
    const report = runPlan(plan);
    expect(report.violation).toBeNull();
    expect(report.counts.diskHangs).toBe(3);
    expect(report.counts.crashes).toBe(3);
  },
);

test("every profile but the calm one has disks that fail", () => {
  const kindsOf = (profile: Profile) => {
    const plans = SEEDS.map((seed) => drawPlan(seed, profile));
    return plans.map(({ mishaps }) => mishaps.filter(({ kind }) => kind === "disk-error").length);
  };
  expect(Math.max(...kindsOf("calm"))).toBe(0);
  expect(Math.max(...kindsOf("swarm"))).toBeGreaterThan(0);
  expect(Math.min(...kindsOf("disks"))).toBeGreaterThan(0);
});
