// The way out of a lost quorum, with real agents: two of three are lost for good, a cluster of one
// is made of what the third has, serves all of it, and has nothing to do with the old one.
import { existsSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { certificateFolder, LocalCluster } from "../../src/cli/local-cluster.ts";
import { findFreePorts } from "../../src/cli/ports.ts";
import { clusterIdOf } from "../../src/cli/settings.ts";
import { type CairnClient, connect } from "../../src/client/client.ts";
import { cairn, mainFile, type Running, start, useFolder, useProgram } from "./program.ts";

useProgram();
const folder = useFolder();
const clusterId = clusterIdOf("lost");
const values = Array.from({ length: 300 }, (_, at) => `value ${at} ${"x".repeat(at)}`);
let cluster: LocalCluster;

beforeAll(async () => {
  const died = () => undefined;
  cluster = await LocalCluster.create({
    folder,
    mainFile,
    clusterId,
    electionTimeoutMs: 300,
    died,
  });
  await cluster.startAll();
  await withClient(cluster.addressOf("n1"), async (client) => {
    for (let at = 0; at < values.length; at += 10) {
      await client.append(values.slice(at, at + 10).map((value) => ({ value })));
    }
  });
});
afterAll(() => cluster.stopAll());

const directoryOf = (name: string) => path.join(folder, name);

async function withClient<Result>(
  address: string,
  run: (client: CairnClient) => Promise<Result>,
): Promise<Result> {
  const { ca, subjects } = cluster.profile();
  const { cert, key } = subjects["root"] ?? { cert: "", key: "" };
  const credentials = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
  const client = connect({ addresses: [address], credentials });
  try {
    return await run(client);
  } finally {
    client.close();
  }
}

async function valuesFrom(address: string, count: number): Promise<string[]> {
  return withClient(address, async (client) => {
    const found: string[] = [];
    for await (const { value } of client.read({ from: 0, follow: true, limit: count })) {
      found.push(Buffer.from(value).toString());
    }
    return found;
  });
}

/** Every file with its size and the time it was changed. */
function looksOf(directory: string): string[] {
  return readdirSync(directory)
    .filter((file) => !file.startsWith("."))
    .map((file) => {
      const { size, mtimeMs } = statSync(path.join(directory, file));
      return `${file} ${size} ${mtimeMs}`;
    });
}

interface Place {
  readonly port: number;
  readonly gossip: number;
  /** Gossip ports of those it shall find. */
  readonly joins?: readonly number[];
}

function startOne(name: string, clusterName: string, directory: string, place: Place): Running {
  const { port, gossip, joins = [] } = place;
  const flags = ["--node-name", name, "--cluster-id", clusterName, "--data-dir", directory];
  flags.push("--certs-dir", certificateFolder(folder), "--rpc-port", String(port));
  flags.push("--bind-addr", `127.0.0.1:${gossip}`, "--election-timeout-ms", "300");
  for (const other of joins) flags.push("--start-join-addrs", `127.0.0.1:${other}`);
  return start(["agent", ...flags]);
}

async function endOf(agent: Running): Promise<void> {
  agent.child.kill("SIGTERM");
  expect(await agent.ended).toMatchObject({ code: 0 });
}

test("a cluster of one is made of the directory that is left, and the old ones stay out", async () => {
  const left = directoryOf("n3");
  const into = path.join(folder, "anew");

  const inUse = await cairn(["recover", left, "--yes", "--into", into]);
  expect(inUse).toMatchObject({ code: 1, stdout: "" });
  expect(inUse.stderr).toMatch(/n3 is in use by the process with pid \d+: stop it first/);

  await cluster.end("n3", "SIGKILL");
  const isReached = await cairn(["recover", left, "--yes", "--into", into]);
  expect(isReached).toMatchObject({ code: 1, stdout: "" });
  expect(isReached.stderr).toContain("n1 and n2 and n3 are a quorum: start them");
  expect(isReached.stderr).toContain(`n1 answers at ${cluster.addressOf("n1")}`);

  await cluster.end("n1", "SIGKILL");
  await cluster.end("n2", "SIGKILL");
  const areTwo = await cairn(["recover", left, directoryOf("n2"), "--yes", "--into", into]);
  expect(areTwo).toMatchObject({ code: 1, stdout: "" });
  expect(areTwo.stderr).toContain("n2 and n3 are a quorum: start them");

  renameSync(directoryOf("n1"), path.join(folder, "lost-n1"));
  const before = looksOf(left);
  const isAsked = await cairn(["recover", left, "--into", into]);
  expect(isAsked).toMatchObject({ code: 64, stdout: "" });
  expect(isAsked.stderr).toMatch(/What may be lost:\n {2}records from offset 300 on, if n1 and n2/);
  expect(isAsked.stderr).toContain("nothing was written: say --yes");
  expect(existsSync(into)).toBe(false);

  const made = await cairn(["recover", left, "--into", into, "--yes", "--json"]);
  expect(made.code, made.stderr).toBe(0);
  const said = JSON.parse(made.stdout);
  expect(said).toMatchObject({
    directory: into,
    from: { clusterId, nodeName: "n3", endOffset: 300 },
    to: { nodeName: "n3", term: expect.any(Number) },
    members: ["n1", "n2", "n3"],
  });
  expect(said.to.clusterId).toMatch(/^[0-9a-f]{32}$/);
  expect(said.to.clusterId).not.toBe(clusterId);
  expect(said.to.term).toBeGreaterThan(said.from.lastTerm);
  expect(looksOf(left)).toEqual(before);
  const { directory: _, ...record } = said;
  expect(JSON.parse(readFileSync(path.join(into, "recovered.json"), "utf8"))).toEqual(record);

  const address = cluster.addressOf("n3");
  const port = Number(address.split(":").at(-1));
  const [gossip = 0, other = 0, otherGossip = 0] = await findFreePorts(3);
  const agent = startOne("n3", said.to.clusterId, into, { port, gossip });
  await agent.says(/"msg":"became-leader"/);
  expect(await valuesFrom(address, values.length)).toEqual(values);
  await withClient(address, (client) => client.append([{ value: "afterwards" }]));

  // A member of the old cluster, which still knows this address, and means no harm.
  await cluster.start("n2");
  await agent.says(new RegExp(`n2 is of cluster ${clusterId}, this is ${said.to.clusterId}`));
  await cluster.end("n2", "SIGTERM");
  const place = { port: other, gossip: otherGossip, joins: [gossip] };
  const refused = await startOne("n2", said.to.clusterId, directoryOf("n2"), place).ended;
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(`node n2 of cluster ${clusterId}, not to node n2`);
  expect(await valuesFrom(address, values.length + 1)).toEqual([...values, "afterwards"]);

  // Two voters again: an empty node that finds the new cluster is admitted to it.
  const newcomer = startOne("n2", said.to.clusterId, path.join(folder, "empty"), place);
  await agent.says(/"kind":"add","member":"n2","msg":"discovery-change"/);
  expect(await valuesFrom(`127.0.0.1:${other}`, values.length + 1)).toHaveLength(301);
  await endOf(newcomer);
  await endOf(agent);
}, 120_000);
