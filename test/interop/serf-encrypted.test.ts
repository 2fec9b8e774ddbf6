// Encrypted gossip between stock Serf agents and members of ours: joins in both directions, tags,
// a rotation of keys on both sides, and whoever lacks the key. In real time, on loopback.

import { afterAll, describe, expect, test } from "vitest";

import {
  createMembership,
  GossipKeyring,
  generateGossipKey,
  type Membership,
} from "../../src/membership.ts";
import { findSerf, SerfAgent } from "./serf-agent.ts";

const serf = findSerf();
const problem = "problem" in serf ? serf.problem : null;
const isExcused = problem !== null && process.env["CAIRN_REQUIRE_ALL"] !== "1";
if (isExcused) process.stderr.write(`serf-encrypted.test.ts is not run: ${problem}\n`);

async function until(isSo: () => Promise<boolean> | boolean, withinMs: number): Promise<void> {
  const began = performance.now();
  while (!(await isSo())) {
    if (performance.now() - began > withinMs) throw new Error(`not so within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe.skipIf(isExcused)("with a key that all share", () => {
  const agents: SerfAgent[] = [];
  const ours: Membership[] = [];
  const key = generateGossipKey();
  const next = generateGossipKey();
  const keyring = new GossipKeyring([key]);

  afterAll(async () => {
    for (const member of ours) await member.stop();
    for (const agent of agents) await agent.kill();
  });

  async function startAgent(name: string, ...flags: string[]): Promise<SerfAgent> {
    if ("problem" in serf) throw new Error(serf.problem);
    const agent = await SerfAgent.start(serf.path, name, flags);
    agents.push(agent);
    return agent;
  }
  async function open(nodeName: string, contact: string, ring: GossipKeyring | null) {
    const member = await createMembership({
      nodeName,
      bindAddr: "127.0.0.1:0",
      startJoinAddrs: [contact],
      tags: { kind: "ours" },
      ...(ring === null ? {} : { keyring: ring }),
    });
    ours.push(member);
    return member;
  }
  const aliveAt = (member: Membership) =>
    member
      .members()
      .filter(({ status }) => status === "alive")
      .map(({ name }) => name)
      .join();

  test("agents and members join each other, in both directions", { timeout: 60_000 }, async () => {
    const alpha = await startAgent("alpha", `-encrypt=${key}`);
    const one = await open("one", alpha.address, keyring);
    const beta = await startAgent("beta", `-encrypt=${key}`, `-join=${one.localAddr}`);
    await until(() => aliveAt(one) === "alpha,beta,one", 10_000);
    for (const agent of [alpha, beta]) {
      await until(async () => (await agent.member("one"))?.tags["kind"] === "ours", 10_000);
    }
    await one.setTags({ kind: "changed" });
    await until(async () => (await beta.member("one"))?.tags["kind"] === "changed", 10_000);
  });

  test("whoever has no key, or another one, is not taken in", { timeout: 60_000 }, async () => {
    const { address } = agents[0] as SerfAgent;
    await expect(open("plain", address, null)).rejects.toThrow("no member to join answered");
    const stranger = new GossipKeyring([generateGossipKey()]);
    await expect(open("stranger", address, stranger)).rejects.toThrow("no member to join");
    expect((await (agents[0] as SerfAgent).members()).map(({ name }) => name)).toHaveLength(3);
  });

  test("keys are rotated under way, and nobody is lost", { timeout: 120_000 }, async () => {
    const [alpha, beta] = agents as [SerfAgent, SerfAgent];
    const [one] = ours as [Membership];
    // Agents ask the others by queries, which members of ours do not answer: each does its own.
    const onAgents = (act: string, of: string) =>
      alpha.command("keys", `-${act}=${of}`).catch((error: unknown) => String(error));
    keyring.install(next);
    await onAgents("install", next);
    keyring.use(next);
    await onAgents("use", next);
    await onAgents("remove", key);
    keyring.remove(key);
    const { dropped } = one.status();
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    expect(aliveAt(one)).toBe("alpha,beta,one");
    expect((await beta.member("one"))?.status).toBe("alive");
    expect(one.status().dropped.undecryptable ?? 0).toBe(dropped.undecryptable ?? 0);
  });
});
