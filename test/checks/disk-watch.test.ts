// What the watch on a disk knows, against a simulated disk that really loses what was not synced.

import { beforeEach, describe, expect, it } from "vitest";
import { DiskWatch } from "../../sim/checks/disk-watch.ts";
import type { DiskProfile } from "../../sim/plan.ts";
import { SimDisk } from "../../sim/sim-disk.ts";
import { Timeline } from "../../sim/timeline.ts";
import { EMPTY_BYTES } from "../../src/base/bytes.ts";
import type { DiskOperation } from "../../src/base/disk.ts";
import {
  type Entry,
  type EntryHead,
  LOG_START,
  type LogPoint,
  pointAfter,
} from "../../src/base/entry.ts";
import type { LogIndex, MemberId, OpId, Position, Term } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { encodeCheckpoint } from "../../src/log/checkpoint.ts";
import {
  checkpointFile,
  HARD_STATE_FILE,
  installFile,
  storeFile,
} from "../../src/log/file-names.ts";
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
  /** What became of files, one word each. */
  readonly told: string[] = [];
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
    this.watch = new DiskWatch(this.disk, {
      wrote: (head) => void this.seen.push(head),
      checkpointed: ({ at }, isInstall) => {
        this.told.push(`${isInstall ? "installs" : "checkpoint"} ${at.index}`);
      },
      leaves: ({ index }) => void this.told.push(`leaves ${index}`),
      trimmed: ({ index }) => void this.told.push(`trimmed to ${index}`),
      vanished: (_file, { index }) => void this.told.push(`vanished with ${index}`),
    });
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

  /** Another store that begins after `before`, with this one entry, all durable. */
  beginStore(before: LogPoint, ...entries: Entry[]): void {
    const file = storeFile((before.index + 1) as LogIndex);
    const header = { before, clusterId: "0".repeat(32), instanceId: "1".repeat(32) };
    this.do({ kind: "create", file });
    this.write(file, 0, encodeSegmentHeader(header), ...entries.map(frameOf));
    this.sync(file);
    this.do({ kind: "sync-dir" });
  }

  /** A checkpoint after that entry, written aside; under its name, but not durably so. */
  checkpoint(at: LogPoint, to = checkpointFile(at.index)): void {
    const file = `${to}.tmp`;
    this.do({ kind: "create", file });
    this.write(file, 0, ...encodeCheckpoint({ at, state: EMPTY_BYTES }));
    this.sync(file);
    this.do({ kind: "rename", from: file, to });
  }

  unlink(file: string): void {
    this.do({ kind: "unlink", file });
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

describe("the watch on a disk that is trimmed", () => {
  const [one, two, three] = [first(1, 3, 0), entry(2, 3), entry(3, 3)];
  const [afterOne, afterTwo] = [pointAfter(one), pointAfter(two)];

  beforeEach(() => {
    bench.append(SEGMENT_HEADER_BYTES, one);
    bench.sync(STORE);
    bench.beginStore(afterOne, two, three);
    expect(bench.term(3)).toBe(3);
  });

  it("lets a store go that a durable checkpoint stands for, and knows what it stands for", () => {
    bench.checkpoint(afterTwo);
    bench.do({ kind: "sync-dir" });
    bench.unlink(STORE);
    expect(bench.told).toEqual(["checkpoint 2", "leaves 1", "trimmed to 2"]);
    expect([bench.hasLost, bench.term(3), bench.term(2)]).toEqual([false, 3, 3]);
    // Of what is gone only a log with this entry can tell the term.
    expect(bench.term(1)).toBeNull();
    const before = (index: LogIndex, lastTerm: Term) => (index + 10 * lastTerm) as Term;
    expect(bench.watch.certainTermAt(1 as LogIndex, before)).toBe(31);
    expect(bench.watch.base).toEqual(afterTwo);
    bench.disk.crash("power");
    expect(bench.watch.reload()).toEqual({ index: 3, term: 3 });
    expect(bench.term(3)).toBe(3);
  });

  it("counts the log as lost when no checkpoint stands for the store, and says so", () => {
    bench.unlink(STORE);
    expect(bench.told).toEqual(["leaves 1", "vanished with 1"]);
    expect([bench.hasLost, bench.term(3)]).toEqual([true, null]);
  });

  it("counts on no checkpoint whose name is not durable", () => {
    bench.checkpoint(afterTwo);
    bench.unlink(STORE);
    expect(bench.told.at(-1)).toBe("vanished with 1");
    expect(bench.term(3)).toBeNull();
  });

  it("counts on no checkpoint from before the end of the store", () => {
    bench.beginStore(pointAfter(three), entry(4, 3));
    bench.checkpoint(afterOne);
    bench.do({ kind: "sync-dir" });
    bench.unlink(STORE);
    expect(bench.told.at(-1)).toBe("trimmed to 1");
    bench.unlink(storeFile(2 as LogIndex));
    expect(bench.told.at(-1)).toBe("vanished with 3");
  });

  it("loses everything with the checkpoint that the log begins at", () => {
    bench.checkpoint(afterTwo);
    bench.do({ kind: "sync-dir" });
    bench.unlink(STORE);
    bench.unlink(checkpointFile(afterTwo.index));
    expect([bench.hasLost, bench.term(3)]).toEqual([true, null]);
  });

  it("finds nothing amiss when a store is cut off the end", () => {
    bench.vote(0, 1, 5, null, 2);
    bench.sync(HARD_STATE_FILE);
    bench.unlink(storeFile(2 as LogIndex));
    expect(bench.told).toEqual(["leaves 2", "leaves 3"]);
    expect(bench.term(1)).toBe(3);
  });
});

describe("the watch on a disk on which a snapshot is installed", () => {
  const at = pointAfter(entry(9, 4));
  const INSTALL = installFile(at.index);

  beforeEach(() => {
    bench.append(SEGMENT_HEADER_BYTES, first(1, 3, 0), entry(2, 3));
    bench.sync(STORE);
    expect(bench.term(2)).toBe(3);
    bench.checkpoint(at, INSTALL);
  });

  it("has the log that there was until the snapshot's name is durable", () => {
    expect(bench.told).toEqual(["installs 9"]);
    expect([bench.term(2), bench.term(9)]).toEqual([3, null]);
    bench.do({ kind: "sync-dir" });
    expect([bench.term(2), bench.term(9), bench.term(10)]).toEqual([null, 4, null]);
  });

  it("finds nothing amiss when the old log goes, and counts nothing beside the snapshot", () => {
    bench.do({ kind: "sync-dir" });
    bench.unlink(STORE);
    expect(bench.told.slice(1)).toEqual(["leaves 1", "leaves 2"]);
    bench.beginStore(at, first(10, 5, 4));
    expect([bench.term(9), bench.term(10)]).toEqual([4, null]);
    bench.do({ kind: "rename", from: INSTALL, to: checkpointFile(at.index) });
    expect([bench.term(9), bench.term(10)]).toEqual([4, null]);
    bench.do({ kind: "sync-dir" });
    expect([bench.term(9), bench.term(10)]).toEqual([4, 5]);
  });

  it("has the snapshot, and nothing else, after a crash in between", () => {
    bench.disk.crash("process");
    // Under its name, if only in the cache: the next life begins with it.
    expect(bench.watch.reload()).toMatchObject({ index: 9, term: 4 });
    expect(bench.term(2)).toBe(3);
    bench.disk.attach({ diskDone: () => undefined });
    bench.do({ kind: "sync-dir" });
    bench.unlink(STORE);
    bench.beginStore(at);
    bench.do({ kind: "rename", from: INSTALL, to: checkpointFile(at.index) });
    bench.disk.crash("process");
    expect(bench.watch.reload()).toMatchObject({ index: 9, term: 4 });
    expect(bench.term(9)).toBe(4);
  });
});
