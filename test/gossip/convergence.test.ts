// Rumors in any order, doubled, and lost in part: once members have shown each other their tables,
// all believe the same of everybody.
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeMessage } from "../../src/gossip/message-codec.ts";
import type { PacketMessage, PushPull } from "../../src/gossip/messages.ts";
import { sealPacket } from "../../src/gossip/packet-codec.ts";
import { addressOf } from "./fleet.ts";
import {
  acquainted,
  alive,
  dead,
  joinIntent,
  leaveIntent,
  pushPull,
  type Subject,
  suspect,
} from "./subject.ts";

const others = fc.integer({ min: 1, max: 4 });
const incarnations = fc.integer({ min: 1, max: 5 });
/** What could have been said about four members, each by one owner. */
const rumors: fc.Arbitrary<PacketMessage> = fc.oneof(
  fc.tuple(others, incarnations).map(([host, at]) => alive(host, at)),
  fc.tuple(others, incarnations, others).map(([host, at, from]) => suspect(host, at, from)),
  fc.tuple(others, incarnations, others).map(([host, at, from]) => dead(host, at, from)),
  fc.tuple(others, incarnations, fc.boolean()).map(([host, at, isJoin]) => ({
    kind: "user" as const,
    message: isJoin ? joinIntent(host, at) : leaveIntent(host, at),
  })),
);

function hear(subject: Subject, rumor: PacketMessage): void {
  const bytes = sealPacket([encodeMessage(rumor)], { crc: false, compress: false });
  subject.step({ kind: "packet", from: addressOf(200), bytes });
}

test("members that heard the same rumors, in any order and any number of times, agree", () => {
  const drawn = fc.array(rumors, { maxLength: 14 }).chain((all) =>
    fc.record({
      all: fc.constant(all),
      shuffled: fc.shuffledSubarray([...all, ...all], { minLength: 0 }),
    }),
  );
  fc.assert(
    fc.property(drawn, ({ all, shuffled }) => {
      const [one, other] = [acquainted(4), acquainted(4)];
      for (const rumor of all) hear(one, rumor);
      // Each at least once, some twice, all in another order.
      const rest = all.filter((rumor) => !shuffled.includes(rumor));
      for (const rumor of [...shuffled, ...rest]) hear(other, rumor);
      expect(standings(other)).toEqual(standings(one));
    }),
  );
});

/** Standing and incarnation alone: what operators are shown also depends on what was seen. */
function standings(subject: Subject): unknown {
  return subject.gossip
    .status()
    .members.filter(({ node }) => node !== "n0")
    .map(({ node, incarnation }) => [node, incarnation, subject.gossip.stateOf(node)]);
}

let streams = 0;

/** One shows the other its table, as in a push/pull. */
function show(from: Subject, to: Subject): void {
  streams += 2;
  const asked = from.hearStream(streams, 201, pushPull([]));
  const table = asked[0] as PushPull;
  const nodes = table.nodes.filter(({ node }) => node !== "n0");
  to.hearStream(streams, 202, { ...table, nodes });
}

test("members that each lost some rumors agree once they have exchanged their tables", () => {
  const drawn = fc.array(fc.tuple(rumors, fc.boolean(), fc.boolean()), { maxLength: 14 });
  fc.assert(
    fc.property(drawn, (all) => {
      const [one, other] = [acquainted(4), acquainted(4)];
      for (const [rumor, isHeardByOne, isHeardByOther] of all) {
        if (isHeardByOne) hear(one, rumor);
        if (isHeardByOther) hear(other, rumor);
      }
      // A death heard of in a table is a suspicion until its time is up: nobody objects here.
      for (let round = 0; round < 3; round++) {
        show(one, other);
        show(other, one);
        endSuspicions(one);
        endSuspicions(other);
      }
      expect(gone(other)).toEqual(gone(one));
    }),
    { numRuns: 60 },
  );
});

/** Lets every suspicion run out. */
function endSuspicions(subject: Subject): void {
  const isSuspected = () => [1, 2, 3, 4].some((host) => subject.stateOf(host) === "suspect");
  for (let turns = 0; turns < 10_000 && isSuspected(); turns++) {
    // Every probe is answered, so that time itself accuses nobody.
    for (const { messages } of subject.wake()) {
      for (const message of messages) {
        if (message.kind !== "ping") continue;
        const { sequence } = message;
        hear(subject, { kind: "ack", sequence, payload: alive(1, 1).meta });
      }
    }
  }
}

/** Who is there and who is not, under which incarnation. */
function gone(subject: Subject): unknown {
  return [1, 2, 3, 4].map((host) => {
    const member = subject.member(host);
    const isPresent = subject.stateOf(host) === "alive";
    return [member?.incarnation, isPresent];
  });
}
