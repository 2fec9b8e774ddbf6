// Coordinates as a member tells, takes and refuses them: one machine, packet by packet.

import { expect, test } from "vitest";

import { EMPTY_BYTES, type FrozenBytes } from "../../src/base/bytes.ts";
import { millis } from "../../src/base/ids.ts";
import {
  type Coordinate,
  decodeCoordinate,
  encodeCoordinate,
} from "../../src/gossip/coordinate.ts";
import { encodeMessage } from "../../src/gossip/message-codec.ts";
import type { Ack } from "../../src/gossip/messages.ts";
import type { GossipRequestId } from "../../src/gossip/protocol.ts";
import { ORIGIN } from "../../src/gossip/vivaldi.ts";
import { id, seconds } from "./fleet.ts";
import { acquainted, ofKind, ping, type Said, type Subject, suspect } from "./subject.ts";

const HERE: Coordinate = { ...ORIGIN, vector: [0.1, 0, 0, 0, 0, 0, 0, 0] };

const ack = (sequence: number, payload: FrozenBytes): Ack => ({ kind: "ack", sequence, payload });
const payloadOf = (answers: readonly Said[]) => ofKind(answers, "ack")[0]?.payload ?? null;

/** The next ping of its own: its number, and whom it asks. */
function nextPing(subject: Subject): { readonly sequence: number; readonly host: number } {
  for (;;) {
    const asked = ofKind(subject.wake(), "ping")[0];
    if (asked?.node != null) return { sequence: asked.sequence, host: Number(asked.node.slice(1)) };
  }
}

test("a member tells where it is in its answer to a ping, and nothing where that is off", () => {
  const payload = payloadOf(acquainted(1).hear(1, ping(1, 1)));
  expect(payload === null ? null : decodeCoordinate(payload)).toEqual(ORIGIN);
  const silent = acquainted(1, { coordinates: false });
  expect(payloadOf(silent.hear(1, ping(1, 1)))).toEqual(EMPTY_BYTES);
});

test("a member moves by the answer to its own ping, and knows where the other is", () => {
  const subject = acquainted(3);
  expect(subject.gossip.coordinateOf(id("n0"))).toBeNull();
  const { sequence, host } = nextPing(subject);
  subject.pass(millis(30));
  subject.hear(host, ack(sequence, encodeCoordinate(HERE)));
  expect(subject.gossip.coordinateOf(id(`n${host}`))).toEqual(HERE);
  const moved = subject.gossip.coordinateOf(id("n0"));
  expect(moved?.vector[0]).toBeGreaterThan(0);
  // What it tells from now on is where it is now.
  const payload = payloadOf(subject.hear(1, ping(9, 1)));
  expect(payload === null ? null : decodeCoordinate(payload)).toEqual(moved);
  expect(subject.gossip.roundTrip(id("n0"), id(`n${host}`))).toBeGreaterThan(0);
  expect(subject.gossip.roundTrip(id("n0"), id("nobody"))).toBeNull();
});

test("a member is not moved by what no correct member tells, and counts it", () => {
  const subject = acquainted(1);
  const bad = [
    { ...HERE, height: -1 },
    { ...HERE, vector: [1, 2] },
    { ...HERE, error: 7 },
  ];
  for (const each of bad) {
    const { sequence } = nextPing(subject);
    subject.hear(1, ack(sequence, encodeCoordinate(each)));
  }
  const { sequence } = nextPing(subject);
  subject.hear(1, ack(sequence, new TextEncoder().encode("\u0001nonsense") as FrozenBytes));
  expect(subject.dropped).toEqual({ "bad-coordinate": 4 });
  expect(subject.gossip.coordinateOf(id("n0"))).toBeNull();
  expect(subject.gossip.coordinateOf(id("n1"))).toBeNull();
  // Whoever tells none is as welcome as ever.
  subject.hear(1, ack(nextPing(subject).sequence, EMPTY_BYTES));
  expect(subject.dropped).toEqual({ "bad-coordinate": 4 });
  expect(subject.stateOf(1)).toBe("alive");
});

test("an answer that may have come by others says nothing of the distance", () => {
  const subject = acquainted(4);
  const { sequence, host } = nextPing(subject);
  const asked = ofKind(subject.pass(millis(600)), "indirect-ping");
  expect(asked.length).toBeGreaterThan(0);
  subject.hear(host, ack(sequence, encodeCoordinate(HERE)));
  expect(subject.stateOf(host)).toBe("alive");
  expect(subject.gossip.coordinateOf(id(`n${host}`))).toBeNull();
});

test("a ping too small for a coordinate gets an answer without", () => {
  const subject = acquainted(1);
  const small = { kind: "ping", sequence: 7, node: null, source: null, sourceNode: null } as const;
  const answers = subject.hear(1, small);
  expect(payloadOf(answers)).toEqual(EMPTY_BYTES);
  expect(answers[0]?.bytes).toBeLessThanOrEqual(3 * encodeMessage(small).length);
});

test("a suspect that pings is told so, even where there is no room for a coordinate besides", () => {
  const subject = acquainted(4);
  subject.hear(2, suspect(1, 1, 2));
  const short = { ...ping(3, 1), node: null };
  const answers = subject.hear(1, short);
  expect(ofKind(answers, "suspect")).toHaveLength(1);
  expect(ofKind(answers, "ack")).toHaveLength(1);
});

test("a member that is erased takes its place with it", () => {
  const subject = acquainted(1);
  const { sequence } = nextPing(subject);
  subject.hear(1, ack(sequence, encodeCoordinate(HERE)));
  subject.pass(seconds(60));
  expect(subject.stateOf(1)).toBe("dead");
  expect(subject.gossip.coordinateOf(id("n1"))).toEqual(HERE);
  subject.step({
    kind: "force-leave",
    requestId: 1 as GossipRequestId,
    node: id("n1"),
    prune: true,
  });
  expect(subject.gossip.coordinateOf(id("n1"))).toBeNull();
});
