// The files of a backup: whatever a log holds, what was written reads back the same, and no byte of
// it can be changed, lost or moved without being noticed.

import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import type { BackupBase, BackupPart } from "../../src/base/client.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import { type Entry, LOG_START, type LogPoint, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex, Offset, Term, WallMs } from "../../src/base/ids.ts";
import {
  BackupDamage,
  type BackupFile,
  BackupReader,
  BackupWriter,
} from "../../src/service/backup-files.ts";
import { entryAfter } from "../log/driver.ts";

const OWNER = { clusterId: "c1".repeat(16), instanceId: "ab".repeat(16) };
const BASE: LogPoint = {
  index: 40 as LogIndex,
  term: 3 as Term,
  endOffset: 39 as Offset,
  timestamp: 7 as WallMs,
};
const STATE = freeze(Uint8Array.from({ length: 300 }, (_, n) => n * 7));

interface Made extends BackupFile {
  readonly bytes: Uint8Array;
}

function baseOf(at: LogPoint | null): BackupBase | null {
  return at === null ? null : { at, stateBytes: STATE.length, stateCrc: crc32c(STATE) };
}

/** Bodies of these lengths, so many entries a part. */
function filesOf(
  at: LogPoint | null,
  bodies: readonly number[],
  perPart: number,
  storeBytes = 600,
) {
  const writer = new BackupWriter(OWNER, baseOf(at), storeBytes);
  const entries: Entry[] = [];
  let last = at ?? LOG_START;
  for (const length of bodies) {
    const entry = entryAfter(last, 3, 1, length);
    entries.push(entry);
    last = pointAfter(entry);
  }
  const parts: BackupPart[] = [];
  if (at !== null) {
    parts.push({ kind: "state", bytes: freeze(STATE.slice(0, 100)) });
    parts.push({ kind: "state", bytes: freeze(STATE.slice(100)) });
  }
  for (let n = 0; n < entries.length; n += perPart) {
    parts.push({ kind: "entries", entries: entries.slice(n, n + perPart) });
  }
  const files: Made[] = [];
  let waiting: Uint8Array[] = [];
  for (const piece of [...parts, { kind: "end" } as const].flatMap((part) => writer.take(part))) {
    if (piece.kind === "bytes") waiting.push(piece.bytes);
    else {
      files.push({ ...piece.file, bytes: concat(waiting) });
      waiting = [];
    }
  }
  return { files, entries, last };
}

function readBack(files: readonly { name: string; bytes: Uint8Array }[]) {
  const reader = new BackupReader(OWNER);
  const contents = files.map(({ name, bytes }) => reader.read(name, freeze(bytes.slice())));
  return { contents, point: reader.point };
}

const starts = fc.constantFrom(null, BASE);
const lengths = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 12 });

test("a backup reads back as it was written, in files of their lengths and checksums", () => {
  fc.assert(
    fc.property(starts, lengths, fc.integer({ min: 1, max: 4 }), (at, bodies, perPart) => {
      const { files, entries, last } = filesOf(at, bodies, perPart);
      for (const { length, crc, bytes } of files) {
        expect([length, crc]).toEqual([bytes.length, crc32c(bytes)]);
      }
      const { contents, point } = readBack(files);
      expect(point).toEqual(last);
      const read = contents.flatMap((content) =>
        content.kind === "entries" ? content.entries : [],
      );
      expect(read.map(({ frame }) => Array.from(frame))).toEqual(
        entries.map(({ frame }) => Array.from(frame)),
      );
      const [first] = contents;
      if (at === null) expect(first?.kind).toBe("entries");
      else expect(first).toMatchObject({ kind: "checkpoint", checkpoint: { at } });
    }),
  );
});

test("a store ends behind the entry with which it is long enough, the next begins where it ended", () => {
  const { files } = filesOf(null, [400, 400, 10], 3);
  expect(files.map(({ name }) => name)).toEqual([
    "00000000000000000001.store",
    "00000000000000000002.store",
    "00000000000000000003.store",
  ]);
});

test("a backup of a base without entries is the checkpoint alone", () => {
  const { files } = filesOf(BASE, [], 1);
  expect(files.map(({ name }) => name)).toEqual(["00000000000000000040.checkpoint"]);
  expect(readBack(files).point).toEqual(BASE);
});

test("no bit of a backup can be changed without being noticed, and no byte cut off", () => {
  const { files } = filesOf(BASE, [30, 200, 57], 2);
  for (const [nth, { bytes }] of files.entries()) {
    const among = (changed: Uint8Array) =>
      files.map((file, at) => (at === nth ? { name: file.name, bytes: changed } : file));
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      expect(() => readBack(among(changed)), `${at} of file ${nth}`).toThrow(BackupDamage);
    }
    for (const length of [0, 1, 63, 64, 511, 512, bytes.length - 1]) {
      if (length >= bytes.length) continue;
      expect(() => readBack(among(bytes.slice(0, length))), `to ${length}`).toThrow(BackupDamage);
    }
    expect(() => readBack(among(concat([bytes, bytes])))).toThrow(BackupDamage);
  }
});

test("files that are left out, doubled, swapped or another's are noticed", () => {
  const { files } = filesOf(BASE, [400, 400, 400], 1);
  const [base, one, two, three] = files as [Made, Made, Made, Made];
  for (const wrong of [
    [one, two, three],
    [base, two, three],
    [base, one, three],
    [base, one, one],
    [base, two, one],
    [base, base, one],
    [base, { name: two.name, bytes: one.bytes }],
  ]) {
    expect(() => readBack(wrong)).toThrow(BackupDamage);
  }
  const stranger = new BackupReader({ ...OWNER, clusterId: "d2".repeat(16) });
  stranger.read(base.name, freeze(base.bytes));
  const read = () => stranger.read(one.name, freeze(one.bytes) as FrozenBytes);
  expect(read).toThrow("00000000000000000041.store at byte 48: it is of another cluster");
});
