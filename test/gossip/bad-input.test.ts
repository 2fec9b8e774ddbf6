// Whatever comes from wherever: nothing throws, nothing that is no claim changes what is believed,
// and nobody can make a member flood another.
import fc from "fast-check";
import { expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import type { Instant, StreamId } from "../../src/base/ids.ts";
import { encodeMessage } from "../../src/gossip/message-codec.ts";
import type { PacketMessage } from "../../src/gossip/messages.ts";
import { readPacket, sealPacket } from "../../src/gossip/packet-codec.ts";
import { AMPLIFICATION_MAX } from "../../src/gossip/reply-budget.ts";
import { RELAYS_MAX } from "../../src/gossip/responder.ts";
import { EARLY_INTENTS_MAX } from "../../src/gossip/serf-members.ts";
import { encodeStream } from "../../src/gossip/stream-codec.ts";
import { addressOf, id, seconds } from "./fleet.ts";
import {
  acquainted,
  alive,
  dead,
  joinIntent,
  leaveIntent,
  pushPull,
  record,
  type Subject,
  serfState,
  suspect,
} from "./subject.ts";

const hosts = fc.integer({ min: 0, max: 5 });
const counts = fc.oneof(
  fc.integer({ min: 0, max: 4 }),
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.constantFrom(0xffff_ffff, 0xffff_fffe, 0x8000_0000),
);
const times = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.maxSafeNat());
const places = fc.integer({ min: 1, max: 200 }).map((host) => addressOf(host));
const maybeHost = fc.option(hosts.map((host) => id(`n${host}`)));
const askers = { source: fc.option(places), sourceNode: maybeHost, node: maybeHost };

/** Well-formed messages with whatever in them. */
const messages: fc.Arbitrary<PacketMessage> = fc.oneof(
  fc.record({ kind: fc.constant("ping" as const), sequence: counts, ...askers }),
  fc.record({
    kind: fc.constant("indirect-ping" as const),
    sequence: counts,
    target: places,
    nack: fc.boolean(),
    ...askers,
  }),
  counts.map((sequence) => ({ kind: "nack" as const, sequence })),
  counts.map((sequence) => {
    return { kind: "ack" as const, sequence, payload: freeze(new Uint8Array(3)) };
  }),
  fc.tuple(hosts, counts, hosts).map(([host, at, from]) => suspect(host, at, from)),
  fc.tuple(hosts, counts, hosts).map(([host, at, from]) => dead(host, at, from)),
  fc.tuple(hosts, counts, places).map(([host, at, address]) => alive(host, at, { address })),
  fc.tuple(hosts, times, fc.boolean()).map(([host, at, isJoin]) => ({
    kind: "user" as const,
    message: isJoin ? joinIntent(host, at) : leaveIntent(host, at, at % 2 === 0),
  })),
);

const packets = fc
  .tuple(fc.array(messages, { minLength: 1, maxLength: 12 }), fc.boolean(), fc.boolean())
  .map(([all, crc, compress]) => sealPacket(all.map(encodeMessage), { crc, compress }));

const mutations = fc.array(
  fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }), isCut: fc.boolean() }),
  { minLength: 1, maxLength: 4 },
);

function mutated(
  bytes: Uint8Array,
  changes: readonly { at: number; byte: number; isCut: boolean }[],
) {
  let changed = bytes.slice();
  for (const { at, byte, isCut } of changes) {
    const place = at % Math.max(1, changed.length);
    if (isCut) changed = changed.slice(0, place);
    else if (changed.length > 0) changed[place] = byte;
  }
  return freeze(changed);
}

/** What is believed, without what is only counted. */
function beliefs(subject: Subject): unknown {
  const { members, incarnation, time, rumors, state } = subject.gossip.status();
  return { members, incarnation, time, rumors, state };
}

function hear(subject: Subject, bytes: ReturnType<typeof freeze>): number {
  const { packets: answers } = subject.step({ kind: "packet", from: addressOf(9), bytes });
  return answers.reduce((sum, answer) => sum + answer.bytes.length, 0);
}

test("bytes that are no message change nothing, and are counted", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const { parts, drops } = readPacket(freeze(bytes));
      fc.pre(parts.length === 0);
      const subject = acquainted(3);
      const before = beliefs(subject);
      expect(hear(subject, freeze(bytes))).toBe(0);
      expect(beliefs(subject)).toEqual(before);
      const counted = Object.values(subject.dropped).reduce((sum, count) => sum + count, 0);
      expect(counted).toBe(drops.length);
      expect(subject.output.notices.length).toBeLessThanOrEqual(1);
    }),
  );
});

test("a packet with a checksum that was changed on its way changes nothing", () => {
  fc.assert(
    fc.property(fc.array(messages, { minLength: 1, maxLength: 6 }), fc.nat(), (all, at) => {
      const bytes = sealPacket(all.map(encodeMessage), { crc: true, compress: false }).slice();
      const place = 1 + (at % (bytes.length - 1));
      bytes[place] = (bytes[place] ?? 0) ^ 1;
      const subject = acquainted(3);
      const before = beliefs(subject);
      expect(hear(subject, freeze(bytes))).toBe(0);
      expect(beliefs(subject)).toEqual(before);
      expect(subject.dropped).toEqual({ "crc-mismatch": 1 });
    }),
  );
});

test("absurd messages and mutated packets never throw, and time goes on after them", () => {
  const heard = fc.array(fc.tuple(packets, mutations, fc.boolean()), { maxLength: 12 });
  fc.assert(
    fc.property(heard, (all) => {
      const subject = acquainted(3, { membersMax: 6 });
      for (const [packet, changes, isWhole] of all) {
        hear(subject, isWhole ? packet : mutated(packet, changes));
        subject.pass(seconds(1));
      }
      subject.pass(seconds(60));
      // A changed byte in a name is a new member, as long as there is room.
      expect(subject.gossip.status().members.length).toBeLessThanOrEqual(7);
    }),
    { numRuns: 60 },
  );
});

test("whatever n bytes say, they make a member send at most 3n at once", () => {
  fc.assert(
    fc.property(fc.array(packets, { minLength: 1, maxLength: 6 }), (all) => {
      const subject = acquainted(5);
      // The answer that a packet asks for on another's behalf is paid for by it, and comes later.
      let [heard, said] = [0, 0];
      for (const packet of all) {
        heard += packet.length;
        said += hear(subject, packet);
        expect(said).toBeLessThanOrEqual(AMPLIFICATION_MAX * heard);
      }
    }),
  );
});

test("a ping too small for its answer gets none, and all the pings of a packet share 3n", () => {
  const subject = acquainted(5);
  const tiny = encodeMessage({
    kind: "ping",
    sequence: 1,
    node: null,
    source: null,
    sourceNode: null,
  });
  const many = sealPacket(
    Array.from({ length: 127 }, () => tiny),
    { crc: false, compress: true },
  );
  const sent = hear(subject, many);
  expect(sent).toBeGreaterThan(0);
  expect(sent).toBeLessThanOrEqual(3 * many.length);
  expect(subject.dropped["answer-too-large"]).toBeGreaterThan(50);
});

test("absurd claims leave the incarnation of a member within reach of its own refutation", () => {
  fc.assert(
    fc.property(fc.array(messages, { maxLength: 40 }), (all) => {
      const subject = acquainted(3);
      for (const message of all) subject.hear(9, message);
      expect(subject.incarnation).toBeLessThanOrEqual(2 + all.length * (1 + (1 << 20)));
    }),
  );
});

test("streams that say anything, in any pieces, never throw and never stay", () => {
  const bodies = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .tuple(fc.array(fc.tuple(hosts, counts), { maxLength: 5 }), fc.boolean())
      .map(([all, compress]) =>
        encodeStream(
          pushPull(
            all.map(([host, at]) => record(host, at)),
            serfState({ n1: 3 }),
          ),
          {
            compress,
          },
        ),
      ),
  );
  const heard = fc.array(fc.tuple(bodies, mutations, fc.integer({ min: 1, max: 40 })), {
    maxLength: 5,
  });
  fc.assert(
    fc.property(heard, (all) => {
      const subject = acquainted(2);
      for (const [at, [body, changes, piece]] of all.entries()) {
        const streamId = (2 * at + 2) as StreamId;
        subject.step({ kind: "stream-opened", streamId, peer: addressOf(9), dialed: false });
        const bytes = mutated(body, changes);
        for (let from = 0; from < bytes.length; from += piece) {
          const next = freeze(bytes.slice(from, from + piece));
          subject.step({ kind: "stream-bytes", streamId, bytes: next });
        }
      }
      subject.pass(seconds(11));
      const isOurs = subject.output.dials.length;
      expect(subject.gossip.status().streams).toBeLessThanOrEqual(isOurs + 3);
    }),
    { numRuns: 60 },
  );
});

test("a stream nobody knows, or whose end came before its answer, is nobody's trouble", () => {
  const subject = acquainted(1);
  const streamId = 98 as StreamId;
  subject.step({ kind: "stream-bytes", streamId, bytes: freeze(new Uint8Array(4)) });
  subject.step({ kind: "stream-closed", streamId, why: "reset" });
  subject.step({
    kind: "stream-opened",
    streamId: 97 as StreamId,
    peer: addressOf(1),
    dialed: true,
  });
  expect(subject.output.streamWrites).toEqual([]);
});

test("a member asked to ping for too many others at once says no, and recovers", () => {
  const subject = acquainted(1);
  for (let at = 0; at <= RELAYS_MAX; at++) {
    subject.hear(1, {
      kind: "indirect-ping",
      sequence: at,
      node: id("n9"),
      target: addressOf(9),
      nack: true,
      source: addressOf(1),
      sourceNode: id("n1"),
    });
  }
  expect(subject.dropped["queue-full"]).toBe(1);
  subject.now = (subject.now + seconds(2)) as Instant;
  subject.step({ kind: "deadline" });
  expect(subject.output.packets.length).toBeGreaterThanOrEqual(RELAYS_MAX);
});

test("intents for members that nobody ever sees are forgotten, the oldest first", () => {
  const subject = acquainted(1, { rumorsMax: 32 });
  for (let at = 0; at < EARLY_INTENTS_MAX + 10; at++) {
    const node = id(`ghost-${at}`);
    subject.hearSerf(1, { kind: "leave-intent", node, time: joinTime(7), prune: false });
  }
  expect(subject.gossip.status().rumors).toBeLessThanOrEqual(64);
  subject.hear(1, alive(2, 1, { node: id("ghost-3") }));
  subject.hear(1, alive(3, 1, { node: id("ghost-900") }));
  const status = (name: string) =>
    subject.gossip.status().members.find(({ node }) => node === name)?.status;
  expect([status("ghost-3"), status("ghost-900")]).toEqual(["alive", "leaving"]);
});

function joinTime(at: number) {
  const intent = joinIntent(1, at);
  if (intent.kind !== "join-intent") throw new Error("an intent");
  return intent.time;
}

test("after it has left, a member hears nothing any more", () => {
  const subject = acquainted(0);
  subject.step({ kind: "leave", requestId: 1 as never });
  const bytes = sealPacket([encodeMessage(alive(1, 1))], { crc: false, compress: false });
  expect(hear(subject, bytes)).toBe(0);
  subject.step({
    kind: "stream-opened",
    streamId: 2 as StreamId,
    peer: addressOf(1),
    dialed: false,
  });
  expect(subject.output.streamCloses).toMatchObject([{ streamId: 2 }]);
  expect(subject.dropped).toEqual({ "after-leave": 2 });
});
