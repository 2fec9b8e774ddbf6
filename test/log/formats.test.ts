// Golden images of every file of a data directory: a change of format shows here, on purpose or
// not. They are regenerated with `npx vitest run test/log -u` and read in review.
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { InvariantViolation } from "../../src/base/assert.ts";
import { concat, freeze, putU64, viewOf } from "../../src/base/bytes.ts";
import { LOG_START, type LogPoint } from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Position, Term } from "../../src/base/ids.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../src/log/checkpoint.ts";
import { baseOfIndex, baseOfStore, indexFile, storeFile } from "../../src/log/file-names.ts";
import { decodeFrame, FRAME_LIMITS } from "../../src/log/frame.ts";
import {
  decodeHardState,
  decodeSlot,
  encodeSlot,
  type HardStateSlot,
  withLoss,
} from "../../src/log/hard-state.ts";
import { INDEX_SLOT_BYTES, IndexTable } from "../../src/log/index-file.ts";
import { decodeManifest, encodeManifest } from "../../src/log/manifest.ts";
import { sealMarker } from "../../src/log/marker.ts";
import { closeSector, SECTOR_BYTES } from "../../src/log/sector.ts";
import { decodeSegmentHeader, encodeSegmentHeader } from "../../src/log/segment-header.ts";
import { entriesAfter, hardStateOf, IDENTITY, OPTIONS, openedLog } from "./driver.ts";
import { hexDump } from "./hex.ts";

const golden = (name: string) => `golden/${name}.hex`;

const POINT = { index: 41, term: 7, endOffset: 1029, timestamp: 1_763_674_741_000 } as LogPoint;

const slot = (
  sequence: number,
  term: number,
  votedFor: string | null = "node-b",
): HardStateSlot => ({
  hardState: hardStateOf(term, votedFor),
  sequence,
  truncateFrom: null,
  durableIndex: 41 as LogIndex,
});

/** Both slots, as the file has them. */
function hardStateFile(first: Uint8Array, second: Uint8Array): Uint8Array {
  return concat([first, new Uint8Array(4096 - first.length), second]);
}

describe("the manifest", () => {
  const manifest = { identity: IDENTITY, cleanStop: { endIndex: 41 as LogIndex, hardSequence: 5 } };

  test("has the documented bytes", async () => {
    await expect(hexDump(encodeManifest(manifest))).toMatchFileSnapshot(golden("manifest"));
  });

  test("reads back with any node name and with or without a clean stop", () => {
    const names = fc.string({ minLength: 1, maxLength: 60, unit: "grapheme" });
    fc.assert(
      fc.property(names, fc.boolean(), (name, clean) => {
        const identity = { ...IDENTITY, nodeName: name as NodeId };
        const written = { identity, cleanStop: clean ? manifest.cleanStop : null };
        expect(decodeManifest(encodeManifest(written))).toEqual({
          kind: "manifest",
          manifest: written,
        });
      }),
    );
  });

  test("of a newer version is told from a damaged one by its checksum", () => {
    const newer = encodeManifest(manifest);
    viewOf(newer).setUint32(8, 2);
    expect(decodeManifest(newer).kind).toBe("malformed");
    expect(decodeManifest(closeSector(newer))).toEqual({ kind: "newer", found: 2 });
  });

  test("with any byte changed is malformed", () => {
    const bytes = encodeManifest(manifest);
    for (let at = 0; at < SECTOR_BYTES; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ 0x10;
      expect(decodeManifest(changed).kind).toBe("malformed");
    }
  });
});

describe("the hard state", () => {
  test("has the documented bytes, in two slots", async () => {
    const cut = { ...slot(8, 3, null), truncateFrom: 12 as LogIndex };
    const bytes = hardStateFile(encodeSlot(slot(7, 3)), encodeSlot(cut));
    await expect(hexDump(bytes)).toMatchFileSnapshot(golden("hard-state"));
  });

  test("of a log that mends has the documented bytes, and is read back", async () => {
    const mending = withLoss(slot(8, 3), 12 as LogIndex);
    expect(mending).toEqual({
      ...slot(9, 3),
      hardState: { ...hardStateOf(3, "node-b"), loss: 9 },
      truncateFrom: 12,
      durableIndex: 11,
    });
    const bytes = hardStateFile(encodeSlot(mending), encodeSlot(slot(8, 3)));
    await expect(hexDump(bytes)).toMatchFileSnapshot(golden("hard-state-mending"));
    expect(decodeHardState(bytes)).toEqual({ kind: "hard-state", slot: 0, state: mending });
  });

  test("of a log that mends names its loss, or is malformed", () => {
    const nameless = encodeSlot(withLoss(slot(8, 3), 12 as LogIndex)).fill(0, 496, 504);
    expect(decodeSlot(concat([closeSector(nameless)]), 0).kind).toBe("malformed");
  });

  test("is the newer of two whole slots, whichever that is", () => {
    const older = slot(7, 3);
    const newer = slot(8, 4, null);
    const one = decodeHardState(hardStateFile(encodeSlot(older), encodeSlot(newer)));
    const two = decodeHardState(hardStateFile(encodeSlot(newer), encodeSlot(older)));
    expect(one).toEqual({ kind: "hard-state", slot: 1, state: newer });
    expect(two).toEqual({ kind: "hard-state", slot: 0, state: newer });
  });

  test("falls back to the other slot when any byte of one is wrong", () => {
    const older = slot(7, 3);
    for (let at = 0; at < SECTOR_BYTES; at++) {
      const torn = encodeSlot(slot(8, 4));
      torn[at] = (torn[at] as number) ^ 1;
      const decoded = decodeHardState(hardStateFile(torn, encodeSlot(older)));
      expect(decoded).toEqual({ kind: "hard-state", slot: 1, state: older });
    }
  });

  test("is malformed without any whole slot, and newer if one slot is", () => {
    const nothing = new Uint8Array(SECTOR_BYTES);
    expect(decodeHardState(hardStateFile(nothing, nothing)).kind).toBe("malformed");
    expect(decodeHardState(new Uint8Array(0)).kind).toBe("malformed");
    const newer = encodeSlot(slot(9, 9));
    viewOf(newer).setUint32(8, 3);
    const bytes = hardStateFile(encodeSlot(slot(7, 3)), closeSector(newer));
    expect(decodeHardState(bytes)).toEqual({ kind: "newer", found: 3 });
    expect(decodeSlot(bytes, 0)).toEqual({ kind: "hard-state", slot: 0, state: slot(7, 3) });
  });
});

describe("a segment header", () => {
  const header = {
    before: POINT,
    clusterId: IDENTITY.clusterId,
    instanceId: IDENTITY.instanceId,
  };

  test("has the documented bytes and reads back", async () => {
    const bytes = encodeSegmentHeader(header);
    await expect(hexDump(bytes)).toMatchFileSnapshot(golden("segment-header"));
    expect(decodeSegmentHeader(bytes)).toEqual({ kind: "header", header });
    const first = { ...header, before: LOG_START };
    expect(decodeSegmentHeader(encodeSegmentHeader(first))).toEqual({
      kind: "header",
      header: first,
    });
  });

  test("is malformed when short, zero or out of range", () => {
    const bytes = encodeSegmentHeader(header);
    expect(decodeSegmentHeader(bytes.subarray(0, 511)).kind).toBe("malformed");
    expect(decodeSegmentHeader(new Uint8Array(512)).kind).toBe("malformed");
    const ranges: [number, number][] = [
      [12, 13],
      [16, 24],
      [40, 48],
    ];
    for (const [start, end] of ranges) {
      const changed = closeSector(bytes.slice().fill(0xff, start, end));
      expect(decodeSegmentHeader(changed).kind).toBe("malformed");
    }
    const zeroBase = closeSector(bytes.slice().fill(0, 16, 24));
    expect(decodeSegmentHeader(zeroBase).kind).toBe("malformed");
  });
});

describe("a marker", () => {
  test("has the documented bytes, and is a frame like any other", async () => {
    const place = { position: 512 as Position, salt: 0xdeadbeef, hardSequence: 6 };
    const frame = sealMarker(POINT, 3, place);
    await expect(hexDump(frame)).toMatchFileSnapshot(golden("marker"));
    expect(decodeFrame(frame, 0, FRAME_LIMITS)).toMatchObject({
      kind: "entry",
      entry: {
        kind: "marker",
        index: 41,
        count: 3,
        producerId: 512,
        epoch: 0xdeadbeef,
        sequence: 6,
      },
    });
  });
});

describe("the checkpoint", () => {
  const state = freeze(new Uint8Array([1, 2, 3, 4, 5]));
  const bytes = freeze(concat(encodeCheckpoint({ at: POINT, state })));

  test("has the documented bytes and reads back", async () => {
    await expect(hexDump(bytes)).toMatchFileSnapshot(golden("checkpoint"));
    expect(decodeCheckpoint(bytes)).toEqual({ at: POINT, state });
  });

  test("is ignored with any byte changed, cut or added", () => {
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ 1;
      expect(decodeCheckpoint(freeze(changed))).toBeNull();
      expect(decodeCheckpoint(freeze(bytes.subarray(0, at)))).toBeNull();
    }
    expect(decodeCheckpoint(freeze(concat([bytes, new Uint8Array(1)])))).toBeNull();
  });
});

describe("the index", () => {
  test("has 12 bytes a slot, big-endian, and grows in memory of its own", async () => {
    const table = new IndexTable();
    for (let n = 0; n < 100; n++) table.append(3 * n, (512 + 1000 * n) as Position);
    expect(table.used.length).toBe(100 * INDEX_SLOT_BYTES);
    await expect(hexDump(table.used.slice(0, 60))).toMatchFileSnapshot(golden("index"));
    expect([table.relativeOffset(99), table.position(99)]).toEqual([297, 99_512]);
  });

  test("finds the last slot at or before an offset, as a linear search does", () => {
    const steps = fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(steps, fc.nat({ max: 160 }), fc.nat({ max: 55 }), (counts, offset, end) => {
        const table = new IndexTable();
        const offsets: number[] = [];
        let next = 0;
        for (const count of counts) {
          table.append(next, (512 + 8 * offsets.length) as Position);
          offsets.push(next);
          next += count;
        }
        const expected = offsets.slice(0, end).findLastIndex((start) => start <= offset);
        expect(table.lastAtOrBefore(offset, end)).toBe(expected);
      }),
    );
  });

  test("moved into mapped memory is that memory, and empties slots it truncates", () => {
    const table = new IndexTable();
    table.append(0, 512 as Position);
    const view = new Uint8Array(2 * INDEX_SLOT_BYTES);
    table.moveInto(view);
    table.append(4, 700 as Position);
    expect(table.isFull).toBe(true);
    expect(() => table.append(5, 800 as Position)).toThrow(InvariantViolation);
    const expected = new Uint8Array(24);
    putU64(viewOf(expected), 4, 512);
    viewOf(expected).setUint32(12, 4);
    putU64(viewOf(expected), 16, 700);
    expect(view).toEqual(expected);
    table.truncate(1);
    expect(view).toEqual(concat([expected.subarray(0, 12), new Uint8Array(12)]));
    table.moveOut();
    table.append(9, 900 as Position);
    expect(view.subarray(12)).toEqual(new Uint8Array(12));
  });
});

test("file names keep the order of the log, and only our own are recognised", () => {
  expect(storeFile(7 as LogIndex)).toBe("00000000000000000007.store");
  expect(indexFile(10_000_000_000 as LogIndex)).toBe("00000000010000000000.index");
  expect(baseOfStore("00000000000000000007.store")).toBe(7);
  expect(baseOfIndex("00000000000000000007.index")).toBe(7);
  for (const name of [
    "7.store",
    "00000000000000000000.store",
    "99999999999999999999.store",
    "lock",
  ]) {
    expect(baseOfStore(name)).toBeNull();
  }
});

test("a whole directory has the documented files and bytes", async () => {
  const driver = openedLog({ ...OPTIONS, segmentBytesMax: 1200, indexEntriesMax: 4 });
  driver.write({ hardState: hardStateOf(2 as Term, "n3"), entries: entriesAfter(LOG_START, 2, 4) });
  driver.close();
  const files = [...driver.disk.killImage()].sort(([a], [b]) => (a < b ? -1 : 1));
  const text = files.map(([file, bytes]) => `== ${file}\n${hexDump(bytes)}`).join("");
  await expect(text).toMatchFileSnapshot(golden("directory"));
});
