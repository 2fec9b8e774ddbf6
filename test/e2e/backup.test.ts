// A backup of a running cluster, with real agents and a writer that does not stop: what was
// acknowledged before it is in it, it is whole or no backup, and a cluster made of it goes on.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { certificateFolder, LocalCluster } from "../../src/cli/local-cluster.ts";
import { findFreePorts } from "../../src/cli/ports.ts";
import { clusterIdOf } from "../../src/cli/settings.ts";
import { type CairnClient, connect } from "../../src/client/client.ts";
import { cairn, mainFile, start, useFolder, useProgram } from "./program.ts";

useProgram();
const folder = useFolder();
const clusterId = clusterIdOf("kept");
let cluster: LocalCluster;
let client: CairnClient;
/** Values by offset, as acknowledged. */
const acknowledged: string[] = [];

beforeAll(async () => {
  const died = () => undefined;
  const options = { folder, mainFile, clusterId, electionTimeoutMs: 300, died };
  cluster = await LocalCluster.create(options);
  await cluster.startAll();
  client = connectTo(cluster.addressOf("n1"));
});
afterAll(async () => {
  client.close();
  await cluster.stopAll();
});

const inFolder = (name: string) => path.join(folder, name);

function connectTo(address: string): CairnClient {
  const { ca, subjects } = cluster.profile();
  const { cert, key } = subjects["root"] ?? { cert: "", key: "" };
  const credentials = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
  return connect({ addresses: [address], credentials });
}

async function append(count: number): Promise<void> {
  const values = Array.from({ length: count }, (_, at) => {
    return `value ${acknowledged.length + at} ${"x".repeat(at % 300)}`;
  });
  const { offset } = await client.append(values.map((value) => ({ value })));
  expect(offset).toBe(acknowledged.length);
  acknowledged.push(...values);
}

function backup(...more: string[]) {
  const flags = ["--addr", cluster.addressOf("n2"), "--certs-dir", certificateFolder(folder)];
  return cairn(["backup", ...flags, ...more]);
}

async function valuesFrom(from: CairnClient, count: number): Promise<string[]> {
  const found: string[] = [];
  for await (const { value } of from.read({ from: 0, follow: true, limit: count })) {
    found.push(Buffer.from(value).toString());
  }
  return found;
}

test("a backup that is taken while writers write becomes a cluster that goes on", async () => {
  for (let round = 0; round < 30; round++) await append(100);
  const before = acknowledged.length;
  let isWriting = true;
  const writer = (async () => {
    while (isWriting) await append(20);
  })();
  const taken = await backup("--to", inFolder("monday"), "--json", "--rate", "2M");
  isWriting = false;
  await writer;
  expect(taken.code, taken.stderr).toBe(0);
  const said = JSON.parse(taken.stdout);
  expect(said).toMatchObject({ clusterId, nodeName: "n2", baseIndex: 0, startOffset: 0 });
  expect(said.endOffset).toBeGreaterThanOrEqual(before);
  expect(said.endOffset).toBeLessThanOrEqual(acknowledged.length);

  const verified = await cairn(["backup", "verify", inFolder("monday"), "--json"]);
  expect(JSON.parse(verified.stdout)).toMatchObject({ whole: true, endOffset: said.endOffset });

  const into = inFolder("anew");
  const restored = await cairn(["restore", inFolder("monday"), into, "--json"]);
  expect(restored.code, restored.stderr).toBe(0);
  const { directory, to, ...record } = JSON.parse(restored.stdout);
  expect([directory, record.backup.clusterId]).toEqual([into, clusterId]);
  expect(to.clusterId).not.toBe(clusterId);
  expect(to.term).toBeGreaterThan(said.term);
  expect(readdirSync(into)).toContain("recovered.json");

  const [port = 0, gossip = 0] = await findFreePorts(2);
  const flags = ["--node-name", "n2", "--cluster-id", to.clusterId, "--data-dir", into];
  flags.push("--certs-dir", certificateFolder(folder), "--rpc-port", String(port));
  flags.push("--bind-addr", `127.0.0.1:${gossip}`, "--election-timeout-ms", "300");
  const agent = start(["agent", ...flags]);
  await agent.says(/"msg":"became-leader"/);
  const other = connectTo(`127.0.0.1:${port}`);
  expect(await valuesFrom(other, said.endOffset)).toEqual(acknowledged.slice(0, said.endOffset));
  const { offset } = await other.append([{ value: "afterwards" }]);
  expect(offset).toBe(said.endOffset);
  other.close();
  agent.child.kill("SIGTERM");
  expect(await agent.ended).toMatchObject({ code: 0 });
}, 60_000);

test("a backup goes through a pipe into a restore, as a tar stream", async () => {
  const run = `"${process.execPath}" "${mainFile}"`;
  const flags = `--addr ${cluster.addressOf("n3")} --certs-dir "${certificateFolder(folder)}"`;
  const named = "--node-name n7 --address 10.0.0.7:8400 --json";
  const shell = `${run} backup ${flags} --to - | tee stream.tar | ${run} restore - seven ${named}`;
  const piped = spawnSync("sh", ["-c", shell], { cwd: folder, encoding: "utf8" });
  expect(piped.status, piped.stderr).toBe(0);
  expect(piped.stderr).toContain("standard output: the log of n3 up to entry ");
  const restored = JSON.parse(piped.stdout);
  expect(restored).toMatchObject({ address: "10.0.0.7:8400", to: { nodeName: "n7" } });
  expect(restored.backup.endOffset).toBe(acknowledged.length);
  const listed = spawnSync("tar", ["tf", "stream.tar"], { cwd: folder, encoding: "utf8" });
  const files = ["cairn-backup/00000000000000000001.store", "cairn-backup/backup.json", ""];
  expect(listed.stdout.split("\n")).toEqual(files);
}, 60_000);

test("a backup that is interrupted leaves nothing that looks like one", async () => {
  const flags = ["--addr", cluster.addressOf("n1"), "--certs-dir", certificateFolder(folder)];
  const to = inFolder("tuesday");
  const slow = start(["backup", ...flags, "--to", to, "--rate", "64K"]);
  await until(() => existsSync(`${to}.unfinished`));
  slow.child.kill("SIGINT");
  expect(await slow.ended).toMatchObject({ code: 130, stdout: "" });
  expect([existsSync(to), existsSync(`${to}.unfinished`)]).toEqual([false, false]);
}, 60_000);

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!holds() && Date.now() < deadline) await new Promise((go) => setTimeout(go, 20));
  expect(holds()).toBe(true);
}
