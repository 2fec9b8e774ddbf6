// A hundred clusters with their mishaps, through the command as a newcomer types it: every seed
// passes, and nine in ten of them met every danger, so that passing means something; and a sample
// of them is the same run everywhere.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SIM = fileURLToPath(new URL("../../dist/sim/main.js", import.meta.url));

test("a hundred seeds pass, and show enough to mean it", { timeout: 360_000 }, () => {
  const flags = ["--seeds", "100", "--from", "1", "--jobs", "2", "--check"];
  const { status, stdout } = spawnSync(process.execPath, [SIM, ...flags], { encoding: "utf8" });
  process.stdout.write(stdout);
  const lines = stdout.trimEnd().split("\n");
  expect(lines.filter((line) => line.startsWith("PASS"))).toEqual([
    expect.stringMatching(/^PASS 100 seeds/),
  ]);
  // And a sample of them is the same in other processes, started in other surroundings.
  expect(lines.filter((line) => line.startsWith("SAME seed"))).toHaveLength(10);
  expect(status).toBe(0);
});
