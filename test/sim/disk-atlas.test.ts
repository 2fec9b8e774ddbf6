// Damage at rest: how much of it a run may meet, that it is never served, and that a node which
// finds it stays down while the others go on.

import { describe, expect, test } from "vitest";

import { DiskAtlas } from "../../sim/disk-atlas.ts";
import { planOf } from "../../sim/plan.ts";
import { type RunReport, runPlan } from "../../sim/run.ts";
import { SimFile } from "../../sim/sim-file.ts";
import type { LogIndex } from "../../src/base/ids.ts";

describe("the atlas", () => {
  test.each([
    [1, 0],
    [3, 1],
    [4, 1],
    [5, 2],
  ])("of %i nodes lets %i be damaged", (nodes, lostMax) => {
    const atlas = new DiskAtlas(nodes);
    const places = Array.from({ length: nodes }, (_, place) => place);
    expect(places.filter((place) => atlas.maybeLose(place)).length).toBe(lostMax);
  });

  test("lets a disk that counts as lost be damaged again", () => {
    const atlas = new DiskAtlas(3);
    expect(atlas.maybeLose(2)).toBe(true);
    expect(atlas.maybeLose(1)).toBe(false);
    expect(atlas.maybeLose(2)).toBe(true);
  });
});

describe("the atlas of nodes that repair themselves", () => {
  const range = (first: number, last: number) => {
    return { first: first as LogIndex, last: last as LogIndex };
  };

  test("lets every disk be damaged, but no entry on more than a minority", () => {
    const atlas = new DiskAtlas(3, { nodesRepair: true });
    expect(atlas.maybeDamage(0, range(1, 10))).toBe(true);
    expect(atlas.maybeDamage(1, range(11, 20))).toBe(true);
    expect(atlas.maybeDamage(2, range(21, 30))).toBe(true);
    expect(atlas.maybeDamage(2, range(20, 25))).toBe(false);
    expect(atlas.maybeDamage(2, range(5, 25))).toBe(false);
    expect(atlas.maybeDamage(0, range(5, 10))).toBe(true);
    expect(atlas.maybeLose(1)).toBe(false);
  });

  test("counts by entry, not by how many disks are damaged somewhere in a range", () => {
    const atlas = new DiskAtlas(5, { nodesRepair: true });
    expect(atlas.maybeDamage(0, range(1, 10))).toBe(true);
    expect(atlas.maybeDamage(1, range(11, 20))).toBe(true);
    expect(atlas.maybeDamage(2, range(1, 20))).toBe(true);
    expect(atlas.maybeDamage(3, range(10, 11))).toBe(false);
    expect(atlas.maybeDamage(3, range(21, 22))).toBe(true);
  });

  test("forgets what a disk has again", () => {
    const atlas = new DiskAtlas(3, { nodesRepair: true });
    expect(atlas.maybeLose(0)).toBe(true);
    expect(atlas.maybeLose(1)).toBe(false);
    atlas.restored(0);
    expect(atlas.maybeLose(1)).toBe(true);
  });
});

describe("a rotten byte", () => {
  const rotten = () => {
    const file = new SimFile();
    file.write(0, [new Uint8Array([1, 2, 3, 4])]);
    file.sync();
    file.rot(2, 0b1000);
    return file;
  };

  test("reads with its bits flipped, wherever the read begins", () => {
    expect([...rotten().read(0, 4)]).toEqual([1, 2, 11, 4]);
    expect([...rotten().read(2, 1)]).toEqual([11]);
    expect([...rotten().read(3, 1)]).toEqual([4]);
  });

  test("stays known as what was written", () => {
    expect([...rotten().durableBytes()]).toEqual([1, 2, 3, 4]);
    expect(rotten().survivesPowerLoss(0, 4)).toBe(true);
  });

  test("is well again once it is written", () => {
    const file = rotten();
    file.write(1, [new Uint8Array([5])]);
    expect(file.isWrong).toBe(true);
    file.write(2, [new Uint8Array([6])]);
    expect(file.isWrong).toBe(false);
    expect([...file.read(0, 4)]).toEqual([1, 5, 6, 4]);
  });
});

function runWithRot(
  file: "store" | "index" | "checkpoint" | "manifest" | "hard-state",
  nodes: number,
  places: number[],
): RunReport {
  const append = { kind: "append", atMs: 600, times: 80, everyMs: 30, bytes: 500 } as const;
  const read = { kind: "read", atMs: 2100, times: 40, everyMs: 20 } as const;
  const plan = planOf({
    format: 1,
    seed: `rot of ${file}`,
    nodes,
    options: { segmentBytesMax: 8192, cacheBytesMax: 0 },
    operations: [
      { ...append, client: 0 },
      { ...read, client: 1, node: 0 },
      { ...read, client: 2, node: 1 },
    ],
    mishaps: [
      ...places.map((node) => ({ kind: "bit-rot", node, file, bits: 8, atMs: 2000 }) as const),
      { kind: "crash", node: 0, how: "power", atMs: 3000, downMs: 100 },
    ],
    healAtMs: 4000,
  });
  return runPlan(plan);
}

test("a node with rotten entries gets them back from the others", () => {
  const { violation, counts, marks } = runWithRot("store", 3, [0, 1]);
  expect(violation).toBeNull();
  expect(counts.rottenBits).toBe(8);
  expect(counts.disksLost).toBe(0);
  expect(marks.mended).toBeGreaterThan(0);
});

test("two of five nodes with rotten entries get them back from the others", () => {
  const { violation, counts, marks } = runWithRot("store", 5, [0, 1, 2]);
  expect(violation).toBeNull();
  expect(counts.disksLost).toBe(0);
  expect(marks.mended).toBeGreaterThan(0);
});

test("a node with a rotten manifest is excused for good, and the others go on", () => {
  const { violation, counts } = runWithRot("manifest", 3, [0, 1]);
  expect(violation).toBeNull();
  expect(counts.disksLost).toBe(1);
});

test("a node whose hard state rots forgets no vote, or is excused for good", () => {
  const { violation, counts } = runWithRot("hard-state", 3, [0, 1]);
  expect(violation).toBeNull();
  expect(counts.rottenBits).toBe(8);
});

test.each(["index", "checkpoint"] as const)("a rotten %s costs nobody the log", (file) => {
  const { violation, counts } = runWithRot(file, 3, [0, 1, 2]);
  expect(violation).toBeNull();
  expect(counts.rottenBits).toBeGreaterThan(0);
  expect(counts.disksLost).toBe(0);
});
