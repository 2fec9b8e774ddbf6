// Crash enumeration: short workloads, stopped before and after every single effect on the disk,
// with what a kill leaves and with all or many of the things that a power loss may leave. Every
// image must open to a log between what was acknowledged and what was asked for, whatever the index
// files hold.
import { expect, test } from "vitest";

import type { LogIndex } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { storeFile } from "../../src/log/file-names.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { Enumeration } from "./crash-enumeration.ts";
import { type Step, Workload } from "./crash-workload.ts";
import {
  entriesAfter,
  hardStateOf,
  LOG_START,
  OPTIONS,
  openedLog,
  type PickFile,
  reopened,
  takingTurns,
} from "./driver.ts";

/** Small enough that a few entries roll, and a zeroed slot shows. */
const TINY: LogOptions = {
  ...OPTIONS,
  segmentBytesMax: 1400,
  indexEntriesMax: 5,
  incomingBytesMax: 250,
};
const BUDGET = { everyMax: 6, drawn: 2 };

const settle: Step = { kind: "settle" };
const WORKLOADS: Readonly<Record<string, readonly Step[]>> = {
  "appends in groups": [
    { kind: "append", count: 1 },
    { kind: "append", count: 2 },
    { kind: "append", count: 1 },
    settle,
    { kind: "append", count: 3, bodyBytes: 300 },
  ],
  "rolls through segments": [
    { kind: "append", count: 5 },
    settle,
    { kind: "append", count: 9 },
    { kind: "append", count: 1, bodyBytes: 1700 },
    { kind: "append", count: 2 },
  ],
  "replaces a tail inside a segment": [
    { kind: "append", count: 2 },
    settle,
    { kind: "append", count: 2 },
    settle,
    { kind: "replace", from: 2, count: 2 },
    settle,
    { kind: "append", count: 1 },
  ],
  "replaces a tail over segments, twice, before it was durable": [
    { kind: "append", count: 12 },
    settle,
    { kind: "replace", from: 4, count: 4 },
    { kind: "replace", from: 6, count: 2 },
    { kind: "append", count: 3 },
  ],
  "replaces a tail in a term known before, with appends in front and behind": [
    { kind: "append", count: 4 },
    settle,
    { kind: "append", count: 1 },
    { kind: "replace", from: 3, count: 2, apart: true },
    { kind: "append", count: 1 },
    settle,
    { kind: "replace", from: 2, count: 0, apart: true },
    { kind: "append", count: 7 },
  ],
  "replaces a whole segment and the whole log": [
    { kind: "append", count: 8 },
    settle,
    { kind: "replace", from: 6, count: 1 },
    settle,
    { kind: "replace", from: 1, count: 3 },
  ],
  "votes between appends": [
    { kind: "vote", votedFor: "n2" },
    { kind: "append", count: 1 },
    { kind: "vote", votedFor: "n3" },
    { kind: "append", count: 1 },
    settle,
    { kind: "vote", votedFor: "a-node-with-a-longer-name" },
  ],
  "takes checkpoints": [
    { kind: "append", count: 3 },
    { kind: "checkpoint" },
    { kind: "append", count: 3 },
    { kind: "checkpoint" },
    { kind: "append", count: 1 },
  ],
  "stops and starts": [
    { kind: "append", count: 3 },
    { kind: "reopen", how: "clean" },
    { kind: "append", count: 3 },
    { kind: "reopen", how: "settled" },
    { kind: "replace", from: 5, count: 2 },
    { kind: "reopen", how: "clean" },
  ],
  "goes on from what a kill and a power loss left": [
    { kind: "append", count: 5 },
    { kind: "perform", operations: 3 },
    { kind: "reopen", how: "kill" },
    { kind: "append", count: 4 },
    { kind: "replace", back: 3, count: 2 },
    { kind: "perform", operations: 4 },
    { kind: "reopen", how: "power-loss" },
    { kind: "append", count: 2 },
  ],
  "trims what checkpoints allow, while it appends": [
    { kind: "append", count: 12 },
    settle,
    { kind: "checkpoint" },
    { kind: "append", count: 4 },
    { kind: "trim", keep: 6 },
    { kind: "append", count: 3 },
    settle,
    { kind: "checkpoint" },
    { kind: "trim", keep: 1 },
    { kind: "append", count: 2 },
    { kind: "reopen", how: "kill" },
    { kind: "append", count: 1 },
  ],
  "installs a base over a log with checkpoints, and goes on from there": [
    { kind: "append", count: 7 },
    settle,
    { kind: "checkpoint" },
    { kind: "append", count: 2 },
    { kind: "install", ahead: 3, count: 2 },
    { kind: "append", count: 2 },
    settle,
    { kind: "checkpoint" },
    { kind: "replace", back: 1, count: 2 },
  ],
  "installs twice, trimming before and replacing behind": [
    { kind: "append", count: 9 },
    settle,
    { kind: "checkpoint" },
    { kind: "trim", keep: 2 },
    { kind: "install", ahead: 50, count: 0 },
    { kind: "append", count: 8 },
    { kind: "perform", operations: 12 },
    { kind: "install", ahead: 40, count: 3 },
    { kind: "replace", back: 2, count: 1 },
    { kind: "reopen", how: "clean" },
    { kind: "append", count: 1 },
  ],
  "receives a base in part, another one, and the first again, which it installs": [
    { kind: "append", count: 3 },
    settle,
    { kind: "receive", ahead: 9, bytes: 600 },
    { kind: "append", count: 2 },
    { kind: "receive", ahead: 5, bytes: 500 },
    { kind: "reopen", how: "kill" },
    { kind: "receive", ahead: 5, bytes: 650 },
    { kind: "reopen", how: "power-loss" },
    { kind: "receive", ahead: 9, bytes: 400 },
    { kind: "reopen", how: "clean" },
    { kind: "install", ahead: 9, count: 2 },
    { kind: "append", count: 1 },
  ],
};

/** In which order files make progress, and how many zeros are written ahead. */
const VARIANTS: readonly (readonly [string, () => PickFile, number])[] = [
  ["taking turns", takingTurns, 0],
  ["taking turns", takingTurns, 600],
  ["one file to its end", () => (waiting) => waiting[waiting.length - 1] as string, 600],
];

test("a crash at any effect, of any kind, loses nothing acknowledged and invents nothing", () => {
  const started = performance.now();
  let images = 0;
  let nested = 0;
  let resumable = 0;
  for (const [name, steps] of Object.entries(WORKLOADS)) {
    for (const [order, pick, preallocateBytes] of VARIANTS) {
      const options = { ...TINY, preallocateBytes };
      const seed = `${name} ${order} ${preallocateBytes}`;
      const enumeration = new Enumeration(seed, options, BUDGET);
      try {
        new Workload(options, pick(), enumeration, new Prng(seed)).run(steps);
      } catch (error) {
        throw new Error(`${name}, ${order}, preallocating ${preallocateBytes}`, { cause: error });
      }
      images += enumeration.images;
      nested += enumeration.nested;
      resumable += enumeration.resumable;
    }
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const also = `${nested} recoveries crashed, ${resumable} went on receiving, ${seconds} s`;
  process.stdout.write(`crash images: ${images} tried, ${also}\n`);
  expect(images).toBeGreaterThanOrEqual(20_000);
  expect(resumable).toBeGreaterThan(100);
}, 300_000);

test("a log killed in a trim tells no terms of segments that the trim was about to remove", () => {
  const driver = openedLog(TINY);
  driver.write({ entries: entriesAfter(LOG_START, 1, 8) });
  driver.write({ hardState: hardStateOf(2), entries: entriesAfter(driver.log.status().end, 2, 8) });
  const { end } = driver.log.status();
  expect(driver.log.status().segments).toBeGreaterThan(2);
  driver.checkpoint(end).run();
  // Sealed segments of both terms before the only checkpoint, at which the log will begin.
  driver.trim(end.endOffset);
  while (driver.disk.killImage().has(storeFile(1 as LogIndex))) driver.perform();
  const { opened } = reopened(driver.disk.killImage(), TINY);
  expect(opened).toMatchObject({ base: end, end });
  expect(opened?.termRuns).toEqual([]);
});
