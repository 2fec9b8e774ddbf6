// What the committed log holds for clients in the end, of disks that begin at different entries.

import { expect, test } from "vitest";
import { Archive, type KeptLog } from "../../sim/checks/archive.ts";
import { MISSING } from "../../sim/checks/client-log.ts";
import { CommittedLog } from "../../sim/checks/committed-log.ts";
import { PLAIN_VALUES } from "../../sim/sim-record.ts";
import { type EntryHead, FRAME_HEADER_BYTES } from "../../src/base/entry.ts";
import type { Term } from "../../src/base/ids.ts";
import { encodeBatch } from "../../src/base/record-batch.ts";
import { headsOf, NODE } from "./entries.ts";

const VALUE_BYTES = 20;

const HEADS = headsOf(
  { time: 1, count: 2 },
  { time: 2 },
  { time: 3, count: 1 },
  { time: 4, count: 2 },
);

/** Record ids are offsets. */
function frameOf({ offset, count }: EntryHead): Uint8Array {
  const values = Array.from({ length: count }, (_, at) => ({
    value: PLAIN_VALUES.encode(offset + at, VALUE_BYTES),
  }));
  return encodeBatch(values, FRAME_HEADER_BYTES);
}

/** A disk whose log begins behind the entry at `base`. */
function diskFrom(base: number): KeptLog {
  return {
    *entries() {
      for (const head of HEADS.slice(base)) yield { head, frame: frameOf(head) };
    },
  };
}

function archive(...left: readonly number[]): Archive {
  const committed = new CommittedLog(() => expect.unreachable("the log is in order"));
  for (const head of HEADS) committed.extend(head, NODE, 1 as Term);
  const archive = new Archive(committed, PLAIN_VALUES);
  for (const index of left) {
    const head = HEADS[index - 1];
    if (head !== undefined) archive.leaves(head, frameOf(head));
  }
  return archive;
}

test("The archive reads the disk that begins first, wherever it stands among them", () => {
  const whole = { records: [0, 1, 2, 3, 4], batchEnds: [2, 3, 5] };
  expect(archive().clientLog([diskFrom(3), diskFrom(0), diskFrom(1)])).toEqual(whole);
  expect(archive(1).clientLog([diskFrom(3), diskFrom(1), diskFrom(2)])).toEqual(whole);
});

test("The archive has what left a disk, and misses what no disk has and none was seen to leave", () => {
  expect(archive(1, 3).clientLog([diskFrom(3)]).records).toEqual([0, 1, 2, 3, 4]);
  expect(archive(3).clientLog([diskFrom(3)]).records).toEqual([MISSING, MISSING, 2, 3, 4]);
  expect(archive().clientLog([]).records).toEqual(Array.from({ length: 5 }, () => MISSING));
});
