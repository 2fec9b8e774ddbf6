// An agent's certificates and access rules while their files change under it: what is taken into
// use, what is kept, and what is said.

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import type { Notice } from "../../src/base/notice.ts";
import { AgentSecurity } from "../../src/cli/agent-security.ts";
import { certificateFiles } from "../../src/cli/certificate-files.ts";
import {
  type Authority,
  createAuthority,
  createClientCertificate,
  createNodeCertificate,
} from "../../src/cli/certs.ts";
import { type AgentConfig, loadAgentConfig } from "../../src/cli/config.ts";
import { ExpiryWarnings } from "../../src/cli/reload.ts";
import type { TlsPems } from "../../src/cli/tls-files.ts";
import { temporaryFolder } from "./temporary.ts";

const folder = temporaryFolder();
const certs = path.join(folder, "certs");
const policyFile = path.join(folder, "policy.csv");
const own = certificateFiles(certs, "n1");
const ca = certificateFiles(certs, "ca").cert;
let authority: Authority;
let config: AgentConfig;

beforeAll(async () => {
  authority = await createAuthority(certs, "Cairn test CA");
  await createNodeCertificate(authority, certs, "n1", ["127.0.0.1"]);
  await createNodeCertificate(authority, certs, "n2", ["127.0.0.1"]);
  writeFileSync(policyFile, "p, root, *, produce\n");
  const flags = {
    "node-name": "n1",
    bootstrap: true,
    "certs-dir": certs,
    "acl-policy-file": policyFile,
  };
  config = loadAgentConfig(flags, {});
});

let notices: Notice[];
let used: { kind: string; pems: TlsPems }[];
let security: AgentSecurity;

beforeEach(async () => {
  notices = [];
  used = [];
  security = await AgentSecurity.open(config);
  const user = (kind: string) => ({
    replaceCertificates: (pems: TlsPems) => void used.push({ kind, pems }),
  });
  const users = { server: user("server"), peer: user("peer") };
  security.watch({ notice: (notice) => notices.push(notice) }, users, 2);
});
afterEach(() => security.close());

const saidOf = (what: string) => notices.filter((notice) => notice.what === what);
const until = (condition: () => boolean) => expect.poll(condition, { timeout: 20_000 }).toBe(true);

describe("an agent whose files change", () => {
  test("takes renewed certificates into use for clients and peers", async () => {
    await createNodeCertificate(authority, certs, "n1", ["127.0.0.1"], { renew: true });
    await until(() => used.length === 2);
    expect(used.map(({ kind }) => kind).toSorted()).toEqual(["peer", "server"]);
    for (const { pems } of used) expect(pems.cert).toEqual(readFileSync(own.cert));
    expect(security.serverTls?.cert).toEqual(readFileSync(own.cert));
    await until(() => saidOf("peer-certificates-reloaded").length === 1);
    expect(saidOf("server-certificates-reloaded")[0]).toMatchObject({
      level: "info",
      facts: { now: expect.stringMatching(/^n1\.peer\.cairn until .*, 1 authorities$/) },
    });
  });

  test("keeps the old certificate while the key is another one's, then takes both", async () => {
    const before = security.serverTls;
    const key = readFileSync(own.key);
    copyFileSync(certificateFiles(certs, "n2").key, own.key);
    await until(() => saidOf("server-certificates-not-reloaded").length === 1);
    expect(saidOf("server-certificates-not-reloaded")[0]).toMatchObject({
      level: "error",
      facts: { why: `server-tls-key-file: ${own.key}: not the key of ${own.cert}` },
    });
    expect(used).toEqual([]);
    expect(security.serverTls).toBe(before);
    writeFileSync(own.key, key);
    await until(() => saidOf("server-certificates-reloaded").length === 1);
    expect(saidOf("server-certificates-reloaded")[0]?.facts).toMatchObject({ now: "as it was" });
    expect(used).toEqual([]);
  });

  test("refuses a certificate that speaks for another member, on peer links only", async () => {
    const [cert, key] = [readFileSync(own.cert), readFileSync(own.key)];
    copyFileSync(certificateFiles(certs, "n2").cert, own.cert);
    copyFileSync(certificateFiles(certs, "n2").key, own.key);
    await until(() => saidOf("peer-certificates-not-reloaded").length === 1);
    expect(saidOf("peer-certificates-not-reloaded")[0]?.facts["why"]).toContain(
      "does not speak for the member n1",
    );
    await until(() => used.length === 1);
    expect(used[0]?.kind).toBe("server");
    writeFileSync(own.cert, cert);
    writeFileSync(own.key, key);
    await until(() => used.length === 2);
  });

  test("trusts two authorities while one is being replaced by the other", async () => {
    const next = path.join(folder, "next");
    await createAuthority(next, "Next CA");
    const before = readFileSync(ca);
    writeFileSync(ca, Buffer.concat([before, readFileSync(certificateFiles(next, "ca").cert)]));
    await until(() => used.length === 2);
    await until(() => saidOf("server-certificates-reloaded").length === 1);
    expect(saidOf("server-certificates-reloaded")[0]?.facts["now"]).toContain("2 authorities");
    writeFileSync(ca, before);
    await until(() => used.length === 4);
  });

  test("takes a new policy into use and keeps it when the next one is broken", async () => {
    const { authorizer } = security;
    const may = (subject: string) => authorizer.allows(subject, "*", "produce");
    expect([may("root"), may("ann")]).toEqual([true, false]);
    writeFileSync(policyFile, "p, ann, *, produce\n");
    await until(() => may("ann"));
    expect(may("root")).toBe(false);
    await until(() => saidOf("access-rules-reloaded").length === 1);
    expect(saidOf("access-rules-reloaded")[0]?.facts).toMatchObject({ now: "1 rules" });
    writeFileSync(policyFile, "p, root, *\n");
    await until(() => saidOf("access-rules-not-reloaded").length === 1);
    expect(saidOf("access-rules-not-reloaded")[0]).toMatchObject({
      level: "error",
      facts: { why: expect.stringContaining(`${policyFile}:1: 2 fields after p`) },
    });
    expect([may("root"), may("ann")]).toEqual([false, true]);
    writeFileSync(policyFile, "p, root, *, produce\n");
    await until(() => may("root"));
  });
});

describe("a certificate that ends", () => {
  const DAY_MS = 86_400_000;

  async function warnedAt(days: number, life: number): Promise<Notice[]> {
    const files = await createClientCertificate(authority, certs, "short", {
      days: life,
      renew: true,
    });
    const said: Notice[] = [];
    const pem = readFileSync(files.cert, "utf8");
    const inUse = () => [
      { file: files.cert, pem },
      { file: files.cert, pem },
    ];
    const telemetry = { notice: (notice: Notice) => void said.push(notice) };
    new ExpiryWarnings(telemetry, inUse, () => Date.now() + days * DAY_MS).close();
    return said;
  }

  test.each([
    [334, 365, null],
    [336, 365, "certificate-expires-soon"],
    [364, 365, "certificate-expires-soon"],
    [366, 365, "certificate-expired"],
    // A week's certificate is not always about to end.
    [1, 6, null],
    [5, 6, "certificate-expires-soon"],
  ])("is told of on day %d of %d: %s", async (day, life, what) => {
    const said = await warnedAt(day, life);
    expect(said.map((notice) => notice.what)).toEqual(what === null ? [] : [what]);
    if (what === null) return;
    expect(said[0]).toMatchObject({
      level: what === "certificate-expired" ? "error" : "warn",
      facts: { name: "short", daysLeft: life - day - 1 },
    });
  });
});
