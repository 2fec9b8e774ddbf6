// What the watch on a disk knows, against a simulated disk that really loses what was not synced.

import { beforeEach, describe, expect, it } from "vitest";
import { DiskWatch } from "../../sim/checks/disk-watch.ts";
import type { DiskProfile } from "../../sim/plan.ts";
import { SimDisk } from "../../sim/sim-disk.ts";
import { Timeline } from "../../sim/timeline.ts";
import type { DiskOperation } from "../../src/base/disk.ts";
import { type Entry, type EntryHead, LOG_START } from "../../src/base/entry.ts";
import type { LogIndex, MemberId, OpId, Position, Term } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { HARD_STATE_FILE, storeFile } from "../../src/log/file-names.ts";
import { encodeSlot, HARD_STATE_FILE_BYTES, SLOT_POSITIONS } from "../../src/log/hard-state.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from "../../src/log/segment-header.ts";
import { entry, first } from "./cluster.ts";
import { FRAME_BYTES, frameOf } from "./frames.ts";

const PROFILE: DiskProfile = {
  operationMeanMicros: 10,
  syncMeanMicros: 10,
  slowPerMille: 0,
  capacityBytes: 0,
};
const STORE = storeFile(1 as LogIndex);
const N2 = "n2" as MemberId;

/** A disk under watch; operations complete one after another, at once. */
class Bench {
  readonly timeline = new Timeline();
  readonly seen: EntryHead[] = [];
  readonly disk: SimDisk;
  readonly watch: DiskWatch;
  /** Whether the last operation took away what was certain. */
  hasLost = false;
  #opId = 0;

  constructor() {
    const witness = {
      submitted: () => undefined,
      reached: () => true,
      applied: (operation: DiskOperation) => {
        this.hasLost = this.watch.completed(operation);
        return true;
      },
    };
    this.disk = new SimDisk(this.timeline, PROFILE, new Prng("bench"), witness);
    this.disk.attach({ diskDone: () => undefined });
    this.watch = new DiskWatch(this.disk, (head) => void this.seen.push(head));
  }

  do(words: OperationWords): void {
    this.disk.submit({ ...words, opId: this.#opId++ as OpId } as DiskOperation);
    this.timeline.advance();
  }

  write(file: string, position: number, ...parts: Uint8Array[]): void {
    this.do({ kind: "write-at", file, position: position as Position, parts });
  }

  sync(file: string): void {
    this.do({ kind: "sync", file });
  }

  /** A store file with its header, and a hard state, all durable. */
  begin(): void {
    this.do({ kind: "create", file: STORE });
    const [clusterId, instanceId] = ["0".repeat(32), "1".repeat(32)];
    this.write(STORE, 0, encodeSegmentHeader({ before: LOG_START, clusterId, instanceId }));
    this.sync(STORE);
    this.do({ kind: "create", file: HARD_STATE_FILE });
    this.write(HARD_STATE_FILE, 0, new Uint8Array(HARD_STATE_FILE_BYTES));
    this.sync(HARD_STATE_FILE);
    this.do({ kind: "sync-dir" });
  }

  /** Entries one after another from `position` on; returns where they end. */
  append(position: number, ...entries: Entry[]): number {
    const frames = entries.map(frameOf);
    this.write(STORE, position, ...frames);
    return position + frames.reduce((length, frame) => length + frame.length, 0);
  }

  vote(
    slot: 0 | 1,
    sequence: number,
    term: number,
    vote: MemberId | null,
    cut: number | null = null,
  ) {
    const bytes = encodeSlot({
      hardState: { term: term as Term, votedFor: vote },
      sequence,
      truncateFrom: cut as LogIndex | null,
      durableIndex: 0 as LogIndex,
    });
    this.write(HARD_STATE_FILE, SLOT_POSITIONS[slot], bytes);
  }

  term(index: number): number | null {
    return this.watch.certainTermAt(index as LogIndex);
  }
}

type OperationWords = DiskOperation extends infer Operation
  ? Operation extends DiskOperation
    ? Omit<Operation, "opId">
    : never
  : never;

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
  bench.begin();
});

describe("the watch on a disk", () => {
  it("holds an entry for certain only after the sync that covers it", () => {
    bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0), entry(2, 3));
    expect(bench.seen.map(({ index }) => index)).toEqual([1, 2]);
    expect(bench.term(1)).toBeNull();
    bench.sync(STORE);
    expect(bench.term(1)).toBe(3);
    expect(bench.term(2)).toBe(3);
    expect(bench.term(3)).toBeNull();
  });

  it("holds nothing for certain in a file whose name is not durable", () => {
    const second = storeFile(2 as LogIndex);
    bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0));
    bench.sync(STORE);
    bench.do({ kind: "create", file: second });
    const before = { ...LOG_START, index: 1 as LogIndex, term: 3 as Term, endOffset: 1 as never };
    const header = { before, clusterId: "0".repeat(32), instanceId: "1".repeat(32) };
    bench.write(second, 0, encodeSegmentHeader(header), frameOf(entry(2, 3)));
    bench.sync(second);
    expect(bench.term(2)).toBeNull();
    bench.do({ kind: "sync-dir" });
    expect(bench.term(2)).toBe(3);
  });

  it("gives up what is written over, and says that it was certain", () => {
    const end = bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0), entry(2, 3));
    bench.sync(STORE);
    expect(bench.term(2)).toBe(3);
    bench.write(STORE, SEGMENT_HEADER_BYTES + FRAME_BYTES, new Uint8Array(end));
    expect(bench.hasLost).toBe(true);
    expect(bench.term(2)).toBeNull();
    expect(bench.term(1)).toBe(3);
    bench.append(SEGMENT_HEADER_BYTES + FRAME_BYTES, first(2, 4, 3));
    bench.sync(STORE);
    expect(bench.term(2)).toBe(4);
  });

  it("keeps what is written once more with the same bytes", () => {
    bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0));
    bench.sync(STORE);
    expect(bench.term(1)).toBe(3);
    bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0));
    expect(bench.hasLost).toBe(false);
    expect(bench.term(1)).toBe(3);
  });

  it("does not take an entry that does not follow the one before", () => {
    bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0), entry(3, 3));
    bench.sync(STORE);
    expect(bench.term(1)).toBe(3);
    expect(bench.term(3)).toBeNull();
  });

  it("counts an entry lost when a truncation that covers it is noted", () => {
    bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0), entry(2, 3));
    bench.sync(STORE);
    bench.vote(0, 1, 5, null, 2);
    expect(bench.term(2)).toBeNull();
    expect(bench.term(1)).toBe(3);
    bench.sync(HARD_STATE_FILE);
    bench.vote(1, 2, 5, null);
    expect(bench.term(2)).toBeNull();
    bench.sync(HARD_STATE_FILE);
    expect(bench.term(2)).toBe(3);
  });

  it("sees that a truncation took away what it had to, for good, before it is said to be done", () => {
    const cutAt = SEGMENT_HEADER_BYTES + FRAME_BYTES;
    const begin = () => {
      bench = new Bench();
      bench.begin();
      bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0), entry(2, 3), entry(3, 3));
      bench.sync(STORE);
      bench.vote(0, 1, 5, null, 2);
      bench.sync(HARD_STATE_FILE);
    };
    begin();
    bench.write(STORE, cutAt, new Uint8Array(2 * FRAME_BYTES));
    bench.sync(STORE);
    bench.vote(1, 2, 5, null);
    expect(bench.watch.takeLeftover()).toBeNull();

    begin();
    bench.vote(1, 2, 5, null);
    expect(bench.watch.takeLeftover()).toBe(`entry 2@3 still stands in ${STORE}`);

    begin();
    bench.write(STORE, cutAt, new Uint8Array(2 * FRAME_BYTES));
    bench.vote(1, 2, 5, null);
    expect(bench.watch.takeLeftover()).toBe(
      `a power loss now could bring back bytes ${cutAt} to ${cutAt + 2 * FRAME_BYTES} of ${STORE}`,
    );
    expect(bench.watch.takeLeftover()).toBeNull();
  });

  it("knows the hard state that a power loss would leave", () => {
    expect(bench.watch.hardState).toEqual({ term: 0, votedFor: null });
    bench.vote(0, 1, 5, N2);
    expect(bench.watch.hardState.term).toBe(0);
    bench.sync(HARD_STATE_FILE);
    expect(bench.watch.hardState).toEqual({ term: 5, votedFor: "n2" });
    bench.vote(1, 2, 6, null);
    expect(bench.watch.hardState).toEqual({ term: 5, votedFor: "n2" });
    bench.sync(HARD_STATE_FILE);
    expect(bench.watch.hardState).toEqual({ term: 6, votedFor: null });
  });

  it("says after a crash what was certain before and still stands", () => {
    const end = bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0), entry(2, 3));
    bench.sync(STORE);
    bench.append(end, entry(3, 3));
    bench.disk.crash("process");
    expect(bench.watch.reload()).toEqual({ index: 2, term: 3 });
    // The page cache has the third still, and a sync makes it certain.
    expect(bench.term(3)).toBeNull();
    bench.disk.attach({ diskDone: () => undefined });
    bench.sync(STORE);
    expect(bench.term(3)).toBe(3);
    bench.disk.crash("power");
    expect(bench.watch.reload()).toEqual({ index: 3, term: 3 });
  });

  it("reads the entries with their bytes, in order", () => {
    bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0), entry(2, 3));
    const read = [...bench.watch.entries()];
    expect(read.map(({ head }) => head.index)).toEqual([1, 2]);
    expect(read.map(({ frame }) => frame.length)).toEqual([FRAME_BYTES, FRAME_BYTES]);
  });
});
