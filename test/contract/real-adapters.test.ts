// The port contracts against the adapters of production: real files, real time.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { FileDisk } from "../../src/adapters/file-disk.ts";
import { chooseIndex, type IndexKind } from "../../src/adapters/index-maps.ts";
import { OsClock } from "../../src/adapters/os-clock.ts";
import { clockContract } from "./clock.contract.ts";
import { type DiskUnderTest, diskContract } from "./disk.contract.ts";

const nextRound = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

clockContract("OsClock", () => {
  const clock = new OsClock();
  return {
    clock,
    driveUntil: async (isDone) => {
      while (!isDone()) await nextRound();
    },
    close: () => clock.close(),
  };
});

function openDisk(directory: string, index: IndexKind, openFilesMax: number): DiskUnderTest {
  const disk = new FileDisk({ directory, index: chooseIndex(index).maps, openFilesMax });
  return {
    disk,
    drive: nextRound,
    reopen: async () => {
      await disk.close();
      return openDisk(directory, index, openFilesMax);
    },
    close: async () => {
      await disk.close();
      await rm(directory, { recursive: true });
    },
  };
}

async function makeDisk(index: IndexKind, openFilesMax = 64): Promise<DiskUnderTest> {
  return openDisk(await mkdtemp(join(tmpdir(), "cairn-disk-")), index, openFilesMax);
}

diskContract("FileDisk with a mapped index", () => makeDisk("mmap"));
diskContract("FileDisk with a file index", () => makeDisk("file"));
diskContract("FileDisk with one open file at a time", () => makeDisk("file", 1));
