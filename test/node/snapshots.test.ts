// A checkpoint brought from one member to another: in parts that are read as they are due, over
// links that lose them, and from a log that trims it away meanwhile.

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
import type { LogBase, LogEvent } from "../../src/log/protocol.ts";
import { OutputDraft } from "../../src/node/output.ts";
import { PART_BYTES_MAX, type SnapshotMessage } from "../../src/node/snapshot-wire.ts";
import { Snapshots } from "../../src/node/snapshots.ts";
import { decodeMessage } from "../../src/node/wire.ts";
import { RouteBytes } from "../../src/node/wire-head.ts";
import type { RaftEvent } from "../../src/raft/protocol.ts";

const [A, B] = ["a" as string as MemberId, "b" as string as MemberId];
const AT = {
  index: 40 as LogIndex,
  term: 3 as Term,
  endOffset: 39 as Offset,
  timestamp: 7 as WallMs,
};
const MEMBERSHIP = membershipOf([A, B].map((id) => ({ id, address: "" })));
const WINDOW_BYTES = 8 * PART_BYTES_MAX;

type Reads = Extract<LogEvent, { kind: "read-base-part" }>;

/** One member's snapshots; what it sends goes into `sent`, decoded as the other end would. */
class End {
  readonly snapshots: Snapshots;
  sent: SnapshotMessage[] = [];
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
      dropped: () => undefined,
    };
    const bounds = { snapshotBytesMax: 8 << 20, askAgainAfter: millis(300) };
    this.snapshots = new Snapshots(bounds, links, new OutputDraft(), () => MEMBERSHIP);
  }

  takeSent(): SnapshotMessage[] {
    return this.sent.splice(0);
  }
}

let [leader, follower] = [new End(A, B), new End(B, A)];
let now = 0;
/** Of the leader's log. */
let state = freeze(new Uint8Array(0));
/** Bytes that the leader has asked its log for and has not got. */
let unread: Reads[] = [];
let events: RaftEvent[] = [];

beforeEach(() => {
  [leader, follower] = [new End(A, B), new End(B, A)];
  [now, unread, events] = [0, [], []];
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
  unread.push(...(leader.snapshots.takeReads() as Reads[]));
  for (const { readId, position, length } of unread.splice(0, count)) {
    const bytes = state.subarray(position, position + length) as FrozenBytes;
    read({ kind: "part", readId, position, bytes });
  }
}

/** What the leader has sent arrives, but for what `isLost`; then the answers do. */
function exchange(isLost: (message: SnapshotMessage) => boolean = () => false): void {
  for (const message of leader.takeSent()) {
    if (message.kind !== "snapshot-part" || isLost(message)) continue;
    const here = { commitIndex: 5 as LogIndex, membership: MEMBERSHIP };
    hear(follower.snapshots.partReceived(now as Instant, A, message, here));
  }
  for (const message of follower.takeSent()) {
    if (message.kind !== "snapshot-reply") continue;
    hear(leader.snapshots.replied(now as Instant, B, message));
  }
}

const received = () => events.flatMap((event) => (event.kind === "snapshot-received" ? event : []));

const isWhole = () => equalBytes(received()[0]?.snapshot.state ?? new Uint8Array(0), state);

describe("a checkpoint", () => {
  test("is read part by part, a window at most ahead of what has arrived", () => {
    begin();
    for (let rounds = 0; rounds < 60 && events.length < 2; rounds++) {
      exchange();
      unread.push(...(leader.snapshots.takeReads() as Reads[]));
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
    expect(leader.snapshots.takeReads()).toEqual([]);
  });

  test("that reads shorter than it was is given up", () => {
    begin();
    exchange();
    const [first] = leader.snapshots.takeReads() as Reads[];
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
    expect(leader.snapshots.takeReads()).toEqual([]);
    leader.isUp = true;
    now += 300_000;
    for (const event of leader.snapshots.ring(now as Instant)) hear(event);
    exchange();
    expect(leader.snapshots.takeReads()).toHaveLength(WINDOW_BYTES / PART_BYTES_MAX);
  });

  test("of the same size as the one before is begun anew by its receiver", () => {
    const here = { commitIndex: 5 as LogIndex, membership: MEMBERSHIP };
    const partOf = (whole: Uint8Array, position: number) => {
      const name = { at: AT, length: whole.length, crc: crc32c(whole) };
      const bytes = whole.subarray(position, position + PART_BYTES_MAX) as FrozenBytes;
      return { kind: "snapshot-part", term: 3 as Term, round: 1, name, position, bytes } as const;
    };
    const other = Uint8Array.from(state, (byte) => byte ^ 0xff);
    follower.snapshots.partReceived(now as Instant, A, partOf(state, 0), here);
    follower.snapshots.partReceived(now as Instant, A, partOf(other, PART_BYTES_MAX), here);
    const replies = follower.takeSent().map((sent) => "position" in sent && sent.position);
    expect(replies).toEqual([PART_BYTES_MAX, 0]);
  });
});
