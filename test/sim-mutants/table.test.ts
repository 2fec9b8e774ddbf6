// What is said of measured mutants: sums, medians, survivors, false alarms; and what is kept of
// them between two runs of the command.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { Shrinkage } from "../../sim/mutants/hunt.ts";
import { Ledger, type MutantRow, type StreamRow } from "../../sim/mutants/ledger.ts";
import { mutantsMain } from "../../sim/mutants/main.ts";
import { isMeasured, missingStreams } from "../../sim/mutants/measure.ts";
import type { Mutant } from "../../sim/mutants/mutant.ts";
import {
  describeTable,
  falseAlarms,
  isUnexplained,
  putTable,
  quantile,
} from "../../sim/mutants/table.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), "cairn-mutants-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const mutant: Mutant = {
  name: "m",
  breaks: "Nothing holds.",
  source: "X01",
  properties: ["durable"],
  file: "src/f.ts",
  find: "a",
  replace: "b",
};
const tested: Mutant = { ...mutant, name: "t", hunt: { by: "tests", files: ["test/a/b.test.ts"] } };

function stream(nth: number, runs: number, property: string | null): StreamRow {
  const kill = property === null ? null : { seed: "7", property, events: 10 };
  const sums = { runs, reached: runs, triggered: 1, wallMs: 1000 * runs, cpuMs: 60_000 };
  return { stream: nth, seedsMax: 200, ...sums, kill };
}

function rowOf(streams: StreamRow[], more: Partial<MutantRow> = {}): MutantRow {
  const none = { tests: null, shrunk: null, isShrinkingTried: false };
  return { key: "k", commits: ["c"], streams, ...none, ...more };
}

describe("a quantile", () => {
  test.each([
    [[3, 1, 2], 0.5, 2],
    [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.5, 5],
    [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9, 9],
    [[1, Number.POSITIVE_INFINITY], 0.9, Number.POSITIVE_INFINITY],
  ])("of %j at %d is %d", (values, share, wanted) => {
    expect(quantile(values, share)).toBe(wanted);
  });
});

describe("the table", () => {
  const ledger = new Ledger(null, "tree");
  const cellsOf = (row: MutantRow, of = mutant) => {
    const table = describeTable([{ mutant: of, row }], ledger, "today");
    return table.find((line) => line.startsWith(`| ${of.name} |`))?.split(" | ");
  };

  test("shows streams, median and p90, what was reached, and how small it gets", () => {
    const shrunk: Shrinkage = {
      kind: "shrunk",
      before: 40,
      after: 3,
      property: "durable",
      runs: 9,
      isMinimal: true,
      wallMs: 5000,
      cpuMs: 0,
    };
    const row = rowOf([stream(0, 2, "durable"), stream(1, 4, "other")], { shrunk });
    expect(cellsOf(row)).toEqual([
      "| m",
      "Nothing holds. (X01)",
      "swarm",
      "durable",
      "durable 1, other 1 (!)",
      "2 of 2",
      "2 / 4",
      "2.0 / 4.0",
      "6 / 2 / 2 of 6",
      "40→3",
      "2.0 |",
    ]);
  });

  test("tells a survivor from one that is argued equivalent and one that was not run", () => {
    const survived = rowOf([stream(0, 200, null)]);
    expect(cellsOf(survived)?.slice(4, 7)).toEqual(["not killed so far", "0 of 1", ">200 / >200"]);
    const streams = Array.from({ length: 10 }, (_, nth) => stream(nth, 200, null));
    expect(cellsOf(rowOf(streams))?.[4]).toBe("SURVIVED");
    expect(isUnexplained({ mutant, row: survived })).toBe(true);
    const equivalent = { ...mutant, equivalent: "nobody asks" };
    expect(cellsOf(survived, equivalent)?.[4]).toBe("equivalent: nobody asks");
    expect(isUnexplained({ mutant: equivalent, row: survived })).toBe(false);
    expect(cellsOf(rowOf([]))?.[4]).toBe("not measured yet");
    expect(isUnexplained({ mutant, row: rowOf([]) })).toBe(false);
  });

  test("shows the test file that failed", () => {
    const tests = { tests: 9, failed: 2, file: "test/a/b.test.ts", wallMs: 1500 };
    expect(cellsOf(rowOf([], { tests }), tested)?.slice(2)).toEqual([
      "a/b",
      "a/b",
      "2 of 9",
      "1.5 |",
    ]);
    const none = { ...tests, failed: 0, file: null };
    expect(cellsOf(rowOf([], { tests: none }), tested)?.[3]).toBe("SURVIVED");
  });

  test("names each false alarm", () => {
    const alarmed = new Ledger(null, "tree");
    alarmed.outcomesOf("swarm")["1"] = { behaviour: "d", property: null };
    alarmed.outcomesOf("swarm")["2"] = { behaviour: "e", property: "durable" };
    expect(falseAlarms(alarmed)).toEqual(["swarm, 2: durable"]);
    expect(describeTable([], alarmed, "today").join("\n")).toContain("FALSE ALARMS: swarm, 2");
  });

  test("takes the place of the one before, and leaves the rest of the page alone", () => {
    const marks = ["<!-- written by `npm run mutants` -->", "<!-- end -->"];
    const page = `# A\n\n${marks.join("\n")}\n\nB\n`;
    const once = putTable(page, ["| x |"]);
    expect(once).toBe(`# A\n\n${marks[0]}\n\n| x |\n\n${marks[1]}\n\nB\n`);
    expect(putTable(once, ["| x |"])).toBe(once);
    expect(() => putTable("# A\n", [])).toThrow("no table: write <!--");
  });
});

describe("what was measured", () => {
  const extent = { streams: 2, seeds: 200, shrinkSeconds: 0 };

  test("is kept in a file, and forgotten for another edit", () => {
    const file = path.join(directory, "state.json");
    const before = new Ledger(file, "tree");
    before.rowOf(mutant).streams.push(stream(0, 3, "durable"));
    before.outcomesOf("swarm")["1"] = { behaviour: "d", property: null };
    before.save();
    const after = new Ledger(file, "tree");
    expect(after.rowOf(mutant).streams).toEqual([stream(0, 3, "durable")]);
    expect(after.outcomes).toEqual({ swarm: { 1: { behaviour: "d", property: null } } });
    expect(after.rowOf({ ...mutant, replace: "c" }).streams).toEqual([]);
  });

  test("of other sources is no measure for how runs go", () => {
    const file = path.join(directory, "state.json");
    expect(new Ledger(file, "other").outcomes).toEqual({});
  });

  test("goes on with streams that are missing or might have taken more seeds", () => {
    const short = { ...stream(0, 50, null), seedsMax: 50 };
    expect(missingStreams(rowOf([short]), extent)).toEqual([0, 1]);
    expect(missingStreams(rowOf([stream(0, 200, null)]), extent)).toEqual([1]);
    expect(missingStreams(rowOf([stream(0, 1, "x"), stream(1, 1, "x")]), extent)).toEqual([]);
  });

  test("is whole when a failure was shrunk too, if there was one", () => {
    const killed = rowOf([stream(0, 1, "x"), stream(1, 1, "x")]);
    const shrinking = { ...extent, shrinkSeconds: 60 };
    expect(isMeasured(mutant, killed, extent)).toBe(true);
    expect(isMeasured(mutant, killed, shrinking)).toBe(false);
    expect(isMeasured(mutant, { ...killed, isShrinkingTried: true }, shrinking)).toBe(true);
    const survived = rowOf([stream(0, 200, null), stream(1, 200, null)]);
    expect(isMeasured(mutant, survived, shrinking)).toBe(true);
    expect(isMeasured(tested, rowOf([]), extent)).toBe(false);
  });
});

describe("npm run mutants", () => {
  const run = async (...args: string[]) => {
    const lines: string[] = [];
    const code = await mutantsMain(args, (line) => lines.push(...line.split("\n")));
    return { code, lines };
  };

  test("measures a sample, writes the table, and has nothing left to do the second time", {
    timeout: 240_000,
  }, async () => {
    const state = path.join(directory, "sample.json");
    const page = path.join(directory, "page.md");
    writeFileSync(page, "<!-- written by `npm run mutants` -->\n<!-- end -->\n");
    const names = ["ack-before-fsync", "votes-not-persisted", "two-changes-at-once"];
    const bounds = ["--streams", "1", "--seeds", "20", "--shrink", "0", "--state", state];
    const sample = ["--only", ...names, "--sample", "2", "--seed", "ci", ...bounds];
    const { code, lines } = await run(...sample, "--table", page);
    expect({ code, last: lines.at(-1) }).toEqual({
      code: 0,
      last: "- 2 of 2 mutants killed, 0 argued equivalent, 0 survived, 0 not killed so far, 0 not measured yet.",
    });
    const rows = readFileSync(page, "utf8")
      .split("\n")
      .filter((line) => line.includes("1 of 1"));
    expect(rows).toHaveLength(2);
    expect(readFileSync(page, "utf8")).toContain("no alarm");
    expect((await run(...sample)).lines).toEqual([lines.at(-1)]);
  });

  test.each([
    [["--only", "nobody"], "--only nobody: no such mutant"],
    [["--seeds", "201"], "streams are disjoint up to 200 seeds"],
    [["--table", "no-such-page.md"], "--table no-such-page.md: ENOENT"],
    [["--jobs", "0"], "Expected at least 1"],
  ])("exits 64 for %j", async (args, message) => {
    const { code, lines } = await run(...args, "--state", path.join(directory, "none.json"));
    expect(code).toBe(64);
    expect(lines.join("\n")).toContain(message);
  });
});
