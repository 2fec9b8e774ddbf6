// User events and queries of others: passed on as they came, as often as any rumor, once.
import { describe, expect, test } from "vitest";
import type { Address } from "../../src/base/address.ts";
import { type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import type { Instant, NodeId } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { Gossip } from "../../src/gossip/gossip.ts";
import { encodeMessage } from "../../src/gossip/message-codec.ts";
import {
  type Incarnation,
  type LamportTime,
  OUR_VERSIONS,
  QUERY_NO_BROADCAST,
  type Query,
  type UserEvent,
} from "../../src/gossip/messages.ts";
import { readPacket, sealPacket } from "../../src/gossip/packet-codec.ts";
import { SEEN_PER_TIME_MAX, SEEN_TIMES } from "../../src/gossip/passing.ts";
import { LAN_PROFILE } from "../../src/gossip/profiles.ts";
import { bytesOf, hexOf, vectors } from "./vectors.ts";

const START = 1_000_000 as Instant;
const peer: Address = { ip: freeze(Uint8Array.of(10, 0, 0, 2)), port: 7946 };
const time = (value: number) => value as LamportTime;

/** One member that knows one other, and what it sends. */
class Bench {
  now = START;
  readonly gossip = new Gossip(
    {
      self: "alpha" as NodeId,
      address: { ip: freeze(Uint8Array.of(10, 0, 0, 1)), port: 7946 },
      tags: new Map(),
      incarnation: 1 as Incarnation,
      profile: LAN_PROFILE,
      compress: false,
      coordinates: false,
      membersMax: 100,
      rumorsMax: 1000,
      streamsMax: 16,
      prng: new Prng("passing"),
    },
    START,
  );

  constructor() {
    const alive = encodeMessage({
      kind: "alive",
      node: "beta" as NodeId,
      address: peer,
      incarnation: 1 as Incarnation,
      meta: freeze(new Uint8Array(0)),
      versions: OUR_VERSIONS,
    });
    this.hearBytes(alive);
    this.passed();
  }

  hearBytes(...parts: FrozenBytes[]): void {
    const bytes = sealPacket(parts, { crc: false, compress: false });
    this.gossip.step(this.now, { kind: "packet", from: peer, bytes });
  }

  hear(message: UserEvent | Query): void {
    this.hearBytes(encodeMessage({ kind: "user", message }));
  }

  /** Events and queries sent in three seconds, each packet's in hexadecimal. */
  passed(): string[] {
    const sent: string[] = [];
    const end = this.now + 3_000_000;
    while (this.gossip.deadline <= end) {
      this.now = Math.max(this.now, this.gossip.deadline) as Instant;
      this.gossip.step(this.now, { kind: "deadline" });
      for (const { bytes } of this.gossip.takeOutput()?.packets ?? []) {
        for (const part of readPacket(bytes).parts) {
          const { message } = part;
          // Beta is well, or it would be suspected and forgotten.
          if (message.kind === "ping") {
            const ack = { kind: "ack" as const, sequence: message.sequence, payload: NOTHING };
            this.hearBytes(encodeMessage(ack));
          }
          const kind = message.kind === "user" ? message.message.kind : "";
          if (kind === "user-event" || kind === "query") sent.push(hexOf(part.bytes));
        }
      }
    }
    this.now = end as Instant;
    return sent;
  }
}

const NOTHING = freeze(new Uint8Array(0));
const event: UserEvent = {
  kind: "user-event",
  time: time(1),
  name: "deploy",
  payload: freeze(Uint8Array.of(1, 2, 3)),
  coalesce: true,
};
const query: Query = {
  kind: "query",
  time: time(1),
  id: 7,
  name: "uptime",
  payload: NOTHING,
  source: peer,
  sourceNode: "beta" as NodeId,
  filters: [],
  flags: 1,
  relayFactor: 0,
  timeoutNanos: 3_200_000_000,
};
const bytesHex = (message: UserEvent | Query) => hexOf(encodeMessage({ kind: "user", message }));

describe("an event or a query of somebody else", () => {
  test("is passed on as it came, as often as any rumor, and only once", () => {
    const bench = new Bench();
    bench.hear(event);
    bench.hear(query);
    const sent = bench.passed();
    expect(sent.toSorted()).toEqual(
      [...Array(4).fill(bytesHex(event)), ...Array(4).fill(bytesHex(query))].toSorted(),
    );
    bench.hear(event);
    bench.hear(query);
    expect(bench.passed()).toEqual([]);
    expect(bench.gossip.status().dropped).toEqual({});
  });

  test("of stock agents leaves with the same bytes", () => {
    const wanted = ["udp-serf-user-event", "udp-serf-query", "udp-serf-query-filters"];
    for (const { id, hex } of vectors.messages.filter((vector) => wanted.includes(vector.id))) {
      const bench = new Bench();
      bench.gossip.step(bench.now, { kind: "packet", from: peer, bytes: bytesOf(hex) });
      const sent = bench.passed();
      expect([id, sent.length, sent[0]]).toEqual([id, 4, hex.slice(10)]);
    }
  });

  test("of one time is told from others by its name and payload, or by its id", () => {
    const bench = new Bench();
    const other = { ...event, payload: freeze(Uint8Array.of(9)) };
    bench.hear(event);
    bench.hear(other);
    bench.hear(query);
    bench.hear({ ...query, id: 8 });
    bench.hear({ ...query, id: 8, name: "other" });
    expect(new Set(bench.passed()).size).toBe(4);
  });

  test("of very long ago is not news", () => {
    const bench = new Bench();
    bench.hear({ ...event, time: time(1000) });
    bench.passed();
    bench.hear({ ...event, time: time(1000 - SEEN_TIMES) });
    expect(bench.passed()).toEqual([]);
    bench.hear({ ...event, time: time(1001 - SEEN_TIMES) });
    expect(bench.passed()).toHaveLength(4);
  });

  test("that asks not to be passed on is not", () => {
    const bench = new Bench();
    bench.hear({ ...query, flags: QUERY_NO_BROADCAST });
    expect(bench.passed()).toEqual([]);
  });

  test("that fits into no packet, or comes from a future that nobody reached, is dropped", () => {
    const bench = new Bench();
    bench.hear({ ...event, payload: freeze(new Uint8Array(1400)) });
    bench.hear({ ...event, time: time(2 ** 50) });
    expect(bench.passed()).toEqual([]);
    expect(bench.gossip.status().dropped).toEqual({ "too-large": 1, "time-jump": 1 });
  });

  test("is one of so many at most at one time", () => {
    const bench = new Bench();
    for (let id = 0; id < SEEN_PER_TIME_MAX + 20; id++) bench.hear({ ...query, id });
    expect(new Set(bench.passed()).size).toBe(SEEN_PER_TIME_MAX);
  });
});
