// A checkpoint brought from one member to another: in parts that are read as they are due, over
// links that lose them, and from a log that trims it away meanwhile; and written to the receiver's
// disk as they come, which takes its time, has no room, and survives the receiver.

import { beforeEach, describe, expect, test } from "vitest";
import { concat, equalBytes, type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import type {
  Instant,
  LinkId,
  LogIndex,
  MemberId,
  NodeId,
  Offset,
  Term,
  WallMs,
} from "../../src/base/ids.ts";
import { millis } from "../../src/base/ids.ts";
import { membershipOf } from "../../src/base/membership.ts";
import { CHECKPOINT_HEADER_BYTES } from "../../src/log/checkpoint.ts";
import { incomingFile } from "../../src/log/file-names.ts";
import type { LogBase, LogEvent } from "../../src/log/protocol.ts";
import { OutputDraft } from "../../src/node/output.ts";
import { PART_BYTES_MAX, type SnapshotMessage } from "../../src/node/snapshot-wire.ts";
import { type Here, Snapshots } from "../../src/node/snapshots.ts";
import { decodeMessage } from "../../src/node/wire.ts";
import { RouteBytes } from "../../src/node/wire-head.ts";
import type { RaftEvent } from "../../src/raft/protocol.ts";
import { openedLog, reopened } from "../log/driver.ts";

const [A, B, C] = ["a", "b", "c"].map((id) => id as MemberId) as [MemberId, MemberId, MemberId];
const AT = {
  index: 40 as LogIndex,
  term: 3 as Term,
  endOffset: 39 as Offset,
  timestamp: 7 as WallMs,
};
const MEMBERSHIP = membershipOf([A, B].map((id) => ({ id, address: "" })));
const WINDOW_BYTES = 8 * PART_BYTES_MAX;
const HERE: Here = {
  commitIndex: 5 as LogIndex,
  membership: MEMBERSHIP,
  term: 3 as Term,
  leader: A,
};

type Reads = Extract<LogEvent, { kind: "read-base-part" }>;

/** One member's snapshots; what it sends goes into `sent`, decoded as the other end would. */
class End {
  readonly snapshots: Snapshots;
  sent: SnapshotMessage[] = [];
  readonly dropped: string[] = [];
  isUp = true;

  constructor(from: MemberId, to: MemberId) {
    const name = (id: MemberId) => id as string as NodeId;
    const clusterId = "0".repeat(32);
    const route = new RouteBytes({ clusterId, from: name(from), to: name(to) });
    const links = {
      routeTo: () => (this.isUp ? { link: 1 as LinkId, route } : null),
      send: (_: LinkId, parts: readonly Uint8Array[]) => {
        const decoded = decodeMessage(freeze(concat(parts)), 1 << 20);
        if (decoded.kind !== "snapshot") throw new Error(decoded.kind);
        this.sent.push(decoded.message);
      },
      dropped: (_now: Instant, _from: MemberId, why: string) => {
        this.dropped.push(why);
      },
    };
    const bounds = {
      snapshotBytesMax: 8 << 20,
      partBytes: PART_BYTES_MAX,
      askAgainAfter: millis(300),
    };
    this.snapshots = new Snapshots(bounds, links, new OutputDraft(), () => MEMBERSHIP);
  }

  takeSent(): SnapshotMessage[] {
    return this.sent.splice(0);
  }
}

let [leader, follower] = [new End(A, B), new End(B, A)];
/** Of the follower. */
let log = openedLog();
let isDiskIdle = true;
let now = 0;
/** Of the leader's log. */
let state = freeze(new Uint8Array(0));
/** Bytes that the leader has asked its log for and has not got. */
let unread: Reads[] = [];
let events: RaftEvent[] = [];

beforeEach(() => {
  [leader, follower, log] = [new End(A, B), new End(B, A), openedLog()];
  [now, unread, events, isDiskIdle] = [0, [], [], true];
  state = freeze(Uint8Array.from({ length: 20 * PART_BYTES_MAX + 5 }, (_, n) => n * 7 + (n >> 9)));
});

const hear = (event: RaftEvent | null) => {
  if (event !== null) events.push(event);
};

function begin(): void {
  const send = { kind: "snapshot", to: B, term: 3 as Term, round: 1, at: AT.index } as const;
  const event = leader.snapshots.begin(now as Instant, send);
  const readId = event.kind === "read-base" ? event.readId : -1;
  const base = { at: AT, stateBytes: state.length, stateCrc: crc32c(state) };
  read({ kind: "base", readId, base });
}

function read(answer: LogBase): void {
  hear(leader.snapshots.baseRead(now as Instant, answer));
}

function answerReads(count = Number.POSITIVE_INFINITY): void {
  unread.push(...(leader.snapshots.takeTasks() as Reads[]));
  for (const { readId, position, length } of unread.splice(0, count)) {
    const bytes = state.subarray(position, position + length) as FrozenBytes;
    read({ kind: "part", readId, position, bytes });
  }
}

/** What the leader has sent arrives, but for what `isLost`; then the answers do. */
function exchange(isLost: (message: SnapshotMessage) => boolean = () => false): void {
  for (const message of leader.takeSent()) {
    if (message.kind !== "snapshot-part" || isLost(message)) continue;
    hear(follower.snapshots.partReceived(now as Instant, A, message, HERE));
  }
  turnOfFollower();
  for (const message of follower.takeSent()) {
    if (message.kind !== "snapshot-reply") continue;
    hear(leader.snapshots.replied(now as Instant, B, message));
  }
}

/** Its log takes what has come, and its disk does what it can, if it is not at rest. */
function turnOfFollower(): void {
  for (const task of follower.snapshots.takeTasks()) log.step(task);
  if (isDiskIdle) log.run();
  for (const received of log.received.splice(0)) hear(follower.snapshots.baseReceived(received));
  for (const task of follower.snapshots.takeTasks()) log.step(task);
}

/** Rounds until both have said that it is done, or `rounds` of them. */
function goOn(rounds = 60): void {
  for (let left = rounds; left > 0 && events.length < 2; left--) {
    exchange();
    answerReads();
  }
}

/** Time enough for the leader to ask how far it has come. */
function ask(): void {
  now += 300_000;
  for (const event of leader.snapshots.ring(now as Instant)) hear(event);
}

/** Of the follower's file; null without one. */
const fileBytes = () => log.disk.killImage().get(incomingFile(AT.index))?.length ?? null;

const received = () => events.flatMap((event) => (event.kind === "snapshot-received" ? event : []));

const isWhole = () => equalBytes(received()[0]?.snapshot.state ?? new Uint8Array(0), state);

describe("a checkpoint", () => {
  test("is read part by part, a window at most ahead of what has arrived", () => {
    begin();
    for (let rounds = 0; rounds < 60 && events.length < 2; rounds++) {
      exchange();
      unread.push(...(leader.snapshots.takeTasks() as Reads[]));
      const wanted = unread.reduce((sum, { length }) => sum + length, 0);
      expect(wanted).toBeLessThanOrEqual(WINDOW_BYTES);
      answerReads(3);
    }
    expect(events.map(({ kind }) => kind)).toEqual(["snapshot-received", "snapshot-ended"]);
    expect(received()[0]?.snapshot).toMatchObject({ at: AT, membership: MEMBERSHIP });
    expect(isWhole()).toBe(true);
  });

  test("goes on where a lost part left it, once the receiver was asked", () => {
    begin();
    exchange();
    answerReads();
    exchange((part) => part.kind === "snapshot-part" && part.position === 2 * PART_BYTES_MAX);
    expect(leader.takeSent()).toEqual([]);
    for (let rounds = 0; rounds < 10 && events.length < 2; rounds++) {
      now += 300_000;
      for (const event of leader.snapshots.ring(now as Instant)) hear(event);
      exchange();
      for (let more = 0; more < 10; more++) {
        answerReads();
        exchange();
      }
    }
    expect(isWhole()).toBe(true);
  });

  test("that a trim takes away meanwhile is given up, for Raft to ask for the next", () => {
    begin();
    exchange();
    answerReads(2);
    const [next] = unread;
    const fault = { code: "disk-failed", operation: "read-at", message: "ENOENT" } as const;
    read({ kind: "failed", readId: next?.readId ?? -1, fault });
    expect(events).toEqual([{ kind: "snapshot-ended", peer: B, ok: false }]);
    answerReads();
    expect(leader.snapshots.takeTasks()).toEqual([]);
  });

  test("that reads shorter than it was is given up", () => {
    begin();
    exchange();
    const [first] = leader.snapshots.takeTasks() as Reads[];
    const bytes = state.subarray(0, 10) as FrozenBytes;
    read({ kind: "part", readId: first?.readId ?? -1, position: 0, bytes });
    expect(events).toEqual([{ kind: "snapshot-ended", peer: B, ok: false }]);
  });

  test("that arrived wrong is begun anew by Raft, after another look at the file", () => {
    begin();
    const right = state;
    state = freeze(Uint8Array.from(state));
    (state as Uint8Array)[70_000] = (right[70_000] ?? 0) ^ 1;
    for (let rounds = 0; rounds < 30; rounds++) {
      exchange();
      answerReads();
    }
    expect(events).toEqual([]);
    now += 300_000;
    expect(leader.snapshots.ring(now as Instant)).toEqual([]);
    exchange();
    expect(events).toEqual([{ kind: "snapshot-ended", peer: B, ok: false }]);
  });

  test("is not read while there is no link to send it on", () => {
    begin();
    leader.isUp = false;
    exchange();
    expect(leader.snapshots.takeTasks()).toEqual([]);
    leader.isUp = true;
    now += 300_000;
    for (const event of leader.snapshots.ring(now as Instant)) hear(event);
    exchange();
    expect(leader.snapshots.takeTasks()).toHaveLength(WINDOW_BYTES / PART_BYTES_MAX);
  });

  test("of the same size as the one before is begun anew by its receiver", () => {
    const other = Uint8Array.from(state, (byte) => byte ^ 0xff);
    for (const part of [partOf(state, 0), partOf(other, PART_BYTES_MAX)]) {
      follower.snapshots.partReceived(now as Instant, A, part, HERE);
      turnOfFollower();
    }
    const replies = follower.takeSent().map((sent) => "position" in sent && sent.position);
    expect(replies).toEqual([PART_BYTES_MAX, 0]);
  });
});

function partOf(whole: Uint8Array, position: number, length = PART_BYTES_MAX) {
  const name = { at: AT, length: whole.length, crc: crc32c(whole) };
  const bytes = whole.subarray(position, position + length) as FrozenBytes;
  return { kind: "snapshot-part", term: 3 as Term, round: 1, name, position, bytes } as const;
}

describe("a receiver", () => {
  test("answers with what its disk has, and keeps two windows in memory at most", () => {
    begin();
    exchange();
    isDiskIdle = false;
    for (let round = 0; round < 5; round++) {
      answerReads();
      exchange();
      ask();
    }
    // All that the leader has sent lies in memory, and nobody was told that it is anywhere else.
    expect(fileBytes()).toBe(0);
    for (let position = 0; position < state.length; position += PART_BYTES_MAX) {
      hear(follower.snapshots.partReceived(now as Instant, A, partOf(state, position), HERE));
    }
    turnOfFollower();
    isDiskIdle = true;
    turnOfFollower();
    expect(fileBytes()).toBe(CHECKPOINT_HEADER_BYTES + 2 * WINDOW_BYTES);
    goOn();
    expect(isWhole()).toBe(true);
  });

  test("that restarts goes on from what it had synced, and asks for no more than the rest", () => {
    begin();
    while ((fileBytes() ?? 0) < state.length - PART_BYTES_MAX) {
      exchange();
      answerReads();
    }
    const before = fileBytes() ?? 0;
    const dice = { take: () => 0, index: () => null };
    log = reopened(log.disk.powerLossImage(dice));
    follower = new End(B, A);
    leader = new End(A, B);
    unread = [];
    begin();
    exchange();
    leader.takeSent();
    const asked = (leader.snapshots.takeTasks() as Reads[]).map(({ position }) => position);
    expect(asked[0]).toBeGreaterThan(0);
    expect(asked[0]).toBe((fileBytes() ?? 0) - CHECKPOINT_HEADER_BYTES - 2 * WINDOW_BYTES);
    expect(fileBytes()).toBeLessThanOrEqual(before);
    ask();
    goOn();
    expect(isWhole()).toBe(true);
  });

  test("without room for it lets go of all of it, and takes it once there is room", () => {
    begin();
    exchange();
    answerReads(4);
    log.disk.room = 3 * PART_BYTES_MAX;
    exchange();
    expect(fileBytes()).toBeNull();
    expect(log.poisoned).toBeNull();
    ask();
    exchange();
    expect(events).toEqual([{ kind: "snapshot-ended", peer: B, ok: false }]);
    log.disk.room = Number.MAX_SAFE_INTEGER;
    events = [];
    unread = [];
    begin();
    goOn();
    expect(isWhole()).toBe(true);
  });

  test("says again that it has all of it to whoever leads next, and reads it back for that", () => {
    begin();
    goOn();
    // Raft was told, and had another leader by then.
    events = [];
    const part = { ...partOf(state, 0, 0), term: 4 as Term };
    const here = { ...HERE, term: 4 as Term, leader: C };
    hear(follower.snapshots.partReceived(now as Instant, C, part, here));
    turnOfFollower();
    expect(received()[0]).toMatchObject({ from: C, term: 4 });
    expect(isWhole()).toBe(true);
  });

  test("drops the parts of a former leader, of another than the leader, and of one too large", () => {
    const part = partOf(state, 0);
    const offers: readonly (readonly [MemberId, typeof part])[] = [
      [A, { ...part, term: 2 as Term }],
      [C, part],
      [A, { ...part, name: { ...part.name, length: (8 << 20) + 1 } }],
    ];
    for (const [from, offer] of offers) {
      hear(follower.snapshots.partReceived(now as Instant, from, offer, HERE));
    }
    turnOfFollower();
    expect(follower.dropped).toEqual([
      "a snapshot from the leader of term 2, it is 3 now",
      "a snapshot from another than this term's leader",
      `a snapshot of ${(8 << 20) + 1} bytes, the largest kept here has ${8 << 20}`,
    ]);
    expect([follower.takeSent(), events, fileBytes()]).toEqual([[], [], null]);
  });

  test("keeps nothing that does not go on where its file stands, however it is sent", () => {
    for (const position of [PART_BYTES_MAX, 5, state.length - 1, 7 * PART_BYTES_MAX]) {
      hear(follower.snapshots.partReceived(now as Instant, A, partOf(state, position), HERE));
    }
    turnOfFollower();
    const replies = follower.takeSent().map((sent) => "position" in sent && sent.position);
    expect(replies).toEqual([0, 0, 0, 0]);
    expect(fileBytes()).toBe(0);
  });
});
