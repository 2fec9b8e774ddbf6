// The example of a machine of one's own runs as people would run it, and is as short as it says.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);
const source = readFileSync(new URL("examples/own-machine.ts", root), "utf8");

test("an own machine is simulated with plans of fast-check", { timeout: 120_000 }, () => {
  const program = fileURLToPath(new URL("dist/examples/own-machine.js", root));
  const printed = execFileSync(process.execPath, [program, "2"], { encoding: "utf8" });
  expect(printed.trim()).toBe("the sums were equal in 2 plans");
});

test("it imports the simulator and fast-check alone", () => {
  const imports = [...source.matchAll(/ from "([^"]+)";$/gm)].map((match) => match[1]);
  expect([...new Set(imports)]).toEqual(["cairnlog/sim", "fast-check"]);
});

test("machine and invariant are fewer than 40 lines", () => {
  const from = source.indexOf("/** All bytes");
  const to = source.indexOf("const numRuns");
  const lines = source.slice(from, to).trim().split("\n");
  expect(from).toBeGreaterThan(0);
  expect(lines.length).toBeLessThan(40);
});
