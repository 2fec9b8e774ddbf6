// What is said on streams: push/pulls and pings, and how many streams there may be.
import { expect, test } from "vitest";

import { NEVER, type StreamId } from "../../src/base/ids.ts";

import { addressOf, seconds } from "./fleet.ts";
import {
  acquainted,
  dead,
  leaveIntent,
  ping,
  pushPull,
  record,
  Subject,
  serfState,
  time,
} from "./subject.ts";

test("a member shows a joiner what it knew before, and then takes the joiner in", () => {
  const subject = acquainted(1);
  const [reply] = subject.hearStream(2, 5, pushPull([record(5, 3)], serfState({ n5: 2 }), true));
  expect(reply).toMatchObject({
    kind: "push-pull",
    join: true,
    nodes: [
      { node: "n0", state: "alive" },
      { node: "n1", state: "alive" },
    ],
    serf: { left: [] },
  });
  expect(subject.output.streamCloses).toMatchObject([{ streamId: 2 }]);
  expect(subject.member(5)).toMatchObject({ status: "alive", incarnation: 3 });
});

test("a member told of a death by a push/pull suspects, and believes a departure", () => {
  const subject = acquainted(6);
  const nodes = [record(1, 1, "dead"), record(2, 1, "suspect"), record(3, 1, "left")];
  subject.hearStream(2, 6, pushPull([record(6, 1), ...nodes]));
  expect([1, 2, 3].map((host) => subject.stateOf(host))).toEqual(["suspect", "suspect", "left"]);
  expect(subject.member(3)?.status).toBe("left");
});

test("what two members hold of a third that left does not grow with each exchange", () => {
  const subject = acquainted(2);
  subject.hearSerf(1, leaveIntent(2, 5));
  subject.hear(1, dead(2, 1, 2));
  const before = subject.gossip.status().time;
  for (let turns = 1; turns <= 5; turns++) {
    const state = { ...serfState({ n1: 1, n2: 5 }, ["n2"]), time: time(before) };
    subject.hearStream(2 * turns, 1, pushPull([record(1, 1), record(2, 1, "left")], state));
  }
  expect(subject.gossip.status().time).toBe(before);
});

test("a member that finds itself dead in what it joins says that it is not", () => {
  const subject = new Subject();
  subject.hearStream(
    2,
    5,
    pushPull([record(5, 1), { ...record(0, 6, "dead"), address: addressOf(100) }]),
  );
  expect(subject.incarnation).toBe(7);
});

test("a member leaves out what it cannot speak with, and takes the rest", () => {
  const subject = new Subject();
  const odd = {
    ...record(7, 1),
    versions: { ...record(7, 1).versions, delegateCurrent: 9, delegateMax: 9 },
  };
  subject.hearStream(2, 5, pushPull([record(5, 1), odd]));
  expect([5, 7].map((host) => subject.stateOf(host))).toEqual(["alive", null]);
  expect(subject.dropped).toEqual({ incompatible: 1 });
});

test("a member answers a ping on a stream, and closes it on one for somebody else", () => {
  const subject = new Subject();
  expect(subject.hearStream(2, 5, ping(3, 5))).toMatchObject([{ kind: "ack", sequence: 3 }]);
  expect(subject.hearStream(4, 5, ping(3, 5, "n8"))).toEqual([]);
  expect(subject.output.streamCloses).toMatchObject([{ streamId: 4 }]);
});

test("a member closes a stream on which nothing comes", () => {
  const subject = new Subject();
  const streamId = 2 as StreamId;
  subject.step({ kind: "stream-opened", streamId, peer: addressOf(5), dialed: false });
  subject.pass(seconds(10));
  expect(subject.gossip.status().streams).toBe(0);
  expect(subject.dropped).toEqual({ "too-slow": 1 });
});

test("a member turns strangers' streams away before it runs out of its own", () => {
  const subject = new Subject({ streamsMax: 4 });
  for (let at = 1; at <= 4; at++) {
    const streamId = (2 * at) as StreamId;
    subject.step({ kind: "stream-opened", streamId, peer: addressOf(5), dialed: false });
  }
  expect(subject.output.streamCloses).toMatchObject([{ streamId: 8, why: "too many streams" }]);
  expect(subject.gossip.status().streams).toBe(3);
});

test("a member that nobody asked and nobody knows waits for nothing", () => {
  const subject = new Subject();
  expect(subject.gossip.deadline).toBe(NEVER);
  expect(subject.gossip.takeOutput()).toBeNull();
});
