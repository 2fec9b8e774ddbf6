// Reads beside everything else that goes on: appends, truncations, rolls and a small cache, with
// the disk's progress in any order. A read answers with a stretch of the log as it was at some
// moment between question and answer; never with a mixture, never with bytes that do not check.
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { type Entry, LOG_START, type LogPoint, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex, Offset } from "../../src/base/ids.ts";
import { READS_IN_FLIGHT_MAX, READS_WAITING_MAX } from "../../src/log/reader.ts";
import { ResidentTail } from "../../src/log/resident-tail.ts";
import {
  entriesAfter,
  entriesOf,
  hardStateOf,
  LogDriver,
  OPTIONS,
  openedLog,
  reopened,
} from "./driver.ts";
import { FakeDisk } from "./fake-disk.ts";

const SMALL = { ...OPTIONS, segmentBytesMax: 1500, indexEntriesMax: 7 };
const STORE = "00000000000000000001.store";

function endOf(entries: readonly Entry[]): LogPoint {
  const last = entries.at(-1);
  return last === undefined ? LOG_START : pointAfter(last);
}

type Command =
  | { readonly kind: "append"; readonly count: number }
  | { readonly kind: "replace"; readonly back: number; readonly count: number }
  | {
      readonly kind: "read";
      readonly at: number;
      readonly by: "index" | "offset";
      readonly bytes: number;
    }
  | { readonly kind: "perform"; readonly pick: number };

const commands = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({
      kind: fc.constant("replace" as const),
      back: fc.integer({ min: 1, max: 12 }),
      count: fc.integer({ min: 0, max: 4 }),
    }),
    fc.record({
      kind: fc.constant("read" as const),
      at: fc.nat({ max: 60 }),
      by: fc.constantFrom("index" as const, "offset" as const),
      bytes: fc.constantFrom(1, 300, 2000, 100_000),
    }),
    fc.record({ kind: fc.constant("perform" as const), pick: fc.nat({ max: 5 }) }),
    fc.record({ kind: fc.constant("perform" as const), pick: fc.nat({ max: 5 }) }),
  ),
  { minLength: 10, maxLength: 120 },
);

interface Asked {
  readonly readId: number;
  readonly command: Extract<Command, { kind: "read" }>;
  /** The log as it was when asked, and after each change since. */
  readonly versions: (readonly Entry[])[];
}

/** A log under commands, and the model of what it holds. */
class Scene {
  readonly #driver: LogDriver;
  #model: readonly Entry[] = [];
  #term = 1;
  #asked: Asked[] = [];
  #files: readonly string[] = [];
  #pick = 0;

  constructor(cacheBytesMax: number) {
    const pick = (waiting: readonly string[]) => {
      this.#files = waiting;
      return waiting[this.#pick % waiting.length] as string;
    };
    this.#driver = new LogDriver(new FakeDisk(), { ...SMALL, cacheBytesMax }, pick).open();
    this.#driver.write({ hardState: hardStateOf(1) });
  }

  take(command: Command): void {
    switch (command.kind) {
      case "append":
        this.#become(this.#model, command.count, null);
        break;
      case "replace": {
        if (this.#model.length === 0) return;
        const kept = this.#model.slice(0, Math.max(0, this.#model.length - command.back));
        this.#term++;
        this.#become(kept, command.count, (kept.length + 1) as LogIndex);
        break;
      }
      case "read": {
        const { at, by, bytes } = command;
        const from =
          by === "index"
            ? { kind: by, index: (at + 1) as LogIndex }
            : { kind: by, offset: at as Offset };
        const readId = this.#driver.askRead(from, bytes, 1_000_000 as LogIndex);
        this.#asked.push({ readId, command, versions: [this.#model] });
        break;
      }
      case "perform":
        this.#pick = command.pick;
        this.#driver.perform();
        break;
    }
    this.check();
  }

  #become(kept: readonly Entry[], count: number, truncateFrom: LogIndex | null): void {
    const entries = entriesAfter(endOf(kept), this.#term, count);
    const hardState = truncateFrom === null ? null : hardStateOf(this.#term);
    this.#driver.submit({ hardState, truncateFrom, entries });
    this.#model = [...kept, ...entries];
    for (const asked of this.#asked) asked.versions.push(this.#model);
  }

  /** Looks at the answers that came. */
  check(): void {
    this.#asked = this.#asked.filter((asked) => {
      const answer = this.#driver.answers.get(asked.readId);
      if (answer === undefined) return true;
      const entries = entriesOf(answer);
      expect(asked.versions.some((version) => isAnswer(version, asked.command, entries))).toBe(
        true,
      );
      return false;
    });
  }

  finish(): void {
    this.#driver.run();
    this.check();
    expect(this.#asked).toEqual([]);
    expect(this.#files.length).toBeGreaterThan(0);
    expect(frames(this.#driver.allEntries())).toEqual(frames(this.#model));
    expect(frames(reopened(this.#driver.disk.killImage(), SMALL).allEntries())).toEqual(
      frames(this.#model),
    );
  }
}

function frames(entries: readonly Entry[]): string[] {
  return entries.map((entry) => `${entry.index} ${entry.term} ${entry.bodyCrc}`);
}

/**
 * Whether `entries` answers the read on this version of the log: from the right place, not too
 * many.
 */
function isAnswer(
  version: readonly Entry[],
  { at, by, bytes }: Extract<Command, { kind: "read" }>,
  entries: readonly Entry[],
): boolean {
  const start =
    by === "index"
      ? at
      : version.findIndex((entry) => entry.offset <= at && at < entry.offset + entry.count);
  const expected = start < 0 ? [] : version.slice(start);
  if (entries.length === 0) return expected.length === 0;
  const size = entries.slice(0, -1).reduce((sum, entry) => sum + entry.frame.length, 0);
  if (entries.length > 1 && size > bytes) return false;
  return frames(entries).every((frame, n) => frame === frames(expected.slice(n, n + 1))[0]);
}

describe("a read", () => {
  test.each([0, 500, 1_000_000])(
    "with a cache of %i bytes answers from one moment of the log, whatever goes on",
    (cacheBytesMax) => {
      fc.assert(
        fc.property(commands, (list) => {
          const scene = new Scene(cacheBytesMax);
          for (const command of list) scene.take(command);
          scene.finish();
        }),
        { numRuns: 60 },
      );
    },
  );

  test("under way while its entries are replaced answers with the new ones", () => {
    const driver = openedLog();
    const old = entriesAfter(LOG_START, 1, 8);
    driver.write({ entries: old });
    const within = driver.askRead({ kind: "index", index: 3 as LogIndex });
    const end = 99 as LogIndex;
    const behind = driver.askRead({ kind: "index", index: 6 as LogIndex }, 1_000_000, end);
    const replaced = entriesAfter(endOf(old.slice(0, 4)), 2, 5);
    driver.write({ hardState: hardStateOf(2), truncateFrom: 5 as LogIndex, entries: replaced });
    expect(driver.answers.get(within)).toMatchObject({ entries: old.slice(2, 4) });
    expect(driver.answers.get(behind)).toMatchObject({ entries: replaced.slice(1) });
  });

  test("under way over two truncations believes the lower one", () => {
    const driver = openedLog();
    const old = entriesAfter(LOG_START, 1, 8);
    driver.write({ entries: old });
    const readId = driver.askRead({ kind: "index", index: 2 as LogIndex });
    const second = entriesAfter(endOf(old.slice(0, 3)), 2, 4);
    driver.submit({ hardState: hardStateOf(2), truncateFrom: 4 as LogIndex, entries: second });
    driver.submit({ hardState: hardStateOf(3), truncateFrom: 7 as LogIndex });
    driver.run();
    expect(driver.answers.get(readId)).toMatchObject({ entries: old.slice(1, 3) });
    expect(driver.allEntries()).toEqual([...old.slice(0, 3), ...second.slice(0, 3)]);
  });

  test("of an unpersisted entry is answered at once, whatever the cache may hold", () => {
    const driver = openedLog();
    const entries = entriesAfter(LOG_START, 1, 5);
    driver.submit({ entries });
    const readId = driver.askRead({ kind: "index", index: 2 as LogIndex });
    expect(driver.answers.get(readId)).toMatchObject({ entries: entries.slice(1) });
    expect(driver.persisted).toBe(1);
  });

  test("of replacing entries is not answered from the disk while the truncation waits", () => {
    const driver = openedLog();
    const old = entriesAfter(LOG_START, 1, 8);
    driver.write({ entries: old });
    const replaced = entriesAfter(endOf(old.slice(0, 4)), 2, 2);
    driver.submit({ hardState: hardStateOf(2), truncateFrom: 5 as LogIndex, entries: replaced });
    expect(driver.log.status()).toMatchObject({ durableIndex: 4, writtenIndex: 8 });
    const readId = driver.askRead({ kind: "index", index: 5 as LogIndex });
    expect(driver.answers.get(readId)).toMatchObject({ entries: replaced });
    expect(driver.log.status().cachedBytes).toBe(
      replaced.reduce((sum, entry) => sum + entry.frame.length, 0),
    );
  });

  test("never goes beyond lastIndex nor bytesMax, from memory and from disk alike", () => {
    for (const cacheBytesMax of [0, 1_000_000]) {
      const driver = openedLog({ ...OPTIONS, cacheBytesMax });
      const entries = entriesAfter(LOG_START, 1, 12);
      driver.write({ entries });
      const upTo7 = driver.read({ kind: "index", index: 3 as LogIndex }, 1_000_000, 7 as LogIndex);
      expect(upTo7).toMatchObject({ entries: entries.slice(2, 7) });
      const beyond = driver.read({ kind: "offset", offset: 9 as Offset }, 1_000_000, 3 as LogIndex);
      expect(beyond).toMatchObject({ entries: [] });
      expect(driver.entriesFrom(1, 1)).toHaveLength(1);
      const some = driver.entriesFrom(1, 700);
      const bytes = some.reduce((sum, entry) => sum + entry.frame.length, 0);
      expect(bytes).toBeLessThanOrEqual(700);
      expect(bytes).toBeGreaterThan(300);
    }
  });

  test("of bytes that rotted is a fault with their place, and leaves other reads alone", () => {
    const driver = openedLog();
    const entries = entriesAfter(LOG_START, 1, 9);
    driver.write({ entries });
    const image = driver.disk.killImage();
    const again = reopened(image);
    // The page cache of the open node's disk changes under it: rot that no write of ours made.
    const rotten = rot(again, STORE, 900);
    const answer = again.read({ kind: "index", index: 1 as LogIndex });
    expect(answer).toMatchObject({ kind: "failed", fault: { code: "damaged", file: STORE } });
    expect(rotten).toBeGreaterThan(0);
    expect(again.entriesFrom(9)).toEqual(entries.slice(8));
  });

  test("that the disk refuses is a fault of that read only", () => {
    const driver = openedLog();
    const entries = entriesAfter(LOG_START, 1, 3);
    driver.write({ entries });
    driver.disk.failure = { when: (operation) => operation.kind === "read-at", code: "EIO" };
    const answer = driver.read({ kind: "index", index: 1 as LogIndex });
    const operation = `read-at ${STORE}`;
    expect(answer).toMatchObject({ kind: "failed", fault: { code: "disk-failed", operation } });
    expect(driver.poisoned).toBeNull();
    expect(driver.allEntries()).toEqual(entries);
  });

  test("over the bound of waiting reads is refused, and all others are answered", () => {
    const driver = openedLog();
    driver.write({ entries: entriesAfter(LOG_START, 1, 3) });
    const places = READS_IN_FLIGHT_MAX + READS_WAITING_MAX;
    const ids = Array.from({ length: places + 2 }, () =>
      driver.askRead({ kind: "index", index: 1 as LogIndex }),
    );
    const refused = ids.filter((id) => driver.answers.get(id)?.kind === "failed");
    expect(refused).toEqual(ids.slice(places));
    driver.run();
    expect(ids.every((id) => driver.answers.has(id))).toBe(true);
  });

  test("before the log is open, or after it is closed, is a fault", () => {
    const driver = new LogDriver();
    const early = driver.askRead({ kind: "index", index: 1 as LogIndex });
    expect(driver.answers.get(early)).toMatchObject({ fault: { code: "not-serving" } });
    driver.open().close();
    const late = driver.askRead({ kind: "index", index: 1 as LogIndex });
    expect(driver.answers.get(late)).toMatchObject({
      fault: { code: "not-serving", state: "stopped" },
    });
  });

  test("before the log's start is out of range", () => {
    const driver = openedLog();
    const answer = driver.read({ kind: "index", index: 0 as LogIndex });
    expect(answer).toMatchObject({ fault: { code: "offset-out-of-range", startOffset: 0 } });
  });
});

/** Changes one byte of a file as the running disk holds it. */
function rot(driver: LogDriver, file: string, position: number): number {
  const opId = 1_000_000 as never;
  const byte = new Uint8Array([0xee]);
  driver.disk.submit({ kind: "write-at", opId, file, position: position as never, parts: [byte] });
  return driver.disk.performNext(file).opId;
}

test("the resident tail keeps what is not durable, and of the rest the newest", () => {
  const entries = entriesAfter(LOG_START, 1, 3000);
  const tail = new ResidentTail(1 as LogIndex);
  for (const entry of entries) tail.append(entry);
  tail.evict(2990 as LogIndex, 0);
  expect([tail.firstIndex, tail.count]).toEqual([2991, 10]);
  expect(tail.at(2991 as LogIndex)).toBe(entries[2990]);
  tail.truncate(2995 as LogIndex);
  expect([tail.firstIndex, tail.count]).toEqual([2991, 4]);
  expect(tail.bytes).toBe(
    entries.slice(2990, 2994).reduce((sum, entry) => sum + entry.frame.length, 0),
  );
  tail.truncate(2000 as LogIndex);
  expect([tail.firstIndex, tail.count, tail.bytes]).toEqual([2000, 0, 0]);
});
