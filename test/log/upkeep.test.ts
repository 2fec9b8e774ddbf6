// What is done to a directory besides writing entries: checkpoints kept and thrown away, the log
// trimmed from its start, or replaced as a whole; and that a crash at any effect of it, of any
// kind, leaves the log before or the log after.
import { describe, expect, test } from "vitest";

import { assert } from "../../src/base/assert.ts";
import { concat } from "../../src/base/bytes.ts";
import { controlDraft } from "../../src/base/control.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import {
  type Entry,
  type EntryHead,
  LOG_START,
  type LogPoint,
  pointAfter,
  type Snapshot,
} from "../../src/base/entry.ts";
import type { LogIndex, MemberId, Offset, Term, WallMs } from "../../src/base/ids.ts";
import { membershipOf, NO_MEMBERS } from "../../src/base/membership.ts";
import { Prng } from "../../src/base/prng.ts";
import {
  checkpointFile,
  indexOfCheckpoint,
  installFile,
  storeFile,
} from "../../src/log/file-names.ts";
import { sealFrame } from "../../src/log/frame.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import {
  entriesAfter,
  entryAfter,
  hardStateOf,
  LogDriver,
  OPTIONS,
  openedLog,
  reopened,
  stateAt,
  takingTurns,
} from "./driver.ts";
import { type CrashChoices, type DiskImage, digestOf, FakeDisk } from "./fake-disk.ts";

const SMALL: LogOptions = { ...OPTIONS, segmentBytesMax: 1500, indexEntriesMax: 7 };

/** A log of forty entries in several segments, with a checkpoint soon after each boundary. */
function checkpointed(): { driver: LogDriver; entries: readonly Entry[] } {
  const driver = openedLog(SMALL);
  const entries = entriesAfter(LOG_START, 1, 40);
  for (let n = 0; n < entries.length; n += 2) {
    const seen = driver.boundaries.length;
    driver.write({ entries: entries.slice(n, n + 2) });
    if (driver.boundaries.length > seen) driver.checkpoint(driver.log.status().end).run();
  }
  return { driver, entries };
}

function checkpointsOf(image: DiskImage): number[] {
  const indexes = [...image.keys()].map(indexOfCheckpoint).filter((index) => index !== null);
  return indexes.sort((a, b) => a - b);
}

function spoiled(image: DiskImage, file: string): DiskImage {
  const bytes = (image.get(file) as Uint8Array).slice();
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
  return new Map(image).set(file, bytes);
}

describe("a roll", () => {
  test("tells the boundary: the last entry of the segment that was sealed", () => {
    const driver = openedLog(SMALL);
    const entries = entriesAfter(LOG_START, 1, 20);
    driver.write({ entries });
    const { segments } = driver.log.status();
    expect(driver.boundaries).toHaveLength(segments - 1);
    for (const boundary of driver.boundaries) {
      expect(boundary).toEqual(pointAfter(entries[boundary.index - 1] as Entry));
      expect(driver.disk.killImage().has(storeFile((boundary.index + 1) as LogIndex))).toBe(true);
    }
  });
});

describe("checkpoints", () => {
  test("are kept one for each segment, the first in it, and the newest", () => {
    const driver = openedLog(SMALL);
    const entries = entriesAfter(LOG_START, 1, 12);
    for (const entry of entries) {
      driver.write({ entries: [entry] });
      driver.checkpoint(pointAfter(entry)).run();
    }
    const starts = driver.boundaries.map(({ index }) => index as number);
    expect(starts.length).toBeGreaterThan(1);
    expect(checkpointsOf(driver.disk.killImage())).toEqual([...starts, 12]);
  });

  test("that cannot be read are passed over for older ones, and told", () => {
    const { driver, entries } = checkpointed();
    let image: DiskImage = driver.disk.killImage();
    const indexes = checkpointsOf(image);
    expect(indexes.length).toBeGreaterThan(3);
    for (let left = indexes.length; left > 0; left--) {
      const { opened } = reopened(image, SMALL);
      const at = pointAfter(entries[(indexes[left - 1] as number) - 1] as Entry);
      expect(opened?.checkpoint).toEqual({ at, state: stateAt(at.index) });
      expect(opened?.tail.map(({ index }) => index)).toEqual(
        entries.slice(at.index).map(({ index }) => index),
      );
      expect(opened?.skipped.map(({ index }) => index)).toEqual(indexes.slice(left).reverse());
      image = spoiled(image, checkpointFile(at.index));
    }
    const { opened } = reopened(image, SMALL);
    expect(opened).toMatchObject({ checkpoint: null, base: LOG_START });
    expect(opened?.tail).toHaveLength(40);
  });
});

describe("a trim", () => {
  test("keeps the checkpoint that the log begins at, though its segment has an earlier one", () => {
    const driver = openedLog(SMALL);
    const entries = entriesAfter(LOG_START, 1, 40);
    const write = (entry: Entry) => {
      driver.write({ entries: [entry] });
      driver.checkpoint(pointAfter(entry)).run();
    };
    let next = 0;
    while (driver.boundaries.length === 0) write(entries[next++] as Entry);
    // Two entries into the second segment, the newest checkpoint is in its middle.
    write(entries[next++] as Entry);
    write(entries[next++] as Entry);
    const base = pointAfter(entries[next - 1] as Entry);
    driver.trim(base.endOffset).run();
    expect(driver.trimmed).toEqual([base]);
    while (driver.boundaries.length < 3) write(entries[next++] as Entry);
    // Whoever is brought a later one would lack records that nobody let go of.
    expect(driver.readBase()).toMatchObject({ kind: "base", base: { at: base } });
    const image = driver.disk.killImage();
    expect(reopened(image, SMALL).opened?.base).toEqual(base);
    // Nor may the log begin later because that one cannot be read.
    const file = checkpointFile(base.index);
    const bytes = (image.get(file) as Uint8Array).slice();
    bytes[0] = 0;
    const { opened, refused } = reopened(new Map(image).set(file, bytes), SMALL);
    expect(opened).toBeNull();
    expect(refused).toMatchObject({ kind: "damaged", damage: { index: base.index } });
  });

  test("drops the segments before a checkpoint, and says where the log begins", () => {
    const { driver, entries } = checkpointed();
    const before = driver.log.status();
    const indexes = checkpointsOf(driver.disk.killImage());
    const third = pointAfter(entries[(indexes[2] as number) - 1] as Entry);
    driver.trim(third.endOffset).run();
    expect(driver.trimmed).toEqual([third]);
    expect(driver.log.status()).toMatchObject({
      startIndex: third.index + 1,
      startOffset: third.endOffset,
      segments: before.segments - 3,
    });
    expect(driver.allEntries()).toEqual(entries.slice(third.index));
    const again = reopened(driver.disk.killImage(), SMALL);
    expect(again.opened).toMatchObject({ base: third, startOffset: third.endOffset });
    expect(again.opened?.termRuns).toEqual([{ term: 1, firstIndex: third.index + 1 }]);
    expect(again.allEntries()).toEqual(entries.slice(third.index));
    expect(checkpointsOf(again.disk.killImage())).toEqual(indexes.slice(2));
  });

  test("refuses readers below the start, those under way too, with the bounds", () => {
    const { driver } = checkpointed();
    const { endOffset } = driver.log.status().end;
    const first = { kind: "offset", offset: 0 as Offset } as const;
    const underWay = driver.askRead(first);
    driver.trim(endOffset);
    while (driver.trimmed.length === 0) {
      driver.perform(driver.disk.waiting.find((file) => indexOfCheckpoint(file) !== null));
    }
    driver.run();
    const { startOffset } = driver.log.status();
    expect(startOffset).toBeGreaterThan(0);
    const fault = { code: "offset-out-of-range", offset: 0, startOffset, endOffset };
    expect(driver.answers.get(underWay)).toMatchObject({ kind: "failed", fault });
    expect(driver.read(first)).toMatchObject({ kind: "failed", fault });
    const at = { kind: "offset", offset: startOffset } as const;
    expect(driver.read(at)).toMatchObject({ kind: "entries" });
  });

  test("waits for a checkpoint, and never goes beyond the offset", () => {
    const driver = openedLog(SMALL);
    const entries = entriesAfter(LOG_START, 1, 30);
    driver.write({ entries });
    const offset = (entries[20] as Entry).offset;
    driver.trim(offset).run();
    expect(driver.trimmed).toEqual([]);
    driver.checkpoint(pointAfter(entries[25] as Entry)).run();
    expect(driver.trimmed).toEqual([]);
    const early = openedLog(SMALL).write({ entries }).trim(offset);
    early.checkpoint(pointAfter(entries[18] as Entry)).run();
    expect(early.trimmed).toEqual([pointAfter(entries[18] as Entry)]);
    expect(early.log.status().startIndex).toBe(20);
  });

  test("that nobody asked for drops nothing, not even entries before the first record", () => {
    const driver = openedLog({ ...SMALL, indexEntriesMax: 2 });
    const noops = [entryAfter(LOG_START, 1, 0)];
    for (let n = 1; n < 6; n++) noops.push(entryAfter(pointAfter(noops[n - 1] as Entry), 1, 0));
    driver.write({ entries: noops });
    driver.checkpoint(pointAfter(noops[4] as Entry)).run();
    expect(driver.log.status()).toMatchObject({ segments: 3, startIndex: 1 });
    expect(driver.allEntries()).toEqual(noops);
  });

  test("does not rest on a checkpoint that cannot be read", () => {
    const { driver, entries } = checkpointed();
    const image = driver.disk.killImage();
    const indexes = checkpointsOf(image);
    const second = indexes[1] as number;
    const offset = pointAfter(entries[second - 1] as Entry).endOffset;
    // Its header is whole, so that opening counts it; its state is not.
    const again = reopened(spoiled(image, checkpointFile(second as LogIndex)), SMALL);
    again.trim(offset).run();
    expect(again.trimmed.map(({ index }) => index)).toEqual([indexes[0]]);
  });

  test("leaves a directory that is damaged when its base is lost", () => {
    const { driver } = checkpointed();
    const { endOffset } = driver.log.status().end;
    const image = driver.trim(endOffset).run().disk.killImage();
    const [base] = checkpointsOf(image);
    image.delete(checkpointFile(base as LogIndex));
    expect(reopened(image, SMALL).refused).toMatchObject({
      kind: "damaged",
      damage: { what: expect.stringContaining("no checkpoint stands for them") },
    });
  });
});

describe("the base", () => {
  test("is nothing while the log begins with its first entry, then the checkpoint it begins at", () => {
    const { driver } = checkpointed();
    expect(driver.readBase()).toMatchObject({ kind: "none" });
    driver.trim(driver.log.status().end.endOffset).run();
    const at = driver.trimmed.at(-1) as LogPoint;
    const read = driver.readBase();
    expect(read).toMatchObject({ kind: "base", base: { at } });
    if (read.kind !== "base") return;
    expect(driver.readBaseState(read.base)).toEqual(stateAt(at.index));
  });

  test("that rotted is not passed over for a later one, which lacks records (seed 90013)", () => {
    const { driver, entries } = checkpointed();
    const third = checkpointsOf(driver.disk.killImage())[2] as number;
    driver.trim(pointAfter(entries[third - 1] as Entry).endOffset).run();
    const image = driver.disk.killImage();
    const [base] = checkpointsOf(image);
    const again = reopened(spoiled(image, checkpointFile(base as LogIndex)), SMALL);
    expect(again.opened?.base.index).toBe(base);
    const fault = { code: "damaged", what: "the base is unreadable" };
    expect(again.readBase()).toMatchObject({ kind: "failed", fault });
    expect(again.readBase()).toMatchObject({ kind: "failed", fault });
  });

  test("longer than one read is verified piece by piece, and read in parts", () => {
    const driver = openedLog(SMALL);
    driver.write({ entries: entriesAfter(LOG_START, 1, 30) });
    const { end } = driver.log.status();
    driver.checkpoint(end, 600_000).trim(end.endOffset).run();
    const again = reopened(driver.disk.killImage(), SMALL);
    const state = stateAt(30, 600_000);
    expect(again.opened?.checkpoint?.state.length).toBe(600_000);
    const read = again.readBase();
    const base = { at: end, stateBytes: 600_000, stateCrc: crc32c(state) };
    expect(read).toMatchObject({ kind: "base", base });
    expect(again.readBaseState(base, 70_000)).toEqual(state);
  });

  test("that rotted in its last piece is no base any more", () => {
    const driver = openedLog(SMALL);
    driver.write({ entries: entriesAfter(LOG_START, 1, 30) });
    const { end } = driver.log.status();
    driver.checkpoint(end, 600_000).trim(end.endOffset).run();
    const image = driver.disk.killImage();
    const bytes = image.get(checkpointFile(end.index)) as Uint8Array;
    const last = bytes.length - 1;
    bytes[last] = (bytes[last] as number) ^ 1;
    driver.disk.rot(image);
    const fault = { code: "damaged", what: "the base is unreadable" };
    expect(driver.readBase()).toMatchObject({ kind: "failed", fault });
  });

  test("that is trimmed away while it is read is answered as failed", () => {
    const { driver } = checkpointed();
    const index = 1 as LogIndex;
    driver.step({ kind: "read-base-part", readId: 77, index, position: 0, length: 10 });
    driver.run();
    expect(driver.bases.get(77)).toMatchObject({ kind: "failed" });
  });
});

const AT: LogPoint = {
  index: 900 as LogIndex,
  term: 5 as Term,
  endOffset: 1234 as Offset,
  timestamp: 7777 as WallMs,
};

function snapshotAt(at: LogPoint): Snapshot {
  return { at, membership: NO_MEMBERS, state: stateAt(at.index) };
}

/** Has received it, so that it may be installed. */
function received(driver: LogDriver, at: LogPoint): Snapshot {
  const snapshot = snapshotAt(at);
  driver.receiveUpTo(snapshot);
  return snapshot;
}

describe("an installation", () => {
  test("replaces the whole log, and what follows in the same write joins on to it", () => {
    const { driver } = checkpointed();
    const install = received(driver, AT);
    const underWay = driver.askRead({ kind: "index", index: 3 as LogIndex });
    const entries = entriesAfter(AT, 5, 9);
    driver.submit({ hardState: hardStateOf(5), install, entries });
    expect(driver.log.status()).toMatchObject({ startIndex: 901, end: { index: 909 } });
    expect(driver.log.status().durableIndex).toBeLessThan(901);
    driver.run();
    expect(driver.answers.get(underWay)).toMatchObject({ fault: { code: "offset-out-of-range" } });
    expect(driver.log.status()).toMatchObject({ durableIndex: 909, startOffset: 1234 });
    expect(driver.allEntries()).toEqual(entries);
    expect(driver.readBase()).toMatchObject({ kind: "base", base: { at: AT } });
    const again = reopened(driver.disk.killImage(), SMALL);
    expect(again.opened).toMatchObject({
      base: AT,
      checkpoint: { at: AT, state: stateAt(900) },
      hardState: hardStateOf(5),
      end: pointAfter(entries[8] as Entry),
    });
    expect(again.allEntries()).toEqual(entries);
    const files = [...again.disk.killImage().keys()];
    expect(files.filter((file) => file < checkpointFile(900 as LogIndex))).toEqual([]);
  });

  test("may go behind the log's end, whatever was there", () => {
    const { driver, entries } = checkpointed();
    const newest = checkpointsOf(driver.disk.killImage()).at(-1) as number;
    const at = { ...AT, index: (newest + 1) as LogIndex };
    expect(at.index).toBeLessThan((entries.at(-1) as Entry).index);
    const more = entriesAfter(at, 6, 3);
    driver.write({ hardState: hardStateOf(6), install: received(driver, at), entries: more });
    expect(driver.allEntries()).toEqual(more);
    expect(reopened(driver.disk.killImage(), SMALL).allEntries()).toEqual(more);
  });

  test("twice in a row, with truncations and checkpoints behind, leaves the last", () => {
    const { driver } = checkpointed();
    const first = entriesAfter(AT, 5, 9);
    driver.submit({ hardState: hardStateOf(5), install: received(driver, AT), entries: first });
    const at = { ...AT, index: 1000 as LogIndex };
    driver.submit({ hardState: hardStateOf(6), install: received(driver, at) });
    const second = entriesAfter(at, 6, 12);
    driver.write({ entries: second });
    const kept = second.slice(0, 8);
    driver.checkpoint(pointAfter(kept[3] as Entry)).run();
    const last = entriesAfter(pointAfter(kept[7] as Entry), 7, 9);
    driver.write({ hardState: hardStateOf(7), truncateFrom: 1009 as LogIndex, entries: last });
    expect(driver.allEntries()).toEqual([...kept, ...last]);
    const again = reopened(driver.disk.killImage(), SMALL);
    expect(again.allEntries()).toEqual([...kept, ...last]);
    expect(again.opened).toMatchObject({ base: at, checkpoint: { at: { index: 1004 } } });
  });

  test("whose base rotted before it was done is refused, not taken for nothing", () => {
    const { driver } = checkpointed();
    driver.submit({ hardState: hardStateOf(5), install: received(driver, AT) });
    const file = installFile(900 as LogIndex);
    while (!driver.disk.killImage().has(file)) driver.perform();
    const image = spoiled(driver.disk.killImage(), file);
    expect(reopened(image, SMALL).refused).toMatchObject({ kind: "damaged", damage: { file } });
  });
});

describe("a control entry", () => {
  test("is given on opening with what its body says", () => {
    const driver = openedLog();
    const member = { id: `n1/${"ab".repeat(16)}` as MemberId, address: "host:1" };
    const membership = membershipOf([member]);
    const first = controlEntry(LOG_START, { kind: "membership", membership });
    const control = { kind: "trim", startOffset: 7 as Offset } as const;
    const second = controlEntry(pointAfter(first), control);
    driver.write({ entries: [first, second] });
    const { opened } = reopened(driver.disk.killImage());
    expect(opened?.tail.map((head) => head.control)).toEqual([
      { kind: "membership", membership },
      control,
    ]);
  });

  test("whose body makes no sense under a good checksum is damage", () => {
    const driver = openedLog();
    const good = controlEntry(LOG_START, { kind: "trim", startOffset: 7 as Offset });
    const head: EntryHead = { ...good, kind: "membership" };
    const frame = sealFrame(head, good.frame.slice());
    driver.write({ entries: [{ ...head, frame }] });
    expect(reopened(driver.disk.killImage()).refused).toMatchObject({
      kind: "damaged",
      damage: { index: 1, what: "the body of a membership entry makes no sense" },
    });
  });
});

function controlEntry(before: LogPoint, control: Parameters<typeof controlDraft>[0]): Entry {
  const draft = controlDraft(control, (before.timestamp + 1) as WallMs);
  const head: EntryHead = {
    ...draft,
    index: (before.index + 1) as LogIndex,
    term: 1 as Term,
    prevTerm: before.term,
    offset: before.endOffset,
    bodyLength: draft.rawLength,
  };
  return { ...head, frame: sealFrame(head, concat([draft.bytes])) };
}

// ---- crashes ----

/** The logs a crash may leave: where they begin at the earliest, and their entries from index 1. */
interface Model {
  readonly base: LogPoint;
  readonly entries: readonly Entry[];
}

class Crashes {
  readonly #prng = new Prng("upkeep");
  readonly #options: LogOptions;
  readonly #seen = new Set<string>();
  /** Any of these; an entry that all hold and that was durable is in the log. */
  allowed: readonly Model[] = [];

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** Distinct ones tried. */
  get images(): number {
    return this.#seen.size;
  }

  strike(disk: FakeDisk, nested = false): void {
    const dice: CrashChoices = {
      take: (count) => this.#prng.below(count + 1),
      index: (bytes) => this.#prng.bytes(bytes.length),
    };
    const nothing: CrashChoices = { take: () => 0, index: () => null };
    const all: CrashChoices = { take: (count) => count, index: () => null };
    this.#check(disk.killImage(), nested);
    for (const choices of [nothing, all, dice, dice]) {
      this.#check(disk.powerLossImage(choices), nested);
    }
  }

  #check(image: DiskImage, nested: boolean): void {
    const key = `${digestOf(image)} ${this.allowed.length}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const driver = new LogDriver(new FakeDisk(image), this.#options, takingTurns());
    if (!nested && this.#prng.chance(1, 10)) {
      driver.afterEach = () => {
        if (driver.opened === null) this.strike(driver.disk, true);
      };
    }
    driver.open();
    driver.afterEach = () => {};
    const { opened } = driver;
    assert(opened !== null, `refused: ${JSON.stringify(driver.refused)}`);
    const found = driver.allEntries();
    const model = this.allowed.find(({ base, entries }) => {
      if (opened.base.index < base.index || opened.base.index > opened.end.index) return false;
      const expected = entries.filter(({ index }) => index > opened.base.index);
      return found.length === expected.length && found.every((e, n) => isSame(e, expected[n]));
    });
    assert(model !== undefined, `${opened.base.index} .. ${opened.end.index} is no log allowed`);
    if (opened.checkpoint !== null) {
      expect(opened.checkpoint.state).toEqual(stateAt(opened.checkpoint.at.index));
      const tail = found.filter(({ index }) => index > (opened.checkpoint?.at.index ?? 0));
      expect(opened.tail.map(({ index }) => index)).toEqual(tail.map(({ index }) => index));
    } else expect(opened.base).toEqual(LOG_START);
    const once = driver.disk.killImage();
    const again = reopened(once, this.#options);
    expect(again.opened?.base).toEqual(opened.base);
    expect(digestOf(again.disk.killImage())).toBe(digestOf(once));
  }
}

function isSame(a: Entry, b: Entry | undefined): boolean {
  return b !== undefined && Buffer.compare(a.frame, b.frame) === 0;
}

describe("a crash at any effect", () => {
  test("of trims with checkpoints leaves a whole log that begins no later than asked", () => {
    const { driver: source, entries } = checkpointed();
    const crashes = new Crashes(SMALL);
    const driver = new LogDriver(new FakeDisk(source.disk.killImage()), SMALL).open();
    driver.afterEach = () => crashes.strike(driver.disk);
    crashes.allowed = [{ base: LOG_START, entries }];
    driver.trim((entries[12] as Entry).offset).run();
    driver.trim((entries[30] as Entry).offset).run();
    driver.checkpoint(driver.log.status().end).trim(driver.log.status().end.endOffset).run();
    expect(driver.trimmed.length).toBe(3);
    expect(driver.log.status().segments).toBe(1);
    expect(crashes.images).toBeGreaterThan(150);
  });

  test("of an installation leaves the old log whole, or what replaced it", () => {
    const { driver: source, entries } = checkpointed();
    const crashes = new Crashes(SMALL);
    const driver = new LogDriver(new FakeDisk(source.disk.killImage()), SMALL).open();
    driver.write({ hardState: hardStateOf(5) });
    driver.afterEach = () => crashes.strike(driver.disk);
    const old: Model = { base: LOG_START, entries };
    const replaced: Model = { base: AT, entries: [] };
    crashes.allowed = [old, replaced];
    driver.trim((entries[12] as Entry).offset);
    driver.write({ install: received(driver, AT) });
    const more = entriesAfter(AT, 5, 3);
    crashes.allowed = [replaced, { base: AT, entries: more }];
    driver.submit({ entries: more });
    // Frames of one write are torn off one after another.
    crashes.allowed = [0, 1, 2, 3].map((n) => ({ base: AT, entries: more.slice(0, n) }));
    driver.run();
    expect(crashes.images).toBeGreaterThan(150);
  });
});
