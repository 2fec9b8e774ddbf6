// Serf's layer: intents before and after what they are about, statuses, joining and leaving.
import { expect, test } from "vitest";

import { millis, type StreamId } from "../../src/base/ids.ts";

import { LAN_PROFILE } from "../../src/gossip/profiles.ts";
import type { GossipRequestId } from "../../src/gossip/protocol.ts";
import { encodeStream } from "../../src/gossip/stream-codec.ts";

import { addressOf, seconds } from "./fleet.ts";
import {
  acquainted,
  alive,
  dead,
  joinIntent,
  leaveIntent,
  ofKind,
  pushPull,
  record,
  Subject,
  serfState,
  time,
} from "./subject.ts";

test("a member that intends to leave is leaving, and gone it has left", () => {
  const subject = acquainted(3);
  subject.hearSerf(2, leaveIntent(1, 5));
  expect(subject.member(1)?.status).toBe("leaving");
  subject.hear(2, dead(1, 1, 2));
  expect(subject.output.happenings).toMatchObject([{ kind: "leave", member: { status: "left" } }]);
});

test("an intent that is older than what is settled changes nothing", () => {
  const subject = acquainted(3);
  subject.hearSerf(2, joinIntent(1, 6));
  subject.hearSerf(2, leaveIntent(1, 5));
  expect(subject.member(1)?.status).toBe("alive");
  subject.hearSerf(2, leaveIntent(1, 7));
  subject.hearSerf(2, joinIntent(1, 7));
  expect(subject.member(1)?.status).toBe("leaving");
  subject.hearSerf(2, joinIntent(1, 8));
  expect(subject.member(1)?.status).toBe("alive");
});

test("an intent that comes before its member is kept for it, for a while", () => {
  const early = new Subject();
  early.hearSerf(2, leaveIntent(1, 5));
  early.hearSerf(2, joinIntent(1, 4));
  early.hear(1, alive(1, 1));
  expect(early.member(1)?.status).toBe("leaving");
  const late = new Subject();
  late.hearSerf(2, leaveIntent(1, 5));
  late.pass(seconds(301));
  late.hear(1, alive(1, 1));
  expect(late.member(1)?.status).toBe("alive");
});

test("a member that is said to leave says that it is there, at a later time", () => {
  const subject = acquainted(2);
  subject.hearSerf(1, leaveIntent(0, 40));
  const intents = ofKind(subject.pass(millis(400)), "user").map(({ message }) => message);
  expect(intents).toContainEqual({ kind: "join-intent", node: "n0", time: 41 });
  expect(subject.gossip.status().time).toBe(42);
});

test("a member believes no time that no clock can show", () => {
  const subject = acquainted(2);
  subject.hearSerf(1, leaveIntent(2, 2 ** 40));
  expect(subject.member(2)?.status).toBe("alive");
  expect(subject.dropped).toEqual({ "time-jump": 1 });
  expect(subject.gossip.status().time).toBe(1);
});

test("a failed member that is declared left has left, and pruned it is gone", () => {
  const subject = acquainted(3);
  subject.hear(2, dead(1, 1, 2));
  subject.hearSerf(2, leaveIntent(1, 5));
  expect(subject.output.happenings).toMatchObject([{ kind: "leave" }]);
  subject.hearSerf(2, leaveIntent(1, 6, true));
  expect(subject.output.happenings).toMatchObject([{ kind: "reap", member: { node: "n1" } }]);
  expect(subject.member(1)).toBeUndefined();
});

test("a leaving member that shall be pruned is erased once it had time to object", () => {
  const subject = acquainted(3);
  subject.hearSerf(2, leaveIntent(1, 5, true));
  subject.hear(2, dead(1, 1, 1));
  expect(subject.member(1)?.status).toBe("left");
  subject.pass(seconds(6));
  expect(subject.member(1)).toBeUndefined();
});

test("a member that others hold for leaving learns it from their tables, and says it is there", () => {
  const subject = acquainted(2);
  subject.hearStream(2, 1, pushPull([record(1, 1)], serfState({ n0: 6, n1: 1 }, ["n0"])));
  expect(subject.gossip.status().time).toBe(8);
  const intents = ofKind(subject.pass(millis(400)), "user").map(({ message }) => message);
  expect(intents).toContainEqual({ kind: "join-intent", node: "n0", time: 7 });
});

test("a member tells in its table who is leaving, as it tells who left", () => {
  const subject = acquainted(2);
  subject.hearSerf(2, leaveIntent(1, 5));
  const [reply] = subject.hearStream(2, 2, pushPull([record(2, 1)]));
  expect(reply).toMatchObject({ serf: { left: ["n1"] } });
});

test("a member that has joined says so, at a time after all it has heard of", () => {
  const subject = new Subject();
  const requestId = 7 as GossipRequestId;
  subject.step({ kind: "join", requestId, addresses: [addressOf(1)] });
  const streamId = 1 as StreamId;
  subject.step({ kind: "stream-opened", streamId, peer: addressOf(1), dialed: true });
  const reply = { ...pushPull([record(1, 1)]), serf: { ...serfState({ n1: 4 }), time: time(30) } };
  subject.step({ kind: "stream-bytes", streamId, bytes: encodeStream(reply, { compress: true }) });
  expect(subject.output.answers).toMatchObject([{ kind: "joined", requestId, reached: 1 }]);
  const intents = ofKind(subject.pass(millis(400)), "user").map(({ message }) => message);
  expect(intents).toContainEqual({ kind: "join-intent", node: "n0", time: 30 });
});

test("a member that leaves tells its intent first, then its last word, each as often as it should", () => {
  const subject = acquainted(3);
  subject.pass(millis(1));
  const requestId = 7 as GossipRequestId;
  subject.step({ kind: "leave", requestId });
  const order: string[] = [];
  for (let turns = 0; turns < 100 && subject.gossip.status().state === "leaving"; turns++) {
    for (const message of subject.wake().flatMap(({ messages }) => messages)) {
      if (message.kind === "user") order.push(message.message.kind);
      else if (message.kind === "dead") order.push(message.kind);
    }
  }
  expect(order).toEqual([...Array(4).fill("leave-intent"), ...Array(4).fill("dead")]);
  expect(subject.output.answers).toEqual([{ kind: "done", requestId }]);
});

test("a member that leaves waits no longer for its words to be told than it may", () => {
  const subject = acquainted(3, { profile: { ...LAN_PROFILE, retransmitMult: 1000 } });
  subject.step({ kind: "leave", requestId: 7 as GossipRequestId });
  subject.pass(millis(10_999));
  expect(subject.gossip.status().state).toBe("leaving");
  subject.pass(millis(1));
  expect(subject.gossip.status().state).toBe("left");
});
