// The watch over real files, look by look: what counts as a change, and when it is told.

import { renameSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, describe, expect, test } from "vitest";

import { FileWatch } from "../../src/adapters/file-watch.ts";
import { temporaryFolder } from "../cli/temporary.ts";

const folder = temporaryFolder();
const NEVER_BY_ITSELF = 2 ** 30;
const watches: FileWatch[] = [];
afterEach(() => {
  for (const watch of watches.splice(0)) watch.close();
});

let made = 0;
function newFile(text: string): string {
  const file = path.join(folder, `file-${made++}`);
  writeFileSync(file, text);
  return file;
}

/** A watch that told its first word already. */
async function watchOf(files: readonly string[]): Promise<{ watch: FileWatch; told: number[] }> {
  const told: number[] = [];
  let looks = 0;
  const changed = async () => {
    told.push(looks);
  };
  const watch = new FileWatch(files, changed, NEVER_BY_ITSELF);
  watches.push(watch);
  const look = watch.look.bind(watch);
  watch.look = () => {
    looks++;
    return look();
  };
  await watch.look();
  await watch.look();
  expect(told).toEqual([2]);
  return { watch, told };
}

async function looks(watch: FileWatch, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await watch.look();
}

describe("a watch", () => {
  test("tells once at the start and then nothing while nothing changes", async () => {
    const { watch, told } = await watchOf([newFile("a"), newFile("b")]);
    await looks(watch, 5);
    expect(told).toEqual([2]);
  });

  test("tells of a change at the second look that sees it, once", async () => {
    const file = newFile("a");
    const { watch, told } = await watchOf([newFile("b"), file]);
    writeFileSync(file, "other");
    await looks(watch, 4);
    expect(told).toEqual([2, 4]);
  });

  test("waits while a file is still being written", async () => {
    const file = newFile("");
    const { watch, told } = await watchOf([file]);
    for (let length = 1; length <= 3; length++) {
      writeFileSync(file, "x".repeat(length));
      await watch.look();
    }
    expect(told).toEqual([2]);
    await watch.look();
    expect(told).toEqual([2, 6]);
  });

  test("sees a file of the same size and time renamed into its place", async () => {
    const file = newFile("old");
    const { watch, told } = await watchOf([file]);
    const other = newFile("new");
    utimesSync(other, 1000, 1000);
    utimesSync(file, 1000, 1000);
    await looks(watch, 2);
    renameSync(other, file);
    await looks(watch, 2);
    expect(told).toEqual([2, 4, 6]);
  });

  test("sees a symbolic link that points elsewhere", async () => {
    const link = path.join(folder, "link");
    symlinkSync(newFile("one"), link);
    const { watch, told } = await watchOf([link]);
    unlinkSync(link);
    symlinkSync(newFile("two"), link);
    await looks(watch, 2);
    expect(told).toEqual([2, 4]);
  });

  test("tells that a file has gone, and that it came back", async () => {
    const file = newFile("a");
    const { watch, told } = await watchOf([file]);
    unlinkSync(file);
    await looks(watch, 3);
    writeFileSync(file, "a");
    await looks(watch, 3);
    expect(told).toEqual([2, 4, 7]);
  });

  test("makes no second call while the first one is not done", async () => {
    const file = newFile("a");
    let finish: () => void = () => undefined;
    let calls = 0;
    const changed = () => {
      calls++;
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    };
    const watch = new FileWatch([file], changed, NEVER_BY_ITSELF);
    watches.push(watch);
    await watch.look();
    const telling = watch.look();
    await expect.poll(() => calls).toBe(1);
    writeFileSync(file, "changed meanwhile");
    await looks(watch, 3);
    expect(calls).toBe(1);
    finish();
    await telling;
    await watch.look();
    const again = watch.look();
    await expect.poll(() => calls).toBe(2);
    finish();
    await again;
  });
});
