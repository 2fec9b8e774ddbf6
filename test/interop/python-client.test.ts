// A Python client on gRPC's C core, which knows the published .proto files only, against three real
// nodes over mutual TLS: log.v1 and cairn.v1, allowed and denied. On Debian's python3-grpcio;
// without that this fails under CAIRN_REQUIRE_ALL=1 and says so otherwise.

import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LocalCluster } from "../../src/cli/local-cluster.ts";
import { type CairnClient, connect } from "../../src/client/client.ts";
import { readClientPems } from "./client-pems.ts";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), "cairn-python-"));
const descriptors = path.join(folder, "cairn.binpb");
const program = path.join(repository, "test/interop/python/client.py");
const { python, problem } = findPython();

/** A Python that can import grpc, and the descriptors for it; or why there is none here. */
function findPython(): { python: string; problem: string | null } {
  const build = spawnSync("npx", ["buf", "build", "proto", "-o", descriptors], { cwd: repository });
  if (build.status !== 0) return { python: "", problem: String(build.stderr) };
  const tools = `${repository}scripts/ci-tools`;
  const look = `eval "$('${tools}' env)" && "$CAIRN_PYTHON" -c 'import grpc' && echo "$CAIRN_PYTHON"`;
  const found = spawnSync("bash", ["-c", look], { encoding: "utf8" });
  const lines = found.stdout.trim().split("\n");
  return { python: lines.at(-1) ?? "", problem: found.status === 0 ? null : found.stderr };
}

type Seen = Record<string, unknown>;

let cluster: LocalCluster;
let client: CairnClient;
let leader: string;

/** Runs one scenario at the leader and gives what it printed. */
async function run(scenario: string, as: "root" | "nobody" = "root", ...flags: string[]) {
  const { ca, subjects } = cluster.profile();
  const pems = subjects[as];
  if (pems === undefined) throw new Error(`no certificate for ${as}`);
  const { stdout } = await promisify(execFile)(python, [
    ...[program, scenario, "--address", leader, "--descriptors", descriptors],
    ...["--ca", ca, "--cert", pems.cert, "--key", pems.key, ...flags],
  ]);
  return JSON.parse(stdout) as Seen;
}

const isExcused = problem !== null && process.env["CAIRN_REQUIRE_ALL"] !== "1";
if (isExcused) process.stderr.write(`python-client.test.ts is not run: ${problem}\n`);

describe.skipIf(isExcused)("a Python client", () => {
  beforeAll(async () => {
    if (problem !== null) throw new Error(`no Python client: ${problem}`);
    cluster = await LocalCluster.create({
      folder,
      mainFile: path.join(repository, "dist/src/main.js"),
      clusterId: "fedcba9876543210fedcba9876543210",
      electionTimeoutMs: 500,
      died: (_name, line) => process.stderr.write(`${line}\n`),
    });
    await cluster.startAll();
    client = connect({
      addresses: cluster.names.map((name) => cluster.addressOf(name)),
      credentials: readClientPems(cluster.profile(), "root"),
    });
    await client.checkTail();
    leader = client.leader ?? "";
  });

  afterAll(async () => {
    client?.close();
    await cluster?.stopAll();
    rmSync(folder, { recursive: true, force: true });
  });

  test("produces and consumes by the book's messages", async () => {
    const end = await client.checkTail();
    expect(await run("produce-consume")).toEqual({ offset: end, value: "from python" });
  });

  test("produces and consumes over streams", async () => {
    const from = await client.checkTail();
    expect(await run("streams", "root", "--count", "50")).toEqual({
      offsets: Array.from({ length: 50 }, (_, at) => from + at),
      values: Array.from({ length: 50 }, (_, at) => `message ${at}`),
    });
  });

  test("appends a batch once however often, and reads it back with keys and headers", async () => {
    const offset = await client.checkTail();
    const none = { key: null, headers: {} };
    expect(await run("batches")).toEqual({
      offset,
      again: { offset, duplicate: true },
      end: offset + 3,
      records: [
        { offset, value: "one", key: "k1", headers: { lang: "py" } },
        { offset: offset + 1, value: "zwei ☃", ...none },
        { offset: offset + 2, value: "", ...none },
      ],
      gap: {
        code: "ABORTED",
        message: "sequence 99 is beyond the producer's next one, 3",
        hasReason: true,
      },
    });
  });

  test("packs a batch with gzip and reads it back as it was", async () => {
    const seen = await run("packed");
    expect(seen).toMatchObject({ same: true, kind: "gzip" });
    expect(seen["sent"]).toBeLessThan(500);
  });

  test("keeps its place in the log", async () => {
    expect(await run("cursors")).toEqual({ fetched: "2", missing: "NOT_FOUND" });
  });

  test("as nobody is denied everything, with the reason", async () => {
    const told = (action: string) => ({
      code: "PERMISSION_DENIED",
      message: `nobody not permitted to ${action} to *`,
      hasReason: true,
    });
    expect(await run("denied", "nobody")).toEqual({
      produce: told("produce"),
      append: told("produce"),
      read: told("consume"),
      stream: told("consume"),
      trim: told("admin"),
    });
  });
});
