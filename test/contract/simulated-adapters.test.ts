// The port contracts against the simulator's ports, on virtual time and without mishaps: what the
// simulation shows of a node holds for production only as far as both keep the same promises.

import { SimClock, SimWall } from "../../sim/sim-clock.ts";
import { SimDisk } from "../../sim/sim-disk.ts";
import { SimGossipNetwork } from "../../sim/sim-gossip-network.ts";
import { SimNetwork } from "../../sim/sim-network.ts";
import { Timeline } from "../../sim/timeline.ts";
import type { Address } from "../../src/base/address.ts";
import { freeze } from "../../src/base/bytes.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { clockContract } from "./clock.contract.ts";
import { type DiskUnderTest, diskContract } from "./disk.contract.ts";
import { gossipNetworkContract } from "./gossip-network.contract.ts";
import { type NetworkUnderTest, networkContract } from "./network.contract.ts";

/** Rounds without any event after which a test is waiting for what will never happen. */
const IDLE_ROUNDS_MAX = 1000;

/** Lets one event happen, or a millisecond pass. */
function driver(timeline: Timeline): () => Promise<void> {
  let idleRounds = 0;
  return async () => {
    if (timeline.next !== Number.POSITIVE_INFINITY) {
      idleRounds = 0;
      timeline.advance();
      return;
    }
    if (++idleRounds > IDLE_ROUNDS_MAX) throw new Error("nothing is left to happen");
    timeline.advanceTo(timeline.now + 1000);
  };
}

clockContract("SimClock", () => {
  const timeline = new Timeline();
  const clock = new SimClock(timeline, {
    origin: 7_000_000,
    driftPpm: 0,
    wall: new SimWall(timeline, 250),
    prng: new Prng("clock contract"),
    rings: () => undefined,
    rang: () => undefined,
  });
  return {
    clock,
    driveUntil: async (isDone) => {
      while (!isDone()) timeline.advanceTo(timeline.now + 100);
    },
    close: () => clock.halt(),
  };
});

function diskUnderTest(disk: SimDisk, timeline: Timeline): DiskUnderTest {
  return {
    disk,
    drive: driver(timeline),
    reopen: async () => {
      disk.crash("process");
      return diskUnderTest(disk, timeline);
    },
    close: async () => undefined,
  };
}

diskContract("SimDisk", async () => {
  const timeline = new Timeline();
  const profile = {
    operationMeanMicros: 40,
    syncMeanMicros: 1000,
    slowPerMille: 20,
    capacityBytes: 0,
  };
  const witness = { submitted: () => undefined, reached: () => true, applied: () => true };
  return diskUnderTest(new SimDisk(timeline, profile, new Prng("disk"), witness), timeline);
});

networkContract("SimNetwork", async (): Promise<NetworkUnderTest> => {
  const timeline = new Timeline();
  const profile = {
    delayMinMicros: 200,
    delayMeanMicros: 800,
    dropPerMille: 0,
    duplicatePerMille: 0,
    replayPerMille: 0,
    reorderPerMille: 0,
    transitFramesMax: 0,
    overflow: "oldest" as const,
    linkFramesMax: 256,
    clientDropPerMille: 0,
    clientLatePerMille: 0,
  };
  const network = new SimNetwork(timeline, profile, new Prng("network"), () => undefined);
  const plug = (name: string) => ({
    name: name as NodeId,
    address: `${name}:1`,
    network: network.plug(name as NodeId),
  });
  return {
    a: plug("a"),
    b: plug("b"),
    nobody: { name: "nobody" as NodeId, address: "nobody:1" },
    frameBytesMax: 1_000_000,
    drive: driver(timeline),
    close: async () => undefined,
  };
});

gossipNetworkContract("SimGossipNetwork", async () => {
  const timeline = new Timeline();
  const profile = {
    delayMinMicros: 200,
    delayMeanMicros: 800,
    dropPerMille: 0,
    duplicatePerMille: 0,
    dialFailPerMille: 0,
  };
  const network = new SimGossipNetwork(timeline, profile, new Prng("gossip network"));
  const addressOf = (host: number): Address => {
    return { ip: freeze(Uint8Array.of(10, 0, 0, host)), port: 7946 };
  };
  return {
    a: network.plug(addressOf(1)),
    b: network.plug(addressOf(2)),
    narrow: network.plug(addressOf(3), { acceptedMax: 2 }),
    nobody: addressOf(9),
    drive: driver(timeline),
    close: async () => undefined,
  };
});
