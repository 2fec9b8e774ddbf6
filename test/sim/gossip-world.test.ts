// The world of gossip members: the same seed gives the same packets, and members find each other,
// lose each other and find each other again.
import { createHash, type Hash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { GossipWorld, USUAL_NETWORK } from "../../sim/gossip-world.ts";
import { withPoison } from "../../sim/poison.ts";
import type { GossipNetworkProfile } from "../../sim/sim-gossip-network.ts";
import { describeAddress } from "../../src/base/address.ts";
import { millis } from "../../src/base/ids.ts";
import { Membership } from "../../src/service/membership.ts";

interface Fleet {
  readonly world: GossipWorld;
  readonly members: Map<string, Membership>;
  readonly packets: Hash;
  packetCount: number;
}

/** Members m0 .. m(count-1), all of which join by m0. */
function makeFleet(
  seed: string,
  count: number,
  network: Partial<GossipNetworkProfile> = {},
): Fleet {
  const packets = createHash("sha256");
  const fleet: Fleet = {
    packets,
    packetCount: 0,
    members: new Map(),
    world: new GossipWorld({
      seed,
      network: { ...USUAL_NETWORK, ...network },
      driftPpmMax: 200,
      witness: (from, to, bytes) => {
        fleet.packetCount++;
        const { now } = fleet.world.timeline;
        packets.update(`${now} ${describeAddress(from)} ${describeAddress(to)} `).update(bytes);
      },
    }),
  };
  for (let at = 0; at < count; at++) seat(fleet, `m${at}`);
  return fleet;
}

function seat({ world, members }: Fleet, name: string): Membership {
  const { ports } = world.seat(name);
  const member = new Membership({ nodeName: name, tags: { name } }, ports);
  members.set(name, member);
  return member;
}

/** Joins by promises: they go on between runs of virtual time. */
async function joinAll({ world, members }: Fleet): Promise<void> {
  for (const [name, member] of members) {
    if (name !== "m0") void member.join(["m0"]).catch(() => undefined);
  }
  await new Promise((resolve) => setImmediate(resolve));
  world.run(millis(5000));
  await new Promise((resolve) => setImmediate(resolve));
}

/** How every member that is up sees another. */
function views({ members }: Fleet, name: string): string[] {
  return [...members].flatMap(([observer, member]) => {
    const seen = member.members().find((one) => one.name === name);
    return observer === name ? [] : [seen?.status ?? "unknown"];
  });
}

const all = (fleet: Fleet, status: string): string[] =>
  Array.from({ length: fleet.members.size - 1 }, () => status);

describe("a world of gossip members", () => {
  test("gives the same packets for the same seed, and others for another", async () => {
    const digests: string[] = [];
    for (const seed of ["one", "one", "two"]) {
      const fleet = makeFleet(seed, 12, { dropPerMille: 50 });
      await joinAll(fleet);
      withPoison(() => {
        fleet.world.crash("m3");
        fleet.world.run(millis(40_000));
      });
      expect(fleet.packetCount).toBeGreaterThan(1000);
      digests.push(fleet.packets.digest("hex"));
    }
    expect(digests[1]).toBe(digests[0]);
    expect(digests[2]).not.toBe(digests[0]);
  });

  test("finds itself although one packet in ten is lost", async () => {
    const fleet = makeFleet("loss", 20, { dropPerMille: 100, duplicatePerMille: 100 });
    await joinAll(fleet);
    fleet.world.run(millis(60_000));
    for (const name of fleet.members.keys())
      expect(views(fleet, name)).toEqual(all(fleet, "alive"));
  });

  test("knows of a crash, and of the return", async () => {
    const fleet = makeFleet("crash", 10);
    await joinAll(fleet);
    fleet.world.crash("m4");
    fleet.members.delete("m4");
    fleet.world.run(millis(40_000));
    for (const member of fleet.members.values()) {
      expect(member.members().find(({ name }) => name === "m4")?.status).toBe("failed");
    }
    seat(fleet, "m4");
    await joinAll(fleet);
    fleet.world.run(millis(10_000));
    expect(views(fleet, "m4")).toEqual(all(fleet, "alive"));
  });

  test("is whole again after a partition that was longer than suspicion", async () => {
    const fleet = makeFleet("partition", 10);
    await joinAll(fleet);
    fleet.world.partition(["m0", "m1", "m2", "m3"]);
    fleet.world.run(millis(90_000));
    expect(views(fleet, "m0").filter((status) => status === "failed")).toHaveLength(6);
    fleet.world.heal();
    fleet.world.run(millis(180_000));
    for (const name of fleet.members.keys())
      expect(views(fleet, name)).toEqual(all(fleet, "alive"));
  });

  test("does not call a member failed that stood still for a moment", async () => {
    const fleet = makeFleet("pause", 8);
    await joinAll(fleet);
    const fails: string[] = [];
    for (let round = 0; round < 5; round++) {
      fleet.world.pause("m5");
      fleet.world.run(millis(1500));
      fleet.world.resume("m5");
      fleet.world.run(millis(10_000));
      fails.push(...views(fleet, "m5").filter((status) => status !== "alive"));
    }
    expect(fails).toEqual([]);
  });
});
