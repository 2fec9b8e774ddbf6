// The election experiment of the thesis, as the bench plays it, held to the thesis's figures. In
// virtual time, so that it says the same on every machine.
import { describe, expect, test } from "vitest";
import { chartOf } from "../../bench/chart.ts";
import { quantile, runElectionsBench } from "../../bench/elections.ts";

describe("five servers whose leader crashes", async () => {
  const { rows, plots } = await runElectionsBench(true);
  const value = (name: string) => rows.find((row) => row.case === name)?.value ?? Number.NaN;

  test("hear of each other in the thesis's 15 ms", () => {
    expect(value("broadcast to four, median")).toBeGreaterThan(15);
    expect(value("broadcast to four, median")).toBeLessThan(16);
  });

  test("have the next leader sooner than the thesis's with 5 ms of randomness (9.3)", () => {
    expect(value("150 to 155 ms: median")).toBeLessThan(287);
  });

  test("have it sooner in the worst case with 50 ms of randomness, too (9.3)", () => {
    expect(value("150 to 200 ms: max")).toBeLessThan(513);
  });

  test("have one at all without randomness, for a pre-vote costs nobody its vote (9.6)", () => {
    expect(value("150 to 150 ms: max")).toBeLessThan(10_000);
  });

  test("wait at least for what is left of the timeout, and two round trips (9.3, 9.6)", () => {
    // A heartbeat interval, half of the timeout, may have passed when the leader crashes.
    expect(value("150 to 300 ms: median")).toBeGreaterThan(75 + 30);
    const medians = ["25 to 50", "50 to 100", "100 to 200", "150 to 300"].map((name) =>
      value(`${name} ms: median`),
    );
    expect(medians).toEqual([...medians].sort((a, b) => a - b));
  });

  test("are drawn beside the thesis's figures, a curve a setting", () => {
    const [plot] = plots;
    expect(plot?.file).toBe("elections.svg");
    expect(plot?.svg.match(/stroke-width="1.6"/g)).toHaveLength(11);
    expect(plot?.svg.match(/<circle/g)).toHaveLength(3);
    expect(plot?.svg).toContain("thesis, 150 to 155: median");
  });
});

test("the quantile of a share is the smallest value that so many are at or below", () => {
  const values = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  expect([0, 0.1, 0.5, 0.9, 0.91, 1].map((share) => quantile(values, share))).toEqual([
    1, 1, 5, 9, 10, 10,
  ]);
});

test("a chart says what is in it in words that a page can hold", () => {
  const distributions = [{ name: "a < b", values: [1, 10, 100] }];
  const panels = [{ title: "t & u", distributions, published: [] }];
  const svg = chartOf({ title: "title", unit: "ms", panels });
  expect(svg).toContain("a &lt; b");
  expect(svg).toContain("t &amp; u");
  expect(svg).not.toMatch(/NaN|undefined/);
});
