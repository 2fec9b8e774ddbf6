// One real agent with its certificates, rules and REST port, as an operator runs it: files that
// change under it, what it says of denials, and a stop that lets go of everybody in order.

import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import path from "node:path";
import { connect } from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";

import { certificateFiles, clientBase } from "../../src/cli/certificate-files.ts";
import { findFreePorts } from "../../src/cli/ports.ts";
import { cairn, type Running, start, useFolder, useProgram } from "./program.ts";

useProgram();
const folder = useFolder();
const certs = path.join(folder, "certs");
const policyFile = path.join(folder, "policy.csv");

let agent: Running;
let port = 0;
let restPort = 0;
let metricsPort = 0;

beforeAll(async () => {
  [port = 0, restPort = 0, metricsPort = 0] = await findFreePorts(3);
  for (const args of [
    ["certs", "init"],
    ["certs", "node", "n1", "--host", "127.0.0.1"],
    ["certs", "client", "root"],
    ["certs", "client", "ann"],
  ]) {
    expect(await cairn([...args, "--dir", certs])).toMatchObject({ code: 0 });
  }
  expect(await cairn(["acl", "init", "--dir", folder])).toMatchObject({ code: 0 });
  agent = start([
    "agent",
    ...["--node-name", "n1", "--bootstrap", "--data-dir", path.join(folder, "data")],
    ...["--certs-dir", certs, "--bind-addr", "127.0.0.1", "--rpc-port", String(port)],
    ...["--acl-model-file", path.join(folder, "model.conf"), "--acl-policy-file", policyFile],
    ...["--rest-addr", `127.0.0.1:${restPort}`, "--limits", "rest-connections=50"],
    ...["--election-timeout-ms", "200", "--metrics-addr", `127.0.0.1:${metricsPort}`],
  ]);
  await agent.says(/"serving"/);
});

const as = (subject: string) => [
  ...["--certs-dir", certs, "--as", subject, "--addr", `127.0.0.1:${port}`],
];

/** What the agent said under a name, as objects. */
const saidOf = (what: string): Record<string, unknown>[] =>
  agent.output
    .split("\n")
    .filter((line) => line.includes(`"msg":"${what}"`))
    .map((line) => JSON.parse(line));

function rest(method: string, target: string, body = "", subject = "root") {
  const files = certificateFiles(certs, clientBase(subject));
  return new Promise<{ status: number; text: string; requestId: string }>((resolve, reject) => {
    const call = request(
      {
        host: "127.0.0.1",
        port: restPort,
        method,
        path: target,
        ca: readFileSync(certificateFiles(certs, "ca").cert),
        cert: readFileSync(files.cert),
        key: readFileSync(files.key),
        servername: "",
        agent: false,
        headers: { "content-length": Buffer.byteLength(body) },
      },
      (response) => {
        let text = "";
        response.on("data", (part: Buffer) => {
          text += part.toString();
        });
        response.on("end", () => {
          const requestId = String(response.headers["x-request-id"]);
          resolve({ status: response.statusCode ?? 0, text, requestId });
        });
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}

/** Serial number of the certificate shown on a port. */
function serialAt(at: number): Promise<string> {
  const files = certificateFiles(certs, clientBase("root"));
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: "127.0.0.1",
      port: at,
      ca: readFileSync(certificateFiles(certs, "ca").cert),
      cert: readFileSync(files.cert),
      key: readFileSync(files.key),
      servername: "",
      ALPNProtocols: ["h2", "http/1.1"],
    });
    socket.on("error", reject);
    socket.on("secureConnect", () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
  });
}

describe("an agent", () => {
  test("serves the first chapter's REST beside gRPC, over one log", async () => {
    expect(await cairn(["produce", ...as("root")], { input: "by gRPC\n" })).toMatchObject({
      code: 0,
    });
    const value = Buffer.from("by REST").toString("base64");
    const posted = await rest("POST", "/", JSON.stringify({ record: { value } }));
    expect([posted.status, posted.text]).toEqual([200, '{"offset":1}\n']);
    const lines = (await rest("GET", "/records?from=0")).text.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).offset)).toEqual([0, 1]);
    const read = await cairn(["consume", ...as("root"), "--from", "1"]);
    expect(read.stdout).toBe("by REST\n");
  });

  test("shows its figures and answers probes on a port of their own", async () => {
    const ask = async (target: string) => {
      const answer = await fetch(`http://127.0.0.1:${metricsPort}${target}`);
      return { status: answer.status, text: await answer.text() };
    };
    await expect.poll(() => ask("/readyz")).toEqual({ status: 200, text: "ready\n" });
    expect(await ask("/livez")).toEqual({ status: 200, text: "alive\n" });
    expect((await ask("/")).status).toBe(404);
    const input = "for the figures\n";
    expect(await cairn(["produce", ...as("root")], { input })).toMatchObject({ code: 0 });
    const { text } = await ask("/metrics");
    const value = (sample: string) =>
      Number(new RegExp(`^${sample} ([\\d.e+-]+)$`, "m").exec(text)?.[1] ?? Number.NaN);
    expect(value('cairn_raft_role\\{role="leader"\\}')).toBe(1);
    expect(value('cairn_node_state\\{state="serving"\\}')).toBe(1);
    expect(value("cairn_log_end_offset")).toBeGreaterThanOrEqual(1);
    expect(value('cairn_disk_operation_seconds_count\\{operation="sync"\\}')).toBeGreaterThan(0);
    expect(value('cairn_disk_bytes_total\\{direction="written"\\}')).toBeGreaterThan(0);
    const ends = value('cairn_certificate_end_seconds\\{to="server"\\}');
    expect(ends).toBeGreaterThan(Date.now() / 1000);
    const appends = 'cairn_rpc_handled_total\\{method="cairn.v1.Log/Append",code="OK"\\}';
    expect(value(appends)).toBeGreaterThanOrEqual(1);
    expect(text).not.toContain("for the figures");
  });

  test("denies ann, says so with the request's id, and lets her in by a new rule", async () => {
    expect(await cairn(["acl", "test", "ann", "consume", "--acl-policy-file", policyFile])).toEqual(
      expect.objectContaining({ code: 1, stdout: expect.stringContaining("denied: ann") }),
    );
    const { status, requestId } = await rest("GET", "/records/0", "", "ann");
    expect(status).toBe(403);
    await agent.says(new RegExp(`"requestId":"${requestId}".*\n`));
    expect(saidOf("denied").at(-1)).toMatchObject({
      level: "warn",
      subject: "ann",
      method: "GET /records/{offset}",
      object: "*",
      action: "consume",
      requestId,
      peer: expect.stringMatching(/^127\.0\.0\.1:/),
    });
    const rules = readFileSync(policyFile, "utf8");
    writeFileSync(policyFile, `${rules}p, role:reader, *, consume\ng, ann, role:reader\n`);
    await agent.says(/"access-rules-reloaded".*\n/);
    expect((await rest("GET", "/records/0", "", "ann")).status).toBe(200);
    const asked = await cairn([
      ...["acl", "test", "ann", "consume", "--json", "--acl-policy-file", policyFile],
    ]);
    expect(asked.code).toBe(0);
    expect(JSON.parse(asked.stdout)).toMatchObject({
      allowed: true,
      rule: { file: policyFile, text: "p, role:reader, *, consume" },
    });
  });

  test("keeps its rules when the new ones are broken", async () => {
    const rules = readFileSync(policyFile, "utf8");
    writeFileSync(policyFile, `${rules}p, ann, *\n`);
    await agent.says(/"access-rules-not-reloaded".*\n/);
    expect(saidOf("access-rules-not-reloaded")[0]?.["why"]).toContain("2 fields after p");
    expect((await rest("GET", "/records/0", "", "ann")).status).toBe(200);
    writeFileSync(policyFile, rules);
  });

  test("shows renewed certificates on both ports, and warns of one that soon ends", async () => {
    const before = await serialAt(port);
    expect(await serialAt(restPort)).toBe(before);
    const renew = ["certs", "node", "n1", "--host", "127.0.0.1", "--renew", "--days", "1"];
    expect(await cairn([...renew, "--dir", certs])).toMatchObject({ code: 0 });
    await agent.says(/"server-certificates-reloaded".*\n/);
    await agent.says(/"peer-certificates-reloaded".*\n/);
    const after = await serialAt(port);
    expect(after).not.toBe(before);
    expect(await serialAt(restPort)).toBe(after);
    const shown = await cairn(["certs", "show", "--dir", certs, "--within", "7"]);
    expect(shown.code).toBe(1);
    expect(shown.stdout).toMatch(/n1\.pem {2}n1\.peer\.cairn .*0 days left: expires-soon/);
    expect(shown.stderr).toContain("n1.peer.cairn: expires-soon");
    const fine = await cairn(["certs", "show", "--json", path.join(certs, "ca.pem")]);
    expect(fine.code).toBe(0);
    expect(JSON.parse(fine.stdout)).toMatchObject({ name: "Cairn CA", use: "authority" });
  });

  test("stops on SIGTERM while somebody follows the log: drained, with exit code 0", async () => {
    const following = start(["consume", ...as("root"), "--from", "0", "--follow"]);
    await following.says(/by REST/);
    agent.child.kill("SIGTERM");
    const { code } = await agent.ended;
    expect(code).toBe(0);
    expect(saidOf("stopped")).toHaveLength(1);
    expect(saidOf("calls-cut-off")).toEqual([]);
    await expect(rest("GET", "/records/0")).rejects.toThrow("ECONNREFUSED");
    following.child.kill("SIGINT");
    await following.ended;
  });
});
