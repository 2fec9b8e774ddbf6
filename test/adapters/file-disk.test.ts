// What the disk contract cannot ask of every disk: short writes, the system's own errors,
// descriptors.

import {
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { diskErrorCode, FileDisk } from "../../src/adapters/file-disk.ts";
import { FileIndex } from "../../src/adapters/file-index.ts";
import { writeFully } from "../../src/adapters/file-transfer.ts";
import { concat } from "../../src/base/bytes.ts";
import type { OpId, Position } from "../../src/base/ids.ts";
import { DiskDesk } from "../contract/disk.contract.ts";
import { nextRound } from "./peer-end.ts";

const START = 0 as Position;

describe("a file disk", () => {
  let directory: string;
  let disk: FileDisk;
  let desk: DiskDesk;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "cairn-disk-"));
    disk = new FileDisk({ directory, index: new FileIndex(), openFilesMax: 3 });
    const nothing = async (): Promise<never> => Promise.reject(new Error("not reopened here"));
    desk = new DiskDesk({ disk, drive: nextRound, reopen: nothing, close: () => disk.close() });
  });
  afterEach(async () => {
    await disk.close();
    rmSync(directory, { recursive: true });
  });

  test("keeps no more files open than it may, while all of them work", async () => {
    const names = Array.from({ length: 20 }, (_, number) => `f${number}`);
    for (const file of names) {
      await desk.done({ kind: "create", file });
      await desk.write(file, 0, Uint8Array.of(1));
      expect(disk.openFiles).toBeLessThanOrEqual(3);
    }
    const reads = names.map((file) => desk.read(file, 0, 1));
    expect(await Promise.all(reads)).toEqual(names.map(() => [1]));
    expect(disk.openFiles).toBeLessThanOrEqual(3);
  });

  test("says that the disk is full, and which file did not fit", async () => {
    symlinkSync("/dev/full", join(directory, "full"));
    const parts = [new Uint8Array(4096)];
    const result = await desk.perform({ kind: "write-at", file: "full", position: START, parts });
    expect(result).toMatchObject({ kind: "failed", code: "ENOSPC" });
    expect(result.kind === "failed" && result.message).toMatch(/write-at full: .*ENOSPC/);
  });

  test("names an error of the system that has no code here", async () => {
    mkdirSync(join(directory, "d"));
    const result = await desk.perform({ kind: "sync", file: "d" });
    expect(result).toMatchObject({ kind: "failed", code: "EOTHER" });
    expect(result.kind === "failed" && result.message).toMatch(/sync d: .*EISDIR/);
  });

  test("lists neither directories nor what begins with a dot", async () => {
    mkdirSync(join(directory, "d"));
    writeFileSync(join(directory, ".lock"), "");
    await desk.done({ kind: "create", file: "a" });
    expect(await desk.list()).toEqual([["a", 0]]);
  });

  test("touches nothing outside its directory", () => {
    for (const file of ["../a", "a/b", "/etc/passwd", "", ".", "..", ".lock", "a\0b"]) {
      const opId = 1 as OpId;
      expect(() => disk.submit({ kind: "unlink", opId, file })).toThrow(/not plain/);
      expect(() => disk.submit({ kind: "rename", opId, from: "a", to: file })).toThrow(/not plain/);
    }
  });

  test.runIf(process.platform === "linux")(
    "writes and syncs in one call only where nothing else of the file waits for the disk",
    async () => {
      const written = { kind: "write-at", file: "a", position: START, parts: [Uint8Array.of(1)] };
      const write = () => desk.perform(written as Parameters<typeof desk.perform>[0]);
      const both = async () => {
        const results = [write(), desk.perform({ kind: "sync", file: "a" })];
        expect(await Promise.all(results)).toEqual([{ kind: "done" }, { kind: "done" }]);
      };
      await desk.done({ kind: "create", file: "a" });
      await write();
      await both();
      expect(durableDescriptors(directory)).toBe(0);
      await both();
      expect(durableDescriptors(directory)).toBe(1);
      await disk.close();
      expect(durableDescriptors(directory)).toBe(0);
    },
  );

  test("tells a write and the sync after it in their order", async () => {
    await desk.done({ kind: "create", file: "a" });
    const ids = Array.from({ length: 5 }, (_, at) => {
      const parts = [Uint8Array.of(at)];
      const id = desk.submit({ kind: "write-at", file: "a", position: START, parts });
      return [id, desk.submit({ kind: "sync", file: "a" })];
    }).flat();
    await disk.close();
    expect(desk.completed.slice(-10)).toEqual(ids);
  });

  test("tells of a failed write and of the sync after it", async () => {
    symlinkSync("/dev/full", join(directory, "full"));
    const parts = [new Uint8Array(4096)];
    const write = desk.perform({ kind: "write-at", file: "full", position: START, parts });
    const sync = desk.perform({ kind: "sync", file: "full" });
    expect(await write).toMatchObject({ kind: "failed", code: "ENOSPC" });
    expect(await sync).toMatchObject({
      kind: "failed",
      message: expect.stringMatching(/sync full/),
    });
  });

  test("completes what was submitted before it closes, and takes nothing after", async () => {
    const ids = [desk.submit({ kind: "create", file: "a" }), desk.submit({ kind: "list" })];
    const parts = [new Uint8Array(1_000_000)];
    ids.push(desk.submit({ kind: "write-at", file: "a", position: START, parts }));
    await disk.close();
    expect([...desk.completed].sort((a, b) => a - b)).toEqual(ids);
    expect(() => desk.submit({ kind: "list" })).toThrow(/closed/);
    expect(disk.openFiles).toBe(0);
  });
});

/** Of this process, on files of the directory: open for writes that are durable at once. */
function durableDescriptors(directory: string): number {
  const isDurable = (fd: string) => {
    try {
      if (!readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory)) return false;
      const flags = /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
      return (Number.parseInt(flags ?? "0", 8) & constants.O_DSYNC) !== 0;
    } catch {
      return false; // The one that lists them.
    }
  };
  return readdirSync("/proc/self/fd").filter(isDurable).length;
}

describe("a whole write", () => {
  test("goes on after each short one until all parts are there", async () => {
    const parts = [Uint8Array.of(1, 2, 3), Uint8Array.of(), Uint8Array.of(4), Uint8Array.of(5, 6)];
    for (const step of [1, 2, 3, 4, 5, 6]) {
      const file = new Uint8Array(10);
      await writeFully(0, 2, parts, async (_fd, rest, position) => {
        const bytes = concat(rest).subarray(0, step);
        file.set(bytes, position);
        return bytes.length;
      });
      expect([...file]).toEqual([0, 0, 1, 2, 3, 4, 5, 6, 0, 0]);
    }
  });

  test("ends with an error when the system takes nothing", async () => {
    const write = writeFully(0, 7, [Uint8Array.of(1)], async () => 0);
    await expect(write).rejects.toThrow(/no byte of a write at position 7/);
  });
});

describe("an error code", () => {
  test("is one of the few that the log tells apart", () => {
    const codes = ["ENOSPC", "EDQUOT", "EIO", "ENOENT", "EEXIST", "EROFS", "EMFILE", null];
    expect(codes.map(diskErrorCode)).toEqual([
      "ENOSPC",
      "ENOSPC",
      "EIO",
      "ENOENT",
      "EEXIST",
      "EOTHER",
      "EOTHER",
      "EOTHER",
    ]);
  });
});
