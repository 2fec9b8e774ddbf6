// Queries: asked of all whom the filters match, acked and answered straight and through others,
// once a name, until time is up; and what a forged one can make us do.
import { describe, expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import { type Micros, millis } from "../../src/base/ids.ts";
import { encodeUtf8 } from "../../src/base/utf8.ts";
import { queryTimeout } from "../../src/gossip/formulas.ts";
import { encodeMessage } from "../../src/gossip/message-codec.ts";
import {
  QUERY_ACK,
  QUERY_NO_BROADCAST,
  type Query,
  type QueryResponse,
  type Relay,
} from "../../src/gossip/messages.ts";
import { OWN_QUERIES_MAX, QUERY_BYTES_MAX } from "../../src/gossip/own-queries.ts";
import type { GossipRequestId, Heard, QueryId, Question } from "../../src/gossip/protocol.ts";
import { UNANSWERED_MAX } from "../../src/gossip/queries.ts";
import { decodeKeyResponse, encodeFilter } from "../../src/gossip/query-payloads.ts";
import { RECENT_TIMES } from "../../src/gossip/recent.ts";
import { ANSWER_BYTES_PER_SECOND } from "../../src/gossip/reply-budget.ts";
import { encodeSerf } from "../../src/gossip/serf-codec.ts";
import { addressOf, Fleet, type FleetNode, id, seconds } from "./fleet.ts";
import { acquainted, alive, ofKind, type Said, type Subject, time } from "./subject.ts";
import { bytesOf, hexOf, vectors } from "./vectors.ts";

const bytes = (text: string) => freeze(encodeUtf8(text));
const NOTHING = freeze(new Uint8Array(0));
const question = (more: Partial<Question> = {}): Question => ({
  name: "uptime",
  payload: NOTHING,
  filters: [],
  timeout: null,
  requestAck: true,
  relayFactor: 0,
  ...more,
});
/** A query of the member at `host`. */
const query = (host: number, then: number, more: Partial<Query> = {}): Query => ({
  kind: "query",
  time: time(then),
  id: 7,
  name: "uptime",
  payload: NOTHING,
  source: addressOf(host),
  sourceNode: id(`n${host}`),
  filters: [],
  flags: QUERY_ACK,
  relayFactor: 0,
  timeoutNanos: 3_200_000_000,
  ...more,
});
const serfIn = (said: readonly Said[]) =>
  said.flatMap(({ to, messages }) =>
    messages.flatMap((message) =>
      message.kind === "user" ? [{ to, message: message.message }] : [],
    ),
  );
const responses = (said: readonly Said[]) =>
  serfIn(said).filter(({ message }) => message.kind === "query-response");
const relays = (said: readonly Said[]) =>
  serfIn(said).filter(({ message }) => message.kind === "relay");
const queriesIn = (said: readonly Said[]) =>
  ofKind(said, "user").flatMap(({ message }) => (message.kind === "query" ? [message] : []));
const heardQueries = (heard: readonly Heard[]) =>
  heard.flatMap((each) => (each.kind === "query" ? [each] : []));
const outcome = (heard: readonly Heard[]) =>
  heard.flatMap((each) => {
    if (each.kind === "query-ack") return [`ack ${each.from}`];
    if (each.kind === "query-answer") return [`${each.from}: ${each.payload.length} bytes`];
    if (each.kind !== "query-ended") return [];
    const { acks, answers, duplicates } = each.tally;
    return [`ended ${acks}/${answers}/${duplicates}`];
  });

let requests = 5000;
function ask(subject: Subject, more: Partial<Question> = {}) {
  requests += 1;
  const requestId = requests as GossipRequestId;
  return subject.step({ kind: "query", requestId, question: question(more) });
}
function answer(subject: Subject, queryId: QueryId, payload: string) {
  requests += 1;
  const requestId = requests as GossipRequestId;
  return subject.step({ kind: "answer-query", requestId, queryId, payload: bytes(payload) });
}
/** The query as others get it. */
function told(subject: Subject): Query {
  const [first] = queriesIn(subject.pass(millis(400)));
  if (first === undefined) throw new Error("no query was told");
  return first;
}
const responseTo = (asked: Query, host: number, flags = 0): QueryResponse => ({
  kind: "query-response",
  time: asked.time,
  id: asked.id,
  from: id(`n${host}`),
  flags,
  payload: flags === 0 ? bytes("ok") : NOTHING,
});

describe("a query of ours", () => {
  test("waits as the formula says, or as it was told to", () => {
    const subject = acquainted(11);
    const usual = queryTimeout(millis(200), 16, 12);
    expect(usual).toBe(millis(6400));
    expect(ask(subject).answers[0]).toMatchObject({ kind: "asked", timeout: usual });
    const timeout = millis(1500);
    expect(ask(subject, { timeout }).answers[0]).toMatchObject({ kind: "asked", timeout });
    const waits = queriesIn(subject.pass(millis(400))).map(({ timeoutNanos }) => timeoutNanos);
    expect(new Set(waits)).toEqual(new Set([6_400_000_000, 1_500_000_000]));
    expect(ask(subject, { timeout: 1e15 as Micros }).answers[0]).toMatchObject({
      timeout: 3_600_000_000,
    });
  });

  test("is heard, acked and answered by ourselves as by anybody", () => {
    const subject = acquainted(0);
    const output = ask(subject);
    expect(outcome(output.heard)).toEqual(["ack n0"]);
    const [heard] = heardQueries(output.heard);
    expect(heard).toMatchObject({ name: "uptime", from: "n0", time: 1 });
    expect(output.packets).toEqual([]);
    expect(outcome(answer(subject, heard?.queryId as QueryId, "fine").heard)).toEqual([
      "n0: 4 bytes",
    ]);
    expect(subject.gossip.status().queryTime).toBe(2);
  });

  test("counts one ack and one answer a name, until its time is up", () => {
    const subject = acquainted(3);
    ask(subject, { filters: [{ kind: "nodes", nodes: [id("n1"), id("n2")] }] });
    const asked = told(subject);
    const seen: string[] = [];
    const hear = (host: number, response: QueryResponse) => {
      subject.hearSerf(host, response);
      seen.push(...outcome(subject.output.heard));
    };
    hear(1, responseTo(asked, 1, QUERY_ACK));
    hear(1, responseTo(asked, 1));
    hear(2, responseTo(asked, 2));
    hear(1, responseTo(asked, 1, QUERY_ACK));
    hear(3, responseTo(asked, 2));
    hear(2, { ...responseTo(asked, 2, QUERY_ACK), id: asked.id ^ 1 });
    hear(2, { ...responseTo(asked, 2, QUERY_ACK), time: time(99) });
    expect(seen).toEqual(["ack n1", "n1: 2 bytes", "n2: 2 bytes"]);
    expect(subject.dropped).toEqual({ "no-such-query": 2 });
    const end = subject.now + seconds(5);
    while (subject.gossip.deadline <= end) {
      subject.wake();
      seen.push(...outcome(subject.output.heard));
    }
    expect(seen.slice(3)).toEqual(["ended 1/2/2"]);
    // Late answers are usual, and surprise nobody.
    hear(2, responseTo(asked, 2, QUERY_ACK));
    expect(subject.dropped).toEqual({ "no-such-query": 2 });
    expect(seen).toHaveLength(4);
  });

  test("is of 1024 bytes at most, and one of so many", () => {
    const subject = acquainted(0);
    ask(subject);
    const least = query(100, 2, { id: 0x7fff_ffff, sourceNode: id("n0") });
    // A longer payload needs two more bytes for its length.
    const spare = QUERY_BYTES_MAX - encodeSerf(least).length - 2;
    const withPayload = (length: number) =>
      ask(subject, { payload: freeze(new Uint8Array(length)) }).answers[0];
    expect(withPayload(spare + 1)).toMatchObject({ why: "too-large" });
    expect(withPayload(spare)).toMatchObject({ kind: "asked" });
    for (let each = 2; each < OWN_QUERIES_MAX; each++) ask(subject);
    expect(ask(subject).answers[0]).toMatchObject({ why: "overloaded" });
  });

  test("ends when we leave", () => {
    const subject = acquainted(0);
    ask(subject, { timeout: seconds(100) });
    subject.step({ kind: "leave", requestId: 1 as GossipRequestId });
    const seen = outcome(subject.output.heard);
    const end = subject.now + seconds(20);
    while (subject.gossip.deadline <= end) {
      subject.wake();
      seen.push(...outcome(subject.output.heard));
    }
    expect(seen).toEqual(["ended 1/0/0"]);
  });
});

describe("a query of another", () => {
  test("of stock agents is passed on with the same bytes, once", () => {
    const wanted = ["udp-serf-query", "udp-serf-query-filters"];
    for (const vector of vectors.messages.filter((one) => wanted.includes(one.id))) {
      const subject = acquainted(1);
      subject.pass(seconds(5));
      for (let times = 0; times < 2; times++) {
        subject.step({ kind: "packet", from: addressOf(1), bytes: bytesOf(vector.hex) });
      }
      const passed = queriesIn(subject.pass(seconds(5)));
      const hex = passed.map((message) => hexOf(encodeMessage({ kind: "user", message })));
      expect([vector.id, hex]).toEqual([vector.id, Array(4).fill(vector.hex.slice(10))]);
    }
  });

  test("is acked at once where it asks for that, and answered once", () => {
    const subject = acquainted(2);
    const said = subject.hearSerf(2, query(1, 5));
    expect(responses(said)).toEqual([
      { to: addressOf(1), message: responseTo(query(1, 5), 0, QUERY_ACK) },
    ]);
    const [heard] = heardQueries(subject.output.heard);
    const queryId = heard?.queryId as QueryId;
    expect(heard).toMatchObject({ name: "uptime", from: "n1", endsAt: subject.now + 3_200_000 });
    expect(subject.hearSerf(2, query(1, 5))).toEqual([]);
    expect(answer(subject, queryId, "fine").packets.map(({ to }) => to)).toEqual([addressOf(1)]);
    expect(answer(subject, queryId, "again").answers[0]).toMatchObject({ why: "unknown-query" });
    expect(responses(subject.hearSerf(2, query(1, 6, { flags: 0 })))).toEqual([]);
    const [late] = heardQueries(subject.output.heard);
    subject.pass(seconds(4));
    const tooLate = answer(subject, late?.queryId as QueryId, "late");
    expect(tooLate.answers[0]).toMatchObject({ why: "unknown-query" });
  });

  test("whose filters do not match is passed on, and neither acked nor told", () => {
    const subject = acquainted(1, { tags: new Map([["role", "web"]]) });
    subject.pass(seconds(5));
    const filters = [encodeFilter({ kind: "tag", tag: "role", expression: "^db$" })];
    expect(responses(subject.hearSerf(1, query(1, 5, { filters })))).toEqual([]);
    expect(subject.output.heard).toEqual([]);
    expect(queriesIn(subject.pass(seconds(5)))).toHaveLength(4);
    const evil = [encodeFilter({ kind: "tag", tag: "role", expression: "(" })];
    subject.hearSerf(1, query(1, 6, { filters: evil }));
    expect(subject.output.heard).toEqual([]);
    expect(subject.dropped).toEqual({ "unreadable-filter": 1 });
  });

  test("that asks not to be passed on is not, and is answered", () => {
    const subject = acquainted(1);
    subject.pass(seconds(5));
    const said = subject.hearSerf(1, query(1, 5, { flags: QUERY_ACK | QUERY_NO_BROADCAST }));
    expect(responses(said)).toHaveLength(1);
    expect(queriesIn(subject.pass(seconds(5)))).toEqual([]);
  });

  test("of long ago, of a future nobody reached, or to nowhere, is dropped by reason", () => {
    const subject = acquainted(1);
    subject.hearSerf(1, query(1, 2000));
    subject.hearSerf(1, query(1, 2000 - RECENT_TIMES));
    subject.hearSerf(1, query(1, 2 ** 50));
    subject.hearSerf(1, query(1, 2001, { source: { ...addressOf(1), port: 0 } }));
    subject.hearSerf(1, query(1, 2002, { name: "_serf_nonsense" }));
    expect(heardQueries(subject.output.heard)).toEqual([]);
    expect(subject.dropped).toEqual({
      "too-old": 1,
      "time-jump": 1,
      malformed: 1,
      "unknown-query": 1,
    });
  });

  test("named _serf_ping is acked and goes no further", () => {
    const subject = acquainted(1);
    const said = subject.hearSerf(1, query(1, 5, { name: "_serf_ping" }));
    expect(responses(said)).toHaveLength(1);
    expect(subject.output.heard).toEqual([]);
  });

  test("for keys is answered with who may change them", () => {
    const subject = acquainted(1);
    const [said] = responses(
      subject.hearSerf(1, query(1, 5, { name: "_serf_list-keys", flags: 0 })),
    );
    const payload = said?.message.kind === "query-response" ? said.message.payload : NOTHING;
    const answered = decodeKeyResponse(payload);
    expect(answered).toMatchObject({ succeeded: false, keys: [] });
    expect(answered?.message).toContain("cairn keys");
    expect(subject.output.heard).toEqual([]);
  });

  test("is one of so many at most that wait for an answer", () => {
    const subject = acquainted(1);
    for (let each = 0; each < UNANSWERED_MAX; each++) subject.hearSerf(1, query(1, each + 1));
    expect(responses(subject.hearSerf(1, query(1, UNANSWERED_MAX + 1)))).toEqual([]);
    expect(subject.dropped).toEqual({ "queue-full": 1 });
    subject.pass(seconds(4));
    subject.hearSerf(1, query(1, UNANSWERED_MAX + 2));
    expect(heardQueries(subject.output.heard)).toHaveLength(1);
  });

  test("is answered within 1024 bytes", () => {
    const subject = acquainted(1);
    subject.hearSerf(1, query(1, 5));
    const queryId = heardQueries(subject.output.heard)[0]?.queryId as QueryId;
    const long = "x".repeat(1024);
    expect(answer(subject, queryId, long).answers[0]).toMatchObject({ why: "too-large" });
    expect(answer(subject, queryId, long.slice(100)).answers[0]).toMatchObject({ kind: "done" });
  });
});

describe("relays", () => {
  test("are sent to as many others as were asked for, not to who asks, if there are enough", () => {
    const subject = acquainted(4);
    const long = { name: "uptime".repeat(20), relayFactor: 2 };
    const said = subject.hearSerf(2, query(1, 5, long));
    expect(responses(said)).toHaveLength(1);
    const sent = relays(said);
    expect(sent).toHaveLength(2);
    for (const { to, message } of sent) {
      expect([addressOf(2), addressOf(3), addressOf(4)]).toContainEqual(to);
      const wanted = {
        to: addressOf(1),
        node: "n1",
        message: responseTo(query(1, 5), 0, QUERY_ACK),
      };
      expect(message).toMatchObject(wanted);
    }
    expect(relays(subject.hearSerf(2, query(1, 6, { ...long, relayFactor: 5 })))).toEqual([]);
  });

  test("are sent on, to ourselves without a packet, and only answers", () => {
    const subject = acquainted(2);
    const relay = (message: Relay["message"], host: number): Relay => ({
      kind: "relay",
      to: addressOf(host),
      zone: "",
      node: id(`n${host}`),
      message,
    });
    const inner = responseTo(query(2, 5), 1);
    expect(responses(subject.hearSerf(1, relay(inner, 2)))).toEqual([
      { to: addressOf(2), message: inner },
    ]);
    ask(subject);
    const asked = told(subject);
    expect(subject.hearSerf(1, relay(responseTo(asked, 2), 100))).toEqual([]);
    expect(outcome(subject.output.heard)).toEqual(["n2: 2 bytes"]);
    expect(subject.hearSerf(1, relay(query(2, 9), 2))).toEqual([]);
    expect(subject.dropped).toEqual({ malformed: 1 });
  });
});

describe("a forged query", () => {
  const stranger = { source: addressOf(200), sourceNode: id("n1") };
  const sizeOf = (message: Query) => encodeMessage({ kind: "user", message }).length;

  test("makes nobody send more than three bytes for each of its own to who is no member", () => {
    const subject = acquainted(5);
    const forged = query(1, 5, { ...stranger, relayFactor: 5 });
    const said = subject.hearSerf(1, forged);
    const queryId = heardQueries(subject.output.heard)[0]?.queryId as QueryId;
    let sent = said.reduce((sum, packet) => sum + packet.bytes, 0);
    const late = answer(subject, queryId, "x".repeat(900));
    expect(late.answers[0]).toMatchObject({ why: "overloaded" });
    sent += late.packets.reduce((sum, packet) => sum + packet.bytes.length, 0);
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThanOrEqual(3 * sizeOf(forged));
  });

  test("makes members get long answers out of one allowance for all of them", () => {
    const subject = acquainted(5);
    let sent = 0;
    for (let each = 1; each <= 200; each++) {
      subject.hearSerf(1, query(1, each, { relayFactor: 2 }));
      const queryId = heardQueries(subject.output.heard)[0]?.queryId as QueryId;
      for (const { bytes: packet } of answer(subject, queryId, "x".repeat(900)).packets) {
        sent += packet.length;
      }
    }
    expect(sent).toBeGreaterThan(ANSWER_BYTES_PER_SECOND - 3000);
    const paid = 200 * 3 * sizeOf(query(1, 200));
    expect(sent).toBeLessThanOrEqual(ANSWER_BYTES_PER_SECOND + paid);
    // Somebody who is gone is no member to be answered at length.
    const gone = acquainted(2);
    gone.hear(2, {
      kind: "dead",
      node: id("n1"),
      incarnation: alive(1, 1).incarnation,
      from: id("n2"),
    });
    gone.hearSerf(2, query(1, 5));
    const queryId = heardQueries(gone.output.heard)[0]?.queryId as QueryId;
    expect(answer(gone, queryId, "x".repeat(900)).answers[0]).toMatchObject({ why: "overloaded" });
  });
});

describe("in a fleet", () => {
  const askAt = (fleet: Fleet, node: FleetNode, more: Partial<Question> = {}) =>
    fleet.ask(node, (requestId) => ({ kind: "query", requestId, question: question(more) }));
  const acksOf = (node: FleetNode) =>
    node.heard.flatMap((each) => (each.kind === "query-ack" ? [String(each.from)] : [])).sort();
  const endOf = (node: FleetNode) => outcome(node.heard).find((each) => each.startsWith("ended"));

  test("all ack, each once, whoever asks", () => {
    const fleet = new Fleet("queries");
    const nodes = fleet.startAll(12);
    fleet.runUntil(() => fleet.isWhole(), seconds(30));
    const asker = nodes[7] as FleetNode;
    askAt(fleet, asker);
    fleet.run(seconds(7));
    expect(acksOf(asker)).toEqual(nodes.map(({ name }) => name).sort());
    expect(endOf(asker)).toBe("ended 12/0/0");
  });

  test("only whom the filters match ack", () => {
    const fleet = new Fleet("filters");
    const first = fleet.start("n1");
    for (let at = 2; at <= 9; at++) {
      const tags = new Map([["role", at % 2 === 0 ? "web" : "db"]]);
      fleet.join(fleet.start(`n${at}`, { tags }), first);
    }
    fleet.runUntil(() => fleet.isWhole(), seconds(30));
    const nodes = { kind: "nodes", nodes: ["n2", "n3", "n4"].map(id) } as const;
    askAt(fleet, first, { filters: [{ kind: "tag", tag: "role", expression: "^w" }, nodes] });
    fleet.run(seconds(7));
    expect(acksOf(first)).toEqual(["n2", "n4"]);
  });

  test("an answer whose straight way is blocked comes by a relay", () => {
    for (const relayFactor of [0, 2]) {
      const fleet = new Fleet(`relay/${relayFactor}`);
      const nodes = fleet.startAll(5);
      fleet.runUntil(() => fleet.isWhole(), seconds(30));
      fleet.run(seconds(5));
      const [asker, , far] = nodes as [FleetNode, FleetNode, FleetNode];
      // One way only, and not for long enough to be suspected.
      fleet.isOpen = (from, to) => from !== far.name || to !== asker.name;
      askAt(fleet, asker, { relayFactor });
      fleet.run(seconds(4));
      expect([relayFactor, acksOf(asker).length]).toEqual([relayFactor, relayFactor === 0 ? 4 : 5]);
    }
  });

  test("an answer of the host's comes to who asked", () => {
    const fleet = new Fleet("answers");
    const [asker, other] = fleet.startAll(2) as [FleetNode, FleetNode];
    fleet.run(seconds(5));
    askAt(fleet, asker, { requestAck: false });
    fleet.runUntil(() => heardQueries(other.heard).length > 0, seconds(3));
    const queryId = heardQueries(other.heard)[0]?.queryId as QueryId;
    fleet.ask(other, (requestId) => {
      return { kind: "answer-query", requestId, queryId, payload: bytes("3 days") };
    });
    fleet.run(seconds(4));
    expect(outcome(asker.heard)).toEqual(["n2: 6 bytes", "ended 0/1/0"]);
  });
});
