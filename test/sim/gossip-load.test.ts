// What gossip costs: at rest, a member sends as much in a small cluster as in a large one.

import { expect, test } from "vitest";

import { GossipWorld, USUAL_NETWORK } from "../../sim/gossip-world.ts";
import { millis } from "../../src/base/ids.ts";
import { Membership } from "../../src/service/membership.ts";

const REST_MS = 20_000;

/** Packets that a member of so many sends in a second, once all know each other. */
async function packetsASecond(size: number): Promise<number> {
  let sent = 0;
  const world = new GossipWorld({
    seed: `load ${size}`,
    network: { ...USUAL_NETWORK, dropPerMille: 0 },
    driftPpmMax: 50,
    witness: () => {
      sent++;
    },
  });
  const members = Array.from({ length: size }, (_, at) => {
    return new Membership({ nodeName: `m${at}` }, world.seat(`m${at}`).ports);
  });
  const contact = members[0]?.localAddr ?? "";
  for (const member of members.slice(1)) void member.join([contact]);
  for (let ms = 0; ms < 20_000; ms += 200) {
    await new Promise((resolve) => setImmediate(resolve));
    world.run(millis(200));
  }
  for (const member of members) expect(member.members()).toHaveLength(size);
  sent = 0;
  world.run(millis(REST_MS));
  return sent / size / (REST_MS / 1000);
}

test("a member sends two packets a second, whether there are 8, 32 or 96", async () => {
  for (const size of [8, 32, 96]) {
    const rate = await packetsASecond(size);
    // Its own probe, and on average one answer.
    expect(rate, `${size} members`).toBeGreaterThan(1.8);
    expect(rate, `${size} members`).toBeLessThan(2.3);
  }
}, 60_000);
