// The examples are programs that people copy: they run, and they end as they say.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);

test("the counter survives the loss of its leader, in fewer than 120 lines", () => {
  const program = fileURLToPath(new URL("dist/examples/counter.js", root));
  const printed = execFileSync(process.execPath, [program], { encoding: "utf8", timeout: 60_000 });
  const lines = printed.trim().split("\n");
  expect(lines.map((line) => line.split(",")[0])).toEqual([
    "ada: counter 35",
    "bob: counter 35",
    "cy: counter 35",
  ]);
  expect(lines.filter((line) => line.includes("leader"))).toHaveLength(1);
  const source = readFileSync(new URL("examples/counter.ts", root), "utf8");
  expect(source.split("\n").length).toBeLessThan(120);
});
