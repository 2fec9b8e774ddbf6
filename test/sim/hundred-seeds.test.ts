// A hundred clusters with their mishaps, through the command as a newcomer types it: every seed
// passes, and nine in ten of them met every danger, so that passing means something.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SIM = fileURLToPath(new URL("../../dist/sim/main.js", import.meta.url));

test("a hundred seeds pass, and show enough to mean it", { timeout: 240_000 }, () => {
  const flags = ["--seeds", "100", "--from", "1", "--jobs", "2"];
  const { status, stdout } = spawnSync(process.execPath, [SIM, ...flags], { encoding: "utf8" });
  process.stdout.write(stdout);
  expect(stdout.trimEnd().split("\n").at(-1)).toMatch(/^PASS 100 seeds/);
  expect(status).toBe(0);
});
