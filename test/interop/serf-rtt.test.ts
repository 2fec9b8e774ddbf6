// Network coordinates between stock Serf agents and members of ours: each takes the other's from
// its acks, so that `serf rtt` works between them, and ours works with theirs. In real time.

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { createMembership, type Membership } from "../../src/membership.ts";
import { findSerf, SerfAgent } from "./serf-agent.ts";

const serf = findSerf();
const problem = "problem" in serf ? serf.problem : null;
const isExcused = problem !== null && process.env["CAIRN_REQUIRE_ALL"] !== "1";
if (isExcused) process.stderr.write(`serf-rtt.test.ts is not run: ${problem}\n`);

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What `isSo` gives once it gives something. */
async function until<T>(isSo: () => Promise<T | null> | T | null, withinMs: number): Promise<T> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    const found = await isSo();
    if (found !== null) return found;
    if (performance.now() > giveUpAt) throw new Error(`not so within ${withinMs} ms`);
    await sleep(100);
  }
}

describe.skipIf(isExcused)("coordinates of members among stock Serf agents", () => {
  const agents: SerfAgent[] = [];
  const ours: Membership[] = [];
  const [alpha, beta, one, two] = ["alpha", "beta", "one", "two"];

  const rttBy = (agent: SerfAgent, name: string, other: string): Promise<number | null> =>
    agent.command("rtt", name, other).then(
      (told) => Number(/rtt: ([\d.]+) ms/.exec(told)?.[1] ?? Number.NaN),
      () => null,
    );

  beforeAll(async () => {
    if ("problem" in serf) throw new Error(serf.problem);
    const first = await SerfAgent.start(serf.path, alpha);
    agents.push(first, await SerfAgent.start(serf.path, beta, [`-join=${first.address}`]));
    for (const nodeName of [one, two]) {
      const startJoinAddrs = [first.address];
      ours.push(await createMembership({ nodeName, bindAddr: "127.0.0.1:0", startJoinAddrs }));
    }
  });
  afterAll(async () => {
    for (const member of ours) await member.stop();
    for (const agent of agents) await agent.kill();
  });

  test("are taken by agents: serf rtt knows ours", { timeout: 60_000 }, async () => {
    for (const agent of agents) {
      for (const [a, b] of [
        [one, two],
        [alpha, one],
        [two, beta],
        [alpha, beta],
      ] as const) {
        const ms = await until(() => rttBy(agent, a, b), 30_000);
        expect(ms).toBeGreaterThan(0);
        expect(ms).toBeLessThan(1000);
      }
    }
    const complaints = agents.flatMap((agent) => agent.complaints());
    expect(complaints).toEqual([]);
  });

  test("are taken from agents: ours knows theirs", { timeout: 60_000 }, async () => {
    for (const member of ours) {
      for (const [a, b] of [
        [alpha, beta],
        [one, alpha],
        [one, two],
      ] as const) {
        const ms = await until(() => member.rtt(a, b), 30_000);
        expect(ms).toBeGreaterThan(0);
        expect(ms).toBeLessThan(1000);
      }
      expect(member.coordinate(beta)?.vector).toHaveLength(8);
      expect(member.status().dropped["bad-coordinate"]).toBeUndefined();
    }
  });
});
