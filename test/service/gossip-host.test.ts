// The host of a gossip machine: what waits is bounded, what is dropped is counted, and time is the
// clock's.
import { describe, expect, test } from "vitest";
import { GossipWorld, USUAL_NETWORK } from "../../sim/gossip-world.ts";
import type { Address } from "../../src/base/address.ts";
import { freeze } from "../../src/base/bytes.ts";
import { millis, type NodeId, type StreamId } from "../../src/base/ids.ts";
import type { Incarnation } from "../../src/gossip/messages.ts";
import { LAN_PROFILE } from "../../src/gossip/profiles.ts";
import type { GossipAnswer, GossipRequestId, Happening } from "../../src/gossip/protocol.ts";
import {
  GossipHost,
  PACKETS_WAITING_MAX,
  STREAM_BYTES_WAITING_MAX,
} from "../../src/service/gossip-host.ts";

function makeHost() {
  const world = new GossipWorld({ seed: "host", network: USUAL_NETWORK, driftPpmMax: 0 });
  const { address, ports, notices } = world.seat("a");
  const answers: GossipAnswer[] = [];
  const happenings: Happening[] = [];
  const host = new GossipHost(
    {
      self: "a" as NodeId,
      address,
      tags: new Map(),
      incarnation: 1 as Incarnation,
      profile: LAN_PROFILE,
      compress: true,
      coordinates: true,
      membersMax: 10,
      rumorsMax: 10,
      streamsMax: 10,
    },
    ports,
    {
      happened: (happening) => void happenings.push(happening),
      answered: (answer) => void answers.push(answer),
    },
  );
  return { world, host, notices, answers, happenings };
}

const peer: Address = { ip: freeze(Uint8Array.of(10, 9, 9, 9)), port: 7946 };
const garbage = freeze(Uint8Array.of(99));

describe("the host of a gossip machine", () => {
  test("drops packets beyond its bound, counts them and tells of it once", () => {
    const { world, host, notices } = makeHost();
    for (let packet = 0; packet < PACKETS_WAITING_MAX + 50; packet++) host.packet(peer, garbage);
    expect(host.status().dropped).toEqual({ "queue-full": 50 });
    world.run(millis(10));
    const dropped = { "queue-full": 50, "unknown-type": PACKETS_WAITING_MAX };
    expect(host.status().dropped).toEqual(dropped);
    const facts = { source: "10.9.9.9:7946" };
    expect(notices.filter(({ what }) => what === "gossip-dropped")).toMatchObject([
      { facts: { ...facts, reason: "queue-full" } },
      { facts: { ...facts, reason: "unknown-type" } },
    ]);
    host.packet(peer, garbage);
    world.run(millis(10));
    expect(host.status().dropped["unknown-type"]).toBe(PACKETS_WAITING_MAX + 1);
  });

  test("refuses the bytes of a stream when too many wait, and takes more after a turn", () => {
    const { world, host } = makeHost();
    const streamId = host.nextStreamId();
    expect(streamId).toBe(2);
    host.streamOpened(streamId, peer, false);
    const half = freeze(new Uint8Array(STREAM_BYTES_WAITING_MAX / 2));
    expect(host.streamBytes(streamId, half)).toBe(true);
    expect(host.streamBytes(streamId, half)).toBe(true);
    expect(host.streamBytes(4 as StreamId, garbage)).toBe(false);
    world.run(millis(10));
    expect(host.streamBytes(4 as StreamId, garbage)).toBe(true);
  });

  test("answers each request once, and takes no more than so many at once", () => {
    const { world, host, answers } = makeHost();
    const offer = (id: number) =>
      host.offer({ kind: "set-tags", requestId: id as GossipRequestId, tags: new Map() });
    let taken = 0;
    while (taken < 10_000 && offer(taken)) taken++;
    expect(taken).toBeLessThan(10_000);
    world.run(millis(10));
    const expected = Array.from({ length: taken }, (_, id) => id);
    expect(answers.map(({ requestId }) => requestId)).toEqual(expected);
    expect(offer(taken)).toBe(true);
  });

  test("does chores when they are due, in the turn after", () => {
    const { world, host } = makeHost();
    const done: string[] = [];
    host.later(millis(500), () => done.push("second"));
    host.later(millis(200), () => done.push("first"));
    world.run(millis(199));
    expect(done).toEqual([]);
    world.run(millis(10));
    expect(done).toEqual(["first"]);
    world.run(millis(400));
    expect(done).toEqual(["first", "second"]);
  });

  test("does nothing more once it is halted", () => {
    const { world, host, answers } = makeHost();
    const { happened } = world.timeline;
    host.halt();
    host.packet(peer, garbage);
    const request = { kind: "leave", requestId: 1 as GossipRequestId } as const;
    expect(host.offer(request)).toBe(false);
    world.run(millis(60_000));
    expect(answers).toEqual([]);
    expect(world.timeline.happened - happened).toBeLessThan(5);
  });
});
