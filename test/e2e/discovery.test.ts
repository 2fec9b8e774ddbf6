// Real agents that find each other by gossip alone: no list of members anywhere.

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

function run(name: string, ...more: string[]): Running {
  const agent = start([
    "agent",
    ...["--node-name", name, "--data-dir", path.join(folder, name), "--certs-dir", certs],
    ...["--bind-addr", gossipOf(name), "--rpc-port", String(rpcOf(name))],
    ...["--start-join-addrs", gossipOf("n1"), "--election-timeout-ms", "300", ...more],
  ]);
  agents.set(name, agent);
  return agent;
}

const as = (name: string) => {
  return ["--certs-dir", certs, "--as", "root", "--addr", `127.0.0.1:${rpcOf(name)}`];
};

interface Row {
  readonly id: string;
  readonly role: string;
  readonly standing: string;
  readonly lag: number | null;
}

async function membersSeenBy(name: string): Promise<Row[]> {
  const { stdout } = await cairn(["members", "--json", ...as(name)]);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
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

  run("n4");
  await anybodySays(/"kind":"add","member":"n4","msg":"discovery-change"/);
  const rows = await membersSeenBy("n4");
  expect(rows.map(({ id, standing }) => `${id} ${standing}`)).toEqual(
    names.map((name) => `${name} voter`),
  );
  expect(rows.every(({ lag }) => lag !== null)).toBe(true);
  const consumed = await cairn(["consume", "--count", "2", ...as("n4")]);
  expect(consumed.stdout).toBe("one\ntwo\n");
}, 60_000);

test("a member that leaves is removed and stops, and joins again when it is started again", async () => {
  const left = await cairn(["leave", "n4", ...as("n2")]);
  expect(left).toMatchObject({ code: 0, stdout: "n4 has left and stops\n" });
  expect(await agents.get("n4")?.ended).toMatchObject({ code: 0 });
  expect((await membersSeenBy("n1")).map(({ id }) => id)).toEqual(["n1", "n2", "n3"]);

  agents.delete("n4");
  const alive = await cairn(["force-leave", "nobody", ...as("n1")]);
  expect(alive.code).toBe(1);
  expect(alive.stderr).toContain("no member of that name is known here");
  run("n4");
  const deadline = performance.now() + 20_000;
  while ((await membersSeenBy("n1")).length < names.length) {
    if (performance.now() > deadline) throw new Error("n4 was not admitted again");
  }
}, 60_000);
