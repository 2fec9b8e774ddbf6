// Two of one name among stock Serf agents and members of ours: whoever came second gives it up,
// whichever of the two he is. In real time.

import { afterEach, describe, expect, test } from "vitest";

import { createMembership, type Membership, type Notice } from "../../src/membership.ts";
import { findSerf, SerfAgent } from "./serf-agent.ts";

const serf = findSerf();
const problem = "problem" in serf ? serf.problem : null;
const isExcused = problem !== null && process.env["CAIRN_REQUIRE_ALL"] !== "1";
if (isExcused) process.stderr.write(`serf-names.test.ts is not run: ${problem}\n`);

async function until(isSo: () => Promise<boolean> | boolean, withinMs: number): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) throw new Error(`not so within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe.skipIf(isExcused)("a name that two bear, among stock Serf agents", () => {
  const agents: SerfAgent[] = [];
  const ours: Membership[] = [];
  const notices: Notice[] = [];

  const startAgent = async (name: string, ...flags: string[]): Promise<SerfAgent> => {
    if ("problem" in serf) throw new Error(serf.problem);
    const agent = await SerfAgent.start(serf.path, name, flags);
    agents.push(agent);
    return agent;
  };
  const open = async (nodeName: string, contact: string): Promise<Membership> => {
    const member = await createMembership({
      ...{ nodeName, bindAddr: "127.0.0.1:0", startJoinAddrs: [contact] },
      onNotice: (notice) => notices.push(notice),
    });
    ours.push(member);
    return member;
  };
  const alive = async (agent: SerfAgent): Promise<string[]> => {
    const members = await agent.members();
    return members.flatMap(({ name, status }) => (status === "alive" ? [name] : [])).sort();
  };

  afterEach(async () => {
    for (const member of ours.splice(0)) await member.stop();
    for (const agent of agents.splice(0)) await agent.kill();
    notices.length = 0;
  });

  test("is an agent's where it came first: ours gives it up", { timeout: 60_000 }, async () => {
    const first = await startAgent("alpha");
    const second = await startAgent("beta", `-join=${first.address}`);
    const gamma = await open("gamma", first.address);
    await until(async () => (await alive(second)).length === 3, 10_000);
    const impostor = await open("beta", first.address);
    await until(() => impostor.status().state === "left", 30_000);
    const lost = notices.find(({ what }) => what === "gossip-name-lost");
    expect(lost?.facts).toMatchObject({ ours: impostor.localAddr, theirs: second.address });
    for (const agent of agents) expect(await alive(agent)).toEqual(["alpha", "beta", "gamma"]);
    expect(gamma.members().find(({ name }) => name === "beta")?.addr).toBe(second.address);
  });

  test("is ours where it came first: the agent gives it up", { timeout: 60_000 }, async () => {
    const first = await startAgent("alpha");
    const owner = await open("beta", first.address);
    const gamma = await open("gamma", first.address);
    await until(() => gamma.members().length === 3, 10_000);
    const impostor = await startAgent("beta");
    await impostor.command("join", first.address).catch(() => "it may be gone before it answers");
    await until(() => impostor.log.includes("minority in name conflict resolution"), 30_000);
    expect(owner.status().state).toBe("running");
    expect(await alive(first)).toEqual(["alpha", "beta", "gamma"]);
    expect(gamma.members().find(({ name }) => name === "beta")?.addr).toBe(owner.localAddr);
  });
});
