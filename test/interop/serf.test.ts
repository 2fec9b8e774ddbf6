// Stock Serf agents and members of ours in one cluster on loopback, in real time. Without the agent
// (scripts/ci-tools brings it) this fails under CAIRN_REQUIRE_ALL=1 and says so otherwise.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseIp } from "../../src/base/address.ts";
import { EMPTY_BYTES, freeze } from "../../src/base/bytes.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { suspicionTimeoutMax, suspicionTimeoutMin } from "../../src/gossip/formulas.ts";
import { type Incarnation, type NodeRecord, OUR_VERSIONS } from "../../src/gossip/messages.ts";
import { LAN_PROFILE } from "../../src/gossip/profiles.ts";
import { encodeStream } from "../../src/gossip/stream-codec.ts";
import { encodeTags } from "../../src/gossip/tags.ts";
import { createMembership, type Membership, type QueryOptions } from "../../src/membership.ts";
import { findSerf, SerfAgent } from "./serf-agent.ts";

const serf = findSerf();
const problem = "problem" in serf ? serf.problem : null;
const isExcused = problem !== null && process.env["CAIRN_REQUIRE_ALL"] !== "1";
if (isExcused) process.stderr.write(`serf.test.ts is not run: ${problem}\n`);

const membershipFile = fileURLToPath(new URL("../../dist/src/membership.js", import.meta.url));
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(isSo: () => Promise<boolean> | boolean, withinMs: number): Promise<number> {
  const began = performance.now();
  while (!(await isSo())) {
    if (performance.now() - began > withinMs) throw new Error(`not so within ${withinMs} ms`);
    await sleep(100);
  }
  return performance.now() - began;
}

/** A member of ours in a process of its own, of what was built. */
function spawnMember(nodeName: string, contact: string): ChildProcess {
  const options = { nodeName, bindAddr: "127.0.0.1:0", startJoinAddrs: [contact] };
  const script = `import { createMembership } from ${JSON.stringify(membershipFile)};
    await createMembership(${JSON.stringify(options)});`;
  return spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "ignore" });
}

/** Rumors pass a member by once in a few hundred times, and nothing mends that for a query. */
async function expectSoon(ask: () => Promise<unknown>, wanted: unknown): Promise<void> {
  for (let tries = 1; ; tries++) {
    const got = await ask();
    if (tries === 4 || isDeepStrictEqual(got, wanted)) {
      expect(got).toEqual(wanted);
      return;
    }
  }
}

/** The longest that a failure may go unnoticed among so many: a probe lap, then suspicion. */
function detectionMsMax(members: number): number {
  const { suspicionMult, probeInterval, suspicionMaxTimeoutMult } = LAN_PROFILE;
  const least = suspicionTimeoutMin(suspicionMult, members, probeInterval);
  const most = suspicionTimeoutMax(least, suspicionMaxTimeoutMult);
  return (most + 3 * probeInterval) / 1000;
}

describe.skipIf(isExcused)("members among stock Serf agents", () => {
  const agents: SerfAgent[] = [];
  const ours = new Map<string, Membership>();
  const told: string[] = [];
  /** What members of ours hear beside membership. */
  const heard: string[] = [];
  const folder = mkdtempSync(path.join(tmpdir(), "cairn-serf-"));
  /** What a stock agent's handlers write: its events' payloads, a line each. */
  const eventsOf = (name: string) => readFileSync(path.join(folder, name), "utf8");
  const handlersOf = (name: string) => {
    const append = `(cat; echo) >> ${path.join(folder, name)}`;
    return [
      `-event-handler=user:news=${append}`,
      `-event-handler=user:burst=${append}`,
      // It reads what it is given: an agent complains of a pipe that nobody reads.
      `-event-handler=query:who=cat > /dev/null; echo stock ${name}`,
    ];
  };
  let killed: ChildProcess | null = null;
  let twoWas = "";
  const names = ["alpha", "beta", "gamma", "one", "two", "three"];

  const startAgent = async (name: string, flags: string[]): Promise<SerfAgent> => {
    if ("problem" in serf) throw new Error(`no serf: ${serf.problem}`);
    const agent = await SerfAgent.start(serf.path, name, flags);
    agents.push(agent);
    return agent;
  };
  const agentAt = (at: number): SerfAgent => {
    const agent = agents[at];
    if (agent === undefined) throw new Error(`no agent ${at}`);
    return agent;
  };
  const our = (name: string): Membership => {
    const member = ours.get(name);
    if (member === undefined) throw new Error(`no member ${name}`);
    return member;
  };
  const openOurs = async (name: string, joins: string, bindAddr = "127.0.0.1:0") => {
    const member = await createMembership({
      nodeName: name,
      bindAddr,
      tags: { kind: "ours", rpc_addr: `127.0.0.1:${name.length}` },
      startJoinAddrs: [joins],
      handler: {
        leave: (left) => told.push(`${name}: leave ${left.name}`),
        fail: (failed) => told.push(`${name}: fail ${failed.name}`),
        event: ({ name: event, payload, coalesced }) => {
          heard.push(`${name}: ${event} ${textOf(payload)}${coalesced ? ", the last" : ""}`);
        },
        query: ({ name: asked, payload, from, respond }) => {
          heard.push(`${name}: ${asked} ${textOf(payload)} of ${from}`);
          if (asked === "who") void respond(`ours ${name}`);
        },
      },
    });
    ours.set(name, member);
    return member;
  };
  const statusAt = (observer: string, name: string) =>
    our(observer)
      .members()
      .find((member) => member.name === name)?.status;
  const everybodyAlive = async (): Promise<boolean> => {
    const views: { name: string; status: string }[][] = [];
    for (const member of ours.values()) views.push([...member.members()]);
    for (const agent of agents) views.push(await agent.members());
    return views.every((view) => {
      const alive = view.filter(({ status }) => status === "alive");
      return (
        alive
          .map(({ name }) => name)
          .sort()
          .join() === names.toSorted().join()
      );
    });
  };

  beforeAll(async () => {
    const first = await startAgent("alpha", ["-tag", "role=web", ...handlersOf("alpha")]);
    await startAgent("beta", [`-join=${first.address}`, ...handlersOf("beta")]);
    await startAgent("gamma", [`-join=${first.address}`]);
    const one = await openOurs("one", first.address);
    await openOurs("two", one.localAddr);
    await openOurs("three", agentAt(2).address);
  });
  afterAll(async () => {
    for (const member of ours.values()) await member.stop();
    for (const agent of agents) await agent.kill();
    killed?.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  test("see all and are seen by all, with tags, for a minute", { timeout: 120_000 }, async () => {
    await until(everybodyAlive, 40_000);
    for (let check = 0; check < 12; check++) {
      await sleep(5000);
      expect(await everybodyAlive()).toBe(true);
    }
    for (const agent of agents) {
      expect((await agent.member("two"))?.tags).toEqual({ kind: "ours", rpc_addr: "127.0.0.1:3" });
    }
    const seen = our("two").members();
    expect(seen.find(({ name }) => name === "alpha")?.tags).toEqual({ role: "web" });
    expect(told).toEqual([]);
    expect(agents.flatMap((agent) => agent.complaints())).toEqual([]);
    for (const member of ours.values()) expect(member.status().healthScore).toBe(0);
  });

  test("tell their new tags, and hear those of agents", async () => {
    await our("one").setTags({ kind: "ours", zone: "z1" });
    await until(async () => (await agentAt(1).member("one"))?.tags["zone"] === "z1", 5000);
    await agentAt(2).command("tags", "-set", "zone=z9");
    await until(() => {
      const gamma = our("two")
        .members()
        .find(({ name }) => name === "gamma");
      return gamma?.tags["zone"] === "z9";
    }, 5000);
  });

  test("hear of agents' events, and agents of ours, and of a burst the last", {
    timeout: 240_000,
  }, async () => {
    const everybody = [...ours.keys()];
    await agentAt(0).command("event", "-coalesce=false", "news", "from alpha");
    await our("two").userEvent("news", "from two", { coalesce: false });
    for (const count of ["1", "2", "3"])
      await agentAt(1).command("event", "burst", `beta ${count}`);
    const wanted = everybody.flatMap((name) => [
      `${name}: news from alpha`,
      `${name}: news from two`,
      `${name}: burst beta 3, the last`,
    ]);
    // Whom rumors pass by is told by a push/pull.
    await until(() => heard.length >= wanted.length, 60_000);
    expect(heard.toSorted()).toEqual(wanted.toSorted());
    heard.length = 0;
    for (const count of ["1", "2", "3"]) await our("one").userEvent("burst", `one ${count}`);
    const lines = (name: string) =>
      eventsOf(name)
        .split("\n")
        .filter((line) => line !== "")
        .sort();
    const atAgents = ["beta 3", "from alpha", "from two", "one 3"];
    for (const name of ["alpha", "beta"]) {
      await until(() => lines(name).length >= atAgents.length, 60_000);
      expect(lines(name)).toEqual(atAgents);
    }
    await until(() => heard.length >= everybody.length, 60_000);
    expect(heard.toSorted()).toEqual(
      everybody.map((name) => `${name}: burst one 3, the last`).sort(),
    );
  });

  test("answer agents' queries, and agents answer ours", { timeout: 180_000 }, async () => {
    heard.length = 0;
    interface Told {
      readonly Acks: readonly string[] | null;
      readonly Responses: Readonly<Record<string, string>> | null;
    }
    const askedBy = async (at: number, ...flags: string[]) => {
      const json = await agentAt(at).command("query", "-format", "json", ...flags, "who", "p");
      const { Acks, Responses } = JSON.parse(json) as Told;
      const answers = Object.entries(Responses ?? {}).map(
        ([name, text]) => `${name}: ${text.trim()}`,
      );
      return { acks: [...(Acks ?? [])].sort(), answers: answers.sort() };
    };
    const ofOurs = ["one", "three", "two"].map((name) => `${name}: ours ${name}`);
    const all = ["alpha: stock alpha", "beta: stock beta", ...ofOurs];
    await expectSoon(() => askedBy(0), { acks: names.toSorted(), answers: all });
    const heardOf = ["one", "three", "two"].map((at) => `${at}: who p of alpha`);
    expect([...new Set(heard)].sort()).toEqual(heardOf);
    const tagged = { acks: ["one", "three", "two"], answers: ofOurs };
    await expectSoon(() => askedBy(1, "-tag", "kind=^o.rs$"), tagged);
    const named = { acks: ["alpha", "two"], answers: [all[0], "two: ours two"] };
    await expectSoon(() => askedBy(2, "-node=two", "-node=alpha", "-relay-factor=2"), named);

    const askedByUs = async (options: QueryOptions) => {
      const query = await our("one").query("who", "q", { requestAck: true, ...options });
      const acks: string[] = [];
      const answers: string[] = [];
      for await (const reply of query) {
        if (reply.kind === "ack") acks.push(reply.from);
        else answers.push(`${reply.from}: ${textOf(reply.payload).trim()}`);
      }
      const { duplicates } = await query.ended;
      return { acks: acks.sort(), answers: answers.sort(), hasRelayed: duplicates > 0 };
    };
    const everybody = { acks: names.toSorted(), answers: all };
    await expectSoon(() => askedByUs({}), { ...everybody, hasRelayed: false });
    // Each answer comes again by others, stock agents among them.
    await expectSoon(() => askedByUs({ relayFactor: 3 }), { ...everybody, hasRelayed: true });
    const web = { acks: ["alpha"], answers: [all[0]], hasRelayed: false };
    await expectSoon(() => askedByUs({ filterTags: { role: "^web$" } }), web);
    await expectSoon(() => askedByUs({ filterNodes: ["alpha", "none"] }), web);
  });

  test("are reached, say agents, and members of ours", { timeout: 60_000 }, async () => {
    const successOf = async () => {
      const said = await agentAt(0).command("reachability");
      return said.includes("Successfully contacted all live nodes");
    };
    await expectSoon(successOf, true);
    const ackedAtTwo = async () => {
      const query = await our("two").query("_serf_ping", "", { requestAck: true });
      return await query.ended;
    };
    await expectSoon(ackedAtTwo, { acks: 6, answers: 0, duplicates: 0, unread: 0 });
    expect(agents.flatMap((agent) => agent.complaints())).toEqual([]);
    for (const member of ours.values()) expect(member.status().dropped).toEqual({});
  });

  test("leave, and see agents leave, in good order", async () => {
    await our("three").leave();
    await our("three").stop();
    ours.delete("three");
    await until(async () => (await agentAt(0).member("three"))?.status === "left", 5000);
    await agentAt(1).command("leave");
    await until(() => told.length === 4, 5000);
    expect(told.toSorted()).toEqual(
      ["one: leave beta", "one: leave three", "two: leave beta", "two: leave three"].toSorted(),
    );
    const complaints = agents.flatMap((agent) => agent.complaints());
    expect(complaints.filter((line) => !line.includes("Serf shutdown detected"))).toEqual([]);
  });

  test("that say nothing more are failed to agents, and agents to us", {
    timeout: 180_000,
  }, async () => {
    twoWas = our("two").localAddr;
    await our("two").stop();
    ours.delete("two");
    const bound = detectionMsMax(6);
    await until(async () => (await agentAt(0).member("two"))?.status === "failed", bound);
    killed = spawnMember("killed", agentAt(0).address);
    await until(() => statusAt("one", "killed") === "alive", 10_000);
    killed.kill("SIGKILL");
    await until(async () => (await agentAt(0).member("killed"))?.status === "failed", bound);
    await until(() => statusAt("one", "killed") === "failed", bound);
    await agentAt(2).kill();
    await until(() => statusAt("one", "gamma") === "failed", bound);
    const fails = told.filter((event) => event.includes("fail"));
    expect(fails).toEqual(["one: fail two", "one: fail killed", "one: fail gamma"]);
  });

  test("come back, whether they had failed or left", async () => {
    // Agents give a failed member's name to nobody at another address, a left one's to anybody.
    await openOurs("two", agentAt(0).address, twoWas);
    await openOurs("three", agentAt(0).address);
    for (const name of ["two", "three"]) {
      await until(async () => (await agentAt(0).member(name))?.status === "alive", 5000);
      await until(() => statusAt("one", name) === "alive", 5000);
    }
  });

  test("force-leave a failed agent, and an agent does one of ours", async () => {
    await our("one").forceLeave("gamma");
    await until(async () => (await agentAt(0).member("gamma"))?.status === "left", 5000);
    await our("three").stop();
    ours.delete("three");
    await until(() => statusAt("one", "three") === "failed", detectionMsMax(6));
    await until(async () => (await agentAt(0).member("three"))?.status === "failed", 5000);
    await agentAt(0).command("force-leave", "three");
    await until(() => statusAt("one", "three") === "left", 5000);
  });
});

describe.skipIf(isExcused)("a push/pull of 200 kB", () => {
  test("is read from a stock agent, and by one", { timeout: 60_000 }, async () => {
    if ("problem" in serf) throw new Error(serf.problem);
    const agent = await SerfAgent.start(serf.path, "big");
    const ip = parseIp("127.0.0.1") ?? EMPTY_BYTES;
    const nodes = Array.from(
      { length: 400 },
      (_, at): NodeRecord => ({
        node: `filler-${String(at).padStart(4, "0")}` as NodeId,
        address: { ip, port: 40_000 + at },
        incarnation: 1 as Incarnation,
        meta: encodeTags(new Map([["filler", "x".repeat(480)]])),
        state: "alive",
        versions: OUR_VERSIONS,
      }),
    );
    const bytes = encodeStream(
      { kind: "push-pull", join: true, nodes, nodesDropped: 0, serf: null },
      { compress: false },
    );
    expect(bytes.length).toBeGreaterThan(200_000);
    const [, port] = agent.address.split(":");
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(freeze(bytes)));
    socket.resume();
    let member: Membership | null = null;
    try {
      await until(async () => (await agent.members()).length === 401, 10_000);
      member = await createMembership({
        nodeName: "reader",
        bindAddr: "127.0.0.1:0",
        startJoinAddrs: [agent.address],
      });
      // Those that the agent has found out to be dead by now are unknown to who comes later.
      expect(member.members().length).toBeGreaterThan(380);
      expect(member.members().find(({ name }) => name === "filler-0399")?.tags).toEqual({
        filler: "x".repeat(480),
      });
      expect((await agent.member("reader"))?.status).toBe("alive");
    } finally {
      socket.destroy();
      await member?.stop();
      await agent.kill();
    }
  });
});
