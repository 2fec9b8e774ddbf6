// Three real agents on loopback: kills, clean stops, refusals. What a simulator cannot see:
// sockets, TLS, a real disk, signals, locks.

import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority, createClientCertificate } from "../../src/cli/certs.ts";
import { certificateFolder, LocalCluster } from "../../src/cli/local-cluster.ts";
import { findFreePorts } from "../../src/cli/ports.ts";
import { clusterIdOf } from "../../src/cli/settings.ts";
import { type CairnClient, connect } from "../../src/client/client.ts";
import { cairn, mainFile, start, useFolder, useProgram } from "./program.ts";

useProgram();
const folder = useFolder();
const certs = certificateFolder(folder);
const died: string[] = [];
let cluster: LocalCluster;

beforeAll(async () => {
  cluster = await LocalCluster.create({
    folder,
    mainFile,
    clusterId: clusterIdOf("e2e"),
    electionTimeoutMs: 300,
    died: (_name, line) => died.push(line),
  });
  await cluster.startAll();
});
afterAll(() => cluster.stopAll());

function addresses(names: readonly string[] = cluster.names): string[] {
  return names.map((name) => cluster.addressOf(name));
}

async function withClient<Result>(
  run: (client: CairnClient) => Promise<Result>,
  names: readonly string[] = cluster.names,
): Promise<Result> {
  const { ca, subjects } = cluster.profile();
  const { cert, key } = subjects["root"] ?? { cert: "", key: "" };
  const credentials = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
  const client = connect({ addresses: addresses(names), credentials });
  try {
    return await run(client);
  } finally {
    client.close();
  }
}

/** The values from `from` to the end of the log, as one node has them: waits until it has them. */
function valuesAt(name: string, from: number, end: number): Promise<string[]> {
  return withClient(
    async (client) => {
      const values: string[] = [];
      for await (const { value } of client.read({ from, follow: true, limit: end - from })) {
        values.push(Buffer.from(value).toString());
      }
      return values;
    },
    [name],
  );
}

async function leaderOf(client: CairnClient): Promise<string> {
  await client.checkTail();
  const name = cluster.names.find((each) => cluster.addressOf(each) === client.leader);
  if (name === undefined) throw new Error(`no member has the leader's address ${client.leader}`);
  return name;
}

function logOf(name: string): Record<string, unknown>[] {
  const lines = readFileSync(path.join(folder, `${name}.log`), "utf8")
    .trim()
    .split("\n");
  return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}

function flagsOf(name: string, port: number): string[] {
  return [
    ...["--node-name", name, "--certs-dir", certs, "--data-dir", path.join(folder, name)],
    ...["--peers", `${name}=127.0.0.1:${port}`],
  ];
}

describe("a cluster of three agents", () => {
  test("goes on when its leader is killed, and the killed one comes back with the same log", async () => {
    const values = Array.from({ length: 60 }, (_, at) => `value ${at}`);
    await withClient(async (client) => {
      const victim = await leaderOf(client);
      const offsets: number[] = [];
      const from = await client.checkTail();
      let killed: Promise<void> | null = null;
      for (const [at, value] of values.entries()) {
        const appended = client.append([{ value }]);
        if (at === 30) killed = cluster.end(victim, "SIGKILL");
        offsets.push((await appended).offset);
      }
      await killed;
      expect(offsets).toEqual(values.map((_, at) => from + at));
      expect(await leaderOf(client)).not.toBe(victim);
      await cluster.start(victim);
      for (const name of cluster.names) {
        expect(await valuesAt(name, from, from + values.length), name).toEqual(values);
      }
      expect(logOf(victim).findLast(({ msg }) => msg === "log-opened")).toMatchObject({
        cleanStop: false,
      });
    });
  });

  test("loses nothing when all three are killed at once and started again at once", async () => {
    const { offset, end } = await withClient(async (client) => {
      const appended = await client.append([{ value: "before the kill" }]);
      return { offset: appended.offset, end: appended.offset + 1 };
    });
    await Promise.all(cluster.names.map((name) => cluster.end(name, "SIGKILL")));
    await cluster.startAll();
    expect(await withClient((client) => client.checkTail())).toBe(end);
    for (const name of cluster.names) {
      expect(await valuesAt(name, offset, end), name).toEqual(["before the kill"]);
    }
  });

  test("stops cleanly on SIGTERM and says so at the next start", async () => {
    const name = await withClient(leaderOf);
    await cluster.end(name, "SIGTERM");
    expect(logOf(name).at(-1)).toMatchObject({ msg: "stopped", level: "info" });
    await withClient((client) => client.append([{ value: "while one was away" }]));
    await cluster.start(name);
    const opened = logOf(name).findLast(({ msg }) => msg === "log-opened");
    expect(opened).toMatchObject({ cleanStop: true, tornBytes: 0 });
    expect(died).toEqual([]);
  });

  test("says which index is active", () => {
    for (const name of cluster.names) {
      const serving = logOf(name).findLast(({ msg }) => msg === "serving");
      expect(["mmap", "file"]).toContain(serving?.["index"]);
    }
  });
});

describe("access", () => {
  const asClient = (subject: string, directory = certs) => [
    ...["--certs-dir", directory, "--as", subject, "--addr", addresses().join(",")],
  ];

  test("root may, nobody may neither produce nor consume", async () => {
    const root = await cairn(["produce", ...asClient("root")], { input: "by root\n" });
    expect(root).toMatchObject({ code: 0 });
    const produced = await cairn(["produce", ...asClient("nobody")], { input: "x\n" });
    expect(produced.code).toBe(1);
    expect(produced.stderr).toContain("nobody not permitted to produce to * [permission-denied]");
    const consumed = await cairn(["consume", "--count", "1", ...asClient("nobody")]);
    expect(consumed).toMatchObject({ code: 1, stdout: "" });
    expect(consumed.stderr).toContain("nobody not permitted to consume to * [permission-denied]");
  });

  test("a root of another authority gets no connection", async () => {
    const strange = path.join(folder, "strange");
    const authority = await createAuthority(strange, "Somebody else's CA");
    await createClientCertificate(authority, strange, "root");
    const refused = await cairn(["members", ...asClient("root", strange)]);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toContain("no member answers");
  });
});

describe("a data directory", () => {
  test("in use is refused to a second agent, and the first goes on", async () => {
    const [port = 0] = await findFreePorts(1);
    const pid = cluster.pidOf("n1");
    const second = await cairn(["agent", ...flagsOf("n1", port)]);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(
      new RegExp(`^cairn: data-dir: data directory .*n1 is in use by the process with pid ${pid}`),
    );
    expect(cluster.pidOf("n1")).toBe(pid);
    await withClient((client) => client.append([{ value: "still here" }]));
  });

  test("of another cluster, or of another node, is refused with both names", async () => {
    await cluster.end("n3", "SIGTERM");
    const [port = 0] = await findFreePorts(1);
    const own = clusterIdOf("e2e");
    const other = clusterIdOf("name elsewhere");
    const foreign = await cairn(["agent", ...flagsOf("n3", port), "--cluster-id", "elsewhere"]);
    expect(foreign.code).toBe(1);
    expect(foreign.stderr).toContain(
      `node n3 of cluster ${own}, not to node n3 of cluster ${other}`,
    );
    const flags = [...flagsOf("n2", port), "--data-dir", path.join(folder, "n3")];
    const misplaced = await cairn(["agent", ...flags, "--cluster-id", own]);
    expect(misplaced.code).toBe(1);
    expect(misplaced.stderr).toContain(
      `node n3 of cluster ${own}, not to node n2 of cluster ${own}`,
    );
    await cluster.start("n3");
  });

  test("that is empty becomes a cluster's first only when somebody says so", async () => {
    const [port = 0] = await findFreePorts(1);
    const empty = path.join(folder, "empty");
    const flags = ["--data-dir", empty, "--node-name", "n1", "--rpc-port", String(port)];
    flags.push("--election-timeout-ms", "100");
    const refused = await cairn(["agent", ...flags]);
    expect(refused.code).toBe(64);
    expect(refused.stderr).toContain(`data-dir: ${empty} is empty, and no cluster is named`);
    const first = start(["agent", ...flags, "--bootstrap"], { env: { CAIRN_INDEX: "file" } });
    await first.says(/"index":"file"[^\n]*"msg":"serving"/);
    await first.says(/"msg":"no-transport-security"/);
    await first.says(/"msg":"became-leader"/);
    // Without certificates nobody can say who they are, and so nobody may do anything.
    const stranger = connect({ addresses: [`127.0.0.1:${port}`] });
    await expect(stranger.append([{ value: "x" }])).rejects.toMatchObject({
      code: "unauthenticated",
    });
    stranger.close();
    first.child.kill("SIGTERM");
    expect(await first.ended).toMatchObject({ code: 0 });
    const again = start(["agent", ...flags]);
    await again.says(/"msg":"became-leader"/);
    again.child.kill("SIGTERM");
    expect(await again.ended).toMatchObject({ code: 0 });
  });
});

describe("an agent", () => {
  test("whose port is taken says so in one line", async () => {
    const port = Number(cluster.addressOf("n1").split(":")[1]);
    const flags = ["--data-dir", path.join(folder, "late"), "--node-name", "n1"];
    const late = await cairn(["agent", ...flags, "--bootstrap", "--rpc-port", String(port)]);
    expect(late.code).toBe(1);
    expect(late.stderr).toMatch(
      /^cairn: rpc-port: cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
    );
    expect(late.stderr.trim().split("\n")).toHaveLength(1);
  });

  test("with a wrong policy, certificate or setting says which and does not start", async () => {
    const flags = ["--data-dir", path.join(folder, "wrong"), "--node-name", "n1", "--bootstrap"];
    const policy = await cairn(["agent", ...flags, "--acl-policy-file", "/nowhere/policy.csv"]);
    expect(policy).toMatchObject({
      code: 64,
      stderr: "cairn: acl-policy-file: cannot read /nowhere/policy.csv: ENOENT\n",
    });
    const noCertificate = await cairn(["agent", ...flags, "--certs-dir", "/nowhere"]);
    expect(noCertificate).toMatchObject({
      code: 64,
      stderr: "cairn: server-tls-cert-file: cannot read /nowhere/n1.pem: ENOENT\n",
    });
    const key = await cairn(["agent", ...flags], { env: { CAIRN_RPC_PORT: "x" } });
    expect(key).toMatchObject({
      code: 64,
      stderr: 'cairn: rpc-port: expected a port from 1 to 65535, got "x" (CAIRN_RPC_PORT)\n',
    });
  });
});
