// A packet from anywhere, with any address as its sender: it never makes us send more than three
// bytes for each of its own, never dials, never throws, and is told of at most once a minute.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Address } from "../../src/base/address.ts";
import { type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import { type Instant, millis, type NodeId, type StreamId } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { Gossip } from "../../src/gossip/gossip.ts";
import { encodeMessage } from "../../src/gossip/message-codec.ts";
import { type Incarnation, OUR_VERSIONS, type PacketMessage } from "../../src/gossip/messages.ts";
import { sealPacket } from "../../src/gossip/packet-codec.ts";
import { LAN_PROFILE } from "../../src/gossip/profiles.ts";
import { StreamReader } from "../../src/gossip/stream-codec.ts";
import { address, frozenBytes, packetMessage } from "./arbitraries.ts";
import { bytesOf, vectors } from "./vectors.ts";

const START = 1_000_000 as Instant;
const at = (host: number): Address => ({ ip: freeze(Uint8Array.of(10, 0, 0, host)), port: 7946 });
const PLAIN = { crc: false, compress: false };

/** A member that knows four others and has rumors to tell. */
function makeMember(): Gossip {
  const gossip = new Gossip(
    {
      self: "alpha" as NodeId,
      address: at(1),
      tags: new Map([["role", "target"]]),
      incarnation: 1 as Incarnation,
      profile: LAN_PROFILE,
      compress: true,
      coordinates: true,
      membersMax: 100,
      rumorsMax: 100,
      streamsMax: 16,
      prng: new Prng("spoofed"),
    },
    START,
  );
  for (const [host, node] of ["beta", "gamma", "delta", "eta"].entries()) {
    const alive = encodeMessage({
      kind: "alive",
      node: node as NodeId,
      address: at(host + 2),
      incarnation: 1 as Incarnation,
      meta: freeze(new Uint8Array(200)),
      versions: OUR_VERSIONS,
    });
    gossip.step(START, { kind: "packet", from: at(host + 2), bytes: sealPacket([alive], PLAIN) });
  }
  gossip.takeOutput();
  return gossip;
}

/** Bytes that one packet makes a member send at once. */
function answeredBytes(gossip: Gossip, from: Address, bytes: FrozenBytes): number {
  gossip.step(START, { kind: "packet", from, bytes });
  const output = gossip.takeOutput();
  expect(output?.dials ?? []).toEqual([]);
  expect(output?.streamWrites ?? []).toEqual([]);
  return (output?.packets ?? []).reduce((sum, packet) => sum + packet.bytes.length, 0);
}

const names = fc.constantFrom("alpha", "beta", "gamma", "nobody").map((name) => name as NodeId);
/** What asks this member for an answer, and claims about those it knows. */
const pointed: fc.Arbitrary<PacketMessage> = packetMessage.chain((message) => {
  if (!("node" in message)) return fc.constant(message);
  return fc
    .tuple(names, fc.boolean(), fc.nat(3))
    .map(([node, isRenamed, incarnation]): PacketMessage => {
      if (!isRenamed) return message;
      if (message.kind === "ping" || message.kind === "indirect-ping") return { ...message, node };
      return { ...message, node, incarnation: incarnation as Incarnation };
    });
});
const shortestPing: PacketMessage = {
  kind: "ping",
  sequence: 1,
  node: null,
  source: null,
  sourceNode: null,
};

describe("a spoofed packet", () => {
  test("never makes us send more than three times its size at once", () => {
    const messages = fc.array(pointed, { minLength: 1, maxLength: 60 });
    const wrappers = fc.record({ crc: fc.boolean(), compress: fc.boolean() });
    fc.assert(
      fc.property(address, messages, wrappers, (from, drawn, wrapped) => {
        const bytes = sealPacket(drawn.map(encodeMessage), wrapped);
        expect(answeredBytes(makeMember(), from, bytes)).toBeLessThanOrEqual(3 * bytes.length);
      }),
      { numRuns: 300 },
    );
  });

  test("of very many, very short or well compressed pings does not either", () => {
    const ping = encodeMessage(shortestPing);
    const parts = Array.from({ length: 127 }, () => ping);
    for (const compress of [false, true]) {
      const bytes = sealPacket(parts, { crc: false, compress });
      const answered = answeredBytes(makeMember(), at(99), bytes);
      expect(answered).toBeGreaterThan(0);
      expect(answered).toBeLessThanOrEqual(3 * bytes.length);
    }
  });

  test("that is any bytes at all, or was mutated, never throws, and is bounded too", () => {
    const goldens = vectors.messages.map(({ hex }) => bytesOf(hex));
    const mutated = fc
      .tuple(
        fc.constantFrom(...goldens),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
      )
      .map(([golden, changes]) => {
        const bytes = golden.slice();
        for (const [place, value] of changes) bytes[place % bytes.length] = value;
        return freeze(bytes);
      });
    const gossip = makeMember();
    fc.assert(
      fc.property(address, fc.oneof(frozenBytes(200), mutated), (from, bytes) => {
        expect(answeredBytes(gossip, from, bytes)).toBeLessThanOrEqual(3 * bytes.length);
      }),
      { numRuns: 2000 },
    );
    expect(gossip.status().members.length).toBeLessThanOrEqual(100);
  });

  test("with one changed bit and a checksum changes nothing", () => {
    const golden = vectors.messages.find(({ id }) => id === "udp-gossip-compound-2");
    const whole = bytesOf(golden?.hex ?? "");
    const gossip = makeMember();
    const before = { ...gossip.status(), dropped: null };
    for (let bit = 40; bit < 8 * whole.length; bit += 7) {
      const bytes = whole.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      answeredBytes(gossip, at(9), freeze(bytes));
    }
    expect({ ...gossip.status(), dropped: null }).toEqual(before);
    expect(gossip.status().dropped["crc-mismatch"]).toBeGreaterThan(100);
  });

  test("of garbage is counted each time and told of once a minute a source", () => {
    const gossip = makeMember();
    const garbage = freeze(Uint8Array.of(99, 1, 2, 3));
    let told = 0;
    for (let second = 0; second < 120; second++) {
      const now = (START + second * 1_000_000) as Instant;
      for (let packet = 0; packet < 20; packet++) {
        gossip.step(now, { kind: "packet", from: at(200), bytes: garbage });
      }
      told +=
        gossip.takeOutput()?.notices.filter(({ what }) => what === "gossip-dropped").length ?? 0;
    }
    expect(told).toBe(2);
    expect(gossip.status().dropped["unknown-type"]).toBe(2400);
  });
});

describe("a stream from anywhere", () => {
  const streamId = 2 as StreamId;
  test("that is garbage is closed, counted and changes nothing", () => {
    fc.assert(
      fc.property(frozenBytes(300), (bytes) => {
        const gossip = makeMember();
        const before = gossip.status().members;
        gossip.step(START, { kind: "stream-opened", streamId, peer: at(9), dialed: false });
        gossip.step(START, { kind: "stream-bytes", streamId, bytes });
        const output = gossip.takeOutput();
        const reading = new StreamReader().take(bytes);
        const closes = output?.streamCloses.map((close) => close.streamId) ?? [];
        if (reading.kind === "dropped") expect(closes).toEqual([streamId]);
        if (reading.kind !== "message") expect(gossip.status().members).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  test("that never says anything is closed after a while", () => {
    const gossip = makeMember();
    gossip.step(START, { kind: "stream-opened", streamId, peer: at(9), dialed: false });
    gossip.takeOutput();
    const closed: StreamId[] = [];
    while (closed.length === 0) {
      const now = gossip.deadline;
      expect(now).toBeLessThanOrEqual(START + millis(11_000));
      gossip.step(now, { kind: "deadline" });
      for (const close of gossip.takeOutput()?.streamCloses ?? []) {
        if (close.streamId === streamId) closed.push(close.streamId);
      }
    }
    expect(closed).toEqual([streamId]);
  });
});
