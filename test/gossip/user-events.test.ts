// User events: told to everybody once, in order of a clock, passed on as they came, shown in
// push/pulls to whoever was away, and bounded whatever comes.
import { describe, expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import { millis, type StreamId } from "../../src/base/ids.ts";
import { encodeUtf8 } from "../../src/base/utf8.ts";
import { encodeMessage } from "../../src/gossip/message-codec.ts";
import type { SerfState, UserEvent } from "../../src/gossip/messages.ts";
import type { GossipRequestId, Heard } from "../../src/gossip/protocol.ts";
import { RECENT_PER_TIME_MAX, RECENT_TIMES } from "../../src/gossip/recent.ts";
import { encodeSerf } from "../../src/gossip/serf-codec.ts";
import { encodeStream } from "../../src/gossip/stream-codec.ts";
import { USER_EVENT_BYTES_MAX } from "../../src/gossip/user-events.ts";
import { addressOf, Fleet, type FleetNode, seconds } from "./fleet.ts";
import {
  acquainted,
  alive,
  ofKind,
  pushPull,
  record,
  type Said,
  Subject,
  serfState,
  time,
} from "./subject.ts";
import { bytesOf, hexOf, vectors } from "./vectors.ts";

const bytes = (text: string) => freeze(encodeUtf8(text));
const event = (name: string, then: number, more: Partial<UserEvent> = {}): UserEvent => ({
  kind: "user-event",
  time: time(then),
  name,
  payload: bytes("p"),
  coalesce: false,
  ...more,
});
const eventsIn = (heard: readonly Heard[]) =>
  heard.flatMap((each) => (each.kind === "user-event" ? [`${each.name} t${each.time}`] : []));
const passed = (said: readonly Said[]) =>
  ofKind(said, "user").flatMap(({ message }) => (message.kind === "user-event" ? [message] : []));

let requests = 1000;
function fire(subject: Subject, name: string, payload = "", coalesce = false) {
  requests += 1;
  const requestId = requests as GossipRequestId;
  const wish = { requestId, name, payload: bytes(payload), coalesce };
  return subject.step({ kind: "user-event", ...wish });
}

describe("a user event of ours", () => {
  test("is stamped with the clock, told to ourselves and to others as often as any rumor", () => {
    const subject = acquainted(3);
    subject.pass(seconds(5));
    const output = fire(subject, "deploy", "v1");
    expect(eventsIn(output.heard)).toEqual(["deploy t1"]);
    expect(output.answers).toEqual([{ kind: "done", requestId: requests }]);
    expect(subject.gossip.status().eventTime).toBe(2);
    const told = passed(subject.pass(seconds(5)));
    expect(told).toHaveLength(4);
    expect(told[0]).toEqual(event("deploy", 1, { payload: bytes("v1") }));
    expect(eventsIn(fire(subject, "deploy", "v1").heard)).toEqual(["deploy t2"]);
  });

  test("is of 512 bytes at most, name, payload and wrapping", () => {
    const subject = acquainted(1);
    const spare = USER_EVENT_BYTES_MAX - encodeSerf(event("big", 1, { payload: bytes("") })).length;
    // A longer payload needs two more bytes for its length.
    const fits = "x".repeat(spare - 2);
    expect(fire(subject, "big", `${fits}x`).answers[0]).toMatchObject({ why: "too-large" });
    expect(subject.gossip.status().eventTime).toBe(1);
    expect(fire(subject, "big", fits).answers[0]).toMatchObject({ kind: "done" });
  });

  test("is refused once we have left", () => {
    const subject = acquainted(0);
    subject.step({ kind: "leave", requestId: 1 as GossipRequestId });
    subject.pass(seconds(20));
    expect(fire(subject, "late").answers[0]).toMatchObject({ kind: "refused", why: "left" });
  });
});

describe("a user event of another", () => {
  test("is told once, however often it comes, and passed on as it came", () => {
    for (const { id, hex } of vectors.messages.filter((one) => one.id === "udp-serf-user-event")) {
      const subject = acquainted(3);
      subject.pass(seconds(5));
      const from = { ip: freeze(Uint8Array.of(10, 0, 0, 1)), port: 7946 };
      subject.step({ kind: "packet", from, bytes: bytesOf(hex) });
      subject.step({ kind: "packet", from, bytes: bytesOf(hex) });
      const told = passed(subject.pass(seconds(5)));
      expect([id, told.length]).toEqual([id, 4]);
      const [first] = told;
      if (first === undefined) throw new Error("nothing was passed on");
      expect(hexOf(encodeMessage({ kind: "user", message: first }))).toBe(hex.slice(10));
    }
  });

  test("of one time is told from others by its name and its payload", () => {
    const subject = acquainted(1);
    const seen: string[] = [];
    const hear = (message: UserEvent) => {
      subject.hearSerf(1, message);
      seen.push(...eventsIn(subject.output.heard));
    };
    hear(event("a", 5));
    hear(event("b", 5));
    hear(event("a", 5, { payload: bytes("other") }));
    hear(event("a", 5));
    expect(seen).toEqual(["a t5", "b t5", "a t5"]);
    expect(subject.gossip.status().eventTime).toBe(6);
    expect(eventsIn(fire(subject, "mine").heard)).toEqual(["mine t6"]);
  });

  test("of long ago, of a future nobody reached, or one too many, is dropped by reason", () => {
    const subject = acquainted(1);
    subject.hearSerf(1, event("a", 1000));
    subject.hearSerf(1, event("b", 1000 - RECENT_TIMES));
    expect(subject.output.heard).toEqual([]);
    subject.hearSerf(1, event("b", 1001 - RECENT_TIMES));
    expect(eventsIn(subject.output.heard)).toEqual([`b t${1001 - RECENT_TIMES}`]);
    subject.hearSerf(1, event("c", 2 ** 50));
    for (let each = 0; each < RECENT_PER_TIME_MAX + 2; each++) {
      subject.hearSerf(1, event(`n${each}`, 1001));
    }
    subject.hearSerf(1, event("long", 1002, { payload: freeze(new Uint8Array(1400)) }));
    expect(eventsIn(subject.output.heard)).toEqual(["long t1002"]);
    expect(subject.dropped).toEqual({
      "too-old": 1,
      "time-jump": 1,
      "queue-full": 2,
      "too-large": 1,
    });
  });

  test("that may coalesce waits a second for a later one of its name", () => {
    const subject = acquainted(1);
    subject.hearSerf(1, event("deploy", 1, { coalesce: true }));
    subject.hearSerf(1, event("deploy", 2, { coalesce: true }));
    expect(subject.output.heard).toEqual([]);
    const told: string[] = [];
    const end = subject.now + seconds(2);
    while (subject.gossip.deadline <= end) {
      subject.wake();
      told.push(...eventsIn(subject.output.heard));
    }
    expect(told).toEqual(["deploy t2"]);
  });
});

describe("a push/pull", () => {
  const stateWith = (events: SerfState["events"], eventTime: number): SerfState => {
    return { ...serfState({}), events, eventTime: time(eventTime) };
  };
  const slot = (then: number, ...names: readonly string[]) => ({
    time: time(then),
    events: names.map((name) => ({ name, payload: bytes("p") })),
  });
  const serfOf = (subject: Subject) => {
    const [answer] = subject.hearStream(8, 1, pushPull([record(1, 1)], serfState({})));
    return answer?.kind === "push-pull" ? answer.serf : null;
  };

  test("shows recent events, the oldest first, and the time of their clock", () => {
    const subject = acquainted(1);
    subject.hearSerf(1, event("b", 9));
    subject.hearSerf(1, event("a", 4));
    subject.hearSerf(1, event("c", 9));
    const serf = serfOf(subject);
    expect(serf?.events).toEqual([slot(4, "a"), slot(9, "b", "c")]);
    expect(serf?.eventTime).toBe(10);
  });

  test("tells of what was missed, which is not passed on", () => {
    const subject = acquainted(1);
    subject.pass(seconds(5));
    subject.hearSerf(1, event("seen", 2));
    subject.pass(seconds(5));
    const state = stateWith([slot(2, "seen", "missed"), null, slot(3, "too")], 4);
    subject.hearStream(2, 1, pushPull([record(1, 1)], state));
    expect(eventsIn(subject.output.heard)).toEqual(["missed t2", "too t3"]);
    expect(passed(subject.pass(seconds(5)))).toEqual([]);
    expect(subject.gossip.status().eventTime).toBe(4);
  });

  test("with times that nobody can have reached changes nothing", () => {
    const subject = acquainted(1);
    subject.hearStream(2, 1, pushPull([record(1, 1)], stateWith([slot(2 ** 50, "no")], 1)));
    expect(subject.output.heard).toEqual([]);
    expect(subject.dropped).toEqual({ "time-jump": 1 });
  });
});

describe("in a fleet", () => {
  const told = (node: FleetNode) => eventsIn(node.heard);
  const fireAt = (fleet: Fleet, node: FleetNode, name: string, coalesce = false) => {
    fleet.ask(node, (requestId) => {
      return { kind: "user-event", requestId, name, payload: bytes("p"), coalesce };
    });
  };

  test("each event comes to each member once", () => {
    const fleet = new Fleet("user-events");
    const nodes = fleet.startAll(12);
    fleet.runUntil(() => fleet.isWhole(), seconds(30));
    for (const [at, node] of nodes.entries()) fireAt(fleet, node, `e${at}`);
    fleet.run(seconds(5));
    for (const node of nodes) {
      expect(told(node).map((each) => each.split(" ")[0])).toHaveLength(12);
      expect(new Set(told(node)).size).toBe(12);
    }
  });

  test("whoever joins hears of nothing before, unless it asks for a replay", () => {
    const fleet = new Fleet("replay");
    const [first] = fleet.startAll(3) as [FleetNode];
    fleet.run(seconds(5));
    fireAt(fleet, first, "before");
    fleet.run(seconds(10));
    const late = fleet.start("late");
    const asking = fleet.start("asking");
    fleet.join(late, first);
    const addresses = [first.options.address];
    fleet.ask(asking, (requestId) => ({ kind: "join", requestId, addresses, replay: true }));
    fleet.run(seconds(5));
    expect(told(late)).toEqual([]);
    expect(told(asking)).toEqual(["before t1"]);
    fireAt(fleet, first, "after");
    fleet.run(seconds(60));
    expect(told(late)).toEqual(["after t2"]);
    expect(told(asking)).toEqual(["before t1", "after t2"]);
  });

  test("whoever joined hears of an event whose sender's clock is behind", () => {
    const subject = new Subject();
    subject.hear(1, alive(1, 1));
    subject.step({
      kind: "join",
      requestId: 1 as GossipRequestId,
      addresses: [addressOf(1)],
    });
    const [dial] = subject.output.dials;
    const streamId = dial?.streamId as StreamId;
    subject.step({ kind: "stream-opened", streamId, peer: addressOf(1), dialed: true });
    const state: SerfState = {
      ...serfState({}),
      eventTime: time(100),
      events: [{ time: time(60), events: [{ name: "old", payload: bytes("p") }] }],
    };
    const answer = encodeStream(pushPull([record(1, 1)], state, true), { compress: false });
    subject.step({ kind: "stream-bytes", streamId, bytes: answer });
    expect(subject.output.heard).toEqual([]);
    expect(subject.gossip.status().eventTime).toBe(100);
    subject.hearSerf(1, event("old", 60));
    expect(subject.output.heard).toEqual([]);
    subject.hearSerf(1, event("behind", 50));
    expect(eventsIn(subject.output.heard)).toEqual(["behind t50"]);
  });

  test("whoever was cut off hears of what it missed once it is back", () => {
    const fleet = new Fleet("missed");
    const nodes = fleet.startAll(4);
    fleet.run(seconds(10));
    const [first, , , away] = nodes as [FleetNode, FleetNode, FleetNode, FleetNode];
    fleet.isOpen = (from, to) => from !== away.name && to !== away.name;
    fleet.run(seconds(60));
    fireAt(fleet, first, "missed");
    fleet.run(seconds(20));
    expect(told(away)).toEqual([]);
    fleet.isOpen = () => true;
    expect(fleet.runUntil(() => told(away).length === 1, seconds(300))).toBe(true);
    fleet.run(seconds(120));
    for (const node of nodes) expect(told(node)).toEqual(["missed t1"]);
  });

  test("a burst that may coalesce is told once a member, by its last", () => {
    const fleet = new Fleet("coalesce");
    const nodes = fleet.startAll(5);
    fleet.run(seconds(10));
    for (let each = 0; each < 8; each++) {
      fireAt(fleet, nodes[0] as FleetNode, "deploy", true);
      fleet.run(millis(50));
    }
    fleet.run(seconds(10));
    for (const node of nodes) expect(told(node)).toEqual(["deploy t8"]);
  });
});
