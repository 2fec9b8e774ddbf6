// The demo, with a short text: it holds, it cleans up, and it fails when it is cut short.

import { readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";

import { DEMO_LINES_MIN, findDemoText } from "../../src/cli/demo-text.ts";
import { cairn, repository, start, useFolder, useProgram } from "./program.ts";

useProgram();
const folder = useFolder();

const leftovers = () => readdirSync(folder).filter((name) => name.startsWith("cairn-demo-"));
/** The demo's temporary folder goes into ours. */
const options = { cwd: folder, env: { TMPDIR: folder } };

test("the demo kills a leader in the middle of a text and proves that nothing is lost", async () => {
  const file = path.join(folder, "text");
  const line = (at: number) => (at % 7 === 0 ? "" : `line ${at % 100} ünd so weiter`);
  writeFileSync(file, Array.from({ length: 1_500 }, (_, at) => line(at)).join("\n"));
  const { code, stdout, stderr } = await cairn(["demo", "--file", file], options);
  expect(code, stdout + stderr).toBe(0);
  expect(stdout).toMatch(
    /^kill {4}n[123], the leader, with SIGKILL after [\d,]+ acknowledged lines$/m,
  );
  expect(stdout).toMatch(/^back {4}n[123] runs again/m);
  expect(stdout).toMatch(/^gap {5}\d+ ms without an acknowledgement$/m);
  expect(stdout).toMatch(/^doubt {3}\d+ unknown outcomes?, retried with the same sequence/m);
  expect(stdout).toMatch(/^logs {4}n1 1,500, n2 1,500, n3 1,500 records/m);
  expect(stdout.trim().split("\n").at(-1)).toMatch(
    /^PASS {4}1,500 lines, each in all three logs exactly once/,
  );
  expect(leftovers()).toEqual([]);
});

test("the demo that is interrupted leaves no process and no folder behind", async () => {
  const demo = start(["demo"], options);
  const pids = (await demo.says(/pid (\d+)\), n2 \(pid (\d+)\), n3 \(pid (\d+)\)/)).slice(1);
  demo.child.kill("SIGINT");
  const { code } = await demo.ended;
  expect(code).toBe(130);
  expect(leftovers()).toEqual([]);
  for (const pid of pids) expect(() => process.kill(Number(pid), 0)).toThrow("ESRCH");
});

test("the agents of a demo that is killed end by themselves", async () => {
  const demo = start(["demo"], options);
  const pids = (await demo.says(/pid (\d+)\), n2 \(pid (\d+)\), n3 \(pid (\d+)\)/)).slice(1);
  demo.child.kill("SIGKILL");
  await demo.ended;
  const isAlive = (pid: string) => {
    try {
      return process.kill(Number(pid), 0);
    } catch {
      return false;
    }
  };
  await expect.poll(() => pids.filter(isAlive), { timeout: 20_000 }).toEqual([]);
});

test("a text of ten thousand lines is on this machine", () => {
  const { name, lines } = findDemoText(repository);
  expect(lines.length, name).toBeGreaterThanOrEqual(DEMO_LINES_MIN);
  // Below the root: other folders of a machine may have a node_modules above them.
  const nowhere = path.join(path.parse(tmpdir()).root, "cairn-nowhere");
  expect(() => findDemoText(nowhere)).toThrow("name one with --file FILE");
});
