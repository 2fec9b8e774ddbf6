// A checkpoint that a peer sends, in its own file of a data directory: what is kept of it, what is
// let go of, and what a node that restarts believes.

import { describe, expect, test } from "vitest";
import { equalBytes, freeze } from "../../src/base/bytes.ts";
import type { LogPoint } from "../../src/base/entry.ts";
import type { LogIndex, Offset, Term, WallMs } from "../../src/base/ids.ts";
import { NO_MEMBERS } from "../../src/base/membership.ts";
import {
  CHECKPOINT_HEADER_BYTES,
  type Checkpoint,
  encodeCheckpointHeader,
} from "../../src/log/checkpoint.ts";
import { checkpointFile, incomingFile, indexOfIncoming } from "../../src/log/file-names.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import {
  entriesAfter,
  hardStateOf,
  headerOf,
  LOG_START,
  type LogDriver,
  OPTIONS,
  openedLog,
  reopened,
  stateAt,
} from "./driver.ts";
import type { DiskImage } from "./fake-disk.ts";

const TINY: LogOptions = { ...OPTIONS, incomingBytesMax: 200 };
const STATE_BYTES = 1000;

function checkpointAt(index: number, bytes = STATE_BYTES): Checkpoint {
  const at: LogPoint = {
    index: index as LogIndex,
    term: 1 as Term,
    endOffset: 700 as Offset,
    timestamp: 7777 as WallMs,
  };
  return { at, state: stateAt(index, bytes) };
}

function filesOf(driver: LogDriver): string[] {
  const names = [...driver.disk.killImage().keys()];
  return names.filter((file) => indexOfIncoming(file) !== null);
}

/** A file as a crash left it: so many bytes of the state. */
function partOf(checkpoint: Checkpoint, bytes: number): Uint8Array {
  const file = new Uint8Array(CHECKPOINT_HEADER_BYTES + bytes);
  file.set(encodeCheckpointHeader(headerOf(checkpoint)));
  file.set(checkpoint.state.subarray(0, bytes), CHECKPOINT_HEADER_BYTES);
  return file;
}

/** Where a log says that whoever sends this had better go on. */
function positionIn(driver: LogDriver, checkpoint: Checkpoint): number | null {
  driver.received.splice(0);
  driver.receive(checkpoint, 0, 0).run();
  const [told] = driver.received;
  return told?.kind === "part" ? told.position : null;
}

describe("a checkpoint that is received", () => {
  test("is said to be whole once all of it is synced, and never goes far beyond a sync before", () => {
    const driver = openedLog(TINY);
    const checkpoint = checkpointAt(900);
    let [unsynced, most] = [0, 0];
    driver.afterEach = () => {
      const last = driver.disk.performed.at(-1);
      if (last === undefined || !("file" in last) || indexOfIncoming(last.file) === null) return;
      if (last.kind === "sync") unsynced = 0;
      if (last.kind !== "write-at") return;
      unsynced += last.parts.reduce((sum, { length }) => sum + length, 0);
      most = Math.max(most, unsynced);
    };
    driver.receiveUpTo(checkpoint);
    expect(driver.received.at(-1)).toMatchObject({ kind: "whole", state: checkpoint.state });
    expect(unsynced).toBe(0);
    expect(most).toBeGreaterThan(100);
    expect(most).toBeLessThanOrEqual(200 + CHECKPOINT_HEADER_BYTES);
  });

  test("that nobody will install leaves no file", () => {
    const driver = openedLog(TINY);
    driver.receiveUpTo(checkpointAt(900), 500);
    expect(driver.log.incomingIndex).toBe(900);
    driver.step({ kind: "forget-received" });
    driver.run();
    expect([filesOf(driver), driver.log.incomingIndex]).toEqual([[], 0]);
    expect(positionIn(driver, checkpointAt(900))).toBe(0);
  });

  test("takes the place of another, and its bytes are not mixed with that one's", () => {
    const driver = openedLog(TINY);
    driver.receiveUpTo(checkpointAt(900), 500);
    driver.receiveUpTo(checkpointAt(800));
    expect(driver.received.at(-1)).toMatchObject({ kind: "whole", base: { at: { index: 800 } } });
    expect(filesOf(driver)).toEqual([incomingFile(800 as LogIndex)]);
  });

  test("waits for another that is being installed, and is heard of then", () => {
    const driver = openedLog(TINY);
    const first = checkpointAt(900);
    driver.receiveUpTo(first);
    driver.submit({ hardState: hardStateOf(2), install: { ...first, membership: NO_MEMBERS } });
    driver.received.splice(0);
    driver.receive(checkpointAt(950), 0, 0).receive(checkpointAt(950), 0, 100);
    expect(driver.received).toEqual([]);
    driver.run();
    expect(filesOf(driver)).toEqual([]);
    driver.receiveUpTo(checkpointAt(950));
    expect(driver.log.status().startIndex).toBe(901);
    expect(driver.received.at(-1)).toMatchObject({ kind: "whole", base: { at: { index: 950 } } });
  });

  test("of several reads is read back byte for byte, and not at all when its file is cut", () => {
    const driver = openedLog();
    const { at } = checkpointAt(900);
    const state = freeze(
      Uint8Array.from({ length: 9_000_001 }, (_, n) => n ^ (n >> 8) ^ (n >> 16)),
    );
    const checkpoint = { at, state };
    driver.receiveUpTo(checkpoint, state.length, 512 * 1024);
    const whole = driver.received.at(-1);
    expect(whole?.kind === "whole" && equalBytes(whole.state, state)).toBe(true);
    driver.submit({
      hardState: hardStateOf(2),
      install: { ...checkpoint, membership: NO_MEMBERS },
    });
    driver.run();
    const image = driver.disk.killImage();
    const { opened } = reopened(image, OPTIONS);
    expect(equalBytes(opened?.checkpoint?.state ?? new Uint8Array(0), state)).toBe(true);
    const file = checkpointFile(at.index);
    const cut = (image.get(file) as Uint8Array).subarray(0, 5_000_000);
    const { refused } = reopened(new Map(image).set(file, cut), OPTIONS);
    expect(refused).toMatchObject({ kind: "damaged", damage: { index: 900 } });
  });

  test("with one byte wrong is let go of, and taken when it is sent anew", () => {
    const driver = openedLog(TINY);
    const right = checkpointAt(900);
    const bytes = right.state.slice(500, 600);
    bytes[7] = (bytes[7] as number) ^ 1;
    for (let at = 0; at < 500; at += 100) driver.receive(right, at, 100).run();
    const base = headerOf(right);
    driver.step({ kind: "receive-base", base, position: 500, bytes: bytes as never });
    driver.run();
    driver.received.splice(0);
    for (let at = 600; at < STATE_BYTES; at += 100) driver.receive(right, at, 100).run();
    expect(driver.received.at(-1)).toEqual({ kind: "broken", base });
    driver.received.splice(0);
    driver.receiveUpTo(right);
    expect(driver.received.at(-1)).toMatchObject({ kind: "whole", state: right.state });
  });

  test("whose sync fails poisons the log, and is no more believed than before", () => {
    const driver = openedLog(TINY);
    const checkpoint = checkpointAt(900);
    const isSync = (file: string) => indexOfIncoming(file) !== null;
    driver.receiveUpTo(checkpoint, 400);
    driver.disk.failure = { when: (op) => op.kind === "sync" && isSync(op.file), code: "EIO" };
    for (let at = 400; at < STATE_BYTES; at += 100) driver.receive(checkpoint, at, 100).run();
    expect(driver.poisoned).toMatchObject({ code: "disk-failed" });
    const all = { take: (count: number) => count, index: () => null };
    const again = reopened(driver.disk.powerLossImage(all), TINY);
    const kept = positionIn(again, checkpoint) ?? 0;
    const image = driver.disk.powerLossImage({ take: () => 0, index: () => null });
    const durable = (image.get(incomingFile(900 as LogIndex)) as Uint8Array).length;
    expect(kept).toBeLessThanOrEqual(durable - CHECKPOINT_HEADER_BYTES);
    again.receiveUpTo(checkpoint);
    expect(again.received.at(-1)).toMatchObject({ kind: "whole", state: checkpoint.state });
  });
});

describe("an opening", () => {
  /** A log of 40 entries with a checkpoint at its end, and what else is put beside it. */
  function imageWith(files: DiskImage): DiskImage {
    const driver = openedLog(TINY);
    driver.write({ entries: entriesAfter(LOG_START, 1, 40) });
    driver.checkpoint(driver.log.status().end).run();
    return new Map([...driver.disk.killImage(), ...files]);
  }

  test("goes on with what a crash left, but for what may not have been synced", () => {
    const checkpoint = checkpointAt(900);
    const file = incomingFile(900 as LogIndex);
    const driver = reopened(imageWith(new Map([[file, partOf(checkpoint, 700)]])), TINY);
    expect(positionIn(driver, checkpoint)).toBe(500);
    driver.receiveUpTo(checkpoint);
    expect(driver.received.at(-1)).toMatchObject({ kind: "whole", state: checkpoint.state });
  });

  test("removes what is too short, behind the newest checkpoint, or not what its name says", () => {
    const useless: DiskImage = new Map([
      [incomingFile(900 as LogIndex), partOf(checkpointAt(900), 200)],
      [incomingFile(30 as LogIndex), partOf(checkpointAt(30), 900)],
      [incomingFile(950 as LogIndex), partOf(checkpointAt(951), 900)],
      [incomingFile(970 as LogIndex), new Uint8Array(900)],
    ]);
    const driver = reopened(imageWith(useless), TINY);
    expect(driver.opened?.end.index).toBe(40);
    expect([filesOf(driver), driver.log.incomingIndex]).toEqual([[], 0]);
  });

  test("keeps one of two, for a power loss may bring back the one that was let go of", () => {
    const two: DiskImage = new Map([
      [incomingFile(800 as LogIndex), partOf(checkpointAt(800), 600)],
      [incomingFile(900 as LogIndex), partOf(checkpointAt(900), 600)],
    ]);
    expect(filesOf(reopened(imageWith(two), TINY))).toHaveLength(1);
  });

  test("believes nothing of it: what rotted meanwhile is found out before it is installed", () => {
    const checkpoint = checkpointAt(900);
    const bytes = partOf(checkpoint, 700);
    bytes[CHECKPOINT_HEADER_BYTES + 3] = 1;
    const file = incomingFile(900 as LogIndex);
    const driver = reopened(imageWith(new Map([[file, bytes]])), TINY);
    for (let at = 500; at < STATE_BYTES; at += 100) driver.receive(checkpoint, at, 100).run();
    expect(driver.received.at(-1)).toMatchObject({ kind: "broken" });
    expect(positionIn(driver, checkpoint)).toBe(0);
  });

  test("refuses a directory that has such a file and no manifest: it was in use", () => {
    const file = incomingFile(900 as LogIndex);
    const { refused } = reopened(new Map([[file, partOf(checkpointAt(900), 700)]]), TINY);
    expect(refused).toMatchObject({ kind: "damaged", damage: { file: "manifest" } });
  });
});
