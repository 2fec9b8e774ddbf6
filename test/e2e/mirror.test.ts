// One cluster mirrored to another by real processes: killed at any time and started again, the
// mirror leaves out nothing and doubles nothing.

import path from "node:path";
import { beforeAll, expect, test } from "vitest";

import { endOffsetOf } from "../../src/cli/connect.ts";
import { readProfile } from "../../src/cli/profile.ts";
import { cairn, start, useFolder, useProgram } from "./program.ts";

useProgram();
const folders = { source: useFolder(true), target: useFolder(true) };
const ROUND = 12_000;
const FILLER = "x".repeat(250);
const text = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => `line ${from + n} ${FILLER}\n`).join("");
const profileOf = (folder: string) => path.join(folder, ".cairn", "profile.yaml");
const flags = [
  "mirror",
  "--from-profile",
  profileOf(folders.source),
  "--to-profile",
  profileOf(folders.target),
];

beforeAll(async () => {
  for (const cwd of Object.values(folders)) await start(["dev"], { cwd }).says(/begins anew/);
}, 120_000);

test("a mirror that is killed again and again copies every record once, in order", async () => {
  const target = readProfile(profileOf(folders.target));
  for (let round = 0; round < 3; round++) {
    const input = text(round * ROUND, (round + 1) * ROUND);
    expect(await cairn(["produce"], { cwd: folders.source, input })).toMatchObject({ code: 0 });
    const before = await endOffsetOf(target);
    const mirror = start([...flags, "--follow"]);
    while ((await endOffsetOf(target)) === before) expect(mirror.child.exitCode).toBeNull();
    mirror.child.kill("SIGKILL");
    await mirror.ended;
  }
  const last = await cairn([...flags, "--json"]);
  expect(last).toMatchObject({ code: 0 });
  expect(JSON.parse(last.stdout)).toMatchObject({ end: 3 * ROUND });
  const consumed = await cairn(["consume"], { cwd: folders.target });
  expect(consumed.stdout === text(0, 3 * ROUND)).toBe(true);
  const again = await cairn(flags);
  expect([again.code, again.stderr]).toEqual([0, expect.stringContaining("nothing new")]);
}, 120_000);

test("a cluster is not mirrored to itself", async () => {
  const own = profileOf(folders.source);
  const refused = await cairn(["mirror", "--from-profile", own, "--to-profile", own]);
  expect(refused).toMatchObject({ code: 64 });
  expect(refused.stderr).toContain("the same cluster");
});
