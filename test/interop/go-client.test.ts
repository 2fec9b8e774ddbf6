// A Go client that knows only log.v1, with the book's scenarios, resolver and picker, against three
// real nodes over mutual TLS. Built with Debian's Go; without that this fails under
// CAIRN_REQUIRE_ALL=1 and says so otherwise.

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
const folder = mkdtempSync(path.join(tmpdir(), "cairn-go-"));
const program = path.join(folder, "go-client");
const problem = buildClient();

/** Null, or why there is no Go client here. */
function buildClient(): string | null {
  const tools = `${repository}scripts/ci-tools`;
  const build = `eval "$('${tools}' env)" && go build -o '${program}' ./test/interop/go`;
  const { status, stderr } = spawnSync("bash", ["-c", build], { cwd: repository });
  return status === 0 ? null : stderr.toString();
}

type Seen = Record<string, unknown>;

let cluster: LocalCluster;
let client: CairnClient;
/** Addresses: the leader first. */
let addresses: string[];

interface Run {
  readonly scenario: string;
  readonly as?: "root" | "nobody";
  readonly at?: string;
  readonly flags?: readonly string[];
}

/** Runs one scenario and gives what it printed. */
async function go({ scenario, as = "root", at, flags = [] }: Run): Promise<Seen> {
  const { ca, subjects } = cluster.profile();
  const pems = subjects[as];
  if (pems === undefined) throw new Error(`no certificate for ${as}`);
  const run = promisify(execFile);
  const { stdout } = await run(program, [
    ...["-scenario", scenario, "-address", at ?? addresses[0] ?? ""],
    ...["-ca", ca, "-cert", pems.cert, "-key", pems.key, ...flags],
  ]);
  return JSON.parse(stdout) as Seen;
}

const isExcused = problem !== null && process.env["CAIRN_REQUIRE_ALL"] !== "1";
if (isExcused) process.stderr.write(`go-client.test.ts is not run: ${problem}\n`);

describe.skipIf(isExcused)("a Go client", () => {
  beforeAll(async () => {
    if (problem !== null) throw new Error(`no Go client: ${problem}`);
    cluster = await LocalCluster.create({
      folder,
      mainFile: path.join(repository, "dist/src/main.js"),
      clusterId: "0123456789abcdef0123456789abcdef",
      electionTimeoutMs: 500,
      died: (_name, line) => process.stderr.write(`${line}\n`),
    });
    await cluster.startAll();
    client = connect({
      addresses: cluster.names.map((name) => cluster.addressOf(name)),
      credentials: readClientPems(cluster.profile(), "root"),
    });
    await client.checkTail();
    const servers = await client.servers();
    addresses = servers
      .toSorted((a, b) => Number(b.isLeader) - Number(a.isLeader))
      .map(({ address }) => address);
  });

  afterAll(async () => {
    client?.close();
    await cluster?.stopAll();
    rmSync(folder, { recursive: true, force: true });
  });

  test("produces and consumes, and sees neither term nor type", async () => {
    const end = await client.checkTail();
    const seen = await go({ scenario: "produce-consume" });
    const record: Seen = { value: Buffer.from("hello world").toString("base64") };
    if (end > 0) record["offset"] = end; // Go leaves out a zero.
    expect(seen).toEqual({ offset: end, value: "hello world", record });
  });

  test("produces and consumes over streams", async () => {
    const from = await client.checkTail();
    const seen = await go({ scenario: "streams", flags: ["-count", "50"] });
    const offsets = Array.from({ length: 50 }, (_, i) => from + i);
    expect(seen["offsets"]).toEqual(offsets);
    expect(seen["records"]).toEqual(
      offsets.map((offset, i) => ({
        value: Buffer.from(`message ${i}`).toString("base64"),
        ...(offset === 0 ? {} : { offset }),
      })),
    );
  });

  test("is answered for each of many requests sent at once, then EOF", async () => {
    const seen = await go({ scenario: "half-close", flags: ["-count", "2000"] });
    expect(seen).toEqual({ answers: 2000, end: "EOF", sent: true });
  });

  test("gets 404 and a localized message past the end", async () => {
    const seen = await go({ scenario: "past-boundary" });
    const { offset } = seen;
    expect(seen).toEqual({
      offset,
      code: 404,
      message: `offset out of range: ${offset}`,
      locale: "en-US",
      localized: `The requested offset is outside of the log: ${offset}`,
      isNil: true,
    });
  });

  test("as nobody is denied with the seeds' words", async () => {
    const seen = await go({ scenario: "denied", as: "nobody" });
    expect(seen).toEqual([
      { code: 7, message: "nobody not permitted to produce to *" },
      { code: 7, message: "nobody not permitted to consume to *" },
    ]);
  });

  test("finds the servers, under both names of the method", async () => {
    const { servers, alias } = await go({ scenario: "servers" });
    const list = servers as { id: string; rpc_addr: string; is_leader?: boolean }[];
    const byAddress = list.toSorted((a, b) => (a.rpc_addr < b.rpc_addr ? -1 : 1));
    expect(byAddress.map(({ rpc_addr }) => rpc_addr)).toEqual(addresses.toSorted());
    expect(list.filter(({ is_leader }) => is_leader === true)).toHaveLength(1);
    expect(alias).toEqual(servers);
  });

  test("with a resolver and a picker needs any one address", async () => {
    const from = await client.checkTail();
    for (const at of addresses) {
      const { offsets, values } = await go({
        scenario: "routed",
        at,
        flags: ["-routed", "-count", "10"],
      });
      expect(values).toEqual(Array.from({ length: 10 }, (_, i) => `routed ${i}`));
      expect((offsets as number[])[0]).toBeGreaterThanOrEqual(from);
    }
    expect(await client.checkTail()).toBe(from + 10 * addresses.length);
  });
});
