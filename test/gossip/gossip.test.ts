// The rules of the protocol, one machine and one claim at a time. Sections are those of the SWIM
// and Lifeguard papers; the rest is what stock agents do.
import { expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import { type Instant, millis, NEVER, type StreamId } from "../../src/base/ids.ts";
import type { IndirectPing, Ping, StreamMessage } from "../../src/gossip/messages.ts";

import { encodeStream } from "../../src/gossip/stream-codec.ts";
import { encodeTags } from "../../src/gossip/tags.ts";
import { addressOf, id, seconds } from "./fleet.ts";
import {
  acquainted,
  alive,
  claimsOf,
  dead,
  ofKind,
  ping,
  Subject,
  suspect,
  written,
} from "./subject.ts";

// Answering.

test("a member answers a ping to where the ping says, with its number", () => {
  const [answer] = new Subject().hear(9, { ...ping(77, 1), source: addressOf(5) });
  expect(answer?.to).toEqual(addressOf(5));
  expect(answer?.messages[0]).toMatchObject({ kind: "ack", sequence: 77 });
});

test("a member answers a ping without a source to where it came from", () => {
  const bare: Ping = { kind: "ping", sequence: 7, node: null, source: null, sourceNode: null };
  expect(new Subject().hear(9, bare)).toMatchObject([
    { to: addressOf(9), messages: [{ kind: "ack", sequence: 7 }] },
  ]);
});

test("a member does not answer a ping that is meant for whoever had its address before", () => {
  const subject = new Subject();
  expect(subject.hear(9, ping(7, 9, "somebody"))).toEqual([]);
  expect(subject.dropped).toEqual({ "not-for-us": 1 });
});

test("a member tells a suspect that pings it what is said of it", () => {
  const subject = acquainted(4);
  subject.hear(2, suspect(1, 1, 2));
  const [answer] = subject.hear(1, ping(5, 1));
  expect(answer?.messages.slice(0, 2)).toMatchObject([
    { kind: "ack", sequence: 5 },
    { kind: "suspect", node: "n1", from: "n0" },
  ]);
});

const asked = (nack: boolean): IndirectPing => ({
  kind: "indirect-ping",
  sequence: 40,
  node: id("n2"),
  target: addressOf(2),
  nack,
  source: addressOf(1),
  sourceNode: id("n1"),
});

test("a member pings on behalf of another, and passes the answer on under its number", () => {
  const subject = new Subject();
  const [pinged] = subject.hear(1, asked(true));
  expect(pinged?.to).toEqual(addressOf(2));
  expect(pinged?.messages[0]).toMatchObject({ kind: "ping", node: "n2" });
  const own = pinged?.messages[0] as Ping;
  expect(own.sourceNode).toBe("n0");
  expect(
    subject.hear(2, { kind: "ack", sequence: own.sequence, payload: freeze(Uint8Array.of(1)) }),
  ).toMatchObject([{ to: addressOf(1), messages: [{ kind: "ack", sequence: 40, payload: {} }] }]);
  expect(subject.pass(seconds(5))).toEqual([]);
});

test("a member says so when it has no answer to pass on, and still passes on a late one", () => {
  const subject = new Subject();
  const own = subject.hear(1, asked(true))[0]?.messages[0] as Ping;
  expect(subject.pass(millis(399))).toEqual([]);
  expect(subject.pass(millis(1))).toMatchObject([
    { to: addressOf(1), messages: [{ kind: "nack", sequence: 40 }] },
  ]);
  const late = subject.hear(2, {
    kind: "ack",
    sequence: own.sequence,
    payload: freeze(new Uint8Array()),
  });
  expect(late).toMatchObject([{ to: addressOf(1), messages: [{ kind: "ack", sequence: 40 }] }]);
});

test("a member says nothing about silence to whoever would not understand it", () => {
  const subject = new Subject();
  subject.hear(1, asked(false));
  expect(subject.pass(seconds(5))).toEqual([]);
  expect(subject.gossip.deadline).toBe(NEVER);
});

test("a member drops an answer to nothing, and takes no offence at a late or doubled one", () => {
  const subject = new Subject();
  const own = subject.hear(1, asked(true))[0]?.messages[0] as Ping;
  for (let turns = 0; turns < 2; turns++) {
    subject.hear(2, { kind: "ack", sequence: own.sequence, payload: freeze(new Uint8Array()) });
  }
  expect(subject.dropped).toEqual({});
  subject.hear(1, { kind: "ack", sequence: 9, payload: freeze(new Uint8Array()) });
  subject.hear(1, { kind: "nack", sequence: 9 });
  expect(subject.dropped).toEqual({ "no-such-ping": 2 });
});

// Probing (SWIM, section 3.1).

/** Until it pings somebody. */
function nextPing(subject: Subject): Ping {
  for (let turns = 0; turns < 200; turns++) {
    const [found] = ofKind(subject.wake(), "ping");
    if (found !== undefined) return found;
  }
  throw new Error("it pings nobody");
}

test("a member asks others, and by a stream, when a ping is not answered in time", () => {
  const subject = acquainted(6);
  const first = nextPing(subject);
  const said = subject.pass(millis(500));
  const helpers = ofKind(said, "indirect-ping");
  expect(helpers).toHaveLength(3);
  for (const each of helpers) {
    expect(each).toMatchObject({ sequence: first.sequence, node: first.node, nack: true });
  }
  const places = said.filter(({ messages }) => messages[0]?.kind === "indirect-ping");
  expect(new Set(places.map(({ to }) => to.ip[3])).size).toBe(3);
  expect(subject.output.dials).toHaveLength(1);
});

test("a member that is answered through others suspects nobody", () => {
  const subject = acquainted(6);
  const { sequence, node } = nextPing(subject);
  subject.pass(millis(700));
  subject.hear(3, { kind: "ack", sequence, payload: freeze(new Uint8Array()) });
  subject.pass(millis(301));
  expect(subject.gossip.stateOf(id(node ?? ""))).toBe("alive");
  expect(subject.gossip.status().healthScore).toBe(0);
});

test("a member that is answered by a stream alone suspects nobody, and tells its operator", () => {
  const subject = acquainted(2);
  const { sequence, node } = nextPing(subject);
  subject.pass(millis(500));
  const streamId = 1 as StreamId;
  const host = Number(node?.slice(1));
  expect(subject.output.dials).toEqual([{ streamId, to: addressOf(host) }]);
  const opened = { kind: "stream-opened", streamId, peer: addressOf(host), dialed: true } as const;
  expect(written(subject.step(opened))).toMatchObject([{ kind: "ping", sequence, node }]);
  const ack: StreamMessage = { kind: "ack", sequence, payload: freeze(new Uint8Array()) };
  const bytes = encodeStream(ack, { compress: false });
  subject.step({ kind: "stream-bytes", streamId, bytes });
  subject.now = (subject.now + 500_000) as Instant;
  subject.step({ kind: "deadline" });
  expect(subject.output.notices).toMatchObject([
    { what: "gossip-reached-only-by-stream", facts: { member: node } },
  ]);
  expect(subject.stateOf(host)).toBe("alive");
});

test("a member suspects whoever does not answer in any way, and loses some trust in itself", () => {
  const subject = acquainted(5);
  const { node } = nextPing(subject);
  subject.pass(millis(999));
  expect(subject.gossip.stateOf(id(node ?? ""))).toBe("alive");
  subject.pass(millis(1));
  expect(subject.gossip.stateOf(id(node ?? ""))).toBe("suspect");
  // Three helpers that understand nacks, and not one said anything (Lifeguard, section IV-A).
  expect(subject.gossip.status().healthScore).toBe(3);
});

test("a member whose helpers say that they too hear nothing keeps its trust in itself", () => {
  const subject = acquainted(5);
  const { sequence, node } = nextPing(subject);
  subject.pass(millis(600));
  for (let helper = 0; helper < 3; helper++) subject.hear(3, { kind: "nack", sequence });
  subject.pass(millis(400));
  expect(subject.gossip.stateOf(id(node ?? ""))).toBe("suspect");
  expect(subject.gossip.status().healthScore).toBe(0);
});

test("a member that trusts itself less waits longer for an answer", () => {
  const subject = acquainted(5);
  nextPing(subject);
  const [next] = ofKind(subject.pass(millis(1000)), "ping");
  const { sequence, node } = next as Ping;
  // A score of three: four times the interval.
  subject.pass(millis(3999));
  expect(subject.gossip.stateOf(id(node ?? ""))).toBe("alive");
  subject.hear(1, { kind: "ack", sequence, payload: freeze(new Uint8Array()) });
  expect(subject.gossip.status().healthScore).toBe(2);
});

test("a member that wakes far too late for a probe trusts itself less", () => {
  const subject = acquainted(3);
  subject.now = (subject.gossip.deadline + seconds(30)) as Instant;
  subject.step({ kind: "deadline" });
  expect(subject.gossip.status().healthScore).toBe(1);
});

test("a member tells a suspect so with the very ping (Lifeguard, section IV-C)", () => {
  const subject = acquainted(1);
  subject.hear(9, suspect(1, 1, 9));
  const said = subject.pass(seconds(1)).filter(({ messages }) => messages[0]?.kind === "ping");
  expect(said[0]?.messages).toMatchObject([
    { kind: "ping", node: "n1" },
    { kind: "suspect", node: "n1", from: "n0", incarnation: 1 },
  ]);
});

// Claims.

test("a member believes nobody to be where nobody can be reached", () => {
  const subject = new Subject();
  subject.hear(1, alive(1, 1, { address: addressOf(1, 0) }));
  expect(subject.stateOf(1)).toBeNull();
  expect(subject.dropped).toEqual({ malformed: 1 });
});

test("a member that is suspected or called dead objects, under the next incarnation", () => {
  const subject = acquainted(3);
  subject.hear(1, suspect(0, 1, 1));
  expect(subject.incarnation).toBe(2);
  subject.hear(1, { ...dead(0, 7, 1) });
  expect(subject.incarnation).toBe(8);
  expect(claimsOf(subject.pass(millis(200)), 0)[0]).toMatchObject({
    kind: "alive",
    incarnation: 8,
  });
  expect(subject.gossip.status().healthScore).toBe(2);
});

test("a member does not object to what it has refuted already", () => {
  const subject = acquainted(2);
  subject.hear(1, suspect(0, 1, 1));
  subject.hear(1, suspect(0, 1, 2), dead(0, 1, 1), alive(0, 1, { address: addressOf(100) }));
  expect(subject.incarnation).toBe(2);
});

test("a member that began anew objects to what it said in its last life", () => {
  const subject = acquainted(1);
  subject.hear(
    1,
    alive(0, 1, { address: addressOf(100), meta: encodeTags(new Map([["a", "b"]])) }),
  );
  expect(subject.incarnation).toBe(2);
  subject.hear(1, alive(0, 9, { address: addressOf(100) }));
  expect(subject.incarnation).toBe(10);
});

test("a member does not fight with another of its name, it counts and tells", () => {
  const subject = acquainted(1);
  subject.hear(1, alive(0, 5));
  expect(subject.incarnation).toBe(1);
  expect(subject.dropped).toEqual({ "name-conflict": 1 });
  const told = subject.output.notices.map(({ what }) => what);
  expect(told).toEqual(["gossip-name-contested", "gossip-dropped"]);
});

test("a member believes no incarnation that nobody can have reached", () => {
  const subject = acquainted(1);
  subject.hear(1, suspect(0, 0xffff_ffff, 1), dead(1, 0xffff_fff0, 1), alive(2, 0xffff_ffff));
  expect(subject.incarnation).toBe(1);
  expect(subject.stateOf(1)).toBe("alive");
  expect(subject.stateOf(2)).toBeNull();
  expect(subject.dropped).toEqual({ "incarnation-jump": 3 });
});

test("a member knows nothing of strangers but what says that they are there", () => {
  const subject = acquainted(1);
  subject.hear(1, suspect(7, 1, 1), dead(7, 1, 1));
  expect(subject.stateOf(7)).toBeNull();
  subject.hear(1, alive(7, 1));
  expect(subject.stateOf(7)).toBe("alive");
  expect(subject.output.happenings).toMatchObject([{ kind: "join", member: { node: "n7" } }]);
});

test("a suspicion lasts as long as the formula says, less with each voice", () => {
  for (const [voices, lasts] of [
    [0, 24_000],
    [1, 11_381],
    [2, 4000],
  ] as const) {
    const subject = acquainted(5);
    const began = subject.now;
    subject.hear(2, suspect(1, 1, 2));
    for (let voice = 0; voice < voices; voice++) subject.hear(3, suspect(1, 1, 3 + voice));
    while (subject.stateOf(1) === "suspect") {
      // Every probe is answered, so that no voice of our own joins in.
      for (const { sequence } of ofKind(subject.wake(), "ping")) {
        subject.hear(2, { kind: "ack", sequence, payload: freeze(new Uint8Array()) });
      }
    }
    expect(subject.now - began, `${voices}`).toBe(millis(lasts));
    expect(subject.stateOf(1)).toBe("dead");
  }
});

test("a suspect that objects is alive, and its suspicion is over", () => {
  const subject = acquainted(5);
  subject.hear(2, suspect(1, 1, 2));
  subject.hear(2, alive(1, 1));
  expect(subject.stateOf(1)).toBe("suspect");
  subject.hear(2, alive(1, 2));
  expect(subject.stateOf(1)).toBe("alive");
  subject.hear(2, suspect(1, 1, 3), dead(1, 1, 3));
  expect(subject.stateOf(1)).toBe("alive");
});

test("each voice of a suspicion is passed on once, and no more than are wanted", () => {
  const subject = acquainted(6);
  subject.pass(seconds(3));
  const voices = [2, 2, 3, 3, 4, 5].map((from) => {
    subject.hear(from, suspect(1, 1, from));
    return claimsOf(subject.pass(millis(200)), 1).map((claim) => {
      return claim.kind === "suspect" ? claim.from : claim.kind;
    });
  });
  const passedOn = new Set(voices.flat());
  expect([...passedOn].filter((from) => from !== "n0").sort()).toEqual(["n2", "n3", "n4"]);
});

test("a dead member's own last word makes it one that left", () => {
  const subject = acquainted(3);
  subject.hear(2, dead(1, 1, 2));
  expect(subject.output.happenings).toMatchObject([{ kind: "fail" }]);
  subject.hear(2, dead(1, 1, 1));
  expect(subject.output.happenings).toMatchObject([{ kind: "leave" }]);
  expect(subject.member(1)?.status).toBe("left");
  subject.hear(2, dead(1, 1, 2));
  expect(subject.stateOf(1)).toBe("left");
});

test("a member that began anew without knowing it is dead is told so at once", () => {
  const subject = acquainted(3);
  subject.hear(2, dead(1, 4, 2));
  expect(subject.hear(2, alive(1, 1))).toEqual([]);
  expect(subject.hear(1, alive(1, 1))).toMatchObject([
    { to: addressOf(1), messages: [{ kind: "dead", node: "n1", incarnation: 4 }] },
  ]);
});

test("rumors go to the lately dead, who may object, and not to those who left", () => {
  const subject = acquainted(2);
  subject.pass(seconds(4));
  subject.hear(9, dead(1, 1, 9), dead(2, 1, 2));
  const said = subject.pass(seconds(2));
  expect(said.some(({ to }) => to.ip[3] === 1)).toBe(true);
  expect(said.some(({ to }) => to.ip[3] === 2)).toBe(false);
});

test("a member speaks with nobody who would not understand it", () => {
  const subject = new Subject();
  const versions = { ...alive(1, 1).versions, protocolMin: 6, protocolMax: 7, protocolCurrent: 6 };
  subject.hear(1, alive(1, 1, { versions }));
  expect(subject.stateOf(1)).toBeNull();
  expect(subject.dropped).toEqual({ incompatible: 1 });
});

test("an answer to another ping says nothing about this one", () => {
  const subject = acquainted(2);
  const { sequence, node } = nextPing(subject);
  subject.hear(1, { kind: "ack", sequence: sequence + 5, payload: freeze(new Uint8Array()) });
  subject.hear(1, { kind: "ack", sequence: sequence - 1, payload: freeze(new Uint8Array()) });
  subject.pass(millis(1000));
  expect(subject.gossip.stateOf(id(node ?? ""))).toBe("suspect");
});

test("a dead member's name is not free for another address before its time is up", () => {
  const subject = acquainted(3);
  subject.hear(2, dead(1, 1, 2));
  subject.now = (subject.now + seconds(29)) as Instant;
  subject.hear(9, alive(1, 2, { address: addressOf(9) }));
  expect(subject.stateOf(1)).toBe("dead");
  expect(subject.dropped).toEqual({ "name-conflict": 1 });
  subject.now = (subject.now + seconds(1)) as Instant;
  subject.hear(9, alive(1, 1, { address: addressOf(9) }));
  expect(subject.stateOf(1)).toBe("dead");
  subject.hear(9, alive(1, 2, { address: addressOf(9) }));
  expect(subject.member(1)).toMatchObject({ status: "alive", address: addressOf(9) });
});

test("a suspect's name is not free at all, and that of one who left is at once", () => {
  const subject = acquainted(3);
  subject.hear(2, suspect(1, 1, 2), dead(2, 1, 2));
  subject.hear(9, alive(1, 2, { address: addressOf(9) }), alive(2, 2, { address: addressOf(8) }));
  expect([1, 2].map((host) => subject.member(host)?.address)).toEqual([addressOf(1), addressOf(8)]);
});

test("a suspect's new tags are passed on beside the suspicion, not instead of it", () => {
  const subject = acquainted(5);
  subject.pass(millis(1));
  const meta = encodeTags(new Map([["a", "b"]]));
  subject.hear(2, suspect(1, 2, 2), alive(1, 2, { meta }));
  expect(subject.output.happenings).toMatchObject([{ kind: "update", member: { node: "n1" } }]);
  const told = claimsOf(subject.pass(millis(200)), 1).map(({ kind, incarnation }) => {
    return `${kind} ${incarnation}`;
  });
  expect(new Set(told)).toEqual(new Set(["suspect 2", "alive 2"]));
});
