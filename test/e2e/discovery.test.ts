// Real agents that find each other by gossip alone: no list of members anywhere. The tests go on
// where the one before stopped: one cluster, and what its operator does to it.

import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, expect, test } from "vitest";

import { findFreePorts } from "../../src/cli/ports.ts";
import { cairn, type Running, start, useFolder, useProgram } from "./program.ts";

useProgram();
const folder = useFolder();
const certs = path.join(folder, "certs");
const names = ["n1", "n2", "n3", "n4"];
const agents = new Map<string, Running>();
let ports: number[] = [];

beforeAll(async () => {
  ports = await findFreePorts(2 * names.length);
  expect(await cairn(["certs", "init", "--dir", certs])).toMatchObject({ code: 0 });
  for (const args of [
    ...names.map((name) => ["node", name, "--host", "127.0.0.1"]),
    ["client", "root"],
  ]) {
    expect(await cairn(["certs", ...args, "--dir", certs])).toMatchObject({ code: 0 });
  }
});

const rpcOf = (name: string) => ports[2 * names.indexOf(name)];
const gossipOf = (name: string) => `127.0.0.1:${ports[2 * names.indexOf(name) + 1]}`;
const dataOf = (name: string) => path.join(folder, name);

/** At other ports from now on. */
async function move(name: string, { gossip }: { gossip: boolean }): Promise<void> {
  const fresh = await findFreePorts(2);
  const place = 2 * names.indexOf(name);
  ports[place] = fresh[0] ?? 0;
  if (gossip) ports[place + 1] = fresh[1] ?? 0;
}

function run(name: string, ...more: string[]): Running {
  const contacts = names.map(gossipOf).join(",");
  const agent = start([
    "agent",
    ...["--node-name", name, "--data-dir", dataOf(name), "--certs-dir", certs],
    ...["--bind-addr", gossipOf(name), "--rpc-port", String(rpcOf(name))],
    ...["--start-join-addrs", contacts, "--election-timeout-ms", "300", ...more],
  ]);
  agents.set(name, agent);
  return agent;
}

/** Returns when it is gone; it is nobody's to ask any more. */
async function end(name: string, signal: NodeJS.Signals): Promise<void> {
  const agent = agents.get(name);
  agents.delete(name);
  agent?.child.kill(signal);
  await agent?.ended;
}

const as = (name: string) => {
  return ["--certs-dir", certs, "--as", "root", "--addr", `127.0.0.1:${rpcOf(name)}`];
};

interface Row {
  readonly id: string;
  readonly address: string;
  readonly role: string;
  readonly standing: string;
  readonly gossip: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly lag: number | null;
}

async function membersSeenBy(name: string): Promise<Row[]> {
  return rowsOf(await cairn(["members", "--json", ...as(name)]));
}

function rowsOf({ stdout }: { stdout: string }) {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** Asks again and again until what `name` sees of the members is so. */
async function untilMembers(
  name: string,
  isSo: (rows: readonly Row[]) => boolean,
  seconds = 30,
): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const rows = await membersSeenBy(name);
    if (isSo(rows)) return;
    if (performance.now() > deadline) {
      throw new Error(`still ${JSON.stringify(rows)}: ${agents.get(name)?.output.slice(-3000)}`);
    }
  }
}

const isVoter = ({ standing }: Row) => standing === "voter";
const votersSeenBy = async (name: string) => (await membersSeenBy(name)).filter(isVoter);

const isVoterAt = (name: string) => (rows: readonly Row[]) => {
  const row = rows.find(({ id }) => id === name);
  return row?.standing === "voter" && row.address === `127.0.0.1:${rpcOf(name)}` && row.lag === 0;
};

/** Of its data directory, as the log has it. */
async function instanceOf(name: string, asked: string): Promise<string> {
  const [status] = rowsOf(await cairn(["status", "--json", ...as(asked)]));
  const members = (status?.members ?? []) as { name: string; instance: string }[];
  return members.find((member) => member.name === name)?.instance ?? "";
}

async function leaderSeenBy(name: string): Promise<string> {
  await untilMembers(name, (rows) => rows.some(({ role }) => role === "leader"));
  return (await membersSeenBy(name)).find(({ role }) => role === "leader")?.id ?? "";
}

/** Some agent says so: whichever leads. */
const anybodySays = (pattern: RegExp) => {
  return Promise.any([...agents.values()].map((agent) => agent.says(pattern)));
};

test("three agents found a cluster, a fourth joins it as a voter", async () => {
  for (const name of ["n1", "n2", "n3"]) run(name, "--bootstrap-expect", "3");
  await anybodySays(/"became-leader"/);
  const produced = await cairn(["produce", ...as("n2")], { input: "one\ntwo\n" });
  expect(produced).toMatchObject({ code: 0 });
  expect((await membersSeenBy("n3")).map(({ id }) => id)).toEqual(["n1", "n2", "n3"]);

  run("n4", "--tags", "zone=z1");
  await anybodySays(/"kind":"add","member":"n4","msg":"discovery-change"/);
  const rows = await membersSeenBy("n4");
  expect(rows.map(({ id, standing }) => `${id} ${standing}`)).toEqual(
    names.map((name) => `${name} voter`),
  );
  expect(rows.every(({ lag, gossip }) => lag !== null && gossip === "alive")).toBe(true);
  expect(rows.find(({ id }) => id === "n4")?.tags).toMatchObject({ zone: "z1", stage: "member" });
  const consumed = await cairn(["consume", "--count", "2", ...as("n4")]);
  expect(consumed.stdout).toBe("one\ntwo\n");
}, 60_000);

test("an operator is told how far members are from each other, or that none is named so", async () => {
  const rtt = (...args: string[]) => cairn(["rtt", ...args, ...as("n1")]);
  // Known once n1 has pinged them.
  while ((await rtt("n2", "n4")).code !== 0) await new Promise((soon) => setTimeout(soon, 200));
  const { from, to, ms } = JSON.parse((await rtt("n2", "n4", "--json")).stdout);
  expect([from, to]).toEqual(["n2", "n4"]);
  expect(ms).toBeGreaterThan(0);
  const told = await rtt("n2");
  expect(told.stdout).toMatch(/^n1 <-> n2: [\d.]+ ms, estimated\n$/);
  const stranger = await rtt("n9");
  expect(stranger).toMatchObject({ code: 1, stdout: "" });
  expect(stranger.stderr).toContain("no member is named n9");
}, 60_000);

test("an operator tells of events and asks all, and another watches what is heard", async () => {
  const watching = start(["event", "--watch", "--json", ...as("n4")]);
  await watching.says(/what n4 hears/);
  const told = await cairn(["event", "deploy", "v1", "--no-coalesce", ...as("n1")]);
  expect(told).toMatchObject({ code: 0, stdout: "deploy is under way\n" });
  await watching.says(/"kind":"event","name":"deploy","payload":"v1","time":1,"coalesced":false/);
  await anybodySays(/"event":"deploy","bytes":2,"eventTime":1,"msg":"gossip-event"/);

  const asked = await cairn(["query", "cairn:status", "--json", ...as("n2")]);
  expect(asked.code).toBe(0);
  const news = rowsOf(asked);
  const answers = news.filter(({ kind }) => kind === "answer");
  expect(answers.map(({ from }) => from).sort()).toEqual(names);
  expect(JSON.parse(answers[0].payload)).toMatchObject({ state: "serving" });
  expect(news.at(-1)).toEqual({ kind: "ended", acks: 4, answers: 4, duplicates: 0 });
  await watching.says(/"kind":"query","name":"cairn:status","payload":"","from":"n2"/);
  watching.child.kill("SIGINT");
  expect(await watching.ended).toMatchObject({ code: 0 });
}, 60_000);

test("an operator asks some of them, and whether all are reached", async () => {
  const some = ["--tag", "zone=^z1$", "--timeout", "1", "--relay-factor", "2"];
  const [version, reached, nobody] = await Promise.all([
    cairn(["query", "cairn:version", ...some, ...as("n2")]),
    cairn(["reachability", ...as("n3")]),
    cairn(["query", "x", "--node", "n9", "--timeout", "0.5", ...as("n2")]),
  ]);
  expect(version.stdout).toMatch(
    /^asked; .* 1 s\nack of n4\nanswer of n4: [\d.]+\n1 ack, 1 answer/,
  );
  const said = "4 acks of 4 members alive\nall members are reached\n";
  expect(reached).toMatchObject({ code: 0, stdout: said });
  expect(nobody).toMatchObject({ code: 1 });
  expect(nobody.stdout).toContain("0 acks, 0 answers");
}, 60_000);

test("an operator who asks what cannot be asked is told why", async () => {
  const [wrong, large] = await Promise.all([
    cairn(["query", "x", "--tag", "zone=(", ...as("n2")]),
    cairn(["event", "big", "x".repeat(600), ...as("n1")]),
  ]);
  expect(wrong.stderr).toContain("no regular expression (RE2)");
  expect(large.stderr).toContain("too long: shorten them");
}, 60_000);

test("a member that leaves is removed and stops, and joins again when it is started again", async () => {
  const left = await cairn(["leave", "n4", ...as("n2")]);
  expect(left).toMatchObject({ code: 0, stdout: "n4 has left and stops\n" });
  expect(await agents.get("n4")?.ended).toMatchObject({ code: 0 });
  const voters = await votersSeenBy("n1");
  expect(voters.map(({ id }) => id)).toEqual(["n1", "n2", "n3"]);
  await untilMembers("n1", (rows) => rows.find(({ id }) => id === "n4")?.gossip === "left");

  agents.delete("n4");
  const alive = await cairn(["force-leave", "nobody", ...as("n1")]);
  expect(alive.code).toBe(1);
  expect(alive.stderr).toContain("no member of that name is known here");
  run("n4");
  await untilMembers("n1", isVoterAt("n4"));
}, 60_000);

test("a member that is killed and comes back at another address is followed there", async () => {
  await end("n4", "SIGKILL");
  await move("n4", { gossip: false });
  run("n4");
  await anybodySays(/"kind":"add","member":"n4","msg":"discovery-change"/);
  await untilMembers("n1", isVoterAt("n4"));
  const consumed = await cairn(["consume", "--count", "2", ...as("n4")]);
  expect(consumed.stdout).toBe("one\ntwo\n");
}, 60_000);

test("a member whose directory is gone comes back as a new instance, under its old name", async () => {
  const before = await instanceOf("n4", "n1");
  await end("n4", "SIGKILL");
  rmSync(dataOf("n4"), { recursive: true });
  run("n4");
  await agents.get("n4")?.says(/"serving"/);
  const deadline = performance.now() + 30_000;
  while ([before, ""].includes(await instanceOf("n4", "n1"))) {
    if (performance.now() > deadline) throw new Error(`never swapped: ${before}`);
  }
  await untilMembers("n1", isVoterAt("n4"));
  const consumed = await cairn(["consume", "--count", "2", ...as("n4")]);
  expect(consumed.stdout).toBe("one\ntwo\n");
}, 60_000);

const CLEANUP = ["--dead-server-cleanup", "2", "--bind-addr"];
/** Listens everywhere, and says where others reach it. */
const runEverywhere = (name: string) => {
  const port = gossipOf(name).split(":")[1];
  return run(name, ...CLEANUP, `0.0.0.0:${port}`, "--advertise-addr", "127.0.0.1");
};

test("members that all come back at other addresses find each other again", async () => {
  for (const name of names) await end(name, "SIGTERM");
  for (const name of names) await move(name, { gossip: true });
  for (const name of names) runEverywhere(name);
  await anybodySays(/"became-leader"/);
  const produced = await cairn(["produce", ...as("n2")], { input: "three\n" });
  expect(produced).toMatchObject({ code: 0 });
  await untilMembers("n3", (rows) => names.every((name) => isVoterAt(name)(rows)));
}, 60_000);

test("a member that is gone for longer than the operator grants is removed", async () => {
  await end("n4", "SIGKILL");
  await anybodySays(/"kind":"remove","member":"n4","msg":"discovery-change"/);
  await untilMembers("n1", (rows) => rows.filter(isVoter).length === 3);
}, 60_000);

test("a member that comes while nobody leads is admitted by the next leader", async () => {
  const leader = await leaderSeenBy("n1");
  await end(leader, "SIGKILL");
  runEverywhere("n4");
  const other = names.find((name) => name !== leader) ?? "";
  await untilMembers(other, isVoterAt("n4"));
  runEverywhere(leader);
  await untilMembers(other, (rows) => names.every((name) => isVoterAt(name)(rows)));
}, 60_000);

test("three voters are kept, however long one of them is gone", async () => {
  const gone = names.find((name) => name !== "n1") ?? "";
  await end(gone, "SIGKILL");
  await untilMembers("n1", (rows) => rows.filter(isVoter).length === 3);
  const next = names.find((name) => name !== "n1" && agents.has(name)) ?? "";
  await end(next, "SIGKILL");
  const failed = (rows: readonly Row[]) => rows.find(({ id }) => id === next)?.gossip === "failed";
  await untilMembers("n1", failed);
  // Longer than the grace that the operator gave.
  const until = performance.now() + 3_000;
  while (performance.now() < until) expect(await votersSeenBy("n1")).toHaveLength(3);
  const refused = await cairn(["force-leave", "n1", ...as("n1")]);
  expect(refused.stderr).toContain("n1 is there, as far as gossip knows: use cairn leave n1");
  const forced = await cairn(["force-leave", next, "--prune", ...as("n1")]);
  expect(forced).toMatchObject({ code: 0, stdout: `${next} is declared gone and removed\n` });
  expect(await votersSeenBy("n1")).toHaveLength(2);
}, 60_000);

test("gossip that is encrypted from now on takes a new key while all run", async () => {
  for (const name of [...agents.keys()]) await end(name, "SIGTERM");
  const [first = "", second = ""] = [
    (await cairn(["keys", "generate"])).stdout.trim(),
    (await cairn(["keys", "generate"])).stdout.trim(),
  ];
  const voters = ["n1", "n4"];
  for (const name of voters) {
    const file = path.join(folder, `${name}-keys.json`);
    writeFileSync(file, JSON.stringify([first]));
    run(name, "--gossip-keyring-file", file);
  }
  await untilMembers("n1", (rows) => rows.filter(({ gossip }) => gossip === "alive").length === 2);
  const keys = (...args: string[]) => cairn(["keys", ...args, ...as("n1")]);
  expect(await keys("remove", first)).toMatchObject({ code: 1 });
  expect(await keys("install", second)).toMatchObject({ code: 0 });
  expect(await keys("use", second)).toMatchObject({ code: 0 });
  expect(await keys("remove", first)).toMatchObject({ code: 0 });
  const listed = await keys("list");
  expect(listed.stdout.split("\n")[1]).toBe(`${second}  2/2        2/2`);
  const rows = await membersSeenBy("n4");
  expect(rows.filter(({ gossip }) => gossip === "alive").map(({ id }) => id)).toEqual(voters);
}, 60_000);
