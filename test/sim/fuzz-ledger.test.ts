// The ledger of a fuzzing run: fresh seeds after what was run, what failed before first, and
// nothing lost when its writer is killed.

import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { FuzzLedger } from "../../sim/fuzz-ledger.ts";
import type { Profile } from "../../sim/profiles.ts";

let folder = "";
let file = "";

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "cairn-ledger-"));
  file = path.join(folder, "deep", "ledger.ndjson");
});

afterEach(() => rmSync(folder, { recursive: true }));

function open(build: string, from: number | null = null, profile: Profile = "swarm") {
  return new FuzzLedger(file, build, profile, from);
}

function take(ledger: FuzzLedger, count: number): string[] {
  return Array.from({ length: count }, () => ledger.next());
}

describe("the ledger", () => {
  test("begins with seed 1, and goes on after the last seed that was run", () => {
    const first = open("b1");
    for (const seed of take(first, 3)) first.add(seed, null);
    expect(take(open("b1"), 2)).toEqual(["4", "5"]);
    expect(take(open("b2"), 2)).toEqual(["4", "5"]);
  });

  test("gives another build the seeds that failed before, first and once", () => {
    const first = open("b1");
    for (const seed of take(first, 4)) first.add(seed, seed === "2" ? "safety lost-write " : null);
    const second = open("b2");
    expect(second.againCount).toBe(1);
    expect(take(second, 2)).toEqual(["2", "5"]);
    second.add("2", null);
    expect(take(open("b2"), 1)).toEqual(["5"]);
    expect(take(open("b3"), 2)).toEqual(["2", "5"]);
  });

  test("does not give the build that failed its seed again", () => {
    const first = open("b1");
    first.add(first.next(), "safety lost-write ");
    expect(take(open("b1"), 1)).toEqual(["2"]);
  });

  test("leaves out seeds that this build has run, also from a number of one's own", () => {
    const first = open("b1", 10);
    expect(take(first, 2)).toEqual(["10", "11"]);
    first.add("11", null);
    expect(take(open("b1", 10), 2)).toEqual(["10", "12"]);
  });

  test("keeps the profiles apart", () => {
    const first = open("b1");
    first.add(first.next(), "late");
    expect(take(open("b2", null, "disks"), 1)).toEqual(["1"]);
  });

  test("reads past a last line that was cut short", () => {
    const first = open("b1");
    for (const seed of take(first, 2)) first.add(seed, null);
    appendFileSync(file, '{"build":"b1","profile":"sw');
    expect(take(open("b1"), 1)).toEqual(["3"]);
  });

  test("drops what is of no more use to another build, and stays short", () => {
    const first = open("b1");
    for (const seed of take(first, 50)) first.add(seed, seed === "7" ? "late" : null);
    open("b2");
    const rows = readFileSync(file, "utf8").trim().split("\n");
    expect(rows).toHaveLength(3);
    expect(take(open("b2"), 2)).toEqual(["7", "51"]);
  });

  test("is not written over when it is of another version", () => {
    open("b1");
    writeFileSync(file, '{"format":9}\n');
    expect(() => open("b1")).toThrow("is no ledger of this version");
  });
});
