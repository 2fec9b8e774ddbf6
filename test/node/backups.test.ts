// A backup as the node gives it: one at a time, in order, cut where it was confirmed, and let go of
// whenever nobody wants it or it cannot go on.

import { beforeEach, expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import { type Entry, LOG_START, type LogPoint } from "../../src/base/entry.ts";
import type { MemberId, Offset, RequestId, Term } from "../../src/base/ids.ts";
import { after, type Instant, type LogIndex, millis, NEVER } from "../../src/base/ids.ts";
import type { LogEvent } from "../../src/log/protocol.ts";
import {
  BACKUP_PATIENCE,
  BACKUP_TIME_MAX,
  type BackupSource,
  Backups,
  DISK_FULL,
} from "../../src/node/backups.ts";
import { OutputDraft } from "../../src/node/output.ts";
import { entriesAfter } from "../log/driver.ts";

const ID = 7 as RequestId;
const STATE = freeze(Uint8Array.from({ length: 100 }, (_, n) => n));
const entries = entriesAfter(LOG_START, 2, 12);
const base = { at: pointAt(4), stateBytes: STATE.length, stateCrc: crc32c(STATE) };
const T0 = 1_000_000 as Instant;

function pointAt(index: number): LogPoint {
  const { term, timestamp, offset, count } = entries[index - 1] as Entry;
  return { index: index as LogIndex, term, timestamp, endOffset: (offset + count) as Offset };
}

let room: BackupSource["room"];
let backups: Backups;
let asked = 100;

beforeEach(() => {
  room = "plenty";
  const source = {
    state: { committed: pointAt(10), startOffset: 2 as Offset },
    startsAfter: 4 as LogIndex,
    get room() {
      return room;
    },
    self: `n1/${"ab".repeat(16)}` as MemberId,
    raft: { term: 9 as Term },
    hasMachine: false,
    logStatus: () => ({ storeBytes: 5000 }),
  };
  backups = new Backups(source as unknown as BackupSource, new OutputDraft());
});

function begun(): void {
  backups.begin(T0, ID);
  backups.maybeBase(T0, { kind: "base", readId: -ID, base });
}

/** Asks for the next part, and says what the log is to do for it. */
function ask(now = T0, bytesMax = 60): readonly LogEvent[] {
  const requestId = ++asked as RequestId;
  backups.read(now, { kind: "read-backup", requestId, backupId: ID, bytesMax });
  return backups.takeEvents();
}

function faults(): unknown[] {
  return backups.takeAnswers().map((answer) => (answer.kind === "fault" ? answer.fault : answer));
}

test("a backup is cut at what is committed, begins with the log's base, and says so", () => {
  begun();
  expect(backups.takeEvents()).toEqual([
    { kind: "pin", from: 5 },
    { kind: "read-base", readId: -ID },
  ]);
  const place = { base, cut: pointAt(10), startOffset: 2, term: 9, bytes: 5100 };
  expect(backups.takeAnswers()).toMatchObject([
    { kind: "backup-begun", requestId: ID, backup: place },
  ]);
});

test("the state is read in parts, then entries up to the cut, then it is over and unpinned", () => {
  begun();
  backups.takeEvents();
  backups.takeAnswers();
  for (const [position, length] of [
    [0, 60],
    [60, 40],
  ] as const) {
    const [event] = ask();
    expect(event).toMatchObject({ kind: "read-base-part", index: 4, position, length });
    const bytes = freeze(STATE.slice(position, position + length));
    backups.maybeBase(T0, { kind: "part", readId: -asked, position, bytes });
    expect(backups.takeAnswers()).toMatchObject([{ part: { kind: "state", bytes } }]);
  }
  const [event] = ask();
  expect(event).toMatchObject({ kind: "read", from: { index: 5 }, lastIndex: 10, bytesMax: 60 });
  const part = entries.slice(4, 10);
  backups.maybeRead(T0, { kind: "entries", readId: asked, entries: part });
  expect(backups.takeEvents()).toEqual([{ kind: "pin", from: 11 }]);
  expect(backups.takeAnswers()).toMatchObject([{ part: { kind: "entries", entries: part } }]);
  expect(ask()).toEqual([{ kind: "pin", from: null }]);
  expect(backups.takeAnswers()).toMatchObject([{ part: { kind: "end" } }]);
  expect(backups.deadline).toBe(NEVER);
});

test("a second backup is refused while one is under way, and may begin afterwards", () => {
  begun();
  backups.takeAnswers();
  backups.begin(T0, 8 as RequestId);
  expect(faults()).toMatchObject([{ code: "overloaded" }]);
  backups.cancel(ID);
  expect(backups.refusal).toBeNull();
});

test("no backup begins on a full disk, and one under way ends there", () => {
  begun();
  backups.takeAnswers();
  backups.takeEvents();
  ask();
  room = "full";
  backups.giveUp(DISK_FULL);
  expect(backups.takeEvents()).toEqual([{ kind: "pin", from: null }]);
  expect(faults()).toEqual([{ code: "backup-ended", what: DISK_FULL }]);
  expect(backups.refusal).toEqual({ code: "disk-full" });
});

test("whoever asks no more for a minute holds nothing back any more", () => {
  begun();
  backups.takeEvents();
  backups.takeAnswers();
  expect(backups.deadline).toBe(after(T0, BACKUP_PATIENCE));
  const later = after(T0, millis(30_000));
  const [read] = ask(later);
  const part = { position: 0, bytes: freeze(STATE.slice(0, 60)) };
  backups.maybeBase(later, { kind: "part", readId: -asked, ...part });
  expect(read).toBeDefined();
  backups.ring(after(T0, BACKUP_PATIENCE));
  expect(backups.takeEvents()).toEqual([]);
  backups.ring(after(later, BACKUP_PATIENCE));
  expect(backups.takeEvents()).toEqual([{ kind: "pin", from: null }]);
  backups.takeAnswers();
  expect(ask()).toEqual([]);
  expect(faults()).toMatchObject([{ code: "backup-ended" }]);
});

test("a backup that is asked for again and again ends after a day all the same", () => {
  begun();
  const end = after(T0, BACKUP_TIME_MAX);
  const late = (end - 1) as Instant;
  ask(late);
  expect(backups.deadline).toBe(end);
  backups.ring(end);
  expect(backups.takeEvents()).toContainEqual({ kind: "pin", from: null });
});

test.each(["the beginning", "the part asked for"])("word by %s's id ends it", (whose) => {
  begun();
  backups.takeEvents();
  backups.takeAnswers();
  ask();
  backups.cancel(whose === "the beginning" ? ID : (asked as RequestId));
  expect(faults()).toEqual([{ code: "cancelled" }]);
  expect(backups.takeEvents()).toEqual([{ kind: "pin", from: null }]);
});

test("a base whose bytes have rotted ends it, with file and place", () => {
  begun();
  backups.takeAnswers();
  ask(T0, 1000);
  const bytes = freeze(STATE.map((byte, n) => (n === 50 ? byte ^ 1 : byte)));
  backups.maybeBase(T0, { kind: "part", readId: -asked, position: 0, bytes });
  expect(faults()).toMatchObject([{ code: "damaged", file: "00000000000000000004.checkpoint" }]);
});

test("what the log cannot read ends it with the log's own words", () => {
  begun();
  backups.takeAnswers();
  ask(T0, 1000);
  backups.maybeBase(T0, { kind: "part", readId: -asked, position: 0, bytes: STATE });
  backups.takeAnswers();
  ask();
  const fault = { code: "damaged", file: "a.store", position: 5, what: "rot" } as const;
  backups.maybeRead(T0, { kind: "failed", readId: asked, fault });
  expect(faults()).toEqual([fault]);
});
