// The data lock between real processes, one of which is killed.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { DataDirectoryInUse, lockDataDirectory } from "../../src/adapters/data-lock.ts";
import { type Child, type ChildProgram, compileProgram } from "./child-program.ts";

describe("the data lock", () => {
  let program: ChildProgram;
  let root: string;
  let directory: string;
  const children: Child[] = [];

  beforeAll(() => {
    program = compileProgram("test/adapters/children/lock-holder.ts");
  });
  afterAll(() => program.remove());
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "cairn-lock-"));
    directory = join(root, "a/b/data");
  });
  afterEach(async () => {
    for (const child of children.splice(0)) await child.kill();
    rmSync(root, { recursive: true });
  });

  const startHolder = (path = directory): Child => {
    const child = program.start(path);
    children.push(child);
    return child;
  };

  test("a second process is refused with the directory and the pid of the first", async () => {
    const first = startHolder();
    expect(await first.line()).toBe(`locked ${first.process.pid}`);
    const second = startHolder();
    const refusal = await second.line();
    expect(refusal).toContain(`data directory ${directory} is in use`);
    expect(refusal).toContain(`pid ${first.process.pid}:`);
    expect(await second.exited()).toBe(1);
  });

  test("a killed holder leaves the directory free at once, again and again", async () => {
    for (let round = 0; round < 4; round++) {
      const holder = startHolder();
      expect(await holder.line()).toBe(`locked ${holder.process.pid}`);
      // Not waited for: the next one starts while this one is dying.
      holder.signal("SIGKILL");
    }
  });

  test("a stopped holder still holds, though it cannot tell its pid", async () => {
    const holder = startHolder();
    await holder.line();
    holder.signal("SIGSTOP");
    await expect(lockDataDirectory(directory)).rejects.toMatchObject({
      name: "DataDirectoryInUse",
      pid: null,
      message: expect.stringContaining(directory),
    });
  });

  test("a released directory can be locked by another process", async () => {
    const holder = startHolder();
    await holder.line();
    holder.process.stdin?.end();
    expect(await holder.line()).toBe("released");
    expect(await holder.exited()).toBe(0);
    const lock = await lockDataDirectory(directory);
    await lock.release();
    expect(readdirSync(directory)).toEqual([]);
  });

  test("the same process is refused too, also by another path to the directory", async () => {
    const lock = await lockDataDirectory(directory);
    const detour = join(root, "detour");
    symlinkSync(directory, detour);
    const refused = await lockDataDirectory(detour).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(DataDirectoryInUse);
    expect(refused).toMatchObject({ pid: process.pid, directory: detour });
    await lock.release();
    await (await lockDataDirectory(detour)).release();
  });

  test("two directories are two locks, however deep they lie", async () => {
    const deep = join(root, "x".repeat(150), "y".repeat(150));
    const locks = await Promise.all([lockDataDirectory(directory), lockDataDirectory(deep)]);
    for (const lock of locks) await lock.release();
  });

  test("of many that start at once over a stale socket, one gets the directory", async () => {
    const dead = startHolder();
    await dead.line();
    await dead.kill();
    expect(readdirSync(directory)).toEqual([".lock"]);
    const starts = Array.from({ length: 8 }, () => lockDataDirectory(directory));
    const settled = await Promise.allSettled(starts);
    const locks = settled.filter((start) => start.status === "fulfilled");
    expect(locks).toHaveLength(1);
    for (const { value } of locks) await value.release();
  });

  test("a holder in another network namespace is seen by its socket file", async () => {
    mkdirSync(directory, { recursive: true });
    const other = createServer((asker) => asker.end("4242\n"));
    await new Promise<void>((done) => other.listen(join(directory, ".lock"), done));
    await expect(lockDataDirectory(directory)).rejects.toMatchObject({ pid: 4242 });
    await new Promise((done) => other.close(done));
    await (await lockDataDirectory(directory)).release();
  });

  test("a path that leads nowhere is refused with the system's reason", async () => {
    mkdirSync(join(root, "a"));
    await (await lockDataDirectory(join(root, "a/b"))).release();
    rmSync(join(root, "a/b"), { recursive: true });
    symlinkSync("/nowhere/at/all", join(root, "a/b"));
    await expect(lockDataDirectory(directory)).rejects.toThrow(/a\/b/);
  });
});
